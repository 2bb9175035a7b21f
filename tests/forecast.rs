//! The forecast on the real kernel: every one that a run makes is compared with what then happened.

mod common;

use std::{path::Path, time::Duration};

use common::*;
use sandtop::{
    event::Event,
    session::{Forecast, Session},
};

const M: u64 = 1 << 20;

/// How far a forecast may be from what then happens.
const PROMISED: f64 = 0.2;

/// From so long after the start.
const FROM: Duration = Duration::from_secs(2);

/// What a forecast cannot know: the kernel charges ahead for each CPU, samples are apart, and a machine does something else for a moment.
const MOMENT: Duration = Duration::from_millis(100);

/// How fast memory is filled, and the limit, in bytes.
const RATE: u64 = 20 * M;
const LIMIT: u64 = 150 * M;

/// Whether the promise can be tried here: it is about a constant rate, and an emulated machine has none.
fn is_steady_machine(test: &str) -> bool {
    if emulated() {
        not_here(test);
    }
    !emulated()
}

/// Whether memory was filled as it was to be: the machine can do something else meanwhile, and then there was no constant rate to foretell.
fn was_steady(path: &Path) -> bool {
    let recording = sandtop::record::read(path).unwrap_or_else(|e| panic!("{e}"));
    let mut session = Session::default();
    let mut off = 0u64;
    let mut first = None;
    for stamped in &recording.events {
        session.apply(stamped);
        let run = session.run().expect("a run");
        if run.limit_hits() > Some(0) {
            break;
        }
        // From when something is to be foretold: a program's own start is no filling.
        let filling = run.running.is_some() && run.elapsed(stamped.at) >= FROM / 2;
        if let (Event::Sample(sample), true) = (&stamped.event, filling) {
            let (since, from) = *first.get_or_insert((stamped.at, sample.usage));
            let expected = from + (stamped.at - since).as_millis() as u64 * RATE / 1000;
            off = off.max(expected.abs_diff(sample.usage));
        }
    }
    off < RATE / 8 // an eighth of a second late
}

/// Runs it until memory was filled steadily, and looks at the forecasts of that run.
fn worst_of_a_steady_run(mut run: impl FnMut() -> Ended, record: &Path) {
    for _ in 0..8 {
        let ended = run();
        assert_eq!(ended.outcome(), "oom_killed", "{}", ended.err);
        assert!(ended.field("forecast").is_null(), "nothing is foretold of what is over");
        if was_steady(record) {
            worst(record);
            return;
        }
        println!("the machine did something else meanwhile: run again");
    }
    panic!("this machine fills nothing steadily");
}

/// Folds a recording, and gives what is foretold after each sample of a run, by its time since the start, and when the limit was first met.
fn forecasts(path: &Path) -> (Vec<(Duration, Option<Forecast>)>, Duration) {
    let recording = sandtop::record::read(path).unwrap_or_else(|e| panic!("{e}"));
    let mut session = Session::default();
    let mut made = Vec::new();
    for stamped in &recording.events {
        session.apply(stamped);
        let run = session.run().expect("a run");
        let (at, origin) = (stamped.at, run.origin());
        match stamped.event {
            Event::Sample(_) if run.limit_hits() > Some(0) => return (made, at - origin),
            Event::Sample(_) if run.running.is_some() => made.push((at.saturating_sub(origin), run.forecast(at))),
            _ => {}
        }
    }
    panic!("the limit was never met");
}

/// The worst of the forecasts of a run, as a share of the time that was left.
fn worst(path: &Path) -> f64 {
    let (made, full) = forecasts(path);
    let (mut worst, mut count, mut silent) = (0.0f64, 0, 0);
    for (at, forecast) in made.iter().filter(|(at, _)| *at >= FROM) {
        let left = full - *at;
        let Some(forecast) = forecast else {
            silent += 1;
            continue;
        };
        let off = forecast.full_in.abs_diff(left);
        assert!(
            off <= left.mul_f64(PROMISED) + MOMENT,
            "at {at:?} full in {:?} was foretold, and it was {left:?}",
            forecast.full_in
        );
        if left > Duration::from_secs(1) {
            worst = worst.max(off.as_secs_f64() / left.as_secs_f64());
        }
        count += 1;
    }
    assert!(count > 20 && silent * 50 <= count, "{count} forecasts in {full:?}, and none at {silent} moments");
    println!(
        "full after {full:?}: {count} forecasts ({silent} moments without), the worst of those over 1 s {:.1} % off",
        worst * 100.0
    );
    worst
}

#[test]
fn on_a_steady_filler_each_forecast_from_two_seconds_on_is_within_a_fifth_of_what_then_happens() {
    if !kernel_tier("on_a_steady_filler_each_forecast_from_two_seconds_on_is_within_a_fifth_of_what_then_happens") {
        return;
    }
    let test = "on_a_steady_filler_each_forecast_from_two_seconds_on_is_within_a_fifth_of_what_then_happens";
    if !is_steady_machine(test) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rounds = if times(10) == 10 { 10 } else { 1 }; // each of them takes half a minute
    for n in 0..rounds {
        for interval in ["100ms", "10ms", "1ms"] {
            let record = dir.path().join(format!("{n}-{interval}.jsonl"));
            let options = format!("-m {LIMIT} --interval {interval} --record {}", record.display());
            let run = || Sandtop::run(&options).worker(&format!("fill {} --rate {RATE}", 2 * LIMIT)).go();
            worst_of_a_steady_run(run, &record);
        }
    }
}

#[test]
fn a_program_that_grows_step_by_step_is_foretold_as_well() {
    let test = "a_program_that_grows_step_by_step_is_foretold_as_well";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    if !is_steady_machine(test) {
        return;
    }
    let script = format!(
        "import time\nkept, start, n = [], time.monotonic(), 0\nwhile True:\n  kept.append(bytearray(b'x' * (1 << 20)))\n  n += 1\n  \
         time.sleep(max(0, start + n * {} / {RATE} - time.monotonic()))\n",
        1 << 20
    );
    let dir = tempfile::tempdir().unwrap();
    let rounds = if times(5) == 5 { 5 } else { 1 };
    for n in 0..rounds {
        let record = dir.path().join(format!("{n}.jsonl"));
        let options = format!("-m {LIMIT} --record {}", record.display());
        worst_of_a_steady_run(|| Sandtop::run(&options).cmd(["python3", "-c", &script]).go(), &record);
    }
}

#[test]
fn a_moved_limit_moves_the_forecast_at_once() {
    if !kernel_tier("a_moved_limit_moves_the_forecast_at_once") {
        return;
    }
    if !is_steady_machine("a_moved_limit_moves_the_forecast_at_once") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("run.jsonl");
    // The limit goes up by what is filled in five seconds.
    let options = format!("--schedule 0s={LIMIT},4s={} --record {}", LIMIT + 5 * RATE, record.display());
    Sandtop::run(&options).worker(&format!("fill {} --rate {RATE}", 3 * LIMIT)).go();
    let recording = sandtop::record::read(&record).unwrap();
    let mut session = Session::default();
    let (mut foretold, mut before) = (None, None);
    for stamped in &recording.events {
        // v2 acts on a limit before its write returns.
        if let Event::LimitRequested { .. } = stamped.event {
            foretold = session.run().and_then(|run| run.forecast(stamped.at));
        }
        session.apply(stamped);
        if let Event::LimitDone { .. } = stamped.event {
            before = foretold.zip(session.run().and_then(|run| run.forecast(stamped.at)));
        }
    }
    let (before, after) = before.expect("a forecast before the move, and one right after it");
    let later = after.full_in.saturating_sub(before.full_in).as_secs_f64();
    println!("full in {:?}, and once the limit had moved in {:?}", before.full_in, after.full_in);
    assert!((later - 5.0).abs() <= 5.0 * PROMISED, "it moved by {later} s");
}

#[test]
fn cache_that_comes_and_goes_is_not_foretold_to_fill_anything() {
    if !kernel_tier("cache_that_comes_and_goes_is_not_foretold_to_fill_anything") {
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let record = dir.path().join("run.jsonl");
    let options = format!("-m 40M --record {}", record.display());
    let rounds = if emulated() { 1 } else { 12 };
    let script = format!(
        "for i in $(seq {rounds}); do dd if=/dev/zero of=f bs=64k count=2400 conv=notrunc,fsync status=none; done"
    );
    let run = || Sandtop::run(&options).dir(dir.path()).sh(&script).go();
    // Now and then the kernel kills a writer whose pages a busy disk does not take: that is no run to look at.
    let ended = (0..3).map(|_| run()).find(|ended| ended.number("oom_kills") == 0).expect("a run without a kill");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let recording = sandtop::record::read(&record).unwrap();
    let mut session = Session::default();
    let (mut samples, mut soon) = (0, 0);
    for stamped in &recording.events {
        session.apply(stamped);
        samples += 1;
        let foretold = session.run().and_then(|run| run.forecast(stamped.at));
        soon += u32::from(foretold.is_some_and(|forecast| forecast.full_in < Duration::from_secs(10)));
    }
    println!("{soon} of {samples} moments were foretold to be full within ten seconds");
    assert_eq!(soon, 0);
}
