//! One run of the command: what its events add up to. The session tells its story; this keeps its numbers.

use std::{collections::BTreeMap, time::Duration};

use super::{
    What,
    history::{History, Point},
};
use crate::{
    event::{Ended, Event, LimitOutcome, MemoryStat, Process, ProcessChanges, ProcessUsage, Sample, Started, Victim},
    units::{Limit, is_lower},
};

/// How many dead processes a run keeps to show.
pub(super) const DEAD_KEPT: usize = 32;

/// How many kills and edits a run keeps to mark, and how many of the kernel's victims by name.
const MARKS_KEPT: usize = 2000;
const VICTIMS_KEPT: usize = 256;

/// One run of the command.
#[derive(Debug)]
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
    /// A change of the limit that is being written.
    pub writing: Option<Limit>,
    /// The newest sample.
    pub last: Option<Sample>,
    /// The newest reading of what usage consists of.
    pub stat: Option<MemoryStat>,
    /// The highest usage so far, in bytes.
    pub peak: u64,
    /// Limit hits per second, over about the last second.
    pub hit_rate: f64,
    /// The picture's data.
    pub history: History,
    /// What is marked on the picture.
    pub marks: Vec<(Duration, Mark)>,
    /// Its processes, by outside pid: the living, and the newest of the dead.
    pub processes: BTreeMap<i32, Row>,
    /// Whom the kernel named as killed, the newest of them.
    pub victims: Vec<Victim>,
    /// How many it named.
    pub named: u64,
    /// When the kill counter moved last.
    pub last_kill: Option<Duration>,
    hits_second_ago: Option<(Duration, u64)>,
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
}

/// A process, alive or dead.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is known of it.
    pub process: Process,
    /// CPU use over its last two readings, in percent of one core.
    pub cpu: f64,
    /// When it died.
    pub died: Option<Duration>,
    /// Whether the OOM killer did it.
    pub oom_killed: bool,
    cpu_read: (Duration, u64),
}

impl Run {
    pub(super) fn new(at: Duration, started: Started) -> Run {
        Run {
            at,
            limit: started.limit,
            limit_is_default: started.limit_is_default,
            started,
            running: None,
            ended: None,
            writing: None,
            last: None,
            stat: None,
            peak: 0,
            hit_rate: 0.0,
            history: History::default(),
            marks: Vec::new(),
            processes: BTreeMap::new(),
            victims: Vec::new(),
            named: 0,
            last_kill: None,
            hits_second_ago: None,
        }
    }

    /// OOM kills so far, in the whole sandbox; `None` where the kernel does not count them.
    pub fn oom_kills(&self) -> Option<u64> {
        self.last.as_ref()?.oom_kills
    }

    /// Limit hits so far.
    pub fn limit_hits(&self) -> Option<u64> {
        self.last.as_ref()?.limit_hits
    }

    /// Usage at the newest sample, in bytes.
    pub fn usage(&self) -> u64 {
        self.last.as_ref().map_or(0, |sample| sample.usage)
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

    pub(super) fn apply(&mut self, at: Duration, event: &Event) -> Vec<What> {
        match event {
            Event::Running { pid, host_pid } => self.running = Some((at, *pid, *host_pid)),
            Event::Sample(sample) => return self.sample(at, sample),
            Event::Processes(changes) => self.processes(at, changes),
            Event::LimitRequested { target } => self.writing = Some(*target),
            Event::LimitDone { target, outcome } => return self.limit_done(at, *target, outcome).into_iter().collect(),
            Event::Victim(victim) => return self.victim(victim),
            Event::Ended(ended) => {
                // Told once all was read and removed; it ended when the main process did.
                let at = ended.wall.map_or(at, |wall| (self.origin() + wall).min(at));
                self.ended = Some((at, ended.clone()));
                self.writing = None;
                return vec![What::Ended];
            }
            _ => {}
        }
        Vec::new()
    }

    fn sample(&mut self, at: Duration, sample: &Sample) -> Vec<What> {
        let mut told = Vec::new();
        let hits_before = self.limit_hits().unwrap_or(0);
        let kills_before = self.oom_kills().unwrap_or(0);
        if hits_before == 0 && sample.limit_hits.unwrap_or(0) > 0 {
            told.push(What::FirstHit { limit: self.limit });
        }
        let kills = sample.oom_kills.unwrap_or(0).saturating_sub(kills_before);
        if kills > 0 {
            self.mark(at, Mark::Kill);
            self.last_kill = Some(at);
            let named = self.victims.last().filter(|_| self.named > kills_before);
            told.push(What::OomKill { count: kills, victim: named.cloned(), limit: self.limit });
        }
        self.measure_hit_rate(at, sample.limit_hits.unwrap_or(0));
        self.stat = sample.stat.or(self.stat);
        let peak = sample.peak.unwrap_or(sample.usage);
        self.peak = self.peak.max(peak);
        let reclaimable = self.stat.map_or(0, |stat| stat.file).min(sample.usage);
        self.history.push(Point { at, usage: sample.usage, peak, reclaimable, limit: self.limit });
        self.last = Some(sample.clone());
        told
    }

    fn mark(&mut self, at: Duration, mark: Mark) {
        if self.marks.len() == MARKS_KEPT {
            self.marks.remove(0);
        }
        self.marks.push((at, mark));
    }

    fn measure_hit_rate(&mut self, at: Duration, hits: u64) {
        let (since, base) = *self.hits_second_ago.get_or_insert((at, hits));
        let seconds = at.saturating_sub(since).as_secs_f64();
        if seconds >= 1.0 {
            self.hit_rate = hits.saturating_sub(base) as f64 / seconds;
            self.hits_second_ago = Some((at, hits));
        }
    }

    fn limit_done(&mut self, at: Duration, target: Limit, outcome: &LimitOutcome) -> Option<What> {
        if self.writing == Some(target) {
            self.writing = None; // later edits may be queued behind this one
        }
        Some(match outcome {
            LimitOutcome::Applied { now } => {
                let from = std::mem::replace(&mut self.limit, *now);
                self.limit_is_default = false;
                if from == *now {
                    return None; // nothing moved
                }
                let mark = if is_lower(from, *now) { Mark::LimitDown } else { Mark::LimitUp };
                self.mark(at, mark);
                What::LimitMoved { from, to: *now }
            }
            LimitOutcome::Busy { usage, kept } => {
                self.limit = *kept;
                What::LimitBusy { target, usage: *usage, kept: *kept }
            }
            LimitOutcome::Failed { reason } => What::LimitFailed { reason: reason.clone() },
            LimitOutcome::NextRun => return None, // the session's
        })
    }

    fn victim(&mut self, victim: &Victim) -> Vec<What> {
        if let Some(row) = self.processes.get_mut(&victim.host_pid) {
            row.oom_killed = true;
        }
        self.named += 1;
        if self.victims.len() == VICTIMS_KEPT {
            self.victims.remove(0);
        }
        self.victims.push(victim.clone());
        // Named before the counter was read: the coming sample takes the name. After it: the entry that is there gets it.
        match self.named <= self.oom_kills().unwrap_or(0) {
            true => vec![What::OomKill { count: 0, victim: Some(victim.clone()), limit: self.limit }],
            false => Vec::new(),
        }
    }

    fn processes(&mut self, at: Duration, changes: &ProcessChanges) {
        for process in &changes.born {
            let cpu_read = (at, process.usage.cpu_ms);
            let killed = self.victims.iter().any(|v| v.host_pid == process.host_pid);
            let row = Row { process: process.clone(), cpu: 0.0, died: None, oom_killed: killed, cpu_read };
            self.processes.insert(process.host_pid, row);
        }
        for (pid, usage) in &changes.changed {
            if let Some(row) = self.processes.get_mut(pid) {
                row.update(at, *usage);
            }
        }
        for pid in &changes.died {
            if let Some(row) = self.processes.get_mut(pid) {
                row.died = Some(at);
                row.cpu = 0.0;
            }
        }
        self.forget_old_dead();
    }

    /// Keeps the newest of the dead, and of those first the ones that were killed.
    fn forget_old_dead(&mut self) {
        let mut dead: Vec<(bool, Duration, i32)> =
            self.processes.iter().filter_map(|(pid, row)| row.died.map(|at| (row.oom_killed, at, *pid))).collect();
        if dead.len() > DEAD_KEPT {
            dead.sort_unstable();
            for (_, _, pid) in &dead[..dead.len() - DEAD_KEPT] {
                self.processes.remove(pid);
            }
        }
    }
}

impl Row {
    fn update(&mut self, at: Duration, usage: ProcessUsage) {
        self.process.usage = usage;
        let (since, before) = self.cpu_read;
        let elapsed = at.saturating_sub(since).as_millis() as u64;
        // CPU time moves in steps of a clock tick: over less than half a second it says nothing.
        if elapsed >= 500 {
            self.cpu = usage.cpu_ms.saturating_sub(before) as f64 * 100.0 / elapsed as f64;
            self.cpu_read = (at, usage.cpu_ms);
        }
    }
}
