//! What the events of a session add up to: a pure fold.
//!
//! [`Session::apply`] is the only interpreter of events; live and replay cannot disagree. Time is what the events say. Refuses: I/O, clocks, sentences.

pub mod history;
pub mod outcome;
mod run;

use std::time::Duration;

use crate::{
    event::{Event, LimitOutcome, Note, Stamped, Started, Victim},
    units::Limit,
};
pub use run::{Mark, Row, Run};

/// How many entries the log keeps.
const LOG_KEPT: usize = 2000;

/// Kills closer together than this are one entry with a count.
const SAME_KILL_STORY: Duration = Duration::from_secs(2);

/// How many runs keep their history; older ones keep their entries in the log.
const RUNS_KEPT: usize = 8;

/// All that is known.
#[derive(Debug, Default)]
pub struct Session {
    /// The runs, oldest first.
    pub runs: Vec<Run>,
    /// What happened, oldest first.
    pub log: Vec<Entry>,
    /// The time of the newest event.
    pub now: Duration,
    /// The limit of the next run, once that was changed after a run's end.
    pub next_limit: Option<Limit>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Duration,
    /// The number of the run.
    pub run: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A run started under this limit.
    Started {
        /// The limit.
        limit: Limit,
        /// Whether nobody chose it.
        default: bool,
        /// Whether it waits to be told.
        held: bool,
    },
    /// Usage met the limit for the first time in this run.
    FirstHit {
        /// The limit.
        limit: Limit,
    },
    /// The OOM killer killed; kills in quick succession are one entry.
    OomKill {
        /// How many.
        count: u64,
        /// The last of them, where the kernel named it.
        victim: Option<Victim>,
        /// The limit that was met.
        limit: Limit,
    },
    /// The limit was moved.
    LimitMoved {
        /// From.
        from: Limit,
        /// To.
        to: Limit,
    },
    /// The limit of the next run was set.
    LimitNext {
        /// To.
        to: Limit,
    },
    /// The kernel refused a limit.
    LimitBusy {
        /// What was asked for.
        target: Limit,
        /// What is used, in bytes.
        usage: u64,
        /// What stays.
        kept: Limit,
    },
    /// A change of the limit failed.
    LimitFailed {
        /// The whole sentence.
        reason: String,
    },
    /// Something to know.
    Note(Note),
    /// The run ended; how is with the run itself.
    Ended,
}

impl Session {
    /// Takes in one event.
    pub fn apply(&mut self, stamped: &Stamped) {
        let at = stamped.at;
        self.now = self.now.max(at);
        match &stamped.event {
            Event::Started(started) => self.start(at, started),
            Event::LimitDone { target, outcome: LimitOutcome::NextRun } => {
                self.next_limit = Some(*target);
                self.note(at, What::LimitNext { to: *target });
            }
            Event::Note(note) => {
                if let (Note::LimitChangedElsewhere { now }, Some(run)) = (note, self.runs.last_mut()) {
                    run.limit = *now;
                    run.limit_is_default = false;
                }
                self.note(at, What::Note(note.clone()));
            }
            event => {
                let Some(run) = self.runs.last_mut() else { return };
                let number = run.started.run;
                let told = run.apply(at, event);
                let end = run.ended.as_ref().map_or(at, |(at, _)| *at);
                for what in told {
                    let at = if what == What::Ended { end } else { at };
                    self.tell(Entry { at, run: number, what });
                }
            }
        }
    }

    /// The newest run.
    pub fn run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// The limit that holds now, or from the next start.
    pub fn limit(&self) -> Option<Limit> {
        self.next_limit.or_else(|| self.run().map(|run| run.limit))
    }

    /// Whether a workload runs, or is held.
    pub fn is_alive(&self) -> bool {
        self.run().is_some_and(|run| run.ended.is_none())
    }

    /// Whether a command waits to be told to start.
    pub fn is_held(&self) -> bool {
        self.run().is_some_and(|run| run.started.held && run.running.is_none() && run.ended.is_none())
    }

    fn start(&mut self, at: Duration, started: &Started) {
        self.next_limit = None;
        if self.runs.len() == RUNS_KEPT {
            self.runs.remove(0);
        }
        self.runs.push(Run::new(at, started.clone()));
        let (limit, default, held) = (started.limit, started.limit_is_default, started.held);
        self.note(at, What::Started { limit, default, held });
    }

    fn note(&mut self, at: Duration, what: What) {
        let run = self.run().map_or(0, |run| run.started.run);
        self.tell(Entry { at, run, what });
    }

    /// Adds to the log; what belongs to the entry before is folded into it.
    fn tell(&mut self, entry: Entry) {
        if let (What::OomKill { count, victim, limit }, Some(before)) = (&entry.what, self.log.last_mut())
            && let What::OomKill { count: sum, victim: last, limit: then } = &mut before.what
        {
            // A count of nothing is the kernel naming whom it killed: it belongs to the kill before it.
            let same =
                before.run == entry.run && *limit == *then && entry.at.saturating_sub(before.at) < SAME_KILL_STORY;
            if same || *count == 0 {
                *sum += count;
                *last = victim.clone().or(last.take());
                before.at = if *count > 0 { entry.at } else { before.at };
                return;
            }
        }
        if let (What::LimitBusy { .. }, Some(before)) = (&entry.what, self.log.last_mut())
            && matches!(before.what, What::LimitBusy { .. })
            && entry.at.saturating_sub(before.at) < SAME_KILL_STORY
        {
            *before = entry; // a held key is one refusal
            return;
        }
        if self.log.len() == LOG_KEPT {
            self.log.remove(0);
        }
        self.log.push(entry);
    }
}

#[cfg(test)]
mod tests;
