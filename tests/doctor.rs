//! `sandtop doctor` on this machine: through the real binary, as root, as nobody, and with parts of the machine taken away.

mod common;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use common::{SANDTOP, Sandtop, has, is_v2, kernel_tier, memory_root};
use serde_json::Value;

/// What `--json` printed.
fn parsed(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

/// What a command printed, and its exit code.
fn output(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&stderr);
    assert!(!errors.contains("panicked"), "{errors}");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stdout).into_owned())
}

fn check<'a>(json: &'a Value, name: &str) -> &'a Value {
    let checks = json["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {json}"))
}

fn assert_whole(json: &Value) {
    for check in json["checks"].as_array().expect("checks") {
        let text = |field: &str| check[field].as_str().unwrap_or_default();
        assert!(["ok", "missing", "partial"].contains(&text("state")), "{check}");
        assert_eq!(text("state") == "ok", text("remedy").is_empty(), "{check}");
        assert!(!text("found").is_empty() && !text("needed_for").is_empty() && !text("group").is_empty(), "{check}");
    }
}

/// Runs `script` in a mount namespace of its own, where $S is sandtop.
fn apart(script: &str) -> (i32, String) {
    output(Command::new("unshare").args(["-m", "sh", "-c", script]).env("S", SANDTOP))
}

/// A copy of the binary that everybody may execute.
fn copy_for_all() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in("/tmp")
        .expect("a directory");
    let copy = dir.path().join("sandtop");
    // Not `fs::copy`: a fork of another test would hold the file open for writing, and it could not be executed ("text file busy").
    assert!(Command::new("cp").args([Path::new(SANDTOP), &copy]).status().is_ok_and(|status| status.success()));
    (dir, copy)
}

/// As uid 65534, without groups (std drops them for root).
fn as_nobody(program: &Path, args: &[&str]) -> (i32, String) {
    output(Command::new(program).args(args).uid(65534).gid(65534))
}

#[test]
fn this_machine_is_able_and_every_fault_has_a_remedy() {
    if !kernel_tier("this_machine_is_able_and_every_fault_has_a_remedy") {
        return;
    }
    let table = Sandtop::with("doctor").go();
    assert_eq!(table.code, 0, "{}", table.out);
    assert!(table.out.contains("sandtop works here") && !table.out.contains('\u{1b}'), "{}", table.out);
    let told = Sandtop::with("doctor --json").go();
    let json = parsed(&told.out);
    assert_eq!((told.code, &json["ok"]), (0, &Value::Bool(true)));
    assert_whole(&json);
    for name in ["memory", "group", "namespaces"] {
        assert_eq!(check(&json, name)["state"], "ok", "{json}");
    }
    let found = check(&json, "memory")["found"].as_str().unwrap_or_default();
    assert!(found.contains(&memory_root().display().to_string()), "{found}");
}

#[test]
fn it_is_quick_and_leaves_nothing() {
    if !kernel_tier("it_is_quick_and_leaves_nothing") {
        return;
    }
    let start = Instant::now();
    let child = Sandtop::with("doctor").start();
    let pid = child.pid();
    assert_eq!(child.wait().code, 0);
    assert!(start.elapsed() < common::within(1000), "{:?}", start.elapsed());
    assert_eq!(common::group_of(pid), None);
}

#[test]
fn a_plain_user_on_v1_is_told_to_be_root_by_a_command_that_works() {
    let test = "a_plain_user_on_v1_is_told_to_be_root_by_a_command_that_works";
    if !kernel_tier(test) || is_v2() {
        return;
    }
    let (_dir, copy) = copy_for_all();
    let command = format!("sudo {} demo", copy.display());
    let (code, out) = as_nobody(&copy, &["doctor"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("cannot set a limit here") && out.matches(&command).count() == 2, "{out}");
    let (code, out) = as_nobody(&copy, &["doctor", "--json"]);
    let json = parsed(&out);
    assert_eq!((code, &json["ok"], &json["first"]), (1, &Value::Bool(false), &Value::String(command.clone())));
    assert_whole(&json);
    assert!(check(&json, "group")["remedy"].as_str().is_some_and(|remedy| remedy.contains(&command)), "{out}");
}

#[test]
fn a_machine_without_groups_or_proc_is_told_so() {
    let test = "a_machine_without_groups_or_proc_is_told_so";
    if !kernel_tier(test) || !has(test, "unshare") {
        return;
    }
    for (script, word) in [
        ("umount -l /sys/fs/cgroup && exec $S doctor --json", "no memory controller"),
        ("umount -l /proc && exec $S doctor --json", "/proc"),
        ("mount -t tmpfs none /proc && exec $S doctor --json", "/proc"),
    ] {
        let (code, out) = apart(script);
        let json = parsed(&out);
        assert_eq!((code, &json["ok"]), (1, &Value::Bool(false)), "{script}: {out}");
        assert!(json["verdict"].as_str().is_some_and(|verdict| verdict.contains(word)), "{script}: {out}");
        assert_whole(&json);
    }
}

#[test]
fn garbage_in_proc_is_survived() {
    let test = "garbage_in_proc_is_survived";
    if !kernel_tier(test) || !has(test, "unshare") {
        return;
    }
    let files = "cmdline swaps cgroups pressure/memory sys/kernel/osrelease self/mountinfo self/cgroup sys/kernel/dmesg_restrict";
    for content in ["", r"\0\377\n \n=", "9999999999999999999999", "- - - - - - - - - -\\n0::\\n0::/../..\\n"] {
        let script = format!(
            "mount -t tmpfs none /proc; mkdir -p /proc/pressure /proc/sys/kernel /proc/$$; ln -s $$ /proc/self; \
             for f in {files}; do printf '{content}' >/proc/$f; done; exec $S doctor --json"
        );
        let (code, out) = apart(&script);
        assert_eq!(code, 1, "{content:?}: {out}");
        assert_whole(&parsed(&out));
    }
}

/// A sandbox is much like an ordinary container: root without `CAP_SYS_ADMIN`, and groups that cannot be written.
#[test]
fn a_container_that_may_nothing_is_told_how_to_be_started() {
    if !kernel_tier("a_container_that_may_nothing_is_told_how_to_be_started") {
        return;
    }
    let ended = Sandtop::run("-q -u root").env("container", "docker").cmd([SANDTOP, "doctor", "--json"]).go();
    let (code, out) = (ended.code, &ended.out);
    let json = parsed(out);
    assert_eq!((code, &json["ok"]), (1, &Value::Bool(false)), "{out}");
    assert_whole(&json);
    // It is also what it is: told as such, and not as a container.
    let found = check(&json, "group")["found"].as_str().unwrap_or_default();
    assert!(found.contains("inside another sandtop"), "{out}");
    for name in ["namespaces", "surroundings", "kernel_log"] {
        assert_eq!(check(&json, name)["state"], "missing", "{out}");
    }
    assert!(json["first"].as_str().is_some_and(|first| first.contains("run --privileged")), "{out}");
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let script = format!("{SANDTOP} doctor | true");
    let start = Instant::now();
    let (code, _) = output(Command::new("sh").args(["-c", &script]));
    assert_eq!(code, 0);
    assert!(start.elapsed() < Duration::from_secs(10));
}
