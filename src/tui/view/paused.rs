//! The panel of a paused workload: how it stands, what is safe and what is not, and how to go on. Over the chart, so that the processes can be
//! read beside it.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{
    View,
    events::wrap,
    popup::{boxed, fill},
    span,
};
use crate::{tui::keys::Bound, units::size};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 74;

/// Draws the panel.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let Some(run) = view.session.run() else { return };
    let Some(paused) = run.pauses.now().filter(|_| run.is_paused()) else { return };
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let how = paused.how;
    // Who sees room below the limit wants to know what it is for.
    let brink = match how.limit.bytes() {
        Some(limit) if !how.at_limit => format!(
            ", and it was stopped {} before that, while calls still succeed",
            size(limit.saturating_sub(how.unreclaimable))
        ),
        _ => String::new(),
    };
    let held = format!(
        "{} are in use, and {} of them are unreclaimable; the limit is {}{brink}",
        size(how.usage),
        size(how.unreclaimable),
        run.limit
    );
    let mut lines: Vec<Line> = [held.as_str(), view.words.pause_means(&how)]
        .into_iter()
        .flat_map(|text| wrap(text, columns))
        .map(|text| Line::from(span(text, Style::new())))
        .collect();
    let keys: Vec<Line> = view.app.keys.paused.iter().map(|bound| Line::from(key(view, bound))).collect();
    let upper = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    // What gives way on a small screen is what was explained, not what can be done.
    lines.truncate(usize::from(upper.height.saturating_sub(3)).saturating_sub(keys.len()));
    lines.push(Line::default());
    lines.extend(keys);
    let upper = Rect { height: (lines.len() as u16 + 2).min(upper.height), ..upper };
    let inner = boxed(frame, upper, view, view.words.paused_title(how.at_limit), columns as u16, lines.len() as u16);
    fill(frame, inner, lines);
}

/// A key and what it does now.
fn key(view: &View, bound: &Bound) -> Vec<Span<'static>> {
    let more = view.app.limit_now(view.session).map_or(String::new(), |limit| limit.and_a_quarter().to_string());
    let widest = view.app.keys.paused.iter().map(|bound| bound.shown().width()).max().unwrap_or(0);
    let shown = bound.shown();
    let pad = " ".repeat(widest - shown.width() + 2);
    vec![
        span(shown, view.theme.key),
        span(format!("{pad}{}", bound.binding.help.replace("{more}", &more)), Style::new()),
    ]
}
