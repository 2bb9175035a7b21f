//! `--schedule` on the real kernel: moves come when they were planned, are told where a result is told, and what the kernel makes of them too.

mod common;

use std::{path::Path, time::Duration};

use common::{terminal::Terminal, *};
use nix::sys::signal::Signal;
use sandtop::{
    event::{Author, Event, LimitOutcome},
    units::Limit,
};
use serde_json::Value;

const M: u64 = 1 << 20;

/// How far a move may be from its plan.
const PROMISED: u64 = 50;

/// The moves of the schedule in a result.
fn moves(result: &Value) -> &[Value] {
    result["schedule"]["moves"].as_array().expect("a schedule")
}

/// How far the worst of these moves was written from its plan.
fn furthest(moves: &[Value]) -> Duration {
    let late = |one: &Value| {
        let seconds = |field: &str| one[field].as_f64().unwrap_or_else(|| panic!("{field} of {one}"));
        (seconds("done_seconds") - seconds("at_seconds")).abs()
    };
    Duration::from_secs_f64(moves.iter().map(late).fold(0.0, f64::max))
}

/// When the moves of a recording were answered since its run started, and where they went.
fn recorded(path: &Path) -> Vec<(usize, Duration, Limit)> {
    let recording = sandtop::record::read(path).unwrap_or_else(|e| panic!("{e}"));
    let mut origin = Duration::ZERO;
    let mut moves = Vec::new();
    for stamped in &recording.events {
        match &stamped.event {
            Event::Running { .. } => origin = stamped.at,
            Event::LimitDone { by: Author::Schedule { number }, outcome: LimitOutcome::Applied { now }, .. } => {
                moves.push((*number, stamped.at - origin, *now));
            }
            _ => {}
        }
    }
    moves
}

#[test]
fn every_step_comes_within_50_ms_of_its_time_and_is_in_the_result_and_in_the_recording() {
    if !kernel_tier("every_step_comes_within_50_ms_of_its_time_and_is_in_the_result_and_in_the_recording") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for n in 0..times(20) {
        let record = dir.path().join(format!("{n}.jsonl"));
        let schedule = "0s=200M,300ms=120M,600ms=90M,0.9s=max,1.2s=150M";
        let options = format!("--interval 100ms --schedule {schedule} --record {}", record.display());
        let child = Sandtop::run(&options).sh("sleep 1000").start();
        let group = child.group();
        assert_eq!(limit_of(&group), 200 * M);
        for (limit, what) in [(120 * M, "120M"), (90 * M, "90M"), (0, "max"), (150 * M, "150M")] {
            let there = |now: u64| now == limit || (limit == 0 && now > 1 << 60);
            wait_for(&format!("the kernel's limit {what}"), || there(limit_of(&group)).then_some(()));
        }
        wait_for("the answer in the recording", || (recorded(&record).len() == 4).then_some(()));
        child.signal(Signal::SIGTERM);
        let ended = child.wait();
        let json = ended.json.as_ref().unwrap();
        let moves = moves(json);
        let outcomes: Vec<&str> = moves.iter().map(|one| one["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["at_start", "applied", "applied", "applied", "applied"], "{moves:?}");
        let off = furthest(&moves[1..]);
        println!("run {n}: the furthest of 4 steps was {off:?} off");
        assert!(off <= within(PROMISED), "{off:?}: {moves:?}");
        assert_eq!(json["schedule"]["typed"], "0s=200M,300ms=120M,600ms=90M,900ms=max,1200ms=150M");
        assert_eq!((ended.number("limit_at_start_bytes"), ended.number("limit_bytes")), (200 * M, 150 * M));
        assert_eq!((&moves[3]["limit"], &moves[4]["limit"]), (&Value::from("max"), &Value::from(150 * M)));
        assert!(json["edits"].as_array().unwrap().iter().all(|edit| edit["by"] == "schedule"), "{json}");
        assert_eq!(ended.field("limit_is_default"), false);
        let planned = [300, 600, 900, 1200].map(Duration::from_millis);
        for ((number, at, now), planned) in recorded(&record).into_iter().zip(planned) {
            assert!(at.abs_diff(planned) <= within(PROMISED), "step {number}: {at:?}, planned {planned:?}");
            assert_eq!(
                Some(&now),
                [Limit::Bytes(120 * M), Limit::Bytes(90 * M), Limit::Max, Limit::Bytes(150 * M)].get(number - 1)
            );
        }
        assert_eq!(derived(&replay(&record)), *json, "live, and from the recording");
    }
}

#[test]
fn a_ramp_moves_the_limit_ten_times_a_second_and_is_one_line_of_the_log() {
    if !kernel_tier("a_ramp_moves_the_limit_ten_times_a_second_and_is_one_line_of_the_log") {
        return;
    }
    let child = Sandtop::run("--interval 100ms --schedule 0s=200M,500ms..1500ms=200M..80M").sh("sleep 1000").start();
    let group = child.group();
    wait_for("the ramp's end", || (limit_of(&group) == 80 * M).then_some(()));
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    let json = ended.json.as_ref().unwrap();
    let moves = moves(json);
    assert_eq!(moves.len(), 12, "{moves:?}");
    let written: Vec<Value> = moves[1..].iter().filter(|one| one["outcome"] == "applied").cloned().collect();
    // A machine that is ten times slower may leave some out on the way; the end is always written.
    assert!(written.len() == 11 || emulated(), "{moves:?}");
    assert_eq!(written.last().unwrap()["to"], 80 * M);
    let off = furthest(&written);
    println!("the furthest of {} moves was {off:?} off", written.len());
    assert!(off <= within(PROMISED), "{off:?}: {moves:?}");
    let limits: Vec<u64> = moves.iter().map(|one| one["to"].as_u64().unwrap()).collect();
    assert!(limits.is_sorted_by(|a, b| a >= b) && limits.iter().all(|n| n % 4096 == 0), "{limits:?}");
    let told = json["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "limit_moved");
    let told: Vec<&str> = told.map(|event| event["text"].as_str().unwrap()).collect();
    assert_eq!(told, ["limit 200M → 80M, by the schedule"]);
}

#[test]
fn a_step_below_what_is_held_is_refused_on_v1_and_kills_on_v2_and_the_result_says_so() {
    if !kernel_tier("a_step_below_what_is_held_is_refused_on_v1_and_kills_on_v2_and_the_result_says_so") {
        return;
    }
    let seconds = if emulated() { 6 } else { 1 }; // by then it holds what it will
    let options = format!("-m 100M --schedule {seconds}s=30M --timeout {}", seconds + 1);
    let ended = Sandtop::run(&options).worker("fill 60M --hold").go();
    let json = ended.json.as_ref().unwrap();
    let step = &moves(json)[0];
    if is_v2() {
        assert_eq!((&step["outcome"], &step["limit"]), (&Value::from("applied"), &Value::from(30 * M)), "{json}");
        assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (137, "oom_killed", 1), "{}", ended.err);
    } else {
        assert_eq!((&step["outcome"], &step["limit"]), (&Value::from("refused"), &Value::from(100 * M)), "{json}");
        assert_eq!((ended.code, ended.outcome(), ended.number("limit_bytes")), (124, "timed_out", 100 * M));
        let told = json["events"].as_array().unwrap().iter().find(|event| event["kind"] == "limit_refused");
        let told = told.and_then(|event| event["text"].as_str()).unwrap_or_default();
        assert!(told.starts_with("the schedule: the kernel refused 30M (EBUSY)"), "{told}");
        assert!(ended.err.contains(told), "also without a screen: {}", ended.err);
    }
}

#[test]
fn a_held_run_starts_its_schedule_when_it_is_let_go_and_what_the_run_does_not_reach_is_told() {
    if !kernel_tier("a_held_run_starts_its_schedule_when_it_is_let_go_and_what_the_run_does_not_reach_is_told") {
        return;
    }
    let child = Sandtop::run("--hold --schedule 200ms=80M,1h=40M").sh("sleep 1").start();
    let group = made_group(child.pid());
    wait_for("its limit", || (limit_of(&group) == 100 * M).then_some(())); // the group is made before it has one
    // Held for longer than the first step's time.
    let early = wait_until(Duration::from_millis(400), || (limit_of(&group) != 100 * M).then_some(()));
    assert_eq!(early, None, "the schedule started before the command");
    child.signal(Signal::SIGUSR1);
    let ended = child.wait();
    let moves = moves(ended.json.as_ref().unwrap());
    assert_eq!((&moves[0]["outcome"], &moves[1]["outcome"]), (&Value::from("applied"), &Value::from("not_reached")));
    assert!(furthest(&moves[..1]) <= within(PROMISED), "{moves:?}");
    assert!(moves[1]["done_seconds"].is_null() && ended.code == 0, "{moves:?}");
}

#[test]
fn a_bad_schedule_is_refused_in_one_line_that_points_to_the_part() {
    if !kernel_tier("a_bad_schedule_is_refused_in_one_line_that_points_to_the_part") {
        return;
    }
    for (args, pointer) in [
        ("run --schedule 0s=200M,10x=120M true", "--schedule, step 2, '10x=120M': '10x' is no time"),
        ("run --schedule 0s=200M,10s=12zz true", "step 2, '10s=12zz': '12zz' is not a size"),
        ("run --schedule 10s=1G,5s=2G true", "step 2, '5s=2G': 5s is not after 10s"),
        ("run --schedule 0s..5s=1G..max true", "step 1, '0s..5s=1G..max': a ramp is from one size to another"),
        ("run --schedule 0s=200M, true", "step 2, ''"),
        ("run -m 100M --schedule 0s=200M true", "contradicts -m 100M"),
        ("--schedule soon=1M true", "'soon' is no time"),
        ("demo --schedule soon=1M", "'soon' is no time"),
    ] {
        let ended = Sandtop::with(args).go();
        assert_eq!(ended.code, 125, "{args}: {}", ended.err);
        assert!(ended.err.starts_with("sandtop: --schedule") && ended.err.contains(pointer), "{args}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{args}: {}", ended.err);
    }
    let same = Sandtop::run("-m 200M --schedule 0s=200M").sh("true").go();
    assert_eq!((same.code, same.number("limit_bytes")), (0, 200 * M), "{}", same.err);
}

#[test]
fn on_the_screen_a_schedule_goes_on_after_a_key_and_starts_again_with_the_next_run() {
    if !kernel_tier("on_the_screen_a_schedule_goes_on_after_a_key_and_starts_again_with_the_next_run") {
        return;
    }
    let seconds = if emulated() { 10 } else { 3 };
    let mut command = Sandtop::with(&format!("--schedule 0s=200M,{seconds}s=120M")).raw();
    command.args(["--", "sh", "-c", "read line"]);
    let mut t = Terminal::start(command, 120, 40);
    t.wait_text("→ 120M in "); // what comes next
    let group = made_group(t.sandtop());
    assert_eq!(limit_of(&group), 200 * M);
    t.keys("-");
    t.wait_text("limit 200M → 180M, by you");
    t.wait_text("limit 180M → 120M, by the schedule");
    assert_eq!(limit_of(&group), 120 * M);
    t.keys("KK"); // asked, and meant
    t.wait_ended();
    t.wait_text("next run 200M");
    t.keys("r");
    t.wait_text("run 2: sh");
    t.wait("the second run's first limit", |s| s.contains("of 200M") && s.contains("→ 120M in "));
    t.wait_text("limit 200M → 120M, by the schedule");
    t.keys("qy");
    t.end();
}
