//! What is marked on the picture, and the time axis below it.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    super::{View, limit, span, width},
    lines,
    scale::Scale,
};
use crate::{
    axis::{round_time, time_label},
    session::{Mark, Run, history::Point, outcome::Outcome},
    tui::{
        input::{Action, key_of},
        theme::Theme,
    },
    units::Limit,
};

/// Where a moment is on the picture, if it is.
pub type Place<'a> = &'a dyn Fn(Duration) -> Option<u16>;

/// Kills, edits, pauses and stalls, and the numbers of edits.
pub fn render(buffer: &mut Buffer, area: Rect, rows: Rect, run: &Run, scale: &Scale, place: Place, view: &View) {
    edits(buffer, rows, run, view);
    for (at, mark) in &run.marks {
        let Some(x) = place(*at) else { continue };
        match mark {
            Mark::Kill => {
                let y = scale.level(run.limit.bytes().unwrap_or(run.peak).min(run.peak.max(1))) / 8;
                let y = rows.bottom() - 1 - (y as u16).min(scale.rows - 1);
                buffer.set_string(x, (y + 1).min(rows.bottom() - 1), "✖", view.theme.danger);
            }
            Mark::Pause => buffer.set_string(x, area.bottom() - 1, "‖", view.theme.warning),
            Mark::Stall => buffer.set_string(x, area.bottom() - 1, "≋", view.theme.warning),
            Mark::Resume => buffer.set_string(x, area.bottom() - 1, "▸", view.theme.act),
            Mark::LimitDown => buffer.set_string(x, area.bottom() - 1, "▼", view.theme.act),
            Mark::LimitUp => buffer.set_string(x, area.bottom() - 1, "▲", view.theme.act),
        }
    }
    numbers(buffer, area, run, place, view.theme);
}

/// A sign on the limit's line wherever the limit was hit.
pub fn hits(buffer: &mut Buffer, rows: Rect, columns: &[Option<Point>], scale: &Scale, theme: &Theme) {
    for (n, point) in columns.iter().enumerate() {
        let Some(limit) = point.filter(|point| point.hits > 0).and_then(|point| point.limit.bytes()) else { continue };
        let Some(row) = scale.row(limit) else { continue };
        if row < rows.height {
            let cell = &mut buffer[(rows.x + n as u16, rows.bottom() - 1 - row)];
            // A line that steps here says more.
            if cell.symbol() == lines::THICK[0] {
                cell.set_symbol("╋").set_style(theme.limit);
            }
        }
    }
}

/// The numbers of edits beside their marks, where nothing else stands.
fn numbers(buffer: &mut Buffer, area: Rect, run: &Run, place: Place, theme: &Theme) {
    let y = area.bottom() - 1;
    for edit in run.edits.all() {
        let number = edit.number.to_string();
        let Some(x) = place(edit.at).map(|x| x + 1) else { continue };
        let end = x + number.len() as u16;
        if end <= area.right() && (x..end).all(|x| buffer[(x, y)].symbol() == "─") {
            buffer.set_string(x, y, number, theme.act);
        }
    }
}

/// After the end: what can be done next, as far as there is room.
fn what_next(view: &View, run: &Run, columns: usize) -> Vec<Span<'static>> {
    let theme = view.theme;
    let key = |action| span(key_of(view.app, &action), theme.key);
    let plain = |text: &str| span(text.to_string(), theme.dim);
    // How much it wanted nobody knows: half as much again is the next to try.
    let short =
        matches!(run.outcome(), Some(Outcome::OomKilled | Outcome::OomSurvived)) && !run.stories.are_for_other_limits();
    let more =
        if short && run.limit != Limit::Max { format!(" (try {})", run.limit.and_a_half()) } else { String::new() };
    let mut spans = vec![
        key(Action::LimitUp),
        plain(" "),
        key(Action::LimitExact),
        plain(&format!(" another limit{}, ", more)),
        key(Action::Rerun),
        plain(" runs it again"),
    ];
    let later = [plain("; later: sandtop replay --last, sandtop report --last")];
    if width(&spans) + width(&later) <= columns {
        spans.extend(later);
    }
    spans.push(plain("  "));
    if width(&spans) <= columns { spans } else { Vec::new() }
}

/// The newest edits, numbered, at the right top, where nothing is drawn: a limit on the picture lies in its third row.
fn edits(buffer: &mut Buffer, rows: Rect, run: &Run, view: &View) {
    if view.replay.is_some() || rows.height < 5 || rows.width < 50 {
        return;
    }
    let mut spans = limit::compact(view, run, usize::from(rows.width) - 2);
    if spans.is_empty() && run.ended.is_some() {
        spans = what_next(view, run, usize::from(rows.width) - 2);
    }
    let columns = width(&spans) as u16;
    let at = Rect { x: rows.right().saturating_sub(columns), width: columns, height: 1, ..rows };
    let free = (at.x..at.right()).all(|x| buffer[(x, at.y)].symbol() == " ");
    if free && columns > 0 {
        buffer.set_line(at.x, at.y, &Line::from(spans), columns);
    }
}

/// Ticks at round times since the run's start; where their labels are, and what they say.
pub fn time_axis(
    buffer: &mut Buffer,
    area: Rect,
    origin: Duration,
    from: Duration,
    end: Duration,
    theme: &Theme,
) -> Vec<(u16, String)> {
    let mut labels = Vec::new();
    let y = area.bottom() - 1;
    buffer.set_string(area.x, y, "─".repeat(usize::from(area.width)), theme.dim);
    let span = (end - from).as_secs_f64();
    let step = round_time(span * 12.0 / f64::from(area.width).max(1.0));
    let start = (from - origin.min(from)).as_secs_f64();
    let first = (start / step).ceil();
    // Counted, not added up: of times far from 0 a small step is nothing.
    for tick in (0..area.width).map(|n| (first + f64::from(n)) * step).take_while(|tick| *tick <= start + span) {
        let x = area.x + ((tick - start) / span * f64::from(area.width)) as u16;
        let text = time_label(tick, step);
        if x + text.len() as u16 + 1 < area.right() {
            buffer.set_string(x, y, "┬", theme.dim);
            buffer.set_string(x + 1, y, &text, theme.dim);
            labels.push((x + 1, text));
        }
    }
    labels
}

/// What a mark stands on is no time any more: what is left of it goes.
pub fn whole_or_none(buffer: &mut Buffer, y: u16, labels: &[(u16, String)], theme: &Theme) {
    for (left, text) in labels {
        let cells: Vec<(u16, char)> = (*left..).zip(text.chars()).collect();
        let stands = |buffer: &Buffer, (x, c): (u16, char)| buffer[(x, y)].symbol().chars().eq([c]);
        if cells.iter().all(|cell| stands(buffer, *cell)) {
            continue;
        }
        for (x, c) in cells {
            if stands(buffer, (x, c)) && buffer[(x, y)].style().fg == theme.dim.fg {
                buffer.set_string(x, y, "─", theme.dim);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_a_mark_stands_on_goes_and_the_others_stay() {
        let area = Rect::new(0, 0, 60, 1);
        let (mut buffer, theme) = (Buffer::empty(area), Theme::new(true));
        let labels = time_axis(&mut buffer, area, Duration::ZERO, Duration::ZERO, Duration::from_secs(10), &theme);
        let text = |buffer: &Buffer| buffer.content.iter().map(|cell| cell.symbol()).collect::<String>();
        let before = text(&buffer);
        let (at, label) = labels.iter().find(|(_, label)| label.len() > 1).expect("one with a unit").clone();
        buffer.set_string(at, 0, "▲", theme.act);
        whole_or_none(&mut buffer, 0, &labels, &theme);
        let rest = format!("▲{}", "─".repeat(label.len() - 1));
        assert_eq!(text(&buffer), before.replacen(&format!("┬{label}"), &format!("┬{rest}"), 1));
    }
}
