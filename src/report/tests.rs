//! Stories that the report's tests tell, and what is selected of them.

use super::*;
use crate::event::*;

const M: u64 = 1 << 20;

fn started(run: u32) -> Started {
    let argv = ["stress", "--vm-bytes", "200m"].map(String::from).to_vec();
    Started { run, argv, wall_ms: 1_795_575_848_236, ..Started::plain(Controller::V2) }
}

fn event(ms: u64, event: Event) -> Stamped {
    Stamped { at: Duration::from_millis(ms), event }
}

fn sample(ms: u64, usage: u64, hits: u64, kills: u64) -> Stamped {
    let stat = Some(MemoryStat { anon: usage / 2, file: usage / 2, shmem: 0, kernel: None, ..MemoryStat::default() });
    let sample =
        Sample { usage, peak: Some(usage), limit_hits: Some(hits), oom_kills: Some(kills), stat, ..Sample::default() };
    event(ms, Event::Sample(sample))
}

fn end(ms: u64, code: i32) -> Stamped {
    event(
        ms,
        Event::Ended(Ended { status: Status::Exited(code), stopped: None, sent: None, left_behind: 0, wall: None }),
    )
}

/// A run that has begun, changed as the test likes.
pub(crate) fn story(change: impl FnOnce(&mut Started)) -> Session {
    let mut start = started(1);
    change(&mut start);
    let mut session = Session::default();
    session.apply(&event(0, Event::Started(Box::new(start))));
    session.apply(&event(10, Event::Running { pid: 2, host_pid: Some(500) }));
    session
}

/// Ends it with these numbers.
pub(crate) fn ended(session: &mut Session, peak: u64, hits: u64, kills: u64, code: i32) {
    session.apply(&sample(100, peak, hits, kills));
    session.apply(&end(200, code));
}

fn two_runs() -> Recording {
    let mut events = Vec::new();
    for (run, from) in [(1, 0), (2, 1000)] {
        events.push(event(from, Event::Started(Box::new(started(run)))));
        events.push(event(from + 10, Event::Running { pid: 2, host_pid: Some(500) }));
        events.push(event(from + 20, Event::Output(format!("run {run}\r\n").into_bytes())));
        events.extend((1..=10).map(|n| sample(from + 10 + 10 * n, n * 10 * M * u64::from(run), 0, 0)));
        events.push(end(from + 200, 0));
    }
    let header = Header {
        schema: 1,
        sandtop: "0.1.0".into(),
        kernel: "6.18.0".into(),
        arch: "x86_64".into(),
        wall_ms: 0,
        command: Vec::new(),
        limit: None,
    };
    Recording { header, events, damage: None, unfinished: false, thinned: crate::record::Thinned::default() }
}

fn session(recording: &Recording) -> Session {
    let mut session = Session::default();
    recording.events.iter().for_each(|stamped| session.apply(stamped));
    session
}

fn rendered(kind: Kind, recording: &Recording) -> String {
    let session = session(recording);
    let cautions = recording.cautions();
    let source =
        Source { header: &recording.header, session: &session, events: &recording.events, cautions: &cautions };
    String::from_utf8(render(kind, &source)).unwrap()
}

#[test]
fn an_earlier_run_is_had_by_its_number() {
    let mut recording = two_runs();
    selected(&mut recording, Some(1), None).unwrap();
    let session = session(&recording);
    assert_eq!((session.runs.len(), session.runs[0].started.run, session.runs[0].peak), (1, 1, 100 * M));
    let said = selected(&mut two_runs(), Some(3), None).unwrap_err();
    assert_eq!(said, "there is no run 3 in it; there are runs 1 to 2");
}

#[test]
fn a_report_as_of_a_time_counts_from_where_the_newest_run_was_let_go() {
    let mut recording = two_runs();
    selected(&mut recording, None, Some(Duration::from_millis(50))).unwrap();
    let session = session(&recording);
    assert_eq!(session.runs.len(), 2);
    let run = session.run().unwrap();
    assert_eq!((run.peak, run.ended.is_some()), (100 * M, false));
}

#[test]
fn the_kind_is_in_the_name() {
    for (name, kind) in [
        ("x.html", Kind::Html),
        ("x.SVG", Kind::Svg),
        ("a.b.md", Kind::Md),
        ("x.csv", Kind::Csv),
        ("x.json", Kind::Json),
        ("x.cast", Kind::Cast),
    ] {
        assert_eq!(Kind::of(Path::new(name)), Some(kind), "{name}");
    }
    assert_eq!(Kind::of(Path::new("x.pdf")), None);
    assert_eq!(Kind::of(Path::new("html")), None);
}

#[test]
fn samples_are_a_table_with_as_many_fields_in_each_line() {
    let table = rendered(Kind::Csv, &two_runs());
    let mut lines = table.split("\r\n");
    let columns = lines.next().unwrap();
    assert_eq!(columns, csv::COLUMNS);
    let rows: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), 10, "of the newest run");
    assert_eq!(rows[0], format!("0.010000,{0},{0},104857600,{1},{1},{1},0,,,0,0,,,0", 20 * M, 10 * M));
    assert!(rows.iter().all(|row| row.matches(',').count() == columns.matches(',').count()));
}

#[test]
fn a_cast_has_the_output_of_both_runs_and_what_happened() {
    let cast = rendered(Kind::Cast, &two_runs());
    let lines: Vec<serde_json::Value> = cast.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["version"], &lines[0]["width"], &lines[0]["height"]), (&2.into(), &80.into(), &24.into()));
    let of = |kind: &str| {
        lines[1..].iter().filter(|line| line[1] == kind).map(|line| line[2].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("o").iter().filter(|text| text.starts_with("run ")).count(), 2);
    assert!(of("m").contains(&"run 2") && of("m").iter().any(|text| text.contains("exited 0")), "{cast}");
    let times: Vec<f64> = lines[1..].iter().map(|line| line[0].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] >= 0.0, "{times:?}");
}

/// So many runs, each with its output.
fn many_runs(runs: u32) -> Recording {
    let mut recording = two_runs();
    recording.events.clear();
    for run in 1..=runs {
        let from = u64::from(run) * 1000;
        recording.events.push(event(from, Event::Started(Box::new(started(run)))));
        recording.events.push(event(from + 10, Event::Running { pid: 2, host_pid: Some(500) }));
        recording.events.push(event(from + 20, Event::Output(format!("run {run}\r\n").into_bytes())));
        recording.events.push(sample(from + 30, M, 0, 0));
        recording.events.push(end(from + 200, 0));
    }
    recording
}

#[test]
fn runs_that_a_session_forgets_are_said_and_still_had() {
    let recording = many_runs(11);
    let said = "3 earlier runs are not shown here: --run N shows one";
    let plain = plain::plain(&Source {
        header: &recording.header,
        session: &session(&recording),
        events: &recording.events,
        cautions: &[],
    });
    assert!(plain.starts_with(said), "{plain}");
    for kind in [Kind::Html, Kind::Md] {
        assert!(rendered(kind, &recording).contains(said), "{kind:?}");
        assert!(!rendered(kind, &many_runs(8)).contains("not shown here"), "{kind:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&rendered(Kind::Json, &recording)).unwrap();
    assert_eq!((&json["forgotten_runs"], json["earlier_runs"].as_array().map(Vec::len)), (&3.into(), Some(7)));
    let mut second = many_runs(11);
    selected(&mut second, Some(2), None).unwrap();
    assert_eq!(session(&second).run().map(|run| run.started.run), Some(2));
}

#[test]
fn a_cast_begins_with_the_first_run_of_the_recording_though_a_session_forgets_it() {
    let cast = rendered(Kind::Cast, &many_runs(11));
    let lines: Vec<serde_json::Value> = cast.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |text: &str| lines.iter().find(|line| line[2] == text).and_then(|line| line[0].as_f64()).unwrap();
    assert_eq!([of("run 1\r\n"), of("run 2\r\n"), of("run 11\r\n")], [0.01, 1.01, 10.01]);
    let mut ends =
        lines.iter().filter(|line| line[1] == "m" && line[2].as_str().is_some_and(|text| text.contains("exited")));
    let last = ends.next_back().and_then(|line| line[0].as_f64()).unwrap();
    assert!((last - 10.19).abs() < 1e-6, "{last}");
}

#[test]
fn a_run_without_a_sample_has_no_peak_and_is_said_to_have_none() {
    let mut recording = two_runs();
    recording.events.retain(|stamped| !matches!(stamped.event, Event::Sample(_)));
    for until in [recording.events.len(), recording.events.len() - 1] {
        recording.events.truncate(until);
        for kind in [Kind::Html, Kind::Md, Kind::Svg, Kind::Json] {
            let text = rendered(kind, &recording);
            assert!(!text.contains("peak 0B"), "{kind:?}: {text}");
        }
        assert!(rendered(Kind::Md, &recording).contains("nothing was sampled; limit 100M"));
    }
}

#[test]
fn a_highest_sample_is_told_as_one_in_every_output() {
    let mut recording = two_runs();
    for stamped in &mut recording.events {
        if let Event::Sample(sample) = &mut stamped.event {
            sample.peak = None;
        }
    }
    for kind in [Kind::Html, Kind::Md] {
        let text = rendered(kind, &recording);
        assert!(text.contains("≥ 200M (sampled)") && !text.contains("peak 200M"), "{text}");
    }
    let session = session(&recording);
    let document = crate::result::document(&session).unwrap();
    assert_eq!((document.run.peak_bytes, document.run.highest_bytes), (None, Some(200 * M)));
    assert_eq!(serde_json::to_value(&document.run).unwrap()["highest_from"], "samples");
    let said = crate::sentences::Language::English.summary(session.run().unwrap());
    assert!(said.contains("; peak ≥ 200M (sampled) of "), "{said}");
    for text in crate::ci::tests::written(&document) {
        assert!(text.contains("≥ 200M (sampled)"), "{text}");
    }
}

#[test]
fn a_chart_is_well_formed_and_shows_what_happened() {
    let mut recording = two_runs();
    recording.events.insert(recording.events.len() - 1, sample(1120, 100 * M, 7, 0));
    recording.events.insert(recording.events.len() - 1, sample(1150, 100 * M, 9, 2));
    let picture = rendered(Kind::Svg, &recording);
    for part in [
        "role=\"img\"",
        "<title>",
        "<desc>",
        "prefers-color-scheme: dark",
        "first limit hit",
        "OOM kill",
        "class=\"limit\"",
        ">100M<",
    ] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert_eq!(picture.matches("<svg ").count(), picture.matches("</svg>").count());
    assert!(!picture.contains("NaN") && !picture.contains("inf\""), "{picture}");
}

#[test]
fn a_recording_of_nothing_but_a_start_is_reported_too() {
    let mut recording = two_runs();
    recording.events.truncate(1);
    for kind in Kind::value_variants() {
        assert!(!rendered(*kind, &recording).is_empty(), "{kind:?}");
    }
    recording.events.clear();
    assert!(selected(&mut recording, None, None).is_err());
}

#[test]
fn what_others_chose_is_only_ever_text() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{1b}[31m\n`|&amp;{{title}}--></style></svg>";
    let mut recording = two_runs();
    for stamped in &mut recording.events {
        if let Event::Started(started) = &mut stamped.event {
            started.argv = vec![hostile.into(), hostile.into()];
        }
    }
    let usage = ProcessUsage { rss: M, anon: M, cpu_ms: 1, threads: 1, state: 'R', ..ProcessUsage::default() };
    let process = Process {
        host_pid: 7,
        pid: Some(3),
        parent: 1,
        name: hostile.into(),
        command: hostile.into(),
        heap_options: None,
        usage,
    };
    let at = recording.events.len() - 1;
    recording
        .events
        .insert(at, event(1120, Event::Processes(ProcessChanges { born: vec![process], ..Default::default() })));
    recording.events.insert(at, event(1121, Event::Output(hostile.as_bytes().to_vec())));
    recording.events.insert(at, event(1122, Event::Note(Note::Hint { text: hostile.into() })));
    recording.events.insert(
        at,
        event(
            1123,
            Event::Victim(Victim { host_pid: 7, pid: None, name: hostile.into(), held: M, ..Victim::default() }),
        ),
    );
    recording.events.insert(at, sample(1124, 100 * M, 1, 1));
    recording.damage = Some(crate::record::Damage { line: 9, what: hostile.into() });
    for kind in [Kind::Html, Kind::Svg, Kind::Md] {
        let text = rendered(kind, &recording);
        // In a block of code all is text to Markdown: only its fences count, which are longer than any in it.
        let outside: String = text.split("\n```").step_by(2).collect();
        let outside = if kind == Kind::Md { outside } else { text.clone() };
        assert!(
            !outside.contains("<img") && !outside.contains("<script>alert") && !outside.contains("</style></svg>"),
            "{kind:?}: {text}"
        );
        assert!(!text.chars().any(|c| c == '\u{202e}' || c == '\u{1b}'), "{kind:?}");
        assert!(text.contains("onerror=alert"), "{kind:?}: it is shown as what it is");
    }
}

#[test]
fn the_script_is_the_one_that_the_page_allows() {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
    sum.stdin.take().unwrap().write_all(html::SCRIPT.as_bytes()).unwrap();
    let said = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    let bytes: Vec<u8> = (0..32).map(|n| u8::from_str_radix(&said[2 * n..2 * n + 2], 16).unwrap()).collect();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        (0..=three.len()).for_each(|n| text.push(letters[(word >> (18 - 6 * n) & 63) as usize] as char));
    }
    assert_eq!(html::SCRIPT_HASH, format!("sha256-{text}="), "assets/report/page.js was changed");
}

#[test]
fn no_number_in_a_recording_makes_a_report_panic() {
    let text = include_str!("../../tests/data/recording-1.jsonl");
    let file = tempfile::NamedTempFile::new().unwrap();
    let numbers: Vec<(usize, usize)> = {
        let starts = text.char_indices().filter(|(n, c)| c.is_ascii_digit() && text.as_bytes()[n - 1] == b':');
        starts.map(|(n, _)| (n, n + text[n..].find(|c: char| !c.is_ascii_digit()).unwrap_or(0))).collect()
    };
    let mut read = 0;
    for (from, to) in numbers {
        for extreme in ["0", "18446744073709551615", "9223372036854775807", "4294967295"] {
            std::fs::write(file.path(), [&text[..from], extreme, &text[to..]].concat()).unwrap();
            let Ok(mut recording) = crate::record::read(file.path()) else { continue };
            if selected(&mut recording, None, None).is_ok() {
                Kind::value_variants().iter().for_each(|kind| assert!(!rendered(*kind, &recording).contains("NaN")));
                System::ALL.iter().for_each(|system| assert!(!take_away(*system, &session(&recording)).is_empty()));
                read += 1;
            }
        }
    }
    assert!(read > 500, "{read}");
}

#[test]
fn reclaims_that_averted_pauses_are_told_in_every_form() {
    let mut recording = two_runs();
    let limit = crate::units::Limit::Bytes(100 * M);
    let reclaimed = Reclaimed { limit, before: 90 * M, after: 40 * M, stood_us: 5000, times: 1 };
    let newest = recording.events.len() - 3;
    for n in 0..2 {
        recording.events.insert(newest + n, event(1095 + n as u64, Event::Reclaimed(reclaimed)));
    }
    let said = "not paused: a reclaim made room 2 times (usage 90M → 40M of 100M; the processes stood still for 10 ms)";
    for kind in [Kind::Md, Kind::Html] {
        let text = rendered(kind, &recording);
        assert!(text.contains("pauses averted"), "{text}");
        assert!(text.contains(said), "{text}");
        assert!(text.contains("2 reclaims made room instead of a pause, stood still 0.010 s"), "{text}");
        assert!(!rendered(kind, &two_runs()).contains("instead of a pause"));
    }
    let table = rendered(Kind::Csv, &recording);
    let averted: Vec<&str> = table.lines().filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!((averted[0], averted[1], averted[averted.len() - 1]), ("pauses_averted", "0", "2"));
}
