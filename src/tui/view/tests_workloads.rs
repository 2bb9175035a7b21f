//! What real programs look like: recordings of real runs (`tests/workloads/record` makes them anew), each at the moment that tells its story and at
//! its end. What must be obvious is asserted; the picture is compared whole.

use std::time::Duration;

use super::{tests::frame_of, *};
use crate::{event::Stamped, session::Run};

pub(super) fn events(name: &str) -> Vec<Stamped> {
    let path = format!("{}/tests/workloads/{name}.jsonl.gz", env!("CARGO_MANIFEST_DIR"));
    let recording = crate::record::read(path.as_ref()).expect("a recording");
    assert_eq!(recording.damage, None);
    recording.events
}

/// The screen of a workload after so much time of its run, or at its end; as one text.
fn screen(name: &str, seconds: Option<f64>, cols: u16, rows: u16) -> String {
    let reached = |run: &Run, now: Duration| seconds.is_some_and(|s| run.elapsed(now) >= Duration::from_secs_f64(s));
    let until = |session: &Session| session.run().is_some_and(|run| reached(run, session.now));
    let terminal = frame_of(events(name), until, App::default(), (cols, rows), &Theme::new(true));
    let moment = if seconds.is_some() { "then" } else { "end" };
    insta::assert_snapshot!(format!("{name}_{moment}_{cols}x{rows}"), terminal.backend());
    terminal.backend().to_string()
}

fn shows(name: &str, seconds: Option<f64>, obvious: &[&str]) {
    let screen = screen(name, seconds, 120, 40);
    // Sentences are broken into lines, of which each stands in its region.
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in obvious {
        assert!(words.contains(text), "{name}: {text:?} is not on the screen:\n{screen}");
    }
}

#[test]
fn stress_is_killed_on_an_axis_of_milliseconds_and_its_parent_lives() {
    shows(
        "stress",
        None,
        &["✖ exited 1 after 0.136 s", "┬100ms", "✖", "OOM kills 1", "stress … OOM killed", "stress (pid 3) held 99.5M"],
    );
    screen("stress", None, 80, 24);
    screen("stress", None, 200, 60);
}

#[test]
fn kills_in_a_row_are_one_line_with_a_count_and_who_respawns_is_there() {
    shows("stress-ng", Some(1.5), &["● running", "stress-ng-vm", "OOM kills 1", "limit hits", "(+"]);
    shows("stress-ng", None, &["32 OOM kills, the last: stress-ng-vm (pid 35)", "OOM kills 32", "stress-ng-vm"]);
}

#[test]
fn a_leak_is_foretold_with_its_rate_and_the_main_process_is_the_victim() {
    shows("leak", Some(2.9), &["full in 2 s at", "M/s", "☠ 1st python3"]);
    shows("leak", None, &["✖ OOM killed (137) after 4.88 s", "python3 (pid 2) held 99.5M"]);
}

#[test]
fn a_sort_that_sized_itself_by_the_machine_is_killed_and_one_that_did_not_has_hits_that_harm_nobody() {
    shows("sort", None, &["✖ OOM killed (137) after 0.069 s", "OOM kills 1", "takes a buffer by the machine's memory"]);
    shows("sort-60m", Some(0.6), &["● running", "39.3M of cache can go", "OOM kills 0"]);
    shows("sort-60m", None, &["■ exited 0", "OOM kills 0", "limit hits 56865, nobody was killed"]);
    shows("sort-piped", Some(0.8), &["● running", "of cache can go", "OOM kills 0", "sort -T"]);
    shows("sort-piped", None, &["■ exited 0", "limit hits 68614, nobody was killed"]);
}

#[test]
fn what_dd_fills_is_cache_that_can_go_and_nobody_dies() {
    shows("dd-cache", None, &["■ exited 0", "OOM kills 0", "limit hits 257", "M file"]);
    let then = screen("dd-cache", Some(0.3), 120, 40);
    let (held, cache) = (then.matches('█').count(), then.matches('▒').count());
    assert!(cache > 10 * held, "{held} cells are held, {cache} can go:\n{then}");
}

#[test]
fn a_compiler_without_room_is_said_to_be_stalled_and_not_hung() {
    shows("gxx-stalled", Some(4.8), &["≋ STALLED AT LIMIT", "cc1plus", "OOM kills 0", "takes away; + raises"]);
    shows("gxx-stalled", None, &["timed out after 8.03 s", "cc1plus"]);
}

#[test]
fn memory_that_is_a_files_belongs_to_no_process_and_a_kill_does_not_free_it() {
    shows("dd-shm", None, &["dd (pid 2) held 1M", "98.6M shmem", "OOM killed"]);
    shows("dd-shm-left", Some(0.9), &["no process owns 98.4M of shmem", "▓ shmem"]);
}

#[test]
fn a_jvm_meets_its_own_ceiling_before_the_limit() {
    shows(
        "java-heap",
        None,
        &[
            "■ exited 1",
            "of 256M",
            "OOM kills 0",
            "limit hits 0",
            "java's heap ends at 194M, 62.1M for the rest",
            "java's heap ends at 194M (75 % of the limit at its",
            "start): it can be full before the limit is met",
        ],
    );
    shows("java-heap", Some(2.5), &["● running", "╌╌╌", "java's heap ends at 194M"]);
}

#[test]
fn after_a_fork_the_sizes_add_up_to_more_than_is_used() {
    shows("redis-fork", Some(3.3), &["RSS 147M, ", "M copy-on-write", "redis-server"]);
    shows("redis-fork", None, &["■ exited 0", "OOM kills 0"]);
}

#[test]
fn a_slow_ramp_is_counted_down() {
    shows("xz", Some(2.8), &["full in 4 s", "M/s"]);
    shows("xz", None, &["✖ OOM killed (137) after 9.40 s", "xz (pid 2) held 99.4M", "usage met the limit", "try 150M"]);
    screen("xz", None, 80, 24);
}

#[test]
fn the_event_that_is_chosen_is_in_sight_however_long_the_one_after_it_is() {
    for name in ["stress", "gxx-stalled"] {
        let recorded = events(name);
        let mut session = Session::default();
        recorded.iter().for_each(|stamped| session.apply(stamped));
        for entry in 0..session.log.len() {
            let app = App { focus: crate::tui::app::Focus::Events, entry: Some(entry), ..App::default() };
            let screen = frame_of(recorded.clone(), |_| false, app, (80, 24), &Theme::new(true)).backend().to_string();
            assert!(screen.lines().any(|line| line.contains("▸0:0")), "{name}, entry {entry}:\n{screen}");
        }
    }
}
