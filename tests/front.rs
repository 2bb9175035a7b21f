//! A run with files to write or a time to keep, in a process group that its workload signals as a whole: the shell's, make's, a pipeline's.

mod common;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output},
};

use common::{terminal::Terminal, *};
use serde_json::Value;

/// A line for bash in a process group of its own, as an interactive shell gives each of its jobs one.
fn job(line: &str) -> Output {
    Command::new("setsid").args(["--wait", "bash", "-c", line]).output().expect("setsid")
}

fn json(path: &Path) -> Value {
    let text = wait_for("the whole result", || {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then_some(text)
    });
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn a_workload_that_kills_its_process_group_costs_no_file() {
    let test = "a_workload_that_kills_its_process_group_costs_no_file";
    if !kernel_tier(test) || !has(test, "setsid") || !has(test, "bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let files = format!(
        "--json {} --junit {} --summary {} --record {}",
        path("x.json").display(),
        path("x.xml").display(),
        path("x.md").display(),
        path("x.jsonl").display()
    );
    for round in 0..times(20) {
        ["x.json", "x.xml", "x.md", "x.jsonl"].iter().for_each(|name| drop(fs::remove_file(path(name))));
        let output = job(&format!("{SANDTOP} run {files} -- sh -c 'sleep 0.0{}; kill -9 0'", round % 10));
        assert_eq!(output.status.signal().or(output.status.code().map(|code| code - 128)), Some(9));
        let json = json(&path("x.json"));
        assert_eq!((&json["state"], &json["sandtop_exit_code"]), (&"ended".into(), &137.into()), "{json}");
        wait_for("the other files", || {
            let whole = |name: &str, end: &str| fs::read_to_string(path(name)).is_ok_and(|text| text.contains(end));
            (whole("x.xml", "</testsuites>") && whole("x.md", "sh -c")).then_some(())
        });
        assert_eq!(derived(&replay(&path("x.jsonl")))["outcome"], json["outcome"]);
        let group = memory_root().join(json["group"].as_str().unwrap().trim_start_matches('/'));
        wait_for("no group", || (!group.exists()).then_some(()));
    }
}

#[test]
fn a_workload_that_stops_its_process_group_does_not_stop_the_clock() {
    let test = "a_workload_that_stops_its_process_group_does_not_stop_the_clock";
    if !kernel_tier(test) || !has(test, "setsid") || !has(test, "bash") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    // Not bash: it would be stopped itself, with its group.
    let line = format!(
        "exec {SANDTOP} run --timeout 1 --json {} -- sh -c 'kill -STOP 0; echo went on'",
        file.path().display()
    );
    let output = Command::new("setsid").args(["--wait", "sh", "-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(file.path())["outcome"], "timed_out");
}

#[test]
fn a_front_that_is_killed_ends_the_run_and_its_files_are_written() {
    if !kernel_tier("a_front_that_is_killed_ends_the_run_and_its_files_are_written") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let child = Sandtop::with(&format!("run --json {}", file.path().display())).cmd(["sleep", "1000"]).start();
    let group = child.group();
    child.signal(nix::sys::signal::Signal::SIGKILL);
    let json = json(file.path());
    assert_eq!((&json["ended_by"], &json["sandtop_exit_code"]), (&"signal".into(), &137.into()), "{json}");
    wait_for("no group", || (!group.exists()).then_some(()));
}

#[test]
fn pipelines_scripts_and_make_work_as_without() {
    let test = "pipelines_scripts_and_make_work_as_without";
    if !kernel_tier(test) || !has(test, "setsid") || !has(test, "bash") || emulated() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let s = format!("{SANDTOP} run -q --timeout 30 --json x.json --");
    fs::write(dir.path().join("Makefile"), format!("all:\n\t@{s} sh -c 'echo made; exit 3'\n")).unwrap();
    for (line, out, code) in [
        (format!("{s} seq 100000 | head -1"), "1\n", 0),
        (format!("seq 3 | {s} cat | tail -1"), "3\n", 0),
        (format!("{s} false; echo $?; {s} sh -c 'exit 7'; echo $?"), "1\n7\n", 0),
        (format!("set -o pipefail; {s} sh -c 'kill -TERM $$' | cat"), "", 143),
        ("make 2>/dev/null".into(), "made\n", 2),
        (format!("{s} true & wait $!; echo $?"), "0\n", 0),
    ] {
        let output = job(&format!("cd {}; {line}", dir.path().display()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
            (Some(code), out),
            "{line}: {said}"
        );
    }
}

#[test]
fn ctrl_c_and_ctrl_z_reach_the_workload_and_the_shell() {
    let test = "ctrl_c_and_ctrl_z_reach_the_workload_and_the_shell";
    if !kernel_tier(test) || !has(test, "bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Whoever runs the tests in the background has Ctrl-C ignored.
    let mut bash = Command::new("env");
    bash.args(["--default-signal=INT,QUIT,TSTP", "bash", "--norc", "--noprofile", "-i"])
        .env("PS1", "ready$ ")
        .env("SANDTOP_CONFIG", "");
    let mut t = Terminal::start(bash, 120, 30);
    t.wait_text("ready$");
    let file = dir.path().join("x.json");
    let run = format!("{SANDTOP} run --no-keep --timeout 600 --json {} --", file.display());
    t.keys(&format!("{run} sh -c 'echo be''gun; sleep 1000'; echo code=$?\r"));
    t.wait_text("begun");
    for _ in 0..20 {
        t.keys("\x03"); // as a user would who sees nothing happen
        (0..50).any(|_| t.pump(20) && t.text().contains("code=130"));
        if t.text().contains("code=130") {
            break;
        }
    }
    t.wait_text("code=130");
    let json = json(&file);
    assert_eq!((&json["signal"], &json["sandtop_exit_code"]), (&2.into(), &130.into()), "{json}");
    // Stopped with the job, and on again with it; then ended by itself.
    t.keys(&format!("{run} sh -c 'echo on''ce; read line; echo got=$line'; echo code=$?\r"));
    t.wait_text("once");
    t.keys("\x1a");
    t.wait_text("Stopped");
    t.keys("fg\r");
    t.wait("the job in front again", |s| s.matches("run --no-keep").count() > 3);
    t.keys("word\r");
    t.wait_text("got=word");
    t.wait_text("exit code 0");
    // An interactive shell inside takes the terminal, and cannot give it back: a script's next command must have it all the same.
    t.keys(&format!("sh -c '{run} bash --norc -ic \"echo inner\"; stty -echo; stty echo; echo aft''er'\r"));
    t.wait_text("after");
    t.keys("exit\r");
    t.end();
}
