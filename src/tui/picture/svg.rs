//! Cells as SVG. Blocks and lines are drawn as shapes, so that they meet whatever the font; the rest is text, cell by cell where it is wide.

use std::fmt::Write;

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use unicode_width::UnicodeWidthStr;

use crate::text::escaped;

/// The size of a cell.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;

/// Around the screen.
const MARGIN: f64 = 12.0;

const GROUND: &str = "#16181d";
const INK: &str = "#d5d8de";

/// The sixteen colours, as terminals of today draw them.
const SIXTEEN: [&str; 16] = [
    "#1d2026", "#e06c75", "#7fb069", "#d7a65f", "#5f9ad7", "#b885d0", "#4fb3b8", "#c3c7ce", "#6b7280", "#ff7b86",
    "#98d982", "#f0c674", "#7db8f5", "#d7a0f0", "#6fd7dc", "#f5f7fa",
];

/// The whole picture.
pub fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) =
        (f64::from(area.width) * WIDTH + 2.0 * MARGIN, f64::from(area.height) * HEIGHT + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{GROUND}\"/>\n"
    );
    for y in area.y..area.bottom() {
        let mut x = area.x;
        while x < area.right() {
            let (text, columns) = run(buffer, x, y);
            piece(&mut out, &buffer[(x, y)], &text, f64::from(x - area.x), f64::from(y - area.y), columns);
            x += columns;
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The cells from here on that are one piece: text of one style, or the same shape again and again.
fn run(buffer: &Buffer, x: u16, y: u16) -> (String, u16) {
    let first = &buffer[(x, y)];
    let mut text = first.symbol().to_string();
    let mut columns = (first.symbol().width() as u16).max(1);
    let wide = columns > 1;
    while !wide && x + columns < buffer.area.right() {
        let next = &buffer[(x + columns, y)];
        let alike = next.style() == first.style() && next.symbol().width() == 1;
        let goes_on = match (is_shape(first.symbol()), is_shape(next.symbol())) {
            (true, _) => next.symbol() == first.symbol(),
            (false, shape) => !shape,
        };
        if !alike || !goes_on {
            break;
        }
        text.push_str(next.symbol());
        columns += 1;
    }
    (text, columns)
}

fn is_shape(symbol: &str) -> bool {
    symbol.chars().all(|c| matches!(c, '▀'..='▟' | '─'..='╿'))
}

fn piece(out: &mut String, cell: &Cell, text: &str, x: f64, y: f64, columns: u16) {
    let (left, top) = (MARGIN + x * WIDTH, MARGIN + y * HEIGHT);
    let wide = f64::from(columns) * WIDTH;
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    let (mut ink, mut ground) = (colour(cell.fg), colour(cell.bg));
    if reversed {
        (ink, ground) = (Some(ground.unwrap_or_else(|| GROUND.into())), Some(ink.unwrap_or_else(|| INK.into())));
    }
    if let Some(ground) = ground {
        rect(out, (left, top, wide, HEIGHT), &ground, 1.0);
    }
    let ink = ink.unwrap_or_else(|| INK.into());
    let dim = if cell.modifier.contains(Modifier::DIM) { 0.6 } else { 1.0 };
    match text.chars().next() {
        _ if text.trim().is_empty() => {}
        Some(c @ '▀'..='▟') => block(out, c, (left, top, wide), &ink, dim),
        Some(c @ '─'..='╿') => line(out, c, (left, top, columns), &ink, dim),
        _ => {
            let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
            let lines = match () {
                () if cell.modifier.contains(Modifier::CROSSED_OUT) => " text-decoration=\"line-through\"",
                () if cell.modifier.contains(Modifier::UNDERLINED) => " text-decoration=\"underline\"",
                () => "",
            };
            let fill = if dim < 1.0 { format!("{ink}\" fill-opacity=\"{dim}") } else { ink };
            let (length, base) = (text.trim_end().width() as f64 * WIDTH, top + 13.5);
            let _ = writeln!(
                out,
                "<text x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{length:.1}\" fill=\"{fill}\"{bold}{lines} xml:space=\"preserve\">{}</text>",
                escaped(text.trim_end())
            );
        }
    }
}

fn rect(out: &mut String, (x, y, width, height): (f64, f64, f64, f64), fill: &str, opacity: f64) {
    let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{opacity}\"") } else { String::new() };
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.2}\" width=\"{width:.1}\" height=\"{height:.2}\" fill=\"{fill}\"{opacity}/>"
    );
}

/// Lower eighths, the full block, the bar's ends, and shades.
fn block(out: &mut String, c: char, (left, top, wide): (f64, f64, f64), ink: &str, dim: f64) {
    match c {
        '▁'..='█' => {
            let eighths = f64::from(c as u32 - '▁' as u32 + 1);
            let height = HEIGHT * eighths / 8.0;
            rect(out, (left, top + HEIGHT - height, wide, height), ink, dim);
        }
        '▏' => rect(out, (left, top, 1.0, HEIGHT), ink, dim),
        '▕' => rect(out, (left + wide - 1.0, top, 1.0, HEIGHT), ink, dim),
        '░' => rect(out, (left, top, wide, HEIGHT), ink, 0.25),
        '▒' => rect(out, (left, top, wide, HEIGHT), ink, 0.5),
        '▓' => rect(out, (left, top, wide, HEIGHT), ink, 0.75),
        _ => {
            rect(out, (left, top + HEIGHT / 2.0, wide, HEIGHT / 2.0), ink, dim); // quadrants: halves will do
        }
    }
}

/// From the middle of each cell to the sides that the sign reaches: left, right, up, down.
fn line(out: &mut String, c: char, (left, top, columns): (f64, f64, u16), ink: &str, dim: f64) {
    let sides = match c {
        '─' | '━' | '╌' | '╍' => "lr",
        '│' | '┃' | '┊' | '╎' => "ud",
        '┌' | '┏' => "rd",
        '┐' | '┓' => "ld",
        '└' | '┗' => "ru",
        '┘' | '┛' => "lu",
        '├' => "rud",
        '┤' => "lud",
        '┬' => "lrd",
        '┴' => "lru",
        _ => "lrud",
    };
    let thick = matches!(c, '━' | '┃' | '┏' | '┓' | '┗' | '┛' | '╋' | '╍');
    let dashes = if matches!(c, '╌' | '╍' | '┊' | '╎') { " stroke-dasharray=\"3 2.6\"" } else { "" };
    let opacity = if dim < 1.0 { format!(" stroke-opacity=\"{dim}\"") } else { String::new() };
    let mut path = String::new();
    if sides == "lr" {
        let _ = write!(path, "M{left:.1} {:.1}h{:.1}", top + HEIGHT / 2.0, f64::from(columns) * WIDTH);
    } else {
        for n in 0..columns {
            let (x, y) = (left + (f64::from(n) + 0.5) * WIDTH, top + HEIGHT / 2.0);
            for side in sides.chars() {
                let to = match side {
                    'l' => format!("h{:.1}", -WIDTH / 2.0),
                    'r' => format!("h{:.1}", WIDTH / 2.0),
                    'u' => format!("v{:.1}", -HEIGHT / 2.0),
                    _ => format!("v{:.1}", HEIGHT / 2.0),
                };
                let _ = write!(path, "M{x:.1} {y:.1}{to}");
            }
        }
    }
    let width = if thick { 2.2 } else { 1.0 };
    let _ =
        writeln!(out, "<path d=\"{path}\" stroke=\"{ink}\" stroke-width=\"{width}\" fill=\"none\"{dashes}{opacity}/>");
}

/// A colour as CSS; `None` for the terminal's own.
fn colour(colour: Color) -> Option<String> {
    let named = |n: usize| Some(SIXTEEN[n].to_string());
    match colour {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(n @ 0..=15) => named(usize::from(n)),
        Color::Indexed(n @ 16..=231) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + n * 40 };
            let n = n - 16;
            Some(format!("#{:02x}{:02x}{:02x}", level(n / 36), level(n / 6 % 6), level(n % 6)))
        }
        Color::Indexed(n) => {
            let grey = 8 + (n - 232) * 10;
            Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
        }
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(8),
        Color::LightRed => named(9),
        Color::LightGreen => named(10),
        Color::LightYellow => named(11),
        Color::LightBlue => named(12),
        Color::LightMagenta => named(13),
        Color::LightCyan => named(14),
        Color::White => named(15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{layout::Rect, style::Style};

    #[test]
    fn cells_are_text_and_shapes_and_markup_stays_text() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "a<b>&c", Style::new().fg(Color::Cyan));
        buffer.set_string(0, 1, "██▒━━世", Style::new());
        let svg = svg(&buffer);
        assert!(svg.contains("fill=\"#4fb3b8\"") && svg.contains(">a&lt;b&gt;&amp;c</text>"), "{svg}");
        assert!(svg.contains("width=\"16.8\"") && svg.contains("fill-opacity=\"0.5\""), "{svg}");
        assert!(svg.contains("h16.8\" stroke=") && svg.contains(">世</text>"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
