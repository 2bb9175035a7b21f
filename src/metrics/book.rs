//! What the metrics thread knows: its own fold of the events, and the counters of all runs together.
//!
//! The numbers of a run are the session's; what is added here is only what no single run knows: that a counter goes on when the next run starts
//! with a new group. Refuses: to interpret an event.

use std::cell::Cell;

use crate::{
    event::{Event, Stamped},
    session::{Run, Session},
    units::Limit,
};

/// An event and its place in the stream, from 1. Places that are missing are of events that were not passed on.
#[derive(Debug)]
pub struct Numbered {
    /// Its place.
    pub place: u64,
    /// The event.
    pub stamped: Stamped,
}

/// What the events so far add up to.
#[derive(Default)]
pub struct Book {
    /// The fold.
    pub session: Session,
    /// The place of the newest event in it.
    pub place: u64,
    /// How often the limit of a run was another after an event than before.
    pub limit_changes: u64,
    earlier: Totals,
    newest: Totals,
    /// The most kills that were told: that one was counted twice is known a moment after the count, and a counter does not fall.
    most_kills: Cell<u64>,
}

/// Counters that only ever rise. `None` where no run's kernel told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How often a charge met the limit.
    pub limit_hits: Option<u64>,
    /// How many processes the OOM killer killed.
    pub oom_kills: Option<u64>,
    /// How many of those the kernel has counted twice: in sums, not where they are told.
    repeated: Option<u64>,
    /// Time in which some process waited for memory, in microseconds.
    pub waiting_us: Option<u64>,
    /// Time in which all of them did, in microseconds.
    pub stalled_us: Option<u64>,
    /// Forks and threads that a limit of processes refused.
    pub pids_refused: Option<u64>,
    /// Periods in which the quota of CPU time was used up.
    pub cpu_throttled: Option<u64>,
    /// Time that tasks waited for that, in microseconds.
    pub cpu_throttled_us: Option<u64>,
    /// Charges above the soft limit.
    pub soft_limit_hits: Option<u64>,
    /// Reclaims that made room where a pause was due.
    pub pauses_averted: Option<u64>,
    /// Time that the processes stood still for those, in microseconds.
    pub pauses_averted_us: Option<u64>,
}

impl Totals {
    fn of(run: &Run) -> Totals {
        Totals {
            limit_hits: run.limit_hits(),
            oom_kills: run.oom_kills(),
            repeated: run.oom_kills().map(|_| run.stories.repeated()),
            waiting_us: run.pressure.map(|pressure| pressure.some_us),
            stalled_us: run.pressure.map(|pressure| pressure.full_us),
            pids_refused: run.limits_met.counts.pids_refused,
            cpu_throttled: run.limits_met.counts.cpu_throttled,
            cpu_throttled_us: run.limits_met.counts.cpu_throttled_us,
            soft_limit_hits: run.limits_met.counts.high.map(|_| run.limits_met.soft_limit_hits),
            pauses_averted: Some(run.pauses.averted().0),
            pauses_averted_us: run.pauses.averted().1.as_micros().try_into().ok(),
        }
    }

    fn with(self, other: Totals, both: fn(u64, u64) -> u64) -> Totals {
        let join = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| both(a, b)).or(a).or(b);
        Totals {
            limit_hits: join(self.limit_hits, other.limit_hits),
            oom_kills: join(self.oom_kills, other.oom_kills),
            repeated: join(self.repeated, other.repeated),
            waiting_us: join(self.waiting_us, other.waiting_us),
            stalled_us: join(self.stalled_us, other.stalled_us),
            pids_refused: join(self.pids_refused, other.pids_refused),
            cpu_throttled: join(self.cpu_throttled, other.cpu_throttled),
            cpu_throttled_us: join(self.cpu_throttled_us, other.cpu_throttled_us),
            soft_limit_hits: join(self.soft_limit_hits, other.soft_limit_hits),
            pauses_averted: join(self.pauses_averted, other.pauses_averted),
            pauses_averted_us: join(self.pauses_averted_us, other.pauses_averted_us),
        }
    }
}

impl Book {
    /// Takes in one event.
    pub fn fold(&mut self, numbered: &Numbered) {
        if let Event::Started(_) = numbered.stamped.event {
            self.earlier = self.sums();
            self.newest = Totals::default();
        }
        let before = self.limit();
        self.session.apply(&numbered.stamped);
        self.place = numbered.place;
        if let (Some((run, was)), Some((same, is))) = (before, self.limit()) {
            self.limit_changes += u64::from(run == same && was != is);
        }
        if let Some(run) = self.session.run() {
            // What a group below counted can go with it: what was told once stays.
            self.newest = self.newest.with(Totals::of(run), u64::max);
        }
    }

    /// The counters of all runs.
    pub fn totals(&self) -> Totals {
        let sums = self.sums();
        let kills = sums.oom_kills.map(|kills| kills.saturating_sub(sums.repeated.unwrap_or(0)));
        self.most_kills.set(self.most_kills.get().max(kills.unwrap_or(0)));
        Totals { oom_kills: kills.map(|_| self.most_kills.get()), repeated: None, ..sums }
    }

    fn sums(&self) -> Totals {
        self.earlier.with(self.newest, u64::saturating_add)
    }

    fn limit(&self) -> Option<(u32, Limit)> {
        self.session.run().map(|run| (run.started.run, run.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{LimitOutcome, Pressure, Reclaimed, Sample};

    fn folded(events: Vec<Event>) -> Vec<(Totals, u64)> {
        let mut book = Book::default();
        let mut told = Vec::new();
        for (n, event) in events.into_iter().enumerate() {
            let stamped = Stamped { at: std::time::Duration::from_millis(n as u64), event };
            book.fold(&Numbered { place: n as u64 + 1, stamped });
            told.push((book.totals(), book.limit_changes));
        }
        told
    }

    fn start(run: u32) -> Event {
        let json = format!(
            r#"{{"started":{{"run":{run},"argv":[],"limit":"max","limit_is_default":false,"controller":"v1","group":"","cpus":1,"mem_total":0,"held":false,"widened":false,"wall_ms":0}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn sample(hits: u64, waited: Option<u64>) -> Event {
        let pressure = waited.map(|some_us| Pressure { some_us, full_us: 0 });
        Event::Sample(Sample { limit_hits: Some(hits), pressure, ..Sample::default() })
    }

    #[test]
    fn a_total_never_falls_and_what_was_never_told_is_not_there() {
        let told = folded(vec![
            start(1),
            sample(5, None),
            sample(3, Some(10)),
            start(2),
            sample(0, None),
            sample(4, Some(7)),
            start(3),
        ]);
        let hits: Vec<Option<u64>> = told.iter().map(|(totals, _)| totals.limit_hits).collect();
        assert_eq!(hits, [None, Some(5), Some(5), Some(5), Some(5), Some(9), Some(9)]);
        let waited: Vec<Option<u64>> = told.iter().map(|(totals, _)| totals.waiting_us).collect();
        assert_eq!(waited, [None, None, Some(10), Some(10), Some(10), Some(17), Some(17)]);
        assert!(told.iter().all(|(totals, _)| totals.oom_kills.is_none()));
    }

    #[test]
    fn what_reclaims_averted_goes_on_over_runs() {
        let limit = Limit::Bytes(1);
        let once = || Event::Reclaimed(Reclaimed { limit, before: 1, after: 0, stood_us: 7, times: 1 });
        let told = folded(vec![start(1), once(), once(), start(2), once()]);
        let averted: Vec<_> = told.iter().map(|(t, _)| (t.pauses_averted, t.pauses_averted_us)).collect();
        let sums = [(0, 0), (1, 7), (2, 14), (2, 14), (3, 21)].map(|(times, us)| (Some(times), Some(us)));
        assert_eq!(averted, sums);
    }

    #[test]
    fn a_move_of_the_limit_counts_and_another_run_is_none() {
        let moved = |bytes| Event::LimitDone {
            target: Limit::Bytes(bytes),
            by: crate::event::Author::User,
            outcome: LimitOutcome::Applied { now: Limit::Bytes(bytes) },
        };
        let told = folded(vec![start(1), moved(1), moved(1), moved(2), start(2), moved(3)]);
        assert_eq!(told.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn a_process_that_the_kernel_counts_twice_is_told_once_and_the_counter_never_falls() {
        use crate::event::Victim;
        let sample = |kills| Event::Sample(Sample { oom_kills: Some(kills), ..Sample::default() });
        let named = |host_pid, killed_with| Event::Victim(Victim { host_pid, killed_with, ..Victim::default() });
        let group_kill = [named(501, None), named(500, Some(501)), named(501, Some(501))];
        let mut book = Book::default();
        let mut events = vec![start(1), sample(0), sample(3)];
        events.extend(group_kill.clone());
        events.extend([start(2), sample(0), sample(3)]);
        events.extend(group_kill);
        for (n, event) in events.into_iter().enumerate() {
            let stamped = Stamped { at: std::time::Duration::from_millis(n as u64), event };
            book.fold(&Numbered { place: n as u64 + 1, stamped });
        }
        assert_eq!(book.totals().oom_kills, Some(4), "two processes in each run");
        book.fold(&Numbered {
            place: 99,
            stamped: Stamped { at: std::time::Duration::from_secs(1), event: sample(5) },
        });
        assert_eq!(book.totals().oom_kills, Some(6));
        let again = Event::Victim(Victim { host_pid: 501, killed_with: Some(501), ..Victim::default() });
        book.fold(&Numbered { place: 100, stamped: Stamped { at: std::time::Duration::from_secs(1), event: again } });
        assert_eq!(book.totals().oom_kills, Some(6), "it was told already");
    }
}
