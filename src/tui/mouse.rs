//! What the mouse means: a click focuses and chooses, the wheel scrolls what it is over, and the limit's line can be dragged. Pure.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::{
    Terminal,
    backend::TestBackend,
    layout::{Position, Rect},
};

use super::{
    app::{Focus, Popup},
    explain::Page,
    input::{Action, Play},
    replay,
    view::{self, Regions, SMALLEST, View, chart, events, processes},
};
use crate::units::Limit;

/// Rows that the wheel scrolls by.
const WHEEL: i32 = 3;

/// A limit that is dragged goes in steps of this size where a row of the screen is more …
const STEP: u64 = 1 << 20;

/// … and of this one where it is less, in bytes.
const FINE: u64 = 64 << 10;

/// What an event means on a screen of this size.
pub fn actions(view: &View, area: Rect, event: MouseEvent) -> Vec<Action> {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return Vec::new(); // there is nothing to point at
    }
    let at = Position::new(event.column, event.row);
    // What is held can be dragged and let go anywhere; else a terminal that tells of more than there is means nothing.
    if !area.contains(at) && view.app.drag.is_none() {
        return Vec::new();
    }
    let regions = Regions::new(area, view.app, replay::rows(view.replay));
    match event.kind {
        MouseEventKind::Drag(MouseButton::Left) if view.app.drag.is_some() => {
            limit_at(view, regions.chart, at).map(Action::Drag).into_iter().collect()
        }
        MouseEventKind::Up(MouseButton::Left) if view.app.drag.is_some() => vec![Action::Drop],
        _ if !matches!(view.app.popup, Popup::None) => over(view, event),
        MouseEventKind::Down(MouseButton::Left) => click(view, &regions, at),
        MouseEventKind::Down(MouseButton::Right) => vec![Action::ExplainThat(pointed(view, &regions, area, at))],
        MouseEventKind::ScrollUp | MouseEventKind::ScrollDown => {
            let by = if event.kind == MouseEventKind::ScrollUp { -WHEEL } else { WHEEL };
            region_at(&regions, at).map(|region| Action::ScrollIn(region, by)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// What is explained where the mouse points: the number that stands there, of a process that of its column, else what the region is about.
fn pointed(view: &View, regions: &Regions, area: Rect, at: Position) -> Page {
    let region = region_at(regions, at);
    let row = if region == Some(Focus::Processes) { regions.processes.y + 1 } else { at.y };
    let inside = !matches!(region, Some(Focus::Output | Focus::Events));
    let named = || {
        let mut terminal = Terminal::new(TestBackend::new(area.width, area.height)).ok()?;
        let drawn = terminal.draw(|frame| view::render(frame, view)).ok()?;
        let cells = (0..area.width).filter_map(|x| Some(drawn.buffer.cell((x, row))?.symbol()));
        Page::named(&cells.collect::<String>(), usize::from(at.x))
    };
    let page = if inside && region != Some(Focus::Memory) || at.y == regions.chart.y { named() } else { None };
    page.unwrap_or_else(|| Page::of(region.unwrap_or(view.app.focus)))
}

/// Over something that is open the wheel scrolls it, and a click closes what only tells.
fn over(view: &View, event: MouseEvent) -> Vec<Action> {
    match (event.kind, &view.app.popup) {
        (MouseEventKind::ScrollUp, _) => vec![Action::Scroll(-1)],
        (MouseEventKind::ScrollDown, _) => vec![Action::Scroll(1)],
        (MouseEventKind::Down(_), Popup::Help | Popup::Story(_) | Popup::Detail(_) | Popup::Explain(_)) => {
            vec![Action::Cancel]
        }
        _ => Vec::new(),
    }
}

fn region_at(regions: &Regions, at: Position) -> Option<Focus> {
    [
        (regions.chart, Focus::Memory),
        (regions.processes, Focus::Processes),
        (regions.events, Focus::Events),
        (regions.output, Focus::Output),
    ]
    .into_iter()
    .find(|(area, _)| area.contains(at))
    .map(|(_, region)| region)
}

fn click(view: &View, regions: &Regions, at: Position) -> Vec<Action> {
    let Some(region) = region_at(regions, at) else { return Vec::new() };
    let mut actions = vec![Action::Focus(region)];
    match region {
        Focus::Processes => {
            actions.extend(processes::row_at(regions.processes, at.y, view).map(Action::ChooseRow));
        }
        Focus::Events => actions.extend(events::entry_at(regions.events, at.y, view).map(Action::ChooseEntry)),
        // Who clicks into a terminal wants to type there.
        Focus::Output if view.app.alive && !view.app.replaying => actions.push(Action::TypeOn),
        Focus::Output => {}
        Focus::Memory => match grabbed(view, regions.chart, at) {
            Some(limit) => actions.push(Action::Drag(limit)),
            None => actions.extend(moment_at(view, regions.chart, at)),
        },
    }
    actions
}

/// The limit, where its line is under the mouse and there is somebody to move it.
fn grabbed(view: &View, area: Rect, at: Position) -> Option<Limit> {
    let panel = chart::panel_of(area, view).filter(|_| !view.app.replaying)?;
    let limit = view.session.limit()?;
    let row = panel.scale.row(limit.bytes()?)?;
    (row < panel.rows.height && at.y == panel.rows.bottom() - 1 - row).then_some(limit)
}

/// The limit that a row of the chart stands for, rounded; the mouse may be above or below it.
fn limit_at(view: &View, area: Rect, at: Position) -> Option<Limit> {
    let panel = chart::panel_of(area, view)?;
    let row = (panel.rows.bottom() - 1).saturating_sub(at.y);
    let (here, next) = (panel.scale.bytes(row), panel.scale.bytes(row + 1));
    let step = if next - here >= STEP { STEP } else { FINE };
    Some(Limit::Bytes((here.saturating_add(step / 2) / step * step).max(step)))
}

/// How to get to the moment of a column of the chart.
fn moment_at(view: &View, area: Rect, at: Position) -> Option<Action> {
    let panel = chart::panel_of(area, view)?;
    let column = at.x.checked_sub(panel.rows.x).filter(|column| *column < panel.rows.width)?;
    let (from, to) = panel.window;
    let share = (f64::from(column) + 0.5) / f64::from(panel.rows.width);
    let moment = from + to.saturating_sub(from).mul_f64(share);
    Some(if view.app.replaying { Action::Play(Play::At(moment)) } else { Action::LookAt(moment) })
}
