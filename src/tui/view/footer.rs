//! One line of keys: those that matter now.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
};

use unicode_width::UnicodeWidthStr;

use super::{Popup, View, in_line, put, span, width};
use crate::tui::input::{Action, Play, bindings, key_of};

/// What is done to a workload that lives.
fn of_the_living(action: &Action) -> bool {
    matches!(action, Action::Kill | Action::TypeOn)
}

/// Draws the footer.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let theme = view.theme;
    if view.app.is_typing() {
        let back = key_of(view.app, &Action::TypeOrNot);
        let mut spans = vec![span(format!(" {back}"), theme.key), span(" back to sandtop's keys", Style::new())];
        if view.session.run().is_some_and(|run| run.is_paused()) {
            spans.extend([
                span("; paused at its limit, ", Style::new()),
                span(key_of(view.app, &Action::ShowPause), theme.key),
            ]);
            spans.push(span(" there to go on", Style::new()));
        }
        return put(frame, area, spans);
    }
    if let Popup::Filter(input) = &view.app.popup {
        let mut spans = vec![span(" /", theme.key), span(input.value().to_string(), in_line(view))];
        let cursor = width(&spans) - input.value().width() + input.visual_cursor();
        spans.push(span("   Enter keeps it, Esc clears it", theme.dim));
        put(frame, area, spans);
        return frame.set_cursor_position(Position::new(area.x + (cursor as u16).min(area.width - 1), area.y));
    }
    let pair = |less, more| format!("{} {}", key_of(view.app, &less), key_of(view.app, &more));
    let mut keys: Vec<(String, &str)> = match view.app.replaying {
        true => vec![
            (pair(Action::Play(Play::By(-2)), Action::Play(Play::By(2))), "seek"),
            (pair(Action::Play(Play::Slower), Action::Play(Play::Faster)), "speed"),
        ],
        false => vec![(pair(Action::LimitDown, Action::LimitUp), "limit")],
    };
    if view.session.is_held() && !view.app.replaying {
        keys.insert(0, (key_of(view.app, &Action::Open), "start"));
    }
    if view.session.run().is_some_and(|run| run.is_paused()) && !view.app.replaying {
        keys.insert(0, (key_of(view.app, &Action::ShowPause), "paused: go on"));
    }
    let killed = !view.session.stories().is_empty();
    keys.extend(
        bindings(view.app)
            .iter()
            .filter(|b| !b.binding.footer.is_empty() && !b.keys.is_empty())
            .filter(|b| killed || b.binding.action != Action::Story)
            .filter(|b| view.app.replaying || view.app.alive || !of_the_living(&b.binding.action))
            .map(|b| (b.first(), b.binding.footer)),
    );
    let columns = |keys: &[(String, &str)]| keys.iter().map(|(k, f)| k.width() + f.width() + 3).sum::<usize>();
    // What gives way where room is short; never the help and the way out.
    let own = view.own.map(|own| format!("sandtop {own} ")).filter(|own| usize::from(area.width) >= own.width() + 60);
    let room = usize::from(area.width).saturating_sub(own.as_ref().map_or(0, |own| own.width() + 1));
    for less in [
        "undo",
        "settings",
        "type",
        "look back",
        "focus",
        "kill",
        "explain",
        "exact",
        "run again",
        "why killed",
        "speed",
        "next event",
        "limit",
    ] {
        if columns(&keys) > room {
            keys.retain(|(_, footer)| *footer != less);
        }
    }
    let spans = keys.iter().enumerate().flat_map(|(n, (key, footer))| {
        let lead = if n == 0 { " " } else { "  " };
        [span(format!("{lead}{key}"), theme.key), span(format!(" {footer}"), Style::new())]
    });
    let spans: Vec<_> = spans.collect();
    put(frame, area, spans);
    if let Some(own) = own {
        let columns = own.width() as u16;
        put(frame, Rect { x: area.right() - columns, width: columns, ..area }, vec![span(own, theme.dim)]);
    }
}
