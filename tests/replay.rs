//! Replays on a real terminal, without any privilege: a recording is played, stepped through, compared, and left.

mod common;

use std::{fs, path::Path, time::Instant};

use common::{terminal::Terminal, *};
use nix::sys::signal::Signal;
use sandtop::{
    event::{Ended, Event, Process, ProcessChanges, ProcessUsage, Sample, Stamped, Status},
    record::{self, Caution, format},
};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");

fn replay(files: &[&Path], cols: u16, rows: u16) -> Terminal {
    let mut command = Sandtop::with("replay").raw();
    command.args(files);
    Terminal::start(command, cols, rows)
}

#[test]
fn a_recorded_run_is_played_to_the_end_that_it_had() {
    if !kernel_tier("a_recorded_run_is_played_to_the_end_that_it_had") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl.gz");
    let command = Sandtop::with(&format!("-m 40M --record {}", path.display()));
    let mut live = Terminal::start(
        command.sh(&format!("echo in the beginning; {SANDTOP} worker fill 64M; echo at the end; exit 3")).raw(),
        120,
        40,
    );
    live.wait_text("exited 3");
    live.wait_text("at the end");
    live.keys("q");
    assert_eq!(live.end(), 3);
    let closing = live.after_screen();
    let mut t = replay(&[&path], 120, 40);
    t.wait_text("sandtop replay");
    t.keys("G");
    t.wait_text("exited 3 after");
    for said in ["OOM kill:", "limit 40M"] {
        t.wait_text(said);
    }
    for said in ["at the end", "in the beginning"] {
        t.wait(said, |screen| screen.lines().any(|line| line.trim() == said));
    }
    // What the end says is what the live screen said when it was left.
    let session = common::replay(&path);
    let summary = sandtop::sentences::Language::English.summary(session.run().unwrap());
    assert!(closing.contains(&summary), "{closing}");
    t.keys("g");
    t.wait("the start", |screen| !screen.contains("exited 3") && !screen.contains("OOM kill:"));
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert!(t.is_cooked() && !t.is_full_screen());
}

#[test]
fn keys_pause_step_jump_and_change_the_speed() {
    let mut t = replay(&[Path::new(RECORDED)], 100, 30);
    t.wait_text("sandtop replay");
    t.keys("n");
    t.wait_text("‖");
    t.keys(" ");
    t.wait("playing", |screen| screen.lines().any(|line| line.starts_with(" ▶")));
    for _ in 0..20 {
        t.keys("+");
    }
    t.wait_text("64×");
    t.wait("the end", |screen| screen.lines().any(|line| line.starts_with(" ‖")));
    t.wait_text("exited 3 after");
    t.keys(",");
    t.wait("one sample back, before the end", |screen| !screen.contains("exited 3") && screen.contains("running"));
    t.keys(".");
    t.keys("G");
    t.wait_text("exited 3 after");
    t.keys("?");
    t.wait_text("stop there, or go on");
    t.keys("\x1b[6~\x1b[6~");
    t.wait_text("leave the replay");
    t.keys("\x1b");
    t.wait("no help", |screen| !screen.contains("next region"));
    t.keys("q");
    assert_eq!(t.end(), 0);
}

#[test]
fn two_recordings_lie_over_each_other() {
    let mut t = replay(&[Path::new(RECORDED), Path::new(RECORDED)], 120, 40);
    t.wait_text("before: ─ usage");
    t.wait_text("─ before recording-1.jsonl:");
    t.keys("q");
    assert_eq!(t.end(), 0);
    let output = Sandtop::with("replay a b c").raw().output().unwrap();
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut t = replay(&[Path::new(RECORDED)], 100, 30);
        t.wait_text("sandtop replay");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(t.sandtop()), signal).unwrap();
        assert_eq!(t.end(), 128 + signal as i32);
        assert!(t.is_cooked() && !t.is_full_screen());
    }
}

#[test]
fn what_cannot_be_played_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    let state = dir.path().to_str().unwrap();
    for (args, word) in [
        (format!("replay {}", empty.display()), "it is empty"),
        ("replay /etc/passwd".into(), "is no recording"),
        ("replay /no/such".into(), "No such file"),
        ("replay".into(), "--last"),
        ("replay --last".into(), "no run was kept yet"),
    ] {
        let output = Sandtop::with(&args).env("XDG_STATE_HOME", state).raw().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(125), "{args}: {said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{args}: {said}");
    }
}

#[test]
fn a_damaged_recording_is_played_up_to_the_damage_which_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.jsonl");
    let text = fs::read_to_string(RECORDED).unwrap();
    fs::write(&path, &text[..text.len() * 2 / 3]).unwrap();
    let mut t = replay(&[&path], 120, 40);
    t.keys("G");
    t.wait_text("the recording is damaged");
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert!(t.after_screen().contains("is cut"), "{}", t.after_screen());
}

/// So many samples at 10 Hz, and `processes` that each do something every second, or are idle; the OOM killer ends it. Of no real run, as long as
/// that would take.
fn an_hour(path: &Path, samples: u64, processes: i32, idle: bool) {
    let base = sandtop::record::read(Path::new(RECORDED)).unwrap();
    let mut out = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::new(5));
    let mut line = |bytes: Vec<u8>| std::io::Write::write_all(&mut out, &bytes).unwrap();
    line(format::header_line(&base.header));
    let at = |n: u64| std::time::Duration::from_micros(n * 100_000 + n * 7919 % 977);
    let mut random = 88172645463325252u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let usage = |n: u64| ProcessUsage {
        rss: (20 << 20) + n * 4096,
        anon: (16 << 20) + n * 4096,
        cpu_ms: n,
        threads: 1,
        state: 'S',
        ..ProcessUsage::default()
    };
    for stamped in base.events.iter().filter(|s| matches!(s.event, Event::Started(_) | Event::Running { .. })) {
        line(format::event_line(&Stamped { at: at(0), event: stamped.event.clone() }));
    }
    let born = (0..processes).map(|n| Process {
        host_pid: 1000 + n,
        pid: Some(2 + n),
        parent: 1000,
        name: "worker".into(),
        command: format!("worker --number {n}"),
        heap_options: None,
        usage: usage(0),
    });
    let changes = ProcessChanges { born: born.collect(), ..ProcessChanges::default() };
    line(format::event_line(&Stamped { at: at(0), event: Event::Processes(changes) }));
    let last =
        base.events.iter().rev().find_map(|s| if let Event::Sample(s) = &s.event { Some(s.clone()) } else { None });
    let last = Sample { oom_kills: Some(0), ..last.expect("a sample") };
    for n in 1..samples {
        let used = (60 << 20) + next(4096) * 4096;
        let stat = last.stat.map(|stat| sandtop::event::MemoryStat { anon: used - (1 << 20), ..stat });
        let sample =
            Sample { usage: used, peak: Some(used + next(64) * 4096), limit_hits: Some(n / 50), stat, ..last.clone() };
        line(format::event_line(&Stamped { at: at(n), event: Event::Sample(sample) }));
        if !idle {
            let changed = (0..processes).map(|p| (1000 + p, usage(n + next(50)))).collect();
            let event = Event::Processes(ProcessChanges { changed, ..ProcessChanges::default() });
            line(format::event_line(&Stamped { at: at(n), event }));
        }
    }
    let killed =
        Sample { usage: 90 << 20, peak: Some(96 << 20), limit_hits: Some(samples), oom_kills: Some(1), ..last };
    line(format::event_line(&Stamped { at: at(samples), event: Event::Sample(killed) }));
    let wall = Some(at(samples) - at(0));
    let ended = Ended { status: Status::Signalled(9), stopped: None, sent: None, left_behind: 0, wall };
    line(format::event_line(&Stamped {
        at: at(samples) + std::time::Duration::from_millis(1),
        event: Event::Ended(ended),
    }));
    out.finish().unwrap();
}

/// The most memory that a process has had so far, in MiB.
fn highest_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("VmHWM") / 1024
}

#[test]
fn a_run_of_a_day_keeps_its_end_and_its_numbers_within_bounds_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let hour = if emulated() { 360 } else { 36_000 };
    // Both are more than is held in memory, and are thinned, which is said.
    for (name, hours, processes, idle) in [("day", 24, 1, true), ("busy", 12, 5, false)] {
        let path = dir.path().join(format!("{name}.jsonl.gz"));
        an_hour(&path, hours * hour, processes, idle);
        let thinned = record::read(&path).unwrap().cautions();
        assert_eq!(thinned.iter().any(|c| matches!(c, Caution::Thinned(_))), !emulated(), "{name}: {thinned:?}");
        let mut report = Sandtop::with("report").raw();
        let start = Instant::now();
        let output = report.arg(&path).args(["-o", "-", "--format", "json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("{name}: reported after {} ms", start.elapsed().as_millis());
        assert_eq!(told["peak_bytes"], 96 << 20, "{told}");
        assert_eq!((&told["limit_hits"], &told["oom_kills"]), (&(hours * hour).into(), &1.into()));
        assert_eq!((&told["outcome"], &told["sandtop_exit_code"]), (&"oom_killed".into(), &137.into()));
        assert_eq!(told["wall_seconds"].as_f64().map(|s| s.round() as u64), Some(hours * hour / 10));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((said.contains("is long: "), said.contains("damaged")), (!emulated(), false), "{said}");
        let mut t = replay(&[&path, &path], 120, 40);
        t.wait_text("sandtop replay");
        println!("{name}: {} MiB for one over the other", highest_memory(t.sandtop()));
        t.keys("G");
        t.wait_text("OOM killed (137) after");
        t.keys("n");
        t.keys("p");
        t.wait("before the end", |screen| !screen.contains("OOM killed (137) after"));
        assert!(highest_memory(t.sandtop()) <= 300, "{} MiB", highest_memory(t.sandtop()));
        t.keys("q");
        assert_eq!(t.end(), 0);
    }
}

#[test]
fn a_recording_cannot_ask_for_memory_that_is_not_there() {
    if emulated() {
        return not_here("a_recording_cannot_ask_for_memory_that_is_not_there"); // no kernel has a part in that
    }
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(RECORDED).unwrap();
    let (start, rest) = text.split_at(text.match_indices('\n').nth(2).unwrap().0 + 1);
    let argv = format!("\"argv\":[{}]", vec!["\"\""; 4_000_000].join(","));
    let (before, after) = text.lines().nth(1).unwrap().split_once("\"argv\":").unwrap();
    let started = format!("{before}{argv}{}\n", after.split_once(']').unwrap().1);
    let note =
        format!("{{\"us\":9000,\"event\":{{\"note\":{{\"hint\":{{\"text\":\"{}\"}}}}}}}}\n", "A".repeat(9 << 20));
    let born = |n: u64| {
        let process = |m: u64| {
            format!(
                "{{\"host_pid\":{},\"pid\":1,\"parent\":1,\"name\":\"p\",\"command\":\"c\",\"usage\":{{\"rss\":1,\"cpu_ms\":1,\"threads\":1,\"state\":\"S\"}}}}",
                n * 1000 + m
            )
        };
        let all: Vec<String> = (0..1000).map(process).collect();
        format!(
            "{{\"us\":9000,\"event\":{{\"processes\":{{\"born\":[{}],\"changed\":[],\"died\":[]}}}}}}\n",
            all.join(",")
        )
    };
    let resized = "{\"us\":9000,\"event\":{\"resized\":{\"rows\":65535,\"cols\":65535}}}\n{\"us\":9001,\"event\":{\"output\":\"hello\"}}\n";
    let parts: [(&str, String); 4] = [
        ("argv", started.repeat(5)),
        ("notes", note.repeat(8)),
        ("processes", (0..200).map(born).collect()),
        ("size", resized.into()),
    ];
    for (name, part) in parts {
        let path = dir.path().join(name);
        fs::write(&path, [start, &part, rest].concat()).unwrap();
        let mut t = replay(&[&path], 120, 40);
        t.wait_text("sandtop replay");
        t.keys("G");
        t.keys("n");
        t.keys("pp");
        t.wait_text("‖");
        println!("{name}: {} MiB", highest_memory(t.sandtop()));
        assert!(highest_memory(t.sandtop()) <= 300, "{name}: {} MiB", highest_memory(t.sandtop()));
        t.keys("q");
        assert_eq!(t.end(), 0, "{name}");
    }
}

#[test]
fn the_next_event_leads_to_the_end_of_a_run() {
    if !kernel_tier("the_next_event_leads_to_the_end_of_a_run") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl.gz");
    let options = format!("run -m 40M --record {}", path.display());
    let ended = Sandtop::with(&options).sh(&format!("{SANDTOP} worker fill 64M; sleep 1; exit 3")).go();
    assert_eq!(ended.code, 3, "{}", ended.err);
    let mut t = replay(&[&path], 120, 40);
    t.keys(" g");
    t.wait("the start", |screen| !screen.contains("OOM kill:") && screen.contains("running"));
    // The first limit hit, the kill, the end; then there is nowhere to go.
    t.keys("nnnnnn");
    t.wait_text("exited 3 after");
    t.wait("the end", |screen| !screen.contains("● running"));
    t.keys("p");
    t.wait("the kill", |screen| screen.contains("● running") && screen.contains("OOM kill:"));
    t.keys("n");
    t.wait_text("exited 3 after");
    // A run without a screen has no terminal: that is said where its output would be, and nobody is told to type there.
    t.wait_text("there is no output in this recording");
    t.keys("?");
    t.wait("the keys", |screen| {
        screen.contains("next region: processes, events, output") && !screen.contains("typing")
    });
    t.keys("\x1b");
    t.wait("no help", |screen| !screen.contains("next region"));
    t.keys("q");
    assert_eq!(t.end(), 0);
}

#[test]
fn what_has_no_run_is_refused_as_a_report_refuses_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nostart.jsonl");
    let text = fs::read_to_string(RECORDED).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"started\"")).collect();
    for text in [lines.join("\n") + "\n", lines[0].to_string() + "\n"] {
        fs::write(&path, text).unwrap();
        let said = format!("sandtop: {}: there is no run in it", path.display());
        let mut t = replay(&[&path], 120, 40);
        assert_eq!(t.end(), 125);
        assert!(t.after_screen().contains(&said) || t.text().contains(&said), "{}", t.text());
        let output = Sandtop::with("report").raw().arg(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end(), said);
    }
}

#[test]
fn without_a_screen_it_is_said_that_two_are_not_compared() {
    let output = Sandtop::with("replay").raw().args([RECORDED, RECORDED]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("is no terminal: this is") && said.contains("alone"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("exited 3 after"));
}

#[test]
fn a_bug_of_ours_claims_no_sandbox_where_there_was_none() {
    if !cfg!(debug_assertions) {
        return; // only then it can be asked for
    }
    let output = Sandtop::with("report").raw().arg(RECORDED).env("SANDTOP_PANIC", "report").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(
        said.contains("internal error") && said.contains("a bug in sandtop") && !said.contains("sandbox"),
        "{said}"
    );
    let mut command = Sandtop::with("replay").raw();
    command.arg(RECORDED).env("SANDTOP_PANIC", "replay");
    let mut t = Terminal::start(command, 120, 40);
    assert_eq!(t.end(), 125);
    assert!(t.is_cooked());
}

#[test]
fn an_hour_is_small_is_opened_soon_and_is_searched_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let mib = |path: &Path| fs::metadata(path).unwrap().len() as f64 / 1048576.0;
    let (busy, idle, long) = (dir.path().join("busy.gz"), dir.path().join("idle.gz"), dir.path().join("long.gz"));
    let samples = if emulated() { 3_600 } else { 36_000 };
    an_hour(&busy, samples, 5, false);
    an_hour(&idle, samples, 1000, true);
    println!(
        "an hour at 10 Hz: {:.2} MiB with 5 busy processes, {:.2} MiB with 1,000 idle ones",
        mib(&busy),
        mib(&idle)
    );
    assert!(mib(&busy) <= 3.0 && mib(&idle) <= 6.0);
    let start = Instant::now();
    let mut t = replay(&[&busy], 120, 40);
    t.wait_text("sandtop replay");
    println!("opened and drawn after {} ms", start.elapsed().as_millis());
    t.keys("q");
    t.end();
    let events = sandtop::record::read(&busy).unwrap().events;
    let (mut tape, whole) = sandtop::replay::Tape::new(events, sandtop::session::Session::default());
    let mut slowest = std::time::Duration::ZERO;
    for n in (0..100).map(|n| n * 37 % 100) {
        let start = Instant::now();
        tape.seek(tape.end() * n / 100);
        slowest = slowest.max(start.elapsed());
    }
    println!("the slowest of 100 jumps took {:.1} ms", slowest.as_secs_f64() * 1000.0);
    tape.seek(tape.end());
    assert_eq!(derived(tape.state()), derived(&whole));
    an_hour(&long, samples * 100 / 36, 5, false);
    let mut t = replay(&[&long], 120, 40);
    t.wait_text("sandtop replay");
    let status = fs::read_to_string(format!("/proc/{}/status", t.sandtop())).unwrap();
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("").trim().to_string();
    println!("{} samples: {rss} resident", samples * 100 / 36);
    t.keys("q");
    t.end();
}
