//! Lines over the columns: the limit, the soft limit, and those of a recording beside.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::scale::Scale;

/// What a line is made of: level, upright, and where it turns: left to below, left to above, below to right, above to right.
pub type Glyphs = [&'static str; 6];

/// The limit.
pub const THICK: Glyphs = ["━", "┃", "┓", "┛", "┏", "┗"];
/// Usage of a recording beside.
pub const THIN: Glyphs = ["─", "│", "┐", "┘", "┌", "└"];
/// A soft limit, and the limit of a recording beside.
pub const DASHED: Glyphs = ["╌", "┊", "┐", "┘", "┌", "└"];

/// A line over the columns, with a step where its value moves.
pub fn stroke(
    buffer: &mut Buffer,
    rows: Rect,
    values: impl Iterator<Item = Option<u64>>,
    scale: &Scale,
    glyphs: &Glyphs,
    style: Style,
) {
    let [level, upright, left_below, left_above, below_right, above_right] = glyphs;
    let mut before: Option<u16> = None;
    for (n, value) in values.enumerate() {
        let x = rows.x + n as u16;
        let row = value.and_then(|bytes| scale.row(bytes)).filter(|row| *row < rows.height);
        let Some(row) = row else {
            before = None;
            continue;
        };
        let mut draw = |row: u16, symbol: &str| {
            let cell = &mut buffer[(x, rows.bottom() - 1 - row)];
            // Where memory stands behind the line, it still does.
            let behind = if cell.symbol() == "█" { cell.style().fg } else { None };
            cell.set_symbol(symbol).set_style(style);
            if let Some(colour) = behind {
                cell.set_bg(colour);
            }
        };
        match before {
            Some(last) if last != row => {
                let (high, low) = (last.max(row), last.min(row));
                for between in low + 1..high {
                    draw(between, upright);
                }
                draw(last, if last > row { left_below } else { left_above });
                draw(row, if last > row { above_right } else { below_right });
            }
            _ => draw(row, level),
        }
        before = Some(row);
    }
}
