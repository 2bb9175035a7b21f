//! Holds `assets/recording.md` and `assets/result.md` to the code: each field that is described exists, and each that exists is described.

use std::{collections::BTreeSet, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    error::Error,
    event::*,
    record::format::{Header, header_line},
    result::{document, failed},
    schedule::Schedule,
    session::{Session, outcome::Outcome},
    units::{Limit, Quota},
};

const RECORDING: &str = include_str!("../assets/recording.md");
const RESULT: &str = include_str!("../assets/result.md");

/// The fields that a page describes: what stands in backquotes in the first cell of a row.
fn described(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_string())).collect()
}

/// The paths of all fields of a value. A limit is a value, not an object.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !object.keys().eq(["bytes"]) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fields(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => {
            let path = format!("{}[]", path.trim_end_matches("[]"));
            items.iter().for_each(|item| fields(item, &path, found));
        }
        _ => {}
    }
}

/// The names of all variants of an enum: serde lists them to whoever asks for one that there is not.
fn variants<T: DeserializeOwned>() -> BTreeSet<String> {
    let Err(e) = serde_json::from_value::<T>(Value::String("?".into())) else { panic!("takes anything") };
    e.to_string().split('`').skip(3).step_by(2).map(String::from).collect()
}

/// Every event that there is, in the order of a run.
fn every_event() -> Vec<Event> {
    let m = 1 << 20;
    let usage = ProcessUsage {
        rss: m,
        anon: m,
        cpu_ms: 30,
        threads: 1,
        state: 'S',
        oom_score_adj: 100,
        counted: Some(m),
        page_tables: Some(m),
        swap: Some(m),
        exiting: false,
    };
    let exiting = ProcessUsage { exiting: true, ..usage };
    let process = Process {
        host_pid: 500,
        pid: Some(2),
        parent: 1,
        name: "sh".into(),
        command: "sh -c x".into(),
        heap_options: Some(vec!["-Xmx1g".into()]),
        usage,
    };
    let above = Some(Above { limit: 60 * m, group: Some("/a".into()) });
    let child = Process { host_pid: 501, pid: Some(3), parent: 500, usage: exiting, ..process.clone() };
    let started = Started {
        run: 1,
        argv: vec!["sh".into()],
        limit: Limit::Bytes(100 * m),
        limit_is_default: true,
        swap: Some(Limit::Max),
        oom: OomPolicy::Group,
        like: Some(Like::Docker),
        changes: every_change(),
        schedule: Schedule::parse("0s=100M,1s..2s=80M..60M", 0).unwrap(),
        oom_score_adj: Some(10),
        controller: Controller::V2,
        group: "/sandtop/1-2-3".into(),
        cpus: 2,
        mem_total: 8 << 30,
        above: above.clone(),
        kernel_log: true,
        swap_total: Some(m),
        held: false,
        isolation: Isolation::User { uid: 1000, gid: 1000 },
        widened: false,
        options: vec!["-u".into()],
        demo: false,
        budget: Some(80 * m),
        budget_of: BudgetOf::Peak,
        wall_ms: 1,
    };
    let sample = Sample {
        usage: m,
        peak: Some(90 * m),
        limit_hits: Some(1),
        oom_kills: Some(1),
        stat: Some(MemoryStat {
            kernel: Some(m),
            unwritten: m,
            evictable: Some(m),
            inactive_file: Some(m),
            locked: m,
            slab_reclaimable: Some(m),
            major_faults: Some(1),
            refaults: Some(1),
            refaults_anon: Some(1),
            ..MemoryStat::default()
        }),
        swap: Some(0),
        pressure: Some(Pressure::default()),
        swap_free: Some(m),
        unreclaimable: Some(Box::new(Unreclaimable { least: 1, most: Some(2), unknown: 1 })),
        swapping: Some(Box::new(Swapping {
            peak: Some(1),
            peak_with_memory: Some(1),
            read: Some(1),
            written: Some(1),
        })),
        other_limits: Some(Box::new(OtherLimits {
            pids_refused: Some(1),
            pids_peak: Some(1),
            pids_current: Some(1),
            cpu_throttled: Some(1),
            cpu_throttled_us: Some(1),
            high: Some(1),
        })),
        code: Some(CodeFaults::default()),
    };
    let tabled = Tabled {
        host_pid: 501,
        pid: Some(3),
        name: "x".into(),
        rss: m,
        page_tables: m,
        swap: 0,
        oom_score_adj: 1,
        exiting: true,
    };
    let charged = Charged { anon: Some(m), ..Charged::default() };
    let dump = OomDump {
        host_pid: 501,
        scope: Scope::Above { group: "/a".into() },
        asker: Some(Asker { host_pid: 500, pid: Some(2), name: "x".into() }),
        usage: Some(m),
        limit: Some(m),
        limit_hits: Some(1),
        table: vec![tabled],
        left_out: 1,
        charged: Some(charged),
    };
    let scopes = [Scope::Cpuset { cpuset: "/b".into() }, Scope::MemoryPolicy, Scope::Machine];
    let others = scopes.map(|scope| Event::OomDump(Box::new(OomDump { scope, ..dump.clone() })));
    let mut events = vec![
        Event::Started(Box::new(started)),
        Event::Running { pid: 2, host_pid: Some(500) },
        Event::Settings(Box::new(Settings {
            high: Some(Limit::Max),
            low: Some(Limit::Max),
            above,
            ..Settings::default()
        })),
        Event::Processes(ProcessChanges {
            born: vec![process, child],
            changed: vec![(500, usage), (501, exiting)],
            died: vec![501],
        }),
        Event::Output(b"x".to_vec()),
        Event::Resized { rows: 24, cols: 80 },
        Event::Shares(vec![Share { host_pid: 500, pss: m, swap: Some(0) }]),
        Event::Sample(Sample { oom_kills: Some(0), ..sample.clone() }),
        Event::OomDump(Box::new(dump)),
        Event::Victim(Victim { host_pid: 501, name: "x".into(), ..Victim::default() }),
        Event::Victim(Victim {
            host_pid: 500,
            pid: Some(2),
            name: "x".into(),
            held: m,
            file: Some(m),
            page_tables: Some(m),
            oom_score_adj: Some(1),
            machine: true,
            shmem: Some(m),
            killed_with: Some(501),
            printed_us: Some(1),
            by_count: true,
        }),
        Event::Sample(sample.clone()),
        Event::Sample(sample),
    ];
    events.extend(others);
    let pause = Pause { limit: Limit::Bytes(100 * m), usage: m, unreclaimable: m, at_limit: false, frozen: true };
    let reclaimed = Reclaimed { limit: Limit::Bytes(100 * m), before: 90 * m, after: 40 * m, stood_us: 5000, times: 1 };
    events.extend([Event::Paused(pause), Event::Resumed { by: Resume::Room }, Event::Reclaimed(reclaimed)]);
    let outcomes = [ChangeOutcome::Done, ChangeOutcome::NextRun, ChangeOutcome::Failed { reason: "x".into() }];
    for (change, outcome) in every_change().into_iter().zip(outcomes.into_iter().cycle()) {
        events.extend([Event::ChangeRequested { change }, Event::ChangeDone { change, outcome }]);
    }
    let target = Limit::Bytes(50 * m);
    let outcomes = [
        LimitOutcome::Applied { now: target },
        LimitOutcome::NextRun,
        LimitOutcome::Busy { usage: m, kept: target },
        LimitOutcome::Failed { reason: "x".into() },
    ];
    for (outcome, by) in outcomes.into_iter().zip([Author::User, Author::Schedule { number: 1 }].into_iter().cycle()) {
        events.extend([Event::LimitRequested { target, by }, Event::LimitDone { target, by, outcome }]);
    }
    let notes = [
        Note::LimitChangedElsewhere { now: target },
        Note::MirrorChanged { now: target },
        Note::Thinned { dropped: 1 },
        Note::Unrecorded { events: 1 },
        Note::RecordingLost { reason: "x".into() },
        Note::OutputGap { bytes: 1 },
        Note::CountersReset,
        Note::SignalSent { signal: 15, host_pid: 500, pid: Some(2), name: "x".into() },
        Note::AllSignalled { signal: 15, processes: 2 },
        Note::QuotaLifted,
        Note::Leftover { reason: "x".into() },
        Note::KilledBy { killer: Killer::SystemdOomd },
        Note::Hint { text: "x".into() },
    ];
    events.extend(notes.map(Event::Note));
    let failure = StartFailure { step: Step::Exec, what: "x".into(), errno: 2 };
    for status in [Status::Exited(0), Status::Signalled(9), Status::FailedToStart(failure), Status::SandboxLost] {
        let (stopped, sent) = (Some(Stopped::Signal(15)), Some(9));
        events.push(Event::Ended(Ended {
            status,
            stopped,
            sent,
            left_behind: 0,
            wall: Some(Duration::from_millis(5)),
        }));
    }
    events
}

fn every_change() -> Vec<Change> {
    let limit = Limit::Max;
    vec![
        Change::Swap(limit),
        Change::SoftLimit(limit),
        Change::Reservation(limit),
        Change::Swappiness(60),
        Change::Oom(OomPolicy::Group),
        Change::Pids(Quota::Of(10)),
        Change::Cpus(Quota::Max),
        Change::Reclaim(limit),
        Change::OomScoreAdj { host_pid: 500, value: 10 },
        Change::Freeze(true),
    ]
}

/// The variant's name in a serialised enum.
fn name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value).expect("plain data") {
        Value::String(name) => name,
        Value::Object(object) => object.keys().next().expect("a variant").clone(),
        other => panic!("no variant: {other}"),
    }
}

#[test]
fn the_recording_format_is_described_whole_and_nothing_else_is() {
    let events = every_event();
    assert_eq!(events.iter().map(name).collect::<BTreeSet<_>>(), variants::<Event>());
    let notes = events.iter().filter_map(|event| if let Event::Note(note) = event { Some(name(note)) } else { None });
    assert_eq!(notes.collect::<BTreeSet<_>>(), variants::<Note>());
    let mut found = BTreeSet::new();
    for event in &events {
        fields(&serde_json::to_value(event).unwrap(), "", &mut found);
    }
    let header = header_line(&Header::new(vec!["x".into()], Limit::Max, 1));
    fields(&serde_json::from_slice::<Value>(&header).unwrap()["recording"], "", &mut found);
    // Events by their names alone are told in the text; their fields are in the tables.
    let named = variants::<Event>();
    found.retain(|field| !named.contains(field));
    // A change, and who ordered one, is described once, where it is done.
    found.retain(|field| {
        !["started.changes[]", "change_requested.change.", "limit_requested.by."]
            .iter()
            .any(|start| field.starts_with(start))
    });
    assert_eq!(found, described(RECORDING));
    let words = [
        named,
        variants::<LimitOutcome>(),
        variants::<Author>(),
        variants::<Change>(),
        variants::<ChangeOutcome>(),
        variants::<OomPolicy>(),
        variants::<Like>(),
        variants::<Resume>(),
        variants::<Status>(),
        variants::<Step>(),
        variants::<Stopped>(),
        variants::<Isolation>(),
        variants::<Controller>(),
        variants::<Scope>(),
        variants::<Killer>(),
    ];
    for word in words.iter().flatten() {
        assert!(RECORDING.contains(&format!("`{word}")) || RECORDING.contains(&format!(".{word}`")), "{word}");
    }
}

/// A run that goes on, and fills its limit.
fn growing() -> Session {
    let mut session = Session::default();
    let mut events = vec![Event::Started(Box::new(Started::plain(Controller::V2)))];
    events.extend((1..20).map(|n| {
        let usage = n << 20;
        let stat = MemoryStat { anon: usage, kernel: Some(0), ..MemoryStat::default() };
        Event::Sample(Sample { usage, stat: Some(stat), ..Sample::default() })
    }));
    for (n, event) in events.into_iter().enumerate() {
        session.apply(&Stamped { at: Duration::from_millis(100 * n as u64), event });
    }
    session
}

#[test]
fn the_result_is_described_whole_and_nothing_else_is() {
    let mut session = Session::default();
    let mut found = BTreeSet::new();
    for (at, event) in every_event().into_iter().enumerate() {
        session.apply(&Stamped { at: Duration::from_millis(at as u64), event });
        fields(&serde_json::to_value(document(&session)).unwrap(), "", &mut found);
    }
    fields(&serde_json::to_value(document(&growing())).unwrap(), "", &mut found);
    // What could not start has the same fields, and those of its error.
    let e = Error::new("x").remedy("y");
    let unstarted = serde_json::to_value(failed(&Session::default(), &["x".into()], 1, &e)).unwrap();
    for key in unstarted.as_object().unwrap().keys() {
        assert!(found.contains(key), "{key}");
    }
    fields(&unstarted, "", &mut found);
    assert_eq!(found, described(RESULT));
    let outcomes = [
        Outcome::Exited,
        Outcome::Signalled,
        Outcome::OomKilled,
        Outcome::OomSurvived,
        Outcome::TimedOut,
        Outcome::StoppedByUser,
        Outcome::FailedToStart,
        Outcome::SandboxLost,
    ];
    for word in outcomes.iter().map(name) {
        assert!(RESULT.contains(&format!("| {word} |")), "{word}");
    }
    use crate::session::outcome::EndedBy::{Itself, Lost, Signal, Timeout, User};
    for word in [Itself, Timeout, Signal, User, Lost].iter().map(name) {
        assert!(RESULT.contains(&format!("`{word}`")), "{word}");
    }
    let stated = [
        crate::result::State::Starting,
        crate::result::State::Held,
        crate::result::State::Running,
        crate::result::State::Paused,
    ];
    for word in stated.iter().map(name).chain(variants::<Isolation>()) {
        assert!(RESULT.contains(&format!("`{word}`")), "{word}");
    }
}
