//! What only a real systemd shows: it takes the lines that a report has for it as they were meant; and with systemd-oomd beside a sandbox, what that
//! kills is said to be its, and what waits paused gives it no reason. `tests/vm/systemd` is the machine.

mod common;

use std::{fs, path::Path, process::Command, time::Duration};

use common::{terminal::Terminal, *};

/// Whether this is the machine.
fn here(test: &str) -> bool {
    let here = std::env::var("SANDTOP_TEST_ROOTLESS").is_ok_and(|machine| machine == "systemd");
    if !here {
        not_here(test);
    }
    here
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn the_lines_for_systemd_are_taken_as_they_were_meant() {
    if !here("the_lines_for_systemd_are_taken_as_they_were_meant") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let options = format!("-m 100M --oom group --cpus 0.5 --pids-limit 50 --record {}", path.display());
    let own_limit = "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.max";
    let ended = Sandtop::run(&options).sh(own_limit).go();
    assert_eq!(ended.code, 0, "{}", ended.err);
    let report = Command::new(SANDTOP).args(["report", "--for", "systemd"]).arg(&path).output().unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    // As a unit …
    let settings: String = report.lines().take_while(|line| *line != "#").map(|line| format!("{line}\n")).collect();
    fs::write("/run/systemd/system/taken.service", settings + "ExecStart=/bin/sleep 1000\n").unwrap();
    let systemctl = |args: &[&str]| Command::new("systemctl").args(args).status().is_ok_and(|status| status.success());
    assert!(systemctl(&["daemon-reload"]) && systemctl(&["start", "taken"]), "{report}");
    let value =
        |name: &str| fs::read_to_string(Path::new("/sys/fs/cgroup/system.slice/taken.service").join(name)).unwrap();
    let is = |name: &str| value(name).trim().to_string();
    assert_eq!(
        ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"].map(is),
        [&(100 << 20).to_string(), "0", "1", "50", "50000 100000"],
        "{report}"
    );
    assert!(systemctl(&["stop", "taken"]));
    // … and from a shell.
    let line = report.lines().find_map(|line| line.strip_prefix("#   systemd-run ")).expect("a line");
    let output = Command::new("sh").args(["-c", &format!("systemd-run {line}")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), (100 << 20).to_string(), "{line}: {output:?}");
}

/// Whether this is the machine; and has systemd-oomd watch the slice that root's sandboxes are in, above so many percent of pressure over a second.
fn watches(test: &str, percent: u32) -> bool {
    if !here(test) {
        return false;
    }
    let limit = format!("ManagedOOMMemoryPressureLimit={percent}%");
    let args = ["set-property", "--runtime", "system.slice", "ManagedOOMMemoryPressure=kill", &limit];
    let asked = Command::new("systemctl").args(args).status().expect("systemctl");
    assert!(asked.success());
    wait_for("systemd-oomd to watch it", || {
        let output = Command::new("oomctl").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, pressure) = text.split_once("Memory Pressure Monitored CGroups")?;
        let limit = format!("Memory Pressure Limit: {percent}.00%");
        pressure.split("Path: ").any(|of| of.starts_with("/system.slice\n") && of.contains(&limit)).then_some(())
    });
    true
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn what_it_kills_for_pressure_is_said_to_be_its() {
    if !watches("what_it_kills_for_pressure_is_said_to_be_its", 1) {
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = dir.path().join("data");
    // Twice what fits, read again and again: nothing is killed for it, and much is waited for.
    let script = format!(
        "dd if=/dev/zero of={0} bs=1M count=40 2>/dev/null; while :; do cat {0} >/dev/null; done",
        file.display()
    );
    let ended = Sandtop::run("-m 20M --timeout 120s").sh(&script).go();
    let journal = Command::new("oomctl").output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    assert_eq!((ended.code, ended.outcome()), (137, "signalled"), "{}\n{journal:?}", ended.err);
    assert_eq!(ended.number("oom_kills"), 0, "{:?}", ended.json);
    assert!(ended.err.contains("by systemd-oomd"), "{}", ended.err);
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn what_waits_paused_gives_it_no_reason() {
    // As distributions set it, but for the time: half the time waited for memory.
    if !watches("what_waits_paused_gives_it_no_reason", 50) {
        return;
    }
    let argv = [SANDTOP, "worker", "fill", "90M", "--rate", "50M", "--check"];
    let mut t = Terminal::start(Sandtop::with("-m 64M --oom pause").cmd(argv).raw(), 120, 40);
    t.wait_text("systemd-oomd runs here");
    t.wait_text("PAUSED AT LIMIT");
    // A minute is what the promise says.
    let seconds = if std::env::var_os("SANDTOP_TEST_FULL").is_some() { 60 } else { 10 };
    let over = wait_until(Duration::from_secs(seconds), || {
        while t.pump(0) {}
        (!t.text().contains("PAUSED AT LIMIT")).then_some(())
    });
    assert_eq!(over, None, "{}", t.text());
    t.keys("+++");
    t.wait_text("exited 0");
    t.wait_text(", right");
    t.keys("q");
    assert_eq!(t.end(), 0);
}
