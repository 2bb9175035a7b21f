//! Usage over time against the limit: the picture that the product is known by.
//!
//! Below, filled: memory that cannot be given back (anonymous, shared, the kernel's), and file cache on it, which can. The limit is a line that
//! steps where it was moved; ╋ on it says that it was hit; interval peaks are dots; ✖ marks a kill, ▲ ▼ an edit. Each run has a panel with its
//! own time axis, so that a run of a tenth of a second and one of a minute can stand side by side.

mod heap;
mod lines;
mod marks;
mod readout;
mod scale;
mod stack;

use std::time::Duration;

use ratatui::{Frame, buffer::Buffer, layout::Rect};

use super::{View, rule_with};
use crate::{
    sentences::Weight,
    session::{
        Run,
        history::{Point, held},
    },
    tui::{
        app::Focus,
        viewport::{LEAST, WINDOW, Whole},
    },
    units::{Limit, size},
};
use lines::{DASHED, THICK, THIN, stroke};
pub use scale::Scale;

/// Columns of the size axis.
const LABELS: u16 = 8;

/// Draws the chart with its rule.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let runs = &view.session.runs;
    let compared = view.replay.is_some_and(|replay| replay.before.is_some());
    let room = usize::from(area.width).saturating_sub(14);
    let right = match runs.last().and_then(|run| Some((run, readout::cursor(view, run)?))) {
        Some((run, at)) => {
            // What the column under the cursor shows, which may be of many samples.
            let point = panel_of(area, view).and_then(|panel| panel.point(run, at));
            readout::values(view, run, at, point, room)
        }
        None => readout::legend(view, runs.last(), compared, room),
    };
    rule_with(frame, area, "memory", right, view.theme, view.app.focus == Focus::Memory);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let Some(run) = runs.last() else { return };
    let before = beside(view, body.width);
    let scale = Scale::new(body.height.saturating_sub(1), before.into_iter().chain([run]), view);
    let buffer = frame.buffer_mut();
    scale.labels(buffer, body, view.theme);
    let plot = plot(body);
    match before {
        None => panel(buffer, plot, run, &scale, view),
        Some(before) => {
            let newest = newest(plot);
            panel(buffer, Rect { width: newest.x - 1 - plot.x, ..plot }, before, &scale, view);
            for y in plot.y..plot.bottom() {
                buffer.set_string(newest.x - 1, y, "│", view.theme.dim);
            }
            panel(buffer, newest, run, &scale, view);
        }
    }
}

/// The run before the newest, where there is room for it beside.
fn beside<'a>(view: &View<'a>, width: u16) -> Option<&'a Run> {
    let runs = &view.session.runs;
    let alone = view.replay.is_some_and(|replay| replay.before.is_some()) || view.app.viewport.is_chosen(runs.last()?);
    runs.len().checked_sub(2).and_then(|n| runs.get(n)).filter(|_| width >= 50 && !alone)
}

/// Where the picture is, without the size axis.
fn plot(body: Rect) -> Rect {
    Rect { x: body.x + LABELS, width: body.width.saturating_sub(LABELS + 1), ..body }
}

/// Where the newest run's panel is when another one is beside it.
fn newest(plot: Rect) -> Rect {
    let left = plot.width / 4 + 1;
    Rect { x: plot.x + left, width: plot.width.saturating_sub(left), ..plot }
}

/// The newest run's panel in the chart's region, as the mouse finds it: where it is, its size axis, and the stretch of time.
pub struct Panel {
    /// Its rows, without the time axis.
    pub rows: Rect,
    /// Its size axis.
    pub scale: Scale,
    /// From when to when.
    pub window: (Duration, Duration),
}

impl Panel {
    /// What the column of a moment shows.
    fn point(&self, run: &Run, at: Duration) -> Option<Point> {
        if over(run).is_some_and(|over| at > over) {
            return None;
        }
        let (from, to) = self.window;
        let columns = held(run.history.columns(from, to, usize::from(self.rows.width)));
        let share = at.checked_sub(from)?.as_secs_f64() / to.checked_sub(from)?.as_secs_f64().max(1e-9);
        let column = (share * columns.len() as f64) as usize;
        columns.get(column.min(columns.len().checked_sub(1)?)).copied().flatten()
    }
}

/// The newest run's panel.
pub fn panel_of(area: Rect, view: &View) -> Option<Panel> {
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let run = view.session.run().filter(|_| body.height >= 2)?;
    let before = beside(view, body.width);
    let scale = Scale::new(body.height.saturating_sub(1), before.into_iter().chain([run]), view);
    let plot = plot(body);
    let area = if before.is_some() { newest(plot) } else { plot };
    Some(Panel { rows: Rect { height: scale.rows.min(area.height - 1), ..area }, scale, window: span(view, run) })
}

/// One run's panel: from its start to now, or, live, its last minute.
fn panel(buffer: &mut Buffer, area: Rect, run: &Run, scale: &Scale, view: &View) {
    if area.width == 0 || area.height < 2 {
        return;
    }
    let origin = run.origin();
    let (from, end) = span(view, run);
    let rows = Rect { height: scale.rows.min(area.height - 1), ..area };
    let mut columns: Vec<Option<Point>> = held(run.history.columns(from, end, usize::from(area.width)));
    if let Some(over) = over(run) {
        // What it held when it ended it holds no longer.
        let lived = over.saturating_sub(from).as_secs_f64() / (end - from).as_secs_f64() * columns.len() as f64;
        columns.iter_mut().skip(lived as usize + 1).for_each(|column| *column = None);
    }
    // In a replay what is to come is left empty.
    let share = view.now.saturating_sub(from).as_secs_f64() / (end - from).as_secs_f64();
    let come = ((share * f64::from(area.width)).ceil() as usize).clamp(1, columns.len());
    let come = if view.replay.is_some() { come } else { columns.len() };
    for (n, point) in columns.iter().enumerate().take(come) {
        if let Some(point) = point {
            stack::column(buffer, rows, rows.x + n as u16, point, scale, view.theme);
        }
    }
    if let Some(before) = before(view) {
        compared(buffer, rows, before, (origin, from, end), come, scale, view);
    }
    let soft = columns.iter().map(|column| column.and_then(|point| point.soft.bytes()));
    stroke(buffer, rows, soft.take(come), scale, &DASHED, view.theme.soft);
    let limits = columns.iter().map(|column| column.map_or(run.limit, |point| point.limit).bytes());
    stroke(buffer, rows, limits.take(come), scale, &THICK, view.theme.limit);
    heap::render(buffer, rows, run, (from, end), come, scale, view.theme);
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
    marks::hits(buffer, rows, &columns[..come], scale, view.theme);
    let labels = marks::time_axis(buffer, area, origin, from, end, view.theme);
    marks::render(buffer, area, rows, run, scale, &place, view);
    marks::whole_or_none(buffer, area.bottom() - 1, &labels, view.theme);
    if let Some(Limit::Bytes(held)) = view.app.drag {
        dragged(buffer, rows, held, scale, view);
    }
    let newest = view.session.run().is_some_and(|newest| newest.started.run == run.started.run);
    if let Some(x) = readout::cursor(view, run).filter(|_| newest).and_then(place) {
        upright(buffer, rows, x, view);
    }
}

/// Where the limit's line is held, and what it would do there.
fn dragged(buffer: &mut Buffer, rows: Rect, held: u64, scale: &Scale, view: &View) {
    let values = std::iter::repeat_n(Some(held), usize::from(rows.width));
    stroke(buffer, rows, values, scale, &DASHED, view.theme.act);
    let verdict = view.session.verdict(Limit::Bytes(held));
    let run = view.session.run().zip(verdict.as_ref());
    let (sign, text, weight) = match run {
        Some((run, verdict)) => view.words.verdict(run.started.controller, verdict),
        None => ("", "from the next run on".into(), Weight::Plain),
    };
    let text = super::fit(&format!(" limit {}  {sign} {text} ", size(held)), usize::from(rows.width));
    let y = (rows.bottom() - 1).saturating_sub(scale.row(held).unwrap_or(u16::MAX)).clamp(rows.y, rows.bottom() - 1);
    let y = if y > rows.y { y - 1 } else { y + 1 };
    buffer.set_string(rows.x, y, text, view.theme.weight(weight));
}

/// The cursor's line: over what is filled, the same reversed.
fn upright(buffer: &mut Buffer, rows: Rect, x: u16, view: &View) {
    for y in rows.y..rows.bottom() {
        let cell = &mut buffer[(x, y)];
        match cell.symbol() {
            " " => drop(cell.set_symbol("┊").set_style(view.theme.cursor)),
            _ => drop(cell.set_style(ratatui::style::Style::new().add_modifier(ratatui::style::Modifier::REVERSED))),
        }
    }
}

/// From when on nothing is known of a run: it has ended, and was sampled for the last time.
fn over(run: &Run) -> Option<Duration> {
    let sampled = run.history.points().last().map(|point| point.at);
    run.ended.as_ref().map(|(at, _)| sampled.map_or(*at, |sampled| sampled.max(*at)))
}

/// The recording that a replay is compared with, as lines.
fn compared(
    buffer: &mut Buffer,
    rows: Rect,
    before: &Run,
    (origin, from, end): (Duration, Duration, Duration),
    come: usize,
    scale: &Scale,
    view: &View,
) {
    let there = |at: Duration| at.saturating_sub(origin).saturating_add(before.origin());
    let columns = before.history.columns(there(from), there(end), usize::from(rows.width));
    let over = before.ended.as_ref().map_or(usize::MAX, |(at, _)| {
        let share = (at.saturating_add(origin)).saturating_sub(before.origin().saturating_add(from)).as_secs_f64()
            / end.saturating_sub(from).as_secs_f64();
        (share * f64::from(rows.width)) as usize
    });
    let upto = come.min(over.saturating_add(1));
    let limits = columns.iter().map(|column| column.map_or(before.limit, |point| point.limit).bytes());
    stroke(buffer, rows, limits.take(upto), scale, &DASHED, view.theme.before);
    let usages = columns.iter().map(|column| column.map(|point| point.usage));
    stroke(buffer, rows, usages.take(upto), scale, &THIN, view.theme.before);
}

/// The stretch of time that a panel shows: live from the run's start, or its last minute. In a replay of what fits, all of it from the start on.
fn span(view: &View, run: &Run) -> (Duration, Duration) {
    let Some(replay) = view.replay else { return view.app.viewport.window(&Whole::of(run, view.now)) };
    let origin = run.origin();
    let least = origin + LEAST;
    let end_of = |run: &Run| run.ended.as_ref().map(|(at, _)| *at);
    let (_, _, last) = replay.player.times();
    let mut end = end_of(whole(view, run)).unwrap_or(last).max(least);
    if let Some(before) = before(view) {
        end = end.max(end_of(before).unwrap_or(before.origin()).saturating_sub(before.origin()) + origin);
        return (origin, end);
    }
    if let Some(span) = view.app.viewport.chosen_span(run).filter(|span| *span < end - origin) {
        // Zoomed in on where the replay is.
        let from = view.now.saturating_sub(span / 2).clamp(origin, end - span);
        return (from, from + span);
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
