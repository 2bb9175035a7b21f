//! The screen. One region, one file, one `render(frame, area, &view)`.
//!
//! ```text
//! header      command · state · elapsed · group
//! chart       usage over time against the limit, one panel a run
//! numbers     usage, headroom, peak, limit hits, OOM kills
//! processes │ events
//! output      the workload's own terminal
//! timeline    in a replay: where it is
//! footer      the keys that matter now
//! ```
//!
//! Views read no clock and hold no state: the same [`View`] is the same picture.

pub mod chart;
mod detail;
pub mod events;
mod explain;
mod footer;
mod header;
mod knobs;
mod limit;
mod menu;
mod numbers;
mod output;
mod paused;
mod popup;
pub mod processes;
mod story;
mod timeline;

use std::time::Duration;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{
    app::{App, Focus, Popup},
    glyphs::{self, Glyphs},
    own::Own,
    pane::Pane,
    replay::{self, Replay},
    theme::Theme,
};
use crate::{
    sentences::Language,
    session::Session,
    text::{has_hidden, visible},
};

/// The smallest screen, in columns and rows.
pub const SMALLEST: (u16, u16) = (60, 16);

/// All that the picture is made of.
pub struct View<'a> {
    /// What is known.
    pub session: &'a Session,
    /// What is open, focused and scrolled.
    pub app: &'a App,
    /// The workload's terminal.
    pub pane: &'a Pane,
    /// Time since sandtop started, now.
    pub now: Duration,
    /// The styles.
    pub theme: &'a Theme,
    /// The language.
    pub words: Language,
    /// What sandtop itself costs, where that is known.
    pub own: Option<Own>,
    /// The replay, where this is one.
    pub replay: Option<&'a Replay>,
}

/// Where each region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    header: Rect,
    /// The chart, its rule included.
    pub chart: Rect,
    numbers: Rect,
    /// The processes.
    pub processes: Rect,
    /// The log.
    pub events: Rect,
    /// The region of the workload's terminal, its rule included.
    pub output: Rect,
    timeline: Rect,
    footer: Rect,
}

impl Regions {
    /// Divides the screen. The workload's terminal grows while it has the focus, and what is enlarged has all of it. A replay takes so many rows
    /// for itself.
    pub fn new(area: Rect, app: &App, replay: u16) -> Regions {
        let focus = app.focus;
        if app.enlarged {
            return Regions::one(area, focus, replay);
        }
        let body = area.height.saturating_sub(2 + 2 + replay); // header and footer; the numbers
        let output = if focus == Focus::Output { body * 11 / 20 } else { (body / 4).clamp(3, 16) };
        let lists = (body.saturating_sub(output) * 2 / 5).clamp(3, 24);
        let [header, chart, numbers, lists, output, timeline, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(2),
            Constraint::Length(lists),
            Constraint::Length(output),
            Constraint::Length(replay),
            Constraint::Length(1),
        ])
        .areas(area);
        let [processes, events] = Layout::horizontal([Constraint::Percentage(48), Constraint::Min(20)]).areas(lists);
        Regions { header, chart, numbers, processes, events, output, timeline, footer }
    }

    /// One region has all but the header, the footer and the replay's rows; the chart keeps its numbers.
    fn one(area: Rect, focus: Focus, replay: u16) -> Regions {
        let numbers = if focus == Focus::Memory { 2 } else { 0 };
        let [header, body, numbers, timeline, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(numbers),
            Constraint::Length(replay),
            Constraint::Length(1),
        ])
        .areas(area);
        let of = |region| if region == focus { body } else { Rect { height: 0, ..body } };
        Regions {
            header,
            chart: of(Focus::Memory),
            numbers,
            processes: of(Focus::Processes),
            events: of(Focus::Events),
            output: of(Focus::Output),
            timeline,
            footer,
        }
    }

    /// Whether there is too little room for a screen.
    pub fn is_too_small(&self) -> bool {
        self.header.width < SMALLEST.0 || self.footer.bottom() < SMALLEST.1
    }

    /// The size of the workload's terminal: rows and columns.
    pub fn pane_size(&self) -> (u16, u16) {
        (self.output.height.saturating_sub(1).max(1), self.output.width.max(1))
    }
}

/// What draws a region.
type Draw = fn(&mut Frame, Rect, &View);

/// Draws the whole screen, with the characters that the terminal can be given.
pub fn render(frame: &mut Frame, view: &View) {
    picture(frame, view);
    glyphs::apply(frame.buffer_mut(), view.theme.glyphs);
}

fn picture(frame: &mut Frame, view: &View) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(frame, area, view);
    }
    let regions = Regions::new(area, view.app, replay::rows(view.replay));
    header::render(frame, regions.header, view);
    let parts: [(Rect, Draw); 5] = [
        (regions.chart, chart::render),
        (regions.numbers, numbers::render),
        (regions.processes, processes::render),
        (regions.events, events::render),
        (regions.output, output::render),
    ];
    for (area, draw) in parts.into_iter().filter(|(area, _)| area.height > 0) {
        draw(frame, area, view);
    }
    timeline::render(frame, regions.timeline, view);
    footer::render(frame, regions.footer, view);
    if !matches!(view.app.popup, Popup::None) {
        popup::render(frame, area, view);
    }
}

fn too_small(frame: &mut Frame, area: Rect, view: &View) {
    let (cols, rows) = SMALLEST;
    let said = [
        format!("sandtop needs {cols}×{rows};"),
        format!("this is {}×{}", area.width, area.height),
        match view.app.popup {
            Popup::ConfirmQuit => "End the workload? y n".into(),
            Popup::Limit(_) => "a limit is being set; Esc leaves it".into(),
            _ => "q quits".into(),
        },
    ];
    for (n, text) in said.iter().enumerate().take(usize::from(area.height)) {
        put(
            frame,
            Rect { y: area.y + n as u16, height: 1, ..area },
            vec![Span::styled(text.clone(), view.theme.strong)],
        );
    }
}

/// Writes spans into the first line of an area; what does not fit is cut. Whatever they say, they say it as text.
fn put(frame: &mut Frame, area: Rect, spans: Vec<Span<'_>>) {
    if area.height > 0 && area.width > 0 {
        let safe = |span: Span<'_>| match has_hidden(&span.content) {
            true => Span::styled(visible(&span.content), span.style),
            false => Span::styled(span.content.into_owned(), span.style),
        };
        let line: Vec<Span> = spans.into_iter().map(safe).collect();
        frame.render_widget(Line::from(line), Rect { height: 1, ..area });
    }
}

/// A rule with a title on it, and what stands at its right end.
fn rule(frame: &mut Frame, area: Rect, title: &str, right: &str, theme: &Theme, focused: bool) {
    let style = if focused { theme.focus } else { theme.dim };
    let title_style = if focused { theme.focus } else { theme.strong };
    let width = usize::from(area.width);
    let used = title.width() + 4 + if right.is_empty() { 0 } else { right.width() + 3 };
    let line = "─".repeat(width.saturating_sub(used));
    let mut spans = vec![
        Span::styled("─ ", style),
        Span::styled(title.to_string(), title_style),
        Span::styled(format!(" {line}"), style),
    ];
    if !right.is_empty() {
        spans.push(Span::styled(format!(" {right} "), theme.dim));
    }
    spans.push(Span::styled("─", style));
    put(frame, area, spans);
}

/// The same, with signs of their own styles at its right end.
fn rule_with(frame: &mut Frame, area: Rect, title: &str, right: Vec<Span<'_>>, theme: &Theme, focused: bool) {
    rule(frame, area, title, "", theme, focused);
    let columns = width(&right) as u16 + 2;
    if columns > 2 && columns + title.width() as u16 + 6 <= area.width {
        let at = Rect { x: area.right() - 1 - columns, width: columns, ..area };
        let spans = [Span::raw(" ")].into_iter().chain(right).chain([Span::raw(" ")]);
        put(frame, at, spans.collect());
    }
}

/// The text cut to a width, with `…` where something is missing.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) + 1 > width {
            break;
        }
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// Arrow keys in a text: by their signs, or by their names where the terminal has no arrows.
fn named(view: &View, text: &str) -> String {
    if view.theme.glyphs == Glyphs::All {
        return text.to_string();
    }
    [("←", "Left"), ("→", "Right"), ("↑", "Up"), ("↓", "Down")]
        .iter()
        .fold(text.to_string(), |text, (sign, name)| text.replace(sign, name))
}

/// How many columns spans take.
fn width(spans: &[Span]) -> usize {
    spans.iter().map(|s| s.content.width()).sum()
}

/// A span with a style.
fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// How what is typed looks: what the first character will take the place of is marked, as a selection is.
fn in_line(view: &View) -> Style {
    match view.app.offered {
        Some(_) => view.theme.strong.add_modifier(ratatui::style::Modifier::REVERSED),
        None => view.theme.strong,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_knobs;
#[cfg(test)]
mod tests_looks;
#[cfg(test)]
mod tests_next;
#[cfg(test)]
mod tests_outlook;
#[cfg(test)]
mod tests_states;
#[cfg(test)]
mod tests_walks;
#[cfg(test)]
mod tests_workloads;
