//! What the events of a session add up to: a pure fold.
//!
//! [`Session::apply`] is the only interpreter of events; live and replay cannot disagree. Time is what the events say. Refuses: I/O, clocks, sentences.

pub mod badness;
mod budget;
pub mod edits;
mod forecast;
mod growth;
pub mod history;
pub mod knobs;
mod living;
mod memory;
mod moves;
mod other_limits;
pub mod outcome;
mod pauses;
mod row;
mod run;
pub mod since;
mod stall;
mod stories;
mod story;
pub(crate) mod verdict;

use std::time::Duration;

use crate::{
    event::{
        Above, Author, Change, ChangeOutcome, Event, LimitOutcome, Note, Pause, Reclaimed, Resume, Scope, Stamped,
        Started, Victim,
    },
    units::Limit,
};
pub use badness::Candidate;
pub use budget::Judged;
pub use edits::{Edit, Fate};
pub use forecast::Forecast;
pub use knobs::{Knob, Lack, Standing, Value};
pub use moves::{Moved, Moves, Planned};
pub use other_limits::LimitsMet;
pub use pauses::{Paused, Pauses};
pub use row::Row;
pub use run::{HighestFrom, Mark, Run};
pub use stall::{Stall, Stalls};
pub use stories::Stories;
pub use story::{BadnessParts, GroupKill, InLine, Moment, Other, PassedOver, Source, Story, Who};
pub use verdict::{Parts, Verdict, Whom};

/// How many entries the log keeps.
const LOG_KEPT: usize = 2000;

/// Kills closer together than this are one entry with a count.
const SAME_KILL_STORY: Duration = Duration::from_secs(2);

/// How many runs keep their history; older ones keep their entries in the log.
const RUNS_KEPT: usize = 8;

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The runs, oldest first.
    pub runs: Vec<Run>,
    /// What happened, oldest first.
    pub log: Vec<Entry>,
    /// How many runs came before those and are forgotten: a recording still has them.
    pub forgotten: u64,
    /// How many lines of the log there were so far that one may want to go to: notes are not counted.
    pub told: u64,
    /// How many of the oldest lines of the log are not kept any more.
    pub dropped: usize,
    /// The time of the newest event.
    pub now: Duration,
    /// The limit of the next run, where it is another than the last one's: it was changed after that one's end, or a schedule starts again.
    pub next_limit: Option<Limit>,
    /// Other settings of the next run, that were changed after a run's end.
    pub(crate) next: Vec<(Knob, Value)>,
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
    /// A limit of processes refused a fork or a thread for the first time in this run.
    PidsLimitMet {
        /// The sandbox's own, where it was that one for certain.
        limit: Option<u64>,
    },
    /// Usage met the soft limit for the first time in this run, and the kernel slows it down there (v2).
    SoftLimitMet {
        /// The soft limit.
        limit: Limit,
    },
    /// The OOM killer killed; kills in quick succession are one entry.
    OomKill {
        /// How many.
        count: u64,
        /// The last of them, where the kernel named it.
        victim: Option<Victim>,
        /// The sandbox's limit.
        limit: Limit,
        /// Whose limit was met, where that is known.
        scope: Option<Scope>,
    },
    /// A limit above the sandbox's is lower, and is met first.
    TighterAbove {
        /// That one.
        above: Above,
        /// The sandbox's.
        limit: Limit,
    },
    /// The limit was moved.
    LimitMoved {
        /// From.
        from: Limit,
        /// To.
        to: Limit,
        /// By whom.
        by: Author,
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
        /// By whom it was ordered.
        by: Author,
    },
    /// A change of the limit failed.
    LimitFailed {
        /// The whole sentence.
        reason: String,
        /// By whom it was ordered.
        by: Author,
    },
    /// Another setting was changed.
    Changed {
        /// How.
        change: Change,
        /// Whether it holds only from the next run on.
        next: bool,
    },
    /// A change of another setting failed.
    ChangeFailed {
        /// What was wanted.
        change: Change,
        /// The whole sentence.
        reason: String,
    },
    /// A setting was changed, and not by us.
    ChangedElsewhere {
        /// Which.
        knob: Knob,
        /// What it is now.
        now: Value,
    },
    /// The limit went down, and the limit of memory and swap together could not follow (v1).
    SwapKept {
        /// How much may be swapped out now.
        now: Limit,
    },
    /// It lives and gets nowhere: what the limit takes away is fetched back at once.
    Stalled {
        /// The limit.
        limit: Limit,
        /// Pages that are fetched back, each second.
        refaults: u64,
    },
    /// It gets on again.
    StallOver {
        /// How long it did not.
        lasted: Duration,
    },
    /// The workload was paused: memory is about to run out.
    Paused {
        /// How it stood.
        pause: Pause,
        /// Whether it was paused already, and stands worse.
        worse: bool,
    },
    /// It goes on.
    Resumed {
        /// Why.
        by: Resume,
    },
    /// Reclaims made room where a pause was due; those in a row are one entry.
    Reclaimed {
        /// How it stood before the first and after the last, and how long the processes stood still in all.
        sum: Reclaimed,
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
        let meant = self.meant(&stamped.event);
        match meant.as_ref().unwrap_or(&stamped.event) {
            Event::Started(started) => self.start(at, started),
            Event::LimitDone { target, outcome: LimitOutcome::NextRun, .. } => {
                self.next_limit = Some(*target);
                self.note(at, What::LimitNext { to: *target });
            }
            Event::ChangeDone { change, outcome: ChangeOutcome::NextRun } => {
                if let Some((knob, value)) = Knob::of(*change) {
                    self.next.retain(|(of, _)| *of != knob);
                    self.next.push((knob, value));
                }
                self.note(at, What::Changed { change: *change, next: true });
            }
            Event::Note(note) => {
                if let (Note::KilledBy { killer }, Some(run)) = (note, self.runs.last_mut()) {
                    run.killer = Some(*killer);
                }
                if let (Note::CountersReset, Some(run)) = (note, self.runs.last_mut()) {
                    run.reset_counters(at);
                }
                if let (Note::LimitChangedElsewhere { now }, Some(run)) = (note, self.runs.last_mut()) {
                    run.limit = *now;
                    run.limit_is_default = false;
                    run.asked.limit_moved(at);
                }
                self.note(at, What::Note(note.clone()));
            }
            event => {
                let Some(run) = self.runs.last_mut() else { return };
                let number = run.started.run;
                let repeated = run.stories.repeated();
                let told = run.apply(at, event);
                if run.stories.repeated() > repeated
                    && let Some(What::OomKill { count, .. }) = self.log.last_mut().map(|entry| &mut entry.what)
                {
                    *count = (*count).saturating_sub(1).max(1); // it was counted before
                }
                if matches!(event, Event::Ended(_))
                    && !run.started.schedule.is_empty()
                    && run.limit != run.started.limit
                {
                    self.next_limit = Some(run.started.limit); // the schedule starts again
                }
                let hint = run.hint();
                for (at, what) in told {
                    self.tell(Entry { at, run: number, what });
                }
                if let (Event::Ended(_), Some(text)) = (event, hint) {
                    self.tell(Entry { at, run: number, what: What::Note(Note::Hint { text }) });
                }
            }
        }
    }

    /// A change of an old recording, as it is called now.
    fn meant(&self, event: &Event) -> Option<Event> {
        let controller = self.run()?.started.controller;
        let meant = |change: &Change| Some(change.on(controller)).filter(|meant| meant != change);
        match event {
            Event::ChangeRequested { change } => Some(Event::ChangeRequested { change: meant(change)? }),
            Event::ChangeDone { change, outcome } => {
                Some(Event::ChangeDone { change: meant(change)?, outcome: outcome.clone() })
            }
            _ => None,
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

    /// What a limit would do now; `None` when nothing runs.
    pub fn verdict(&self, target: Limit) -> Option<Verdict> {
        self.run()?.verdict(target)
    }

    /// The stories of all kills, oldest first, each with its run.
    pub fn stories(&self) -> Vec<(&Run, &Story)> {
        self.runs.iter().flat_map(|run| run.stories.told().iter().map(move |story| (run, story))).collect()
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
        self.next.clear();
        if self.runs.len() == RUNS_KEPT {
            self.runs.remove(0);
            self.forgotten += 1;
        }
        let mut started = started.clone();
        started.changes.iter_mut().for_each(|change| *change = change.on(started.controller));
        self.runs.push(Run::new(at, started.clone()));
        let (limit, default, held) = (started.limit, started.limit_is_default, started.held);
        self.note(at, What::Started { limit, default, held });
        if let Some(what) = self.run().and_then(Run::tighter_above) {
            self.note(at, what);
        }
    }

    fn note(&mut self, at: Duration, what: What) {
        let run = self.run().map_or(0, |run| run.started.run);
        self.tell(Entry { at, run, what });
    }

    /// Adds to the log; what belongs to the entry before is folded into it.
    fn tell(&mut self, entry: Entry) {
        if let (What::OomKill { count, victim, limit, scope }, Some(before)) = (&entry.what, self.log.last_mut())
            && let What::OomKill { count: sum, victim: last, limit: then, scope: whose } = &mut before.what
        {
            // A count of nothing is the kernel naming whom it killed: it belongs to the kill before it.
            let same =
                before.run == entry.run && *limit == *then && entry.at.saturating_sub(before.at) < SAME_KILL_STORY;
            if same || *count == 0 {
                *sum = sum.saturating_add(*count);
                *last = victim.clone().or(last.take());
                *whose = scope.clone().or(whose.take());
                before.at = if *count > 0 { entry.at } else { before.at };
                return;
            }
        }
        if let (What::LimitMoved { to, by, .. }, Some(before)) = (&entry.what, self.log.last_mut())
            && let What::LimitMoved { to: last, by: author, .. } = &mut before.what
            && before.run == entry.run
            && self.runs.last().is_some_and(|run| run.moves.is_one_ramp(*author, *by))
        {
            (*last, *author) = (*to, *by); // a ramp is one entry, from its start to where it is
            return;
        }
        if let (What::LimitBusy { .. }, Some(before)) = (&entry.what, self.log.last_mut())
            && matches!(before.what, What::LimitBusy { .. })
            && entry.at.saturating_sub(before.at) < SAME_KILL_STORY
        {
            *before = entry; // a held key is one refusal
            return;
        }
        if let (What::Reclaimed { sum: new }, Some(before)) = (&entry.what, self.log.last_mut())
            && before.run == entry.run
            && let What::Reclaimed { sum } = &mut before.what
        {
            (*sum, before.at) = (new.after(*sum), entry.at);
            return;
        }
        self.told += u64::from(!matches!(entry.what, What::Note(_)));
        if self.log.len() == LOG_KEPT {
            self.log.remove(0);
            self.dropped += 1;
        }
        // A change of the limit is told when it is done, and what it did meanwhile stands in the log already: cause before effect.
        let edit = matches!(entry.what, What::LimitMoved { .. });
        let later = |before: &&Entry| edit && before.run == entry.run && before.at > entry.at;
        let place = self.log.len() - self.log.iter().rev().take_while(later).count();
        self.log.insert(place, entry);
    }
}

#[cfg(test)]
mod tests;
