//! Where a program's own heap ends, beside the limit: a line, and what it leaves for the rest.

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect};
use unicode_width::UnicodeWidthStr;

use super::{
    lines::{DASHED, stroke},
    scale::Scale,
};
use crate::{session::Run, tui::theme::Theme};

/// Draws the line over the columns from `from` to `end` that have come, from when the program started to when it ended.
pub fn render(
    buffer: &mut Buffer,
    rows: Rect,
    run: &Run,
    (from, end): (Duration, Duration),
    come: usize,
    scale: &Scale,
    theme: &Theme,
) {
    let Some((process, heap)) = run.heap() else { return };
    let Some(row) = scale.row(heap.ceiling).filter(|row| *row < rows.height) else { return };
    let width = f64::from(rows.width);
    let at = |column: usize| from + (end - from).mul_f64((column as f64 + 0.5) / width);
    let lived = |column: usize| at(column) >= process.since && process.died.is_none_or(|died| at(column) <= died);
    let lives: Vec<bool> = (0..come.min(usize::from(rows.width))).map(lived).collect();
    let Some(first) = lives.iter().position(|lives| *lives) else { return };
    let values = lives.iter().map(|lives| lives.then_some(heap.ceiling));
    stroke(buffer, rows, values, scale, &DASHED, theme.soft);
    let text = format!(" {} ", heap.beside(run.limit));
    let room = usize::from(rows.width) - first;
    let y = rows.bottom() - 1 - row;
    // Between the line and the limit, where there is room; below it where there is not.
    let free = |y: u16| (first..first + text.width()).all(|x| buffer[(rows.x + x as u16, y)].symbol() == " ");
    // What was over in a moment is not worth a word.
    let long = lives.iter().filter(|lives| **lives).count() >= text.width() || process.died.is_none();
    if text.width() > room || !long {
        return;
    }
    let above = y.checked_sub(1).filter(|y| *y >= rows.y && free(*y));
    let below = Some(y + 1).filter(|y| *y < rows.bottom());
    if let Some(y) = above.or(below) {
        buffer.set_string(rows.x + first as u16, y, text, theme.soft);
    }
}
