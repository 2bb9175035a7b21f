//! The screen, on a real terminal: what is to be seen, what the keys do, and that the terminal is given back.

mod common;

use std::{fs, path::Path, time::Instant};

use common::{
    terminal::{Terminal, holds},
    *,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sandtop::event::Event;

const M: u64 = 1 << 20;

fn screen(args: &str, command: &[&str], cols: u16, rows: u16) -> Terminal {
    Terminal::start(Sandtop::with(args).cmd(command).raw(), cols, rows)
}

fn stress() -> [&'static str; 6] {
    ["stress", "--vm-bytes", "200m", "--vm-keep", "-m", "1"]
}

/// The line of the screen that holds a text.
fn line<'a>(screen: &'a str, text: &str) -> &'a str {
    screen.lines().find(|line| line.contains(text)).unwrap_or("")
}

/// The signature line on a terminal, ended, of which the kernel took the worker alone.
fn killed_once(start: impl Fn() -> Terminal) -> Terminal {
    loop {
        let mut t = start();
        t.wait_ended();
        if !took_both(line(&t.text(), "sandtop").contains("OOM killed (137) after")) {
            return t;
        }
        t.keys("q");
        assert_eq!(t.end(), 137);
    }
}

#[test]
fn launch_see_edit_see_again() {
    let test = "launch_see_edit_see_again";
    if !kernel_tier(test) || !has(test, "stress") {
        return;
    }
    for _ in 0..times(10) {
        let mut t = killed_once(|| screen("", &stress(), 120, 40));
        t.wait_text("OOM kill: stress");
        t.wait_text("exited 1");
        t.wait_text("100M (sandtop's default; -m max for none)");
        t.wait_text("the OOM killer took");
        t.wait_text("worker 3 got signal 9"); // stress's own words
        t.keys("=");
        t.wait_text("for the next run");
        t.keys("300M\r");
        t.wait_text("limit 300M for the next run");
        t.keys("r");
        t.wait("run 2 alive under 300M", |s| {
            s.contains("run 2") && s.contains("running") && line(s, "usage").contains("of 300M")
        });
        let group = made_group(t.sandtop());
        assert_eq!(limit_of(&group), 300 * M);
        t.wait("200M in use", |s| line(s, " usage ").contains("20") && s.contains("anon"));
        // Both runs are on the chart, each with its own time axis, and in the log.
        t.wait("two axes", |s| s.lines().any(|l| l.matches("┬0─").count() == 2));
        t.wait_text("OOM kill: stress");
        t.keys("q");
        t.wait_text("The workload still runs.");
        t.keys("n");
        t.wait("the question gone", |s| !s.contains("still runs"));
        t.keys("q");
        t.wait_text("The workload still runs.");
        t.keys("y");
        assert_eq!(t.end(), 143);
        assert!(t.is_cooked() && !t.is_full_screen(), "the terminal was not given back");
        assert!(t.after_screen().contains("stress was ended by SIGTERM"), "no closing line: {}", t.after_screen());
        assert!(!group.exists());
    }
}

#[test]
fn the_signature_line_leaves_a_picture() {
    let test = "the_signature_line_leaves_a_picture";
    if !kernel_tier(test) || !has(test, "stress") {
        return;
    }
    for _ in 0..times(20) {
        // An emulated machine whose host is busy may not get to sample at all for a while: of three, one has to show it.
        for attempt in 1.. {
            let rise = the_picture();
            if rise.len() >= 10 {
                break;
            }
            assert!(emulated() && attempt < 3, "{} samples on the way up: {rise:?}", rise.len());
        }
    }
}

/// What the signature line leaves: the usages of its samples on the way up.
fn the_picture() -> Vec<u64> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = format!("--record {}", file.path().display());
    let mut t = killed_once(|| screen(&options, &stress(), 120, 40));
    t.wait_text("exited 1");
    // A time axis that fits the run: a tenth of a second has its own labels.
    let header = t.text().lines().next().unwrap().to_string();
    // Why, at a key, and away again.
    t.keys("w");
    t.wait("the card", |s| {
        // An emulated machine may be too slow to look at the worker while it lives: its pid inside is not known then.
        (s.contains("OOM kill of stress (pid ") || emulated() && s.contains("OOM kill of stress (host pid "))
            && s.contains("limit met")
            && s.contains("Esc close")
    });
    t.keys("\x1b");
    t.wait("the card gone", |s| !s.contains("limit met"));
    assert!(t.text().lines().any(|l| l.contains("┬0") && l.matches('┬').count() >= 3), "{}", t.text());
    t.keys("q");
    assert_eq!(t.end(), 1, "{header}");
    let usages: Vec<u64> = recorded_samples(file.path()).1.iter().map(|(_, usage)| *usage).collect();
    let top = usages.iter().enumerate().max_by_key(|(_, u)| **u).map_or(0, |(n, _)| n);
    let mut rise: Vec<u64> = usages[..=top].to_vec();
    rise.dedup();
    rise
}

/// When the main process was let go, and the samples: time in seconds, and usage.
fn recorded_samples(path: &Path) -> (f64, Vec<(f64, u64)>) {
    let recording = sandtop::record::read(path).unwrap();
    assert_eq!(recording.damage, None);
    let mut running = None;
    let mut samples = Vec::new();
    for stamped in &recording.events {
        match &stamped.event {
            Event::Running { .. } => running = Some(stamped.at.as_secs_f64()),
            Event::Sample(sample) => samples.push((stamped.at.as_secs_f64(), sample.usage)),
            _ => {}
        }
    }
    (running.expect("a start"), samples)
}

#[test]
fn an_oom_kill_is_in_the_log_at_once() {
    if !kernel_tier("an_oom_kill_is_in_the_log_at_once") {
        return;
    }
    let mut delays = Vec::new();
    for _ in 0..times(20) {
        let script = format!("{SANDTOP} worker fill 200M --rate 200M; sleep 1000");
        let mut t = screen("-m 40M", &["sh", "-c", &script], 120, 40);
        t.wait_text("running");
        let group = made_group(t.sandtop());
        let mut counted = None;
        while !t.text().contains("OOM kill:") {
            if counted.is_none() && oom_kills(&group) > 0 {
                counted = Some(Instant::now());
            }
            t.pump(if counted.is_some() { 10 } else { 1 });
            assert!(counted.is_none_or(|at| at.elapsed().as_secs() < 10), "never told:\n{}", t.text());
        }
        delays.push(counted.map_or(0, |at| at.elapsed().as_millis()));
        t.keys("qy");
        assert_eq!(t.end(), 143);
    }
    delays.sort_unstable();
    println!("from the kernel's counter to the screen, in ms: {delays:?}");
    assert!(*delays.last().unwrap() <= within(100).as_millis(), "{delays:?}");
}

#[test]
fn the_keys_move_the_limit_and_the_kernel_follows() {
    if !kernel_tier("the_keys_move_the_limit_and_the_kernel_follows") {
        return;
    }
    let mut t = screen("-m 100M", &[SANDTOP, "worker", "fill", "61M", "--hold"], 120, 40);
    t.wait("61M in use", |s| holds(s, 61.0));
    let group = made_group(t.sandtop());
    let limit = |group: &Path| limit_of(group);
    assert_eq!(limit(&group), 100 * M);
    t.keys("-");
    t.wait_text("limit 100M → 90M, by you");
    assert_eq!(limit(&group), 90 * M);
    t.wait("the step, and the new limit beside the usage", |s| {
        s.contains('▼') && line(s, " usage ").contains("of 90M")
    });
    t.keys("+");
    t.wait_text("limit 90M → 99M, by you");
    assert_eq!(limit(&group), 99 * M);
    t.keys("=150m\r");
    t.wait_text("limit 99M → 150M, by you");
    assert_eq!(limit(&group), 150 * M);
    assert_eq!(limit_of(&group.join("leaf")), 152 * M + 256 * 1024 * cpus());
    // Below what is in use: what this kernel will do is said before, and it does that.
    t.keys("=50M");
    let will = if is_v2() {
        "cannot be given back: cgroup v2 will kill"
    } else {
        "cannot be given back: cgroup v1 will refuse this"
    };
    t.wait_text(will);
    if is_v2() {
        t.keys("\x1b");
        t.wait("the dialog gone", |s| !s.contains(will));
        assert_eq!(limit(&group), 150 * M);
    } else {
        t.keys("\r");
        t.wait_text("the kernel refused 50M (EBUSY)");
        let column = |s: &str| s.lines().map(|l| l.chars().skip(57).collect::<String>()).collect::<String>();
        let words = |s: &str| column(s).split_whitespace().collect::<Vec<_>>().join(" ");
        t.wait("the whole refusal", |s| {
            words(s).contains("stay in use after a reclaim; the limit stays 150M. 63M would fit")
        });
        assert_eq!(limit(&group), 150 * M);
    }
    // A typing error is told while it is typed, and does nothing.
    t.keys("=12zz\r");
    t.wait_text("is not a size");
    t.keys("\x1b");
    t.wait("the dialog gone", |s| !s.contains("is not a size"));
    t.keys("=max\r");
    t.wait_text("limit 150M → max, by you");
    t.keys("KK"); // asked, and meant
    t.wait_text("SIGKILL");
    t.wait_text("by you");
    t.keys("q");
    assert_eq!(t.end(), 137);
}

#[test]
fn a_limit_below_usage_kills_on_v2_after_it_was_said() {
    let test = "a_limit_below_usage_kills_on_v2_after_it_was_said";
    if !kernel_tier(test) || !is_v2() {
        return not_here(test); // v1 refuses: the test above
    }
    for _ in 0..times(5) {
        let mut t = screen("-m 70M", &[SANDTOP, "worker", "fill", "60M", "--hold"], 200, 50);
        t.wait("60M in use", |s| holds(s, 60.0));
        // One key does not kill: it asks.
        t.keys("--");
        t.wait_text("cannot be given back: cgroup v2 will kill");
        let group = made_group(t.sandtop());
        wait_for("the first of them", || (limit_of(&group) == 63 * M).then_some(()));
        t.keys("\r");
        t.wait_text("limit 63M → 56.7M, by you");
        t.wait_text("OOM kill: ");
        t.wait_text("the 56.7M limit was hit");
        t.wait_text("was killed after");
        assert!(line(&t.text(), "OOM kills").contains(" 1"), "{}", t.text());
        t.keys("q");
        assert_eq!(t.end(), 137);
    }
}

#[test]
fn every_end_is_told_right() {
    let test = "every_end_is_told_right";
    if !kernel_tier(test) || !has(test, "stress") {
        return;
    }
    for (args, command, told, code) in [
        ("", &["true"][..], "exited 0 after", 0),
        ("", &["sh", "-c", "exit 3"], "exited 3 after", 3),
        ("", &["no-such-program"], "no-such-program: command not found", 127),
        ("", &["/etc/passwd"], "cannot be executed: Permission denied", 126),
        ("", &["sh", "-c", "kill -TERM $$"], "was ended by SIGTERM", 143),
        ("--timeout 0.2", &["sleep", "1000"], "timed out", 124),
        ("-m 30M", &[SANDTOP, "worker", "fill", "100M"], "OOM killed", 137),
        ("", &["stress", "--vm-bytes", "200m"], "add -m 1", 0),
    ] {
        let mut t = screen(args, command, 120, 40);
        t.wait_text(told);
        t.wait_ended();
        if command.last() == Some(&"200m") {
            t.wait_text("--hdd-bytes"); // the end of stress's usage
        }
        t.keys("q");
        assert_eq!(t.end(), code, "{command:?}");
        assert!(t.is_cooked() && !t.is_full_screen());
    }
}

#[test]
fn typing_goes_to_the_workload_and_comes_back() {
    if !kernel_tier("typing_goes_to_the_workload_and_comes_back") {
        return;
    }
    let mut t = screen("", &["bash", "--norc"], 100, 30);
    t.type_to_a_shell();
    t.keys("echo $((6*7))-$(tput cols)\r");
    t.wait_text("42-100");
    // Job control inside, Ctrl-C and Ctrl-Z included: they are the workload's while it has the focus.
    t.keys("sleep 1000\r");
    t.wait_text("sleep 1000");
    t.keys("\x1a");
    t.wait_text("Stopped");
    t.keys("bg; jobs\r");
    t.wait_text("Running");
    t.keys("kill -STOP %1\r");
    let group = made_group(t.sandtop());
    let state = |letter: &str| {
        let stats = pids_in(&group).into_iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        stats.into_iter().any(|stat| stat.contains(&format!("(sleep) {letter} ")))
    };
    t.wait("sleep stopped", |_| state("T"));
    // The shell gives its job the terminal, and then lets it go on: once it does, Ctrl-C is for the job.
    t.keys("fg\r");
    t.wait("sleep going on", |_| state("S"));
    t.keys("\x03");
    let last =
        |s: &str| s.lines().rfind(|l| !l.trim().is_empty() && !l.contains("Ctrl-]")).unwrap_or("").trim().to_string();
    t.wait("the prompt", |s| last(s) == "ps:");
    t.keys("echo status $?\r");
    t.wait_text("status 130");
    // q is only a letter there; the way back makes it a key again.
    t.keys("q\x15");
    t.keys("\x1d");
    t.wait("sandtop's keys again", |s| s.contains("? help"));
    t.keys("q");
    t.wait_text("The workload still runs.");
    t.keys("\r");
    assert_eq!(t.end(), 137);
}

#[test]
fn the_screen_follows_the_window_and_says_when_it_is_too_small() {
    if !kernel_tier("the_screen_follows_the_window_and_says_when_it_is_too_small") {
        return;
    }
    let mut t = screen("", &["sh", "-c", "trap 'stty size' WINCH; while :; do sleep 0.01; done"], 80, 24);
    t.wait_text("running");
    t.resize(132, 50);
    t.wait("the footer on the new last line", |s| {
        s.lines().count() == 50 && s.lines().last().is_some_and(|l| l.contains("q quit"))
    });
    t.wait_text(" 132"); // the workload's terminal is as wide as its pane
    t.resize(50, 10);
    t.wait_text("sandtop needs 60×16");
    t.resize(60, 16);
    t.wait_text("running");
    t.keys("?");
    t.wait_text("limit 10 % down");
    t.keys("x");
    t.wait("the help gone", |s| !s.contains("limit 10 % down"));
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn suspend_gives_the_terminal_back_and_resume_takes_it_again() {
    if !kernel_tier("suspend_gives_the_terminal_back_and_resume_takes_it_again") {
        return;
    }
    let state = |pid: i32| {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap_or_default()
            .rsplit(") ")
            .next()
            .and_then(|s| s.chars().next())
    };
    let mut t = screen("", &["sleep", "1000"], 100, 30);
    t.wait_text("running");
    let pid = t.sandtop();
    for how in ["key", "signal"] {
        match how {
            "key" => t.keys("\x1a"),
            _ => kill(Pid::from_raw(pid), Signal::SIGTSTP).unwrap(),
        }
        wait_for("sandtop stopped", || (state(pid) == Some('T')).then_some(()));
        while t.pump(10) {}
        assert!(t.is_cooked() && !t.is_full_screen(), "{how}");
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        t.wait("the screen again", |s| s.contains("running") && s.contains("q quit"));
        assert!(t.is_full_screen() && !t.is_cooked(), "{how}");
    }
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn signals_give_the_terminal_back_and_leave_nothing() {
    if !kernel_tier("signals_give_the_terminal_back_and_leave_nothing") {
        return;
    }
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
        let mut t = screen("", &["sleep", "1000"], 100, 30);
        t.wait_text("running");
        let pid = t.sandtop();
        let group = made_group(pid);
        kill(Pid::from_raw(pid), signal).unwrap();
        assert_eq!(t.end(), code, "{signal}");
        assert!(t.is_cooked() && !t.is_full_screen(), "{signal}: the terminal was not given back");
        assert!(!group.exists(), "{signal}");
    }
}

#[test]
fn a_held_command_starts_with_enter() {
    if !kernel_tier("a_held_command_starts_with_enter") {
        return;
    }
    let mut t = screen("--hold", &["echo", "now-it-runs"], 100, 30);
    t.wait_text("‖ held");
    assert!(!t.text().lines().any(|l| l.starts_with("now-it-runs")), "{}", t.text());
    t.keys("\r");
    t.wait("its output", |s| s.lines().any(|l| l.starts_with("now-it-runs")));
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
}

#[test]
fn a_hundred_megabytes_of_output_cost_neither_memory_nor_samples() {
    if !kernel_tier("a_hundred_megabytes_of_output_cost_neither_memory_nor_samples") || !cfg!(debug_assertions) {
        return;
    }
    let rss = |pid: i32| -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = "0123456789 the quick brown fox jumps over the lazy dog 0123456789";
    let bytes = if emulated() { 10_000_000 } else { 100_000_000 };
    // What can be scrolled back to takes memory once, and is full before it is looked at.
    let script = format!(
        "yes '{line}' | head -n 2100; echo full; read go; yes '{line}' | head -c {bytes}; echo; echo the-very-last-line"
    );
    let command = Sandtop::with(&format!("--record {}", file.path().display())).cmd(["sh", "-c", &script]);
    let mut t = Terminal::start(command.raw(), 120, 40);
    t.wait("the history", |s| s.lines().any(|l| l.trim() == "full"));
    t.keys("i");
    t.wait_text("typing goes to the workload");
    let pid = t.sandtop();
    let before = rss(pid);
    t.keys("\r");
    let mut most = 0;
    t.wait("the end", |screen| {
        most = most.max(rss(pid));
        screen.contains("exited 0")
    });
    t.wait("the last line", |s| s.lines().any(|l| l.starts_with("the-very-last-line")));
    t.keys("q");
    assert_eq!(t.end(), 0);
    let grown = most.saturating_sub(before);
    let (running, samples) = recorded_samples(file.path());
    let times: Vec<f64> = samples.iter().map(|(at, _)| *at).filter(|at| *at > running).collect();
    let latest = times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    println!(
        "{bytes} bytes of output: RSS grew by {grown} KiB, the longest gap between samples was {:.0} ms",
        latest * 1000.0
    );
    assert!(grown < 8 * 1024, "{grown} KiB");
    assert!(latest < within(300).as_secs_f64(), "{latest} s");
}

#[test]
fn one_ctrl_c_is_one_sigint() {
    let test = "one_ctrl_c_is_one_sigint";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    // os.write, not print: the signal may come while the first line is being printed.
    let script = "import os,signal,sys,time\nn=0\nsay=lambda text: os.write(1,text.encode())\ndef got(*_):\n    global n\n    n+=1\n    say(f'got {n}\\n')\ndef end(*_):\n    say(f'total {n}\\n'); sys.exit(0)\nsignal.signal(signal.SIGINT,got); signal.signal(signal.SIGUSR1,end)\nsay('ready\\n')\nwhile True: time.sleep(0.2)";
    let mut t = screen("run", &["python3", "-c", script], 80, 24);
    t.wait_text("ready");
    let pid = t.sandtop();
    t.keys("\x03");
    t.wait_text("got 1");
    // Whatever else was sent for that key was sent before this, and is delivered before it.
    kill(Pid::from_raw(pid), Signal::SIGUSR1).unwrap();
    t.wait("the total", |s| s.lines().any(|l| l.starts_with("total ") && l.len() > 6));
    assert!(t.text().contains("total 1"), "{}", t.text());
    assert_eq!(t.end(), 0);
}

#[test]
fn an_interactive_shell_in_run_has_its_jobs() {
    if !kernel_tier("an_interactive_shell_in_run_has_its_jobs") {
        return;
    }
    let mut t = screen("run", &["bash", "--norc", "-i"], 100, 30);
    t.wait_text("bash-");
    t.keys("PS1=ps:\r");
    t.wait_prompt("ps:");
    assert!(!t.text().contains("no job control"), "{}", t.text());
    t.keys("sleep 1000\r");
    wait_for("sleep in the foreground", || {
        fs::read_to_string(format!("/proc/{}/comm", pids_in(&group_of(t.sandtop())?).into_iter().max()?))
            .ok()?
            .starts_with("sleep")
            .then_some(())
    });
    t.keys("\x1a");
    t.wait_text("Stopped");
    t.keys("bg\r");
    t.wait_text("sleep 1000 &");
    t.keys("jobs\r");
    t.wait_text("Running");
    let shell = t.foreground();
    t.keys("fg\r");
    t.wait_foreground_not(shell);
    t.keys("\x03");
    t.wait_prompt("ps:");
    t.keys("echo status $?\r");
    t.wait_text("status 130");
    t.keys("exit 6\r");
    assert_eq!(t.end(), 6);
}

#[test]
fn ctrl_z_stops_run_and_its_workload_as_without_sandtop() {
    if !kernel_tier("ctrl_z_stops_run_and_its_workload_as_without_sandtop") {
        return;
    }
    // An outer shell: it is what sees sandtop stop, and brings it back.
    let outer = format!("{SANDTOP} run -- sh -c 'echo started; exec sleep 1000'");
    let mut command = std::process::Command::new("bash");
    command.args(["--norc", "-i"]);
    let mut t = Terminal::start(command, 120, 30);
    t.wait_text("bash-");
    t.keys("PS1=outer:\r");
    t.wait_prompt("outer:");
    t.keys(&format!("{outer}\r"));
    t.wait("the workload", |s| s.lines().any(|l| l.trim() == "started"));
    t.keys("\x1a");
    t.wait_prompt("outer:");
    assert!(t.text().contains("Stopped"), "{}", t.text());
    let shell = t.foreground();
    t.keys("fg\r");
    t.wait_foreground_not(shell);
    t.keys("\x03");
    t.wait_prompt("outer:");
    t.keys("echo status $?\r");
    t.wait_text("status 130");
    t.keys("exit\r");
    t.end();
}

#[test]
fn an_editor_works_in_run_and_on_the_screen() {
    let test = "an_editor_works_in_run_and_on_the_screen";
    if !kernel_tier(test) || !has(test, "vim") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (n, args) in ["run", ""].iter().enumerate() {
        let file = dir.path().join(format!("text{n}"));
        let mut t = screen(args.trim(), &["vim", "-u", "NONE", file.to_str().unwrap()], 100, 40);
        if n == 1 {
            t.wait_text("typing goes to the workload"); // as to each program that draws full-screen
        }
        t.wait("vim's empty lines", |s| s.lines().filter(|l| l.trim() == "~").count() > 5);
        t.keys("ihello from inside\x1b");
        t.wait_text("hello from inside");
        t.keys(":wq\r");
        if n == 1 {
            t.wait_text("exited 0");
            t.keys("q");
        }
        assert_eq!(t.end(), 0);
        assert_eq!(fs::read_to_string(&file).unwrap(), "hello from inside\n");
    }
}

#[test]
fn no_color_is_told_by_weight_alone() {
    if !kernel_tier("no_color_is_told_by_weight_alone") {
        return;
    }
    let mut command = Sandtop::with("").cmd(["sh", "-c", "printf '\\033[31mred\\033[0m\\n'"]).raw();
    command.env("NO_COLOR", "1");
    let mut t = Terminal::start_as_is(command, 100, 30);
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
    let raw = String::from_utf8_lossy(&t.raw).into_owned();
    let colours = ["\x1b[31m", "\x1b[36m", "\x1b[38;5;", "\x1b[38;2;"].iter().filter(|c| raw.contains(**c)).count();
    assert_eq!(colours, 0, "colours under NO_COLOR");
}

#[test]
fn keys_that_come_faster_than_the_kernel_answers_all_count() {
    if !kernel_tier("keys_that_come_faster_than_the_kernel_answers_all_count") {
        return;
    }
    let mut t = screen("-m 200M", &["sleep", "1000"], 120, 40);
    t.wait_text("running");
    let group = made_group(t.sandtop());
    t.keys("-----");
    let mut expected = 200 * M;
    for _ in 0..5 {
        expected = (expected - expected / 10) / 4096 * 4096;
    }
    wait_for("five steps down", || (limit_of(&group) == expected).then_some(()));
    t.wait_text("→ 118M, by you");
    assert!(!t.text().contains("default"), "{}", t.text());
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn a_pipe_is_the_workloads_standard_input_on_the_screen_too() {
    if !kernel_tier("a_pipe_is_the_workloads_standard_input_on_the_screen_too") {
        return;
    }
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("echo through-the-pipe | {SANDTOP} -- cat")]);
    let mut t = Terminal::start(command, 100, 30);
    t.wait_text("through-the-pipe");
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
}

#[test]
fn what_a_workload_prints_stays_in_its_pane() {
    if !kernel_tier("what_a_workload_prints_stays_in_its_pane") {
        return;
    }
    // A title, the clipboard, a device query, a jump out of the pane, and a reset.
    let script = r"printf '\033]0;STOLEN\007\033]52;c;U1RPTEVO\007\033[c\033[6n\033[1;1HHERE\033c\033[?1049hAFTER\n'; sleep 1000";
    let mut t = screen("", &["sh", "-c", script], 100, 30);
    // Not in the header or the log, which tell the command; and a program that draws full-screen takes the keys.
    t.wait("its output", |s| s.lines().any(|l| l.starts_with("AFTER")) && s.contains("typing goes to the workload"));
    let raw = String::from_utf8_lossy(&t.raw).into_owned();
    assert!(
        !raw.contains("\x1b]0;STOLEN") && !raw.contains("\x1b]52;") && !raw.contains("\x1bc"),
        "an escape sequence came through"
    );
    assert!(t.text().lines().next().is_some_and(|l| l.contains("sandtop") || l.contains("running")), "{}", t.text());
    t.keys("\x1d");
    t.wait("sandtop's keys", |s| !s.contains("typing goes to the workload"));
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn a_limit_that_something_else_changed_is_noticed_and_followed() {
    if !kernel_tier("a_limit_that_something_else_changed_is_noticed_and_followed") {
        return;
    }
    let mut t = screen("-m 200M", &["sleep", "1000"], 120, 40);
    t.wait_text("running");
    let group = made_group(t.sandtop());
    // After an edit of our own the watch goes on.
    t.keys("-");
    t.wait_text("limit 200M → 180M, by you");
    set_limit(&group, 120 * M);
    t.wait_text("the limit is 120M now: something else changed it");
    t.wait("the new limit beside the usage", |s| line(s, " usage ").contains("of 120M"));
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn a_workload_is_frozen_and_goes_on() {
    if !kernel_tier("a_workload_is_frozen_and_goes_on") {
        return;
    }
    let mut t =
        screen("-m 100M", &["sh", "-c", "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done"], 120, 40);
    t.wait_text("tick 3");
    t.keys("f");
    if can_freeze() {
        t.wait_text("‖ frozen");
        t.keys("f");
        t.wait_text("● running");
    } else {
        t.wait_text("the sandbox cannot be frozen");
    }
    t.keys("KK"); // asked, and meant // the end comes whether it is frozen or not
    t.wait_text("SIGKILL");
    t.keys("q");
    assert_eq!(t.end(), 137);
}
