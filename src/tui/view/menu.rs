//! What can be done to a process: the signals, the question whether one is meant, and the line for its `oom_score_adj`.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::Line,
};

use super::{View, events::wrap, fit, in_line, popup::boxed, put, span};
use crate::{
    sentences::signal_name,
    tui::menu::{self, Menu, SIGNALS, Stage, typed_adj},
};

/// Columns of the box.
const WIDTH: u16 = 66;

/// Draws the menu.
pub fn render(frame: &mut Frame, area: Rect, view: &View, menu: &Menu) {
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let (title, lines) = match &menu.stage {
        Stage::Choose => ("send a signal", choices(view, menu)),
        Stage::Sure => ("send a signal", question(view, menu, columns)),
        Stage::Adj(line) => ("oom_score_adj", adj(view, menu, line.value(), columns)),
    };
    let inner = boxed(frame, area, view, title, columns as u16, lines.len() as u16);
    for (n, line) in lines.into_iter().enumerate().take(usize::from(inner.height)) {
        put(frame, Rect { y: inner.y + n as u16, height: 1, ..inner }, line.spans);
    }
    if let Stage::Adj(line) = &menu.stage {
        let cursor = line.visual_cursor().min(columns.saturating_sub(3));
        frame.set_cursor_position(Position::new(inner.x + 2 + cursor as u16, inner.y + 1));
    }
}

/// The process, as it is named.
fn who(view: &View, menu: &Menu) -> String {
    match menu::row(view.session, menu.host_pid) {
        Some(row) => view.words.process(&row.process.name, row.process.pid, menu.host_pid),
        None => view.words.process("", None, menu.host_pid),
    }
}

/// How many there are to send something to.
fn living(view: &View) -> usize {
    view.session.run().map_or(0, |run| run.processes.values().filter(|row| row.died.is_none()).count())
}

fn has_ended(view: &View, menu: &Menu) -> bool {
    menu::row(view.session, menu.host_pid).is_none_or(|row| row.died.is_some())
}

fn choices(view: &View, menu: &Menu) -> Vec<Line<'static>> {
    let theme = view.theme;
    let to = match (menu.all, has_ended(view, menu)) {
        (true, _) => span(format!("to all {} processes of the workload", living(view)), theme.warning),
        (false, true) => span(format!("{} has ended", who(view, menu)), theme.warning),
        (false, false) => span(format!("to {}", who(view, menu)), theme.strong),
    };
    let mut lines = vec![Line::from(to)];
    for (n, signal) in SIGNALS.into_iter().enumerate() {
        let chosen = n == menu.chosen;
        let sign = if chosen { "▸ " } else { "  " };
        let style = if chosen { theme.key } else { Style::new() };
        let name = format!("{sign}{:<8}", signal_name(signal).trim_start_matches("SIG"));
        lines.push(Line::from(vec![span(name, style), span(view.words.signal_does(signal), theme.dim)]));
    }
    let other = if menu.all { " to the one process  " } else { " to all  " };
    let mut keys = vec![span("Enter", theme.key), span(" choose  ", Style::new())];
    keys.extend([span("Tab", theme.key), span(other, Style::new())]);
    if !menu.all {
        keys.extend([span("o", theme.key), span(" oom_score_adj  ", Style::new())]);
    }
    keys.extend([span("Esc", theme.key), span(" leave it", Style::new())]);
    lines.extend([Line::default(), Line::from(keys)]);
    lines
}

fn question(view: &View, menu: &Menu, columns: usize) -> Vec<Line<'static>> {
    let theme = view.theme;
    let asked = match menu.all {
        true => view.words.ask_signal_all(menu.signal(), living(view)),
        false => view.words.ask_signal(menu.signal(), &who(view, menu)),
    };
    let mut lines: Vec<Line> =
        wrap(&asked, columns).into_iter().map(|line| Line::from(span(line, theme.strong))).collect();
    if view.session.run().is_some_and(|run| run.settings.frozen == Some(true)) {
        lines.push(Line::from(span("The workload is frozen: most signals wait until it goes on.", theme.warning)));
    }
    lines.push(Line::default());
    lines.push(Line::from(vec![
        span("y", theme.key),
        span(" or ", Style::new()),
        span("Enter", theme.key),
        span(" yes    ", Style::new()),
        span("n", theme.key),
        span(" or ", Style::new()),
        span("Esc", theme.key),
        span(" no", Style::new()),
    ]));
    lines
}

fn adj(view: &View, menu: &Menu, text: &str, columns: usize) -> Vec<Line<'static>> {
    let theme = view.theme;
    let row = menu::row(view.session, menu.host_pid);
    let now = row.map_or(0, |row| row.process.usage.oom_score_adj);
    let counted = row.zip(view.session.run()).and_then(|(row, run)| run.badness_of(row));
    let counted = counted.map(|bytes| view.words.counted(bytes)).unwrap_or_default();
    let shown: String = text.chars().take(columns.saturating_sub(3)).collect();
    let below = match typed_adj(text) {
        Err(why) => span(fit(&why, columns), theme.danger),
        Ok(_) => span("-1000: never taken. 0: by its size alone. 1000: taken first.", theme.dim),
    };
    vec![
        Line::from(span(format!("{}: {now} now{counted}", who(view, menu)), Style::new())),
        Line::from(vec![span("› ", theme.strong), span(shown, in_line(view))]),
        Line::from(below),
        Line::default(),
        Line::from(vec![
            span("Enter", theme.key),
            span(" set it now    ", Style::new()),
            span("Esc", theme.key),
            span(" leave it", Style::new()),
        ]),
    ]
}
