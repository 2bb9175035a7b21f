//! In a replay: where the cursor is in the whole, how fast it goes, and where something happened.

use ratatui::{Frame, layout::Rect, style::Style, text::Span};
use unicode_width::UnicodeWidthStr;

use super::{View, fit, put, span, width};
use crate::{
    sentences::moment,
    session::{Session, What},
    tui::replay::Replay,
    units::is_lower,
};

/// Draws the timeline, and below it what is compared with.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let Some(replay) = view.replay else { return };
    put(frame, area, line(view, replay, usize::from(area.width)));
    if let Some(before) = &replay.before {
        let summary = before.session.run().map_or(String::new(), |run| view.words.summary(run));
        let text = format!("{}: {summary}", before.name);
        let spans = vec![
            span(" ─ before ", view.theme.before),
            span(fit(&text, usize::from(area.width).saturating_sub(10)), Style::new()),
        ];
        put(frame, Rect { y: area.y + 1, ..area }, spans);
    }
}

/// ` ▶ 1/16×  0:00.113 ━━━━━━━━●──✖────▼─■ 0:00.512  stress.jsonl.gz `
fn line(view: &View, replay: &Replay, room: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    let player = &replay.player;
    let (at, start, end) = player.times();
    let sign = if player.playing { "▶" } else { "‖" };
    let mut spans = vec![
        span(format!(" {sign} "), if player.playing { theme.good } else { theme.warning }),
        span(format!("{:<6}", player.speed()), theme.strong),
        span(format!("{} ", moment(at.saturating_sub(start))), theme.strong),
    ];
    let total = format!(" {} ", moment(end.saturating_sub(start)));
    let name = fit(&replay.name, room / 4);
    let wide = room >= 100;
    let right = total.width() + if wide { name.width() + 2 } else { 0 };
    let cells = room.saturating_sub(width(&spans) + right);
    let place = |moment: std::time::Duration| {
        let share = moment.saturating_sub(start).as_secs_f64() / end.saturating_sub(start).as_secs_f64().max(1e-9);
        ((share * cells as f64) as usize).min(cells.saturating_sub(1))
    };
    let now = place(at);
    let mut bar: Vec<(&str, Style)> =
        (0..cells).map(|n| if n < now { ("━", theme.key) } else { ("─", theme.dim) }).collect();
    for (moment, sign, style) in marks(&player.whole, view) {
        if let Some(cell) = bar.get_mut(place(moment)) {
            *cell = (sign, style);
        }
    }
    if let Some(cell) = bar.get_mut(now) {
        *cell = ("●", theme.strong);
    }
    spans.extend(bar.into_iter().map(|(sign, style)| span(sign, style)));
    spans.push(span(total, theme.dim));
    if wide {
        spans.push(span(format!(" {name}"), theme.dim));
    }
    spans
}

/// What is marked, the weightiest last.
fn marks(session: &Session, view: &View) -> Vec<(std::time::Duration, &'static str, Style)> {
    let theme = view.theme;
    let mut marks: Vec<_> = session
        .log
        .iter()
        .filter_map(|entry| {
            let (weight, sign, style) = match &entry.what {
                What::Started { .. } => (0, "▸", theme.dim),
                What::Ended => (1, "■", theme.dim),
                What::LimitBusy { .. } | What::LimitFailed { .. } | What::ChangeFailed { .. } => (2, "!", theme.danger),
                What::Stalled { .. } => (3, "≋", theme.warning),
                What::Paused { .. } => (3, "‖", theme.warning),
                What::LimitMoved { from, to, .. } if is_lower(*from, *to) => (3, "▼", theme.act),
                What::LimitMoved { .. } => (3, "▲", theme.act),
                What::OomKill { .. } => (4, "✖", theme.danger),
                _ => return None,
            };
            Some((weight, (entry.at, sign, style)))
        })
        .collect();
    marks.sort_by_key(|(weight, _)| *weight);
    marks.into_iter().map(|(_, mark)| mark).collect()
}
