//! One run of the command: what its events add up to. The session tells its story; this keeps its numbers.

mod sample;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    What,
    edits::Edits,
    forecast::Growth,
    history::History,
    knobs::Asked,
    moves::{Moved, Moves, took_effect},
    other_limits::LimitsMet,
    outcome::Outcome,
    pauses::Pauses,
    row::Row,
    since::Baseline,
    stall::Stalls,
    stories::Stories,
};
use crate::{
    event::{
        Above, Author, Change, ChangeOutcome, Controller, Ended, Event, Killer, LimitOutcome, MemoryStat, OomPolicy,
        Pressure, Sample, Settings, Started, Swapping, Unreclaimable, Victim,
    },
    units::{Limit, is_lower},
};

/// How many kills and edits a run keeps to mark, and how many of the kernel's victims by name.
const MARKS_KEPT: usize = 2000;
const VICTIMS_KEPT: usize = 256;

/// A pid is this long that of the process which the kernel named as killed: after that it may be another's.
pub(super) const JUST_NAMED: Duration = Duration::from_secs(1);

/// Where the highest usage of a run is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HighestFrom {
    /// The kernel kept it: nothing was missed.
    Kernel,
    /// This kernel keeps none (v2 before 5.19): it is the highest sample, and usage may have been higher between two.
    Samples,
}

impl HighestFrom {
    /// The word that the outputs have for it.
    pub fn word(self) -> &'static str {
        match self {
            HighestFrom::Kernel => "kernel",
            HighestFrom::Samples => "samples",
        }
    }
}

/// One run of the command.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it was started.
    pub started: Started,
    /// When its sandbox was made.
    pub at: Duration,
    /// When its main process was let go, and that process's pids (inside, outside).
    pub running: Option<(Duration, i32, Option<i32>)>,
    /// When and how it ended.
    pub ended: Option<(Duration, Ended)>,
    /// The limit now.
    pub limit: Limit,
    /// Whether nobody chose that limit.
    pub limit_is_default: bool,
    /// How the limit moves: what is being written, what was, and what a schedule plans.
    pub moves: Moves,
    /// Changes of other settings that are being made.
    pub changing: Vec<Change>,
    /// What happens when memory runs out.
    pub oom: OomPolicy,
    /// What was asked of the settings.
    pub(super) asked: Asked,
    /// Where the shown counts start, if the user reset them.
    pub since: Baseline,
    /// The newest sample.
    pub last: Option<Sample>,
    /// The newest reading of what usage consists of.
    pub stat: Option<MemoryStat>,
    /// What was then charged and nobody's, in bytes: batches for each CPU.
    pub(super) idle: u64,
    /// The machine's free swap, in bytes.
    pub swap_free: Option<u64>,
    /// Edits of the limit, oldest first.
    pub edits: Edits,
    /// The group's other settings.
    pub settings: Settings,
    /// The highest usage so far, in bytes.
    pub peak: u64,
    /// Whether the kernel told it; else it is the highest that was seen.
    pub peak_is_kernels: bool,
    /// Limits beside the memory limit that were met.
    pub limits_met: LimitsMet,
    /// Limit hits per second, over about the last second.
    pub hit_rate: f64,
    /// How much may be swapped out beside the limit.
    pub swap_limit: Limit,
    /// What is swapped out, in bytes, as last read.
    pub swap: Option<u64>,
    /// The most that was swapped out at once, in bytes, and whether the kernel kept it; else it is the highest that was seen.
    pub swap_peak: Option<(u64, HighestFrom)>,
    /// The highest unreclaimable usage so far, as an interval.
    pub unreclaimable: Option<Unreclaimable>,
    /// What else is known of swapping so far.
    pub swapping: Swapping,
    /// Time lost to waiting for memory so far.
    pub pressure: Option<Pressure>,
    /// The share of time in which some process waited for memory, over about the last second: 0 to 1.
    pub stalled: f64,
    /// The picture's data.
    pub history: History,
    /// What cannot be given back, over the last seconds.
    pub(super) growth: Growth,
    /// When it lived and got nowhere.
    pub stalls: Stalls,
    /// When it was paused because memory was about to run out.
    pub pauses: Pauses,
    /// What is marked on the picture.
    pub marks: Vec<(Duration, Mark)>,
    /// Its processes, by outside pid: the living, and the newest of the dead.
    pub processes: BTreeMap<i32, Row>,
    /// The stories of its kills.
    pub stories: Stories,
    /// The tightest limit above the sandbox's own.
    pub above: Option<Above>,
    /// Who else killed the main process, where that is known.
    pub killer: Option<Killer>,
    /// Whom the kernel named as killed, the newest of them.
    pub victims: Vec<Victim>,
    /// Whose pids those were that were named just now, and when: a process may be told to be born after it was told to be killed.
    pub(super) just_named: Vec<(Duration, i32)>,
    /// How many it named.
    pub named: u64,
    /// How many processes other than the main one have died.
    pub(super) others_died: u64,
    /// What could not be given back when the processes were looked at last, in bytes.
    pub(super) held_then: u64,
    /// When the processes were looked at, and something had moved.
    pub(super) looked: Duration,
    /// When the newest event was.
    pub(super) newest: Duration,
    /// When the kill counter moved last.
    pub last_kill: Option<Duration>,
    /// How many of the newest points of the history were read without what usage consisted of.
    unread: usize,
    hits_second_ago: Option<(Duration, u64)>,
    waits_second_ago: Option<(Duration, u64)>,
}

/// Something marked on the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The OOM killer killed.
    Kill,
    /// The limit was moved down.
    LimitDown,
    /// The limit was moved up.
    LimitUp,
    /// The workload was paused.
    Pause,
    /// It went on.
    Resume,
    /// It lives, and gets nowhere.
    Stall,
}

impl Run {
    pub(super) fn new(at: Duration, started: Started) -> Run {
        let (swap_limit, oom) = (started.swap.unwrap_or(Limit::Bytes(0)), started.oom);
        Run {
            at,
            limit: started.limit,
            limit_is_default: started.limit_is_default,
            moves: Moves::new(&started.schedule),
            asked: Asked::at_start(&started),
            above: started.above.clone(),
            started,
            running: None,
            ended: None,
            changing: Vec::new(),
            oom,
            since: Baseline::default(),
            last: None,
            stat: None,
            idle: 0,
            swap_free: None,
            edits: Edits::default(),
            settings: Settings::default(),
            peak: 0,
            peak_is_kernels: false,
            limits_met: LimitsMet::default(),
            hit_rate: 0.0,
            swap_limit,
            swap: None,
            swap_peak: None,
            unreclaimable: None,
            swapping: Swapping::default(),
            pressure: None,
            stalled: 0.0,
            history: History::default(),
            growth: Growth::default(),
            stalls: Stalls::default(),
            pauses: Pauses::default(),
            marks: Vec::new(),
            processes: BTreeMap::new(),
            stories: Stories::default(),
            killer: None,
            victims: Vec::new(),
            just_named: Vec::new(),
            named: 0,
            others_died: 0,
            held_then: 0,
            looked: at,
            newest: at,
            last_kill: None,
            unread: 0,
            hits_second_ago: None,
            waits_second_ago: None,
        }
    }

    /// How good the highest usage is.
    pub fn highest_from(&self) -> HighestFrom {
        if self.peak_is_kernels { HighestFrom::Kernel } else { HighestFrom::Samples }
    }

    /// Whether it is paused because memory is about to run out.
    pub fn is_paused(&self) -> bool {
        self.ended.is_none() && self.pauses.now().is_some()
    }

    /// Whether it lives and gets nowhere, at its limit.
    pub fn is_stalled(&self) -> bool {
        self.ended.is_none() && self.stalls.now().is_some()
    }

    /// OOM kills so far, in the whole sandbox, as the kernel counts them; `None` where it does not.
    pub fn oom_kills(&self) -> Option<u64> {
        self.last.as_ref()?.oom_kills
    }

    /// How many processes those were: of a group kill the kernel counts the chosen one twice.
    pub fn processes_killed(&self) -> Option<u64> {
        Some(self.oom_kills()?.saturating_sub(self.stories.repeated()))
    }

    /// Limit hits so far.
    pub fn limit_hits(&self) -> Option<u64> {
        self.last.as_ref()?.limit_hits
    }

    /// Usage at the newest sample, in bytes.
    pub fn usage(&self) -> u64 {
        self.last.as_ref().map_or(0, |sample| sample.usage)
    }

    /// That a limit above the sandbox's is lower, if one is.
    pub(super) fn tighter_above(&self) -> Option<What> {
        Some(What::TighterAbove { above: self.tighter()?.clone(), limit: self.limit })
    }

    /// The limit above that is met before ours, if one is.
    pub fn tighter(&self) -> Option<&Above> {
        self.tighter_than(self.limit_in_force())
    }

    /// The limit above that is met before this one, if one is.
    pub fn tighter_than(&self, limit: Limit) -> Option<&Above> {
        let limit = limit.bytes();
        self.above.as_ref().filter(|above| limit.is_none_or(|limit| above.limit < limit))
    }

    /// Where the run's own time starts: when its main process was let go.
    pub fn origin(&self) -> Duration {
        self.running.map_or(self.at, |(at, ..)| at)
    }

    /// How long the main process has run, or ran.
    pub fn elapsed(&self, now: Duration) -> Duration {
        if let Some(wall) = self.ended.as_ref().and_then(|(_, ended)| ended.wall) {
            return wall;
        }
        self.ended.as_ref().map_or(now, |(at, _)| *at).saturating_sub(self.origin())
    }

    /// The limit that the kernel acts on. v2 takes a new one at once, and reclaims and kills before the write returns; v1 reclaims first, and may
    /// refuse.
    pub(super) fn limit_in_force(&self) -> Limit {
        match self.moves.writing() {
            Some((_, target)) if self.started.controller == Controller::V2 => target,
            _ => self.limit,
        }
    }

    /// Takes in an event; what it tells, and when that happened.
    pub(super) fn apply(&mut self, at: Duration, event: &Event) -> Vec<(Duration, What)> {
        self.newest = self.newest.max(at);
        let now = |told: Vec<What>| told.into_iter().map(|what| (at, what)).collect();
        match event {
            Event::Running { pid, host_pid } => self.running = Some((at, *pid, *host_pid)),
            Event::Sample(sample) => return now(self.sample(at, sample)),
            Event::Processes(changes) => self.processes_changed(at, changes),
            Event::LimitRequested { target, by } => {
                let from = self.moves.ordered_last().unwrap_or(self.limit);
                let goes_on = self.moves.asked(at, *target, *by);
                self.edits.asked(at, from, *target, goes_on);
            }
            Event::LimitDone { target, by, outcome } => {
                return self.limit_done(at, *target, *by, outcome).into_iter().collect();
            }
            Event::ChangeRequested { change } => self.changing.push(*change),
            Event::ChangeDone { change, outcome } => {
                return now(self.change_done(at, *change, outcome).into_iter().collect());
            }
            Event::Paused(pause) => {
                if !self.is_paused() {
                    self.mark(at, Mark::Pause);
                }
                return vec![(at, self.pauses.paused(at, *pause))];
            }
            Event::Reclaimed(reclaimed) => {
                self.pauses.reclaimed(reclaimed);
                self.growth.clear();
                return vec![(at, What::Reclaimed { sum: *reclaimed })];
            }
            Event::Resumed { by } => {
                let told = self.pauses.resumed(at, *by);
                if told.is_some() {
                    self.mark(at, Mark::Resume);
                    self.growth.clear();
                }
                return now(told.into_iter().collect());
            }
            Event::Shares(shares) => {
                for share in shares {
                    if let Some(row) = self.processes.get_mut(&share.host_pid) {
                        row.share = Some((at, *share));
                    }
                }
            }
            Event::OomDump(dump) => self.oom_dump(dump),
            Event::Victim(victim) => return now(self.victim(at, victim)),
            Event::Ended(ended) => {
                // Told once all was read and removed; it ended when the main process did.
                let at = ended.wall.map_or(at, |wall| self.origin().saturating_add(wall).min(at));
                self.ended = Some((at, ended.clone()));
                self.stories_end(at, self.outcome() == Some(Outcome::OomKilled));
                self.moves.over();
                self.changing.clear();
                self.growth.clear();
                self.stalls.ended();
                return vec![(at, What::Ended)];
            }
            Event::Settings(settings) => return now(self.settings_found(at, settings)),
            _ => {}
        }
        Vec::new()
    }

    fn mark(&mut self, at: Duration, mark: Mark) {
        if self.marks.len() == MARKS_KEPT {
            self.marks.remove(0);
        }
        self.marks.push((at, mark));
    }

    fn limit_done(
        &mut self,
        at: Duration,
        target: Limit,
        by: Author,
        outcome: &LimitOutcome,
    ) -> Option<(Duration, What)> {
        let since = self.moves.answered(at, target, by, outcome);
        self.edits.answered(target, outcome);
        self.asked.limit_moved(at);
        let what = match outcome {
            LimitOutcome::Applied { now } => {
                let from = std::mem::replace(&mut self.limit, *now);
                self.limit_is_default = false;
                if from == *now {
                    return None; // nothing moved
                }
                let (at, to) = (took_effect(self.started.controller, since, at), *now);
                if !self.moves.moved(Moved { at, from, to, by }) {
                    self.mark(at, if is_lower(from, to) { Mark::LimitDown } else { Mark::LimitUp });
                }
                return Some((at, What::LimitMoved { from, to, by }));
            }
            LimitOutcome::Busy { usage, kept } => {
                self.limit = *kept;
                What::LimitBusy { target, usage: *usage, kept: *kept, by }
            }
            LimitOutcome::Failed { reason } => What::LimitFailed { reason: reason.clone(), by },
            LimitOutcome::NextRun => return None, // the session's
        };
        Some((at, what))
    }

    fn change_done(&mut self, at: Duration, change: Change, outcome: &ChangeOutcome) -> Option<What> {
        if let Some(place) = self.changing.iter().position(|c| *c == change) {
            self.changing.remove(place);
        }
        if *outcome == ChangeOutcome::Done {
            self.asked.made(at, change);
            match change {
                Change::Oom(policy) => self.oom = policy,
                Change::Swap(swap) => self.swap_limit = swap,
                Change::OomScoreAdj { host_pid, value } => {
                    if let Some(row) = self.processes.get_mut(&host_pid) {
                        row.process.usage.oom_score_adj = value;
                    }
                }
                _ => {}
            }
        }
        Some(match outcome {
            ChangeOutcome::Done => What::Changed { change, next: false },
            ChangeOutcome::Failed { reason } => What::ChangeFailed { change, reason: reason.clone() },
            ChangeOutcome::NextRun => return None, // the session's
        })
    }

    fn victim(&mut self, at: Duration, victim: &Victim) -> Vec<What> {
        self.victim_named(at, victim);
        if let Some(row) = self.processes.get_mut(&victim.host_pid) {
            row.oom_killed = true;
        }
        self.named += 1;
        if victim.killed_with == Some(victim.host_pid) {
            return Vec::new(); // it is named already
        }
        if self.victims.len() == VICTIMS_KEPT {
            self.victims.remove(0);
        }
        self.victims.push(victim.clone());
        self.just_named.retain(|(then, _)| at.saturating_sub(*then) < JUST_NAMED);
        self.just_named.truncate(VICTIMS_KEPT);
        self.just_named.insert(0, (at, victim.host_pid));
        // Named before the counter was read: the coming sample takes the name. After it: the entry that is there gets it.
        match self.named <= self.oom_kills().unwrap_or(0) {
            true => {
                let (victim, scope) = (Some(victim.clone()), self.stories.scope());
                vec![What::OomKill { count: 0, victim, limit: self.limit, scope }]
            }
            false => Vec::new(),
        }
    }
}
