//! Cells of the table of ends (`endings_table.rs`) by real runs: how the main process ended × why the run did × whom the OOM killer took × what held
//! the workload. A handful runs always, all of them with SANDTOP_TEST_FULL.

mod common;

use std::{
    fs,
    sync::Mutex,
    time::{Duration, Instant},
};

use common::*;
use nix::sys::signal::Signal;

/// Who ends the run.
#[derive(Clone, Copy, Debug)]
enum By {
    Itself,
    /// `--timeout`, in seconds; again with four times as long where what is to be before it was not.
    Timeout(f64),
    /// A signal to sandtop, once the workload is ready (it says so) and as many kills are counted.
    Signal(Signal, u64),
}

/// One run, and what is to be said of it.
#[derive(Clone, Copy)]
struct Cell {
    options: &'static str,
    /// `FILL` is a worker that fills memory.
    script: &'static str,
    by: By,
    code: i32,
    outcome: &'static str,
    kills: u64,
    /// What its line says.
    says: &'static [&'static str],
    /// Whether it is in the usual run.
    always: bool,
}

/// On SIGTERM it fills memory: the main process itself.
const LATE_MAIN: &str = "trap 'exec FILL 200M' TERM; echo ready; while :; do sleep 0.01; done";
/// On SIGTERM a child of it fills memory.
const LATE_CHILD: &str = "trap 'FILL 200M; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
/// The same, and the main process stays: on v1 it is sandtop that takes the whole, as soon as it hears of the kill.
const LATE_STAYS: &str = "trap 'FILL 200M; sleep 1000' TERM; echo ready; while :; do sleep 0.01; done";
const CHILD: &str = "FILL 200M; echo ready; sleep 1000";
const CHILD_DEAF: &str = "trap '' TERM; FILL 200M; echo ready; while :; do sleep 0.01; done";
const CHILD_GRACEFUL: &str = "trap 'exit 0' TERM; FILL 200M; echo ready; while :; do sleep 0.01; done";
const NOBODY: &str = "echo ready; sleep 1000";
const NOBODY_DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.01; done";

const TOOK: &str = "; the OOM killer took 1 process (";

fn cells() -> Vec<Cell> {
    let timeout = By::Timeout(0.5);
    let term = |kills| By::Signal(Signal::SIGTERM, kills);
    let hup = |kills| By::Signal(Signal::SIGHUP, kills);
    let cell = |options, script, by, code, outcome, kills, says| Cell {
        options,
        script,
        by,
        code,
        outcome,
        kills,
        says,
        always: false,
    };
    let always = |cell| Cell { always: true, ..cell };
    vec![
        // The issue's own: a server's end hid them all.
        always(cell("-m 40M", LATE_MAIN, timeout, 124, "oom_killed", 1, &["out of memory; the run had timed out"])),
        always(cell("-m 30M", CHILD, timeout, 124, "timed_out", 1, &[": timed out", TOOK])),
        always(cell("-m 30M", CHILD, term(1), 143, "stopped_by_user", 1, &[": sandtop was sent SIGTERM", TOOK])),
        always(cell("-m 30M", LATE_CHILD, term(0), 143, "stopped_by_user", 1, &["exited 7", "sent SIGTERM", TOOK])),
        always(cell("-m 30M --oom group", LATE_STAYS, timeout, 124, "oom_killed", 1, &["all of the workload with it"])),
        // Who was asked to end is neither paused nor held at the limit any more.
        always(cell("-m 40M --oom pause", LATE_MAIN, term(0), 143, "oom_killed", 1, &["had been sent SIGTERM"])),
        cell("-m 40M", LATE_MAIN, term(0), 143, "oom_killed", 1, &["out of memory; sandtop had been sent SIGTERM"]),
        cell("-m 40M --oom group", LATE_MAIN, timeout, 124, "oom_killed", 1, &["; the run had timed out"]),
        cell("-m 40M --oom group", LATE_MAIN, term(0), 143, "oom_killed", 1, &["; sandtop had been sent SIGTERM"]),
        cell("-m 30M --oom group", LATE_STAYS, term(0), 143, "oom_killed", 1, &["; sandtop had been sent SIGTERM"]),
        cell("-m 30M", LATE_CHILD, timeout, 124, "timed_out", 1, &["exited 7", ": timed out", TOOK]),
        cell("-m 30M", CHILD, hup(1), 129, "stopped_by_user", 1, &["sent SIGHUP", TOOK]),
        cell("-m 30M", CHILD_GRACEFUL, timeout, 124, "timed_out", 1, &["exited 0", ": timed out", TOOK]),
        cell("-m 30M", CHILD_GRACEFUL, term(1), 143, "stopped_by_user", 1, &["exited 0", "sent SIGTERM", TOOK]),
        cell("-m 30M", CHILD_DEAF, timeout, 124, "timed_out", 1, &["ended by SIGKILL", ": timed out", TOOK]),
        cell("-m 30M", CHILD_DEAF, term(1), 143, "stopped_by_user", 1, &["ended by SIGKILL", TOOK]),
        cell("-m 30M", NOBODY, timeout, 124, "timed_out", 0, &[": timed out"]),
        cell("-m 30M", NOBODY, term(0), 143, "stopped_by_user", 0, &[": sandtop was sent SIGTERM"]),
        cell("-m 30M", NOBODY, hup(0), 129, "stopped_by_user", 0, &[": sandtop was sent SIGHUP"]),
        cell("-m 30M --oom group", NOBODY, term(0), 143, "stopped_by_user", 0, &[": sandtop was sent SIGTERM"]),
        cell("-m 30M --oom group", NOBODY, timeout, 124, "timed_out", 0, &[": timed out"]),
        cell("-m 30M", NOBODY_DEAF, timeout, 124, "timed_out", 0, &["ended by SIGKILL", ": timed out"]),
        cell("-m 30M --oom group", NOBODY_DEAF, term(0), 143, "stopped_by_user", 0, &["ended by SIGKILL"]),
        cell("-m 30M", "FILL 200M; exit 0", By::Itself, 0, "oom_survived", 1, &["the main process lived"]),
        cell("-m 30M", "FILL 200M; exit 3", By::Itself, 3, "oom_survived", 1, &["the main process lived"]),
        cell("-m 30M", "exec FILL 200M", By::Itself, 137, "oom_killed", 1, &["out of memory"]),
        cell("-m 30M --oom group", "FILL 200M; sleep 1000", By::Itself, 137, "oom_killed", 1, &["all of the workload"]),
        cell("-m 30M --oom group", "exec FILL 200M", By::Itself, 137, "oom_killed", 1, &["out of memory"]),
        cell("-m 30M", "FILL 200M; kill -SEGV $$", By::Itself, 139, "signalled", 1, &["SIGSEGV", TOOK]),
        cell("-m 30M", "FILL 200M; kill -KILL $$", By::Itself, 137, "signalled", 1, &["not by the OOM killer", TOOK]),
        cell(
            "-m 30M",
            "kill -ABRT $$",
            By::Itself,
            134,
            "signalled",
            0,
            &["not by the OOM killer: the limit was never"],
        ),
        cell("-m 30M --oom pause", "exec FILL 200M", timeout, 124, "timed_out", 0, &[": timed out"]),
        cell("-m 30M --cpus 0.2", CHILD, timeout, 124, "timed_out", 1, &[": timed out", TOOK]),
        cell("-m 30M --cpus 0.2", LATE_MAIN, term(0), 143, "oom_killed", 1, &["; sandtop had been sent SIGTERM"]),
        cell("-m 30M --cpus 0.2 --oom group", LATE_STAYS, timeout, 124, "oom_killed", 1, &["all of the workload"]),
    ]
}

/// Whether a CPU quota can be had here; a skip if not.
fn can_limit_cpus(test: &str) -> bool {
    let ended = Sandtop::run("--cpus 1").cmd(["true"]).go();
    if ended.code != 0 {
        not_here(test);
    }
    ended.code == 0
}

fn go(cell: &Cell) -> Ended {
    let script = cell.script.replace("FILL", &format!("{SANDTOP} worker fill"));
    match cell.by {
        By::Itself => Sandtop::run(cell.options).sh(&script).go(),
        By::Timeout(seconds) => {
            let wanted = |ended: &Ended| ended.out.contains("ready") || cell.options.contains("pause");
            let mut seconds = seconds;
            loop {
                let ended = Sandtop::run(&format!("{} --timeout {seconds}", cell.options)).sh(&script).go();
                if wanted(&ended) || seconds > 30.0 {
                    return ended;
                }
                seconds *= 4.0;
            }
        }
        By::Signal(signal, kills) => {
            let dir = tempfile::tempdir().unwrap();
            let ready = dir.path().join("ready");
            let script = script.replace("echo ready", &format!("echo ready >{}", ready.display()));
            let child = Sandtop::run(cell.options).sh(&script).start();
            wait_for("it is ready", || fs::read_to_string(&ready).ok().filter(|said| !said.is_empty()));
            let group = child.group();
            wait_for("the kills", || (oom_kills(&group) >= kills).then_some(()));
            child.signal(signal);
            child.wait()
        }
    }
}

fn check(cell: &Cell) {
    let ended = go(cell);
    let what = format!("{} {} {:?}: {}", cell.options, cell.script, cell.by, ended.err);
    assert_eq!((ended.code, ended.outcome()), (cell.code, cell.outcome), "{what}");
    let by = match cell.by {
        By::Itself => "itself",
        By::Timeout(_) => "timeout",
        By::Signal(..) => "signal",
    };
    assert_eq!(ended.field("ended_by"), by, "{what}");
    // v2 counts each process of a whole that is taken.
    let kills = ended.number("oom_kills");
    let whole = is_v2() && cell.options.contains("group") && cell.kills > 0;
    assert!(if whole { kills >= cell.kills } else { kills == cell.kills }, "{kills} kills, {what}");
    for words in cell.says {
        assert!(ended.err.contains(words), "{words:?} is not said: {what}");
    }
    assert!(ended.field("verdict").as_str().is_some_and(|verdict| ended.err.contains(verdict)), "{what}");
}

#[test]
fn real_ends_are_told_as_the_table_says() {
    if !kernel_tier("real_ends_are_told_as_the_table_says") {
        return;
    }
    let full = std::env::var_os("SANDTOP_TEST_FULL").is_some();
    let left = Mutex::new(cells().into_iter().filter(|cell| full || cell.always).collect::<Vec<_>>());
    let next = || left.lock().unwrap().pop();
    // Most of their time they wait.
    std::thread::scope(|scope| {
        for _ in 0..if full { 4 } else { 2 } {
            scope.spawn(|| {
                while let Some(cell) = next() {
                    check(&cell);
                }
            });
        }
    });
}

/// 150 who are busy and heed no SIGTERM, in the quota that they share: dying takes CPU time, too. They wait at a FIFO until all are there, for whoever
/// forks gets less of the quota with each that is busy already. The shell says "ready" then.
fn busy(dir: &std::path::Path, then: &str) -> String {
    let gate = dir.join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let gate = gate.display();
    format!(
        "trap '' TERM; i=0; while [ $i -lt 150 ]; do (: <{gate}; while :; do :; done) & i=$((i+1)); done; \
         exec 9>{gate}; echo ready; {then}"
    )
}

#[test]
fn under_a_cpu_quota_who_is_left_behind_dies_at_once() {
    let test = "under_a_cpu_quota_who_is_left_behind_dies_at_once";
    if !kernel_tier(test) || !can_limit_cpus(test) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let ended = Sandtop::run("--cpus 0.1").sh(&busy(dir.path(), "exit 3")).go();
    let ran = Duration::from_secs_f64(ended.field("wall_seconds").as_f64().unwrap());
    let late = start.elapsed().saturating_sub(ran);
    assert_eq!((ended.code, ended.outcome(), ended.number("left_behind")), (3, "exited", 150), "{}", ended.err);
    assert!(late < within(1000), "the end was {late:?} late: {}", ended.err);
    assert!(ended.field("events").to_string().contains("the CPU quota is lifted"), "{:?}", ended.json);
    let quota = ended.field("settings")["cpu"].clone();
    assert_eq!(quota, "10000 100000", "it is told as it was for the run: {}", ended.field("settings"));
}

#[test]
fn under_a_cpu_quota_a_busy_workload_that_heeds_nothing_ends_within_a_second_of_its_kill() {
    let test = "under_a_cpu_quota_a_busy_workload_that_heeds_nothing_ends_within_a_second_of_its_kill";
    if !kernel_tier(test) || !can_limit_cpus(test) {
        return;
    }
    let mut seconds = 0.5;
    let (ended, took) = loop {
        let dir = tempfile::tempdir().unwrap();
        let script = busy(dir.path(), "wait");
        let start = Instant::now();
        let ended = Sandtop::run(&format!("--cpus 0.1 --timeout {seconds}")).sh(&script).go();
        if ended.out.contains("ready") || seconds > 30.0 {
            break (ended, start.elapsed().as_secs_f64());
        }
        seconds *= 3.0; // a tenth of a slow CPU: it was not there yet
    };
    assert_eq!((ended.code, ended.outcome()), (124, "timed_out"), "{}", ended.err);
    assert_eq!((ended.field("ended_by"), ended.number("signal")), (&"timeout".into(), 9), "{}", ended.err);
    assert!(ended.err.contains("sh was ended by SIGKILL") && ended.err.contains(": timed out"), "{}", ended.err);
    let killed = seconds + 5.0;
    assert!(took > killed && took < killed + within(1000).as_secs_f64(), "{took} s: {}", ended.err);
}

#[test]
fn who_is_frozen_by_anybody_heeds_the_end() {
    let test = "who_is_frozen_by_anybody_heeds_the_end";
    if !kernel_tier(test) || !can_freeze() {
        return;
    }
    let child = Sandtop::run("").cmd(["sleep", "1000"]).start();
    let group = child.group();
    let file = freezer_of(&group);
    let (file, word) = match file.ends_with("freezer.state") {
        true => (file, "FROZEN"),
        false => (file.with_file_name("cgroup.freeze"), "1"),
    };
    if !file.exists() {
        return not_here(test); // v1's own freezer is joined only where something asks for it
    }
    fs::write(file, word).unwrap();
    wait_for("it is frozen", || is_frozen(&group).then_some(()));
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome(), ended.number("signal")), (143, "stopped_by_user", 15), "{}", ended.err);
}

#[test]
fn an_init_that_is_stopped_is_ended_and_told_as_ours() {
    if !kernel_tier("an_init_that_is_stopped_is_ended_and_told_as_ours") {
        return;
    }
    let child = Sandtop::run("").sh("echo ready; sleep 1000").start();
    let group = child.group();
    let init = init_of(child.pid());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), Signal::SIGSTOP).unwrap();
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome(), ended.number("signal")), (143, "stopped_by_user", 9), "{}", ended.err);
    assert!(ended.err.contains("sh was ended by SIGKILL") && ended.err.contains("sent SIGTERM"), "{}", ended.err);
    assert!(!group.exists());
}

#[test]
fn a_child_that_filled_its_own_heap_is_told_with_its_ceiling() {
    let test = "a_child_that_filled_its_own_heap_is_told_with_its_ceiling";
    if !kernel_tier(test) || !has(test, "node") {
        return;
    }
    let fill = "const a = []; for (;;) a.push(new Array(1e5).fill(0.5))";
    let ended = Sandtop::run("-m 400M")
        .env("NODE_OPTIONS", "--max-old-space-size=40 --no-warnings")
        .sh(&format!("node -e '{fill}' >/dev/null 2>&1; exit 1"))
        .go();
    assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (1, "exited", 0), "{}", ended.err);
    assert!(ended.err.contains("node's heap ends at 40M (--max-old-space-size=40)"), "{}", ended.err);
}

#[test]
fn a_node_that_filled_its_default_heap_is_told_that_it_has_a_ceiling() {
    let test = "a_node_that_filled_its_default_heap_is_told_that_it_has_a_ceiling";
    if !kernel_tier(test) || !has(test, "node") {
        return;
    }
    let fill = "const a = []; for (;;) a.push(new Array(1e5).fill(0.5))";
    // As the main process, and as a child whose end the shell gives on.
    let by_itself = Sandtop::run("-m 900M").cmd(["node", "-e", fill]).go();
    assert_eq!((by_itself.code, by_itself.outcome()), (134, "signalled"), "{}", by_itself.err);
    let by_a_shell = Sandtop::run("-m 900M").sh(&format!("node -e '{fill}'; exit $?")).go();
    assert_eq!((by_a_shell.code, by_a_shell.outcome()), (134, "exited"), "{}", by_a_shell.err);
    for ended in [by_itself, by_a_shell] {
        assert_eq!(ended.number("oom_kills"), 0);
        assert!(ended.err.contains("node's heap has a ceiling of its own"), "{}", ended.err);
    }
}

#[test]
fn a_jvm_that_was_asked_to_end_is_not_said_to_have_filled_its_heap() {
    let test = "a_jvm_that_was_asked_to_end_is_not_said_to_have_filled_its_heap";
    if !kernel_tier(test) || !has(test, "java") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = "class Hold { public static void main(String[] a) throws Exception { byte[] held = new byte[30 << 20]; \
         java.util.Arrays.fill(held, (byte) 1); new java.io.File(\"ready\").createNewFile(); Thread.sleep(100000); } }";
    std::fs::write(dir.path().join("Hold.java"), program).unwrap();
    let child = Sandtop::run("-m 400M").dir(dir.path()).cmd(["java", "-Xmx80m", "Hold.java"]).start();
    wait_for("the heap to be filled", || dir.path().join("ready").exists().then_some(()));
    child.signal(Signal::SIGTERM);
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome()), (143, "stopped_by_user"), "{}", ended.err);
    assert!(!ended.err.contains("heap ends at") && !ended.err.contains("ceiling"), "{}", ended.err);
}
