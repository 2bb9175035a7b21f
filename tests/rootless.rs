//! Where sandtop is not root below a hierarchy that nobody keeps: a plain user in a group that was handed over, with and without user namespaces,
//! with nothing handed over, in a container, and under systemd. `tests/vm` arranges each and says which by `SANDTOP_TEST_ROOTLESS`.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use common::{
    terminal::{Terminal, holds},
    *,
};
use nix::sys::signal::Signal;

/// Whether this is one of these machines.
fn on(machines: &[&str]) -> bool {
    let here = std::env::var("SANDTOP_TEST_ROOTLESS").unwrap_or_default();
    assert!(ALL.contains(&here.as_str()), "unknown machine '{here}'");
    machines.contains(&here.as_str())
}

/// The machines that `tests/vm` arranges.
const ALL: [&str; 6] = ["delegated", "limit-only", "undelegated", "container", "systemd-user", "systemd-root"];

const WITH_NAMESPACES: [&str; 4] = ["delegated", "systemd-user", "systemd-root", "container"];
const WITH_A_LIMIT: [&str; 5] = ["delegated", "systemd-user", "systemd-root", "container", "limit-only"];
const AS_A_USER: [&str; 2] = ["delegated", "systemd-user"];

/// The groups that sandtops have made, wherever they are.
fn groups() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
            if entry.path().join("leaf").is_dir() && dir.ends_with("sandtop") {
                found.push(entry.path());
            }
            walk(&entry.path(), found);
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &mut found);
    found
}

fn group_of(pid: i32) -> Option<PathBuf> {
    let prefix = format!("{}-", supervisor_of(pid));
    groups().into_iter().find(|g| g.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)))
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn the_limit_holds_and_nothing_is_left() {
    if !on(&WITH_A_LIMIT) {
        return not_here("the_limit_holds_and_nothing_is_left");
    }
    for _ in 0..times(5) {
        let ended = Sandtop::run("-m 30M").worker("fill 64M").go();
        assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (137, "oom_killed", 1), "{}", ended.err);
        assert!(ended.number("limit_hits") > 0 && ended.number("peak_bytes") <= highest(30 << 20), "{:?}", ended.json);
        assert_eq!(ended.number("limit_bytes"), 30 << 20);
        let ended = Sandtop::run("-m 30M").worker("fill 20M").go();
        assert_eq!((ended.code, ended.outcome()), (0, "exited"), "{}", ended.err);
    }
    let ended = Sandtop::run("-m 30M").sh(&format!("{SANDTOP} worker fill 64M; exit 5")).go();
    assert_eq!((ended.code, ended.outcome()), (5, "oom_survived"), "{}", ended.err);
    assert_eq!(groups(), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn what_is_left_behind_is_killed_and_a_killed_sandtop_leaves_nothing() {
    if !on(&WITH_A_LIMIT) {
        return not_here("what_is_left_behind_is_killed_and_a_killed_sandtop_leaves_nothing");
    }
    let ended = Sandtop::run("").sh("setsid sleep 1000 & (sleep 1001 & sleep 1002 &) ; exit 4").go();
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("3 processes were left behind, and killed"), "{}", ended.err);
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let child = Sandtop::run("").sh("setsid sleep 1000 & (sleep 1001 &) ; sleep 1002").start();
        let group = wait_for("a group with all three", || group_of(child.pid()).filter(|g| pids_in(g).len() == 4));
        let pids = pids_in(&group);
        child.signal(signal);
        wait_for("an empty group", || pids_in(&group).is_empty().then_some(()));
        wait_for("no process", || pids.iter().all(|pid| !is_sleep(*pid)).then_some(()));
        child.wait();
    }
    let cleaned = Sandtop::with("clean").go();
    assert_eq!(cleaned.code, 0, "{}", cleaned.err);
    wait_for("no group", || groups().is_empty().then_some(()));
}

fn is_sleep(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sleep")
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn the_workload_is_the_caller_in_namespaces_of_its_own() {
    if !on(&WITH_NAMESPACES) {
        return not_here("the_workload_is_the_caller_in_namespaces_of_its_own");
    }
    let uid = nix::unistd::geteuid().to_string();
    let ended = Sandtop::run("-m 64M")
        .sh("id -u; echo $$; cat /proc/self/cgroup /sys/fs/cgroup/memory.max; grep -c '^CapEff:.0*$' /proc/self/status")
        .go();
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[..3], [uid.as_str(), "2", "0::/"], "{}{}", ended.out, ended.err);
    let limit: u64 = lines[3].parse().unwrap();
    assert!(((64 << 20)..=(66 << 20) + 256 * 1024 * cpus()).contains(&limit), "{limit}");
    if on(&AS_A_USER) {
        assert_eq!(lines[4], "1", "capabilities inside: {}", ended.out);
        let ended = Sandtop::run("-u root --hostname box --network none").sh("id -u; hostname; ls /sys/class/net").go();
        assert_eq!(ended.out, "0\nbox\nlo\n", "{}", ended.err);
        let ended = Sandtop::run("-u nobody").cmd(["true"]).go();
        assert_eq!(ended.code, 125);
        assert!(ended.err.contains("as you, or as root inside"), "{}", ended.err);
    }
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn the_limit_is_not_to_be_lifted_from_inside() {
    if !on(&WITH_NAMESPACES) {
        return not_here("the_limit_is_not_to_be_lifted_from_inside");
    }
    let raise = r#"for dir in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts) "$@"; do
        for file in $(find $dir -name memory.max 2>/dev/null); do echo max > $file; done
        for file in $(find $dir -name cgroup.procs 2>/dev/null | head -50); do echo $$ > $file; done
    done"#;
    let nested = r#"unshare -Urm sh -c 'd=$(mktemp -d); mount -t cgroup2 x $d; for f in $(find $d -name memory.max); do echo max > $f; done; umount /sys/fs/cgroup; umount -l /sys/fs/cgroup; for f in $(find /sys/fs/cgroup -name memory.max); do echo max > $f; done; mount -o remount,rw,bind /sys/fs/cgroup'"#;
    let cgroup_namespace = nested.replace("-Urm", "-UrmC");
    for user in if on(&AS_A_USER) { &["", "-u root"][..] } else { &[""][..] } {
        for attack in [
            raise.to_string(),
            format!("umount /sys/fs/cgroup; umount /sys/fs/cgroup; umount -l /sys/fs/cgroup; mount -o remount,rw,bind /sys/fs/cgroup; {raise}"),
            format!("{nested}; {cgroup_namespace}; {raise}"),
            "nsenter -t 1 -a true; ls /proc/1/root/sys/fs/cgroup; kill -9 1; kill -TERM 1; echo max > /proc/1/root/sys/fs/cgroup/memory.max".into(),
        ] {
            let script = format!("{{ {attack}\n}} >&2; exec {SANDTOP} worker fill 200M");
            let ended = Sandtop::run(&format!("-m 64M {user}")).sh(&script).go();
            assert_eq!(ended.outcome(), "oom_killed", "{user} {attack}: {}", ended.err);
            assert!(ended.number("peak_bytes") <= highest(64 << 20), "{user} {attack}: {:?}", ended.json);
        }
    }
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn the_screen_says_what_the_sandbox_is_made_of_and_moves_the_limit() {
    if !on(&WITH_A_LIMIT) {
        return not_here("the_screen_says_what_the_sandbox_is_made_of_and_moves_the_limit");
    }
    let mut t =
        Terminal::start(Sandtop::with("-m 100M").cmd([SANDTOP, "worker", "fill", "40M", "--hold"]).raw(), 200, 50);
    t.wait_text("running");
    t.wait("40M in use", |s| holds(s, 40.0));
    assert_eq!(t.text().contains("limit only · no namespaces"), on(&["limit-only"]), "{}", t.text());
    t.keys("=80M\r");
    t.wait_text("limit 100M → 80M, by you");
    let group = wait_for("its group", || group_of(t.sandtop()));
    assert_eq!(limit_of(&group), 80 << 20);
    t.keys("=20M");
    t.wait_text("cgroup v2 will kill");
    t.keys("\r");
    t.wait_text("Enter yes, set it and kill");
    t.keys("\r");
    t.wait_text("the 20M limit was hit");
    t.wait_text("limit 80M → 20M, by you"); // though the run was over before the write was answered
    t.wait_ended();
    t.keys("q");
    assert_eq!(t.end(), 137);
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn a_limit_alone_is_said_to_be_one() {
    if !on(&["limit-only"]) {
        return not_here("a_limit_alone_is_said_to_be_one");
    }
    let ended = Sandtop::run("").sh("readlink /proc/self/ns/pid; readlink /proc/self/ns/mnt").go();
    let ours = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
    assert_eq!(ended.out, format!("{}\n{}\n", ours("pid"), ours("mnt")));
    assert!(ended.err.contains("limit only") && ended.err.contains("could lift its own limit"), "{}", ended.err);
    for options in ["-u root", "--hostname x", "--network none"] {
        let ended = Sandtop::run(options).cmd(["true"]).go();
        assert_eq!(ended.code, 125, "{options}");
        assert!(ended.err.contains("user namespaces cannot be used here"), "{options}: {}", ended.err);
    }
    let doctor = Sandtop::with("doctor").go();
    assert_eq!(doctor.code, 0, "{}", doctor.out);
    assert!(doctor.out.contains("user.max_user_namespaces"), "{}", doctor.out);
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn with_nothing_handed_over_the_remedy_comes_at_once() {
    if !on(&["undelegated"]) {
        return not_here("with_nothing_handed_over_the_remedy_comes_at_once");
    }
    for args in ["run -- true", "-- true", "demo"] {
        // The best of three: what a noisy machine adds is not ours.
        let tries = [(); 3].map(|()| {
            let start = Instant::now();
            let ended = Sandtop::with(args).go();
            (start.elapsed(), ended)
        });
        let (took, ended) = tries.into_iter().min_by_key(|(took, _)| *took).expect("three tries");
        assert_eq!(ended.code, 125, "{args}: {}", ended.err);
        assert!(ended.err.contains("sudo ") && ended.err.contains(SANDTOP), "{args}: {}", ended.err);
        assert!(ended.err.contains("sandtop doctor") && ended.err.lines().count() == 2, "{args}: {}", ended.err);
        println!("{args}: refused after {took:?}");
        assert!(took < within(200), "{took:?}");
    }
    assert_eq!(groups(), Vec::<PathBuf>::new());
    let doctor = Sandtop::with("doctor").go();
    assert_eq!(doctor.code, 1, "{}", doctor.out);
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn a_containers_processes_are_moved_aside_once_and_it_is_said() {
    if !on(&["container"]) {
        return not_here("a_containers_processes_are_moved_aside_once_and_it_is_said");
    }
    // Whichever test comes first moves them: it is said then, and never again.
    let fresh = !Path::new("/sys/fs/cgroup/sandtop-others").exists();
    let ended = Sandtop::run("").cmd(["true"]).go();
    let again = Sandtop::run("").cmd(["true"]).go();
    assert_eq!((ended.code, again.code), (0, 0), "{}", ended.err);
    assert_eq!(ended.err.contains("root group held"), fresh, "{}", ended.err);
    println!("said: {}", ended.err);
    assert!(!again.err.contains("root group"), "{}", again.err);
    assert!(Path::new("/sys/fs/cgroup/sandtop-others").is_dir());
    assert_eq!(fs::read_to_string("/sys/fs/cgroup/cgroup.procs").unwrap(), "");
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn under_systemd_the_group_lies_in_a_scope_of_our_own_which_goes_with_us() {
    if !on(&["systemd-user", "systemd-root"]) {
        return not_here("under_systemd_the_group_lies_in_a_scope_of_our_own_which_goes_with_us");
    }
    let child = Sandtop::run("").cmd(["sleep", "1000"]).start();
    let group = wait_for("a group", || group_of(child.pid()).filter(|g| !pids_in(g).is_empty()));
    let path = group.display().to_string();
    let manager = if on(&["systemd-root"]) { "/system.slice/sandtop-" } else { "/user@1000.service/" };
    assert!(path.contains(manager) && path.contains(".scope/sandtop/"), "{path}");
    let scope = group.parent().and_then(Path::parent).expect("a scope").to_path_buf();
    child.signal(Signal::SIGTERM);
    assert_eq!(child.wait().code, 143);
    wait_for("the scope gone", || (!scope.exists()).then_some(()));
    let doctor = Sandtop::with("doctor").go();
    assert_eq!(doctor.code, 0, "{}", doctor.out);
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn a_group_that_was_lent_is_given_back_as_it_was() {
    if !on(&["delegated"]) {
        return not_here("a_group_that_was_lent_is_given_back_as_it_was");
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let above = Path::new("/sys/fs/cgroup").join(own.trim().trim_start_matches("0::/")).parent().unwrap().to_path_buf();
    let _ = fs::write(above.join("cgroup.subtree_control"), "+memory");
    let lent = above.join("lent");
    fs::create_dir(&lent).unwrap();
    // Alone in it, as a service is that starts sandtop: once, and once more, which needs it to be as it was.
    for code in [3, 4] {
        let script = format!(
            "echo $$ > {}/cgroup.procs && exec {SANDTOP} run -m 30M -- sh -c '{SANDTOP} worker fill 64M; exit {code}'",
            lent.display()
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("OOM killer took 1 other process"), "{said}");
        assert_eq!(fs::read_to_string(lent.join("cgroup.subtree_control")).unwrap().trim(), "");
        assert!(!lent.join("sandtop").exists());
    }
    fs::remove_dir(lent).unwrap();
}

#[test]
#[ignore = "tests/vm arranges its machine"]
fn an_init_that_was_stopped_does_not_keep_a_run_alive() {
    if !on(&["limit-only"]) {
        return not_here("an_init_that_was_stopped_does_not_keep_a_run_alive");
    }
    // Without namespaces init is a process like another, and the workload has its uid.
    let ended = Sandtop::run("--timeout 1").sh("kill -STOP $PPID; sleep 1000").go();
    assert_eq!((ended.code, ended.outcome()), (124, "timed_out"), "{}", ended.err);
    wait_for("no group", || groups().is_empty().then_some(()));
}
