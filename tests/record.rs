//! Recordings: what is written can be read, whatever happens to sandtop meanwhile.

mod common;

use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::Path};

use common::*;
use nix::sys::signal::Signal;
use sandtop::{
    record,
    replay::Tape,
    report::{self, Kind, Source},
    session::Session,
};

/// A recording's session.
fn replayed(path: &Path) -> (Session, record::Recording) {
    let recording = record::read(path).unwrap_or_else(|e| panic!("{e}"));
    let mut session = Session::default();
    recording.events.iter().for_each(|stamped| session.apply(stamped));
    (session, recording)
}

#[test]
fn a_recorded_run_replays_to_what_the_live_process_said() {
    if !kernel_tier("a_recorded_run_replays_to_what_the_live_process_said") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for n in 0..times(20) {
        for name in ["run.jsonl", "run.jsonl.gz"] {
            let path = dir.path().join(name);
            let size = 8 + 7 * n % 60;
            let script = format!("{SANDTOP} worker fill {size}M; {SANDTOP} worker fill 64M; exit 3");
            let ended = Sandtop::run(&format!("-m 40M --record {}", path.display())).sh(&script).go();
            assert_eq!(ended.code, 3, "{}", ended.err);
            assert_eq!(ended.json.as_ref(), Some(&derived(&replay(&path))));
            let (_, recording) = replayed(&path);
            assert_eq!(recording.header.command[0], "sh");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn a_killed_sandtop_loses_at_most_the_last_second() {
    if !kernel_tier("a_killed_sandtop_loses_at_most_the_last_second") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["run.jsonl", "run.jsonl.gz"] {
        let path = dir.path().join(name);
        let started = std::time::Instant::now();
        let child = Sandtop::with(&format!("run --record {}", path.display())).cmd(["sleep", "1000"]).start();
        // Three seconds of samples are on disk: then it is shot.
        wait_for("samples up to the third second", || {
            let recording = record::read(&path).ok()?;
            (recording.events.last()?.at.as_secs() >= 3).then_some(())
        });
        let running = started.elapsed(); // a little longer than sandtop's own clock says
        // The process that records; who is in front of it can be killed without a loss.
        let supervisor = supervisor_of(child.pid());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
        drop(child);
        let (_, recording) = replayed(&path);
        // Unless it was shot in the middle of a write nothing is damaged: it has no end, and that is said.
        match &recording.damage {
            None => assert!(recording.unfinished),
            Some(damage) => assert!(damage.what.starts_with("is cut"), "{damage}"),
        }
        let last = recording.events.last().map(|s| s.at).unwrap();
        let lost = running.saturating_sub(last);
        println!("{name}: lost the last {lost:?}; {:?}", recording.damage.map(|d| d.to_string()));
        assert!(lost <= within(1000), "{lost:?}");
    }
    Sandtop::with("clean").go();
}

#[test]
fn the_last_runs_are_kept_and_not_where_nobody_wants_it() {
    if !kernel_tier("the_last_runs_are_kept_and_not_where_nobody_wants_it") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let state = home.path().to_str().unwrap().to_string();
    let last = home.path().join("sandtop/last.jsonl.gz");
    Sandtop::run("--no-keep").cmd(["true"]).env("XDG_STATE_HOME", &state).go();
    assert!(!last.exists());
    for n in 0..12 {
        Sandtop::run("").sh(&format!("exit {n}")).env("XDG_STATE_HOME", &state).go();
    }
    let (session, _) = replayed(&last);
    assert_eq!(
        session.run().and_then(|run| run.ended.as_ref()).map(|(_, e)| sandtop::session::outcome::exit_code(e)),
        Some(11)
    );
    let kept =
        fs::read_dir(home.path().join("sandtop")).unwrap().flatten().filter(|e| e.file_type().unwrap().is_file());
    assert_eq!(kept.count(), 10);
    // The one before the last, and one too many.
    let report = |which: &str| {
        let mut command = std::process::Command::new(SANDTOP);
        command.args(["report", which]).env("XDG_STATE_HOME", &state).output().unwrap()
    };
    let before = String::from_utf8(report("--last=2").stdout).unwrap();
    assert!(before.contains("exited 10"), "{before}");
    assert!(String::from_utf8_lossy(&report("--last=11").stderr).contains("there is --last to --last=10"));
}

#[test]
fn a_full_disk_or_a_removed_file_is_told_and_the_run_goes_on() {
    let test = "a_full_disk_or_a_removed_file_is_told_and_the_run_goes_on";
    if !kernel_tier(test) {
        return;
    }
    let ended = Sandtop::run("--record /dev/full").sh("exit 4").go();
    assert_eq!((ended.code, ended.outcome()), (4, "exited"), "{}", ended.err);
    assert!(ended.err.contains("not recorded any more") && ended.err.contains("No space left"), "{}", ended.err);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone.jsonl");
    let child = Sandtop::run(&format!("--record {}", path.display())).cmd(["sleep", "1000"]).start();
    wait_for("a recording", || record::read(&path).ok().filter(|r| r.events.len() > 3));
    fs::remove_file(&path).unwrap();
    let group = child.group();
    wait_for("a flush later", || {
        // The recorder looks every half second; a second later it has.
        let stat = fs::read_to_string(format!("/proc/{}/stat", supervisor_of(child.pid()))).ok()?;
        drop(stat);
        (fs::metadata(&group).ok()?.modified().ok()?.elapsed().ok()?.as_secs_f64() > 2.0).then_some(())
    });
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    assert_eq!(ended.code, 143);
    assert!(ended.err.contains("not recorded any more") && ended.err.contains("removed"), "{}", ended.err);
    // A limit on the size of files is a full disk to the recorder, not a signal that ends the run; the workload has it as it is.
    let path = dir.path().join("limited.jsonl");
    let line = format!(
        "ulimit -f 4; exec {SANDTOP} run --interval 1ms --record {} -- sh -c 'sleep 2; [ \"$(ulimit -f)\" = unlimited ] || exit 6'",
        path.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("not recorded any more") && said.contains("File too large"), "{said}");
    assert!(!replayed(&path).1.events.is_empty());
    // A path that cannot be written costs no run.
    let ended = Sandtop::run("--record /no/such/dir/x.jsonl").cmd(["true"]).go();
    assert_eq!(ended.code, 125, "{}", ended.err);
}

/// A file system of its own in a file, that becomes read-only at its first error.
struct Disk {
    dir: tempfile::TempDir,
    /// Its directory in sysfs.
    knobs: std::path::PathBuf,
}

impl Disk {
    /// `None` where this machine has no loop devices, or no ext4.
    fn new() -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let script = "cd \"$1\" && mkdir disk && truncate -s 32M image && mkfs.ext4 -q image && mount -o loop,errors=remount-ro image disk";
        let made = std::process::Command::new("sh").args(["-c", script, "sh"]).arg(dir.path()).output().unwrap();
        if !made.status.success() {
            println!("no file system of our own: {}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let here = dir.path().join("disk");
        let device = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (device, at) = (fields.next()?, fields.next()?);
            (Path::new(at) == here).then(|| device.trim_start_matches("/dev/").to_string())
        });
        let knobs = Path::new("/sys/fs/ext4").join(device.expect("it is mounted"));
        Some(Disk { dir, knobs })
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("disk")
    }

    /// As a disk that fails: what was written stays, and nothing more is taken.
    fn fail(&self) {
        fs::write(self.knobs.join("trigger_fs_error"), "a test's").unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_disk_that_becomes_read_only_ends_the_recording_and_not_the_run() {
    let test = "a_disk_that_becomes_read_only_ends_the_recording_and_not_the_run";
    if !kernel_tier(test) {
        return;
    }
    let Some(disk) = Disk::new() else { return not_here(test) };
    let path = disk.path().join("run.jsonl");
    let go = tempfile::tempdir().unwrap();
    let go = go.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.1; done; exit 6", go.display());
    let child = Sandtop::run(&format!("--record {}", path.display())).sh(&script).start();
    wait_for("a recording", || record::read(&path).ok().filter(|r| r.events.len() > 3));
    disk.fail();
    fs::write(&go, "").unwrap();
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome()), (6, "exited"), "{}", ended.err);
    assert!(
        ended.err.contains("not recorded any more") && ended.err.contains("Read-only file system"),
        "{}",
        ended.err
    );
    let (session, recording) = replayed(&path);
    assert!(recording.events.len() > 3 && session.run().is_some_and(|run| run.ended.is_none()));
}

#[test]
fn a_file_that_takes_nothing_holds_up_neither_the_start_nor_the_end() {
    if !kernel_tier("a_file_that_takes_nothing_holds_up_neither_the_start_nor_the_end") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.jsonl");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let options = format!("--interval 1ms --record {}", path.display());
    let ended = Sandtop::run(&options).cmd(["true"]).go();
    assert!(ended.code == 125 && ended.err.contains("nobody reads"), "{}", ended.err);
    // Somebody has it open, and does not read: it is full after 64 KiB.
    let pipe = fs::File::options().read(true).write(true).open(&path).unwrap();
    let ended = Sandtop::run(&options).sh("sleep 1; exit 5").go();
    assert_eq!(ended.code, 5, "{}", ended.err);
    assert!(ended.err.contains("took nothing for 2 s: its end is missing"), "{}", ended.err);
    drop(pipe);
}

#[test]
fn a_run_that_cannot_be_kept_says_so() {
    if !kernel_tier("a_run_that_cannot_be_kept_says_so") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::write(&state, "no directory").unwrap();
    let kept = |state: &Path| {
        let mut command = std::process::Command::new(SANDTOP);
        command.args(["run", "--", "true"]).env("XDG_STATE_HOME", state).output().unwrap()
    };
    let output = kept(&state);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("not recorded any more: cannot make") && said.contains("state"), "{said}");
    fs::remove_file(&state).unwrap();
    assert!(!String::from_utf8_lossy(&kept(&state).stderr).contains("not recorded"));
    // A home that is not there is not made.
    let home = dir.path().join("nobody");
    let mut command = std::process::Command::new(SANDTOP);
    let output = command.args(["run", "--", "true"]).env_remove("XDG_STATE_HOME").env("HOME", &home).output().unwrap();
    assert!(output.status.success() && !home.exists());
}

#[test]
fn on_the_screen_the_loss_is_said_at_once_and_again_at_the_end() {
    if !kernel_tier("on_the_screen_the_loss_is_said_at_once_and_again_at_the_end") {
        return;
    }
    let command = Sandtop::with("--record /dev/full").cmd(["sleep", "1000"]).raw();
    let mut t = common::terminal::Terminal::start(command, 200, 50);
    t.wait_text("not recorded any more: cannot write /dev/full: No space left");
    t.wait_text("running");
    t.keys("KK"); // asked, and meant
    t.wait_text("was ended by SIGKILL");
    t.keys("q");
    t.end();
    assert!(t.after_screen().contains("not recorded any more"), "{}", t.after_screen());
}

#[test]
fn a_newer_format_is_refused_with_the_reason_and_an_unknown_event_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jsonl");
    let text = include_str!("data/recording-1.jsonl");
    fs::write(&path, text.replacen("\"schema\":1", "\"schema\":99", 1)).unwrap();
    let said = record::read(&path).unwrap_err().to_string();
    assert!(said.contains("format 99") && said.contains("newer sandtop"), "{said}");
    let (header, rest) = text.split_once('\n').unwrap();
    fs::write(&path, format!("{header}\n{{\"us\":1,\"event\":{{\"not_known_yet\":{{\"x\":1}}}}}}\n{rest}")).unwrap();
    let newer = record::read(&path).unwrap();
    assert_eq!((newer.damage, newer.events.len()), (None, rest.lines().count()));
}

#[test]
fn a_damaged_recording_is_read_up_to_the_damage_or_refused_in_a_sentence() {
    let text = include_str!("data/recording-1.jsonl").as_bytes();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let mut random = 88172645463325252u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below.max(1)
    };
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(text, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    let whole = record::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl"))).unwrap();
    assert_eq!(whole.damage, None);
    for n in 0..times(10_000).max(200) {
        let mut bytes = if n % 2 == 0 { text.to_vec() } else { packed.clone() };
        match n % 6 {
            0 => bytes.truncate(next(bytes.len())),
            1 => (0..=next(8)).for_each(|_| {
                let at = next(bytes.len());
                bytes[at] ^= 1 << next(8);
            }),
            2 => {
                let (a, b) = (next(bytes.len()), next(bytes.len()));
                let part = bytes[a.min(b)..a.max(b)].to_vec();
                let at = next(bytes.len());
                bytes.splice(at..at, part);
            }
            3 => bytes = bytes.chunks(64 + next(64)).rev().flatten().copied().collect(),
            4 => {
                // Two writers at once.
                let size = 1 + next(200);
                bytes = bytes.chunks(size).zip(text.chunks(size)).flat_map(|(a, b)| [a, b].concat()).collect();
            }
            _ => bytes = bytes.iter().map(|b| b.wrapping_add(next(2) as u8)).collect(),
        }
        fs::write(&path, &bytes).unwrap();
        match record::read(&path) {
            Ok(recording) => {
                let (mut tape, session) = Tape::new(recording.events.clone(), Session::default());
                tape.seek(tape.end() / 2);
                let (header, events, cautions) = (&recording.header, &recording.events, &recording.cautions());
                let source = Source { header, session: &session, events, cautions };
                for kind in [Kind::Md, Kind::Html, Kind::Csv, Kind::Json, Kind::Cast] {
                    report::render(kind, &source);
                }
            }
            Err(e) => assert!(e.to_string().contains("is no recording"), "{e}"),
        }
    }
    assert_memory();
}

#[test]
fn a_bomb_does_not_go_off() {
    if emulated() {
        return not_here("a_bomb_does_not_go_off"); // a file is read: no kernel has a part in that, and it takes a minute there
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.jsonl.gz");
    let header = include_str!("data/recording-1.jsonl").lines().next().unwrap().to_string() + "\n";
    for line in [String::from(" "), String::from("{\"us\":1,\"event\":{\"output\":\"x\"}}\n")] {
        let mut out = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, header.as_bytes()).unwrap();
        let chunk = line.repeat(1 << 16);
        for _ in 0..(400 << 20) / chunk.len() {
            std::io::Write::write_all(&mut out, chunk.as_bytes()).unwrap();
        }
        out.finish().unwrap();
        let recording = record::read(&path).unwrap();
        // A line without an end is damage; output without an end is put together, as far as there is room.
        assert!(recording.damage.is_some() || recording.thinned.left_out > 0 || recording.events.len() < 2_000_000);
    }
    assert_memory();
}

/// No recording has taken more than 512 MiB so far.
fn assert_memory() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    let peak: u64 = peak.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    println!("the highest memory of this test process: {} MiB", peak / 1024);
    assert!(peak > 0 && peak < 512 * 1024);
}
