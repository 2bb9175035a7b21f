//! What lies over the screen: the keys, a question, or the line for a limit.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Wrap},
};
use unicode_width::UnicodeWidthStr;

use super::{View, span};
use crate::tui::{app::Popup, input::BINDINGS};

/// Draws the open popup.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    match &view.app.popup {
        Popup::None => {}
        Popup::Help => help(frame, area, view),
        Popup::Limit(input) => limit(frame, area, view, input),
        // It may end while the question stands; the answer is still wanted.
        Popup::ConfirmQuit if view.app.alive => {
            question(frame, area, view, "The workload still runs.", "End it, and quit?")
        }
        Popup::ConfirmQuit => question(frame, area, view, "The workload has ended.", "Quit?"),
        Popup::ConfirmRerun if view.app.alive => {
            question(frame, area, view, "The workload still runs.", "End it, and run it again?");
        }
        Popup::ConfirmRerun => question(frame, area, view, "The workload has ended.", "Run it again?"),
    }
}

/// An empty box in the middle, and the area inside it.
fn boxed(frame: &mut Frame, area: Rect, view: &View, title: &str, width: u16, height: u16) -> Rect {
    let (width, height) = ((width + 4).min(area.width), (height + 2).min(area.height));
    let outer = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, outer);
    let title = Line::from(span(format!(" {title} "), view.theme.strong));
    frame.render_widget(Block::bordered().title(title).border_style(view.theme.focus), outer);
    Rect { x: outer.x + 2, y: outer.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

fn question(frame: &mut Frame, area: Rect, view: &View, what: &str, then: &str) {
    let inner = boxed(frame, area, view, "sandtop", 40, 4);
    let keys = Line::from(vec![
        span("y", view.theme.key),
        span(" or ", Style::new()),
        span("Enter", view.theme.key),
        span(" yes    ", Style::new()),
        span("n", view.theme.key),
        span(" or ", Style::new()),
        span("Esc", view.theme.key),
        span(" no", Style::new()),
    ]);
    let lines = vec![Line::from(what.to_string()), Line::from(then.to_string()), Line::default(), keys];
    frame.render_widget(Paragraph::new(lines), inner);
}

fn limit(frame: &mut Frame, area: Rect, view: &View, input: &tui_input::Input) {
    // Below the numbers: they are what one chooses by.
    let lower = Rect { y: area.y + area.height / 2, height: area.height - area.height / 2, ..area };
    let inner = boxed(frame, lower, view, "limit", 66, 5);
    let scroll = input.visual_scroll(usize::from(inner.width).saturating_sub(3));
    let shown: String = input.value().chars().skip(scroll).collect();
    let now = view.session.limit().map_or(String::new(), |limit| limit.to_string());
    let below = match (input.value().trim(), view.app.limit_typed(view.session, input.value())) {
        ("", _) => span("80M, 1.5G, +10%, -16M, 50% or max", view.theme.dim),
        (_, Ok(limit)) => span(format!("{now} → {limit}"), view.theme.act),
        (_, Err(why)) => span(why, view.theme.danger),
    };
    let keys: Vec<Span> = vec![
        span("Enter", view.theme.key),
        span(if view.app.alive { " set it now    " } else { " set it for the next run    " }, Style::new()),
        span("Esc", view.theme.key),
        span(" leave it", Style::new()),
    ];
    let lines = vec![
        Line::from(vec![span("› ", view.theme.strong), span(shown, view.theme.strong)]),
        Line::from(below),
        Line::default(),
        Line::from(keys),
    ];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), inner);
    let cursor = input.visual_cursor().max(scroll) - scroll;
    frame.set_cursor_position(Position::new(inner.x + 2 + cursor as u16, inner.y));
}

fn help(frame: &mut Frame, area: Rect, view: &View) {
    let keys = BINDINGS.iter().map(|b| b.keys.width()).max().unwrap_or(0);
    let lines: Vec<Line> = BINDINGS
        .iter()
        .map(|b| {
            let pad = " ".repeat(keys - b.keys.width() + 2);
            Line::from(vec![span(b.keys, view.theme.key), span(format!("{pad}{}", b.help), Style::new())])
        })
        .collect();
    let width = BINDINGS.iter().map(|b| b.help.width()).max().unwrap_or(0) + keys + 2;
    let inner = boxed(frame, area, view, "keys", width as u16, lines.len() as u16);
    let most = lines.len().saturating_sub(usize::from(inner.height));
    let top = view.app.help_top.min(most) as u16;
    frame.render_widget(Paragraph::new(lines).scroll((top, 0)), inner);
}
