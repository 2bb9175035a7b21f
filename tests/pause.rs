//! What happens when memory runs out: a pause at the brink that nobody dies of, and kills that take the whole workload.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use common::{terminal::Terminal, *};
use nix::sys::signal::Signal;

const M: u64 = 1 << 20;

fn is_stopped(group: &Path) -> bool {
    let asleep = fs::read_to_string(group.join("memory.oom_control")).unwrap_or_default();
    is_frozen(group) || asleep.contains("under_oom 1")
}

/// A worker that fills more than it may, and has been paused.
fn paused(options: &str, work: &str) -> (Child, PathBuf) {
    let child = Sandtop::run(&format!("--oom pause {options}")).worker(work).start();
    let group = child.group();
    wait_for("the pause", || is_stopped(&group).then_some(()));
    (child, group)
}

/// How fast a worker is to fill: an emulated machine cannot do as much.
fn rate() -> &'static str {
    if emulated() { "100M" } else { "500M" }
}

fn pauses(ended: &Ended) -> &Vec<serde_json::Value> {
    ended.field("pauses").as_array().expect("a list")
}

#[test]
fn a_worker_is_paused_at_the_brink_and_goes_on_to_its_end_when_the_limit_is_raised() {
    if !kernel_tier("a_worker_is_paused_at_the_brink_and_goes_on_to_its_end_when_the_limit_is_raised") {
        return;
    }
    let (mut at_limit, mut highest) = (0, 0);
    let rounds = times(20);
    for _ in 0..rounds {
        let (child, group) = paused("-m 128M", &format!("fill 200M --rate {} --check", rate()));
        assert_eq!(oom_kills(&group), 0);
        set_limit(&group, 256 * M); // as somebody without a screen is told to
        let ended = child.wait();
        assert_eq!((ended.code, ended.outcome()), (0, "exited"), "{}", ended.err);
        assert!(ended.out.contains(", right"), "the checksum: {}", ended.out);
        assert_eq!((ended.number("oom_kills"), ended.field("oom_policy").as_str()), (0, Some("pause")));
        let pause = pauses(&ended).first().expect("a pause");
        assert_eq!((pause["resumed_by"].as_str(), pause["limit"].as_u64()), (Some("room"), Some(128 * M)), "{pause}");
        assert!(pause["unreclaimable_bytes"].as_u64() >= Some(112 * M), "{pause}");
        assert!(pause["until_seconds"].as_f64() > pause["at_seconds"].as_f64(), "{pause}");
        assert!(ended.err.contains("paused at the ") && ended.err.contains("kill -USR1"), "{}", ended.err);
        at_limit += u32::from(pause["at_limit"] == true);
        highest = highest.max(pause["usage_bytes"].as_u64().expect("a number"));
    }
    println!("{rounds} of {rounds} paused, {at_limit} at the limit itself; the highest usage was {} MiB", highest / M);
}

#[test]
fn each_limit_has_its_own_brink_to_be_paused_at() {
    if !kernel_tier("each_limit_has_its_own_brink_to_be_paused_at") {
        return;
    }
    let total = procfs_total();
    for (limit, headroom) in [(16, 4), (32, 8), (128, 16), (1024, 16)] {
        if limit * M * 2 > total {
            println!("SKIPPED a limit of {limit}M: this machine has {} MiB", total / M);
            continue;
        }
        let work = format!("fill {}M --rate {} --check", limit * 3 / 2, rate());
        let (child, group) = paused(&format!("-m {limit}M"), &work);
        set_limit(&group, 3 * limit * M);
        let ended = child.wait();
        assert_eq!((ended.code, ended.number("oom_kills")), (0, 0), "{limit}M: {}", ended.err);
        assert!(ended.out.contains(", right"), "{limit}M: {}", ended.out);
        let pause = pauses(&ended).first().expect("a pause");
        assert!(pause["unreclaimable_bytes"].as_u64() >= Some((limit - headroom) * M), "{limit}M: {pause}");
        println!("{limit}M: {pause}");
    }
}

fn procfs_total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn what_only_fills_the_cache_is_never_paused() {
    if !kernel_tier("what_only_fills_the_cache_is_never_paused") {
        return;
    }
    // Beside the program itself: on a real disk, and not in memory.
    let dir = tempfile::tempdir_in(Path::new(SANDTOP).parent().unwrap()).unwrap();
    let (limit, mib) = if emulated() { ("32M", 100) } else { ("128M", 1024) };
    let file = dir.path().join("f");
    let (of, count) = (format!("of={}", file.display()), format!("count={mib}"));
    let written =
        Sandtop::run(&format!("-m {limit} --oom pause")).cmd(["dd", "if=/dev/zero", &of, "bs=1M", &count]).go();
    let input = format!("if={}", file.display());
    let read = Sandtop::run(&format!("-m {limit} --oom pause")).cmd(["dd", &input, "of=/dev/null", "bs=1M"]).go();
    for (how, ended) in [("written", written), ("read", read)] {
        assert_eq!((ended.code, ended.number("oom_kills")), (0, 0), "{how}: {}", ended.err);
        assert_eq!(pauses(&ended), &Vec::<serde_json::Value>::new(), "{how}");
        println!("{how}: {} limit hits, peak {} MiB", ended.number("limit_hits"), ended.number("highest_bytes") / M);
    }
}

#[test]
fn a_paused_workload_is_ended_by_a_signal_a_timeout_or_a_kill() {
    if !kernel_tier("a_paused_workload_is_ended_by_a_signal_a_timeout_or_a_kill") {
        return;
    }
    let work = "fill 200M --rate 400M";
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let (child, group) = paused("-m 64M", work);
        child.signal(signal);
        let ended = child.wait();
        assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (code, "stopped_by_user", 0));
        assert_eq!(pauses(&ended)[0]["resumed_by"], "ending", "who is stopped heeds nothing");
        assert!(!group.exists());
    }
    let ended = Sandtop::run("-m 64M --oom pause --timeout 2").worker(work).go();
    assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (124, "timed_out", 0), "{}", ended.err);
    assert_eq!(pauses(&ended).len(), 1);
    // A signal that lets it go on and comes when it goes on already, or before, is nobody else's.
    let (child, group) = paused("-m 64M", "fill 80M --rate 400M --hold");
    set_limit(&group, 128 * M);
    wait_for("it goes on", || (!is_stopped(&group)).then_some(()));
    child.signal(Signal::SIGUSR1);
    child.signal(Signal::SIGTERM);
    assert_eq!(child.wait().code, 143);
    // Let go, it is killed by the limit, as without a pause.
    let (child, _) = paused("-m 64M", work);
    child.signal(Signal::SIGUSR1);
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (137, "oom_killed", 1), "{}", ended.err);
    assert_eq!(
        (&pauses(&ended)[0]["resumed_by"], ended.field("oom_policy").as_str()),
        (&"policy".into(), Some("kill"))
    );
}

#[test]
fn a_killed_sandtop_leaves_nothing_of_a_paused_workload() {
    if !kernel_tier("a_killed_sandtop_leaves_nothing_of_a_paused_workload") {
        return;
    }
    let mut slowest = Duration::ZERO;
    let rounds = times(20);
    for _ in 0..rounds {
        let script = format!("setsid sleep 1000 & (sleep 1001 &) ; exec {SANDTOP} worker fill 200M --rate 500M");
        let child = Sandtop::with("run --no-keep -m 128M --oom pause").sh(&script).start();
        let group = child.group();
        wait_for("the pause", || is_stopped(&group).then_some(()));
        let pids = pids_in(&group);
        assert!(pids.len() >= 3, "{pids:?}");
        child.signal(Signal::SIGKILL);
        let killed = Instant::now();
        wait_until(Duration::from_secs(5), || pids_in(&group).is_empty().then_some(()))
            .unwrap_or_else(|| panic!("{:?} live on", pids_in(&group)));
        slowest = slowest.max(killed.elapsed());
        drop(child);
    }
    println!("{rounds} of {rounds}: the last process was gone after at most {slowest:?}");
    assert!(slowest < within(100), "{slowest:?}");
    assert_eq!(Sandtop::with("clean").go().code, 0);
}

#[test]
fn a_paused_workload_waits_for_no_memory() {
    if !kernel_tier("a_paused_workload_waits_for_no_memory") {
        return;
    }
    let (child, group) = paused("-m 64M", "fill 200M --rate 200M");
    let pressure = freezer_of(&group).with_file_name("memory.pressure");
    let total = || {
        let text = fs::read_to_string(&pressure).ok()?;
        text.lines().next()?.split("total=").nth(1)?.parse::<u64>().ok()
    };
    if total().is_none() {
        return not_here("a_paused_workload_waits_for_no_memory");
    }
    // Who was slowed down when it was stopped sleeps that off first, two seconds at most (v2's memory.high).
    let start = Instant::now();
    let mut last = (total(), start);
    wait_until(Duration::from_secs(15), || {
        if total() != last.0 {
            last = (total(), Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .expect("pressure goes on");
    println!("it waited for {:?} after it was stopped, {:?} µs in all", last.1 - start, last.0);
    assert!(last.1 - start < within(3000), "a system's own killer would see it: {:?}", last.1 - start);
    child.signal(Signal::SIGTERM);
    child.wait();
}

#[test]
fn on_the_screen_a_paused_workload_is_raised_let_go_or_killed() {
    if !kernel_tier("on_the_screen_a_paused_workload_is_raised_let_go_or_killed") {
        return;
    }
    let start = |size: &str| {
        let argv = [SANDTOP, "worker", "fill", size, "--rate", "200M", "--check"];
        let mut t = Terminal::start(Sandtop::with("-m 64M --oom pause").cmd(argv).raw(), 120, 40);
        t.wait_text("PAUSED AT LIMIT");
        t.wait_text("raise the limit to 80M, and go on");
        t
    };
    // Raised as often as it takes: each press is a quarter more.
    let mut t = start("90M");
    t.keys("\x1b");
    t.wait("the panel to be hidden, not the state", |s| !s.contains("and go on") && s.contains("PAUSED AT LIMIT"));
    t.keys("p");
    t.wait_text("raise the limit to 80M, and go on");
    // The panel goes and comes with the pauses: each has its line in the log.
    for (now, more) in [("80M", "100M"), ("100M", "125M")] {
        t.keys("+");
        t.wait("the next pause, and its panel", |s| {
            s.contains(&format!("of {now} are")) && s.contains(&format!("raise the limit to {more}, and go on"))
        });
    }
    t.keys("+");
    t.wait_text("exited 0");
    t.wait_text(", right");
    t.keys("q");
    assert_eq!(t.end(), 0);
    // Let go, and killed by the limit.
    let mut t = start("90M");
    t.keys("L");
    t.wait_text("OOM killed");
    t.keys("q");
    assert_eq!(t.end(), 137);
    // Killed by the user.
    let mut t = start("90M");
    t.keys("KK"); // asked, and meant
    t.wait_text("while it was paused at its limit");
    t.keys("q");
    assert_eq!(t.end(), 137);
}

#[test]
fn a_pause_is_switched_on_and_off_while_it_runs() {
    if !kernel_tier("a_pause_is_switched_on_and_off_while_it_runs") {
        return;
    }
    let policy = |t: &mut Terminal, now: &str| {
        t.keys("\r");
        t.wait(now, |s| s.lines().any(|l| l.contains(&format!("▸ out of memory  {now}"))));
    };
    // Frozen by hand it fills nothing until the policy stands.
    let argv = [SANDTOP, "worker", "fill", "90M", "--rate", "20M"];
    let mut t = Terminal::start(Sandtop::with("-m 64M").cmd(argv).raw(), 140, 45);
    t.wait_text("running");
    t.keys("f");
    t.wait_text("‖ frozen");
    t.keys("s");
    t.wait_text("┌ settings");
    t.choose_setting("out of memory");
    policy(&mut t, "group");
    policy(&mut t, "pause");
    t.keys("\x1b");
    t.wait("the panel gone", |s| !s.contains("┌ "));
    let group = made_group(t.sandtop());
    if !is_v2() {
        assert!(fs::read_to_string(group.join("memory.oom_control")).unwrap().contains("oom_kill_disable 1"));
    }
    t.keys("f");
    t.wait_text("PAUSED AT LIMIT");
    assert_eq!(oom_kills(&group), 0);
    t.wait_text("and go on");
    t.keys("L");
    t.wait_text("OOM killed");
    let said = t.text();
    assert!(!said.contains("something else"), "{said}");
    t.keys("q");
    assert_eq!(t.end(), 137);
}

#[test]
fn with_oom_group_the_whole_workload_goes_with_the_first_that_is_killed() {
    if !kernel_tier("with_oom_group_the_whole_workload_goes_with_the_first_that_is_killed") {
        return;
    }
    for _ in 0..times(20) {
        // The shell holds nearly nothing: the kernel takes the worker, and nobody else.
        let script = format!("sleep 1000 & sleep 1001 & {SANDTOP} worker fill 200M --rate 400M; sleep 5; exit 3");
        let ended = Sandtop::run("-m 64M --oom group").sh(&script).go();
        assert_eq!((ended.code, ended.outcome()), (137, "oom_killed"), "{}", ended.err);
        assert!(ended.number("oom_kills") >= 1);
        assert!(ended.err.contains("and all of the workload with it: out of memory"), "{}", ended.err);
        let kill = Sandtop::run("-m 64M --oom kill").sh(&script.replace("sleep 5; ", "")).go();
        assert_eq!((kill.code, kill.outcome()), (3, "oom_survived"), "{}", kill.err);
    }
}

#[test]
fn like_docker_kubernetes_or_systemd_sets_what_is_not_said() {
    if !kernel_tier("like_docker_kubernetes_or_systemd_sets_what_is_not_said") {
        return;
    }
    let run = |options: &str| {
        let ended = Sandtop::run(&format!("-m 64M {options}")).cmd(["true"]).go();
        assert_eq!(ended.code, 0, "{}", ended.err);
        let text = |name: &str| ended.field(name).as_str().map(String::from);
        (text("like"), text("oom_policy").unwrap(), ended.field("swap_allowed_bytes").as_u64())
    };
    let on_v2 = |then: &str| if is_v2() { then.to_string() } else { "kill".into() };
    assert_eq!(run("--like docker"), (Some("docker".into()), "kill".into(), Some(64 * M)));
    assert_eq!(run("--like kubernetes"), (Some("kubernetes".into()), on_v2("group"), Some(0)));
    assert_eq!(run("--like systemd"), (Some("systemd".into()), "group".into(), None));
    assert_eq!(run("--like systemd --oom kill --memory-swap 64M"), (Some("systemd".into()), "kill".into(), Some(0)));
    assert_eq!(run(""), (None, "kill".into(), Some(0)));
}
