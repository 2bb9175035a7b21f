//! What is foretold of memory that grows in one way or another.

use proptest::prelude::*;

use super::*;
use crate::{
    event::{Controller, Event, MemoryStat, Pause, Resume, Sample, Settings, Stamped, Started},
    session::Session,
    units::Limit,
};

const M: f64 = (1 << 20) as f64;

/// A run under 100M whose anonymous memory is this after each of so many milliseconds, with so much cache beside it.
fn run(every_ms: u64, until_ms: u64, cache: f64, anon: impl Fn(f64) -> f64) -> Session {
    let mut session = Session::default();
    let mut apply = |ms: u64, event| session.apply(&Stamped { at: Duration::from_millis(ms), event });
    apply(0, Event::Started(Box::new(Started::plain(Controller::V2))));
    apply(0, Event::Running { pid: 2, host_pid: Some(500) });
    for ms in (0..=until_ms).step_by(every_ms as usize) {
        apply(ms, sample(anon(ms as f64 / 1000.0), cache));
    }
    session
}

fn sample(anon: f64, cache: f64) -> Event {
    let (anon, file) = (anon as u64, cache as u64);
    let stat = MemoryStat { anon, file, kernel: Some(0), ..MemoryStat::default() };
    Event::Sample(Sample { usage: anon + file, stat: Some(stat), ..Sample::default() })
}

fn foretold(session: &Session) -> Option<Forecast> {
    session.run().expect("a run").forecast(session.now)
}

fn seconds(forecast: Option<Forecast>) -> f64 {
    forecast.expect("a forecast").full_in.as_secs_f64()
}

#[test]
fn a_straight_line_is_foretold_to_the_point_and_counts_down() {
    let grows = |ms| foretold(&run(100, ms, 10.0 * M, |t| 10.0 * M * t));
    let four = grows(4000).expect("a forecast");
    assert!((four.full_in.as_secs_f64() - 6.0).abs() < 0.01, "{four:?}");
    assert!((four.of_it_cache.as_secs_f64() - 1.0).abs() < 0.01, "{four:?}");
    assert!((four.rate - 10.0 * M).abs() < 1.0, "{four:?}");
    let left: Vec<f64> = (20..99).map(|n| seconds(grows(n * 100))).collect();
    assert!(left.windows(2).all(|pair| (pair[0] - pair[1] - 0.1).abs() < 0.001), "{left:?}");
    // Between two samples as well.
    let session = run(100, 4000, 0.0, |t| 10.0 * M * t);
    let later = session.run().unwrap().forecast(session.now + Duration::from_millis(70));
    assert!((seconds(later) - 5.93).abs() < 0.01, "{later:?}");
}

#[test]
fn points_that_are_close_at_first_and_further_apart_later_are_one_line() {
    let mut session = run(5, 2000, 0.0, |t| 10.0 * M * t);
    for ms in (2100..9000).step_by(100) {
        let anon = 10.0 * M * ms as f64 / 1000.0;
        session.apply(&Stamped { at: Duration::from_millis(ms), event: sample(anon, 0.0) });
        let left = 10.0 - ms as f64 / 1000.0;
        assert!((seconds(foretold(&session)) - left).abs() < 0.01, "at {ms} ms: {:?}", foretold(&session));
    }
}

#[test]
fn a_sample_a_second_is_enough() {
    let forecast = foretold(&run(1000, 6000, 0.0, |t| 10.0 * M * t));
    assert!((seconds(forecast) - 4.0).abs() < 0.01, "{forecast:?}");
}

#[test]
fn no_more_is_cache_than_there_is_time() {
    let forecast = foretold(&run(100, 9000, 50.0 * M, |t| 10.0 * M * t)).expect("a forecast");
    assert_eq!(forecast.of_it_cache, forecast.full_in);
}

#[test]
fn cache_that_would_last_for_longer_than_a_time_can_be_lasts_until_it_is_full() {
    let mut session = run(100, 0, 0.0, |_| 0.0);
    for n in 0..5 {
        let (at, cache) = (Duration::from_secs(1_000_000_000 * (n + 1)), (1u64 << 62) as f64);
        session.apply(&Stamped { at, event: sample((98.0 - 2.0 * (4 - n) as f64) * M, cache) });
    }
    let run = session.run().expect("a run");
    // At 2 MiB in a thousand million seconds 2 MiB are further away than is foretold …
    assert_eq!(run.forecast(session.now), None);
    // … and none are no time at all.
    for n in 5..9 {
        let at = Duration::from_secs(1_000_000_000 * (n + 1));
        session.apply(&Stamped { at, event: sample((98.0 + 2.0 * (n - 4) as f64) * M, (1u64 << 62) as f64) });
    }
    let forecast = foretold(&session).expect("a forecast");
    assert_eq!((forecast.full_in, forecast.of_it_cache), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn what_says_nothing_is_not_foretold() {
    for (why, session) in [
        ("nothing yet", run(100, 0, 0.0, |_| 50.0 * M)),
        ("too short", run(100, 900, 0.0, |t| 30.0 * M * t)),
        ("flat", run(100, 4000, 0.0, |_| 50.0 * M)),
        ("falling", run(100, 4000, 0.0, |t| 90.0 * M - 10.0 * M * t)),
        ("a little", run(100, 4000, 0.0, |t| 50.0 * M + 0.1 * M * t)),
        ("a sawtooth", run(100, 4000, 0.0, |t| 50.0 * M + 30.0 * M * (t % 0.8))),
        ("a slow sawtooth that has just fallen", run(100, 4200, 0.0, |t| 10.0 * M + 20.0 * M * (t % 2.1))),
        ("up and down", run(100, 4000, 0.0, |t| 50.0 * M + 20.0 * M * (t * 7.0).sin())),
        ("one step", run(100, 4000, 0.0, |t| if t < 3.0 { 20.0 * M } else { 60.0 * M })),
        ("further away than an hour", {
            let mut session = run(100, 4000, 0.0, |t| M * t);
            session.runs[0].limit = Limit::Bytes(1 << 40);
            session
        }),
        ("no limit", {
            let mut session = run(100, 4000, 0.0, |t| 10.0 * M * t);
            session.runs[0].limit = Limit::Max;
            session
        }),
    ] {
        assert_eq!(foretold(&session), None, "{why}");
    }
}

#[test]
fn what_stands_still_or_is_not_looked_at_is_not_foretold() {
    let mut session = run(100, 4000, 0.0, |t| 10.0 * M * t);
    let at = |ms| Duration::from_millis(ms);
    assert!(session.run().unwrap().forecast(at(5900)).is_some());
    assert_eq!(session.run().unwrap().forecast(at(6100)), None, "the line is old");
    let pause = Pause { limit: Limit::Bytes(100 << 20), usage: 0, unreclaimable: 0, at_limit: false, frozen: true };
    session.apply(&Stamped { at: at(4000), event: Event::Paused(pause) });
    assert_eq!(foretold(&session), None);
    session.apply(&Stamped { at: at(4010), event: Event::Resumed { by: Resume::Room } });
    assert_eq!(foretold(&session), None, "how it goes on is not known yet");
    let frozen = Settings { frozen: Some(true), ..Settings::default() };
    let mut session = run(100, 4000, 0.0, |t| 10.0 * M * t);
    session.apply(&Stamped { at: at(4000), event: Event::Settings(Box::new(frozen)) });
    assert_eq!(foretold(&session), None);
}

#[test]
fn kernel_memory_that_a_reclaim_would_free_fills_no_limit() {
    let grows = |controller, slab_reclaimable: fn(u64) -> Option<u64>| {
        let mut session = Session::default();
        let mut apply = |ms: u64, event| session.apply(&Stamped { at: Duration::from_millis(ms), event });
        apply(0, Event::Started(Box::new(Started::plain(controller))));
        apply(0, Event::Running { pid: 2, host_pid: Some(500) });
        for ms in (0..=4000).step_by(100) {
            let (anon, kernel) = (8 << 20, 10 * (1 << 20) * ms / 1000);
            let slab_reclaimable = slab_reclaimable(kernel);
            let stat = MemoryStat { anon, kernel: Some(kernel), slab_reclaimable, ..MemoryStat::default() };
            apply(ms, Event::Sample(Sample { usage: anon + kernel, stat: Some(stat), ..Sample::default() }));
        }
        foretold(&session)
    };
    assert_eq!(grows(Controller::V1, |_| None), None, "it may be dentries");
    assert_eq!(grows(Controller::V2, Some), None);
    assert!(grows(Controller::V2, |_| Some(0)).is_some(), "sockets, say");
}

#[test]
fn the_limit_that_is_in_force_counts() {
    let mut session = run(100, 4000, 0.0, |t| 10.0 * M * t);
    let target = Limit::Bytes(60 << 20);
    let by = Default::default();
    session.apply(&Stamped { at: session.now, event: Event::LimitRequested { target, by } });
    assert!((seconds(foretold(&session)) - 2.0).abs() < 0.01, "v2 has it at once");
    let outcome = crate::event::LimitOutcome::Applied { now: Limit::Bytes(70 << 20) };
    session.apply(&Stamped { at: session.now, event: Event::LimitDone { target, by, outcome } });
    assert!((seconds(foretold(&session)) - 3.0).abs() < 0.01, "{:?}", foretold(&session));
}

#[test]
fn a_thousand_samples_a_second_are_a_hundred_points() {
    let session = run(1, 20_000, 0.0, |t| 4.0 * M * t);
    let growth = &session.run().unwrap().growth;
    assert!((90..=102).contains(&growth.points.len()), "{}", growth.points.len());
    assert!(growth.memory() < 8192, "{}", growth.memory());
}

proptest! {
    /// What is steady is foretold within a tenth from two seconds on, in whatever steps it grows, however it is sampled, and with a jump at its start.
    #[test]
    fn what_grows_steadily_is_foretold(
        rate in 2.0..40.0f64, step in 0.01..1.0f64, every in 1..200u64, jump in 0.0..10.0f64, noise in 0.0..0.2f64, seed in any::<u32>(),
    ) {
        let anon = |t: f64| {
            let steps = (rate * t / step).floor() * step;
            let chance = f64::from((seed as u64 + (t * 1e6) as u64).wrapping_mul(2_654_435_761) as u32) / f64::from(u32::MAX);
            (jump.min(t * 100.0) + steps + noise * chance) * M
        };
        let until = 2000 / every * every + every;
        let forecast = foretold(&run(every, until, 0.0, anon));
        let truth = (100.0 - jump) / rate - until as f64 / 1000.0;
        if truth > 0.5 {
            let said = seconds(forecast);
// A slope over a second is as good as the steps are small.
            let off = 0.1 + (step + noise) / rate;
            prop_assert!((said - truth).abs() <= truth * off + 0.1, "{said} for {truth}");
        }
    }
}
