//! The closed table of ends: how the main process ended × why the run did × whom the OOM killer took, and what each output says of it. Folded from
//! made-up events, so that it needs no kernel; `endings.rs` has cells of it by real runs.
//!
//! `tests/data/endings.txt` holds the table; `SANDTOP_UPDATE_ENDINGS=1` writes it anew, to be read before it is committed.

use std::time::Duration;

use sandtop::{
    ci,
    event::{
        Change, ChangeOutcome, Controller, Ended, Event, OomPolicy, Pause, Resume, Sample, Settings, Stamped,
        StartFailure, Started, Status, Step, Stopped, Victim,
    },
    result::document,
    sentences::Language,
    session::{Session, outcome::Outcome},
    units::{Limit, Quota},
};

const M: u64 = 1 << 20;
const MAIN: i32 = 500;
const CHILD: i32 = 501;

/// Its name, what ended it, the last signal that sandtop sent, and how the main process ended.
type Way = (&'static str, Option<Stopped>, Option<i32>, fn() -> Status);

/// Why a run ends, and how its main process does where the OOM killer does not take it.
const WAYS: [Way; 14] = [
    ("exits 0", None, None, || Status::Exited(0)),
    ("exits 3", None, None, || Status::Exited(3)),
    ("SIGSEGV", None, None, || Status::Signalled(11)),
    ("SIGKILL of another", None, None, || Status::Signalled(9)),
    ("not started", None, None, || {
        Status::FailedToStart(StartFailure { step: Step::Exec, what: "sh".into(), errno: 2 })
    }),
    ("init lost", None, None, || Status::SandboxLost),
    ("timeout, ends by TERM", Some(Stopped::Timeout), Some(15), || Status::Signalled(15)),
    ("timeout, exits 0", Some(Stopped::Timeout), Some(15), || Status::Exited(0)),
    ("timeout, KILL", Some(Stopped::Timeout), Some(9), || Status::Signalled(9)),
    ("TERM, ends by it", Some(Stopped::Signal(15)), Some(15), || Status::Signalled(15)),
    ("TERM, exits 0", Some(Stopped::Signal(15)), Some(15), || Status::Exited(0)),
    ("TERM, KILL", Some(Stopped::Signal(15)), Some(9), || Status::Signalled(9)),
    ("K or q", Some(Stopped::User), Some(9), || Status::Signalled(9)),
    ("K, init stuck", Some(Stopped::User), Some(9), || Status::SandboxLost),
];

/// Whom the OOM killer takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kills {
    None,
    Child,
    Main,
    Both,
}

const KILLS: [Kills; 4] = [Kills::None, Kills::Child, Kills::Main, Kills::Both];

/// What else is with the run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Plain,
    /// Paused until its end is ordered, which lets it go on.
    Paused,
    /// Paused still when it is killed.
    PausedToTheEnd,
    Frozen,
    Throttled,
}

const STATES: [State; 5] = [State::Plain, State::Paused, State::PausedToTheEnd, State::Frozen, State::Throttled];

#[derive(Clone, Copy, Debug)]
struct Machine {
    controller: Controller,
    swap: bool,
    policy: OomPolicy,
    log: bool,
}

/// A cell: what is told of such a run. `None`: a main process that was taken did not end in another way.
fn fold(way: usize, kills: Kills, state: State, machine: Machine) -> Option<Session> {
    let (_, stopped, sent, status) = WAYS[way];
    let main_taken = matches!(kills, Kills::Main | Kills::Both);
    let status = match status() {
        Status::FailedToStart(_) if kills != Kills::None => return None,
        Status::Exited(_) if main_taken => return None,
        Status::Signalled(n) if main_taken && n != 9 => return None,
        status => status,
    };
    let mut session = Session::default();
    let mut at = Duration::ZERO;
    let mut then = |ms: u64, event: Event| {
        at += Duration::from_millis(ms);
        session.apply(&Stamped { at, event });
    };
    let started = serde_json::json!({
        "run": 1, "argv": ["sh"], "limit": {"bytes": 100 * M}, "limit_is_default": false, "controller": "v1",
        "group": "/sandtop/1-2-3", "cpus": 2, "mem_total": 8u64 << 30, "held": false, "widened": false, "wall_ms": 0,
    });
    let started: Started = serde_json::from_value(started).expect("a start");
    let swap = machine.swap.then_some(Limit::Bytes(30 * M));
    let Machine { controller, policy: oom, log: kernel_log, .. } = machine;
    then(0, Event::Started(Box::new(Started { controller, oom, swap, kernel_log, ..started })));
    if !matches!(status, Status::FailedToStart(_)) {
        then(1, Event::Running { pid: 2, host_pid: Some(MAIN) });
    }
    let sample = |kills: u64| {
        let hits = if kills > 0 { 7 } else { 0 };
        let swap = machine.swap.then_some(3 * M);
        let (usage, peak) = (50 * M, Some(90 * M));
        Event::Sample(Sample { usage, peak, limit_hits: Some(hits), oom_kills: Some(kills), swap, ..Sample::default() })
    };
    then(5, sample(0));
    let pause =
        Pause { limit: Limit::Bytes(100 * M), usage: 90 * M, unreclaimable: 90 * M, at_limit: false, frozen: true };
    match state {
        State::Plain => {}
        State::Paused => {
            then(5, Event::Paused(pause));
            then(5, Event::Resumed { by: Resume::Ending });
        }
        State::PausedToTheEnd => then(5, Event::Paused(pause)),
        State::Frozen => {
            let change = Change::Freeze(true);
            then(5, Event::ChangeRequested { change });
            then(1, Event::ChangeDone { change, outcome: ChangeOutcome::Done });
            then(0, Event::Settings(Box::new(Settings { frozen: Some(true), ..Settings::default() })));
        }
        State::Throttled => {
            let change = Change::Cpus(Quota::Of(100));
            then(5, Event::ChangeRequested { change });
            then(1, Event::ChangeDone { change, outcome: ChangeOutcome::Done });
        }
    }
    let victim = |host_pid, pid, name: &str| {
        Event::Victim(Victim { host_pid, pid: Some(pid), name: name.into(), held: 40 * M, ..Victim::default() })
    };
    let mut count = 0;
    let mut taken = Vec::new();
    if matches!(kills, Kills::Child | Kills::Both) {
        taken.push((4_000, victim(CHILD, 3, "worker")));
    }
    if main_taken {
        taken.push((5, victim(MAIN, 2, "sh")));
    }
    for (ms, named) in taken {
        count += 1;
        then(ms, sample(count));
        if machine.log {
            then(1, named);
        }
    }
    if !main_taken {
        then(4_000, sample(count)); // long after the kill of the child
    }
    let (sent, status) = match main_taken {
        true => (sent.map(|_| 15), status), // it did not live to be sent another
        false => (sent, status),
    };
    then(5, Event::Ended(Ended { status, stopped, sent, left_behind: 0, wall: Some(Duration::from_millis(8_000)) }));
    Some(session)
}

/// What every output says of it, as a line.
fn told(session: &Session) -> String {
    let document = document(session).expect("a run");
    let run = session.run().expect("a run");
    let json = serde_json::to_value(&document).expect("plain data");
    let word = |field: &str| json[field].as_str().unwrap_or("null").to_string();
    let xml = ci::junit::xml(&document);
    let element =
        xml.lines().map(str::trim_start).find(|line| line.starts_with("<failure") || line.starts_with("<error"));
    let junit = match element {
        None => "passed".to_string(),
        Some(line) => {
            let attribute = |name: &str| line.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap();
            assert_eq!(attribute("message"), Language::English.summary(run), "JUnit's message is the line");
            format!("{} {}", line[1..].split(' ').next().unwrap(), attribute("type"))
        }
    };
    assert_eq!(word("verdict"), Language::English.summary(run));
    let page = ci::summary::page(&document);
    assert!(page.contains(&Language::English.ended(run).0.replace('_', "\\_")), "{page}");
    let code = run.exit_code().expect("it has ended");
    assert_eq!(json["sandtop_exit_code"], code);
    format!("{:<15} {:<8} {code:>3}  {junit:<23} {}", word("outcome"), word("ended_by"), Language::English.ended(run).0)
}

fn machines(policy: OomPolicy) -> impl Iterator<Item = Machine> {
    let layouts = [(Controller::V1, false), (Controller::V2, false), (Controller::V1, true), (Controller::V2, true)];
    layouts.into_iter().map(move |(controller, swap)| Machine { controller, swap, policy, log: true })
}

fn table() -> String {
    let mut lines = Vec::new();
    for policy in [OomPolicy::Kill, OomPolicy::Group] {
        for (way, (name, ..)) in WAYS.iter().enumerate() {
            for kills in KILLS {
                let mut plain = None;
                for state in STATES {
                    let mut cells =
                        machines(policy).filter_map(|machine| fold(way, kills, state, machine)).map(|s| told(&s));
                    let Some(cell) = cells.next() else { continue };
                    // What the kernel is, and whether there is swap, changes nothing that is told of an end.
                    assert!(cells.all(|other| other == cell), "{name}, {kills:?}, {state:?}: {cell}");
                    // The same is not repeated.
                    if plain.get_or_insert_with(|| cell.clone()) != &cell || state == State::Plain {
                        let key = format!("{policy:?}").to_lowercase();
                        let state = if state == State::Plain { String::new() } else { format!("{state:?}") };
                        let kills = format!("{kills:?}");
                        lines.push(format!("{key:<5} | {name:<21} | {kills:<5} | {state:<14} | {cell}\n"));
                    }
                }
            }
        }
    }
    lines.concat()
}

#[test]
fn every_end_is_told_as_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/endings.txt");
    let table = table();
    if std::env::var_os("SANDTOP_UPDATE_ENDINGS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    for (now, expected) in table.lines().zip(expected.lines()) {
        assert_eq!(now, expected);
    }
    assert_eq!(table, expected);
}

/// What holds for each cell, whatever the table says.
#[test]
fn no_end_hides_a_kill_and_no_kill_hides_an_end() {
    let mut cells = 0;
    for policy in [OomPolicy::Kill, OomPolicy::Group] {
        for (way, (name, stopped, ..)) in WAYS.iter().enumerate() {
            for kills in KILLS {
                for state in STATES {
                    for machine in machines(policy) {
                        let Some(session) = fold(way, kills, state, machine) else { continue };
                        let run = session.run().unwrap();
                        let line = Language::English.summary(run);
                        let what = format!("{name}, {kills:?}, {state:?}, {machine:?}: {line}");
                        let taken = matches!(kills, Kills::Main | Kills::Both);
                        let outcome = run.outcome().unwrap();
                        // Under `group` a SIGKILL that nobody of ours sent is the whole workload's.
                        let whole =
                            policy == OomPolicy::Group && kills == Kills::Child && *name == "SIGKILL of another";
                        assert_eq!(outcome == Outcome::OomKilled, taken || whole, "{what}");
                        let says_kill = line.contains("the OOM killer took") || line.contains("out of memory");
                        assert_eq!(says_kill, kills != Kills::None, "{what}");
                        match stopped {
                            Some(Stopped::Timeout) => {
                                assert_eq!(run.exit_code(), Some(124), "{what}");
                                assert!(line.contains("timed out"), "{what}");
                            }
                            Some(Stopped::Signal(15)) => {
                                assert_eq!(run.exit_code(), Some(143), "{what}");
                                assert!(line.contains("sent SIGTERM"), "{what}");
                            }
                            Some(Stopped::User) => {
                                assert_eq!(run.exit_code(), Some(137), "{what}");
                                assert!(line.contains("by you") || line.contains("you had ended"), "{what}");
                            }
                            _ => assert!(!line.contains("timed out") && !line.contains("by you"), "{what}"),
                        }
                        cells += 1;
                    }
                }
            }
        }
    }
    assert!(cells > 1000, "{cells}");
}

#[test]
fn without_the_log_a_kill_is_not_taken_for_ours_nor_ours_for_one() {
    for (controller, swap) in [(Controller::V1, false), (Controller::V2, true)] {
        for policy in [OomPolicy::Kill, OomPolicy::Group] {
            let machine = Machine { controller, swap, policy, log: false };
            for (way, (name, stopped, sent, _)) in WAYS.iter().enumerate() {
                let outcome = |kills| fold(way, kills, State::Plain, machine).and_then(|s| s.run().unwrap().outcome());
                if let (Some(_), Some(main), false) = (stopped, outcome(Kills::Main), name.contains("stuck")) {
                    assert_eq!(main, Outcome::OomKilled, "{name}, {machine:?}: it was asked to end, and a kill came");
                }
                if *sent == Some(9) {
                    let outcome = outcome(Kills::Child);
                    assert!(matches!(outcome, Some(Outcome::TimedOut | Outcome::StoppedByUser)), "{name}: {outcome:?}");
                }
            }
        }
    }
}
