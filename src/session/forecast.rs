//! When a run will have filled its limit, if it goes on as it does: a part of its fold.
//!
//! It looks at what cannot be given back ([`Run::parts`]), for cache fills every limit and harms nobody. Refuses: to say anything where the last
//! seconds are no line.

use std::{collections::VecDeque, time::Duration};

use super::Run;

/// How much of the past counts.
const WINDOW: Duration = Duration::from_millis(2500);

/// How far apart points are kept, at least: so that there are a hundred at most, however often is sampled.
const APART: Duration = Duration::from_millis(25);

/// Less than this is no line …
const SHORTEST: Duration = Duration::from_secs(1);

/// … and fewer points neither. So many are kept however far apart they are.
const FEWEST: usize = 5;

/// A line that ended so long ago says nothing of now.
const STALE: Duration = Duration::from_secs(2);

/// Growth over the window that may be chance, in bytes: `memory.stat` can be so far behind (measured on 6.18: 217 KiB).
const NOISE: f64 = 1024.0 * 1024.0;

/// The line must pass half of the points within this share of the growth, …
const SCATTER: f64 = 0.15;

/// … and the newest no further above it than so many such distances and this share of the growth: else memory was given back. A staircase is at most
/// two of them below its line.
const FALLEN: f64 = 3.0;
const FALLEN_OF_GROWTH: f64 = 0.05;

/// From the first third of the window to the second it must grow at most so many times as fast or as slowly as from there to the last: one step is no line.
const BEND: f64 = 3.0;

/// What is further away is not foretold.
const FURTHEST: Duration = Duration::from_secs(3600);

/// When a limit will be full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// In how long, from now.
    pub full_in: Duration,
    /// The part of that in which file cache is given back to make room: the kernel reclaims, and nothing else happens yet.
    pub of_it_cache: Duration,
    /// How fast what cannot be given back grows, in bytes a second.
    pub rate: f64,
}

/// What could not be given back during the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    points: VecDeque<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    at: Duration,
    held: u64,
    cache: u64,
}

/// A straight line: bytes a second, and bytes at the time of the newest point.
#[derive(Clone, Copy, Debug)]
struct Line {
    rate: f64,
    newest: f64,
}

impl Growth {
    /// Whether a point at this time would be kept.
    pub(super) fn is_due(&self, at: Duration) -> bool {
        self.points.back().is_none_or(|last| at >= last.at + APART)
    }

    /// Adds what was held, and what was cache beside it, in bytes.
    pub(super) fn push(&mut self, at: Duration, held: u64, cache: u64) {
        self.points.push_back(Held { at, held, cache });
        while self.points.len() > FEWEST && self.points.front().is_some_and(|first| first.at + WINDOW < at) {
            self.points.pop_front();
        }
    }

    /// Forgets all of it: what comes is not how it was.
    pub(super) fn clear(&mut self) {
        self.points = VecDeque::new();
    }

    /// How much memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.points.capacity() * size_of::<Held>()
    }

    /// The line through the points, where there is one that grows.
    fn line(&self) -> Option<Line> {
        let (first, last) = (self.points.front()?, self.points.back()?);
        let span = last.at.saturating_sub(first.at);
        if self.points.len() < FEWEST || span < SHORTEST {
            return None;
        }
        let rate = self.slope()?;
        let growth = rate * span.as_secs_f64();
        let level = |point: &Held| point.held as f64 + rate * (last.at - point.at).as_secs_f64();
        let newest = median(self.points.iter().map(level).collect())?;
        let scatter = median(self.points.iter().map(|point| (level(point) - newest).abs()).collect())?;
        let fallen = newest - last.held as f64 > scatter * FALLEN + (2.0 * NOISE).max(growth * FALLEN_OF_GROWTH);
        (growth >= NOISE && scatter <= growth * SCATTER && !fallen && self.is_straight())
            .then_some(Line { rate, newest })
    }

    /// Whether it grows about as fast from the first third of the window to the second as from there to the last. Thirds of the time, not of the points:
    /// a young run has more of them.
    fn is_straight(&self) -> bool {
        let (Some(first), Some(last)) = (self.points.front(), self.points.back()) else { return false };
        let third = |n| first.at + (last.at - first.at) * n / 3;
        let middle = |n: u32| {
            let within: Vec<&Held> = self.points.iter().filter(|p| p.at >= third(n) && p.at <= third(n + 1)).collect();
            let held = median(within.iter().map(|point| point.held as f64).collect())?;
            Some((within[within.len() / 2].at.as_secs_f64(), held))
        };
        let rate = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
        let (Some(first), Some(second), Some(last)) = (middle(0), middle(1), middle(2)) else { return false };
        let (before, after) = (rate(first, second), rate(second, last));
        before > 0.0 && after > 0.0 && before <= after * BEND && after <= before * BEND
    }

    /// The median of the slopes between each point and the one half of the window later: a step in a quarter of the window does not turn it.
    fn slope(&self) -> Option<f64> {
        let half = self.points.len() / 2;
        let pairs = self.points.iter().zip(self.points.iter().skip(half));
        let slopes = pairs.filter_map(|(a, b)| {
            let seconds = b.at.saturating_sub(a.at).as_secs_f64();
            (seconds > 0.0).then(|| (b.held as f64 - a.held as f64) / seconds)
        });
        median(slopes.collect())
    }
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    let middle = all.len() / 2;
    (!all.is_empty()).then(|| *all.select_nth_unstable_by(middle, f64::total_cmp).1)
}

impl Run {
    /// Takes in what is held now. What `memory.stat` does not say at this moment is no news.
    pub(super) fn grew(&mut self, at: Duration) {
        if self.growth.is_due(at) {
            let parts = self.parts();
            // What a reclaim frees, or may free, fills no limit.
            let held = parts.unreclaimable();
            self.growth.push(at, held, parts.cache + (parts.held - held));
        }
    }

    /// When the limit that is in force will be full, at the rate of the last seconds; `None` where they say nothing.
    pub fn forecast(&self, now: Duration) -> Option<Forecast> {
        let limit = self.limit_in_force().bytes()?;
        if self.tighter().is_some() {
            return None; // who else lives under that one is not known
        }
        let stands = self.ended.is_some() || self.is_paused() || self.settings.frozen == Some(true);
        let last = self.growth.points.back().filter(|last| !stands && now <= last.at + STALE)?;
        let line = self.growth.line()?;
        // Between what was read last and what the line says there can be a step of the workload: the worse one counts.
        let held = line.newest.max(last.held as f64) + line.rate * now.saturating_sub(last.at).as_secs_f64();
        let seconds = (limit as f64 - held).max(0.0) / line.rate;
        let full_in = Duration::try_from_secs_f64(seconds).ok().filter(|full_in| *full_in <= FURTHEST)?;
        // More cache than there is time for, or than a time can be: a recording may say anything.
        let cache = Duration::try_from_secs_f64(last.cache as f64 / line.rate);
        let of_it_cache = cache.map_or(full_in, |cache| cache.min(full_in));
        Some(Forecast { full_in, of_it_cache, rate: line.rate })
    }
}

#[cfg(test)]
mod tests;
