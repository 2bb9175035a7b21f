//! The pauses of a run, in its document.

use serde::Serialize;

use super::{LimitValue, since_start};
use crate::{event::Resume, session::Run};

/// A pause: memory was about to run out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PauseDocument {
    /// When it began.
    pub at_seconds: f64,
    /// When it was over: when the workload went on, or when the run ended in it; null while it lasts.
    pub until_seconds: Option<f64>,
    /// Why the workload went on; null where it did not.
    pub resumed_by: Option<Resume>,
    /// The limit then.
    pub limit: LimitValue,
    /// What was charged then.
    pub usage_bytes: u64,
    /// The part of it that could not be given back.
    pub unreclaimable_bytes: u64,
    /// Whether the limit itself was met.
    pub at_limit: bool,
    /// Whether all processes were stopped.
    pub frozen: bool,
}

pub(super) fn pauses(run: &Run) -> Vec<PauseDocument> {
    let end = run.ended.as_ref().map(|(at, _)| *at);
    let document = |paused: &crate::session::Paused| PauseDocument {
        at_seconds: since_start(run, paused.at),
        until_seconds: paused.over.map(|(at, _)| at).or(end).map(|at| since_start(run, at)),
        resumed_by: paused.over.map(|(_, by)| by),
        limit: paused.how.limit.into(),
        usage_bytes: paused.how.usage,
        unreclaimable_bytes: paused.how.unreclaimable,
        at_limit: paused.how.at_limit,
        frozen: paused.how.frozen,
    };
    run.pauses.list().iter().map(document).collect()
}
