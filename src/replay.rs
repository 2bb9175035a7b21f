//! A cursor over recorded events: what they add up to at any moment, found again quickly.
//!
//! Pure: a [`Tape`] knows no clock and no screen. Going forward it folds event by event, as live; going back it starts from the state that it laid down
//! before that moment. Refuses: to interpret an event itself.

use std::time::Duration;

use crate::event::{Event, Stamped};

/// What events add up to.
pub trait Fold: Clone {
    /// Takes in one event.
    fn apply(&mut self, stamped: &Stamped);

    /// How much memory it takes, in bytes, roughly.
    fn memory(&self) -> usize {
        0
    }

    /// How many things it has told so far that are worth going to.
    fn told(&self) -> u64 {
        0
    }
}

impl Fold for crate::session::Session {
    fn apply(&mut self, stamped: &Stamped) {
        crate::session::Session::apply(self, stamped);
    }

    fn memory(&self) -> usize {
        crate::session::Session::memory(self)
    }

    fn told(&self) -> u64 {
        self.told
    }
}

/// How many states are laid down over the whole length, about …
const RESTS: usize = 32;

/// … and no two closer than this, in events.
const LEAST_APART: usize = 500;

/// … and no more of them than fit into this, in bytes.
const RESTS_MEMORY: usize = 48 << 20;

/// So much output costs as much to take in as one other event, in bytes.
const OUTPUT_PER_EVENT: usize = 256;

/// A recording with a cursor in it.
pub struct Tape<S> {
    events: Vec<Stamped>,
    /// How many of them are in `state`.
    next: usize,
    at: Duration,
    state: S,
    /// States on the way, and how many events are in them; the first is the start.
    rests: Vec<(usize, S)>,
    /// The moments of the events that told something.
    places: Vec<Duration>,
}

/// A kill is named this soon.
const NAMED_WITHIN: Duration = Duration::from_millis(200);

impl<S: Fold> Tape<S> {
    /// A tape at its start, and what all of it adds up to.
    pub fn new(events: Vec<Stamped>, start: S) -> (Tape<S>, S) {
        let costs: usize = events.iter().map(cost).sum();
        let mut apart = (costs / RESTS).max(LEAST_APART);
        let mut state = start.clone();
        let (mut rests, mut places) = (vec![(0, start.clone())], Vec::new());
        let (mut since, mut memory, mut told) = (0, 0, state.told());
        for (n, stamped) in events.iter().enumerate() {
            state.apply(stamped);
            if state.told() != told {
                told = state.told();
                places.push(stamped.at);
            }
            // Whom a kill took is read from the kernel's log a moment after it was counted: the kill's place is where that is known, too.
            let named = matches!(stamped.event, Event::Victim(_));
            if let Some(place) =
                places.last_mut().filter(|place| named && stamped.at.saturating_sub(**place) < NAMED_WITHIN)
            {
                *place = stamped.at;
            }
            since += cost(stamped);
            if since < apart {
                continue;
            }
            since = 0;
            memory += state.memory();
            rests.push((n + 1, state.clone()));
            while memory > RESTS_MEMORY && rests.len() > 1 {
                // Twice as far apart, all along: any place is then found in twice the time, and none in much more.
                let mut number = 0..;
                rests.retain(|_| number.next().is_none_or(|n: usize| n.is_multiple_of(2)));
                memory = rests.iter().skip(1).map(|(_, state)| state.memory()).sum();
                apart *= 2;
            }
        }
        let at = events.first().map_or(Duration::ZERO, |stamped| stamped.at);
        (Tape { events, next: 0, at, state: start, rests, places }, state)
    }

    /// The moment of the cursor.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// What all events up to the cursor add up to.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The events.
    pub fn events(&self) -> &[Stamped] {
        &self.events
    }

    /// The moment of the first event.
    pub fn start(&self) -> Duration {
        self.events.first().map_or(Duration::ZERO, |stamped| stamped.at)
    }

    /// The moment of the last event.
    pub fn end(&self) -> Duration {
        self.events.last().map_or(Duration::ZERO, |stamped| stamped.at)
    }

    /// The moment of the next event that fits, after the cursor.
    pub fn next(&self, fits: impl Fn(&Event) -> bool) -> Option<Duration> {
        self.events[self.next..].iter().find(|stamped| fits(&stamped.event)).map(|stamped| stamped.at)
    }

    /// The moment of the last event that fits, before the cursor.
    pub fn previous(&self, fits: impl Fn(&Event) -> bool) -> Option<Duration> {
        let before = self.events[..self.next].iter().rev().filter(|stamped| stamped.at < self.at);
        before.into_iter().find(|stamped| fits(&stamped.event)).map(|stamped| stamped.at)
    }

    /// The moment of the next event that told something, after the cursor.
    pub fn next_told(&self) -> Option<Duration> {
        self.places.get(self.places.partition_point(|place| *place <= self.at)).copied()
    }

    /// The moment of the last event that told something, before the cursor.
    pub fn previous_told(&self) -> Option<Duration> {
        self.places[..self.places.partition_point(|place| *place < self.at)].last().copied()
    }

    /// Moves the cursor to a moment; events of that very moment are in.
    pub fn seek(&mut self, at: Duration) {
        let target = self.events.partition_point(|stamped| stamped.at <= at);
        let rest = self.rests.iter().rfind(|(n, _)| *n <= target);
        if let Some((n, state)) = rest.filter(|(n, _)| target < self.next || *n > self.next) {
            (self.next, self.state) = (*n, state.clone());
        }
        for stamped in &self.events[self.next..target] {
            self.state.apply(stamped);
        }
        (self.next, self.at) = (target, at);
    }
}

fn cost(stamped: &Stamped) -> usize {
    match &stamped.event {
        Event::Output(bytes) => 1 + bytes.len() / OUTPUT_PER_EVENT,
        Event::Processes(changes) => 1 + changes.born.len() + changes.changed.len() / 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Sample;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Sum(Vec<u64>);

    impl Fold for Sum {
        fn apply(&mut self, stamped: &Stamped) {
            if let Event::Sample(sample) = &stamped.event {
                self.0.push(sample.usage);
            }
        }

        fn memory(&self) -> usize {
            self.0.len() << 10 // as if each were large: only a few of them fit
        }

        fn told(&self) -> u64 {
            self.0.len() as u64 / 10
        }
    }

    fn events(n: u64) -> Vec<Stamped> {
        let sample = |usage| Event::Sample(Sample { usage, ..Sample::default() });
        (0..n).map(|n| Stamped { at: Duration::from_millis(n / 2 * 10), event: sample(n) }).collect()
    }

    proptest! {
        #[test]
        fn wherever_the_cursor_goes_it_finds_what_going_there_step_by_step_would(jumps in proptest::collection::vec(0u64..15_000, 1..30)) {
            let all = events(2500);
            let (mut tape, whole) = Tape::new(all.clone(), Sum::default());
            prop_assert_eq!(whole.0.len(), 2500);
            for ms in jumps {
                let at = Duration::from_millis(ms);
                tape.seek(at);
                let mut plain = Sum::default();
                all.iter().filter(|stamped| stamped.at <= at).for_each(|stamped| plain.apply(stamped));
                prop_assert_eq!(tape.state(), &plain);
            }
        }
    }

    #[test]
    fn an_empty_tape_has_neither_start_nor_end() {
        let (mut tape, _) = Tape::new(Vec::new(), Sum::default());
        tape.seek(Duration::from_secs(5));
        assert_eq!((tape.start(), tape.end(), tape.state().0.len()), (Duration::ZERO, Duration::ZERO, 0));
        assert_eq!((tape.next(|_| true), tape.previous(|_| true)), (None, None));
    }

    #[test]
    fn what_is_laid_down_is_bounded() {
        let (tape, _) = Tape::new(events(10_000), Sum::default());
        let memory: usize = tape.rests.iter().map(|(_, state)| state.memory()).sum();
        assert!(memory <= RESTS_MEMORY && tape.rests.len() > 1, "{memory}");
        let (tape, _) = Tape::new(events(2_000), Sum::default());
        assert_eq!(tape.rests.len(), 5, "where all of it fits nothing is left away");
    }

    #[test]
    fn what_was_told_is_found_at_the_events_that_told_it() {
        let (mut tape, _) = Tape::new(events(45), Sum::default());
        let mut found = Vec::new();
        while let Some(place) = tape.next_told() {
            tape.seek(place);
            found.push(place.as_millis());
        }
        assert_eq!(found, [40, 90, 140, 190]); // the tenth event, the twentieth, …
        assert_eq!(tape.previous_told(), Some(Duration::from_millis(140)));
    }

    #[test]
    fn the_events_beside_the_cursor_are_found() {
        let (mut tape, _) = Tape::new(events(100), Sum::default());
        tape.seek(Duration::from_millis(100));
        assert_eq!(tape.next(|_| true), Some(Duration::from_millis(110)));
        assert_eq!(tape.previous(|_| true), Some(Duration::from_millis(90)));
    }
}
