//! Settings on the real kernel: at launch and live, read back from the kernel's own files; what is lacking says why; and what they do.

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use common::{
    scrape::{PROMETHEUS_READS, exposition, get},
    terminal::Terminal,
    *,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sandtop::{
    event::{Event, OomPolicy},
    record,
};

const M: u64 = 1 << 20;

fn screen(args: &str, command: &[&str]) -> Terminal {
    Terminal::start(Sandtop::with(args).cmd(command).raw(), 140, 45)
}

/// A group's file, trimmed.
fn read(group: &Path, name: &str) -> String {
    fs::read_to_string(group.join(name)).unwrap_or_else(|e| panic!("{name}: {e}")).trim().to_string()
}

/// Where a v1 hierarchy is mounted.
fn root_of(hierarchy: &str) -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let root = mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let controls = back.starts_with("cgroup ") && back.split([',', ' ']).any(|word| word == hierarchy);
        controls.then(|| front.split(' ').nth(4)).flatten()
    });
    root.unwrap_or_else(|| panic!("no {hierarchy} hierarchy")).into()
}

/// The same sandbox's group in another v1 hierarchy; on v2 there is one group for all.
fn beside(group: &Path, hierarchy: &str) -> PathBuf {
    if is_v2() {
        return group.to_path_buf();
    }
    let name = group.file_name().expect("a name");
    let sandboxes = root_of(hierarchy).join("sandtop");
    let ours = |entry: &fs::DirEntry| pids_of(entry.file_name().to_str()) == pids_of(name.to_str());
    let found = fs::read_dir(&sandboxes).expect("groups").flatten().find(ours);
    found.unwrap_or_else(|| panic!("no group in {}", sandboxes.display())).path()
}

/// Whose group it is, by its name.
fn pids_of(name: Option<&str>) -> String {
    name.and_then(|name| name.split('-').next()).unwrap_or("").to_string()
}

/// CPU time as the kernel has it: microseconds in each tenth of a second.
fn cpu_quota(group: &Path) -> String {
    let group = beside(group, "cpu");
    match is_v2() {
        true => read(&group, "cpu.max"),
        false => format!("{} {}", read(&group, "cpu.cfs_quota_us"), read(&group, "cpu.cfs_period_us")),
    }
}

fn reservation(group: &Path) -> String {
    read(group, if is_v2() { "memory.low" } else { "memory.soft_limit_in_bytes" })
}

/// How much may be swapped out, `None` where that is not counted.
fn swap_limit(group: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    match is_v2() {
        true => number("memory.swap.max"),
        false => Some(number("memory.memsw.limit_in_bytes")? - number("memory.limit_in_bytes")?),
    }
}

/// Types a value for a setting on the panel, which is open.
fn set(t: &mut Terminal, name: &str, text: &str) {
    t.choose_setting(name);
    t.keys("\r");
    t.wait("a line", |s| s.contains("│ › "));
    t.keys(&format!("\x15{text}\r"));
    t.wait("the line gone", |s| !s.contains("│ › "));
}

fn open(t: &mut Terminal) {
    t.wait_text("running");
    t.keys("s");
    t.wait_text("┌ settings");
    t.wait("the settings read", |s| !s.contains("Not read yet") && (s.contains("goes on") || !can_freeze()));
}

/// Closes what is open. Another key at once would be one with Alt.
fn close(t: &mut Terminal) {
    if t.text().contains("┌ ") {
        t.keys("\x1b");
        t.wait("the popup gone", |s| !s.contains("┌ "));
    }
}

fn end(mut t: Terminal) {
    close(&mut t);
    t.keys("q");
    t.wait_text("End it, and quit?");
    t.keys("y");
    assert_eq!(t.end(), 143);
}

#[test]
fn what_is_asked_for_at_launch_is_what_the_kernel_has() {
    if !kernel_tier("what_is_asked_for_at_launch_is_what_the_kernel_has") {
        return;
    }
    let policy = "group";
    let options =
        "-m 64M --memory-swap 96M --memory-reservation 48M --cpus 0.5 --pids-limit 40 --oom-score-adj 300 --oom";
    let child = Sandtop::run(&format!("{options} {policy}")).cmd(["sleep", "1000"]).start();
    let group = child.group();
    assert_eq!(reservation(&group), (48 * M).to_string());
    let cpu = cpu_quota(&group);
    assert_eq!(cpu, "50000 100000");
    assert_eq!(read(&beside(&group, "pids"), "pids.max"), "40");
    assert!(swap_limit(&group).is_none_or(|swap| swap == 32 * M), "{:?}", swap_limit(&group));
    let process = PathBuf::from(format!("/proc/{}", pids_in(&group)[0]));
    wait_for("its score", || (read(&process, "oom_score_adj") == "300").then_some(()));
    if is_v2() {
        assert_eq!(read(&group, "memory.oom.group"), "1");
    }
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    let asked = ended.field("settings_asked");
    let expected = serde_json::json!({
        "oom": policy, "soft_limit": null, "reservation": 48 * M, "swappiness": null, "pids_limit": 40, "cpus": 0.5,
        "oom_score_adj": 300
    });
    assert_eq!(asked, &expected);
    assert!(!group.exists());
}

#[test]
fn settings_move_live_and_the_kernel_follows() {
    if !kernel_tier("settings_move_live_and_the_kernel_follows") {
        return;
    }
    let mut t = screen("-m 100M --pids-limit 64 --cpus max", &["sleep", "1000"]);
    open(&mut t);
    let group = made_group(t.sandtop());
    set(&mut t, "reservation", "48M");
    wait_for("the reservation", || (reservation(&group) == (48 * M).to_string()).then_some(()));
    if is_v2() {
        set(&mut t, "soft limit", "60M");
        wait_for("the soft limit", || (read(&group, "memory.high") == (60 * M).to_string()).then_some(()));
    } else {
        t.choose_setting("soft limit");
        t.wait_text("cgroup v1 has no memory.high");
    }
    set(&mut t, "pids limit", "32");
    wait_for("the pids limit", || (read(&beside(&group, "pids"), "pids.max") == "32").then_some(()));
    set(&mut t, "CPU time", "1.5");
    wait_for("the CPU quota", || (cpu_quota(&group) == "150000 100000").then_some(()));
    t.wait("all of it on the panel", |s| s.contains("48M") && s.contains("1.5 CPUs"));
    // What the panel says is what the kernel was found to have.
    if is_v2() {
        t.choose_setting("swappiness");
        t.wait_text("cgroup v2 has no swappiness for a group");
    } else {
        set(&mut t, "swappiness", "30");
        wait_for("swappiness", || (read(&group, "memory.swappiness") == "30").then_some(()));
        assert_eq!(read(&group, "leaf/memory.swappiness"), "30", "v1 reclaims by the task's own group");
        set(&mut t, "swappiness", "0");
    }
    if swap_limit(&group).is_some() {
        set(&mut t, "swap limit", "20M");
        wait_for("the swap limit", || (swap_limit(&group)? == 20 * M).then_some(()));
        set(&mut t, "swap limit", "none");
        wait_for("no swap", || match is_v2() {
            true => (swap_limit(&group)? == 0).then_some(()),
            false => (read(&group, "memory.swappiness") == "0").then_some(()),
        });
    }
    // A typing error is told while it is typed, and does nothing.
    t.choose_setting("pids limit");
    t.keys("\r\x15many\r");
    t.wait_text("is no number of processes");
    t.keys("\x1b");
    t.wait("the line gone", |s| !s.contains("│ › "));
    assert_eq!(read(&beside(&group, "pids"), "pids.max"), "32");
    t.choose_setting("out of memory");
    t.keys("\r");
    t.wait("the whole group", |s| s.lines().any(|l| l.contains("▸ out of memory") && l.contains("group")));
    if is_v2() {
        wait_for("memory.oom.group", || (read(&group, "memory.oom.group") == "1").then_some(()));
    }
    close(&mut t);
    for said in ["reservation 48M, by you", "at most 32 processes and threads, by you", "CPU time of 1.5 CPUs, by you"]
    {
        t.wait_text(said);
    }
    end(t);
    assert!(!group.exists());
}

#[test]
fn a_group_that_was_not_joined_is_greyed_and_the_next_run_has_it() {
    if !kernel_tier("a_group_that_was_not_joined_is_greyed_and_the_next_run_has_it") {
        return;
    }
    let mut t = screen("-m 100M", &["sleep", "1000"]);
    open(&mut t);
    t.choose_setting("pids limit");
    if is_v2() {
        t.wait("a pids limit", |s| s.lines().any(|l| l.contains("▸ pids limit") && l.contains("max")));
    } else {
        t.wait_text("run it with --pids-limit max");
        t.keys("\r");
    }
    close(&mut t);
    t.keys("KK"); // asked, and meant
    t.wait_ended();
    t.keys("s");
    t.wait_text("┌ settings");
    t.choose_setting("reclaim now");
    t.wait_text("Nothing runs that it could be done to");
    set(&mut t, "pids limit", "17");
    t.wait_text("→ 17 (next run)");
    close(&mut t);
    t.keys("r");
    t.wait_text("run 2");
    t.wait_text("running");
    let group = made_group(t.sandtop());
    assert_eq!(read(&beside(&group, "pids"), "pids.max"), "17");
    end(t);
}

#[test]
fn what_somebody_else_changes_is_said_to_be_his() {
    if !kernel_tier("what_somebody_else_changes_is_said_to_be_his") {
        return;
    }
    let mut t = screen("-m 100M --pids-limit 64", &["sleep", "1000"]);
    open(&mut t);
    let group = made_group(t.sandtop());
    set(&mut t, "reservation", "50M");
    close(&mut t);
    t.wait_text("reservation 50M, by you");
    fs::write(beside(&group, "pids").join("pids.max"), "9").unwrap();
    t.wait_text("the pids limit is 9 now: something else changed it");
    let file = if is_v2() { "memory.low" } else { "memory.soft_limit_in_bytes" };
    fs::write(group.join(file), (30 * M).to_string()).unwrap();
    t.wait_text("the reservation is 30M now: something else changed it");
    assert_eq!(t.text().matches("something else").count(), 2, "ours is told as ours:\n{}", t.text());
    end(t);
}

#[test]
fn frozen_it_stands_still_and_thawed_it_goes_on() {
    if !kernel_tier("frozen_it_stands_still_and_thawed_it_goes_on") {
        return;
    }
    let mut t = screen("-m 100M", &["sh", "-c", "while :; do sleep 0.05; done"]);
    open(&mut t);
    let group = made_group(t.sandtop());
    t.choose_setting("freeze");
    if !can_freeze() {
        t.wait_text("no cgroup v2");
        close(&mut t);
        return end(t);
    }
    t.keys("\r");
    wait_for("frozen", || is_frozen(&group).then_some(()));
    t.wait("it said so", |s| {
        s.contains("‖ frozen") && s.lines().any(|l| l.contains("▸ freeze") && l.contains("frozen"))
    });
    t.keys("\r");
    wait_for("thawed", || (!is_frozen(&group)).then_some(()));
    t.wait_text("● running");
    close(&mut t);
    t.wait_text("frozen, by you");
    t.wait_text("not frozen any more, by you");
    assert!(!t.text().contains("something else"), "{}", t.text());
    end(t);
}

#[test]
fn reclaim_drops_the_cache_and_nothing_else() {
    if !kernel_tier("reclaim_drops_the_cache_and_nothing_else") {
        return;
    }
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap(); // where /tmp is a tmpfs, what is in it cannot go
    // Written and on the disk, then read: clean cache, which can go.
    let script = format!(
        "dd if=/dev/zero of={0} bs=1M count=40 conv=fsync 2>/dev/null; cat {0} >/dev/null; {SANDTOP} worker fill 10M --hold",
        file.path().display()
    );
    let mut t = screen("-m 200M", &["sh", "-c", &script]);
    let group = made_group(t.sandtop());
    let usage = |group: &Path| number(group, if is_v2() { "memory.current" } else { "memory.usage_in_bytes" });
    wait_for("cache and memory", || (usage(&group) > 48 * M && pids_in(&group).len() == 2).then_some(()));
    open(&mut t);
    t.choose_setting("reclaim now");
    let lacks = is_v2() && !group.join("memory.reclaim").exists();
    if lacks {
        t.wait_text("memory.reclaim came with 5.19");
        end(t);
        return not_here("reclaim_drops_the_cache_and_nothing_else");
    }
    t.keys("\r");
    if is_v2() {
        t.wait("a line", |s| s.contains("│ › max"));
        t.keys("\r");
    }
    wait_for("the cache gone", || (usage(&group) < 24 * M).then_some(()));
    assert!(usage(&group) >= 10 * M, "what is held cannot go without swap");
    close(&mut t);
    t.wait_text("all was given back that could be, by you");
    end(t);
}

#[test]
fn a_pids_limit_makes_a_fork_fail() {
    if !kernel_tier("a_pids_limit_makes_a_fork_fail") {
        return;
    }
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all";
    let dir = tempfile::tempdir().unwrap();
    let [junit, summary, recording] = ["x.xml", "x.md", "x.jsonl"].map(|name| dir.path().join(name));
    let outputs = format!(
        "--pids-limit 5 --junit {} --summary {} --record {}",
        junit.display(),
        summary.display(),
        recording.display()
    );
    let ended = Sandtop::run(&outputs).sh(script).go();
    assert!(ended.code != 0 && !ended.out.contains("all"), "{} {}", ended.code, ended.out);
    assert!(ended.err.contains("fork"), "{}", ended.err);
    assert_eq!(ended.field("settings_asked")["pids_limit"], 5);
    // It is told in every output, and as the sandbox's own.
    let met = ended.field("other_limits");
    assert!(met["pids_refused"].as_u64() > Some(0) && met["pids_refused"] == met["pids_refused_own"], "{met:#}");
    assert_eq!((&met["pids_limit"], &met["pids_peak"]), (&5.into(), &5.into()), "{met:#}");
    let report = Sandtop::with(&format!("report {} --format md -o -", recording.display())).go().out;
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    for told in [ended.err.clone(), text(&junit), text(&summary), report] {
        assert!(told.contains("the limit of 5 processes and threads was met"), "{told}");
    }
    let ended = Sandtop::run("--pids-limit 50").sh(script).go();
    assert_eq!((ended.code, ended.out.trim()), (0, "all"), "{}", ended.err);
    assert_eq!(ended.field("other_limits")["pids_refused"], 0);
    assert!(!ended.err.contains("was met"), "{}", ended.err);
}

#[test]
fn a_limit_of_processes_above_is_not_called_the_sandboxes_own() {
    let test = "a_limit_of_processes_above_is_not_called_the_sandboxes_own";
    if !kernel_tier(test) {
        return;
    }
    if !is_v2() {
        return not_here(test); // there the group for processes lies in a hierarchy of its own
    }
    let parent = ParentGroup::create("pids");
    fs::write(parent.dir.join("pids.max"), "6").unwrap();
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all";
    let ended = Sandtop::run(&format!("--pids-limit 50 {}", parent.option())).sh(script).go();
    assert!(ended.code != 0 && !ended.out.contains("all"), "{} {}", ended.code, ended.out);
    let met = ended.field("other_limits");
    assert_eq!(met["pids_refused_own"], 0, "{met:#}");
    // From 6.12 on the kernel counts in the group whose limit it was, which is not the sandbox's.
    let counted_in_the_leaf = !parent.dir.join("pids.events.local").exists();
    let said = ended.err.contains("a limit of processes, ours or one above, was met");
    assert_eq!((met["pids_refused"].as_u64() > Some(0), said), (counted_in_the_leaf, counted_in_the_leaf), "{met:#}");
}

#[test]
fn a_soft_limit_that_slows_a_workload_down_is_named() {
    let test = "a_soft_limit_that_slows_a_workload_down_is_named";
    if !kernel_tier(test) {
        return;
    }
    if !is_v2() {
        let refused = Sandtop::with("run --memory-high 40M true").go();
        assert_eq!(refused.code, 125);
        assert!(refused.err.contains("cgroup v1 has no memory.high"), "{}", refused.err);
        return;
    }
    // 80M do not fit: each page above the soft limit is waited for, and nobody is killed.
    let child = Sandtop::run("-m 200M --memory-high 40M").worker("fill 80M").start();
    let group = child.group();
    let events = || fs::read_to_string(group.join("memory.events")).unwrap_or_default();
    let high = |text: String| text.lines().find_map(|line| line.strip_prefix("high ")?.parse::<u64>().ok());
    wait_for("charges above the soft limit", || high(events()).filter(|n| *n > 20));
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    let met = ended.field("other_limits");
    assert!(met["soft_limit_hits"].as_u64() > Some(20), "{met:#}");
    assert_eq!(met["soft_limit_bytes"], 40 * M, "{met:#}");
    assert!(met["soft_limit_waited_seconds"].as_f64() > Some(0.0), "{met:#}");
    assert!(ended.err.contains("slowed down by its soft limit of 40M: "), "{}", ended.err);
    let told = ended.field("events").as_array().unwrap().iter().any(|event| event["kind"] == "soft_limit_met");
    assert!(told, "{:#}", ended.field("events"));
}

#[test]
fn a_pause_at_the_brink_is_not_told_as_a_soft_limit() {
    let test = "a_pause_at_the_brink_is_not_told_as_a_soft_limit";
    if !kernel_tier(test) || !can_freeze() {
        return;
    }
    let child = Sandtop::run("-m 64M --oom pause").worker("fill 80M").start();
    let group = child.group();
    wait_for("the pause", || is_frozen(&group).then_some(()));
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    assert_eq!(ended.field("other_limits")["soft_limit_hits"].as_u64().unwrap_or(0), 0);
    assert!(!ended.err.contains("soft limit"), "{}", ended.err);
}

#[test]
fn a_cpu_quota_throttles_who_spins() {
    if !kernel_tier("a_cpu_quota_throttles_who_spins") {
        return;
    }
    let child = Sandtop::run("--cpus 0.2").sh("while :; do :; done").start();
    let group = child.group();
    let stat = beside(&group, "cpu").join("cpu.stat");
    let throttled = |text: &str| text.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse::<u64>().ok());
    let times = wait_for("throttled", || throttled(&fs::read_to_string(&stat).ok()?).filter(|n| *n > 2));
    println!("throttled {times} times");
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    assert_eq!(ended.field("settings")["cpu"], "20000 100000");
    let met = ended.field("other_limits");
    assert!(met["cpu_throttled"].as_u64() >= Some(times), "{met:#}");
    assert!(met["cpu_throttled_seconds"].as_f64() > Some(0.0), "{met:#}");
    assert!(ended.err.contains("its CPU quota was used up"), "{}", ended.err);
}

/// Whether the kernel lets the calling thread into a group of v1's cpu controller: with CONFIG_RT_GROUP_SCHED no real-time one.
fn may_join_cpu_group() -> bool {
    let (root, me) = (root_of("cpu"), nix::unistd::gettid().to_string());
    let probe = root.join(format!("probe-{me}"));
    fs::create_dir(&probe).unwrap();
    let joined = fs::write(probe.join("tasks"), &me).is_ok();
    if joined {
        fs::write(root.join("tasks"), &me).unwrap();
    }
    fs::remove_dir(&probe).unwrap();
    joined
}

#[test]
fn a_cpu_quota_that_a_real_time_process_cannot_be_held_to_ends_the_run_before_it_starts() {
    let test = "a_cpu_quota_that_a_real_time_process_cannot_be_held_to_ends_the_run_before_it_starts";
    if !kernel_tier(test) {
        return;
    }
    if is_v2() {
        return not_here(test);
    }
    // What this thread starts inherits how it is scheduled.
    let me = nix::unistd::gettid().to_string();
    let schedule = |how: [&str; 3]| std::process::Command::new("chrt").args(how).arg(&me).status();
    if !schedule(["-f", "-p", "1"]).is_ok_and(|status| status.success()) || may_join_cpu_group() {
        let _ = schedule(["-o", "-p", "0"]);
        return not_here(test);
    }
    let [with, without] = ["--cpus 0.5", "--pids-limit 50"].map(|options| Sandtop::run(options).sh("echo ran").go());
    assert!(schedule(["-o", "-p", "0"]).unwrap().success());
    assert_eq!((with.code, with.out.as_str()), (125, ""), "{}", with.err);
    assert!(with.err.contains("cannot join the groups of its other limits"), "{}", with.err);
    assert!(with.err.contains("real-time"), "{}", with.err);
    assert_eq!((without.code, without.out.as_str()), (0, "ran\n"), "{}", without.err);
}

#[test]
fn oom_score_adj_decides_who_is_taken() {
    let test = "oom_score_adj_decides_who_is_taken";
    if !kernel_tier(test) {
        return;
    }
    if emulated() {
        return not_here(test); // the table of a machine so slow shows the workers too late to be chosen in time
    }
    // The small one is taken first, though the other holds three times as much.
    let script = format!("{SANDTOP} worker fill 20M --hold & {SANDTOP} worker fill 60M --hold & wait; wait");
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut t = screen(&format!("-m 100M --record {}", file.path().display()), &["sh", "-c", &script]);
    t.wait("both full", |s| s.lines().any(|l| l.contains(" usage ") && l.contains("8") && l.contains("anon")));
    let group = made_group(t.sandtop());
    let resident = |pid: i32| {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
    };
    let small = wait_for("the small one", || {
        let big_is_there = pids_in(&group).into_iter().any(|pid| resident(pid).is_some_and(|rss| rss > 60 * M));
        let small =
            pids_in(&group).into_iter().find(|pid| resident(*pid).is_some_and(|rss| (20 * M..40 * M).contains(&rss)));
        small.filter(|_| big_is_there)
    });
    // Down to its row: sh, then the small worker (the tree is in the order of pids).
    t.keys("jj");
    t.wait("the cursor on a worker", |s| s.lines().any(|l| l.starts_with('▸') && l.contains("└─")));
    t.keys("o");
    t.wait_text("┌ oom_score_adj");
    t.wait_text("0 now");
    t.keys("\x15100x");
    t.wait_text("is no oom_score_adj");
    t.keys("\x151000\r");
    t.wait_text("oom_score_adj 1000 for worker");
    let adj = read(Path::new(&format!("/proc/{small}")), "oom_score_adj");
    assert_eq!(adj, "1000");
    // A limit that does not hold both: on v2 by a lower limit, on v1, which refuses that, by one more who needs room.
    if is_v2() {
        set_limit(&group, 70 * M);
    } else {
        set_limit(&group, 84 * M);
        let filler = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("echo $$ > {}/leaf/cgroup.procs; exec {SANDTOP} worker fill 10M", group.display()))
            .status()
            .expect("a filler");
        println!("the filler: {filler}");
    }
    // The kernel may take another one while the first one's memory is on its way back: who was first is what counts.
    t.wait("a kill in the log", |s| s.contains("OOM kill: ") || s.contains("OOM kills, the last"));
    kill(Pid::from_raw(t.sandtop()), Signal::SIGTERM).expect("a signal");
    t.end();
    let recording = record::read(file.path()).unwrap_or_else(|e| panic!("{e}"));
    let victims = recording.events.iter().filter_map(|stamped| match &stamped.event {
        Event::Victim(victim) => Some(victim.host_pid),
        _ => None,
    });
    let victims: Vec<i32> = victims.collect();
    assert_eq!(victims.first(), Some(&small), "{victims:?}");
}

#[test]
fn a_stopped_process_shows_it_and_goes_on_and_ends_by_signals_from_the_screen() {
    if !kernel_tier("a_stopped_process_shows_it_and_goes_on_and_ends_by_signals_from_the_screen") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let args = format!("-m 100M --record {}", file.path().display());
    let mut t = screen(&args, &["sh", "-c", "sleep 1000 & sleep 2000 & wait; wait"]);
    t.wait("three processes", |s| s.contains("processes 3"));
    let group = made_group(t.sandtop());
    let state = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    };
    let command = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let sleeper =
        wait_for("the first sleeper", || pids_in(&group).into_iter().find(|pid| command(*pid) == "sleep\x001000\x00"));
    t.keys("jj");
    t.wait("the cursor on it", |s| s.lines().any(|l| l.starts_with('▸') && l.contains("sleep 1000")));
    // Choose STOP, say no, and nothing is sent; say yes, and it is.
    t.keys("xjj\r");
    t.wait_text("Send SIGSTOP to sleep (pid ");
    t.keys("n");
    t.wait_text("asks it to end");
    assert_ne!(state(sleeper), Some('T'));
    t.keys("\r");
    t.wait_text("Send SIGSTOP to sleep (pid ");
    t.keys("y");
    wait_for("state T", || (state(sleeper) == Some('T')).then_some(()));
    t.wait_text("SIGSTOP sent to sleep (pid ");
    // It stays stopped, and goes on when it is told to.
    t.keys("xjjj\r");
    t.wait_text("Send SIGCONT");
    assert_eq!(state(sleeper), Some('T'));
    t.keys("y");
    wait_for("it goes on", || state(sleeper).filter(|state| *state != 'T'));
    // All at once.
    t.keys("x\tjj\r");
    t.wait_text("Send SIGSTOP to all 3 processes?");
    t.keys("y");
    wait_for("all stopped", || pids_in(&group).into_iter().all(|pid| state(pid) == Some('T')).then_some(()));
    t.wait_text("SIGSTOP sent to 3 processes, by you");
    t.keys("x\tjjj\ry");
    wait_for("all going on", || pids_in(&group).into_iter().all(|pid| state(pid) != Some('T')).then_some(()));
    t.keys("x\r");
    t.wait_text("Send SIGTERM to sleep (pid ");
    t.keys("y");
    wait_for("its end", || (!pids_in(&group).contains(&sleeper)).then_some(()));
    t.wait_text("SIGTERM sent to sleep (pid ");
    t.wait("two processes", |s| s.contains("processes 2"));
    // Kill all: the run ends, and by the user.
    t.keys("x\tj\r");
    t.wait_text("The run ends.");
    t.keys("y");
    t.wait_ended();
    t.wait_text("by you");
    t.keys("q");
    assert_eq!(t.end(), 137);
    let states = states_of(file.path(), sleeper);
    assert!(states.contains(&'T'), "the recording has its state: {states:?}");
}

/// The states that a process was recorded in.
fn states_of(path: &Path, host_pid: i32) -> Vec<char> {
    let recording = record::read(path).unwrap_or_else(|e| panic!("{e}"));
    let changed = recording.events.iter().filter_map(|stamped| match &stamped.event {
        Event::Processes(changes) => changes.changed.iter().find(|(pid, _)| *pid == host_pid).map(|(_, u)| u.state),
        _ => None,
    });
    changed.collect()
}

/// Where a process listens on this machine alone.
fn metrics_of(options: &str, script: &str) -> (Terminal, SocketAddr) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let t = screen(&format!("--metrics {port} {options}"), &["sh", "-c", script]);
    (t, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn no_count_falls_whoever_sets_counters_back() {
    if !kernel_tier("no_count_falls_whoever_sets_counters_back") {
        return;
    }
    // Writes through the limit all the time: hits, and nobody dies, where the file is on a disk.
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let script = format!(
        "{SANDTOP} worker fill 200M; while :; do dd if=/dev/zero of={} bs=1M count=60 2>/dev/null; done",
        file.path().display()
    );
    let (mut t, address) = metrics_of("-m 30M", &script);
    let group = made_group(t.sandtop());
    let mut last = Counts::default();
    let mut watch = |until: &mut dyn FnMut(&Counts) -> bool| {
        wait_for("the counts", || {
            let now = Counts::read(address)?;
            assert!(now.least_of(&last) == last, "something fell: {last:?}, then {now:?}");
            last = now.clone();
            until(&now).then_some(now)
        })
    };
    let before = watch(&mut |now| now.kills >= 1 && now.hits > 20 && now.metric_hits > 20.0);
    for _ in 0..times(10) {
        open_counters(&mut t);
        let reset = watch(&mut |_| true);
        watch(&mut |now| now.hits > reset.hits + 5);
        if !is_v2() {
            // Somebody else sets the kernel's own counter back.
            fs::write(group.join("memory.failcnt"), "0").unwrap();
            let reset = watch(&mut |_| true);
            watch(&mut |now| now.hits > reset.hits + 5);
        }
    }
    let after = watch(&mut |_| true);
    assert!(after.hits > before.hits && after.kills >= before.kills && after.peak >= before.peak, "{after:?}");
    // The screen counts from the reset, and says so; the kill was before it.
    t.wait("counts since then", |s| s.lines().any(|l| l.contains("OOM kills 0") && l.contains("since 0:")));
    end(t);
}

/// Resets the counters from the panel.
fn open_counters(t: &mut Terminal) {
    open(t);
    t.choose_setting("reset counters");
    t.keys("\r");
    t.wait("since then", |s| s.lines().any(|l| l.contains("▸ reset counters") && l.contains("since 0:")));
    close(t);
}

/// What must never fall.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    hits: u64,
    kills: u64,
    peak: u64,
    metric_hits: f64,
    metric_kills: f64,
}

impl Counts {
    fn read(address: SocketAddr) -> Option<Counts> {
        let json = get(address, "/result.json", "").ok().filter(|answer| answer.status == 200)?.body;
        let json: serde_json::Value = serde_json::from_str(&json).ok()?;
        let metrics = exposition(&get(address, "/metrics", PROMETHEUS_READS).ok()?.body, true);
        Some(Counts {
            hits: json["limit_hits"].as_u64()?,
            kills: json["oom_kills"].as_u64()?,
            peak: json["highest_bytes"].as_u64()?,
            metric_hits: metrics.value("sandtop_limit_hits_total")?,
            metric_kills: metrics.value("sandtop_oom_kills_total")?,
        })
    }

    fn least_of(&self, other: &Counts) -> Counts {
        Counts {
            hits: self.hits.min(other.hits),
            kills: self.kills.min(other.kills),
            peak: self.peak.min(other.peak),
            metric_hits: self.metric_hits.min(other.metric_hits),
            metric_kills: self.metric_kills.min(other.metric_kills),
        }
    }
}

#[test]
fn a_run_is_told_again_with_its_settings() {
    if !kernel_tier("a_run_is_told_again_with_its_settings") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.jsonl");
    let asked = "--memory-reservation 48M --pids-limit 40 --cpus 1.5 --oom-score-adj 300";
    let ended = Sandtop::run(&format!("-m 64M {asked} --record {}", file.display())).cmd(["true"]).go();
    assert_eq!(ended.code, 0, "{}", ended.err);
    let report = |args: &str| Sandtop::with(&format!("report {args} {}", file.display())).go().out;
    let again = report("-o - --format md");
    assert!(again.contains(&format!("sandtop run -m 64M {asked} -- true")), "{again}");
    let docker = report("--for docker");
    assert!(docker.contains("--pids-limit 40 --cpus 1.5 --oom-score-adj 300 IMAGE true"), "{docker}");
    let systemd = report("--for systemd");
    for word in ["TasksMax=40\n", "CPUQuota=150%\n", "OOMScoreAdjust=300\n"] {
        assert!(systemd.contains(word), "{word}: {systemd}");
    }
    assert_eq!(systemd.contains("MemoryLow=48M\n"), is_v2(), "{systemd}");
    assert!(docker.contains("--memory-reservation 48m"), "{docker}");
    let started = record::read(&file).unwrap().events.into_iter().find_map(|stamped| match stamped.event {
        Event::Started(started) => Some(started),
        _ => None,
    });
    assert_eq!(started.map(|started| (started.oom, started.oom_score_adj)), Some((OomPolicy::Kill, Some(300))));
}
