//! What a chart of one run shows: thinned samples, the limit as steps, and the marks, in seconds since the main process was let go.

use std::time::Duration;

use crate::{
    event::Note,
    sentences::{Language, moment},
    session::{Mark, Run, Session, What, history::Point},
    units::{Limit, is_lower},
};

/// The most points of a chart.
pub const POINTS: usize = 1500;

/// A run as a chart shows it.
pub struct Series {
    /// How long it is, in seconds.
    pub span: f64,
    /// The samples, in time order.
    pub dots: Vec<Dot>,
    /// The limit from these moments on; the first is at 0.
    pub limits: Vec<(f64, Limit)>,
    /// What is marked, in time order.
    pub marks: Vec<Marked>,
    /// Whether the run is over.
    pub ended: bool,
}

/// A sample.
#[derive(Clone, Copy)]
pub struct Dot {
    /// When, in seconds.
    pub at: f64,
    /// Usage, in bytes.
    pub usage: u64,
    /// The part of it that can be given back, in bytes.
    pub cache: u64,
    /// The highest usage since the sample before, in bytes.
    pub peak: u64,
}

/// Something that is marked.
pub struct Marked {
    /// When, in seconds.
    pub at: f64,
    /// What.
    pub sign: Sign,
    /// Where on the size axis, in bytes.
    pub level: Option<u64>,
    /// The limit that was asked for or met.
    pub limit: Limit,
    /// The sentence.
    pub text: String,
}

/// A kind of mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Usage met the limit for the first time.
    FirstHit,
    /// The OOM killer killed.
    Kill,
    /// The limit was moved up.
    Raised,
    /// The limit was moved down.
    Lowered,
    /// The kernel refused a limit.
    Refused,
    /// The workload was paused.
    Paused,
}

impl Series {
    /// The series of a run, with at most so many points.
    pub fn new(run: &Run, session: &Session, most: usize) -> Series {
        let origin = run.origin();
        let end = run.ended.as_ref().map_or(session.now, |(at, _)| *at).max(origin + Duration::from_millis(10));
        let span = (end - origin).as_secs_f64();
        let seconds = |at: Duration| at.saturating_sub(origin).as_secs_f64().min(span);
        let points = run.history.points();
        // What was before the run's own time is where it starts from.
        let first = points.iter().rposition(|p| p.at <= origin).unwrap_or(0);
        let last = points.iter().rposition(|p| p.at <= end).map_or(0, |n| n + 1);
        let shown = points.get(first..last).unwrap_or_default();
        let dot = |p: &Point| Dot { at: seconds(p.at), usage: p.usage, cache: p.reclaimable, peak: p.peak };
        let mut dots: Vec<Dot> = thinned(shown, most).iter().map(dot).collect();
        // Until the end holds what was read last.
        if let Some(last) = dots.last().filter(|last| last.at < span) {
            dots.push(Dot { at: span, peak: last.usage, ..*last });
        }
        let limits = limits(run, session).into_iter().map(|(at, limit)| (seconds(at), limit)).collect();
        let mut series = Series { span, dots, limits, marks: Vec::new(), ended: run.ended.is_some() };
        series.mark(run, session, seconds);
        series
    }

    /// The limit at a moment, in seconds.
    pub fn limit_at(&self, at: f64) -> Limit {
        self.limits.iter().rev().find(|(since, _)| *since <= at).or(self.limits.first()).map_or(Limit::Max, |l| l.1)
    }

    /// The highest limit that was in force, in bytes.
    pub fn highest_limit(&self) -> Option<u64> {
        self.limits.iter().filter_map(|(_, limit)| limit.bytes()).max()
    }

    fn mark(&mut self, run: &Run, session: &Session, seconds: impl Fn(Duration) -> f64) {
        let kill = |(at, mark): &(Duration, Mark)| match mark {
            Mark::Kill => {
                let text = format!("OOM kill at {}", moment(at.saturating_sub(run.origin())));
                let limit = self.limit_at(seconds(*at));
                Some(Marked { at: seconds(*at), sign: Sign::Kill, level: limit.bytes(), limit, text })
            }
            Mark::LimitDown | Mark::LimitUp | Mark::Pause | Mark::Resume | Mark::Stall => None, // the log says more of these
        };
        let mut marks: Vec<Marked> = run.marks.iter().filter_map(kill).collect();
        for entry in session.log.iter().filter(|entry| entry.run == run.started.run) {
            let (sign, limit) = match &entry.what {
                What::FirstHit { limit } => (Sign::FirstHit, *limit),
                What::LimitMoved { from, to, .. } if is_lower(*from, *to) => (Sign::Lowered, *to),
                What::LimitMoved { to, .. } => (Sign::Raised, *to),
                What::LimitBusy { target, .. } => (Sign::Refused, *target),
                What::Paused { pause, worse: false } => (Sign::Paused, pause.limit),
                _ => continue,
            };
            let text = Language::English.entry(entry, session).0;
            marks.push(Marked { at: seconds(entry.at), sign, level: limit.bytes(), limit, text });
        }
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        self.marks = marks;
    }
}

/// The limit from its first moment on.
fn limits(run: &Run, session: &Session) -> Vec<(Duration, Limit)> {
    let start = (run.at, run.started.limit);
    let moves = run.moves.made.iter().map(|moved| (moved.at, moved.to));
    let elsewhere =
        session.log.iter().filter(|entry| entry.run == run.started.run).filter_map(|entry| match entry.what {
            What::Note(Note::LimitChangedElsewhere { now }) => Some((entry.at, now)),
            _ => None,
        });
    let mut limits: Vec<(Duration, Limit)> = std::iter::once(start).chain(moves).chain(elsewhere).collect();
    limits.sort_by_key(|(at, _)| *at);
    limits
}

/// Fewer points with the same extremes: of each stretch the lowest and the highest, in their order, and always the last of all.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= most {
        return points.to_vec();
    }
    let stretches = (most / 2).max(1) as f64;
    let width = (last.at - first.at).as_secs_f64() / stretches;
    let mut thin: Vec<Point> = Vec::new();
    for stretch in points.chunk_by(|a, b| {
        let number = |p: &Point| ((p.at - first.at).as_secs_f64() / width) as u64;
        number(a) == number(b)
    }) {
        let low = stretch.iter().min_by_key(|p| p.usage).unwrap_or(first);
        let high = stretch.iter().max_by_key(|p| p.usage).unwrap_or(first);
        let peak = stretch.iter().map(|p| p.peak).max().unwrap_or(0);
        let high = Point { peak, ..*high };
        let mut pair = if low.at < high.at { vec![*low, high] } else { vec![high, *low] };
        pair.dedup_by_key(|p| p.at);
        thin.extend(pair);
    }
    if thin.last().is_some_and(|p| p.at < last.at) {
        thin.push(*last);
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ms: u64, usage: u64) -> Point {
        let at = Duration::from_millis(ms);
        Point { at, usage, peak: usage, limit: Limit::Max, ..Point::default() }
    }

    #[test]
    fn thinning_keeps_what_stands_out_up_and_down() {
        let usage = |n| match n {
            4321 => 9_000,
            5678 => 1,
            n => 100 + n % 7,
        };
        let points: Vec<Point> = (0..10_000).map(|n| point(n, usage(n))).collect();
        let thin = thinned(&points, POINTS);
        assert!(thin.len() <= POINTS + 2, "{}", thin.len());
        assert!(thin.is_sorted_by_key(|p| p.at));
        for (ms, usage) in [(4321, 9_000), (5678, 1)] {
            assert!(thin.iter().any(|p| p.at.as_millis() == ms && p.usage == usage), "{ms}");
        }
        assert_eq!(thin.last().map(|p| p.at), points.last().map(|p| p.at));
    }
}
