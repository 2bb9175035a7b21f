//! The stories of OOM kills, on the real kernel: the right victim, the right limit, the right verdict, whatever names processes have.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::*;
use nix::sys::signal::Signal;
use serde_json::Value;

const M: u64 = 1 << 20;

fn stories(ended: &Ended) -> &Vec<Value> {
    ended.field("stories").as_array().expect("a list")
}

/// A run in which the kernel did not take the main shell as well: between a worker's death and the return of its memory it is the only one there.
fn to_its_end(mut run: impl FnMut() -> Ended) -> Ended {
    for _ in 0..5 {
        let ended = run();
        if ended.outcome() == "oom_survived" {
            return ended;
        }
        println!("the kernel took the main process too: run again");
    }
    panic!("the kernel takes the main process each time");
}

/// That these are the victims, each once, in the order of their deaths; how many have no pid inside. Who lived for less than it takes to look at it is known
/// by its pid outside alone, and named late: the order then is that of the names.
fn in_order(told: &[i64], real: &[i64]) -> usize {
    assert!(told.len() >= real.len(), "{told:?}, {real:?}");
    let mut known: Vec<i64> = told.iter().copied().filter(|pid| *pid != 0).collect();
    let unseen = told.len() - known.len();
    if unseen == 0 {
        assert_eq!(&told[..real.len()], real);
    }
    known.sort_unstable();
    let all = known.len();
    known.dedup();
    assert_eq!(known.len(), all, "each once: {told:?}");
    assert!(told.len() > real.len() || known.iter().all(|pid| real.contains(pid)), "{told:?}, {real:?}");
    unseen
}

/// A copy of `tail` by another name: `tail /dev/zero` fills memory until it is killed, and its name is the kernel's for it.
fn hog(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::copy("/usr/bin/tail", &path).unwrap_or_else(|e| panic!("{name:?}: {e}"));
    path
}

#[test]
fn kills_in_quick_succession_have_each_its_story() {
    if !kernel_tier("kills_in_quick_succession_have_each_its_story") {
        return;
    }
    // Sixty, though the kernel prints its dump ten times in five seconds.
    let rounds = if emulated() { 12 } else { 60 };
    let script = format!(
        "n=0; while [ $n -lt {rounds} ]; do {SANDTOP} worker fill 100M & echo $!; wait $!; n=$((n + 1)); done; true"
    );
    let ended = to_its_end(|| Sandtop::run("-m 20M").sh(&script).go());
    assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (0, "oom_survived", rounds), "{}", ended.err);
    let pids: Vec<i64> = ended.out.lines().filter_map(|line| line.parse().ok()).collect();
    let told = stories(&ended);
    let victims: Vec<i64> = told.iter().map(|story| story["victim"]["pid"].as_i64().unwrap_or(0)).collect();
    // Who has no pid inside was reaped before anybody could ask: how many are, depends on what else the machine does.
    let unseen = in_order(&victims, &pids);
    let unnamed = told.iter().filter(|story| story["victim"].is_null()).count();
    assert!(unnamed == 0 || emulated() && unnamed <= 3, "{told:#?}");
    for (n, story) in told.iter().enumerate() {
        let before = story["before"]["usage_bytes"].as_u64().unwrap();
        assert!((19 * M..22 * M).contains(&before), "{story:#}");
        // What it gave back is not seen where the next one is there before the next sample is.
        let after = &story["after"];
        let was_last = n + 1 == told.len();
        assert!(after["usage_bytes"].as_u64().map_or(!was_last, |usage| usage < 20 * M), "{n}: {story:#}");
        assert_eq!(story["scope"], "own", "{story:#}");
        if story["victim"].is_null() {
            continue;
        }
        assert_eq!((&story["victim"]["name"], &story["sources"]["victim"]), (&"worker".into(), &"kernel_log".into()));
        assert!(story["victim"]["held_bytes"].as_u64().unwrap().abs_diff(20 * M) < 4 * M, "{story:#}");
        assert!(after.is_null() || after["limit_hits"].as_u64() > Some(0), "{story:#}");
        let line = story["line"].as_array().unwrap();
        assert!(
            story["victim"]["host_pid"].as_i64() > Some(0)
                && (line.is_empty() && story["sources"]["line"] == "samples"
                    || line[0]["badness_bytes"].as_i64() > Some(0)),
            "{story:#}"
        );
    }
    let dumped = told.iter().filter(|story| story["sources"]["line"] == "kernel_log").count();
    println!(
        "{rounds} kills, {} stories, {unseen} without a pid inside; the kernel's own table in {dumped}",
        told.len()
    );
    assert!(dumped <= told.len());
}

#[test]
fn kills_in_another_sandbox_are_not_told_as_ours() {
    if !kernel_tier("kills_in_another_sandbox_are_not_told_as_ours") {
        return;
    }
    // Two at once, each with kills all the time, of processes that live for milliseconds.
    let rounds = if emulated() { 4 } else { 20 };
    let script = format!(
        "n=0; while [ $n -lt {rounds} ]; do {SANDTOP} worker fill 100M & echo $!; wait $!; n=$((n + 1)); done; true"
    );
    for _ in 0..times(5) {
        let other = Sandtop::run("-m 24M").sh(&script).start();
        let ended = to_its_end(|| Sandtop::run("-m 12M").sh(&script).go());
        let other = other.wait();
        for (ended, most) in [(ended, 12 * M), (other, 24 * M)] {
            let told = stories(&ended);
            assert_eq!(told.len() as u64, ended.number("oom_kills"), "one for each kill: {}", ended.err);
            let mut pids: Vec<i64> = ended.out.lines().filter_map(|line| line.parse().ok()).collect();
            let named: Vec<i64> = told.iter().map(|story| story["victim"]["pid"].as_i64().unwrap_or(0)).collect();
            if ended.outcome() == "oom_killed" && named.last() == Some(&2) {
                // While the last victim's memory is on its way back the next one is small still, and the shell is taken: it is the last.
                pids.truncate(named.len() - 1);
                pids.push(2);
            }
            assert!(ended.outcome() == "oom_killed" || pids.len() as u64 == rounds, "{}", ended.err);
            in_order(&named, &pids);
            assert!(told.iter().all(|story| story["victim"]["held_bytes"].as_u64() <= Some(most)), "{told:?}");
        }
    }
}

#[test]
fn without_the_kernels_log_the_victim_is_found_all_the_same_and_where_it_is_from_is_said() {
    let test = "without_the_kernels_log_the_victim_is_found_all_the_same_and_where_it_is_from_is_said";
    if !kernel_tier(test) || !has(test, "unshare") {
        return;
    }
    for _ in 0..times(20) {
        // In a pid namespace of its own the pids of the kernel's log are not those that sandtop sees.
        let file = tempfile::NamedTempFile::new().unwrap();
        let kept = tempfile::tempdir().unwrap();
        let run = |script: &str| {
            let output = std::process::Command::new("unshare")
                .args(["--pid", "--fork", "--mount-proc", SANDTOP, "run", "-m", "40M", "--json"])
                .arg(file.path())
                .args(["--", "sh", "-c", script])
                .env("XDG_STATE_HOME", kept.path())
                .output()
                .expect("unshare, of util-linux");
            let json: Value = serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap();
            (json, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        // Slowly enough to be seen: who lives for a few milliseconds only is not.
        let fill = format!("{SANDTOP} worker fill 200M --rate 40M");
        let (json, err) = run(&format!("sleep 1000 & {fill}; kill $!; true"));
        assert_eq!((&json["outcome"], &json["kernel_log"]), (&"oom_survived".into(), &false.into()), "{json:#}");
        let story = &json["stories"][0];
        assert_eq!((&story["victim"]["name"], &story["scope"]), (&"worker".into(), &"own".into()), "{story:#}");
        assert_eq!(story["sources"]["victim"], "samples", "{story:#}");
        assert_eq!((&story["sources"]["scope"], &story["sources"]["line"]), (&"counters".into(), &"samples".into()));
        let said = ["OOM kill of worker (pid ", "who, who stood there, usage: our samples"];
        assert!(said.iter().all(|said| err.contains(said)), "{err}");
        // Killed from outside a while after that (who dies in the same moment cannot be told apart without the log), and by nobody's lack of memory.
        let (json, _) = run(&format!("{fill}; sleep 0.3; kill -KILL $$"));
        assert_eq!(json["outcome"], "signalled", "{json:#}");
        // The main process tells by how it ended, whoever ended before it.
        let (json, _) = run(&format!("/bin/true; exec {fill}"));
        assert_eq!(json["outcome"], "oom_killed", "{json:#}");
        let story = &json["stories"][0];
        assert_eq!(
            (&story["victim"]["pid"], &story["sources"]["victim"]),
            (&2.into(), &"wait_status".into()),
            "{story:#}"
        );
    }
}

#[test]
fn no_name_is_misread_or_reaches_the_terminal_as_anything_but_text() {
    if !kernel_tier("no_name_is_misread_or_reaches_the_terminal_as_anything_but_text") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "a b",
        "a,b",
        "x) (y",
        ",task=1,pid=1",
        ") total-vm:1kB",
        "two\nlines",
        "\u{1b}[31mred",
        "工具",
        "back\\slash",
        "\\x1b",
        " lead",
    ] {
        let path = hog(dir.path(), name);
        let ended = Sandtop::run("-m 20M").cmd([path.as_os_str(), "/dev/zero".as_ref()]).go();
        assert_eq!(ended.outcome(), "oom_killed", "{name:?}: {}", ended.err);
        let [story] = &stories(&ended)[..] else { panic!("{name:?}: {:#}", ended.field("stories")) };
        assert_eq!(story["victim"]["name"], name, "{story:#}");
        assert_eq!(story["sources"]["victim"], "kernel_log");
        let line = story["line"].as_array().unwrap();
        // Without the kernel's table it stands there as it was last seen, which may be before it became this.
        let kernels = story["sources"]["line"] == "kernel_log";
        assert!(!kernels || line.iter().any(|of| of["name"] == name), "{story:#}");
        assert!(!ended.err.contains('\u{1b}') && !ended.err.contains("two\nlines"), "{:?}", ended.err);
    }
}

#[test]
fn what_a_program_writes_to_the_kernels_log_is_not_the_kernels_word() {
    if !kernel_tier("what_a_program_writes_to_the_kernels_log_is_not_the_kernels_word") {
        return;
    }
    let child = Sandtop::run("-m 40M")
        .sh(&format!("read x < /dev/null; sleep 1000 & wait; {SANDTOP} worker fill 90M; true"))
        .start();
    let named = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default() == "sleep\n";
    let (pids, sleeper) = wait_for("the sleeper", || {
        let pids = pids_in(&child.group());
        let sleeper = *pids.iter().find(|pid| named(pid))?;
        Some((pids, sleeper))
    });
    for pid in &pids {
        let said = format!(
            "<3>Memory cgroup out of memory: Killed process {pid} (forged) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:80kB oom_score_adj:0"
        );
        fs::write("/dev/kmsg", said).expect("the kernel's log");
    }
    // A sleeper that ends is no kill.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(sleeper), Signal::SIGKILL).unwrap();
    let ended = child.wait();
    assert_eq!((ended.outcome(), ended.number("oom_kills")), ("oom_survived", 1), "{}", ended.err);
    let [story] = &stories(&ended)[..] else { panic!("{:#}", ended.field("stories")) };
    assert_eq!(story["victim"]["name"], "worker", "{story:#}\n{}", kernels_log());
}

/// What the kernel's log says of kills, for a test that fails.
fn kernels_log() -> String {
    let said = std::process::Command::new("dmesg").output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let said = said.unwrap_or_default();
    said.lines().filter(|line| line.contains("Killed process")).rev().take(8).collect::<Vec<_>>().join("\n")
}

/// A run whose worker waits for a file and then fills 150M under `-m 200M`, and what comes of it under a limit of 60M on the parent group.
fn under_a_limit_above(script: &str) -> (Ended, ParentGroup) {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let script = format!("while ! [ -e {} ]; do sleep 0.02; done; {script}", go.display());
    let parent = ParentGroup::create("above");
    let child = Sandtop::run(&format!("-m 200M {}", parent.option())).sh(&script).start();
    parent.group(child.pid());
    set_limit(&parent.dir, 60 * M);
    fs::write(&go, "").unwrap();
    (child.wait(), parent)
}

#[test]
fn a_kill_for_a_limit_above_is_told_apart_from_ours() {
    if !kernel_tier("a_kill_for_a_limit_above_is_told_apart_from_ours") {
        return;
    }
    let (ended, parent) = under_a_limit_above(&format!("sleep 1.5; exec {SANDTOP} worker fill 150M"));
    let above = &parent.name;
    assert_eq!((ended.code, ended.outcome(), ended.number("limit_hits")), (137, "oom_killed", 0), "{}", ended.err);
    let [story] = &stories(&ended)[..] else { panic!("{:#}", ended.field("stories")) };
    assert_eq!(story["scope"]["above"]["group"], **above, "{story:#}");
    assert_eq!((&story["met_limit_bytes"], &story["limit_bytes"]), (&(60 * M).into(), &(200 * M).into()), "{story:#}");
    assert_eq!(ended.field("above"), &serde_json::json!({"limit_bytes": 60 * M, "group": above}));
    for said in [format!("(the limit of {above} above was met)"), format!("that of {above}, above the sandbox")] {
        assert!(ended.err.contains(&said), "{said}: {}", ended.err);
    }
    // It is said before it matters.
    let warned = ended.field("events").as_array().unwrap().iter().any(|event| {
        event["kind"] == "tighter_limit_above"
            && event["text"].as_str().unwrap().starts_with(&format!("the limit of {above} above is 60M"))
    });
    assert!(warned, "{:#}", ended.field("events"));
}

#[test]
fn a_kill_for_want_of_memory_on_the_whole_machine_is_said_to_be_that() {
    let test = "a_kill_for_want_of_memory_on_the_whole_machine_is_said_to_be_that";
    if !kernel_tier(test) {
        return;
    }
    if !emulated() {
        return not_here(test); // nobody's machine is filled
    }
    // Two of 1.2G on a machine with 1.5G: one of them goes.
    let script = format!("{SANDTOP} worker fill 1200M --hold & {SANDTOP} worker fill 1200M; kill $!; true");
    let ended = Sandtop::run("-m max --oom-score-adj 1000").sh(&script).go();
    assert_eq!((ended.code, ended.outcome()), (0, "oom_survived"), "{}", ended.err);
    let story = stories(&ended).last().expect("a story");
    assert_eq!((&story["scope"], &story["victim"]["name"]), (&"machine".into(), &"worker".into()), "{story:#}");
    assert!(ended.err.contains("(the whole machine had run out of memory)"), "{}", ended.err);
}

#[test]
fn a_group_kill_is_one_story_that_names_everybody() {
    if !kernel_tier("a_group_kill_is_one_story_that_names_everybody") {
        return;
    }
    // A shell that waits starts nobody while sandtop kills on v1.
    let script =
        format!("sleep 1000 & sleep 1001 & sleep 0.3; {SANDTOP} worker fill 100M --rate 100M; wait; echo alive");
    for _ in 0..times(10) {
        let ended = Sandtop::run("-m 40M --oom group").sh(&script).go();
        assert_eq!((ended.outcome(), ended.out.contains("alive")), ("oom_killed", false), "{}", ended.err);
        let [story] = &stories(&ended)[..] else { panic!("{:#}\n{}", ended.field("stories"), kernels_log()) };
        assert_eq!(story["victim"]["name"], "worker", "{story:#}");
        assert_eq!(story["group_kill"], if is_v2() { "kernel" } else { "sandtop" }, "{story:#}");
        let others = story["others"].as_array().expect("a list");
        let mut names: Vec<&str> = others.iter().filter_map(|other| other["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["sh", "sleep", "sleep"], "{story:#}");
        let repeated = ended.number("oom_kills_repeated");
        // Who dies with the main process before the kernel comes to it is not counted.
        let counted = if is_v2() { 2..=4 } else { 1..=1 };
        assert!(counted.contains(&(ended.number("oom_kills") - repeated)), "{story:#}\n{}", kernels_log());
        for said in ["OOM kill of worker (pid ", " and 3 other processes at ", "oom"] {
            assert!(ended.err.contains(said), "{said}: {}", ended.err);
        }
    }
}

#[test]
fn memory_of_the_kernels_own_is_told_beside_that_of_the_processes() {
    let test = "memory_of_the_kernels_own_is_told_beside_that_of_the_processes";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    if emulated() {
        return not_here(test); // 6.1 kills nobody for it: it is short of memory for the program itself, which thrashes
    }
    // Sockets whose data nobody reads.
    let script = "import socket\nkept=[]\nwhile True:\n a,b=socket.socketpair()\n a.setblocking(False)\n kept.append((a,b))\n try:\n  while True: a.send(bytes(4096))\n except BlockingIOError: pass";
    // The kernel's dump has the numbers of that instant; it prints ten of all groups in five
    // seconds, so that the next may be had.
    let ended = wait_for("a kill with a dump", || {
        let ended = Sandtop::run("-m 40M --pids-limit 50 --timeout 20").cmd(["python3", "-c", script]).go();
        assert_eq!(ended.outcome(), "oom_killed", "{}", ended.err);
        (stories(&ended).last()?["charged"]["source"] == "kernel_log").then_some(ended)
    });
    let story = stories(&ended).last().expect("a story");
    let of = |name: &str| story["charged"][name].as_u64().unwrap_or(0);
    assert!(of("kernel_bytes") > 15 * M, "{story:#}");
    let sum = of("anon_bytes") + of("shmem_bytes") + of("file_bytes") + of("kernel_bytes") + of("sock_bytes");
    let usage = story["before"]["usage_bytes"].as_u64().unwrap();
    assert!(sum.abs_diff(usage) < 3 * M, "each page once: {sum}, {story:#}");
    assert!(ended.err.contains("; the kernel "), "{}", ended.err);
    assert!(!is_v2() || ended.err.contains("sockets"), "{}", ended.err);
}

#[test]
fn shared_memory_that_the_kill_freed_is_not_said_to_be_there_still() {
    let test = "shared_memory_that_the_kill_freed_is_not_said_to_be_there_still";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    if emulated() && !is_v2() && !is_full() {
        return not_here(test); // Python takes half a minute there; it passes under --full
    }
    let fill = "import mmap; m=mmap.mmap(-1, 200<<20)\nfor n in range(0, 200<<20, 4096): m[n]=1";
    let file = "f=open('/dev/shm/x','wb')\nwhile True: f.write(bytes(1<<20)); f.flush()";
    for (program, freed) in [(fill, true), (file, false)] {
        let script = "python3 -c \"$PROGRAM\"; sleep 0.2; true";
        // The kernel's dump has the numbers of that instant; it prints ten of all groups in five seconds, so that the next may be had.
        let ended = wait_for("a kill with a dump", || {
            let ended = to_its_end(|| Sandtop::run("-m 40M").env("PROGRAM", program).sh(script).go());
            (stories(&ended).first()?["charged"]["source"] == "kernel_log").then_some(ended)
        });
        let story = stories(&ended).first().expect("a story");
        let shared = story["shmem_bytes"].as_u64().unwrap();
        let left = story["shmem_left_bytes"].as_u64().unwrap_or_else(|| panic!("{story:#}"));
        assert!(shared > 25 * M, "{story:#}");
        assert_eq!(left < shared / 4, freed, "{story:#}");
        assert_eq!(ended.err.contains("still charged after the kill"), !freed, "{}", ended.err);
        // What it held is told with the part that others may hold as well.
        assert_eq!(ended.err.contains(" of it shared memory"), freed, "{}", ended.err);
    }
}

#[test]
fn what_is_swapped_out_is_a_part_of_what_the_kernel_weighed() {
    let test = "what_is_swapped_out_is_a_part_of_what_the_kernel_weighed";
    if !kernel_tier(test) {
        return;
    }
    if !fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1) {
        return not_here(test);
    }
    let ended = Sandtop::run("-m 40M --memory-swap 60M").cmd([SANDTOP, "worker", "fill", "150M"]).go();
    assert_eq!(ended.outcome(), "oom_killed", "{}", ended.err);
    let story = stories(&ended).last().expect("a story");
    let victim = &story["line"].as_array().unwrap()[0];
    let part = |name: &str| victim[name].as_i64().unwrap();
    assert!(part("swapped_bytes") > 10 << 20, "{story:#}");
    let parts = ["resident_bytes", "swapped_bytes", "page_tables_bytes", "adjusted_bytes", "growth_bytes"].map(part);
    assert_eq!(parts.iter().sum::<i64>(), part("badness_bytes"), "{story:#}");
    assert!(ended.err.contains(" swapped out") && !ended.err.contains("charged elsewhere"), "{}", ended.err);
}

#[test]
fn a_kill_by_systemd_oomd_is_known_by_its_mark() {
    let test = "a_kill_by_systemd_oomd_is_known_by_its_mark";
    if !kernel_tier(test) {
        return;
    }
    if !is_v2() {
        return not_here(test); // oomd works on v2 alone
    }
    let child = Sandtop::run("-m 40M").cmd(["sleep", "1000"]).start();
    let group = child.group();
    // As it does: the mark on the group first, then a SIGKILL for each process of it.
    rustix::fs::setxattr(group.join("leaf"), "user.oomd_ooms", b"1", rustix::fs::XattrFlags::empty()).expect("a mark");
    pids_in(&group)
        .into_iter()
        .for_each(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap());
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (137, "signalled", 0), "{}", ended.err);
    assert!(ended.err.contains("was ended by SIGKILL") && ended.err.contains("by systemd-oomd"), "{}", ended.err);
}

/// What a trial of the classification is, and what must be said of it: the outcome, the kills, and whose limit.
fn trial(n: u64) -> (String, Ended, &'static str, Option<&'static str>) {
    let limit = [1, 2, 3, 4, 8, 16][n as usize / 5 % 6];
    let fill = format!("{SANDTOP} worker fill 100M");
    match n % 5 {
        0 => {
            let ended = Sandtop::run(&format!("-m {limit}M")).sh(&format!("exec {fill}")).go();
            (format!("the main process, {limit}M"), ended, "oom_killed", Some("own"))
        }
        1 => {
            let child = Sandtop::run(&format!("-m {}M", limit + 8)).cmd(["sleep", "1000"]).start();
            let pid = pids_in(&child.group())[0];
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            ("a SIGKILL from outside".into(), child.wait(), "signalled", None)
        }
        2 => {
            let ended = Sandtop::run(&format!("-m {}M", limit + 16)).sh(&format!("{fill}; exit 0")).go();
            (format!("a child, {}M", limit + 16), ended, "oom_survived", Some("own"))
        }
        3 => {
            let ended = Sandtop::run(&format!("-m {}M", limit + 16)).sh(&format!("{fill}; kill -KILL $$")).go();
            ("a child, then a SIGKILL by itself".into(), ended, "signalled", Some("own"))
        }
        _ => {
            let (ended, _) = under_a_limit_above(&format!("{fill}; exit 0"));
            ("a child, for a limit above".into(), ended, "oom_survived", Some("above"))
        }
    }
}

#[test]
fn no_verdict_is_wrong() {
    if !kernel_tier("no_verdict_is_wrong") {
        return;
    }
    let rounds = u64::from(times(100)).max(if emulated() { 5 } else { 15 });
    for n in 0..rounds {
        let (what, ended, outcome, scope) = trial(n);
        assert_eq!(ended.outcome(), outcome, "{n}, {what}: {}", ended.err);
        let told = stories(&ended);
        assert_eq!(ended.number("oom_kills") > 0, scope.is_some(), "{n}, {what}: {}", ended.err);
        assert_eq!(told.is_empty(), scope.is_none(), "{n}, {what}: {told:?}");
        for story in told {
            let found =
                story["scope"].as_str().or_else(|| story["scope"].as_object()?.keys().next().map(String::as_str));
            assert_eq!(found, scope, "{n}, {what}: {story:#}");
        }
        let evidence = ended.field("evidence").as_array().expect("a list");
        assert!(evidence.iter().all(|fact| fact["fact"] != "" && fact["source"] != "") && evidence.len() >= 3);
    }
    println!("{rounds} runs, no wrong verdict");
}
