//! One line of keys: those that matter now.

use ratatui::{Frame, layout::Rect, style::Style};

use super::{View, put, span};
use crate::tui::{app::Focus, input::BINDINGS};

/// Draws the footer.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let theme = view.theme;
    if view.app.focus == Focus::Output && view.app.alive {
        let spans = vec![span(" Ctrl-]", theme.key), span(" back to sandtop's keys", Style::new())];
        return put(frame, area, spans);
    }
    let held = view.session.run().is_some_and(|run| run.started.held && run.running.is_none() && run.ended.is_none());
    let mut spans = vec![span(" - +", theme.key), span(" limit", Style::new())];
    for binding in BINDINGS.iter().filter(|b| !b.footer.is_empty()) {
        spans.push(span(format!("  {}", binding.keys), theme.key));
        spans.push(span(format!(" {}", binding.footer), Style::new()));
    }
    if held {
        spans.insert(0, span(" start ", Style::new()));
        spans.insert(0, span(" Enter", theme.key));
    }
    put(frame, area, spans);
}
