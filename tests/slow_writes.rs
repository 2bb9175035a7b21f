//! Writes that block for seconds, while the kernel swaps out to a slow disk: nothing waits for them. `tests/vm/run` has machines with such a disk.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use common::{
    terminal::{Terminal, holds},
    *,
};
use nix::sys::{signal::Signal, stat::Mode};
use sandtop::event::{Event, LimitOutcome};

const M: u64 = 1 << 20;

/// How long such a write blocks at least.
const BLOCKED: Duration = Duration::from_secs(2);

/// Whether this machine's swap disk is slow.
fn slow_disk(test: &str) -> bool {
    let here = kernel_tier(test) && expected("slow-swap");
    if !here {
        not_here(test);
    }
    here
}

/// A workload that holds 80M, has a process aside that fills memory once it is told to, and echoes.
struct Workload {
    dir: tempfile::TempDir,
}

impl Workload {
    fn new() -> Workload {
        let dir = tempfile::tempdir().expect("a temporary directory");
        nix::unistd::mkfifo(&dir.path().join("go"), Mode::S_IRWXU).expect("a fifo");
        let path = dir.path().display();
        let aside = format!("read go <{path}/go; exec {SANDTOP} worker fill $go --hold\n");
        fs::write(dir.path().join("aside.sh"), aside).unwrap();
        let main = format!("{SANDTOP} worker fill 80M --hold &\nsh {path}/aside.sh &\nexec cat\n");
        fs::write(dir.path().join("main.sh"), main).unwrap();
        Workload { dir }
    }

    fn recording(&self) -> PathBuf {
        self.dir.path().join("run.jsonl")
    }

    fn on_a_screen(&self) -> Terminal {
        let options = format!("-m 120M --memory-swap max --interval 100ms --record {}", self.recording().display());
        let mut t =
            Terminal::start(Sandtop::with(&options).cmd(["sh".into(), self.dir.path().join("main.sh")]).raw(), 120, 40);
        t.wait("80M that are held", |s| holds(s, 80.0) || holds(s, 82.0));
        t
    }

    /// Puts the process aside into a group of its own below the sandbox's, in which nothing is swapped out.
    fn apart(&self, group: &Path) -> PathBuf {
        let own = if is_v2() { group.join("aside") } else { group.join("leaf/aside") };
        fs::create_dir(&own).unwrap();
        fs::write(own.join(if is_v2() { "memory.swap.max" } else { "memory.swappiness" }), "0").unwrap();
        let pid = wait_for("the process aside", || {
            pids_in(group).into_iter().find(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("aside.sh"))
            })
        });
        fs::write(own.join("cgroup.procs"), pid.to_string()).unwrap();
        own
    }

    fn fill(&self, size: &str) {
        fs::write(self.dir.path().join("go"), format!("{size}\n")).unwrap();
    }
}

#[test]
fn during_a_slow_write_samples_go_on_a_kill_is_told_and_the_terminal_echoes() {
    if !slow_disk("during_a_slow_write_samples_go_on_a_kill_is_told_and_the_terminal_echoes") {
        return;
    }
    let workload = Workload::new();
    let mut t = workload.on_a_screen();
    let group = made_group(t.sandtop());
    let aside = workload.apart(&group);
    if is_v2() {
        // Once the limit is written every charge of the sandbox waits for the disk: what is killed then has its memory already.
        workload.fill("6M");
        wait_for("6M aside", || (number(&aside, "memory.current") >= 6 * M).then_some(()));
    }
    t.keys("=30M\r");
    t.wait_text("writing limit 30M for");
    t.keys("ihello there");
    t.wait("an echo while the write goes on", |s| s.contains("hello there") && s.contains("writing limit 30M"));
    t.keys("\x1d");
    if is_v2() {
        fs::write(aside.join("memory.max"), "1M").unwrap();
    } else {
        fs::write(aside.join("memory.limit_in_bytes"), "4M").unwrap();
        workload.fill("60M");
    }
    t.wait("a kill while the write goes on", |s| s.contains("OOM kill: worker") && s.contains("writing limit 30M"));
    t.wait_text("limit 120M → 30M, by you");
    t.wait("nothing being written", |s| !s.contains("writing limit"));
    assert_eq!(limit_of(&group), 30 * M);
    t.keys("qy");
    t.end();
    assert!(!group.exists(), "the group is left");

    let recording = sandtop::record::read(&workload.recording()).unwrap();
    let at = |wanted: &dyn Fn(&Event) -> bool| {
        recording.events.iter().find(|s| wanted(&s.event)).expect("it is recorded").at
    };
    let from = at(&|event| matches!(event, Event::LimitRequested { .. }));
    let until = at(&|event| matches!(event, Event::LimitDone { outcome: LimitOutcome::Applied { .. }, .. }));
    let samples =
        recording.events.iter().filter(|s| matches!(s.event, Event::Sample(_)) && s.at >= from && s.at <= until);
    let times: Vec<Duration> = std::iter::once(from).chain(samples.map(|s| s.at)).chain([until]).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    println!("the write took {:?}; {} samples meanwhile, at most {longest:?} apart", until - from, times.len() - 2);
    assert!(until - from >= BLOCKED, "not slow: {:?}", until - from);
    assert!(longest <= within(200), "samples were {longest:?} apart");
}

#[test]
fn a_slow_write_does_not_hold_up_the_end() {
    if !slow_disk("a_slow_write_does_not_hold_up_the_end") {
        return;
    }
    for n in 0..times(10).max(2) {
        let workload = Workload::new();
        let mut t = workload.on_a_screen();
        let group = made_group(t.sandtop());
        t.keys("=30M\r");
        t.wait_text("writing limit 30M for");
        let asked = Instant::now();
        t.keys("qy");
        assert_eq!(t.end(), 143);
        println!("run {n}: ended {:?} after q", asked.elapsed());
        assert!(asked.elapsed() <= within(1000), "it took {:?}", asked.elapsed());
        assert!(!group.exists(), "the group is left");
    }
}

#[test]
fn a_slow_write_of_a_schedule_ends_with_its_run_and_the_result_says_so() {
    if !slow_disk("a_slow_write_of_a_schedule_ends_with_its_run_and_the_result_says_so") {
        return;
    }
    let child = Sandtop::run("-m 120M --memory-swap max --schedule 10s=30M,11s..12s=30M..25M,1h=20M")
        .worker("fill 80M --hold")
        .start();
    let group = child.group();
    // v2 has the limit at once, v1 when all is swapped out.
    let writing = || {
        let usage = number(&group, if is_v2() { "memory.current" } else { "memory.usage_in_bytes" });
        (usage > 40 * M && usage < 75 * M).then_some(())
    };
    wait_for("80M", || {
        (number(&group, if is_v2() { "memory.current" } else { "memory.usage_in_bytes" }) >= 80 * M).then_some(())
    });
    wait_for("a write that is under way", writing);
    let asked = Instant::now();
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    println!("ended {:?} after SIGTERM", asked.elapsed());
    assert!(asked.elapsed() <= within(1000), "it took {:?}", asked.elapsed());
    assert_eq!(ended.code, 143, "{}", ended.err);
    assert!(!group.exists(), "the group is left");
    let moves = &ended.json.as_ref().unwrap()["schedule"]["moves"];
    let first = moves[0]["outcome"].as_str().unwrap();
    // Broken off, or ended by itself when there was nothing left to swap out.
    assert!(["applied", "failed"].contains(&first), "{moves:#}");
    println!("the step that was under way: {}", moves[0]);
    assert_eq!(moves.as_array().unwrap().last().unwrap()["outcome"], "not_reached", "{moves:#}");
}
