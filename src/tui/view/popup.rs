//! What lies over the screen: the keys, or a question. The line for a limit and the panel of a pause have files of their own.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::Line,
    widgets::{Block, Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr;

use super::{View, detail, events::wrap, explain, knobs, limit, menu, named, paused, put, span, story};
use crate::tui::{app::Popup, input::bindings};

/// Draws the open popup.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    match &view.app.popup {
        Popup::None | Popup::Filter(_) => {} // the filter is the footer's
        Popup::Explain(page) => explain::render(frame, area, view, page),
        Popup::Detail(host_pid) => detail::render(frame, area, view, *host_pid),
        Popup::Help => help(frame, area, view),
        Popup::Paused => paused::render(frame, area, view),
        Popup::Story(card) => story::render(frame, area, view, card),
        Popup::Limit(line) => limit::render(frame, area, view, line),
        Popup::Knobs(panel) => knobs::render(frame, area, view, panel),
        Popup::Process(menu) => menu::render(frame, area, view, menu),
        // It may end while the question stands; the answer is still wanted.
        Popup::ConfirmQuit if view.app.alive && view.app.quitting => {
            question(frame, area, view, "It was asked to end (SIGTERM).", "Kill it now? It is in 5 s.");
        }
        Popup::ConfirmQuit if view.app.alive => {
            question(frame, area, view, "The workload still runs.", "End it, and quit?")
        }
        Popup::ConfirmQuit => question(frame, area, view, "The workload has ended.", "Quit?"),
        Popup::ConfirmKill if view.app.alive => question(frame, area, view, "The workload still runs.", "Kill it?"),
        Popup::ConfirmKill => question(frame, area, view, "The workload has ended.", "Close?"),
        Popup::ConfirmRerun if view.app.alive => {
            question(frame, area, view, "The workload still runs.", "End it, and run it again?");
        }
        Popup::ConfirmRerun => question(frame, area, view, "The workload has ended.", "Run it again?"),
    }
}

/// An empty box in the middle, and the area inside it.
pub(super) fn boxed(frame: &mut Frame, area: Rect, view: &View, title: &str, width: u16, height: u16) -> Rect {
    let (width, height) = ((width + 4).min(area.width), (height + 2).min(area.height));
    let outer = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, outer);
    let title = Line::from(span(format!(" {title} "), view.theme.strong));
    frame.render_widget(Block::bordered().title(title).border_style(view.theme.focus), outer);
    Rect { x: outer.x + 2, y: outer.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

/// Lines into a box, as far as they fit.
pub(super) fn fill(frame: &mut Frame, inner: Rect, lines: impl IntoIterator<Item = Line<'static>>) {
    for (n, line) in lines.into_iter().enumerate().take(usize::from(inner.height)) {
        put(frame, Rect { y: inner.y + n as u16, height: 1, ..inner }, line.spans);
    }
}

/// A word, and beside it what is said of it, in as many lines as that takes.
pub(super) fn told(
    view: &View,
    word: &str,
    words: usize,
    text: &str,
    columns: usize,
    style: Style,
) -> Vec<Line<'static>> {
    let lines = wrap(text, columns.saturating_sub(words)).into_iter().enumerate();
    let word = |n| if n == 0 { word } else { "" };
    lines
        .map(|(n, part)| Line::from(vec![span(format!("{:<words$}", word(n)), view.theme.dim), span(part, style)]))
        .collect()
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

fn help(frame: &mut Frame, area: Rect, view: &View) {
    // The way out first: it must be in sight on every screen.
    let first = |id: &str| ["quit", "help", "close"].contains(&id);
    let mut table: Vec<_> = bindings(view.app).iter().filter(|b| !b.keys.is_empty()).collect();
    table.sort_by_key(|bound| !first(bound.binding.id));
    let table: Vec<(String, &str)> = table.into_iter().map(|b| (b.shown(), b.binding.help)).collect();
    let keys = table.iter().map(|(keys, _)| keys.width()).max().unwrap_or(0);
    let said = |help: &str| named(view, help).replace("{step}", &view.app.step.to_string());
    let room = usize::from(area.width).saturating_sub(keys + 2 + 4);
    let widest = table.iter().map(|(_, help)| said(help).width()).max().unwrap_or(0).min(room);
    let width = widest + keys + 2;
    let mut lines: Vec<Line> = Vec::new();
    for (shown, help) in &table {
        for (n, part) in wrap(&said(help), widest).into_iter().enumerate() {
            let shown = if n == 0 { shown.as_str() } else { "" };
            let pad = " ".repeat(keys - shown.width() + 2);
            lines.push(Line::from(vec![
                span(shown.to_string(), view.theme.key),
                span(format!("{pad}{part}"), Style::new()),
            ]));
        }
    }
    lines.push(Line::default());
    lines.extend(wrap(view.words.place_means(), width).into_iter().map(Line::from));
    let title =
        if lines.len() + 2 > usize::from(area.height) { named(view, "keys: ↓ for more") } else { "keys".into() };
    let inner = boxed(frame, area, view, &title, width as u16, lines.len() as u16);
    let most = lines.len().saturating_sub(usize::from(inner.height));
    let top = view.app.help_top.min(most) as u16;
    frame.render_widget(Paragraph::new(lines).scroll((top, 0)), inner);
}
