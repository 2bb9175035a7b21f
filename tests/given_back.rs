//! The user's terminal after sandtop: as it was before, however it ended, and nothing lives on when the terminal itself is gone.

mod common;

use std::{fs, path::Path};

use common::{terminal::Terminal, *};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A program that asks its terminal for all that it can be asked for: none of it must be left to ours.
const ASKS: &str =
    r"printf '\033[?1049h\033[?1003;1006;1004;2004h\033[?25l\033[31;1;7mRED\033=\033]0;title\007'; exec sleep 1000";

fn start(command: std::process::Command) -> Terminal {
    let mut t = Terminal::start(command, 100, 30);
    t.wait_text("RED");
    t.wait_text("typing goes to the workload");
    assert_ne!(t.what_changed(), Vec::<String>::new());
    t
}

fn asking() -> std::process::Command {
    Sandtop::with("").cmd(["sh", "-c", ASKS]).raw()
}

#[test]
fn the_terminal_is_as_it_was_after_each_end() {
    if !kernel_tier("the_terminal_is_as_it_was_after_each_end") {
        return;
    }
    for (how, code) in [("quit", 143), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)] {
        let mut t = start(asking());
        let (pid, group) = (t.sandtop(), made_group(t.sandtop()));
        match how.parse::<Signal>() {
            Ok(signal) => kill(Pid::from_raw(pid), signal).unwrap(),
            Err(_) => {
                t.keys("\x1dq");
                t.wait_text("The workload still runs.");
                t.keys("y");
            }
        }
        assert_eq!(t.end(), code, "{how}");
        assert_eq!(t.what_changed(), Vec::<String>::new(), "{how}");
        assert!(!group.exists(), "{how}");
    }
}

#[test]
fn the_terminal_is_as_it_was_after_a_crash_and_the_first_signal_is_one() {
    if !kernel_tier("the_terminal_is_as_it_was_after_a_crash_and_the_first_signal_is_one") {
        return;
    }
    use Signal::*;
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP, SIGXFSZ] {
        let mut t = start(asking());
        let group = made_group(t.sandtop());
        kill(Pid::from_raw(t.sandtop()), signal).unwrap();
        t.end();
        assert_eq!(t.what_changed(), Vec::<String>::new(), "{signal}");
        wait_for("the end of the workload", || pids_in(&group).is_empty().then_some(()));
    }
    // Without a screen too: Rust's start-up takes the first SIGSEGV for itself.
    let child = Sandtop::with("run -q").cmd(["sleep", "1000"]).start();
    let group = child.group();
    child.signal(SIGSEGV);
    assert_eq!(child.wait().code, -1, "ended by the signal");
    wait_for("the end of the workload", || pids_in(&group).is_empty().then_some(()));
    Sandtop::with("clean").go();
}

#[test]
fn what_a_killed_command_did_to_the_line_is_undone_and_what_one_meant_stays() {
    if !kernel_tier("what_a_killed_command_did_to_the_line_is_undone_and_what_one_meant_stays") {
        return;
    }
    for front in ["", "--timeout 600"] {
        let run = |script: &str| {
            let command = Sandtop::with(&format!("run --no-keep -m 20M {front}")).cmd(["sh", "-c", script]).raw();
            let mut t = Terminal::start(command, 100, 30);
            let code = t.end();
            (code, t.what_changed())
        };
        let killed = run(&format!("stty raw -echo; exec {SANDTOP} worker fill 64M"));
        assert_eq!(killed, (137, Vec::new()), "{front}");
        let (code, changed) = run("stty -echo");
        assert!(code == 0 && !changed.is_empty(), "{front}: {changed:?}");
    }
}

#[test]
fn a_q_in_the_first_moments_asks_and_then_ends_the_workload() {
    if !kernel_tier("a_q_in_the_first_moments_asks_and_then_ends_the_workload") {
        return;
    }
    for _ in 0..times(20) {
        let mut t = Terminal::start(Sandtop::with("").cmd(["sleep", "1000"]).raw(), 100, 30);
        t.keys("q");
        t.wait_text("End it, and quit?");
        t.keys("y");
        assert_eq!(t.end(), 143);
    }
    // Who ignores SIGTERM is killed by a second yes.
    let mut t = Terminal::start(
        Sandtop::with("").cmd(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]).raw(),
        100,
        30,
    );
    t.wait_text("deaf");
    t.keys("q");
    t.wait_text("End it, and quit?");
    t.keys("y");
    t.wait_text("Kill it now?");
    t.keys("y");
    assert_eq!(t.end(), 137);
}

#[test]
fn the_terminal_is_as_it_was_after_a_panic() {
    if !kernel_tier("the_terminal_is_as_it_was_after_a_panic") || !cfg!(debug_assertions) {
        return;
    }
    for place in ["screen", "supervisor"] {
        let command = Sandtop::with("").env("SANDTOP_PANIC", place).cmd(["sh", "-c", ASKS]).raw();
        let mut t = Terminal::start(command, 100, 30);
        assert_eq!(t.end(), 125, "{place}");
        assert_eq!(t.what_changed(), Vec::<String>::new(), "{place}");
    }
}

#[test]
fn the_terminal_is_as_it_was_while_sandtop_is_stopped_and_after() {
    if !kernel_tier("the_terminal_is_as_it_was_while_sandtop_is_stopped_and_after") {
        return;
    }
    let mut shell = std::process::Command::new("bash");
    shell.args(["--norc", "-i"]);
    let mut t = Terminal::start(shell, 120, 30);
    t.wait_text("bash-");
    t.keys("PS1=outer:\r");
    t.wait_prompt("outer:");
    let told = |t: &mut Terminal, n: u32| {
        t.keys(&format!("echo state{n}=$(stty -g)\r"));
        let prefix = format!("state{n}=");
        let mut line = String::new();
        t.wait(&prefix, |s| {
            line = s.lines().find_map(|l| l.trim().strip_prefix(&prefix)).unwrap_or_default().to_string();
            !line.is_empty()
        });
        line
    };
    let before = told(&mut t, 1);
    // The shell's own line editing asks for pastes in brackets, and no more.
    let modes = |t: &Terminal| {
        t.what_changed().into_iter().filter(|mode| mode.starts_with('?') && *mode != "?2004 true").count()
    };
    assert_eq!(modes(&t), 0);
    let shell = t.foreground();
    t.keys(&format!("{SANDTOP} -- sh -c \"{}\"\r", ASKS.replace('\\', "\\\\")));
    t.wait_text("typing goes to the workload");
    t.keys("\x1d");
    t.wait("sandtop's keys", |s| !s.contains("typing goes to the workload") && s.contains("q quit"));
    for n in [2, 3] {
        t.keys("\x1a");
        t.wait_prompt("outer:");
        assert!(!t.is_full_screen(), "{}", t.text());
        assert_eq!(told(&mut t, n), before);
        assert_eq!(modes(&t), 0, "{:?}", t.what_changed());
        t.keys("fg\r");
        t.wait_foreground_not(shell);
        t.wait("the screen again", |s| s.contains("RED") && s.contains("q quit"));
        assert!(t.is_full_screen());
    }
    t.keys("q");
    t.wait_text("The workload still runs.");
    t.keys("y");
    t.wait_prompt("outer:");
    assert_eq!(told(&mut t, 4), before);
    assert_eq!(modes(&t), 0, "{:?}", t.what_changed());
    t.keys("exit\r");
    t.end();
}

#[test]
fn a_lost_terminal_takes_sandtop_and_the_sandbox_with_it() {
    if !kernel_tier("a_lost_terminal_takes_sandtop_and_the_sandbox_with_it") {
        return;
    }
    let deaf = "trap '' HUP TERM INT; while :; do sleep 0.1; done";
    for script in ["exec sleep 1000", "exec yes", deaf] {
        for ignored in [false, true] {
            let mut command = std::process::Command::new("env");
            command.arg(if ignored { "--ignore-signal=HUP" } else { "--default-signal=HUP" });
            command.args([SANDTOP, "--", "sh", "-c", script]);
            let mut t = Terminal::start(command, 100, 30);
            t.wait_text("running");
            let group = made_group(t.sandtop());
            wait_for("the workload", || (!pids_in(&group).is_empty()).then_some(()));
            let pids = pids_in(&group);
            t.lose();
            let code = t.end_without();
            assert!(ignored || code == 129, "{script}: {code}");
            assert!(!group.exists(), "{script}: {} stays", group.display());
            let left: Vec<&i32> = pids.iter().filter(|pid| is_there(**pid)).collect();
            assert!(left.is_empty(), "{script}: {left:?} live on");
        }
    }
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    if !kernel_tier("a_terminal_that_takes_nothing_holds_nobody_up") {
        return;
    }
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut t = Terminal::start(Sandtop::with("").cmd(["yes"]).raw(), 100, 30);
        t.wait_text("running");
        let (pid, group) = (t.sandtop(), made_group(t.sandtop()));
        // Nobody reads: sandtop comes to stand in a write.
        let writes = || fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|call| call.starts_with("1 0x1 "));
        let mut seen = 0;
        wait_for("sandtop stuck in a write", || {
            seen = if writes() { seen + 1 } else { 0 };
            (seen >= 50).then_some(())
        });
        kill(Pid::from_raw(pid), signal).unwrap();
        assert_eq!(t.end_without(), 128 + signal as i32, "{signal}");
        assert!(t.is_cooked(), "{signal}");
        assert!(!group.exists(), "{signal}");
    }
}

/// Whether a process lives; what nobody has reaped yet does not.
fn is_there(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}
