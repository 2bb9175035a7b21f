//! A real systemd-oomd beside a sandbox: what it kills is said to be its, and what waits paused gives it no reason. `tests/vm/systemd` starts it.

mod common;

use std::{process::Command, time::Duration};

use common::{terminal::Terminal, *};

/// Whether this is the machine; and has it watch the slice that root's sandboxes are in, above so many percent of pressure over a second.
fn watches(test: &str, percent: u32) -> bool {
    if std::env::var("SANDTOP_TEST_ROOTLESS").as_deref() != Ok("systemd-oomd") {
        not_here(test);
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
        (pressure.contains("system.slice") && pressure.contains(&format!("{percent}."))).then_some(())
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
