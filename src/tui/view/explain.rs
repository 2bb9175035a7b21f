//! What a number means: its value now, its file, its formula, its unit and its trap. And on another page what other programs would show at this
//! moment for the same memory, with the one that counts marked.

use ratatui::{Frame, layout::Rect, style::Style, text::Line};
use unicode_width::UnicodeWidthStr;

use super::{View, events::wrap, fit, popup::boxed, put, span};
use crate::{
    event::Controller,
    sentences::{duration, moment},
    session::Run,
    tui::{
        explain::{Dashboard, Number, Page, texts},
        input::{Action, key_of},
    },
    units::size,
};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 96;

/// Columns of the list of numbers.
const LIST: usize = 20;

/// Columns of the words before the texts.
const WORDS: usize = 9;

/// Draws it.
pub fn render(frame: &mut Frame, area: Rect, view: &View, page: &Page) {
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let v2 = view.session.run().is_some_and(|run| run.started.controller == Controller::V2);
    match page.dashboards {
        true => dashboards(frame, area, view, columns, v2),
        false => number(frame, area, view, page, columns, v2),
    }
}

fn keys(view: &View, other: &str) -> Line<'static> {
    let theme = view.theme;
    Line::from(vec![
        span(key_of(view.app, &Action::Scroll(-1)), theme.key),
        span(" ", Style::new()),
        span(key_of(view.app, &Action::Scroll(1)), theme.key),
        span(" another number   ", Style::new()),
        span("Tab", theme.key),
        span(format!(" {other}   "), Style::new()),
        span("Esc", theme.key),
        span(" close", Style::new()),
    ])
}

fn number(frame: &mut Frame, area: Rect, view: &View, page: &Page, columns: usize, v2: bool) {
    let all = &texts().number;
    let Some(chosen) = all.get(page.number) else { return };
    let room = columns.saturating_sub(LIST + 1);
    let text = about(view, chosen, room, v2);
    // As tall for all of them: the box does not jump.
    let tallest = all.iter().map(|number| about(view, number, room, v2).len()).max().unwrap_or(0);
    let inner = boxed(
        frame,
        area,
        view,
        &format!("what the numbers mean: {}", chosen.group),
        columns as u16,
        tallest as u16 + 2,
    );
    let rows = usize::from(inner.height).saturating_sub(2);
    let top = page.number.saturating_sub(rows / 2).min(all.len().saturating_sub(rows));
    for (n, number) in all.iter().enumerate().skip(top).take(rows) {
        let here = n == page.number;
        let (sign, style) = if here { ("▸", view.theme.focus) } else { (" ", Style::new()) };
        let line = Rect { y: inner.y + (n - top) as u16, height: 1, width: LIST as u16, ..inner };
        put(frame, line, vec![span(format!("{sign}{}", fit(&number.title, LIST - 2)), style)]);
    }
    for (n, line) in text.into_iter().enumerate().take(rows) {
        let at = Rect { x: inner.x + LIST as u16 + 1, y: inner.y + n as u16, height: 1, width: room as u16 };
        put(frame, at, line.spans);
    }
    let last = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
    put(frame, last, keys(view, "what docker, kubectl and ps would show").spans);
}

/// A number's texts as lines.
fn about(view: &View, number: &Number, columns: usize, v2: bool) -> Vec<Line<'static>> {
    let theme = view.theme;
    let file = if v2 { &number.v2 } else { &number.v1 };
    let unknown = if number.group == "process" { "each process has its own" } else { "–" };
    let now = view.session.run().and_then(|run| value(view, run, &number.id)).unwrap_or_else(|| unknown.into());
    let file = if file.is_empty() { "no file of its own" } else { file };
    let mut lines = Vec::new();
    for (word, text, style) in [
        ("now", now.as_str(), theme.strong),
        ("file", file, theme.key),
        ("unit", &number.unit, Style::new()),
        ("formula", &number.formula, Style::new()),
        ("trap", &number.trap, theme.warning),
        ("means", &number.means, Style::new()),
    ] {
        for (n, part) in wrap(text, columns.saturating_sub(WORDS)).into_iter().enumerate() {
            let word = if n == 0 { word } else { "" };
            lines.push(Line::from(vec![span(format!("{word:<WORDS$}"), theme.dim), span(part, style)]));
        }
    }
    lines
}

/// What a number is now, where it is one of the whole sandbox.
fn value(view: &View, run: &Run, id: &str) -> Option<String> {
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let stat = run.stat;
    Some(match id {
        "limit" => run.limit.to_string(),
        "soft-limit" => run.settings.high.or(run.settings.soft_limit)?.to_string(),
        "usage" => size(run.usage()),
        "percent" => format!("{}%", run.usage() * 100 / run.limit.bytes()?.max(1)),
        "anon" => size(stat?.anon),
        "shmem" => size(stat?.shmem),
        "file" => size(stat?.file),
        "kernel" => size(stat?.kernel?),
        "swapped-out" => size(run.swap?),
        "headroom" => size(run.limit.bytes()?.saturating_sub(run.usage())),
        "full-in" => view.words.full_in(&run.forecast(view.now)?),
        "peak" => size(run.peak_shown()),
        "interval-peak" => size(run.history.points().last()?.peak),
        "limit-hits" => number(run.limit_hits_shown())?,
        "oom-kills" => number(run.oom_kills_shown())?,
        "since" => moment(run.since.at?.saturating_sub(run.origin())),
        "waiting" => format!("{:.0}%", run.pressure.map(|_| run.stalled * 100.0)?),
        "stalled" => if run.is_stalled() { "yes" } else { "no" }.into(),
        "pids-limit" => run.settings.pids_limit.clone()?,
        "elapsed" => duration(run.elapsed(view.now)),
        "own-cost" => view.own.map(|own| own.to_string())?,
        _ => return None,
    })
}

fn dashboards(frame: &mut Frame, area: Rect, view: &View, columns: usize, v2: bool) {
    let theme = view.theme;
    let first =
        "The same memory at this moment, as others would show it. What counts against the limit is the kernel's.";
    let mut lines: Vec<Line> = wrap(first, columns).into_iter().map(Line::from).collect();
    let values: Vec<(&Dashboard, Option<u64>)> =
        texts().dashboard.iter().map(|of| (of, view.session.run().and_then(|run| shown_by(run, &of.id)))).collect();
    // The values first; why they differ, as far as there is room.
    let room = usize::from(area.height).saturating_sub(2 + 2 + lines.len());
    let said = |of: &Dashboard| wrap(&of.trap, columns.saturating_sub(4));
    let whole: usize = values.iter().map(|(of, _)| 1 + said(of).len()).sum();
    for (of, value) in values {
        let (sign, style) = if of.counts { ("▸", theme.limit) } else { (" ", theme.strong) };
        let value = value.map_or("–".into(), size);
        let formula = if v2 { &of.v2 } else { &of.v1 };
        let left = format!("{sign} {:<27}{value:>8}   ", of.title);
        let formula = fit(formula, columns.saturating_sub(left.width()));
        lines.push(Line::from(vec![span(left, style), span(formula, theme.key)]));
        if whole <= room {
            lines.extend(said(of).into_iter().map(|text| Line::from(span(format!("    {text}"), theme.dim))));
        }
    }
    lines.push(keys(view, "the numbers of this screen"));
    let inner = boxed(frame, area, view, "what other programs show", columns as u16, lines.len() as u16);
    for (n, line) in lines.into_iter().enumerate().take(usize::from(inner.height)) {
        put(frame, Rect { y: inner.y + n as u16, height: 1, ..inner }, line.spans);
    }
}

/// What another program would show for the sandbox, in bytes, where all that it adds up is known.
fn shown_by(run: &Run, id: &str) -> Option<u64> {
    let living = || run.processes.values().filter(|row| row.died.is_none());
    let usage = run.last.as_ref()?.usage;
    match id {
        "kernel" => Some(usage),
        "ps" => Some(living().map(|row| row.process.usage.rss).sum()),
        "pss" => living().map(|row| row.share.map(|(_, share)| share.pss)).sum(),
        "docker" | "podman" | "kubectl" => Some(usage.saturating_sub(run.stat?.inactive_file?)),
        _ => None,
    }
}
