//! The schedule of a run in its document: each move as planned, when it was written, and what became of it.

use serde::Serialize;

use super::{LimitValue, since_start};
use crate::{
    event::LimitOutcome,
    session::{Planned, Run},
};

/// `--schedule`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleDocument {
    /// As it can be typed.
    pub typed: String,
    /// The moves that it plans, those of a ramp one by one.
    pub moves: Vec<MoveDocument>,
}

/// A move of the limit that was planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MoveDocument {
    /// The step that it belongs to, from 1.
    pub step: usize,
    /// When it was planned.
    pub at_seconds: f64,
    /// The limit then.
    pub to: LimitValue,
    /// What became of it.
    pub outcome: Planning,
    /// When its write was ordered.
    pub ordered_seconds: Option<f64>,
    /// When the kernel had answered.
    pub done_seconds: Option<f64>,
    /// The limit after it, as read back.
    pub limit: Option<LimitValue>,
    /// Why it failed, where it was not refused.
    pub reason: Option<String>,
}

/// What became of a planned move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Planning {
    /// The run started with it.
    AtStart,
    /// It was written.
    Applied,
    /// The kernel refused it.
    Refused,
    /// It could not be written.
    Failed,
    /// It is being written, or was when the run ended.
    Pending,
    /// It was left out: the one before was still being written, or the user had the run start with another limit.
    Skipped,
    /// It is to come, or the run ended before it.
    NotReached,
}

/// The schedule of a run, where it has one.
pub(super) fn document(run: &Run) -> Option<ScheduleDocument> {
    let planned = &run.moves.planned;
    let last_asked = planned.iter().rposition(|planned| planned.asked.is_some());
    let moves =
        planned.iter().enumerate().map(|(n, planned)| one(run, planned, last_asked.is_some_and(|last| n < last)));
    let schedule = &run.started.schedule;
    (!schedule.is_empty()).then(|| ScheduleDocument { typed: schedule.to_string(), moves: moves.collect() })
}

fn one(run: &Run, planned: &Planned, was_passed: bool) -> MoveDocument {
    let let_go = run.running.is_some();
    let (outcome, limit, reason) = match &planned.done {
        Some((_, LimitOutcome::Applied { now })) => (Planning::Applied, Some(*now), None),
        Some((_, LimitOutcome::Busy { kept, .. })) => (Planning::Refused, Some(*kept), None),
        Some((_, LimitOutcome::Failed { reason })) => (Planning::Failed, None, Some(reason.clone())),
        Some((_, LimitOutcome::NextRun)) => (Planning::Skipped, None, None), // never so: it is ordered while it runs
        None if planned.asked.is_some() => (Planning::Pending, None, None),
        None if planned.is_start(&run.started) => (Planning::AtStart, Some(run.started.limit), None),
        None if was_passed || (let_go && planned.planned.at.is_zero()) => (Planning::Skipped, None, None),
        None => (Planning::NotReached, None, None),
    };
    MoveDocument {
        step: planned.planned.step + 1,
        at_seconds: planned.planned.at.as_secs_f64(),
        to: planned.planned.to.into(),
        outcome,
        ordered_seconds: planned.asked.map(|at| since_start(run, at)),
        done_seconds: planned.done.as_ref().map(|(at, _)| since_start(run, *at)),
        limit: limit.map(LimitValue::from),
        reason,
    }
}
