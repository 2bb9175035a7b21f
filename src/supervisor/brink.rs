//! Whether a workload stands at the brink of its limit, and is to be stopped there or may go on: a pure rule over readings and instants.
//!
//! The brink is measured on what cannot be given back: a `dd` sits within 16 MiB of its limit nearly all the time, and is in no danger. Usage
//! that crosses the mark is only a reason to look. Refuses: to read or to stop anything; `policy.rs` does.

use std::time::{Duration, Instant};

use crate::{
    cgroup::{Closeness, brink_of, headroom},
    event::Pause,
    units::Limit,
};

/// While usage stands above the mark no further crossing comes, so that it is looked at again before the rest could be filled at this many
/// bytes a second …
const FASTEST_FILL: u64 = 4 << 30;

/// … but not sooner than this …
const LOOK_SOON: Duration = Duration::from_millis(2);

/// … and not later.
const LOOK_LATE: Duration = Duration::from_millis(20);

/// A paused workload is looked at this often: memory may be given back by a way that nobody tells.
const LOOK_PAUSED: Duration = Duration::from_millis(50);

/// Tasks that have slept at the limit for this long do not sleep in passing: a raised limit wakes them within 3 ms (measured on 6.18).
const STUCK: Duration = Duration::from_millis(20);

/// What a reclaim frees late (what RCU or a work queue frees) is waited for this long, and looked at this often.
const FREED_LATE: Duration = Duration::from_millis(200);
const LOOK_RECLAIMED: Duration = Duration::from_millis(2);

/// After a reclaim that made room the workload runs for so many times as long as it stood still, before the next: 5 % of the time at most.
const RUNS_BETWEEN: u32 = 19;

/// A paused workload is reclaimed from again after this, and then after twice that each time: what was being written by then can go.
const RECLAIM_PAUSED: Duration = Duration::from_millis(500);
const RECLAIM_PAUSED_LATE: Duration = Duration::from_secs(16);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Stop the workload; or, if it is stopped already, tell that it stands worse than was told.
    Pause,
    /// Stop the workload, and reclaim until usage is at most this: what is in use may be reclaimable, which only a reclaim tells.
    Reclaim(u64),
    /// Let it go on, paused or not: a reclaim made room.
    Resume,
}

/// A reclaim that is to tell whether a pause is needed.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Since when the workload is stopped for it.
    since: Instant,
    /// What was charged before.
    before: u64,
    /// Whether all that could go was asked for; at first it is half of that.
    all: bool,
    /// When the last reclaim was over, if none is under way.
    done: Option<Instant>,
    /// Since when what is freed late is waited for: all that could go was asked for.
    waits: Option<Instant>,
    /// Whether those that sleep at the limit were woken once there was room.
    woken: bool,
}

/// The watch over one run's brink.
#[derive(Debug, Default)]
pub struct Brink {
    /// Whether the workload is to be paused at all.
    on: bool,
    /// How it stood when it was paused, while it is.
    paused: Option<Pause>,
    /// The limit that the kernel was asked to warn below.
    armed: Option<Limit>,
    /// Since when tasks have been seen asleep at the limit.
    asleep: Option<Instant>,
    look: Option<Instant>,
    /// The reclaim that goes on before a pause would be told.
    trial: Option<Trial>,
    /// No such reclaim before this.
    not_before: Option<Instant>,
    /// When a paused workload is reclaimed from again, and after what time the next.
    again: Option<(Instant, Duration)>,
}

impl Brink {
    /// Begins to pause, or stops to.
    pub fn switch(&mut self, on: bool, now: Instant) {
        (self.on, self.asleep) = (on, None);
        self.look = on.then_some(now);
    }

    /// Whether the workload is paused when memory runs out.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// How it stood when it was paused, while it is.
    pub fn paused(&self) -> Option<Pause> {
        self.paused
    }

    /// The workload was stopped.
    pub fn stopped(&mut self, pause: Pause) {
        (self.paused, self.trial) = (Some(pause), None);
    }

    /// A reclaim that was asked for is over, or could not be begun.
    pub fn reclaimed(&mut self, now: Instant) {
        if let Some(trial) = &mut self.trial {
            trial.done = Some(now);
        }
        if self.trial.is_some() || self.paused.is_some() {
            self.look = Some(now);
        }
    }

    /// Whether the workload is stopped for a reclaim, and not paused.
    pub fn is_trying(&self) -> bool {
        self.trial.is_some()
    }

    /// Ends the trial, where there is one: what was charged before it, and how long the workload stood still.
    pub fn end_trial(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let trial = self.trial.take()?;
        let stood = now.saturating_duration_since(trial.since);
        self.not_before = Some(now + stood * RUNS_BETWEEN);
        self.look = self.on.then_some(now + LOOK_SOON);
        Some((trial.before, stood))
    }

    /// It goes on; whether it was paused.
    pub fn went_on(&mut self, now: Instant) -> bool {
        (self.asleep, self.again) = (None, None);
        self.look = self.on.then_some(now + LOOK_SOON);
        self.paused.take().is_some()
    }

    /// Where the kernel is to warn from now on, if that is not where it does.
    pub fn rearm(&mut self, limit: Limit) -> Option<Option<u64>> {
        let wanted = self.on.then_some(limit);
        (std::mem::replace(&mut self.armed, wanted) != wanted).then(|| wanted.and_then(brink_of))
    }

    /// When it is to be looked at next.
    pub fn deadline(&self) -> Option<Instant> {
        self.look
    }

    /// A reading failed: the next is tried later.
    pub fn look_later(&mut self, now: Instant) {
        self.look = Some(now + LOOK_LATE);
    }

    /// Whether such a usage is a reason to look now, where none is planned.
    pub fn is_near(&self, usage: u64, limit: Limit) -> bool {
        self.on && self.look.is_none() && brink_of(limit).is_some_and(|mark| usage >= mark)
    }

    /// Judges a reading, and plans the next.
    pub fn judge(&mut self, now: Instant, limit: Limit, close: &Closeness) -> Step {
        self.asleep = if close.at_limit { self.asleep.or(Some(now)) } else { None };
        let mark = brink_of(limit).unwrap_or(u64::MAX);
        let over = close.unreclaimable >= mark;
        let stuck = self.asleep.is_some_and(|since| over || now.saturating_duration_since(since) >= STUCK);
        let worth = close.certain < mark.saturating_sub(slack(limit));
        if self.paused.is_none()
            && let Some(trial) = self.trial
        {
            return self.judge_trial(now, trial, mark, limit, close);
        }
        match self.paused {
            Some(told) if close.unreclaimable < way_back(told.limit, limit) && !close.at_limit => Step::Resume,
            Some(told) => {
                self.look = Some(now + LOOK_PAUSED);
                let (at, wait) = *self.again.get_or_insert((now + RECLAIM_PAUSED, RECLAIM_PAUSED));
                if stuck && !told.at_limit {
                    Step::Pause
                } else if worth && now >= at {
                    let wait = (wait * 2).min(RECLAIM_PAUSED_LATE);
                    self.again = Some((now + wait, wait));
                    Step::Reclaim(close.certain)
                } else {
                    Step::Stay
                }
            }
            // Who sleeps at the limit though there is room is not woken by slab that was freed meanwhile.
            None if worth && (over || stuck) => {
                // What may be reclaimable is left to the kernel meanwhile, which reclaims at the limit itself.
                if let Some(at) = self.not_before.filter(|at| now < *at && !stuck_long(self.asleep, now)) {
                    self.look = Some((now + LOOK_LATE).min(at));
                    return Step::Stay;
                }
                let before = close.usage;
                self.trial = Some(Trial { since: now, before, all: false, done: None, waits: None, woken: false });
                self.look = None;
                Step::Reclaim(close.certain + (close.usage.min(mark) - close.certain) / 2)
            }
            None if over || stuck => {
                self.look = Some(now + LOOK_PAUSED);
                Step::Pause
            }
            None => {
                let near = close.usage >= mark || close.at_limit;
                self.look = near.then(|| now + patience(mark - close.unreclaimable));
                Step::Stay
            }
        }
    }

    /// Judges a reading while the workload is stopped for a reclaim.
    fn judge_trial(&mut self, now: Instant, trial: Trial, mark: u64, limit: Limit, close: &Closeness) -> Step {
        let Some(done) = trial.done else {
            self.look = None; // the writer tells when it is over
            return Step::Stay;
        };
        let room = close.unreclaimable < mark.saturating_sub(slack(limit));
        if room && !close.at_limit {
            return Step::Resume;
        }
        if !trial.all {
            self.trial = Some(Trial { all: true, done: None, ..trial });
            self.look = None;
            return Step::Reclaim(close.certain);
        }
        let waits = trial.waits.unwrap_or(done);
        if now.saturating_duration_since(waits) < FREED_LATE {
            // v1 wakes nobody when slab is freed: a reclaim down to what is in use does that alone.
            let wake = room && !trial.woken;
            let done = if wake { None } else { trial.done };
            self.trial = Some(Trial { done, waits: Some(waits), woken: trial.woken || wake, ..trial });
            self.look = (!wake).then_some(now + LOOK_RECLAIMED);
            return if wake { Step::Reclaim(close.usage) } else { Step::Stay };
        }
        // Where nobody can be stopped there is no pause, and it is tried again.
        self.end_trial(now);
        self.look = Some(now + LOOK_PAUSED);
        Step::Pause
    }
}

/// Below this a paused workload goes on, in bytes. Under the limit that it was paused at that is a little below the mark: what CPUs have charged
/// in advance is given back while it stands, and is no room to run in.
fn way_back(then: Limit, now: Limit) -> u64 {
    let mark = brink_of(now).unwrap_or(u64::MAX);
    let slack = if then == now { slack(now) } else { 0 };
    mark - slack
}

/// A little below the mark, in bytes: what CPUs have charged in advance is given back while all stand still, and is no room to run in.
fn slack(limit: Limit) -> u64 {
    limit.bytes().map_or(0, |limit| headroom(limit) / 4)
}

/// Whether tasks sleep at the limit though the kernel has tried all.
fn stuck_long(asleep: Option<Instant>, now: Instant) -> bool {
    asleep.is_some_and(|since| now.saturating_duration_since(since) >= STUCK)
}

/// How long it is certain that nothing happens, this many bytes before the brink.
fn patience(distance: u64) -> Duration {
    Duration::from_secs_f64(distance as f64 / FASTEST_FILL as f64).clamp(LOOK_SOON, LOOK_LATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;
    const LIMIT: Limit = Limit::Bytes(128 * M);

    fn close(usage: u64, unreclaimable: u64) -> Closeness {
        Closeness { usage: usage * M, unreclaimable: unreclaimable * M, certain: unreclaimable * M, at_limit: false }
    }

    fn stopped(at_limit: bool) -> Pause {
        Pause { limit: LIMIT, usage: 0, unreclaimable: 0, at_limit, frozen: true }
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn watching() -> (Brink, Instant) {
        let now = Instant::now();
        let mut brink = Brink::default();
        brink.switch(true, now);
        (brink, now)
    }

    #[test]
    fn what_fills_is_stopped_a_headroom_below_the_limit_and_goes_on_when_that_is_raised() {
        let (mut brink, now) = watching();
        assert_eq!(brink.judge(now, LIMIT, &close(100, 100)), Step::Stay);
        assert_eq!(brink.deadline(), None, "the kernel tells when usage crosses the mark");
        assert_eq!(brink.judge(now, LIMIT, &close(112, 112)), Step::Pause);
        brink.stopped(stopped(false));
        assert_eq!(brink.judge(now, LIMIT, &close(113, 113)), Step::Stay);
        assert_eq!(brink.judge(now, LIMIT, &close(111, 111)), Step::Stay, "charged in advance, and given back");
        assert_eq!(brink.judge(now, LIMIT, &close(107, 107)), Step::Resume, "somebody gave memory back");
        assert_eq!(brink.judge(now, Limit::Bytes(129 * M), &close(113, 113)), Step::Stay, "too little");
        assert_eq!(brink.judge(now, Limit::Bytes(160 * M), &close(113, 113)), Step::Resume);
        assert!(brink.went_on(now) && brink.paused().is_none());
        assert_eq!(brink.judge(now, Limit::Max, &close(1000, 1000)), Step::Stay);
    }

    #[test]
    fn cache_is_no_danger_and_is_watched_the_closer_the_less_of_it_there_is() {
        let (mut brink, now) = watching();
        let mut wait = |unreclaimable| {
            assert_eq!(brink.judge(now, LIMIT, &close(128, unreclaimable)), Step::Stay);
            brink.deadline().expect("no further crossing comes") - now
        };
        assert_eq!((wait(2), wait(111)), (LOOK_LATE, LOOK_SOON));
        let between = wait(72);
        assert!(between > LOOK_SOON && between < LOOK_LATE, "{between:?}");
        assert!(!brink.is_near(128 * M, LIMIT), "it is looked at anyway");
        assert_eq!(brink.judge(now, LIMIT, &close(50, 2)), Step::Stay);
        assert!(brink.is_near(112 * M, LIMIT) && !brink.is_near(111 * M, LIMIT));
    }

    #[test]
    fn who_sleeps_at_the_limit_is_paused_whatever_the_numbers_say_and_who_passes_it_is_not() {
        let (mut brink, now) = watching();
        let asleep = |unreclaimable| Closeness { at_limit: true, ..close(128, unreclaimable) };
        assert_eq!(brink.judge(now, LIMIT, &asleep(100)), Step::Stay);
        assert_eq!(brink.judge(at(now, 2), LIMIT, &close(128, 100)), Step::Stay, "it woke");
        assert_eq!(brink.judge(at(now, 3), LIMIT, &asleep(100)), Step::Stay);
        let heap = Closeness { at_limit: true, ..close(128, 110) };
        assert_eq!(brink.judge(at(now, 24), LIMIT, &heap), Step::Pause);
        brink.stopped(stopped(true));
        assert_eq!(
            brink.judge(at(now, 25), Limit::Bytes(200 * M), &asleep(100)),
            Step::Stay,
            "the kernel wakes it first"
        );
        assert_eq!(brink.judge(at(now, 26), Limit::Bytes(200 * M), &close(128, 100)), Step::Resume);
    }

    #[test]
    fn a_pause_at_the_brink_that_turns_out_to_be_at_the_limit_is_told_again_once() {
        let (mut brink, now) = watching();
        let asleep = Closeness { at_limit: true, ..close(128, 127) };
        assert_eq!(brink.judge(now, LIMIT, &close(120, 119)), Step::Pause);
        brink.stopped(stopped(false));
        assert_eq!(brink.judge(now, LIMIT, &asleep), Step::Pause);
        brink.stopped(stopped(true));
        assert_eq!(brink.judge(now, LIMIT, &asleep), Step::Stay);
    }

    #[test]
    fn what_may_be_reclaimable_is_reclaimed_before_a_pause_is_told_and_only_what_stays_is_paused_for() {
        let (mut brink, now) = watching();
        let maybe = |unreclaimable| Closeness { certain: 20 * M, ..close(120, unreclaimable) };
        assert_eq!(brink.judge(now, LIMIT, &maybe(113)), Step::Reclaim(66 * M), "half of what may go");
        assert_eq!(brink.judge(at(now, 1), LIMIT, &maybe(113)), Step::Stay, "it is under way");
        brink.reclaimed(at(now, 10));
        assert_eq!(brink.judge(at(now, 10), LIMIT, &maybe(60)), Step::Resume);
        assert_eq!(brink.end_trial(at(now, 10)), Some((120 * M, Duration::from_millis(10))));
        assert_eq!(brink.judge(at(now, 100), LIMIT, &maybe(113)), Step::Stay, "5 % of the time at most");
        assert_eq!(brink.judge(at(now, 100), LIMIT, &close(113, 113)), Step::Pause, "heap is not waited for");
        assert_eq!(brink.judge(at(now, 201), LIMIT, &maybe(113)), Step::Reclaim(66 * M));
        brink.reclaimed(at(now, 210));
        assert_eq!(brink.judge(at(now, 210), LIMIT, &maybe(112)), Step::Reclaim(20 * M), "then all of it");
        brink.reclaimed(at(now, 220));
        assert_eq!(brink.judge(at(now, 221), LIMIT, &maybe(112)), Step::Stay, "it may be freed late");
        assert!(brink.deadline().is_some_and(|look| look < at(now, 230)));
        assert_eq!(brink.judge(at(now, 421), LIMIT, &maybe(112)), Step::Pause);
        brink.stopped(stopped(false));
        assert!(!brink.is_trying() && brink.paused().is_some());
        // What was being written by then can go a little later.
        assert_eq!(brink.judge(at(now, 500), LIMIT, &maybe(112)), Step::Stay);
        assert_eq!(brink.judge(at(now, 1001), LIMIT, &maybe(112)), Step::Reclaim(20 * M));
        brink.reclaimed(at(now, 1010));
        assert_eq!(brink.judge(at(now, 1010), LIMIT, &maybe(60)), Step::Resume);
    }

    #[test]
    fn who_sleeps_at_the_limit_though_there_is_room_is_woken_and_not_paused_for() {
        let (mut brink, now) = watching();
        let asleep =
            |usage, unreclaimable| Closeness { certain: 20 * M, at_limit: true, ..close(usage, unreclaimable) };
        assert_eq!(brink.judge(now, LIMIT, &asleep(128, 120)), Step::Reclaim(66 * M));
        brink.reclaimed(at(now, 10));
        assert_eq!(brink.judge(at(now, 10), LIMIT, &asleep(124, 120)), Step::Reclaim(20 * M));
        brink.reclaimed(at(now, 20));
        // Slab is freed late, and nobody is woken by that.
        assert_eq!(brink.judge(at(now, 20), LIMIT, &asleep(124, 120)), Step::Stay);
        assert_eq!(brink.judge(at(now, 30), LIMIT, &asleep(40, 30)), Step::Reclaim(40 * M), "wakes");
        brink.reclaimed(at(now, 31));
        assert_eq!(brink.judge(at(now, 31), LIMIT, &asleep(40, 30)), Step::Stay, "they need a moment");
        assert_eq!(brink.judge(at(now, 33), LIMIT, &close(40, 30)), Step::Resume);
        // Who does not wake is paused for, as late as without that.
        brink.end_trial(at(now, 33));
        let later = |ms: u64| at(now, 10_000 + ms);
        assert_eq!(brink.judge(later(0), LIMIT, &asleep(128, 120)), Step::Reclaim(66 * M));
        brink.reclaimed(later(10));
        assert_eq!(brink.judge(later(10), LIMIT, &asleep(40, 30)), Step::Reclaim(20 * M));
        brink.reclaimed(later(20));
        assert_eq!(brink.judge(later(20), LIMIT, &asleep(40, 30)), Step::Reclaim(40 * M));
        brink.reclaimed(later(21));
        assert_eq!(brink.judge(later(219), LIMIT, &asleep(40, 30)), Step::Stay);
        assert_eq!(brink.judge(later(221), LIMIT, &asleep(40, 30)), Step::Pause);
    }

    #[test]
    fn the_kernel_is_asked_anew_only_when_the_mark_moves() {
        let (mut brink, now) = watching();
        assert_eq!(brink.rearm(LIMIT), Some(Some(112 * M)));
        assert_eq!(brink.rearm(LIMIT), None);
        assert_eq!(brink.rearm(Limit::Bytes(16 * M)), Some(Some(12 * M)));
        assert_eq!(brink.rearm(Limit::Max), Some(None));
        brink.switch(false, now);
        assert_eq!((brink.rearm(Limit::Max), brink.rearm(LIMIT)), (Some(None), None));
    }
}
