//! One line: what runs, how it is, how long, and where.

use ratatui::{Frame, layout::Rect, style::Style, text::Span};
use unicode_width::UnicodeWidthStr;

use super::{View, fit, put, span, width};
use crate::{
    event::{Controller, Isolation},
    sentences::duration,
    session::{
        Run,
        outcome::{Outcome, exit_code},
    },
    text::visible,
    units::size,
};

/// Draws the header.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let theme = view.theme;
    let Some(run) = view.session.run() else {
        return put(frame, area, vec![span(" sandtop", theme.strong), span("  starting", theme.dim)]);
    };
    let (sign, state, style) = state(view, run);
    let after = if run.ended.is_some() { " after" } else { "" };
    let text = format!("{sign} {state}{after} {}", duration(run.elapsed(view.now)));
    let mut right: Vec<Span> = vec![span(text, style)];
    if run.started.run > 1 {
        right.push(span(format!("  run {}", run.started.run), theme.strong));
    }
    if run.started.isolation == Isolation::LimitOnly {
        right.push(span("  limit only · no namespaces", theme.warning));
    }
    if run.started.widened {
        right.push(span("  widened: holds only against accidents", theme.warning));
    }
    let limit = view.words.limit(run.limit, run.limit_is_default);
    let room = usize::from(area.width);
    let command = visible(&run.started.argv.join(" "));
    let short = format!("{}{}", run.limit, if run.limit_is_default { " (default)" } else { "" });
    // On the narrowest screens the default's explanation is left to the log: the command must be there.
    let long_fits = width(&right) + limit.width() + 10 + command.width().min(10) <= room;
    right.push(span(format!("  limit {} ", if long_fits { limit } else { short }), theme.limit));
    if let Some(above) = run.tighter().filter(|_| run.ended.is_none()) {
        right.push(span(format!(" but {} above ", size(above.limit)), theme.warning)); // it is met first
    }
    let like = run.started.like.map(|like| format!(" {} ", view.words.like(like)));
    if let Some(like) = like.filter(|like| width(&right) + like.width() + command.width().min(16) + 2 <= room) {
        right.push(span(like, theme.dim));
    }
    // What gives way first: the group, then our own name, then the end of the command.
    let version = match run.started.controller {
        Controller::V1 => "v1",
        Controller::V2 => "v2",
    };
    let place = format!(" {version} {} ", run.started.group);
    let brand = if view.app.replaying { " sandtop replay " } else { " sandtop " };
    if width(&right) + brand.width() + command.width() + place.width() + 4 <= room {
        right.push(span(place, theme.dim));
    }
    let mut spans = vec![span(" ", theme.dim)];
    if width(&right) + brand.width() + command.width().min(24) + 3 <= room {
        spans = vec![span(brand, theme.strong), span(" ", theme.dim)];
    }
    let left = room.saturating_sub(width(&right) + width(&spans) + 1);
    let command = fit(&command, left);
    let gap = " ".repeat(left.saturating_sub(command.width()) + 1);
    spans.extend([span(command, Style::new()), span(gap, theme.dim)]);
    spans.append(&mut right);
    put(frame, area, spans);
}

/// The state as a sign, a word and a style.
fn state(view: &View, run: &Run) -> (&'static str, String, Style) {
    let theme = view.theme;
    if let (Some(outcome @ (Outcome::Exited | Outcome::OomSurvived)), Some((_, ended))) = (run.outcome(), &run.ended) {
        let text = format!("exited {}", exit_code(ended));
        return match outcome {
            Outcome::OomSurvived => ("✖", text, theme.danger),
            _ => ("■", text, theme.strong),
        };
    }
    let kills = run.oom_kills().unwrap_or(0);
    let (sign, text, style) = match run.outcome() {
        None if run.running.is_none() && run.started.held => ("‖", "held", theme.warning),
        None if run.running.is_none() => ("○", "starting", theme.dim),
        None if run.is_paused() => ("‖", "PAUSED AT LIMIT", theme.danger),
        None if run.settings.frozen == Some(true) => ("‖", "frozen", theme.warning),
        None if run.is_stalled() => ("≋", "STALLED AT LIMIT", theme.warning),
        None if run.is_slowed_down() => ("≋", "SLOWED AT SOFT LIMIT", theme.warning),
        None => ("●", "running", theme.good),
        Some(Outcome::Exited | Outcome::OomSurvived) => ("■", "exited", theme.strong),
        Some(Outcome::OomKilled) => {
            return ("✖", format!("OOM killed ({})", run.exit_code().unwrap_or(137)), theme.danger);
        }
        Some(Outcome::TimedOut) if kills > 0 => ("✖", "timed out", theme.danger),
        Some(Outcome::StoppedByUser) if kills > 0 => ("✖", "stopped", theme.danger),
        Some(Outcome::Signalled) if kills > 0 => ("✖", "killed", theme.danger),
        Some(Outcome::Signalled) => ("■", "killed", theme.warning),
        Some(Outcome::TimedOut) => ("■", "timed out", theme.warning),
        Some(Outcome::StoppedByUser) => ("■", "stopped", theme.act),
        Some(Outcome::FailedToStart) => ("✖", "not started", theme.danger),
        Some(Outcome::SandboxLost) => ("✖", "sandbox lost", theme.danger),
    };
    (sign, text.to_string(), style)
}
