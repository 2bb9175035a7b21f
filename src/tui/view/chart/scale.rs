//! The size axis: which row is how many bytes.

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{super::View, LABELS, before, whole};
use crate::{
    axis::round_up,
    session::Run,
    tui::theme::Theme,
    units::{Limit, size},
};

/// After this long, a limit that is more than so many times the peak leaves the picture.
const SETTLED: Duration = Duration::from_secs(3);
const FAR_ABOVE: u64 = 16;

/// The size axis: bytes to eighths of a row. The limit lies in the middle of a row, where its line is drawn.
pub struct Scale {
    /// Rows that the picture has.
    pub rows: u16,
    top: f64,
    limit: Option<u64>,
}

impl Scale {
    /// For these runs.
    pub fn new<'a>(rows: u16, runs: impl Iterator<Item = &'a Run>, view: &View) -> Scale {
        // In a replay the whole of it is known: the scale does not change on the way.
        let mut runs: Vec<&Run> = runs.map(|run| whole(view, run)).collect();
        runs.extend(before(view));
        let peak = runs.iter().map(|run| run.peak).fold(1, u64::max);
        let next = view.session.next_limit.and_then(Limit::bytes);
        let now = runs.iter().filter_map(|run| run.limit.bytes()).chain(next).fold(0, u64::max);
        // A limit that was left behind is on the picture only if it does not flatten what is there now.
        let before = runs.iter().flat_map(|run| run.history.points()).filter_map(|p| p.limit.bytes());
        let limit = before.filter(|bytes| bytes / 4 <= now.max(peak)).fold(now, u64::max);
        let rows = rows.max(1);
        let height = f64::from(rows) * 8.0;
        // A limit far above all that is used would flatten the picture: once that is clear, it is named and not drawn.
        let settled = view.session.run().is_some_and(|run| whole(view, run).elapsed(view.now) > SETTLED);
        if limit > 0 && (limit / FAR_ABOVE <= peak || !settled) {
            let line = f64::from(rows - rows.min(2)) * 8.0 + 4.0;
            return Scale { rows, top: limit as f64 * height / line, limit: Some(limit) };
        }
        Scale { rows, top: round_up(peak as f64 * 1.2), limit: None }
    }

    /// How many eighths of a row this is.
    pub fn level(&self, bytes: u64) -> u32 {
        (bytes as f64 / self.top * f64::from(self.rows) * 8.0).round() as u32
    }

    /// The row that this is in, counted from the bottom; it may be above the picture.
    pub fn row(&self, bytes: u64) -> Option<u16> {
        u16::try_from(self.level(bytes) / 8).ok()
    }

    /// The size that a row stands for, counted from the bottom: what its middle shows.
    pub fn bytes(&self, row: u16) -> u64 {
        (self.top * (f64::from(row) + 0.5) / f64::from(self.rows)) as u64
    }

    /// Labels at round sizes, and at the limit.
    pub fn labels(&self, buffer: &mut Buffer, body: Rect, theme: &Theme) {
        let bottom = body.y + self.rows - 1;
        let mut taken = Vec::new();
        let mut label = |bytes: u64, style: Style, tick: &str| {
            let row = self.level(bytes) / 8;
            if row < u32::from(self.rows) && taken.iter().all(|t: &u32| t.abs_diff(row) >= 2) {
                taken.push(row);
                let y = bottom - row as u16;
                buffer.set_string(body.x, y, format!("{:>6} ", size(bytes)), style);
                buffer.set_string(body.x + LABELS - 1, y, tick, theme.dim);
            }
        };
        if let Some(limit) = self.limit {
            label(limit, theme.limit, "┤");
        }
        label(0, theme.dim, "┼");
        let step = round_up(self.top / 4.0).max(1.0);
        for n in 1..8 {
            label((step * f64::from(n)) as u64, theme.dim, "┤");
        }
        for y in body.y..=bottom {
            if buffer[(body.x + LABELS - 1, y)].symbol() == " " {
                buffer.set_string(body.x + LABELS - 1, y, "│", theme.dim);
            }
        }
    }
}
