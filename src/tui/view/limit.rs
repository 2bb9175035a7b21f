//! The limit dialog: the line that is typed, what it would do, what usage consists of against both limits, and the edits made so far.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{View, events::wrap, fit, in_line, popup::boxed, put, span, width};
use crate::{
    hints,
    sentences::{Weight, moment},
    session::{Edit, Parts, Run, Verdict},
    tui::app,
    units::{Limit, is_lower, size},
};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 76;

/// How many edits are listed at most.
const EDITS: usize = 5;

/// Draws the dialog. Below the numbers, where there is room: they are what one chooses by.
pub fn render(frame: &mut Frame, area: Rect, view: &View, line: &app::Line) {
    let text = line.input.value();
    let typed = view.app.limit_typed(view.session, text);
    let target = typed.as_ref().ok().copied().filter(|_| !text.trim().is_empty());
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let mut above = vec![Line::default(), change(view, text, &typed)];
    above.extend(verdict(view, target, columns));
    if let Some(run) = view.session.run().filter(|run| run.ended.is_none()) {
        above.push(bar(view, run, target, columns));
        above.push(legend(view, run, target));
    }
    let keys = keys(view, line, target);
    let lower = Rect { y: area.y + area.height / 2, height: area.height - area.height / 2, ..area };
    let room = usize::from(lower.height.saturating_sub(2)).saturating_sub(above.len() + 1);
    let edits = edits(view, room.min(EDITS), columns);
    let height = (above.len() + edits.len() + 1) as u16;
    let inner = boxed(frame, lower, view, "limit", columns as u16, height);
    // What gives way on a small screen is the picture, not the way out.
    above.truncate(usize::from(inner.height).saturating_sub(1));
    let lines = above.into_iter().chain(edits).chain([keys]);
    for (n, line) in lines.enumerate().take(usize::from(inner.height)) {
        put(frame, Rect { y: inner.y + n as u16, height: 1, ..inner }, line.spans);
    }
    let scroll = line.input.visual_scroll(usize::from(inner.width).saturating_sub(3));
    let shown: String = text.chars().skip(scroll).collect();
    put(frame, inner, vec![span("› ", view.theme.strong), span(shown, in_line(view))]);
    let cursor = line.input.visual_cursor().max(scroll) - scroll;
    frame.set_cursor_position(Position::new(inner.x + 2 + cursor as u16, inner.y));
}

/// From which limit to which, or what is wrong with what is typed.
fn change(view: &View, text: &str, typed: &Result<Limit, String>) -> Line<'static> {
    let now = view.session.limit().map_or(String::new(), |limit| limit.to_string());
    Line::from(match (text.trim(), typed) {
        ("", _) => span("80M, 1.5G, +10%, -16M, 50% or max", view.theme.dim),
        (_, Ok(limit)) => span(format!("{now} → {limit}"), view.theme.act),
        (_, Err(why)) => span(why.clone(), view.theme.danger),
    })
}

/// What it would do, in one or two lines, and what a program that lives makes of a lower limit.
fn verdict(view: &View, target: Option<Limit>, columns: usize) -> Vec<Line<'static>> {
    let Some((run, verdict, target)) =
        view.session.run().zip(target).and_then(|(run, target)| Some((run, run.verdict(target)?, target)))
    else {
        return vec![Line::default()];
    };
    let (sign, said, weight) = view.words.verdict(run.started.controller, &verdict);
    let style = match (&verdict, weight) {
        (Verdict::Fits { .. }, _) => view.theme.good,
        (Verdict::Reclaims { .. }, _) => view.theme.cache,
        (_, weight) => view.theme.weight(weight),
    };
    let mut lines = wrapped(&format!("{sign} {said}"), columns, style);
    if let Some(above) = run.tighter_than(target) {
        lines.extend(wrapped(&view.words.tighter_above(above, target), columns, view.theme.weight(Weight::Warning)));
    }
    let living = run.processes.values().filter(|row| row.died.is_none()).map(|row| &row.process);
    let mut hints = living.filter_map(|process| hints::sized_at_start(&process.name, &process.command));
    if let Some(hint) = hints.next().filter(|_| is_lower(run.limit, target)) {
        lines.extend(wrapped(&hint, columns, view.theme.weight(Weight::Warning)));
    }
    lines
}

fn wrapped(text: &str, columns: usize, style: Style) -> Vec<Line<'static>> {
    wrap(text, columns).into_iter().map(|line| Line::from(span(line, style))).collect()
}

/// `▕██████████▒▒▒▒▒    ┃      ╎▏`: what is held, what can go, and both limits.
fn bar(view: &View, run: &Run, target: Option<Limit>, columns: usize) -> Line<'static> {
    let theme = view.theme;
    let parts = run.parts();
    let (now, then) = (run.limit.bytes(), target.and_then(Limit::bytes));
    let most = [now, then, Some(run.usage())].into_iter().flatten().fold(1, u64::max);
    // A limit far above all that is used would flatten the picture: it points out of it.
    let most = most.min(run.usage().max(1).saturating_mul(4)).max(1);
    let cells = columns.saturating_sub(2).max(1);
    let place = |bytes: u64| ((bytes.min(most) as f64 / most as f64) * (cells - 1) as f64).round() as usize;
    let (held, used) = (place(parts.held), place(parts.held.saturating_add(parts.cache)));
    let mark = |limit: Option<u64>| if limit.is_some_and(|bytes| bytes > most) { "▸" } else { "┃" };
    let cell = |n: usize| match n {
        n if Some(n) == then.map(place) => (mark(then), theme.act),
        n if Some(n) == now.map(place) => (mark(now), theme.limit),
        n if n < held => ("█", theme.held),
        n if n < used => ("▒", theme.cache),
        _ => (" ", Style::new()),
    };
    let cells = (0..cells).map(cell).map(|(sign, style)| span(sign, style));
    Line::from_iter([span("▕", theme.dim)].into_iter().chain(cells).chain([span("▏", theme.dim)]))
}

/// What the bar's parts are.
fn legend(view: &View, run: &Run, target: Option<Limit>) -> Line<'static> {
    let theme = view.theme;
    let Parts { held, cache, swappable, .. } = run.parts();
    let free = run.limit.bytes().map(|limit| limit.saturating_sub(run.usage()));
    let mut spans = vec![
        span("█ ", theme.held),
        span(format!("{} cannot go  ", size(held)), Style::new()),
        span("▒ ", theme.cache),
        span(format!("{} can  ", size(cache)), Style::new()),
    ];
    if swappable > 0 {
        spans.push(span(format!("{} could be swapped out  ", size(swappable)), Style::new()));
    }
    if let Some(free) = free {
        spans.push(span(format!("{} free  ", size(free)), Style::new()));
    }
    spans.extend([span("┃", theme.limit), span(" limit", theme.dim)]);
    if target.is_some_and(|target| target != run.limit) {
        spans.extend([span("  ┃", theme.act), span(" new", theme.dim)]);
    }
    Line::from(spans)
}

/// The newest edits, the last one last.
fn edits(view: &View, room: usize, columns: usize) -> Vec<Line<'static>> {
    let Some(run) = view.session.run().filter(|_| room > 0) else { return Vec::new() };
    let all = run.edits.all();
    let newest = &all[all.len().saturating_sub(room)..];
    newest.iter().map(|edit| Line::from(span(fit(&listed(view, run, edit), columns), view.theme.dim))).collect()
}

fn listed(view: &View, run: &Run, edit: &Edit) -> String {
    let at = moment(edit.at.saturating_sub(run.origin()));
    format!("#{:<2} {at}  {} → {}  {}", edit.number, edit.from, edit.to, view.words.fate(edit))
}

/// What Enter and Esc do now. A kill is asked about once more.
fn keys(view: &View, line: &app::Line, target: Option<Limit>) -> Line<'static> {
    let theme = view.theme;
    let kills = target.and_then(|target| view.session.verdict(target)).is_some_and(|verdict| verdict.kills());
    let asked = line.sure.is_some() && line.sure == target;
    let (enter, style) = match (kills, asked, view.app.alive) {
        (true, true, _) => (" yes, set it and kill    ", theme.danger),
        (true, false, _) => (" asks once more: this kills    ", theme.warning),
        (_, _, true) => (" set it now    ", Style::new()),
        (_, _, false) => (" set it for the next run    ", Style::new()),
    };
    let question = if kills && asked { "Really?  " } else { "" };
    Line::from(vec![
        span(question, theme.danger),
        span("Enter", theme.key),
        span(enter, style),
        span("Esc", theme.key),
        span(" leave it", Style::new()),
    ])
}

/// The newest edits in one line, as many as fit.
pub fn compact(view: &View, run: &Run, columns: usize) -> Vec<Span<'static>> {
    let mut spans: Vec<Span> = Vec::new();
    for edit in run.edits.all().iter().rev() {
        let fate = match view.words.fate(edit) {
            done if done == "done" => String::new(),
            other => format!(" {other}"),
        };
        let text = format!("#{} {}→{}{fate}  ", edit.number, edit.from, edit.to);
        if width(&spans) + text.width() > columns {
            break;
        }
        spans.insert(0, span(text, view.theme.act));
    }
    spans
}
