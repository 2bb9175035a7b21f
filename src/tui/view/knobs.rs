//! The settings panel: one row a setting, what it is, its file, and a sentence on the chosen one.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{View, events::wrap, fit, in_line, named, popup::boxed, put, span, width};
use crate::{
    session::{Knob, Standing},
    tui::knobs::{Panel, typed},
};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 74;

/// Columns of a name, and of a value.
const NAME: usize = 15;
const VALUE: usize = 26;

/// Of a value on a narrow screen, where the file's name matters more than what is to come.
const VALUE_NARROW: usize = 16;

/// Lines below the list: a sentence in two, a line to type, what is accepted, and the keys.
const BELOW: u16 = 6;

/// Draws the panel.
pub fn render(frame: &mut Frame, area: Rect, view: &View, panel: &Panel) {
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let rows = Knob::ALL.len() as u16;
    let inner = boxed(frame, area, view, "settings", columns as u16, rows + BELOW);
    // On a small screen the chosen row stays in sight, and so does what is said of it.
    let shown = usize::from(inner.height.saturating_sub(BELOW)).min(Knob::ALL.len());
    let top = (panel.chosen + 1).saturating_sub(shown);
    let at = |n: usize| Rect { y: inner.y + n as u16, height: 1, ..inner };
    for (n, knob) in Knob::ALL.into_iter().enumerate().skip(top).take(shown) {
        put(frame, at(n - top), row(view, knob, n == panel.chosen, columns));
    }
    let said = said(view, panel, columns);
    for (n, line) in said.into_iter().enumerate().take(usize::from(inner.height).saturating_sub(shown)) {
        put(frame, at(shown + n), line.spans);
    }
    if let Some(line) = &panel.line {
        let cursor = line.visual_cursor().min(columns.saturating_sub(3));
        frame.set_cursor_position(Position::new(inner.x + 2 + cursor as u16, inner.y + shown as u16 + TYPED));
    }
}

/// The line below the list on which a value is typed.
const TYPED: u16 = 3;

/// `▸ pids limit      64 → 32 …               pids.max`
fn row(view: &View, knob: Knob, chosen: bool, columns: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    let standing = view.session.knob(knob);
    let greyed = standing.is_none_or(|standing| standing.lack.is_some());
    let sign = if chosen { "▸ " } else { "  " };
    let (value, style) = value(view, knob, standing);
    let file = view.session.run().map_or("", |run| view.words.knob_file(run.started.controller, &run.settings, knob));
    let name = format!("{sign}{:<NAME$}", view.words.knob(knob));
    let wide = if columns < 70 { VALUE_NARROW } else { VALUE };
    let value = format!("{:<wide$}", fit(&value, wide));
    let room = columns.saturating_sub(name.width() + value.width());
    let (name_style, style) = match greyed {
        true => (theme.dim, theme.dim),
        false if chosen => (theme.key, style),
        false => (Style::new(), style),
    };
    vec![span(name, name_style), span(value, style), span(fit(file, room), theme.dim)]
}

/// What it is, and what it is about to be.
fn value(view: &View, knob: Knob, standing: Option<Standing>) -> (String, Style) {
    let theme = view.theme;
    let Some(standing) = standing else { return ("–".into(), theme.dim) };
    let said = |value| view.words.value(value);
    let now = standing.now.map(said);
    match (knob, standing.then, now) {
        (Knob::Reclaim, ..) if view.session.is_reclaiming() => ("being done …".into(), theme.act),
        (Knob::Reclaim, ..) => (String::new(), theme.dim),
        (_, Some(then), now) => {
            let after = if view.session.is_alive() { "…" } else { "(next run)" };
            let now = now.unwrap_or_else(|| "–".into());
            (format!("{now} → {} {after}", said(then)), theme.act)
        }
        (_, None, Some(now)) => (now, theme.strong),
        (_, None, None) => ("–".into(), theme.dim),
    }
}

/// What there is to say of the chosen one, the line for it, and the keys.
fn said(view: &View, panel: &Panel, columns: usize) -> Vec<Line<'static>> {
    let theme = view.theme;
    let knob = panel.knob();
    let Some(run) = view.session.run() else { return Vec::new() };
    let lack = view.session.knob(knob).and_then(|standing| standing.lack);
    let (text, style) = match lack {
        Some(lack) => (view.words.lack(knob, lack), theme.warning),
        None => (view.words.knob_does(run.started.controller, knob).to_string(), Style::new()),
    };
    let mut lines = vec![Line::default()];
    lines.extend(wrap(&text, columns).into_iter().take(2).map(|line| Line::from(span(line, style))));
    lines.resize(usize::from(TYPED), Line::default());
    if let Some(line) = &panel.line {
        let shown: String = line.value().chars().take(columns.saturating_sub(3)).collect();
        lines.push(Line::from(vec![span("› ", theme.strong), span(shown, in_line(view))]));
        let accepts = view.words.knob_accepts(knob);
        lines.push(match typed(knob, line.value(), view.session) {
            _ if line.value().trim().is_empty() => Line::from(span(accepts, theme.dim)),
            Ok(_) => Line::from(span(accepts, theme.dim)),
            Err(why) => Line::from(span(fit(&why, columns), theme.danger)),
        });
    }
    lines.resize(usize::from(BELOW) - 1, Line::default());
    lines.push(keys(view, panel, lack.is_none()));
    lines
}

fn keys(view: &View, panel: &Panel, can: bool) -> Line<'static> {
    let key = |text: &'static str| span(text, view.theme.key);
    let then = |text: &'static str| span(text, Style::new());
    let does = match (panel.knob(), panel.line.is_some()) {
        (_, true) if view.session.is_alive() => " set it now    ",
        (_, true) => " set it for the next run    ",
        (Knob::Reclaim | Knob::Counters, _) => " do it    ",
        (Knob::Freeze, _) => " freeze, or let go on    ",
        (Knob::Oom, _) => " the next    ",
        _ => " change it    ",
    };
    let mut spans = vec![span(named(view, "↑ ↓"), view.theme.key), then(" choose    ")];
    if panel.line.is_some() {
        spans.clear();
    }
    match (view.app.replaying, can) {
        (true, _) => spans.push(span("a recording: to be looked at    ", view.theme.dim)),
        (false, true) => spans.extend([key("Enter"), then(does)]),
        (false, false) => {}
    }
    spans.extend([key("Esc"), then(if panel.line.is_some() { " leave it" } else { " close" })]);
    debug_assert!(width(&spans) < 80, "one line");
    Line::from(spans)
}
