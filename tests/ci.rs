//! `sandtop run` in a CI job: the budget, the files that it writes for others, completions and the manual page.

mod common;

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    process::{Command, Stdio},
};

use common::*;
use serde_json::Value;

const M: u64 = 1 << 20;

/// A JUnit file as an independent reader understands it.
fn junit(path: &Path) -> Value {
    const READ: &str = "
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
suite, = root.findall('testsuite')
case, = suite.findall('testcase')
told = {e.tag: dict(e.attrib, text=e.text) for e in case}
numbers = {p.get('name'): p.get('value') for p in suite.find('properties')}
print(json.dumps(dict(root=[root.tag, root.attrib], suite=suite.attrib, case=case.attrib, told=told, numbers=numbers)))";
    let output = Command::new("python3").args(["-c", READ]).arg(path).output().expect("python3");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", fs::read_to_string(path).unwrap_or_default());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The kind of failure or error that a JUnit file tells, and its message.
fn told(junit: &Value) -> Option<(String, &str)> {
    let (element, told) = ["failure", "error"].into_iter().find_map(|e| Some((e, junit["told"].get(e)?)))?;
    Some((format!("{element} {}", told["type"].as_str()?), told["message"].as_str()?))
}

#[test]
fn a_budget_is_judged_whatever_the_command_does() {
    if !kernel_tier("a_budget_is_judged_whatever_the_command_does") {
        return;
    }
    let kept = Sandtop::run("-m 200M --budget 80M").worker("fill 20M").go();
    assert_eq!((kept.code, kept.outcome()), (0, "exited"), "{}", kept.err);
    assert!(kept.err.contains(" of it unreclaimable, within the budget of 80M"), "{}", kept.err);
    assert_eq!((kept.field("over_budget"), kept.number("budget_bytes")), (&false.into(), 80 * M));

    // It stays for a moment: what comes and goes between two samples is not known to have been more than the budget.
    let fill = |size: &str| format!("timeout 0.5 {SANDTOP} worker fill {size} --hold; test $? = 124");
    let over = Sandtop::run("-m 200M --budget 80M").sh(&fill("100M")).go();
    assert_eq!((over.code, over.outcome()), (123, "exited"), "{}", over.err);
    assert!(over.number("unreclaimable_peak_bytes") >= 100 * M, "{:?}", over.json);
    let peak = sandtop::units::size(over.number("highest_bytes"));
    let said = " of it unreclaimable, over the budget of 80M; limit 200M".to_string();
    assert!(over.err.contains(&format!("peak {peak}, ")), "{}", over.err);
    assert!(over.err.contains(&said) && over.err.contains("exit code 123"), "{said}: {}", over.err);
    assert_eq!((over.number("exit_code"), over.number("sandtop_exit_code")), (0, 123));
    assert_eq!(over.field("over_budget"), &true);
    assert!(over.field("verdict").as_str().unwrap().contains(&said), "{:?}", over.json);

    // What fails by itself keeps its code, and both are said.
    let failed = Sandtop::run("-m 200M --budget 80M").sh(&format!("{}; exit 3", fill("100M"))).go();
    assert_eq!((failed.code, failed.field("over_budget")), (3, &true.into()), "{}", failed.err);
    assert!(failed.err.contains("exited 3") && failed.err.contains("over the budget of 80M"), "{}", failed.err);

    let killed = Sandtop::run("-m 60M --budget 40M --budget-of peak").worker("fill 200M").go();
    assert_eq!((killed.code, killed.outcome()), (137, "oom_killed"), "{}", killed.err);
    assert!(killed.err.contains("out of memory; peak 60"), "{}", killed.err);
    assert!(killed.err.contains("over the budget of 40M"), "{}", killed.err);
}

#[test]
fn a_budget_is_not_exceeded_by_file_cache_whoever_read_the_file_before() {
    if !kernel_tier("a_budget_is_not_exceeded_by_file_cache_whoever_read_the_file_before") {
        return;
    }
    // On a real disk, and not in memory.
    let dir = tempfile::tempdir_in(std::path::Path::new(SANDTOP).parent().unwrap()).unwrap();
    let big = dir.path().join("big");
    fs::write(&big, vec![1; (150 * M) as usize]).unwrap();
    fs::File::open(&big).unwrap().sync_all().unwrap();
    let read = format!("dd if={} of=/dev/null bs=1M status=none", big.display());
    let forget = || {
        let file = fs::File::open(&big).unwrap();
        nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    };
    let judged = |forgotten: bool, limit: &str| {
        if forgotten {
            forget();
        }
        let ended = Sandtop::run(&format!("-m {limit} --budget 50M")).sh(&read).go();
        let what = format!("{limit}, forgotten {forgotten}: {}", ended.err);
        assert_eq!((ended.code, ended.field("over_budget")), (0, &false.into()), "{what}");
        assert!(ended.number("unreclaimable_peak_bytes") < 20 * M, "{what}");
        let bound = ended.field("unreclaimable_peak_bound_bytes").as_u64();
        assert_eq!(ended.field("budget")["proven"], bound.is_some_and(|bound| bound <= 50 * M), "{what}");
        ended
    };
    for forgotten in [true, false] {
        // Without a reclaim nothing is left open where the kernel keeps the highest usage of each
        // interval and
        // samples come in time: on a busy machine one can come so late that 50M were read since the
        // one before.
        wait_for("a run that is proven", || {
            let ended = judged(forgotten, "300M");
            let keeps = !is_v2() || ended.field("settings")["can"]["peak_reset"] == true;
            (!keeps || ended.field("budget")["proven"] == true).then_some(())
        });
    }
    judged(true, "100M");
    forget();
    let peak = Sandtop::run("-m 300M --budget 50M --budget-of peak").sh(&read).go();
    assert_eq!((peak.code, peak.field("budget")["of"].as_str()), (123, Some("peak")), "{}", peak.err);
}

#[test]
fn a_bad_budget_gets_one_line_and_a_pointless_one_a_hint() {
    if !kernel_tier("a_bad_budget_gets_one_line_and_a_pointless_one_a_hint") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("it ran");
    for bad in ["12zz", "max", "0", "+5M", "-3M", "5", "1e99"] {
        let ended = Sandtop::with(&format!("run --budget {bad}")).cmd([OsStr::new("touch"), mark.as_os_str()]).go();
        assert_eq!(ended.code, 125, "{bad}: {}", ended.err);
        let one_line = ended.err.lines().count() == 1 && ended.err.contains("--budget") && ended.err.contains("1.5G");
        assert!(one_line && !ended.err.contains("or max"), "{bad}: {}", ended.err);
    }
    assert!(!mark.exists());
    let ended = Sandtop::run("-m 64M --budget 200M").cmd(["true"]).go();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("a budget of 200M fails no run under a limit of 64M"), "{}", ended.err);
    let ended = Sandtop::run("-m max --budget 50%").cmd(["true"]).go();
    assert_eq!((ended.code, ended.err.lines().count()), (0, 1), "{}", ended.err);
}

#[test]
fn a_run_is_a_junit_test_case_that_fails_as_the_run_does() {
    let test = "a_run_is_a_junit_test_case_that_fails_as_the_run_does";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.xml");
    let go = |options: &str, script: &str| {
        let ended = Sandtop::run(&format!("{options} --junit {}", file.display())).sh(script).go();
        (ended, junit(&file))
    };
    let (ended, report) = go("-m 64M --budget 32M", "true");
    assert_eq!((ended.code, told(&report)), (0, None), "{report}");
    assert_eq!(report["root"][0], "testsuites");
    assert_eq!(
        (&report["suite"]["tests"], &report["suite"]["failures"], &report["suite"]["errors"]),
        (&"1".into(), &"0".into(), &"0".into())
    );
    assert_eq!((&report["case"]["classname"], &report["case"]["name"]), (&"sandtop".into(), &"sh -c true".into()));
    let seconds: f64 = report["case"]["time"].as_str().unwrap().parse().unwrap();
    assert!((seconds - ended.field("wall_seconds").as_f64().unwrap()).abs() <= 0.001, "{report}");
    for (name, value) in [
        ("limit_bytes", 64 * M),
        ("budget_bytes", 32 * M),
        ("peak_bytes", ended.number("peak_bytes")),
        ("limit_hits", 0),
        ("oom_kills", 0),
    ] {
        assert_eq!(report["numbers"][name], value.to_string(), "{report}");
    }
    let out = report["told"]["system-out"]["text"].as_str().unwrap();
    assert!(out.contains(ended.field("verdict").as_str().unwrap()) && out.contains("run 1: sh -c true"), "{out}");

    let fill = format!("{SANDTOP} worker fill");
    for (options, script, code, kind, word) in [
        ("-m 64M", "exit 3".to_string(), 3, "failure exited", "exited 3"),
        ("-m 64M", "kill -ABRT $$".to_string(), 134, "failure signalled", "SIGABRT"),
        (
            "-m 200M --budget 32M",
            format!("timeout 0.5 {fill} 64M --hold; test $? = 124"),
            123,
            "failure over_budget",
            "over the budget of 32M",
        ),
        ("-m 32M", format!("exec {fill} 100M"), 137, "failure oom_killed", "out of memory"),
        ("-m 32M", format!("{fill} 100M; true"), 0, "failure oom_survived", "the main process lived"),
        ("--timeout 0.3", "sleep 1000".to_string(), 124, "failure timed_out", ": timed out"),
        ("-w /no/such/dir", "true".to_string(), 125, "error failed_to_start", "/no/such/dir"),
    ] {
        let (ended, report) = go(options, &script);
        assert_eq!(ended.code, code, "{options} {script}: {}", ended.err);
        let (told, message) = told(&report).unwrap_or_else(|| panic!("{options} {script}: {report}"));
        assert!(told == kind && message.contains(word), "{told}: {message}");
        assert_eq!(report["suite"]["errors"] == "1", kind.starts_with("error"), "{report}");
        assert_eq!(report["suite"]["failures"] == "1", kind.starts_with("failure"), "{report}");
        if kind.contains("oom") {
            let story = report["told"]["failure"]["text"].as_str().unwrap();
            assert!(story.contains("memory ran out") && report["numbers"]["oom_kills"] == "1", "{report}");
        }
    }
    let ended = Sandtop::run(&format!("--junit {}", file.display())).cmd(["no-such-command"]).go();
    assert_eq!((ended.code, told(&junit(&file)).unwrap().0.as_str()), (127, "failure failed_to_start"));
}

#[test]
fn nothing_that_a_command_is_called_breaks_the_report_or_the_summary() {
    let test = "nothing_that_a_command_is_called_breaks_the_report_or_the_summary";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (report, summary) = (dir.path().join("report.xml"), dir.path().join("summary.md"));
    let hostile: [(&[u8], &str); 5] = [
        (b"<img src=x onerror=y>&amp;]]>\"'", "<img src=x onerror=y>&amp;]]>\"'"),
        (b"\x01\x1b[31m\x7f\r\n# headline\t|", "??[31m???# headline?|"),
        (b"\xff\xfe\xc3\x28", "\u{fffd}\u{fffd}\u{fffd}("),
        ("`````\u{ffff}\u{202e}@all".as_bytes(), "`````\u{fffd}\u{fffd}@all"),
        ("</details></script>ü€🦀".as_bytes(), "</details></script>ü€🦀"),
    ];
    for (bytes, shown) in hostile {
        let options = format!("run -q --junit {} --summary {}", report.display(), summary.display());
        let argv = [OsStr::new("sh"), OsStr::new("-c"), OsStr::new("exit 1"), OsStr::from_bytes(bytes)];
        let ended = Sandtop::with(&options).cmd(argv).go();
        assert_eq!(ended.code, 1, "{}", ended.err);
        assert_eq!(junit(&report)["case"]["name"], format!("sh -c exit 1 {shown}"));
    }
    let text = fs::read_to_string(&summary).unwrap();
    assert_eq!(text.matches("\n### ✖ failed: sh -c exit 1 ").count(), hostile.len(), "{text}");
    // Outside of the blocks that hold commands and events as they are, nothing is a tag, and no block is left early.
    let mut fence: Option<String> = None;
    let mut outside = String::new();
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            None if ticks.len() >= 3 => fence = Some(ticks),
            Some(_) => {}
            None => outside += line,
        }
    }
    assert_eq!(fence, None, "{text}");
    assert_eq!(outside.matches('<').count(), 4 * hostile.len(), "details, summary, and their ends: {outside}");
    assert!(!outside.contains("@all") && outside.contains("&#64;all"), "{outside}");
}

#[test]
fn a_summary_is_added_to_what_is_there_and_tells_the_story_of_a_kill() {
    if !kernel_tier("a_summary_is_added_to_what_is_there_and_tells_the_story_of_a_kill") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "the step before").unwrap();
    let options = format!("--summary {}", file.path().display());
    let passed = Sandtop::run(&format!("-m 64M {options}")).cmd(["true"]).go();
    let killed = Sandtop::run(&format!("-m 32M {options}")).worker("fill 100M").go();
    assert_eq!((passed.code, killed.code), (0, 137), "{}", killed.err);
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.starts_with("the step before\n### ✔ passed: true\n"), "{text}");
    let (_, second) = text.split_once("\n### ✖ failed: ").unwrap_or_else(|| panic!("{text}"));
    for words in [
        "| limit | 32M |",
        "% of the limit |",
        "| OOM kills | 1 |",
        "| exit code | 137 |",
        "\n- memory ran out: the OOM killer took 1 process",
    ] {
        assert!(second.contains(words), "{words}: {second}");
    }
    assert!(second.contains(&format!("\nsandtop -m 32M -- {SANDTOP} worker fill 100M\n")), "{second}");
    let events = killed.field("events").as_array().unwrap();
    for event in events {
        assert!(second.contains(event["text"].as_str().unwrap()), "{event}: {second}");
    }
}

#[test]
fn a_full_disk_is_told_and_the_exit_code_stays() {
    if !kernel_tier("a_full_disk_is_told_and_the_exit_code_stays") {
        return;
    }
    let ended = Sandtop::run("--junit /dev/full --summary /dev/full").sh("exit 4").go();
    assert_eq!((ended.code, ended.outcome()), (4, "exited"), "{}", ended.err);
    assert_eq!(ended.err.matches("cannot write /dev/full: No space left").count(), 2, "{}", ended.err);
    // One rule for all: a line, and 125 unless the command's own code says more. The others still get theirs.
    for option in ["--json", "--junit", "--summary", "--record"] {
        for (script, code) in [("true", 125), ("exit 4", 4)] {
            let ended = Sandtop::with(&format!("run -q --no-keep {option} /dev/full")).sh(script).go();
            assert_eq!(ended.code, code, "{option}: {}", ended.err);
            assert_eq!(ended.err.lines().count(), 1, "{option}: {}", ended.err);
            assert!(ended.err.contains("/dev/full: No space left"), "{option}: {}", ended.err);
        }
    }
    let closed =
        format!("{SANDTOP} run -q --json - -- true >&-; echo $? >&2; {SANDTOP} report -o - --format md --last >&-");
    let output = Command::new("sh").args(["-c", &closed]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot write to standard output: it is closed\n125\n"), "{said}");
    assert_eq!(output.status.code(), Some(125), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let ended = Sandtop::with(&format!("run --json /dev/full --summary {}", file.path().display())).cmd(["true"]).go();
    assert_eq!(ended.code, 125, "{}", ended.err);
    assert!(ended.err.contains("cannot write /dev/full: No space left"), "{}", ended.err);
    assert!(fs::read_to_string(file.path()).unwrap().contains("### ✔ passed: true"));
    // A reader that is gone is none.
    let line = format!("{SANDTOP} run -q --summary - --junit - -- true | true");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

#[test]
fn a_path_that_cannot_be_written_costs_no_run_and_one_that_goes_away_no_exit_code() {
    if !kernel_tier("a_path_that_cannot_be_written_costs_no_run_and_one_that_goes_away_no_exit_code") {
        return;
    }
    use nix::mount::{MsFlags, mount, umount};
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("it ran");
    let read_only = dir.path().join("read-only");
    fs::create_dir(&read_only).unwrap();
    mount(Some("none"), &read_only, Some("tmpfs"), MsFlags::MS_RDONLY, None::<&str>).expect("a mount");
    for option in ["--json", "--junit", "--summary"] {
        for (place, why) in [
            (read_only.join("x"), "Read-only file system"),
            ("/no/such/x".into(), "No such file"),
            ("/proc".into(), "directory"),
        ] {
            let options = format!("run {option} {}", place.display());
            let ended = Sandtop::with(&options).cmd([OsStr::new("touch"), mark.as_os_str()]).go();
            assert_eq!(ended.code, 125, "{options}: {}", ended.err);
            assert!(ended.err.contains(why) && ended.err.lines().count() == 1, "{options}: {}", ended.err);
        }
    }
    assert!(!mark.exists());
    umount(&read_only).expect("unmounted");

    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let options = format!("--junit {0}/x.xml --summary {0}/x.md", files.display());
    let child = Sandtop::run(&options).sh("trap 'exit 5' USR1; while :; do sleep 0.01; done").start();
    child.group();
    fs::remove_dir_all(&files).unwrap();
    let shell = wait_for("the shell's pid", || {
        pids_in(&group_of(child.pid())?).into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let caught =
                status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
            caught.is_some_and(|mask| mask >> 9 & 1 == 1) // its trap is set
        })
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shell), nix::sys::signal::Signal::SIGUSR1).expect("a signal");
    let ended = child.wait();
    assert_eq!(ended.code, 5, "{}", ended.err);
}

#[test]
fn what_could_not_be_started_or_was_lost_is_written_all_the_same() {
    let test = "what_could_not_be_started_or_was_lost_is_written_all_the_same";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (report, summary) = (dir.path().join("report.xml"), dir.path().join("summary.md"));
    let files = format!("--junit {} --summary {}", report.display(), summary.display());
    for (options, word) in [
        ("--cgroup-parent /no/such", "no group /no/such"),
        ("-u nobody-of-that-name", "nobody-of-that-name"),
        ("-m 12zz", "12zz"),
        ("--budget max", "max"),
        ("--record /no/such/x", "/no/such/x"),
    ] {
        let _ = fs::remove_file(&summary);
        let ended = Sandtop::run(&format!("{options} {files}")).cmd(["make", "test"]).go();
        assert_eq!((ended.code, ended.outcome()), (125, "failed_to_start"), "{options}: {}", ended.err);
        assert_eq!((ended.field("run"), ended.number("sandtop_exit_code")), (&Value::Null, 125));
        assert_eq!(ended.field("command"), &serde_json::json!(["make", "test"]));
        let message = ended.field("error")["message"].as_str().unwrap();
        assert!(message.contains(word) && ended.err.contains(message), "{options}: {message}");
        assert_eq!(ended.field("verdict"), message);
        assert_eq!(told(&junit(&report)), Some(("error failed_to_start".into(), message)));
        let text = fs::read_to_string(&summary).unwrap();
        assert!(text.contains("### ✖ did not start: make test\n") && text.contains("| limit | – |"), "{text}");
    }
    // A file that cannot be opened is told to those that could.
    let ended = Sandtop::run(&format!("--junit {} --summary /no/such/x", report.display())).cmd(["true"]).go();
    assert_eq!((ended.code, ended.outcome()), (125, "failed_to_start"), "{}", ended.err);
    assert!(told(&junit(&report)).unwrap().1.contains("/no/such/x"));

    // A bug of ours, before anything was told. A release build has no such door.
    if cfg!(debug_assertions) {
        let mut lost = Sandtop::with(&format!("run --no-keep --json - {files}")).cmd(["sleep", "1000"]).raw();
        let output = lost.env("SANDTOP_PANIC", "supervisor").output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &json["state"]), (Some(125), &"ended".into()));
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.contains("internal error"), "{json}");
        assert_eq!(told(&junit(&report)), Some(("error failed_to_start".into(), message)));
    }
}

#[test]
fn under_sudo_new_files_are_the_callers_and_old_ones_stay_whose_they_were() {
    if !kernel_tier("under_sudo_new_files_are_the_callers_and_old_ones_stay_whose_they_were") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("old.md"), "").unwrap();
    for (name, owner) in [("new", 65534), ("old", 0)] {
        let summary = path(&format!("{name}.md"));
        let options = format!("run --no-keep --junit {} --summary {}", path("x.xml").display(), summary.display());
        let mut raw = Sandtop::with(&options).dir(Path::new("/")).cmd(["true"]).raw();
        let output = raw.env("SUDO_UID", "65534").env("SUDO_GID", "65534").env("SUDO_USER", "nobody").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::metadata(&summary).unwrap().uid(), owner, "{name}");
        assert_eq!(fs::metadata(path("x.xml")).unwrap().uid(), 65534);
    }
}

#[test]
fn completions_are_good_scripts_and_complete_in_bash() {
    let test = "completions_are_good_scripts_and_complete_in_bash";
    if !has(test, "bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = Sandtop::with(&format!("completions {shell}")).go();
        assert!(ended.code == 0 && ended.err.is_empty() && ended.out.contains("budget"), "{shell}: {}", ended.err);
        assert!(!ended.out.contains("Built-in workloads"), "{shell} shows what is hidden");
        let script = dir.path().join(shell);
        fs::write(&script, ended.out).unwrap();
        let installed =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(shell).is_file());
        if ["bash", "zsh", "fish"].contains(&shell) && installed {
            let output = Command::new(shell).arg("-n").arg(&script).output().unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{shell}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    let complete = |words: &str| {
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _sandtop sandtop \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\"",
            dir.path().join("bash").display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &line]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    };
    assert_eq!(complete("sandtop run --mem"), "--memory --memory-swap --memory-high --memory-reservation");
    assert_eq!(complete("sandtop run --bud"), "--budget --budget-of");
    assert_eq!(complete("sandtop --bud"), "", "an option of run alone");
    assert_eq!(complete("sandtop comp"), "completions");
    assert_eq!(complete("sandtop run --network h"), "host");
    assert_eq!(complete("sandtop completions f"), "fish");
    let ended = Sandtop::with("completions tcsh").go();
    assert!(ended.code == 125 && ended.err.lines().count() == 1 && ended.err.contains("zsh"), "{}", ended.err);
}

#[test]
fn the_manual_page_is_sound_and_has_every_option_of_the_help() {
    let test = "the_manual_page_is_sound_and_has_every_option_of_the_help";
    let page = Sandtop::with("man").go();
    assert!(page.code == 0 && page.err.is_empty() && page.out.contains(".TH SANDTOP 1 "), "{}", page.err);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let full = Sandtop::with("man").raw().stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(full.code(), Some(125), "a full disk is told");
    let line = format!("{SANDTOP} man | head -n 1; {SANDTOP} completions zsh | true");
    assert!(Command::new("sh").args(["-c", &line]).output().unwrap().stderr.is_empty());
    if emulated() {
        return not_here(test);
    }
    if !has(test, "groff") {
        return;
    }
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-Tutf8", "-P-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut groff = groff.spawn().unwrap();
    groff.stdin.take().unwrap().write_all(page.out.as_bytes()).unwrap();
    let output = groff.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "groff warns of nothing");
    // As a reader sees it: no bold by overstriking, no hyphens but minus signs, one space between words.
    let text = String::from_utf8_lossy(&output.stdout).replace(['−', '‐'], "-");
    let mut plain: Vec<char> = Vec::new();
    text.chars().for_each(|c| match c {
        '\u{8}' => plain.truncate(plain.len() - 1),
        c => plain.push(c),
    });
    let plain: String = plain.into_iter().collect();
    for heading in ["NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "EXIT STATUS", "FILES", "ENVIRONMENT", "EXAMPLES"] {
        assert!(plain.lines().any(|line| line == heading), "{heading}: {plain}");
    }
    let mut options = 0;
    for help in ["--help", "run --help", "demo --help", "doctor --help", "clean --help", "completions --help"] {
        let help = Sandtop::with(help).go().out;
        for line in help.lines().map(str::trim_start).filter(|line| line.starts_with('-') && !line.starts_with("- ")) {
            let option =
                line.split([' ', ',', '=']).find(|word| word.starts_with("--")).unwrap_or_else(|| panic!("{line}"));
            assert!(plain.contains(option), "{option}: {plain}");
            options += 1;
        }
    }
    assert!(options > 40, "{options} options were looked for");
    for code in ["123", "124", "125", "126", "127", "128+N"] {
        assert!(
            plain.lines().any(|line| line.trim() == code || line.trim().starts_with(&format!("{code} "))),
            "{code}: {plain}"
        );
    }
}
