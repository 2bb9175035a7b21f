//! The card of a kill: who, why that one, whose limit, how it stood before and after, and the seconds before as a small chart.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{View, events::wrap, named, popup::boxed, put, span};
use crate::{
    sentences::duration,
    session::{Run, Story},
    text::visible,
    tui::app::Card,
};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 92;

/// The label of the chart's row.
const PAST: &str = "the time before";

/// Draws the card.
pub fn render(frame: &mut Frame, area: Rect, view: &View, card: &Card) {
    let stories = view.session.stories();
    let Some((run, story)) = card.of(&stories) else { return };
    let told = view.words.told(story, run);
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let label = told.facts.iter().map(|(label, _)| label.width()).max().unwrap_or(0).max(PAST.width()) + 2;
    let mut lines: Vec<Line> = vec![past(view, run, story, label, columns)];
    for (about, fact) in &told.facts {
        for (n, part) in wrap(&visible(fact), columns.saturating_sub(label)).into_iter().enumerate() {
            let about = if n == 0 { *about } else { "" };
            lines.push(Line::from(vec![span(format!("{about:<label$}"), view.theme.dim), span(part, Style::new())]));
        }
    }
    lines.push(Line::default());
    lines.push(Line::from(keys(view, card, stories.len())));
    let inner = boxed(frame, area, view, &visible(&told.head), columns as u16, lines.len() as u16);
    let most = lines.len().saturating_sub(usize::from(inner.height));
    for (n, line) in lines.into_iter().skip(card.top.min(most)).enumerate().take(usize::from(inner.height)) {
        put(frame, Rect { y: inner.y + n as u16, height: 1, ..inner }, line.spans);
    }
}

/// Usage in the seconds before, in eighths of a line, up to the kill.
fn past(view: &View, run: &Run, story: &Story, label: usize, columns: usize) -> Line<'static> {
    let highest = story.past.iter().map(|(_, usage)| *usage).max().unwrap_or(0).max(1);
    // Against the limit where it means something: beside a huge one there would be nothing to see.
    let full = story.limit.bytes().filter(|limit| limit / 16 <= highest).unwrap_or(highest).max(highest);
    let first = story.past.first().map_or(story.at, |(at, _)| *at);
    let over = duration(story.at.saturating_sub(first.max(run.at)));
    let end = format!(" in {over}");
    let width = columns.saturating_sub(label + end.width() + 1).clamp(1, 48);
    let span_of = story.at.saturating_sub(first).as_secs_f64().max(f64::MIN_POSITIVE);
    let mut levels: Vec<Option<u64>> = vec![None; width];
    for (at, usage) in &story.past {
        let place = (at.saturating_sub(first).as_secs_f64() / span_of * width as f64) as usize;
        let slot = &mut levels[place.min(width - 1)];
        *slot = Some(slot.unwrap_or(0).max(*usage));
    }
    let mut held = 0;
    let bar: String = levels
        .into_iter()
        .map(|usage| {
            held = usage.unwrap_or(held);
            let level = (held as f64 / full as f64 * 8.0).round() as usize;
            ['▁', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][level.min(8)]
        })
        .collect();
    Line::from(vec![
        span(format!("{PAST:<label$}"), view.theme.dim),
        span(bar, view.theme.held),
        span("✖", view.theme.danger),
        span(end, view.theme.dim),
    ])
}

fn keys(view: &View, card: &Card, stories: usize) -> Vec<Span<'static>> {
    let mut keys = Vec::new();
    if stories > 1 {
        keys.extend([
            span(named(view, "← →"), view.theme.key),
            span(format!(" other kills ({} of {stories})   ", stories - card.back.min(stories - 1)), Style::new()),
        ]);
    }
    keys.extend([span("Esc", view.theme.key), span(" close", Style::new())]);
    keys
}
