//! The events of a recording within bounds of memory: of what is too long the old part is thinned, and never its end.
//!
//! What is kept is as it was read: of each few samples the lowest and the highest, every one that counts a kill or the first limit hit, and all that
//! happened beside. What a dropped sample had to say (the peak since the one before, the newest parts) is said by the next one that stays, so that the peak,
//! the counters and the end of a run add up to what they were; a stall is made of many samples, and its moments may move. Refuses: to drop anything as long as there is room.

use std::collections::{BTreeMap, HashSet};

use super::bounds::memory;
use crate::event::{Event, LimitOutcome, ProcessChanges, Reclaimed, Sample, Stamped};

/// The most memory that the events of a recording take, in bytes.
const MOST: usize = 128 << 20;

/// Of so many samples between two other events the lowest and the highest stay.
const GROUP: usize = 4;

/// The longest piece of output that several are put together to, in bytes.
const LONGEST_OUTPUT: usize = 64 << 10;

/// What was thinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thinned {
    /// Samples that were dropped between others.
    pub samples: u64,
    /// Events, and entries of lists, that had to be left out: no run that is of this world has so many.
    pub left_out: u64,
}

/// How much an event matters when room is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Samples, changes of processes, pieces of output and reclaims are put together where nothing lies between them.
    Gentle,
    /// Also across the kills of a workload that is killed again and again.
    Kills,
    /// All but what the numbers of a run are made of is left out.
    Numbers,
    /// All of the old part is left out, but the start of the run that goes on.
    All,
}

/// The events that are kept.
pub struct Kept {
    events: Vec<Stamped>,
    memory: usize,
    most: usize,
    /// What was thinned so far.
    pub thinned: Thinned,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { events: Vec::new(), memory: 0, most: MOST, thinned: Thinned::default() }
    }
}

impl Kept {
    /// Adds an event at the end, and makes room if there is too little.
    pub fn push(&mut self, stamped: Stamped) {
        self.memory += memory(&stamped);
        self.events.push(stamped);
        if self.memory > self.most {
            self.make_room();
        }
    }

    /// All of them.
    pub fn into_events(mut self) -> Vec<Stamped> {
        self.events.shrink_to_fit();
        self.events
    }

    fn make_room(&mut self) {
        for level in [Level::Gentle, Level::Kills, Level::Numbers, Level::All] {
            let old = self.old();
            self.thin(old, level);
            self.memory = self.events.iter().map(memory).sum();
            if self.memory <= self.most / 4 * 3 {
                return;
            }
        }
    }

    /// How many events are the old part: three quarters of the memory, the newest event never.
    fn old(&self) -> usize {
        let mut sum = 0;
        let old = self.events.iter().position(|stamped| {
            sum += memory(stamped);
            sum > self.most / 4 * 3
        });
        old.unwrap_or(self.events.len()).min(self.events.len().saturating_sub(1))
    }

    fn thin(&mut self, old: usize, level: Level) {
        let mut stays = Choice::of(&self.events[..old], level);
        if level >= Level::Numbers {
            stays.leave_out(&self.events[..old], level);
        }
        let mut held = Held::default();
        for (n, stamped) in self.events[..old].iter_mut().enumerate() {
            match stays.0[n] {
                Fate::Stays => held.give(&mut stamped.event),
                Fate::Folded => {
                    self.thinned.samples += u64::from(matches!(stamped.event, Event::Sample(_)));
                    held.take(&mut stamped.event);
                }
                Fate::Gone => self.thinned.left_out += 1,
            }
        }
        let mut fates = stays.0.into_iter();
        self.events.retain(|_| fates.next().is_none_or(|fate| fate == Fate::Stays));
    }
}

/// Leaves about half of the samples, and of what lies between other events about half of the changes of processes and of the pieces of output; the
/// others say what those that go had to say. How many samples went.
pub fn halve(events: &mut Vec<Stamped>) -> u64 {
    let mut kept = Kept { events: std::mem::take(events), ..Kept::default() };
    kept.thin(kept.events.len(), Level::Gentle);
    *events = kept.events;
    kept.thinned.samples
}

/// What becomes of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// The next of its kind says what it had to say.
    Folded,
    Gone,
}

/// What becomes of each.
struct Choice(Vec<Fate>);

impl Choice {
    fn of(events: &[Stamped], level: Level) -> Choice {
        let mut choice = Choice(vec![Fate::Stays; events.len()]);
        let mut group: Vec<usize> = Vec::new();
        let (mut last, mut processes, mut output, mut reclaims) = (None, None, None, None);
        let (mut hits, mut kills) = (0, 0);
        let last_kills = last_kills(events);
        for (n, stamped) in events.iter().enumerate() {
            match &stamped.event {
                Event::Sample(sample) => {
                    let (hits_now, kills_now) = (sample.limit_hits.unwrap_or(0), sample.oom_kills.unwrap_or(0));
                    // The first sample after something that happened belongs to it.
                    let counts = last.is_none()
                        || (hits == 0) != (hits_now == 0)
                        || (kills != kills_now && (level < Level::Kills || last_kills.contains(&n)));
                    (hits, kills, last) = (hits_now, kills_now, Some(n));
                    if counts || sample.other_limits.is_some() {
                        reclaims = None; // it may tell something, which lies between
                    }
                    if !counts {
                        group.push(n);
                    }
                    if counts || group.len() == GROUP {
                        choice.close(&mut group, events);
                    }
                }
                Event::Processes(later) => {
                    processes = choice.pair(processes, n, |before| match &events[before].event {
                        Event::Processes(earlier) => can_fold(earlier, later),
                        _ => false,
                    });
                }
                Event::Output(later) => {
                    output = choice.pair(output, n, |before| match &events[before].event {
                        Event::Output(earlier) => earlier.len() + later.len() <= LONGEST_OUTPUT,
                        _ => false,
                    });
                }
                Event::Reclaimed(_) => reclaims = choice.pair(reclaims, n, |_| true),
                Event::Victim(_) | Event::OomDump(_) if level >= Level::Kills => reclaims = None,
                other => {
                    choice.close(&mut group, events);
                    // What the dropped ones had to say is not said on the other side of something that happened.
                    last.take().into_iter().for_each(|last: usize| choice.0[last] = Fate::Stays);
                    (processes, output, reclaims) = (None, None, None);
                    if let Event::Started(_) = other {
                        (hits, kills) = (0, 0);
                    }
                }
            }
        }
        choice.close(&mut group, events);
        last.into_iter().for_each(|last| choice.0[last] = Fate::Stays);
        choice
    }

    /// Of a few samples the lowest and the highest stay.
    fn close(&mut self, group: &mut Vec<usize>, events: &[Stamped]) {
        let usage = |n: &usize| if let Event::Sample(sample) = &events[*n].event { sample.usage } else { 0 };
        let (low, high) = (group.iter().copied().min_by_key(usage), group.iter().copied().max_by_key(usage));
        for n in group.drain(..) {
            if ![low, high].contains(&Some(n)) {
                self.0[n] = Fate::Folded;
            }
        }
    }

    /// Every second of a kind is folded into the one after it, where it can be; the one that waits for its second now.
    fn pair(&mut self, waits: Option<usize>, n: usize, folds: impl Fn(usize) -> bool) -> Option<usize> {
        match waits.filter(|before| folds(*before)) {
            Some(before) => {
                self.0[before] = Fate::Folded;
                None
            }
            None => Some(n),
        }
    }

    /// Leaves out what the numbers do without, or all; never the start of the run that goes on.
    fn leave_out(&mut self, events: &[Stamped], level: Level) {
        let run = events.iter().rposition(|stamped| matches!(stamped.event, Event::Started(_))).unwrap_or(0);
        for (n, stamped) in events.iter().enumerate() {
            let stays = match &stamped.event {
                Event::Started(_) | Event::Running { .. } => level < Level::All || n >= run && n < run + 8,
                Event::Sample(_) | Event::Ended(_) | Event::LimitRequested { .. } => level < Level::All,
                Event::Reclaimed(_) => level < Level::All,
                Event::LimitDone { outcome: LimitOutcome::Applied { .. }, .. } => level < Level::All,
                _ => false,
            };
            if !stays {
                self.0[n] = Fate::Gone;
            }
        }
    }
}

/// The samples that count the last kill of each run: how a run ended may be told by when that was.
fn last_kills(events: &[Stamped]) -> HashSet<usize> {
    let (mut found, mut kills, mut last) = (HashSet::new(), 0, None);
    for (n, stamped) in events.iter().enumerate() {
        match &stamped.event {
            Event::Started(_) => {
                kills = 0;
                found.extend(last.take());
            }
            Event::Sample(sample) => {
                let now = sample.oom_kills.unwrap_or(0);
                if std::mem::replace(&mut kills, now) != now {
                    last = Some(n);
                }
            }
            _ => {}
        }
    }
    found.extend(last);
    found
}

/// Whether two changes of processes can be one: a pid that is gone in the first is not another process's in the second.
fn can_fold(earlier: &ProcessChanges, later: &ProcessChanges) -> bool {
    let gone: HashSet<i32> = earlier.died.iter().copied().collect();
    later.born.iter().all(|process| !gone.contains(&process.host_pid))
}

/// What dropped events had to say, for the next of their kind.
#[derive(Default)]
struct Held {
    sample: Option<Sample>,
    processes: Option<ProcessChanges>,
    output: Vec<u8>,
    reclaimed: Option<Reclaimed>,
}

impl Held {
    fn take(&mut self, event: &mut Event) {
        self.give(event);
        match event {
            Event::Sample(sample) => self.sample = Some(std::mem::take(sample)),
            Event::Processes(changes) => self.processes = Some(std::mem::take(changes)),
            Event::Output(bytes) => self.output = std::mem::take(bytes),
            Event::Reclaimed(reclaimed) => self.reclaimed = Some(*reclaimed),
            _ => {}
        }
    }

    fn give(&mut self, event: &mut Event) {
        match event {
            Event::Sample(sample) => {
                if let Some(before) = self.sample.take() {
                    *sample = std::mem::take(sample).after(before);
                }
            }
            Event::Processes(changes) => {
                if let Some(before) = self.processes.take() {
                    fold(before, changes);
                }
            }
            Event::Reclaimed(later) => *later = self.reclaimed.take().map_or(*later, |earlier| later.after(earlier)),
            Event::Output(bytes) if !self.output.is_empty() => {
                let mut all = std::mem::take(&mut self.output);
                all.append(bytes);
                all.shrink_to_fit();
                *bytes = all;
            }
            _ => {}
        }
    }
}

/// Two changes as one. Who was born and has died meanwhile is only counted.
fn fold(earlier: ProcessChanges, later: &mut ProcessChanges) {
    let born: HashSet<i32> = later.born.iter().map(|process| process.host_pid).collect();
    let dead: HashSet<i32> = earlier.died.iter().chain(&later.died).copied().collect();
    let mut all: Vec<_> = earlier.born.into_iter().filter(|process| !born.contains(&process.host_pid)).collect();
    all.append(&mut later.born);
    all.retain(|process| !dead.contains(&process.host_pid));
    let mut changed: BTreeMap<i32, _> = earlier.changed.into_iter().filter(|(pid, _)| !born.contains(pid)).collect();
    changed.extend(later.changed.iter().copied());
    changed.retain(|pid, _| !dead.contains(pid));
    let mut died = earlier.died;
    died.append(&mut later.died);
    died.shrink_to_fit();
    all.shrink_to_fit();
    *later = ProcessChanges { born: all, changed: changed.into_iter().collect(), died };
}

#[cfg(test)]
mod tests;
