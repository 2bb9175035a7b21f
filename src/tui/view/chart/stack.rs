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
        let (mut symbol, style) = most_of(&parts, base, total.min(base + 8));
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

/// Less of a cell than this, in eighths, is not drawn in a colour of its own where it is the kernel's, which is thin as a rule.
const SPECK: u32 = 4;

/// The part that has most of what lies between two levels.
fn most_of(parts: &[Part; 4], from: u32, to: u32) -> (&'static str, Style) {
    let mut below = 0;
    let shares = parts.iter().map(|(sign, end, style)| {
        let share = (*end).min(to).saturating_sub(below.max(from));
        below = below.max(*end);
        (share, *sign, *style)
    });
    // Of equals the lower one: what cannot be given back.
    let most = shares.reduce(|a, b| if b.0 > a.0 { b } else { a });
    match most {
        // A hair of the kernel's at the edge would be a speck that nobody can read.
        Some((share, KERNEL, _)) if share < SPECK => (parts[0].0, parts[0].2),
        Some((_, sign, style)) => (sign, style),
        None => (ANON, Style::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_goes_to_the_part_that_has_most_of_it() {
        let plain = Style::new();
        // A thin layer of the kernel's on top, at a cell's middle; and cache above it.
        let parts = [(ANON, 11, plain), (SHMEM, 11, plain), (KERNEL, 13, plain), (CACHE, 24, plain)];
        assert_eq!(most_of(&parts, 0, 8).0, ANON);
        assert_eq!(most_of(&parts, 8, 16).0, ANON, "three eighths, as the cache has");
        assert_eq!(most_of(&parts, 16, 24).0, CACHE);
        assert_eq!(
            most_of(&[(ANON, 2, plain), (SHMEM, 2, plain), (KERNEL, 8, plain), (CACHE, 8, plain)], 0, 8).0,
            KERNEL
        );
    }
}
