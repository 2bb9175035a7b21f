//! Usage over time against the limit: the picture that the product is known by.
//!
//! Below, filled: memory that cannot be given back, and file cache on it, which can. The limit is a line that steps where it was moved; interval peaks
//! are dots; ✖ marks a kill, ▲ ▼ an edit. Each run has a panel with its own time axis, so that a run of a tenth of a second and one of a
//! minute can stand side by side.

use std::time::Duration;

use ratatui::{Frame, buffer::Buffer, layout::Rect, style::Style, text::Line};

use super::{View, limit, rule};
use crate::{
    axis::{round_time, round_up, time_label},
    session::{Mark, Run, history::Point},
    tui::{app::Focus, theme::Theme},
    units::{Limit, size},
};

/// Live, the picture shows at most the last minute.
const WINDOW: Duration = Duration::from_secs(60);

/// After this long, a limit that is more than so many times the peak leaves the picture.
const SETTLED: Duration = Duration::from_secs(3);
const FAR_ABOVE: u64 = 16;

const LABELS: u16 = 8;

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws the chart with its rule.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let runs = &view.session.runs;
    let compared = view.replay.is_some_and(|replay| replay.before.is_some());
    let legend = match compared {
        _ if area.width < 80 => "",
        true => "█ held  ▒ cache  ━ limit   before: ─ usage  ╌ limit",
        false => "█ held  ▒ cache  • interval peak  ━ limit  ✖ OOM kill",
    };
    rule(frame, area, "memory", legend, view.theme, view.app.focus == Focus::Memory);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let Some(run) = runs.last() else { return };
    let before = runs.len().checked_sub(2).and_then(|n| runs.get(n)).filter(|_| body.width >= 50 && !compared);
    let scale = Scale::new(body.height.saturating_sub(1), before.into_iter().chain([run]), view);
    let buffer = frame.buffer_mut();
    scale.labels(buffer, body, view.theme);
    let plot = Rect { x: body.x + LABELS, width: body.width.saturating_sub(LABELS + 1), ..body };
    match before {
        None => panel(buffer, plot, run, &scale, view),
        Some(before) => {
            let left = plot.width / 4;
            panel(buffer, Rect { width: left, ..plot }, before, &scale, view);
            for y in plot.y..plot.bottom() {
                buffer.set_string(plot.x + left, y, "│", view.theme.dim);
            }
            panel(buffer, Rect { x: plot.x + left + 1, width: plot.width - left - 1, ..plot }, run, &scale, view);
        }
    }
}

/// The size axis: bytes to eighths of a row. The limit lies in the middle of a row, where its line is drawn.
struct Scale {
    rows: u16,
    top: f64,
    limit: Option<u64>,
}

impl Scale {
    fn new<'a>(rows: u16, runs: impl Iterator<Item = &'a Run>, view: &View) -> Scale {
        // In a replay the whole of it is known: the scale does not change on the way.
        let mut runs: Vec<&Run> = runs.map(|run| whole(view, run)).collect();
        runs.extend(before(view));
        let peak = runs.iter().map(|run| run.peak).fold(1, u64::max);
        let next = view.session.next_limit.and_then(Limit::bytes);
        let now = runs.iter().filter_map(|run| run.limit.bytes()).chain(next).fold(0, u64::max);
        // A limit that was left behind is on the picture only if it does not flatten what is there now.
        let before = runs.iter().flat_map(|run| run.history.points()).filter_map(|p| p.limit.bytes());
        let limit = before.filter(|bytes| bytes / 4 <= now.max(peak)).fold(now, u64::max);
        let rows = rows.max(1);
        let height = f64::from(rows) * 8.0;
        // A limit far above all that is used would flatten the picture: once that is clear, it is named and not drawn.
        let settled = view.session.run().is_some_and(|run| whole(view, run).elapsed(view.now) > SETTLED);
        if limit > 0 && (limit / FAR_ABOVE <= peak || !settled) {
            let line = f64::from(rows - rows.min(2)) * 8.0 + 4.0;
            return Scale { rows, top: limit as f64 * height / line, limit: Some(limit) };
        }
        Scale { rows, top: round_up(peak as f64 * 1.2), limit: None }
    }

    /// How many eighths of a row this is.
    fn level(&self, bytes: u64) -> u32 {
        (bytes as f64 / self.top * f64::from(self.rows) * 8.0).round() as u32
    }

    /// Labels at round sizes, and at the limit.
    fn labels(&self, buffer: &mut Buffer, body: Rect, theme: &Theme) {
        let bottom = body.y + self.rows - 1;
        let mut taken = Vec::new();
        let mut label = |bytes: u64, style: Style, tick: &str| {
            let row = self.level(bytes) / 8;
            if row < u32::from(self.rows) && taken.iter().all(|t: &u32| t.abs_diff(row) >= 2) {
                taken.push(row);
                let y = bottom - row as u16;
                buffer.set_string(body.x, y, format!("{:>6} ", size(bytes)), style);
                buffer.set_string(body.x + LABELS - 1, y, tick, theme.dim);
            }
        };
        if let Some(limit) = self.limit {
            label(limit, theme.limit, "┤");
        }
        label(0, theme.dim, "┼");
        let step = round_up(self.top / 4.0).max(1.0);
        for n in 1..8 {
            label((step * f64::from(n)) as u64, theme.dim, "┤");
        }
        for y in body.y..=bottom {
            if buffer[(body.x + LABELS - 1, y)].symbol() == " " {
                buffer.set_string(body.x + LABELS - 1, y, "│", theme.dim);
            }
        }
    }
}

/// One run's panel: from its start to now, or, live, its last minute.
fn panel(buffer: &mut Buffer, area: Rect, run: &Run, scale: &Scale, view: &View) {
    if area.width == 0 || area.height < 2 {
        return;
    }
    let origin = run.origin();
    let (from, end) = span(view, run);
    let rows = Rect { height: scale.rows.min(area.height - 1), ..area };
    let columns = run.history.columns(from, end, usize::from(area.width));
    for (n, point) in columns.iter().enumerate() {
        if let Some(point) = point {
            column(buffer, rows, rows.x + n as u16, point, scale, view.theme);
        }
    }
    // In a replay what is to come is left empty.
    let share = view.now.saturating_sub(from).as_secs_f64() / (end - from).as_secs_f64();
    let come = ((share * f64::from(area.width)).ceil() as usize).clamp(1, columns.len());
    let come = if view.replay.is_some() { come } else { columns.len() };
    if let Some(before) = before(view) {
        let there = |at: Duration| at.saturating_sub(origin).saturating_add(before.origin());
        let columns = before.history.columns(there(from), there(end), usize::from(area.width));
        let over = before.ended.as_ref().map_or(usize::MAX, |(at, _)| {
            let share = (at.saturating_add(origin)).saturating_sub(before.origin().saturating_add(from)).as_secs_f64()
                / end.saturating_sub(from).as_secs_f64();
            (share * f64::from(area.width)) as usize
        });
        let upto = come.min(over.saturating_add(1));
        let limits = columns.iter().map(|column| column.map_or(before.limit, |point| point.limit).bytes());
        stroke(buffer, rows, limits.take(upto), scale, &DASHED, view.theme.before);
        let usages = columns.iter().map(|column| column.map(|point| point.usage));
        stroke(buffer, rows, usages.take(upto), scale, &THIN, view.theme.before);
    }
    let limits = columns.iter().map(|column| column.map_or(run.limit, |point| point.limit).bytes());
    stroke(buffer, rows, limits.take(come), scale, &THICK, view.theme.limit);
    if let (Limit::Bytes(limit), None) =
        (run.limit, run.limit.bytes().filter(|b| scale.level(*b) / 8 < u32::from(rows.height)))
    {
        let text = format!("limit {} is far above ↑ ", size(limit));
        let width = text.chars().count() as u16;
        if width < rows.width {
            buffer.set_string(rows.right() - width, rows.y, text, view.theme.limit);
        }
    }
    let place = |at: Duration| {
        let share = at.saturating_sub(from).as_secs_f64() / (end - from).as_secs_f64();
        (at >= from && at <= end).then(|| area.x + ((share * f64::from(area.width)) as u16).min(area.width - 1))
    };
    time_axis(buffer, area, origin, from, end, view.theme);
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

/// The numbers of edits beside their marks, where nothing else stands.
fn numbers(buffer: &mut Buffer, area: Rect, run: &Run, place: impl Fn(Duration) -> Option<u16>, theme: &Theme) {
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

/// The newest edits, numbered, at the right top, where nothing is drawn: a limit on the picture lies in its third row.
fn edits(buffer: &mut Buffer, rows: Rect, run: &Run, view: &View) {
    if view.replay.is_some() || rows.height < 5 || rows.width < 50 {
        return;
    }
    let spans = limit::compact(view, run, usize::from(rows.width) - 2);
    let columns = super::width(&spans) as u16;
    let at = Rect { x: rows.right().saturating_sub(columns), width: columns, height: 1, ..rows };
    let free = (at.x..at.right()).all(|x| buffer[(x, at.y)].symbol() == " ");
    if free && columns > 0 {
        buffer.set_line(at.x, at.y, &Line::from(spans), columns);
    }
}

/// One column of the stack, and its peak.
fn column(buffer: &mut Buffer, rows: Rect, x: u16, point: &Point, scale: &Scale, theme: &Theme) {
    let total = scale.level(point.usage).max(u32::from(point.usage > 0));
    let held = scale.level(point.usage.saturating_sub(point.reclaimable));
    for row in 0..u32::from(rows.height) {
        let base = row * 8;
        let (symbol, style) = if held >= base + 8 {
            (EIGHTHS[8], theme.held)
        } else if held > base && total <= held {
            (EIGHTHS[(held - base) as usize], theme.held)
        } else if total >= base + 8 {
            ("▒", theme.cache)
        } else if total > base {
            (EIGHTHS[(total - base) as usize], if held > base { theme.held } else { theme.cache })
        } else {
            break;
        };
        buffer.set_string(x, rows.bottom() - 1 - row as u16, symbol, style);
    }
    // A peak that stands out of the stack; one in its own row is the next sample's usage, as a rule.
    let level = scale.level(point.peak);
    let peak = level / 8;
    if level > total + 8 && peak > total.saturating_sub(1) / 8 && peak < u32::from(rows.height) {
        buffer.set_string(x, rows.bottom() - 1 - peak as u16, "•", theme.peak);
    }
}

/// What a line is made of: level, upright, and where it turns: left to below, left to above, below to right, above to right.
type Glyphs = [&'static str; 6];

const THICK: Glyphs = ["━", "┃", "┓", "┛", "┏", "┗"];
const THIN: Glyphs = ["─", "│", "┐", "┘", "┌", "└"];
const DASHED: Glyphs = ["╌", "┊", "┐", "┘", "┌", "└"];

/// A line over the columns, with a step where its value moves.
fn stroke(
    buffer: &mut Buffer,
    rows: Rect,
    values: impl Iterator<Item = Option<u64>>,
    scale: &Scale,
    glyphs: &Glyphs,
    style: Style,
) {
    let [level, upright, left_below, left_above, below_right, above_right] = glyphs;
    let mut before: Option<u16> = None;
    for (n, value) in values.enumerate() {
        let x = rows.x + n as u16;
        let row = value.map(|bytes| (scale.level(bytes) / 8) as u16).filter(|row| *row < rows.height);
        let Some(row) = row else {
            before = None;
            continue;
        };
        let mut draw = |row: u16, symbol: &str| {
            let cell = &mut buffer[(x, rows.bottom() - 1 - row)];
            // Where memory stands behind the line, it still does.
            let behind = if cell.symbol() == "█" { cell.style().fg } else { None };
            cell.set_symbol(symbol).set_style(style);
            if let Some(colour) = behind {
                cell.set_bg(colour);
            }
        };
        match before {
            Some(last) if last != row => {
                let (high, low) = (last.max(row), last.min(row));
                for between in low + 1..high {
                    draw(between, upright);
                }
                draw(last, if last > row { left_below } else { left_above });
                draw(row, if last > row { above_right } else { below_right });
            }
            _ => draw(row, level),
        }
        before = Some(row);
    }
}

/// The stretch of time that a panel shows: live from the run's start, or its last minute. In a replay of what fits, all of it from the start on.
fn span(view: &View, run: &Run) -> (Duration, Duration) {
    let origin = run.origin();
    let least = origin + Duration::from_millis(20);
    let end_of = |run: &Run| run.ended.as_ref().map(|(at, _)| *at);
    let Some(replay) = view.replay else {
        let end = end_of(run).unwrap_or(view.now).max(least);
        return (if run.ended.is_none() { end.saturating_sub(WINDOW).max(origin) } else { origin }, end);
    };
    let (_, _, last) = replay.player.times();
    let mut end = end_of(whole(view, run)).unwrap_or(last).max(least);
    if let Some(before) = before(view) {
        end = end.max(end_of(before).unwrap_or(before.origin()).saturating_sub(before.origin()) + origin);
        return (origin, end);
    }
    match end - origin <= WINDOW || run.ended.is_some() {
        true => (origin, end),
        false => (view.now.saturating_sub(WINDOW).max(origin), view.now.max(origin + WINDOW)),
    }
}

/// In a replay, the same run with all that is still to come.
fn whole<'a>(view: &View<'a>, run: &'a Run) -> &'a Run {
    let runs = view.replay.map(|replay| replay.player.whole.runs.as_slice()).unwrap_or_default();
    runs.iter().find(|whole| whole.started.run == run.started.run).unwrap_or(run)
}

/// The run that a replay is compared with.
fn before<'a>(view: &View<'a>) -> Option<&'a Run> {
    view.replay?.before.as_ref()?.session.run()
}

/// Ticks at round times since the run's start.
fn time_axis(buffer: &mut Buffer, area: Rect, origin: Duration, from: Duration, end: Duration, theme: &Theme) {
    let y = area.bottom() - 1;
    buffer.set_string(area.x, y, "─".repeat(usize::from(area.width)), theme.dim);
    let span = (end - from).as_secs_f64();
    let step = round_time(span * 12.0 / f64::from(area.width).max(1.0));
    let start = (from - origin.min(from)).as_secs_f64();
    let mut tick = (start / step).ceil() * step;
    while tick <= start + span {
        let x = area.x + ((tick - start) / span * f64::from(area.width)) as u16;
        let text = time_label(tick, step);
        if x + text.len() as u16 + 1 < area.right() {
            buffer.set_string(x, y, "┬", theme.dim);
            buffer.set_string(x + 1, y, &text, theme.dim);
        }
        tick += step;
    }
}
