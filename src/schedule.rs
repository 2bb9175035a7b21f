//! `--schedule`: limits at times, and what is written when. Pure.
//!
//! A schedule is steps in rising order: `10s=120M` moves the limit, `10s..20s=200M..80M` is a ramp, which is a row of such moves. Times count
//! from when the main process is let go. Refuses: a clock, which the supervisor has, and sizes, which `units.rs` reads.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::units::{Limit, page_size, time};

/// What every message about a bad schedule says is accepted.
const ACCEPTED: &str = "0s=200M,10s=120M,20s..30s=120M..60M";

/// A ramp is written at most this often …
const RAMP_EVERY_MS: u64 = 100;

/// … and in at most so many moves: each is an edit that is recorded, and finer ones no chart shows.
const RAMP_MOVES: u64 = 100;

/// Nothing runs longer than this, in milliseconds: a hundred years.
const LONGEST_MS: u128 = 100 * 365 * 86400 * 1000;

/// The most steps of a schedule: with a ramp in each they are a hundred thousand moves, which a run keeps.
const MOST_STEPS: usize = 1000;

/// Limits at times; without steps there is no schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule {
    /// The steps, in rising order.
    pub steps: Vec<Step>,
}

/// One step: a limit from some time on, or a ramp from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds since the main process was let go.
    pub at_ms: u64,
    /// The limit then.
    pub limit: Limit,
    /// Where the limit goes on to, step by step.
    pub ramp: Option<Ramp>,
}

/// The end of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    /// When it is reached, in milliseconds since the main process was let go.
    pub until_ms: u64,
    /// The limit there.
    pub limit: Limit,
}

/// One move of the limit that a schedule plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// When, since the main process was let go.
    pub at: Duration,
    /// The limit from then on.
    pub to: Limit,
    /// The step that it belongs to, from 0.
    pub step: usize,
    /// Whether more of the same ramp follows: one that finds the move before it unfinished can then be left out.
    pub on_the_way: bool,
}

impl Schedule {
    /// Reads a schedule as typed. `total` is what a percentage is of, in bytes.
    ///
    /// # Errors
    /// One sentence that points to the part that was wrong, and says what is accepted.
    pub fn parse(text: &str, total: u64) -> Result<Schedule, String> {
        let mut steps: Vec<Step> = Vec::new();
        for (n, part) in text.split(',').enumerate() {
            let step = step(part, total).and_then(|step| match steps.last() {
                _ if n == MOST_STEPS => Err(format!("it has at most {MOST_STEPS} steps")),
                Some(before) if !before.lets(step.at_ms) => {
                    Err(format!("{} is not after {}", Time(step.at_ms), Time(before.end_ms())))
                }
                _ => Ok(step),
            });
            let refused = |why| format!("step {}, '{}': {why}; a schedule is {ACCEPTED}", n + 1, part.trim());
            steps.push(step.map_err(refused)?);
        }
        Ok(Schedule { steps })
    }

    /// Keeps of a schedule that was not parsed but read the steps up to the first that parsing would have refused; how many are gone.
    pub fn keep_sound(&mut self) -> usize {
        let before = self.steps.len();
        let follows = |n: usize| n == 0 || self.steps[n - 1].lets(self.steps[n].at_ms);
        let sound = (0..before.min(MOST_STEPS)).take_while(|n| self.steps[*n].is_sound() && follows(*n)).count();
        self.steps.truncate(sound);
        self.steps.shrink_to_fit();
        before - sound
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The limit that it has a run start with, where its first step is at 0.
    pub fn at_start(&self) -> Option<Limit> {
        self.steps.first().filter(|step| step.at_ms == 0).map(|step| step.limit)
    }

    /// All that is to be written, in rising order.
    pub fn moves(&self) -> Vec<Move> {
        let mut moves: Vec<Move> = Vec::new();
        for (n, step) in self.steps.iter().enumerate() {
            // Where a ramp ends and the next step starts, the next step counts.
            moves.pop_if(|last| last.at == Duration::from_millis(step.at_ms));
            moves.extend(step.moves(n));
        }
        moves
    }
}

impl Step {
    /// When its last limit is reached, in milliseconds.
    fn end_ms(&self) -> u64 {
        self.ramp.map_or(self.at_ms, |ramp| ramp.until_ms)
    }

    /// Whether it can be typed: a time that something can run for, and a ramp that goes from one size to another and takes time.
    fn is_sound(&self) -> bool {
        let ramp = self.ramp.is_none_or(|ramp| {
            ramp.until_ms > self.at_ms && self.limit.bytes().is_some() && ramp.limit.bytes().is_some()
        });
        ramp && u128::from(self.end_ms()) <= LONGEST_MS
    }

    /// Whether another step may start then: where a ramp ends the next can start.
    fn lets(&self, next_ms: u64) -> bool {
        next_ms > self.end_ms() || (self.ramp.is_some() && next_ms == self.end_ms())
    }

    fn moves(&self, step: usize) -> Vec<Move> {
        let at = |ms, to, on_the_way| Move { at: Duration::from_millis(ms), to, step, on_the_way };
        let first = at(self.at_ms, self.limit, self.ramp.is_some());
        let (Some(ramp), Some((from, to))) =
            (self.ramp, self.limit.bytes().zip(self.ramp.and_then(|ramp| ramp.limit.bytes())))
        else {
            return vec![first];
        };
        let (span, page) = (from.abs_diff(to), page_size());
        let lasts = ramp.until_ms.saturating_sub(self.at_ms);
        let count = (lasts / RAMP_EVERY_MS).min(RAMP_MOVES).min(span / page).max(1);
        let share = |of: u64, k: u64| (u128::from(of) * u128::from(k) / u128::from(count)) as u64;
        let later = (1..=count).map(|k| {
            let moved = share(span, k) / page * page;
            let bytes = if to > from { from + moved } else { from - moved };
            let to = if k == count { ramp.limit } else { Limit::Bytes(bytes) };
            at(self.at_ms + share(lasts, k), to, k < count)
        });
        std::iter::once(first).chain(later).collect()
    }
}

/// One step as typed.
fn step(text: &str, total: u64) -> Result<Step, String> {
    let Some((when, what)) = text.split_once('=') else {
        return Err("it is no TIME=SIZE".into());
    };
    let limit = |text: &str| Limit::parse(text, total);
    match (when.split_once(".."), what.split_once("..")) {
        (None, None) => Ok(Step { at_ms: moment(when)?, limit: limit(what)?, ramp: None }),
        (Some((from, until)), Some((start, end))) => {
            let (at_ms, until_ms) = (moment(from)?, moment(until)?);
            if until_ms <= at_ms {
                return Err(format!("the ramp's end, {}, is not after its start", Time(until_ms)));
            }
            match (limit(start)?, limit(end)?) {
                (Limit::Max, _) | (_, Limit::Max) => Err("a ramp is from one size to another, and max is none".into()),
                (start, end) => Ok(Step { at_ms, limit: start, ramp: Some(Ramp { until_ms, limit: end }) }),
            }
        }
        (Some(_), None) => Err(format!("'{}' is one size; a ramp has two times and two sizes", what.trim())),
        (None, Some(_)) => Err(format!("'{}' is one time; a ramp has two times and two sizes", when.trim())),
    }
}

/// A time as typed, in whole milliseconds.
fn moment(text: &str) -> Result<u64, String> {
    let refuse = || format!("'{}' is no time (30, 500ms, 1.5s, 2m)", text.trim());
    let ms = time(text.trim()).ok_or_else(refuse)?.as_millis();
    if ms > LONGEST_MS { Err(refuse()) } else { Ok(ms as u64) }
}

/// A time as it can be typed.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// As it can be typed, so that it reads back as the very same.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.steps.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let (at, limit) = (Time(step.at_ms), step.limit.typed());
            match step.ramp {
                None => write!(f, "{comma}{at}={limit}")?,
                Some(ramp) => write!(f, "{comma}{at}..{}={limit}..{}", Time(ramp.until_ms), ramp.limit.typed())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const M: u64 = 1 << 20;

    fn read(text: &str) -> Schedule {
        Schedule::parse(text, 1000 * M).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn moves(text: &str) -> Vec<(u128, Limit)> {
        read(text).moves().iter().map(|m| (m.at.as_millis(), m.to)).collect()
    }

    #[test]
    fn steps_are_times_and_sizes() {
        let m = |n| Limit::Bytes(n * M);
        assert_eq!(moves("0s=200M,10s=120M,20s=60M"), [(0, m(200)), (10_000, m(120)), (20_000, m(60))]);
        assert_eq!(moves(" 500ms = 50% , 2m=max"), [(500, m(500)), (120_000, Limit::Max)]);
        assert_eq!(moves("1.5=64m"), [(1500, m(64))]);
        assert_eq!(read("0s=200M,1s=60M").at_start(), Some(m(200)));
        assert_eq!((read("1s=200M").at_start(), Schedule::default().at_start()), (None, None));
    }

    #[test]
    fn a_ramp_goes_in_moves_of_a_tenth_of_a_second_or_more() {
        let ramp = moves("10s..20s=200M..80M");
        assert_eq!(
            (ramp.len(), ramp[0], ramp[100]),
            (101, (10_000, Limit::Bytes(200 * M)), (20_000, Limit::Bytes(80 * M)))
        );
        assert_eq!(ramp[1].0, 10_100);
        assert_eq!(moves("0s..350ms=10M..13M").iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 116, 233, 350]);
        assert_eq!(moves("0s..1h=1G..2G").len(), 101);
        assert_eq!(
            moves("0s..10s=8K..16K"),
            [(0, Limit::Bytes(8192)), (5000, Limit::Bytes(12288)), (10_000, Limit::Bytes(16384))]
        );
        assert_eq!(moves("0s..50ms=10M..20M").len(), 2);
    }

    #[test]
    fn where_a_ramp_ends_the_next_step_may_start() {
        let both = read("0s..1s=100M..50M,1s..2s=50M..100M").moves();
        assert_eq!(both.iter().filter(|m| m.at.as_millis() == 1000).count(), 1);
        assert!(both.is_sorted_by(|a, b| a.at < b.at));
    }

    #[test]
    fn a_bad_schedule_is_refused_in_one_line_that_points_to_the_part() {
        for (text, pointer) in [
            ("", "step 1, '': it is no TIME=SIZE"),
            ("0s=200M,", "step 2, '': it is no TIME=SIZE"),
            ("0s=200M,10s", "step 2, '10s': it is no TIME=SIZE"),
            ("0s=200M,soon=1M", "step 2, 'soon=1M': 'soon' is no time"),
            ("-1s=200M", "'-1s' is no time"),
            ("0s=200M,10s=12zz", "step 2, '10s=12zz': '12zz' is not a size"),
            ("0s=+10%", "'+10%' is relative"),
            ("10s=1G,10s=2G", "step 2, '10s=2G': 10s is not after 10s"),
            ("10s=1G,1500ms=2G", "1500ms is not after 10s"),
            ("0s..5s=1G..2G,4s=1G", "4s is not after 5s"),
            ("5s..5s=1G..2G", "the ramp's end, 5s, is not after its start"),
            ("0s..5s=1G", "'1G' is one size"),
            ("5s=1G..2G", "'5s' is one time"),
            ("0s..5s=1G..max", "max is none"),
            ("0s=1G=2G", "'1G=2G' is not a size"),
        ] {
            let said = Schedule::parse(text, M).expect_err(text);
            assert!(said.contains(pointer) && said.contains(ACCEPTED), "{text}: {said}");
            assert_eq!(said.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn a_schedule_has_no_more_steps_than_a_run_can_keep() {
        let steps = |n: u64| (0..n).map(|n| format!("{n}s=1G")).collect::<Vec<_>>().join(",");
        assert_eq!(read(&steps(1000)).steps.len(), 1000);
        let said = Schedule::parse(&steps(1001), M).expect_err("too many");
        assert!(said.starts_with("step 1001, '1000s=1G': it has at most 1000 steps"), "{said}");
    }

    #[test]
    fn of_what_was_not_parsed_the_steps_up_to_the_first_bad_one_are_kept() {
        let step = |at_ms, ramp: Option<(u64, Limit)>| Step {
            at_ms,
            limit: Limit::Bytes(M),
            ramp: ramp.map(|(until_ms, limit)| Ramp { until_ms, limit }),
        };
        let kept = |steps: &[Step]| {
            let mut schedule = Schedule { steps: steps.to_vec() };
            let gone = schedule.keep_sound();
            assert!(schedule.moves().is_sorted_by(|a, b| a.at < b.at));
            (schedule.steps.len(), gone)
        };
        let (good, to) = (step(5, Some((900, Limit::Bytes(2 * M)))), Limit::Bytes(2 * M));
        assert_eq!(kept(&[good, step(900, None), step(901, None)]), (3, 0));
        for bad in [
            step(899, None),                      // before the end of the ramp
            step(1000, Some((999, to))),          // ends before it starts
            step(1000, Some((1000, to))),         // takes no time
            step(1000, Some((2000, Limit::Max))), // goes nowhere
            step(u64::MAX, None),
            step(1000, Some((u64::MAX, to))),
        ] {
            assert_eq!(kept(&[good, bad, step(3000, None)]), (1, 2), "{bad:?}");
        }
        let many: Vec<Step> = (0..220_000).map(|n| step(2 * n, Some((2 * n + 1, to)))).collect();
        assert_eq!(kept(&many), (1000, 219_000));
        // Even one that nobody looked at comes to moves.
        assert_eq!(Schedule { steps: vec![step(1000, Some((0, to)))] }.moves().len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_read_is_typed_so_that_it_reads_back(
            steps in prop::collection::vec((1u64..100_000, 1u64..1_000_000, prop::option::of((1u64..100_000, 1u64..1_000_000))), 1..6),
        ) {
            let (mut ms, page, mut all) = (0, page_size(), Vec::new());
            for (after, pages, ramp) in steps {
                let at_ms = ms + after;
                let ramp = ramp.map(|(lasts, pages)| Ramp { until_ms: at_ms + lasts, limit: Limit::Bytes(pages * page) });
                ms = ramp.map_or(at_ms, |ramp| ramp.until_ms);
                all.push(Step { at_ms, limit: Limit::Bytes(pages * page), ramp });
            }
            let schedule = Schedule { steps: all };
            prop_assert_eq!(Schedule::parse(&schedule.to_string(), 0), Ok(schedule.clone()));
            let moves = schedule.moves();
            prop_assert!(moves.is_sorted_by(|a, b| a.at < b.at));
            prop_assert!(moves.iter().all(|m| m.to.bytes().is_some_and(|n| n >= page && n.is_multiple_of(page))));
            for pair in moves.windows(2).filter(|pair| pair[0].step == pair[1].step) {
                let apart = pair[1].at - pair[0].at;
                prop_assert!(apart >= Duration::from_millis(RAMP_EVERY_MS) || !pair[1].on_the_way, "{apart:?}");
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "([0-9smh.=,MGKx% -]|max|\\.\\.){0,40}") {
            if let Ok(schedule) = Schedule::parse(&text, 1 << 30) {
                prop_assert!(!schedule.moves().is_empty());
            }
        }
    }
}
