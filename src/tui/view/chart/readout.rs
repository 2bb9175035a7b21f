//! What the chart's rule says at its right end: what the signs mean, or every value under the cursor.

use std::time::Duration;

use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

use super::{
    super::{View, span, width},
    stack::{ANON, CACHE, KERNEL, SHMEM},
};
use crate::{
    sentences::moment,
    session::{Run, history::Point},
    tui::app::Focus,
    units::{Limit, size},
};

/// The values at a moment, those that matter most first, as far as there is room.
pub fn values(view: &View, run: &Run, at: Duration, point: Option<Point>, room: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    let time = moment(at.saturating_sub(run.origin()));
    let mut spans = vec![span(format!("at {time}"), theme.cursor)];
    let Some(point) = point else {
        let ended = run.ended.as_ref().is_some_and(|(ended, _)| at > *ended);
        let why = if ended { "  the run has ended" } else { "  nothing was sampled yet" };
        spans.push(span(why, theme.dim));
        return spans;
    };
    for (text, style) in parts(view, &point) {
        if width(&spans) + text.width() + 2 > room {
            break;
        }
        spans.extend([span("  ", theme.dim), span(text, style)]);
    }
    spans
}

fn parts(view: &View, point: &Point) -> Vec<(String, ratatui::style::Style)> {
    let theme = view.theme;
    let limit = match point.limit {
        Limit::Bytes(limit) => format!("limit {}", size(limit)),
        Limit::Max => "no limit".into(),
    };
    let mut parts = vec![
        (format!("usage {}", size(point.usage)), theme.strong),
        (limit, theme.limit),
        (format!("anon {}", size(point.anon())), theme.anon),
        (format!("cache {}", size(point.reclaimable)), theme.cache),
    ];
    for (bytes, word, style) in [(point.shmem, "shmem", theme.shmem), (point.kernel, "kernel", theme.kernel)] {
        if bytes > 0 {
            parts.push((format!("{word} {}", size(bytes)), style));
        }
    }
    if point.hits > 0 {
        parts.push((format!("+{} hits", point.hits), theme.warning));
    }
    parts.push((format!("peak {}", size(point.peak)), theme.peak));
    if let Limit::Bytes(soft) = point.soft {
        parts.push((format!("soft {}", size(soft)), theme.soft));
    }
    parts
}

/// What the signs on the picture mean: those that are on it.
pub fn legend(view: &View, run: Option<&Run>, compared: bool, room: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    if compared {
        let text = "█ held  ▒ cache  ━ limit   before: ─ usage  ╌ limit";
        return if text.width() <= room { vec![span(text, theme.dim)] } else { Vec::new() };
    }
    let points = || run.into_iter().flat_map(|run| run.history.points());
    // A layer thinner than this is not seen.
    let thin = run.map_or(0, |run| run.peak / 50);
    let shown = |part: fn(&Point) -> u64| points().any(|point| part(point) > thin);
    let mut items = vec![(ANON, "anon", theme.anon, 0)];
    if shown(|point| point.shmem) {
        items.push((SHMEM, "shmem", theme.shmem, 0));
    }
    if shown(|point| point.kernel) {
        items.push((KERNEL, "kernel", theme.kernel, 2));
    }
    items.extend([(CACHE, "cache", theme.cache, 0), ("━", "limit", theme.limit, 0)]);
    if points().any(|point| point.soft != Limit::Max) {
        items.push(("╌", "soft limit", theme.soft, 2));
    }
    if points().any(|point| point.hits > 0) {
        items.push(("╋", "hit", theme.limit, 1));
    }
    items.extend([("•", "interval peak", theme.peak, 2), ("✖", "OOM kill", theme.danger, 1)]);
    let columns = |items: &[(&str, &str, ratatui::style::Style, u8)]| -> usize {
        items.iter().map(|(sign, word, ..)| sign.width() + word.width() + 3).sum()
    };
    for least in [2, 1, 0] {
        if columns(&items) > room {
            items.retain(|(.., weight)| *weight < least);
        }
    }
    let spans = |(sign, word, style, _)| [span(sign, style), span(format!(" {word}  "), theme.dim)];
    let mut spans: Vec<Span> = items.into_iter().flat_map(spans).collect();
    if let Some(last) = spans.last_mut() {
        last.content = last.content.trim_end().to_string().into();
    }
    spans
}

/// Whether the cursor is shown: where the user put it, and while he looks at the chart.
pub fn cursor(view: &View, run: &Run) -> Option<Duration> {
    match view.replay {
        Some(_) if view.app.focus == Focus::Memory => Some(view.now),
        Some(_) => None,
        None => view.app.viewport.cursor(run),
    }
}
