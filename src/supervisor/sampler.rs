//! When to sample, and how much: a pure rule over instants.
//!
//! The signature line is dead 0.1 s after it starts, on a fast machine after 0.04 s, so sampling adapts: every 5 ms while a run is young, while
//! usage moves, and around an OOM; up to every millisecond while a young run fills its limit faster than that shows; at the interval
//! otherwise. The interval peak catches what lies between.

use std::time::{Duration, Instant};

use crate::{cgroup::Detail, event::Sample, units::Limit};

const FAST: Duration = Duration::from_millis(5);

/// A young run that grows fast is sampled at each step of [`MOVED`], but no faster than this.
const FASTEST: Duration = Duration::from_millis(1);

/// A run is young for this long.
const YOUNG: Duration = Duration::from_secs(2);

/// Around an OOM the counters are watched closely for this long: the eventfd fires before the kill is counted.
const AROUND_OOM: Duration = Duration::from_millis(200);

/// Samples faster than this leave out what costs more than it tells: `memory.stat` … (a little less than the fast step, so that each of those has it)
const STAT_EVERY: Duration = Duration::from_millis(4);

/// … and faster than this, the groups that the workload made itself.
const FULL_EVERY: Duration = Duration::from_millis(100);

/// Usage that moved by more than this share of the limit since the last sample is worth watching closely.
const MOVED: f64 = 0.02;

/// The clockwork of one run's samples.
#[derive(Debug)]
pub struct Sampler {
    /// Above it the highest unreclaimable usage is watched closely: between two readings nobody keeps it.
    budget: Option<u64>,
    interval: Duration,
    young_until: Instant,
    hot_until: Instant,
    next: Instant,
    stat_due: Instant,
    full_due: Instant,
    last: Option<(Instant, u64)>,
}

impl Sampler {
    /// A run that starts now, sampled at this interval.
    pub fn new(now: Instant, interval: Duration, budget: Option<u64>) -> Sampler {
        Sampler {
            budget,
            interval,
            young_until: now + YOUNG,
            hot_until: now,
            next: now,
            stat_due: now,
            full_due: now,
            last: None,
        }
    }

    /// The command starts only now: watch it closely from here.
    pub fn young(&mut self, now: Instant) {
        self.young_until = now + YOUNG;
        self.next = self.next.min(now + FAST);
    }

    /// When the next sample is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// How much to read, if a sample is due.
    pub fn due(&self, now: Instant) -> Option<Detail> {
        (now >= self.next).then(|| match () {
            () if now >= self.full_due => Detail::Full,
            () if now >= self.stat_due || self.budget.is_some() => Detail::Stat,
            () => Detail::Quick,
        })
    }

    /// An OOM was announced: watch closely, from now.
    pub fn oom(&mut self, now: Instant) {
        self.hot_until = now + AROUND_OOM;
        self.next = now;
    }

    /// A sample was taken; plans the next. Keeps to the beat, and skips beats that were missed.
    pub fn took(&mut self, now: Instant, detail: Detail, sample: &Sample, limit: Limit) {
        if detail != Detail::Quick {
            self.stat_due = now + STAT_EVERY;
        }
        if detail == Detail::Full {
            self.full_due = now + FULL_EVERY;
        }
        let last = self.last.replace((now, sample.usage));
        let scale = limit.bytes().unwrap_or(sample.usage) as f64 * MOVED;
        let scales = last.map_or(0.0, |(_, before)| before.abs_diff(sample.usage) as f64 / scale.max(1.0));
        let young = now < self.young_until;
        let over_budget = self.budget.is_some_and(|budget| sample.usage > budget);
        let step = match last {
            Some((at, _)) if young && scales > 1.0 => (now - at).div_f64(scales).clamp(FASTEST, FAST),
            _ if young || over_budget || scales > 1.0 || now < self.hot_until => FAST,
            _ => self.interval,
        };
        let step = step.min(self.interval);
        self.next += step;
        if self.next <= now {
            self.next = now + step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    /// Runs the clockwork for `ms` with this usage, and gives the times of its samples in milliseconds.
    fn samples(interval: u64, ms: u64, usage: impl Fn(u64) -> u64) -> Vec<u64> {
        samples_with(None, interval, ms, usage)
    }

    fn samples_with(budget: Option<u64>, interval: u64, ms: u64, usage: impl Fn(u64) -> u64) -> Vec<u64> {
        let start = Instant::now();
        let mut sampler = Sampler::new(start, Duration::from_millis(interval), budget);
        let mut times = Vec::new();
        while sampler.next() < start + Duration::from_millis(ms) {
            let now = sampler.next();
            let at = (now - start).as_millis() as u64;
            let detail = sampler.due(now).expect("due when it said");
            let sample = Sample { usage: usage(at), ..Sample::default() };
            sampler.took(now, detail, &sample, Limit::Bytes(100 * M));
            times.push(at);
        }
        times
    }

    #[test]
    fn a_tenth_of_a_second_leaves_a_picture_at_the_default_interval() {
        assert_eq!(samples(100, 100, |at| at * M / 4).len(), 20);
        assert!(samples(100, 30, |at| at * 3 * M).len() >= 20, "100M in 30 ms");
    }

    #[test]
    fn a_grown_run_that_stands_still_is_sampled_at_the_interval() {
        let times = samples(100, 4000, |_| M);
        assert_eq!(times.iter().filter(|at| **at > 2200).count(), 17);
    }

    #[test]
    fn usage_that_moves_is_watched_closely_however_old_the_run() {
        let times = samples(100, 6000, |at| if at > 4000 { at * M / 10 } else { M });
        assert!(times.iter().filter(|at| (4200..4300).contains(*at)).count() < 3, "0.5 M per 5 ms is slow");
        let times = samples(100, 6000, |at| if at > 4000 { (at - 4000) * M } else { M });
        assert!(times.iter().filter(|at| (4200..4300).contains(*at)).count() >= 18);
    }

    #[test]
    fn above_a_budget_usage_is_watched_closely_though_it_stands_still() {
        let counted = |usage| {
            let times = samples_with(Some(50 * M), 100, 6000, |_| usage);
            times.iter().filter(|at| (4000..5000).contains(*at)).count()
        };
        assert!(counted(50 * M) <= 11 && counted(51 * M) >= 199);
    }

    #[test]
    fn a_faster_interval_stays_faster() {
        assert_eq!(samples(1, 100, |_| M).len(), 100);
    }
}
