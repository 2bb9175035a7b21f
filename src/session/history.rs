//! The picture's data: what usage, peak and limit were over time, bounded in memory, with the extremes kept.

use std::time::Duration;

use crate::units::Limit;

/// How many points are kept; when there are more, neighbours are merged.
const CAPACITY: usize = 8192;

/// One or more samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// When the (last) sample was taken.
    pub at: Duration,
    /// The usage then, in bytes; of merged samples the highest.
    pub usage: u64,
    /// The highest usage since the point before, in bytes.
    pub peak: u64,
    /// The part of the usage that can be given back: file cache, in bytes.
    pub reclaimable: u64,
    /// The parts that cannot: shared memory, and the kernel's own, in bytes. The rest is anonymous.
    pub shmem: u64,
    /// Of the kernel, 0 where that is not counted.
    pub kernel: u64,
    /// The limit then.
    pub limit: Limit,
    /// The soft limit then (v1), or what usage is throttled above (v2); `Max` for none.
    pub soft: Limit,
    /// How often the limit was hit since the point before.
    pub hits: u64,
}

impl Point {
    /// What is neither cache nor shared nor the kernel's, in bytes.
    pub fn anon(&self) -> u64 {
        self.usage.saturating_sub(self.reclaimable).saturating_sub(self.shmem).saturating_sub(self.kernel)
    }
}

/// Points in time order.
#[derive(Clone, Debug, Default)]
pub struct History {
    points: Vec<Point>,
}

impl History {
    /// Adds a point at the end.
    pub fn push(&mut self, point: Point) {
        self.points.push(point);
        if self.points.len() > CAPACITY {
            self.thin();
        }
    }

    /// All points.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Says what the newest points consisted of that were read without it: their parts went from those of the point before them to these. Usage is read
    /// more often than what it consists of.
    pub fn settle(&mut self, unread: usize, reclaimable: u64, shmem: u64, kernel: u64) {
        let first = self.points.len().saturating_sub(unread);
        let Some(before) = first.checked_sub(1).map(|n| self.points[n]) else { return };
        let steps = (unread + 1) as f64;
        for (n, point) in self.points[first..].iter_mut().enumerate() {
            let share = (n + 1) as f64 / steps;
            let between = |a: u64, b: u64| (a as f64 + (b as f64 - a as f64) * share) as u64;
            point.reclaimable = between(before.reclaimable, reclaimable).min(point.usage);
            point.shmem = between(before.shmem, shmem);
            point.kernel = between(before.kernel, kernel);
        }
    }

    /// Merges neighbours in the older half, so that the newest stay as they were sampled.
    fn thin(&mut self) {
        let old = self.points.len() / 2;
        let merged = self.points[..old].chunks(2).map(|pair| pair.iter().copied().reduce(merge).unwrap_or(pair[0]));
        let mut points: Vec<Point> = merged.collect();
        points.extend_from_slice(&self.points[old..]);
        self.points = points;
    }

    /// What happened in each of `n` equal stretches of `from..to`. A stretch without a sample shows what held before it; before the
    /// first sample and after the last there is `None`.
    pub fn columns(&self, from: Duration, to: Duration, n: usize) -> Vec<Option<Point>> {
        let width = (to.saturating_sub(from)).as_secs_f64() / n.max(1) as f64;
        let mut columns: Vec<Option<Point>> = vec![None; n];
        let first = self.points.partition_point(|p| p.at < from);
        for point in self.points[first..].iter().take_while(|p| p.at <= to) {
            let column = ((point.at - from).as_secs_f64() / width) as usize;
            let slot = &mut columns[column.min(n.saturating_sub(1))];
            *slot = Some(slot.map_or(*point, |before| merge(before, *point)));
        }
        let before = first.checked_sub(1).map(|n| Point { hits: 0, ..self.points[n] });
        // Between two samples the first one holds, also where neither is in sight.
        let goes_on = self.points.last().is_some_and(|last| last.at > to);
        let last = columns.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let mut held = before;
        for slot in columns.iter_mut().take(if goes_on { n } else { last }) {
            match slot {
                Some(point) => held = Some(Point { peak: point.usage, hits: 0, ..*point }),
                None => *slot = held,
            }
        }
        columns
    }
}

/// The same where what was last seen is taken to hold on: up to the end.
pub fn held(mut columns: Vec<Option<Point>>) -> Vec<Option<Point>> {
    let mut last = None;
    for slot in &mut columns {
        match slot {
            Some(point) => last = Some(Point { peak: point.usage, hits: 0, ..*point }),
            None => *slot = last,
        }
    }
    columns
}

fn merge(a: Point, b: Point) -> Point {
    let larger = if a.usage > b.usage { a } else { b };
    let hits = a.hits.saturating_add(b.hits);
    Point { at: b.at, peak: a.peak.max(b.peak), limit: b.limit, soft: b.soft, hits, ..larger }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ms: u64, usage: u64) -> Point {
        let at = Duration::from_millis(ms);
        Point { at, usage, peak: usage + 1, limit: Limit::Bytes(1000), hits: 1, ..Point::default() }
    }

    #[test]
    fn thinning_bounds_the_memory_and_keeps_the_extremes() {
        let mut history = History::default();
        for n in 0..100_000 {
            history.push(point(n, if n == 777 { 9_000 } else { n % 100 }));
        }
        assert!(history.points().len() <= CAPACITY);
        assert!(history.points().iter().any(|p| p.usage == 9_000 && p.peak == 9_001));
        assert!(history.points().is_sorted_by_key(|p| p.at));
        assert_eq!(history.points().last().map(|p| p.at), Some(Duration::from_millis(99_999)));
        assert_eq!(history.points().iter().map(|p| p.hits).sum::<u64>(), 100_000);
    }

    #[test]
    fn parts_that_were_not_read_lie_between_those_that_were() {
        let mut history = History::default();
        for (ms, usage, reclaimable) in [(0, 100, 20), (1, 110, 20), (2, 120, 20), (3, 130, 20)] {
            history.push(Point { reclaimable, ..point(ms, usage) });
        }
        history.settle(3, 60, 4, 8);
        let parts: Vec<(u64, u64)> = history.points().iter().map(|p| (p.reclaimable, p.kernel)).collect();
        assert_eq!(parts, [(20, 0), (30, 2), (40, 4), (50, 6)]);
    }

    #[test]
    fn a_stretch_without_a_sample_shows_what_held_before_it() {
        let mut history = History::default();
        for p in [point(0, 10), point(50, 50), point(90, 20)] {
            history.push(p);
        }
        let columns = history.columns(Duration::ZERO, Duration::from_millis(200), 20);
        let usage: Vec<Option<u64>> = columns.iter().map(|c| c.map(|p| p.usage)).collect();
        assert_eq!(
            usage[..11],
            [10, 10, 10, 10, 10, 50, 50, 50, 50, 20].map(Some).into_iter().chain([None]).collect::<Vec<_>>()
        );
        assert_eq!(usage[19], None);
    }

    #[test]
    fn what_was_last_seen_holds_where_the_picture_is_finer_than_the_samples() {
        let mut history = History::default();
        for p in [point(0, 10), point(1000, 50)] {
            history.push(p);
        }
        let usages =
            |columns: Vec<Option<Point>>| columns.iter().map(|c| c.map(|p| (p.usage, p.hits))).collect::<Vec<_>>();
        let between = history.columns(Duration::from_millis(400), Duration::from_millis(410), 3);
        assert_eq!(usages(between), [Some((10, 0)); 3]);
        let after = history.columns(Duration::from_millis(1000), Duration::from_millis(1300), 3);
        assert_eq!(usages(after.clone()), [Some((50, 1)), None, None]);
        assert_eq!(usages(held(after)), [Some((50, 1)), Some((50, 0)), Some((50, 0))]);
    }
}
