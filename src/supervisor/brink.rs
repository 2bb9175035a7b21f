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

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Stop the workload; or, if it is stopped already, tell that it stands worse than was told.
    Pause,
    /// Let it go on.
    Resume,
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
        self.paused = Some(pause);
    }

    /// It goes on; whether it was paused.
    pub fn went_on(&mut self, now: Instant) -> bool {
        self.asleep = None;
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
        match self.paused {
            Some(told) if close.unreclaimable < way_back(told.limit, limit) && !close.at_limit => Step::Resume,
            Some(told) => {
                self.look = Some(now + LOOK_PAUSED);
                if stuck && !told.at_limit { Step::Pause } else { Step::Stay }
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
}

/// Below this a paused workload goes on, in bytes. Under the limit that it was paused at that is a little below the mark: what CPUs have charged
/// in advance is given back while it stands, and is no room to run in.
fn way_back(then: Limit, now: Limit) -> u64 {
    let mark = brink_of(now).unwrap_or(u64::MAX);
    let slack = now.bytes().filter(|_| then == now).map_or(0, |limit| headroom(limit) / 4);
    mark - slack
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
        Closeness { usage: usage * M, unreclaimable: unreclaimable * M, at_limit: false }
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
        assert_eq!(brink.judge(at(now, 24), LIMIT, &asleep(100)), Step::Pause);
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
