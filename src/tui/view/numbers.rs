//! Two lines of numbers: how full, of what, and what has happened to it so far.

use std::time::Duration;

use ratatui::{Frame, layout::Rect, style::Style, text::Span};

use super::{View, put, span, width};
use crate::{
    sentences::{Word, clock, duration},
    session::{HighestFrom, Run},
    units::{Limit, percent_of, size, size_column},
};

/// A write that takes this long is shown while it lasts; most take microseconds.
const PENDING: Duration = Duration::from_millis(50);

/// A limit that is full sooner than this is worth a look.
const SOON: Duration = Duration::from_secs(10);

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
        part(stat.anon, "anon", theme.anon);
        part(stat.file, "file", theme.cache);
        if stat.shmem > 0 {
            part(stat.shmem, "shmem", theme.shmem);
        }
        if let Some(kernel) = stat.kernel {
            part(kernel, "kernel", theme.kernel);
        }
        if let Some(swap) = run.swap.filter(|swap| *swap > 0) {
            part(swap, "swapped out", theme.warning);
        }
    }
    let first = under_way(view, run);
    let all: usize = first.iter().chain(&parts).map(|part| width(part)).sum();
    if let Limit::Bytes(limit) = limit {
        let bar = room.saturating_sub(width(&spans) + all + 9).min(48);
        if bar >= 8 {
            spans.extend(gauge(view, run, limit, bar));
        }
        let percent = percent_of(run.usage(), limit).min(999);
        spans.push(span(format!(" {percent:>3}% "), theme.strong));
    }
    for part in first.into_iter().chain(parts) {
        if width(&spans) + width(&part) <= room {
            spans.extend(part); // a number that would be cut would lie
        }
    }
    spans
}

/// What becomes of the limit and of other settings: what is being written now, what the schedule moves next, what holds for the next run.
fn under_way(view: &View, run: &Run) -> Vec<[Span<'static>; 2]> {
    let theme = view.theme;
    let mut told = Vec::new();
    let mut tell = |text: String, style: Style| told.push([span("  ", theme.dim), span(text + " ", style)]);
    let alive = run.ended.is_none();
    if let Some((since, target)) = run.moves.writing()
        && let since = view.now.saturating_sub(since)
        && since >= PENDING
    {
        let last = run.moves.ordered_last().filter(|last| *last != target);
        let behind = last.map_or(String::new(), |last| format!(", then {last}"));
        tell(format!("writing limit {target}{behind} for {:.1} s …", since.as_secs_f64()), theme.warning);
    }
    if let Some(change) = run.changing.first().filter(|_| alive) {
        tell(format!("writing: {} …", view.words.change(*change, view.session)), theme.warning);
    }
    let elapsed = run.running.map(|_| run.elapsed(view.now)).filter(|_| alive);
    if let Some((elapsed, next)) = elapsed.and_then(|elapsed| Some((elapsed, run.moves.next_planned(elapsed)?))) {
        tell(format!("→ {} in {:.1} s", next.to, (next.at - elapsed).as_secs_f64()), theme.act);
    }
    if let Some(next) = view.session.next_limit.filter(|_| !view.app.replaying) {
        tell(format!("next run {next}"), theme.act);
    }
    told
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
    let kills = run.oom_kills_shown();
    let kill_style = if kills.unwrap_or(0) > 0 { theme.danger } else { theme.strong };
    let hits = match run.hit_rate {
        rate if rate >= 1.0 && run.ended.is_none() => format!("{} (+{rate:.0}/s)", number(run.limit_hits_shown())),
        // Hits are no harm by themselves: that is said once it is known.
        _ if run.ended.is_some() && kills == Some(0) && run.limit_hits_shown() > Some(0) && room >= 100 => {
            format!("{}, nobody was killed", number(run.limit_hits_shown()))
        }
        _ => number(run.limit_hits_shown()),
    };
    // Without the kernel's word it is only the highest that was seen: `≥` says so where there is no room for more.
    let peak = match (&run.last, run.highest_from()) {
        (None, _) => "–".to_string(),
        (Some(_), HighestFrom::Samples) if room < 120 => format!("≥ {}", size(run.peak_shown())),
        (Some(_), from) => view.words.highest(run.peak_shown(), from),
    };
    let mut items = vec![
        ("peak", peak, theme.strong, run.peak_is_kernels.then_some(Word::Peak)),
        ("limit hits", hits, theme.strong, Some(Word::LimitHits)),
        ("OOM kills", number(kills), kill_style, Some(Word::OomKills)),
    ];
    if let Some(at) = run.since.at {
        items.push(("since", clock(at.saturating_sub(run.origin())), theme.act, None)); // not since the start
    }
    // Once it is over the rate says nothing, and the sum does. Without PSI there is neither.
    let (waiting, style) = match run.pressure {
        Some(pressure) if run.ended.is_some() => (duration(Duration::from_micros(pressure.some_us)), theme.strong),
        Some(_) if run.stalled >= 0.1 => (format!("{:.0}%", run.stalled * 100.0), theme.warning),
        Some(_) => (format!("{:.0}%", run.stalled * 100.0), theme.strong),
        None => ("–".to_string(), theme.dim),
    };
    items.push(("waiting", waiting, style, Some(Word::Waiting)));
    if let Some((most, from)) = run.swap_peak.filter(|(most, _)| *most > 0) {
        items.push(("most in swap", view.words.highest(most, from), theme.strong, None));
    }
    let items = items.into_iter().map(|(word, value, style, file)| {
        let file = file.filter(|_| room >= 150).map(|file| view.words.file(run.started.controller, file));
        let file = file.map_or(String::new(), |file| format!(" ({file})"));
        [span(format!("{word} "), theme.dim), span(value, style), span(file, theme.dim)]
    });
    let mut items: Vec<[Span<'static>; 3]> = items.collect();
    if run.ended.is_none() {
        let gap = usize::from(room >= 100) + 2;
        let others: usize = items.iter().map(|item| width(item) + gap).sum();
        let headroom = headroom(view, run, room, room.saturating_sub(others));
        // Where room is short it is the first to give way: usage and limit say it as well.
        items.insert(if room >= 80 { 0 } else { items.len() }, headroom);
    }
    in_a_row(items, room)
}

/// As many of them as there is room for.
fn in_a_row(items: Vec<[Span<'static>; 3]>, room: usize) -> Vec<Span<'static>> {
    let gap = if room >= 100 { "   " } else { "  " };
    let mut spans: Vec<Span<'static>> = Vec::new();
    for item in items {
        let lead = if spans.is_empty() { " " } else { gap };
        if width(&spans) + lead.len() + width(&item) <= room {
            spans.push(span(lead, Style::new()));
            spans.extend(item);
        }
    }
    spans
}

/// What is left, when it will be gone, and how much of what is used could be given back: as much of that as fits into `most` columns of `room`.
fn headroom(view: &View, run: &Run, room: usize, most: usize) -> [Span<'static>; 3] {
    let (theme, words) = (view.theme, view.words);
    let item = |text: String, style| [span("headroom ", theme.dim), span(text, style), span("", theme.dim)];
    let Some(limit) = run.limit.bytes() else { return item("no limit".into(), theme.strong) };
    let left = size(limit.saturating_sub(run.usage()));
    let file = run.stat.map_or(0, |stat| stat.file);
    let parts = words.parts(&run.parts());
    let forecast = run.forecast(view.now);
    let style = if forecast.is_some_and(|f| f.full_in < SOON) { theme.warning } else { theme.strong };
    let texts = match forecast {
        Some(f) => vec![
            format!("{left}, {}; {parts}", words.forecast(&f)),
            format!("{left}, {}", words.forecast(&f)),
            format!("{left}, {}; {parts}", words.full_in_and_cache(&f)),
            format!("{left}, {}", words.full_in_and_cache(&f)),
            format!("{left}, {}", words.full_in(&f)),
        ],
        None if room >= 120 => vec![format!("{left}; {parts}"), left],
        None if file < 1 << 20 && room >= 100 => vec![format!("{left}, no cache to give back")],
        None if file < 1 << 20 => vec![left],
        None => vec![format!("{left}, and {} of cache can go", size(file))],
    };
    let fits = texts.iter().position(|text| " headroom ".len() + text.len() <= most);
    let shown = fits.unwrap_or(texts.len() - 1);
    item(texts.into_iter().nth(shown).unwrap_or_default(), style)
}
