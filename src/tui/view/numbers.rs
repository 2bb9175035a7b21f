//! Two lines of numbers: how full, of what, and what has happened to it so far.

use ratatui::{Frame, layout::Rect, style::Style, text::Span};

use super::{View, put, span, width};
use crate::{
    sentences::Word,
    session::Run,
    units::{Limit, size, size_column},
};

/// Draws the numbers.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let Some(run) = view.session.run() else { return };
    put(frame, area, usage(view, run, usize::from(area.width)));
    put(frame, Rect { y: area.y + 1, ..area }, counts(view, run, usize::from(area.width)));
}

/// usage 79.9M of 80M ▕████▒▒  ▏ 99%   79.2M anon · 0.3M file · 0.4M kernel
fn usage(view: &View, run: &Run, room: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    let limit = run.limit;
    let mut spans = vec![
        span(" usage ", theme.dim),
        span(format!("{:>7}", size_column(run.usage())), theme.strong),
        span(format!(" of {:<7}", limit.to_string()), Style::new()),
    ];
    let mut parts: Vec<[Span<'static>; 2]> = Vec::new();
    if let Some(stat) = run.stat {
        let mut part = |bytes: u64, word: &'static str, style: Style| {
            parts.push([span(format!("{:>7}", size_column(bytes)), style), span(format!(" {word} "), theme.dim)]);
        };
        part(stat.anon, "anon", theme.held);
        part(stat.file, "file", theme.cache);
        if stat.shmem > 0 {
            part(stat.shmem, "shmem", theme.held);
        }
        if let Some(kernel) = stat.kernel {
            part(kernel, "kernel", theme.held);
        }
    }
    let all: usize =
        parts.iter().map(|part| width(part)).sum::<usize>() + if view.session.next_limit.is_some() { 18 } else { 0 };
    if let Limit::Bytes(limit) = limit {
        let bar = room.saturating_sub(width(&spans) + all + 9).min(48);
        if bar >= 8 {
            spans.extend(gauge(view, run, limit, bar));
        }
        let percent = (run.usage() * 100 / limit.max(1)).min(999);
        spans.push(span(format!(" {percent:>3}% "), theme.strong));
    }
    if let Some(next) = view.session.next_limit {
        parts.insert(0, [span(format!("  next run {next} "), theme.act), span("", theme.dim)]);
    }
    for part in parts {
        if width(&spans) + width(&part) <= room {
            spans.extend(part); // a number that would be cut would lie
        }
    }
    spans
}

/// The bar: held, cache, and what is free, in eighths of a cell.
fn gauge(view: &View, run: &Run, limit: u64, width: usize) -> Vec<Span<'static>> {
    let cells = |bytes: u64| ((bytes.min(limit) as f64 / limit as f64) * width as f64).round() as usize;
    let cache = run.stat.map_or(0, |stat| stat.file).min(run.usage());
    let total = cells(run.usage());
    let held = cells(run.usage() - cache).min(total);
    vec![
        span(" ▕", view.theme.dim),
        span("█".repeat(held), view.theme.held),
        span("▒".repeat(total - held), view.theme.cache),
        span(" ".repeat(width - total), Style::new()),
        span("▏", view.theme.dim),
    ]
}

/// headroom … peak … failcnt … OOM kills …, each with the kernel's file where there is room for it.
fn counts(view: &View, run: &Run, room: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    let number = |n: Option<u64>| n.map_or_else(|| "–".to_string(), |n| n.to_string());
    let kills = run.oom_kills();
    let kill_style = if kills.unwrap_or(0) > 0 { theme.danger } else { theme.strong };
    let hits = match run.hit_rate {
        rate if rate >= 1.0 && run.ended.is_none() => format!("{} (+{rate:.0}/s)", number(run.limit_hits())),
        _ => number(run.limit_hits()),
    };
    let mut items = vec![
        ("peak", size(run.peak), theme.strong, Some(Word::Peak)),
        ("limit hits", hits, theme.strong, Some(Word::LimitHits)),
        ("OOM kills", number(kills), kill_style, Some(Word::OomKills)),
    ];
    if run.ended.is_none() {
        let headroom = ("headroom", headroom(run, room >= 100), theme.strong, None);
        // Where room is short it is the first to give way: usage and limit say it as well.
        items.insert(if room >= 80 { 0 } else { items.len() }, headroom);
    }
    let mut spans = Vec::new();
    for (word, value, style, file) in items {
        let file = file.filter(|_| room >= 150).map(|file| view.words.file(run.started.controller, file));
        let file = file.map_or(String::new(), |file| format!(" ({file})"));
        let gap = if room >= 100 { "   " } else { "  " };
        let lead = if spans.is_empty() { " " } else { gap };
        let item = [span(format!("{lead}{word} "), theme.dim), span(value, style), span(file, theme.dim)];
        if width(&spans) + width(&item) <= room {
            spans.extend(item);
        }
    }
    spans
}

/// What is left, and how much of what is used could be given back.
fn headroom(run: &Run, wide: bool) -> String {
    let Some(limit) = run.limit.bytes() else { return "no limit".into() };
    let left = limit.saturating_sub(run.usage());
    match run.stat.map_or(0, |stat| stat.file) {
        file if file < 1 << 20 && wide => format!("{}, no cache to give back", size(left)),
        file if file < 1 << 20 => size(left),
        file => format!("{}, and {} of cache can go", size(left), size(file)),
    }
}
