//! One column of the picture: what usage consists of, from what cannot be given back up to what can, and the interval's peak.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::scale::Scale;
use crate::{session::history::Point, tui::theme::Theme};

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A part of the stack: its sign, where it ends in eighths of a row, and its style.
type Part = (&'static str, u32, Style);

/// The signs of the parts: each its own, for screens without colour.
pub const ANON: &str = "█";
/// Shared memory.
pub const SHMEM: &str = "▓";
/// The kernel's own.
pub const KERNEL: &str = "▞";
/// File cache.
pub const CACHE: &str = "▒";

/// Draws it at this column of the screen.
pub fn column(buffer: &mut Buffer, rows: Rect, x: u16, point: &Point, scale: &Scale, theme: &Theme) {
    let total = scale.level(point.usage).max(u32::from(point.usage > 0));
    let held = point.usage.saturating_sub(point.reclaimable);
    // What is anonymous is what is left; where parts lag behind usage it may be less than nothing.
    let (anon, shmem) = (point.anon(), point.shmem.min(held));
    let parts: [Part; 4] = [
        (ANON, scale.level(anon), theme.anon),
        (SHMEM, scale.level(anon.saturating_add(shmem)), theme.shmem),
        (KERNEL, scale.level(held), theme.kernel),
        (CACHE, total, theme.cache),
    ];
    for row in 0..u32::from(rows.height) {
        let base = row * 8;
        if total <= base {
            break;
        }
        // What fills the middle of what is filled of the cell.
        let (mut symbol, style) = part_at(&parts, base + total.saturating_sub(base).min(8) / 2);
        // The topmost cell is as full as it is.
        if total < base + 8 {
            symbol = EIGHTHS[(total - base) as usize];
        }
        buffer[(x, rows.bottom() - 1 - row as u16)].set_symbol(symbol).set_style(style);
    }
    // A peak that stands out of the stack; one in its own row is the next sample's usage, as a rule.
    let level = scale.level(point.peak);
    let peak = level / 8;
    if level > total + 8 && peak > total.saturating_sub(1) / 8 && peak < u32::from(rows.height) {
        buffer[(x, rows.bottom() - 1 - peak as u16)].set_symbol("•").set_style(theme.peak);
    }
}

/// The part that a level lies in.
fn part_at(parts: &[Part; 4], level: u32) -> (&'static str, Style) {
    let (sign, _, style) = parts.iter().find(|(_, end, _)| level < *end).unwrap_or(&parts[3]);
    (sign, *style)
}
