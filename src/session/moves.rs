//! How one run's limit moves: what is being written, what was moved, and what became of each move that a schedule planned.

use std::{collections::VecDeque, time::Duration};

use crate::{
    event::{Author, Controller, LimitOutcome, Started},
    schedule::{Move, Schedule},
    units::Limit,
};

/// How many moves a run keeps.
const MOVES_KEPT: usize = 2000;

/// How a run's limit moves.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// What is being written, oldest first, and since when.
    writing: VecDeque<(Duration, Limit)>,
    /// Who asked for the newest.
    asked_by: Option<Author>,
    /// How the limit was moved, oldest first; the newest of them.
    pub made: Vec<Moved>,
    /// What the schedule plans, in its order.
    pub planned: Vec<Planned>,
}

/// A move of the limit that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// When it took effect.
    pub at: Duration,
    /// From.
    pub from: Limit,
    /// To.
    pub to: Limit,
    /// By whom.
    pub by: Author,
}

/// A move that a schedule plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When and what.
    pub planned: Move,
    /// When it was given to the writer.
    pub asked: Option<Duration>,
    /// When it was answered, and how.
    pub done: Option<(Duration, LimitOutcome)>,
}

impl Moves {
    pub(super) fn new(schedule: &Schedule) -> Moves {
        let plan = |planned| Planned { planned, asked: None, done: None };
        Moves { planned: schedule.moves().into_iter().map(plan).collect(), ..Moves::default() }
    }

    /// An edit was asked for; whether it goes on with the one before it, as those of a ramp do.
    pub(super) fn asked(&mut self, at: Duration, target: Limit, by: Author) -> bool {
        self.writing.push_back((at, target));
        if let Some(planned) = self.planned_by(by) {
            planned.asked = Some(at);
        }
        self.asked_by.replace(by).is_some_and(|before| self.is_one_ramp(before, by))
    }

    /// An edit was answered; since when it was being written.
    pub(super) fn answered(
        &mut self,
        at: Duration,
        target: Limit,
        by: Author,
        outcome: &LimitOutcome,
    ) -> Option<Duration> {
        if let Some(planned) = self.planned_by(by) {
            planned.done = Some((at, outcome.clone()));
        }
        // Later edits may be queued behind this one.
        let since = self.writing.front().filter(|(_, writing)| *writing == target).map(|(since, _)| *since);
        if since.is_some() {
            self.writing.pop_front();
        }
        since
    }

    /// Takes note of a move; whether it goes on with the move before it, as those of a ramp do.
    pub(super) fn moved(&mut self, moved: Moved) -> bool {
        let goes_on = self.made.last().is_some_and(|last| self.is_one_ramp(last.by, moved.by));
        if self.made.len() == MOVES_KEPT {
            self.made.remove(0);
        }
        self.made.push(moved);
        goes_on
    }

    /// Nothing is being written any more: the run is over.
    pub(super) fn over(&mut self) {
        self.writing.clear();
    }

    /// The edit that is being written, and since when it is.
    pub fn writing(&self) -> Option<(Duration, Limit)> {
        self.writing.front().copied()
    }

    /// The edit that was ordered last, while it is not answered.
    pub fn ordered_last(&self) -> Option<Limit> {
        self.writing.back().map(|(_, limit)| *limit)
    }

    /// Whether two edits are moves of the same ramp.
    pub fn is_one_ramp(&self, one: Author, other: Author) -> bool {
        let step = |by| match by {
            Author::Schedule { number } => self.planned.get(number).map(|planned| planned.planned.step),
            Author::User => None,
        };
        step(one).is_some_and(|step_of_one| step(other) == Some(step_of_one))
    }

    fn planned_by(&mut self, by: Author) -> Option<&mut Planned> {
        match by {
            Author::Schedule { number } => self.planned.get_mut(number),
            Author::User => None,
        }
    }

    /// The next move of the schedule, of a ramp its end; `now` counts from when the main process was let go.
    pub fn next_planned(&self, now: Duration) -> Option<&Move> {
        self.planned.iter().map(|planned| &planned.planned).find(|planned| planned.at > now && !planned.on_the_way)
    }
}

impl Planned {
    /// Whether it is how the run started.
    pub fn is_start(&self, started: &Started) -> bool {
        self.planned.at.is_zero() && self.planned.to == started.limit
    }
}

/// When an edit took effect that was being written since then and is done now: v2 acts on a limit when the write starts, v1 when it is done.
pub(super) fn took_effect(controller: Controller, since: Option<Duration>, done: Duration) -> Duration {
    since.filter(|_| controller == Controller::V2).unwrap_or(done)
}
