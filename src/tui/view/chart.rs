//! Usage over time against the limit: the picture that the product is known by.
//!
//! Below, filled: memory that cannot be given back, and file cache on it, which can. The limit is a line that steps where it was moved; interval peaks
//! are dots; ✖ marks a kill, ▲ ▼ an edit. Each run has a panel with its own time axis, so that a run of a tenth of a second and one of a
//! minute can stand side by side.

use std::time::Duration;

use ratatui::{Frame, buffer::Buffer, layout::Rect, style::Style};

use super::{View, rule};
use crate::{
    session::{Mark, Run, history::Point},
    tui::theme::Theme,
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
    let legend = "█ held  ▒ cache  • interval peak  ━ limit  ✖ OOM kill";
    let legend = if area.width >= 80 { legend } else { "" };
    rule(frame, area, "memory", legend, view.theme, false);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let Some(run) = runs.last() else { return };
    let before = runs.len().checked_sub(2).and_then(|n| runs.get(n)).filter(|_| body.width >= 50);
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
        let runs: Vec<&Run> = runs.collect();
        let peak = runs.iter().map(|run| run.peak).fold(1, u64::max);
        let next = view.session.next_limit.and_then(Limit::bytes);
        let now = runs.iter().filter_map(|run| run.limit.bytes()).chain(next).fold(0, u64::max);
        // A limit that was left behind is on the picture only if it does not flatten what is there now.
        let before = runs.iter().flat_map(|run| run.history.points()).filter_map(|p| p.limit.bytes());
        let limit = before.filter(|bytes| bytes / 4 <= now.max(peak)).fold(now, u64::max);
        let rows = rows.max(1);
        let height = f64::from(rows) * 8.0;
        // A limit far above all that is used would flatten the picture: once that is clear, it is named and not drawn.
        let settled = view.session.run().is_some_and(|run| run.elapsed(view.now) > SETTLED);
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

/// The next round number: 1, 2, 2.5 or 5 times a power of ten of the binary unit that fits.
fn round_up(bytes: f64) -> f64 {
    let mut unit = 1.0;
    while bytes / unit >= 1024.0 {
        unit *= 1024.0;
    }
    let value = bytes / unit;
    // A table, not a logarithm: that would load the mathematics library at every start.
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0, 200.0, 250.0, 500.0, 1000.0];
    let nice = steps.into_iter().find(|step| *step >= value * 0.999).unwrap_or(1024.0);
    if nice >= 1000.0 { 1024.0 * unit } else { nice * unit }
}

/// One run's panel: from its start to now, or, live, its last minute.
fn panel(buffer: &mut Buffer, area: Rect, run: &Run, scale: &Scale, view: &View) {
    if area.width == 0 || area.height < 2 {
        return;
    }
    let origin = run.origin();
    let end = run.ended.as_ref().map_or(view.now, |(at, _)| *at).max(origin + Duration::from_millis(20));
    let from = if run.ended.is_none() { end.saturating_sub(WINDOW).max(origin) } else { origin };
    let rows = Rect { height: scale.rows.min(area.height - 1), ..area };
    let columns = run.history.columns(from, end, usize::from(area.width));
    for (n, point) in columns.iter().enumerate() {
        if let Some(point) = point {
            column(buffer, rows, rows.x + n as u16, point, scale, view.theme);
        }
    }
    limit_line(buffer, rows, run, &columns, scale, view);
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
    for (at, mark) in &run.marks {
        let Some(x) = place(*at) else { continue };
        match mark {
            Mark::Kill => {
                let y = scale.level(run.limit.bytes().unwrap_or(run.peak).min(run.peak.max(1))) / 8;
                let y = rows.bottom() - 1 - (y as u16).min(scale.rows - 1);
                buffer.set_string(x, (y + 1).min(rows.bottom() - 1), "✖", view.theme.danger);
            }
            Mark::LimitDown => buffer.set_string(x, area.bottom() - 1, "▼", view.theme.act),
            Mark::LimitUp => buffer.set_string(x, area.bottom() - 1, "▲", view.theme.act),
        }
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

/// The limit over the columns: a line, with a step where it was moved. To the right of the newest sample it goes on as it is.
fn limit_line(buffer: &mut Buffer, rows: Rect, run: &Run, columns: &[Option<Point>], scale: &Scale, view: &View) {
    let mut before: Option<u16> = None;
    for (n, column) in columns.iter().enumerate() {
        let x = rows.x + n as u16;
        let limit = column.map_or(run.limit, |point| point.limit);
        let row = limit.bytes().map(|bytes| (scale.level(bytes) / 8) as u16).filter(|row| *row < rows.height);
        let Some(row) = row else {
            before = None;
            continue;
        };
        let y = |row: u16| rows.bottom() - 1 - row;
        let mut line = |row: u16, symbol: &str| {
            let cell = &mut buffer[(x, y(row))];
            // Where memory stands behind the line, it still does.
            let behind = if cell.symbol() == "█" { cell.style().fg } else { None };
            cell.set_symbol(symbol).set_style(view.theme.limit);
            if let Some(colour) = behind {
                cell.set_bg(colour);
            }
        };
        match before {
            Some(last) if last != row => {
                let (high, low) = (last.max(row), last.min(row));
                for between in low + 1..high {
                    line(between, "┃");
                }
                line(last, if last > row { "┓" } else { "┛" });
                line(row, if last > row { "┗" } else { "┏" });
            }
            _ => line(row, "━"),
        }
        before = Some(row);
    }
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

fn round_time(seconds: f64) -> f64 {
    let steps = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0,
        600.0,
    ];
    let hours = (seconds / 3600.0).ceil() * 3600.0;
    steps.iter().copied().find(|s| *s >= seconds).unwrap_or(hours)
}

fn time_label(seconds: f64, step: f64) -> String {
    match step {
        _ if seconds < 0.0005 => "0".into(),
        s if s < 0.1 && seconds < 1.0 => format!("{:.0}ms", seconds * 1000.0),
        s if s < 1.0 => format!("{seconds:.1}s").replace(".0s", "s"),
        _ if seconds < 60.0 => format!("{seconds:.0}s"),
        _ => format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_on_the_axis_are_round() {
        let m = f64::from(1 << 20);
        assert_eq!(round_up(23.0 * m), 25.0 * m);
        assert_eq!(round_up(50.0 * m), 50.0 * m);
        assert_eq!(round_up(600.0 * m), 1024.0 * m);
    }

    #[test]
    fn times_on_the_axis_are_short() {
        assert_eq!(time_label(0.05, 0.01), "50ms");
        assert_eq!(time_label(1.5, 0.5), "1.5s");
        assert_eq!(time_label(2.0, 0.5), "2s");
        assert_eq!(time_label(75.0, 15.0), "1:15");
    }
}
