//! Frames of the settings and of what can be done to a process, on v1 and on v2: from recorded runs, as all frames are.

use tui_input::Input;

use super::{tests::frame, *};
use crate::{
    session::Knob,
    tui::{
        knobs::Panel,
        menu::{Menu, Stage},
        rows::Cursor,
    },
};

/// A run under 100M and 64 pids, whose soft limit and pids limit were moved, and whose counters were reset.
const V1: &str = include_str!("../../../tests/data/knobs-v1.jsonl");

/// The same on cgroup v2.
const V2: &str = include_str!("../../../tests/data/knobs-v2.jsonl");

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

fn panel(knob: Knob, line: Option<&str>) -> App {
    panel_at(Knob::ALL.iter().position(|of| *of == knob).expect("all are there"), line)
}

fn panel_at(chosen: usize, line: Option<&str>) -> App {
    App { popup: Popup::Knobs(Panel { chosen, line: line.map(|text| Input::new(text.into())) }), ..App::default() }
}

/// While a change is being written.
fn writing(session: &Session) -> bool {
    session.run().is_some_and(|run| !run.changing.is_empty())
}

/// After the counters were reset.
fn reset(session: &Session) -> bool {
    session.run().is_some_and(|run| run.since.at.is_some())
}

fn never(_: &Session) -> bool {
    false
}

#[test]
fn the_settings_on_either_version() {
    for (cols, rows) in SIZES {
        for (version, recording) in [("v1", V1), ("v2", V2)] {
            assert!(recording.contains(&format!(r#""controller":"{version}""#)));
            // What this version lacks is greyed, with the reason; what is being written shows as that.
            let lacking = if version == "v1" { Knob::Cpus } else { Knob::Swappiness };
            let terminal = frame(recording, writing, panel(lacking, None), cols, rows, true);
            insta::assert_snapshot!(format!("knobs_{version}_{cols}x{rows}"), terminal.backend());
        }
    }
}

#[test]
fn a_value_is_judged_as_it_is_typed() {
    let terminal = frame(V1, reset, panel(Knob::Pids, Some("many")), 80, 24, true);
    insta::assert_snapshot!("knobs_typed", terminal.backend());
    let terminal = frame(V1, reset, panel(Knob::Swap, Some("20M")), 80, 24, true);
    insta::assert_snapshot!("knobs_typing", terminal.backend());
}

#[test]
fn after_the_end_the_settings_are_the_next_runs() {
    let terminal = frame(V1, never, panel(Knob::Reclaim, None), 80, 24, true);
    insta::assert_snapshot!("knobs_ended", terminal.backend());
}

#[test]
fn a_recording_is_looked_at() {
    let terminal = frame(V1, reset, App { replaying: true, ..panel(Knob::Counters, None) }, 120, 40, true);
    insta::assert_snapshot!("knobs_replayed", terminal.backend());
}

#[test]
fn a_process_is_chosen_and_named_before_it_is_signalled() {
    let mut worker = 0;
    frame(
        V1,
        |session| {
            let run = session.run();
            let found = run
                .and_then(|run| run.processes.values().find(|row| row.process.command.starts_with("sandtop worker")));
            worker = found.map_or(worker, |row| row.process.host_pid);
            reset(session)
        },
        App::default(),
        80,
        24,
        true,
    );
    let menu = |stage, all| Menu { stage, all, chosen: 1, ..Menu::new(worker) };
    for (name, menu) in [
        ("choose", menu(Stage::Choose, false)),
        ("sure", menu(Stage::Sure, false)),
        ("all", menu(Stage::Sure, true)),
        ("adj", menu(Stage::Adj(Input::new("2000".into())), false)),
    ] {
        let cursor = Some(Cursor { host_pid: worker, row: 1 });
        let app = App { popup: Popup::Process(menu), cursor, ..App::default() };
        insta::assert_snapshot!(format!("process_{name}"), frame(V1, reset, app, 80, 24, true).backend());
    }
}

#[test]
fn counts_since_a_reset_say_so() {
    let terminal = frame(V1, reset, App::default(), 120, 40, true);
    insta::assert_snapshot!("counters_reset_120x40", terminal.backend());
}

#[test]
fn no_size_makes_them_panic() {
    for (cols, rows) in [(1, 1), (59, 16), (60, 16), (61, 17), (300, 16), (60, 100)] {
        for chosen in [0, 5, 9, 1000] {
            for line in [None, Some(""), Some(&*"9".repeat(300))] {
                frame(V1, reset, panel_at(chosen, line), cols, rows, true);
            }
        }
        for (stage, host_pid) in [(Stage::Choose, 1), (Stage::Sure, 1), (Stage::Adj(Input::new("9".repeat(300))), 1)] {
            let menu = Menu { stage, chosen: 1000, ..Menu::new(host_pid) };
            frame(V1, reset, App { popup: Popup::Process(menu), ..App::default() }, cols, rows, true);
        }
    }
}
