//! `sandtop run` on the real kernel: outcomes, exit codes, what is counted, what is refused.

mod common;

use std::{fs, os::unix::fs::MetadataExt};

use common::*;
use nix::sys::signal::Signal;
use sandtop::event::{Event, Settings};

const M: u64 = 1 << 20;

#[test]
fn the_signature_line_is_killed_and_lives_to_say_so() {
    let test = "the_signature_line_is_killed_and_lives_to_say_so";
    if !kernel_tier(test) || !has(test, "stress") {
        return;
    }
    for _ in 0..times(50) {
        let run = || Sandtop::run("-m 100M").cmd(["stress", "--vm-bytes", "200m", "--vm-keep", "-m", "1"]).go();
        let mut ended = run();
        while took_both(ended.outcome() == "oom_killed" && ended.number("oom_kills") > 1) {
            ended = run();
        }
        assert_eq!((ended.code, ended.outcome()), (1, "oom_survived"), "{}", ended.err);
        assert_eq!(ended.number("exit_code"), 1);
        assert!(ended.number("oom_kills") >= 1 && ended.number("limit_hits") > 0, "{:?}", ended.json);
        assert!(ended.number("peak_bytes").abs_diff(100 * M) <= M, "{:?}", ended.json);
        assert_eq!(ended.number("limit_bytes"), 100 * M);
        assert!(ended.field("signal").is_null() && ended.field("wall_seconds").is_f64());
        assert_eq!(ended.field("limit_is_default"), false);
        let last = ended.err.lines().rfind(|line| line.starts_with("sandtop: "));
        assert!(last.is_some_and(|line| line.contains("OOM killer took 1 other process (stress)")), "{}", ended.err);
    }
}

#[test]
fn a_main_process_that_is_the_victim_ends_137_and_oom_killed() {
    if !kernel_tier("a_main_process_that_is_the_victim_ends_137_and_oom_killed") {
        return;
    }
    for _ in 0..times(20) {
        let ended = Sandtop::run("-m 40M").worker("fill 200M").go();
        assert_eq!((ended.code, ended.outcome(), ended.number("signal")), (137, "oom_killed", 9), "{}", ended.err);
        assert!(ended.field("exit_code").is_null());
    }
}

#[test]
fn a_kill_from_outside_ends_137_and_is_no_oom_kill() {
    if !kernel_tier("a_kill_from_outside_ends_137_and_is_no_oom_kill") {
        return;
    }
    for _ in 0..times(20) {
        let child = Sandtop::run("").cmd(["sleep", "1000"]).start();
        let pid = pids_in(&child.group())[0];
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let ended = child.wait();
        assert_eq!((ended.code, ended.outcome()), (137, "signalled"), "{}", ended.err);
        assert_eq!(ended.number("oom_kills"), 0);
    }
}

#[test]
fn a_kill_from_outside_after_an_oom_kill_of_a_child_is_no_oom_kill_either() {
    if !kernel_tier("a_kill_from_outside_after_an_oom_kill_of_a_child_is_no_oom_kill_either") {
        return;
    }
    let script = format!("{SANDTOP} worker fill 200M; kill -KILL $$");
    let ended = Sandtop::run("-m 40M").sh(&script).go();
    assert_eq!((ended.code, ended.outcome(), ended.number("oom_kills")), (137, "signalled", 1), "{}", ended.err);
}

#[test]
fn no_page_is_uncounted() {
    if !kernel_tier("no_page_is_uncounted") {
        return;
    }
    let mut peaks = Vec::new();
    for _ in 0..times(100) {
        let ended = Sandtop::run("-m 100M").worker("fill 64M").go();
        assert_eq!(ended.outcome(), "exited", "{}", ended.err);
        peaks.push(ended.number("peak_bytes"));
    }
    println!("peaks of a 64 MiB fill: {} to {} bytes", peaks.iter().min().unwrap(), peaks.iter().max().unwrap());
    assert!(peaks.iter().all(|peak| (64 * M..=67 * M).contains(peak)), "{peaks:?}");
}

#[test]
fn exit_codes_are_those_that_shells_know() {
    if !kernel_tier("exit_codes_are_those_that_shells_know") {
        return;
    }
    for (options, script, code, outcome) in [
        ("", "exit 0", 0, "exited"),
        ("", "exit 3", 3, "exited"),
        ("", "kill -KILL $$", 137, "signalled"),
        ("", "kill -TERM $$", 143, "signalled"),
        ("--timeout 0.2", "sleep 1000", 124, "timed_out"),
        ("--timeout 0.2", "trap '' TERM; while :; do sleep 0.1; done", 124, "timed_out"),
    ] {
        let ended = Sandtop::run(options).sh(script).go();
        assert_eq!((ended.code, ended.outcome()), (code, outcome), "{script}: {}", ended.err);
    }
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = Sandtop::run("").cmd([&script]).go();
    assert_eq!((ended.code, ended.outcome()), (126, "failed_to_start"), "{}", ended.err);
    assert!(ended.err.contains("missing") && !ended.err.contains("not found"), "{}", ended.err);
    let ended = Sandtop::run("").cmd(["a\x1b[31m\nb"]).go();
    assert!(!ended.err.contains('\x1b') && ended.err.lines().count() == 1, "{:?}", ended.err);
    for (command, code, word) in [
        ("/etc/passwd", 126, "Permission denied"),
        ("no-such-program", 127, "not found"),
        ("/no/such", 127, "not found"),
    ] {
        let ended = Sandtop::run("").cmd([command]).go();
        assert_eq!((ended.code, ended.outcome()), (code, "failed_to_start"), "{}", ended.err);
        assert!(ended.err.contains(word) && ended.err.contains(command), "{}", ended.err);
        assert!(ended.field("exit_code").is_null() && ended.field("wall_seconds").is_null());
    }
}

#[test]
fn a_script_without_a_first_line_runs_as_shells_run_it() {
    if !kernel_tier("a_script_without_a_first_line_runs_as_shells_run_it") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "echo \"$1\"; exit 5\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = Sandtop::run("").cmd([script.as_os_str(), "hello".as_ref()]).go();
    assert_eq!((ended.code, ended.out.as_str()), (5, "hello\n"), "{}", ended.err);
}

#[test]
fn what_sandtop_cannot_do_is_125_and_one_line() {
    if !kernel_tier("what_sandtop_cannot_do_is_125_and_one_line") {
        return;
    }
    for (args, word) in [
        ("run --no-such-option true", "--no-such-option"),
        ("--json - true", "sandtop run"),
        ("run -m -- true", "-m needs a size"),
        ("run -m 100 true", "unit"),
        ("run -m 0 true", "1.5G"),
        ("run -m -5 true", "1.5G"),
        ("run -m 12zz true", "1.5G"),
        ("run -m 18446744073709551616 true", "1.5G"),
        ("run -m 9223372036854775808 true", "1.5G"),
        ("run --cgroup-parent /no/such true", "/no/such"),
        ("run -u no-such-user true", "no-such-user"),
        ("run -w /no/such true", "/no/such"),
        ("run --json /no/such/file true", "/no/such/file"),
        ("run --network host --unshare net true", "contradict"),
        ("run -e =x true", "NAME=VALUE"),
        ("run -m +10% true", "1.5G"),
        ("run --memory-swap 50M true", "as docker has it"),
        ("run -m max --memory-swap 50M true", "as docker has it"),
        ("run --memory-swap lots true", "1.5G"),
        ("run", "no command"),
        ("", "sandtop demo"),
    ] {
        let ended = Sandtop::with(args).go();
        assert_eq!(ended.code, 125, "{args}: {}", ended.err);
        assert!(ended.err.starts_with("sandtop: ") && ended.err.contains(word), "{args}: {}", ended.err);
        assert!(ended.err.lines().count() <= 2, "{args}: {}", ended.err);
    }
    let empty = Sandtop::with("run").raw().args(["-m", "", "true"]).output().unwrap();
    assert_eq!(empty.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("1.5G"));
}

#[test]
fn sizes_are_taken_as_docker_takes_them() {
    if !kernel_tier("sizes_are_taken_as_docker_takes_them") {
        return;
    }
    for size in ["64m", "64M", "64MiB"] {
        assert_eq!(Sandtop::run(&format!("-m {size}")).cmd(["true"]).go().number("limit_bytes"), 64 * M, "{size}");
    }
    assert_eq!(Sandtop::run("-m 1.5G").cmd(["true"]).go().number("limit_bytes"), 1536 * M);
    assert_eq!(Sandtop::run("-m 0.5g").cmd(["true"]).go().number("limit_bytes"), 512 * M);
    assert!(Sandtop::run("-m max").cmd(["true"]).go().field("limit_bytes").is_null());
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo.lines().next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let half = Sandtop::run("-m 50%").cmd(["true"]).go().number("limit_bytes");
    assert!(half.abs_diff(total * 1024 / 2) <= M, "{half} of {total} kB");
}

#[test]
fn without_root_the_remedy_is_named_with_the_full_path() {
    if !kernel_tier("without_root_the_remedy_is_named_with_the_full_path") {
        return;
    }
    // A copy that nobody may run: the build folder need not be open to all.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("sandtop");
    fs::copy(SANDTOP, &copy).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), open).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["run", "true"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains(&format!("sudo {}", copy.display())), "{said}");
}

#[test]
fn without_a_memory_controller_nothing_pretends() {
    if !kernel_tier("without_a_memory_controller_nothing_pretends") {
        return;
    }
    let script = format!("umount -l /sys/fs/cgroup; exec {SANDTOP} run true");
    let output = std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("no memory controller") && said.contains("mount -t cgroup"), "{said}");
    assert!(said.contains("sandtop doctor") && said.lines().count() == 2, "{said}");
}

#[test]
fn under_sudo_the_workload_is_the_caller_and_files_are_the_callers() {
    if !kernel_tier("under_sudo_the_workload_is_the_caller_and_files_are_the_callers") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    nix::unistd::chown(home.path(), Some(65534.into()), Some(65534.into())).unwrap();
    let json = home.path().join("result.json");
    let as_caller = |command: &[&str]| {
        let mut raw = Sandtop::with("run -q --json").raw();
        raw.arg(&json)
            .arg("--")
            .args(command)
            .env("SUDO_UID", "65534")
            .env("SUDO_GID", "65534")
            .env("SUDO_USER", "nobody");
        raw.current_dir(home.path()).output().unwrap()
    };
    let output = as_caller(&["id", "-u"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "65534\n");
    let output = as_caller(&[
        "sh",
        "-c",
        "echo $USER; touch made-inside; grep -c '^Cap\\(Prm\\|Eff\\|Inh\\|Amb\\):.0*$' /proc/self/status",
    ]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "nobody\n4\n");
    let roots: Vec<_> =
        fs::read_dir(home.path()).unwrap().flatten().filter(|e| e.metadata().unwrap().uid() == 0).collect();
    assert!(roots.is_empty(), "root's: {roots:?}");
    // -u root is said aloud, and is root.
    let mut raw = Sandtop::with("run -q -u root -- id -u").raw();
    let output = raw.env("SUDO_UID", "65534").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n");
}

#[test]
fn the_default_limit_says_whose_it_is() {
    if !kernel_tier("the_default_limit_says_whose_it_is") {
        return;
    }
    let ended = Sandtop::run("").cmd(["true"]).go();
    assert!(ended.err.contains("100M (sandtop's default; -m max for none)"), "{}", ended.err);
    assert_eq!(ended.field("limit_is_default"), true);
    let ended = Sandtop::run("-m 100M").cmd(["true"]).go();
    assert!(!ended.err.contains("default"), "{}", ended.err);
    assert_eq!(Sandtop::run("-q").cmd(["true"]).go().err, "");
}

#[test]
fn streams_are_untouched_and_json_can_go_to_stdout() {
    if !kernel_tier("streams_are_untouched_and_json_can_go_to_stdout") {
        return;
    }
    let output = Sandtop::with("run -q --json - -- sh -c").raw().arg("printf out; printf err >&2").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(out.starts_with("out{\"schema\":2,") && out.contains("\"outcome\":\"exited\""), "{out}");
    assert_eq!(output.stderr, b"err");
    // What is open without sandtop is open inside, and nothing else; a variable is set.
    let script = "ls /proc/self/fd | tr '\\n' ' '; echo $WORD";
    let plain = std::process::Command::new("sh").args(["-c", script]).env("WORD", "said").output().unwrap();
    let ended = Sandtop::run("-e WORD=said").sh(script).go();
    assert_eq!(ended.out, String::from_utf8_lossy(&plain.stdout));
    // stdin is passed on.
    let mut command = Sandtop::with("run -q -- cat").raw();
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through");
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    if !kernel_tier("a_closed_pipe_is_a_quiet_end") {
        return;
    }
    let script =
        format!("{SANDTOP} run --json - -- true | true; {SANDTOP} --help | true; {SANDTOP} run -- yes | head -n 1");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.stdout, b"y\n");
    assert!(!said.contains("panicked") && !said.contains("internal"), "{said}");
}

#[test]
fn commands_that_cannot_work_here_are_told_so_in_one_line() {
    if !kernel_tier("commands_that_cannot_work_here_are_told_so_in_one_line") {
        return;
    }
    let told = |ended: &Ended, word: &str| ended.err.lines().filter(|line| line.contains(word)).count();
    // The programs need not be there: their names say enough.
    for (command, word) in [
        ("docker", "docker run -m"),
        ("kubectl", "resources.limits"),
        ("systemctl", "set-property"),
        ("systemd-run", "MemoryMax"),
    ] {
        let ended = Sandtop::run("").cmd([command, "--version"]).go();
        assert_eq!(told(&ended, word), 1, "{command}: {}", ended.err);
    }
    // What a right would have helped is said after the failure, and not where there was none.
    for (options, line, word, times) in [
        ("-u nobody", "su root -c true", "--allow-new-privs", 1),
        ("", "su nobody -s /bin/true", "--allow-new-privs", 0),
        ("", "mount -t tmpfs x /mnt", "--cap-add SYS_ADMIN", 1),
        ("--cap-add SYS_ADMIN", "mount -t tmpfs x /mnt", "--cap-add", 0),
        ("", "nice -n -5 true", "--cap-add SYS_NICE", 1),
        ("--cap-add SYS_NICE", "nice -n -5 true", "--cap-add", 0),
        ("", "nice -n 5 true", "--cap-add", 0),
    ] {
        let ended = Sandtop::run(options).cmd(line.split(' ')).go();
        assert_eq!(told(&ended, word), times, "{options} {line}: {}", ended.err);
    }
    let nested = Sandtop::run("").cmd([SANDTOP, "run", "--", "true"]).go();
    assert!(nested.err.contains("inside another sandtop"), "{}", nested.err);
    let ended = Sandtop::run("").cmd(["podman", "--remote", "ps"]).go();
    assert_eq!(told(&ended, "podman run -m"), 1, "{}", ended.err);
}

#[test]
fn stress_without_workers_is_told_what_is_missing_and_a_missing_stress_where_to_get_it() {
    let test = "stress_without_workers_is_told_what_is_missing_and_a_missing_stress_where_to_get_it";
    if !kernel_tier(test) || !has(test, "stress") {
        return;
    }
    let ended = Sandtop::run("").cmd(["stress", "--vm-bytes", "200m"]).go();
    assert_eq!(ended.code, 0);
    assert!(ended.out.contains("Usage: stress"), "{}", ended.out);
    assert!(ended.err.contains("add -m 1"), "{}", ended.err);
    let ended = Sandtop::run("-e PATH=/nowhere").cmd(["stress", "-m", "1"]).go();
    assert_eq!(ended.code, 127);
    assert!(ended.err.contains("apt install stress") && ended.err.contains("sandtop demo"), "{}", ended.err);
}

#[test]
fn the_demo_tells_the_story_of_stress() {
    if !kernel_tier("the_demo_tells_the_story_of_stress") {
        return;
    }
    let ended = Sandtop::with("demo").go();
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.out.contains("was killed by signal 9"), "{}", ended.out);
    assert!(ended.err.contains("OOM killer took 1 other process (worker)"), "{}", ended.err);
    let ended = Sandtop::with("demo -m 300M").go();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("has filled 200M"), "{}", ended.out);
}

#[test]
fn options_of_launch_do_what_they_say() {
    if !kernel_tier("options_of_launch_do_what_they_say") {
        return;
    }
    let said = |options: &str, script: &str| Sandtop::run(options).sh(script).go().out;
    let namespace = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string() + "\n";
    assert_eq!(said("--hostname box", "hostname"), "box\n");
    assert_eq!(said("-w /usr", "pwd"), "/usr\n");
    assert_eq!(said("-e A=b -e C=", "echo $A-${C-unset}-"), "b--\n");
    assert_eq!(said("-u 65534:7", "id -u; id -g"), "65534\n7\n");
    assert_eq!(said("-u nobody", "id -un; echo $USER"), "nobody\nnobody\n");
    assert_eq!(said("--network none", "ls /sys/class/net; cat /sys/class/net/lo/operstate").lines().next(), Some("lo"));
    assert_eq!(said("--network none", "grep -c . /proc/net/dev"), "3\n");
    for name in ["pid", "mnt", "cgroup", "uts", "ipc"] {
        assert_ne!(said("", &format!("readlink /proc/self/ns/{name}")), namespace(name), "{name}");
    }
    for name in ["uts", "ipc", "net"] {
        assert_eq!(said("--unshare none", &format!("readlink /proc/self/ns/{name}")), namespace(name), "{name}");
    }
    assert_ne!(said("--unshare net", "readlink /proc/self/ns/net"), namespace("net"));
    assert_eq!(said("", "echo $$; cat /proc/1/comm"), "2\nsandtop-init\n");
    // A private /dev/shm with the ipc namespace.
    assert_eq!(said("", "touch /dev/shm/sandtop-test; ls /dev/shm"), "sandtop-test\n");
    assert!(!std::path::Path::new("/dev/shm/sandtop-test").exists());
}

#[test]
fn a_held_command_starts_when_told() {
    if !kernel_tier("a_held_command_starts_when_told") {
        return;
    }
    let child = Sandtop::run("--hold").cmd(["echo", "now"]).start();
    init_of(child.pid());
    assert!(pids_in(&made_group(child.pid())).is_empty());
    child.signal(Signal::SIGUSR1);
    let ended = child.wait();
    assert_eq!((ended.code, ended.out.as_str()), (0, "now\n"), "{}", ended.err);
}

#[test]
fn what_is_left_behind_is_killed_and_counted() {
    if !kernel_tier("what_is_left_behind_is_killed_and_counted") {
        return;
    }
    let ended = Sandtop::run("").sh("setsid sleep 1000 & (sleep 1001 & sleep 1002 &) ; exit 4").go();
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("3 processes were left behind, and killed"), "{}", ended.err);
}

#[test]
fn a_group_can_be_made_below_another() {
    if !kernel_tier("a_group_can_be_made_below_another") {
        return;
    }
    let parent = ParentGroup::create("parent");
    // Seen from outside while it runs, gone after.
    let child = Sandtop::run(&parent.option()).cmd(["sleep", "1000"]).start();
    assert_eq!(limit_of(&parent.group(child.pid())), 100 * M);
    child.signal(Signal::SIGTERM);
    assert_eq!(child.wait().code, 143);
    assert!(!parent.dir.join("sandtop").exists());
}

#[test]
fn beside_v1_a_twin_group_tells_time_lost_to_waiting_and_goes_with_the_run() {
    let test = "beside_v1_a_twin_group_tells_time_lost_to_waiting_and_goes_with_the_run";
    let unified = std::path::Path::new("/sys/fs/cgroup/unified");
    if !kernel_tier(test) || is_v2() || !unified.join("cgroup.procs").exists() {
        assert!(!expected("twin"), "this machine was to have a v2 hierarchy beside v1");
        return not_here(test);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let child = Sandtop::run(&format!("-m 40M --record {}", file.path().display()))
        .sh(&format!("{SANDTOP} worker fill 64M; exec sleep 1000"))
        .start();
    let group = child.group();
    let twin = unified.join("sandtop").join(group.file_name().unwrap());
    wait_for("the main process in the twin as well", || {
        (pids_in(&group).len() == 1 && pids_in(&twin) == pids_in(&group)).then_some(())
    });
    let last = |wanted: fn(Event) -> Option<Settings>| {
        sandtop::record::read(file.path()).ok()?.events.into_iter().rev().find_map(|stamped| wanted(stamped.event))
    };
    let settings = |event| if let Event::Settings(settings) = event { Some(*settings) } else { None };
    let now = wait_for("the settings", || last(settings));
    assert_eq!((now.can.freeze, now.can.pressure, now.frozen), (true, true, Some(false)));
    // Frozen from outside: it is seen, and the end of the run comes all the same.
    fs::write(twin.join("cgroup.freeze"), "1").unwrap();
    wait_for("frozen, in the settings", || last(settings).filter(|s| s.frozen == Some(true)));
    wait_for("pressure in a sample", || {
        let events = sandtop::record::read(file.path()).ok()?.events;
        events.iter().any(|s| matches!(&s.event, Event::Sample(s) if s.pressure.is_some())).then_some(())
    });
    child.signal(Signal::SIGKILL);
    wait_for("an empty group", || pids_in(&group).is_empty().then_some(()));
    child.wait();
    Sandtop::with("clean").go();
    assert!(!twin.exists() && !group.exists());
}

/// Swap that is free on this machine, in bytes.
fn free_swap() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find_map(|l| l.strip_prefix("SwapFree:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[test]
fn without_leave_nothing_is_swapped_out_and_with_it_a_fill_lives() {
    let test = "without_leave_nothing_is_swapped_out_and_with_it_a_fill_lives";
    if !kernel_tier(test) || free_swap() < 64 * M {
        assert!(!expected("swap"), "this machine was to have swap");
        return not_here(test); // tests/vm has a machine with swap
    }
    println!("with {} bytes of swap", free_swap());
    let ended = Sandtop::run("-m 40M").worker("fill 60M").go();
    assert_eq!((ended.code, ended.outcome()), (137, "oom_killed"), "{}", ended.err);
    for both in ["max", "120M"] {
        let ended = Sandtop::run(&format!("-m 40M --memory-swap {both}")).worker("fill 60M").go();
        assert_eq!((ended.code, ended.outcome()), (0, "exited"), "{both}: {}", ended.err);
        assert!(ended.number("peak_bytes") <= highest(40 * M), "{both}: {:?}", ended.json);
        // What memory alone does not tell: at least 20M of the 60M were swapped out.
        let swapping = ended.field("swapping");
        assert!(swapping["peak_bytes"].as_u64() >= Some(19 * M), "{both}: {swapping:#}");
        assert!(is_v2() || swapping["peak_with_memory_bytes"].as_u64() >= Some(59 * M), "{both}: {swapping:#}");
        assert!(ended.err.contains(" in swap, "), "{both}: {}", ended.err);
    }
    // As much as the limit: no swap.
    let ended = Sandtop::run("-m 40M --memory-swap 40M").worker("fill 60M").go();
    assert_eq!((ended.code, ended.outcome()), (137, "oom_killed"), "{}", ended.err);
}

#[test]
fn the_limit_holds_whatever_use_hierarchy_is_on_this_kernel() {
    if !kernel_tier("the_limit_holds_whatever_use_hierarchy_is_on_this_kernel") {
        return;
    }
    let file = memory_root().join("memory.use_hierarchy");
    let before = fs::read_to_string(file).map(|text| text.trim().to_string());
    println!("memory.use_hierarchy: {before:?}");
    assert!(!expected("hier0") || before.is_ok_and(|text| text == "0"), "this machine was to have use_hierarchy 0");
    let ended = Sandtop::run("-m 40M").worker("fill 100M").go();
    assert!(ended.code == 125 || ended.outcome() == "oom_killed", "{} {}", ended.code, ended.err);
    println!("{}", ended.err);
}

#[test]
fn a_limit_below_what_a_process_needs_at_all_is_a_story_and_not_a_crash() {
    if !kernel_tier("a_limit_below_what_a_process_needs_at_all_is_a_story_and_not_a_crash") {
        return;
    }
    for size in ["4K", "64K", "300K"] {
        let ended = Sandtop::run(&format!("-m {size}")).cmd(["true"]).go();
        assert!([0, 125, 126, 137].contains(&ended.code), "{size}: {} {}", ended.code, ended.err);
    }
    assert!(!parent_of_groups().join("sandtop").exists() || group_of(std::process::id() as i32).is_none());
}

#[test]
fn what_is_open_in_the_shell_reaches_the_command() {
    let test = "what_is_open_in_the_shell_reaches_the_command";
    if emulated() {
        return not_here(test); // which descriptors are handed on is the same on every kernel
    }
    if !kernel_tier(test) || !has(test, "bash") || !has(test, "flock") || !has(test, "make") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let makefile = format!(
        "all: a b\na b:\n\t+@{SANDTOP} run -q -- $(MAKE) -s -f $(firstword $(MAKEFILE_LIST)) in-$@\nin-%:\n\t@echo $@\n"
    );
    fs::write(dir.path().join("Makefile"), makefile).unwrap();
    let s = format!("{SANDTOP} run -q --");
    for (line, out) in [
        (format!("{s} cat <(echo a) <(echo b)"), "a\nb\n"),
        (format!("(flock 9; {s} sh -c 'flock -n 9 && echo mine') 9>lock"), "mine\n"),
        // Another descriptor of the same file has not got the lock.
        (format!("(flock 9; {s} sh -c 'flock -n 8 || echo others') 8>lock2 9>lock2"), "others\n"),
        (format!("{s} sh -c 'cat <&7; echo done >&8' 7<<<here 8>out; cat out"), "here\ndone\n"),
        // What is handed on ends with the command, not with sandtop: this reads until then.
        (
            format!(
                "{s} sh -c 'echo x >&3; exec 3>&-; sleep 0.1' 3> >(cat > got; echo end >> got); while ! grep -q end got; do :; done; cat got"
            ),
            "x\nend\n",
        ),
        ("make -j2 2>&1 | sort".into(), "in-a\nin-b\n"),
        (format!("{s} head -c 8 < /proc/meminfo"), "MemTotal"),
    ] {
        let output = std::process::Command::new("bash").args(["-c", &line]).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(String::from_utf8_lossy(&output.stdout), out, "{line}: {said}");
    }
    // What could lead past the limit stays behind, and is named where the command names it.
    let bash = |line: &str| {
        let output = std::process::Command::new("bash").args(["-c", line]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = bash(&format!("{SANDTOP} run -- ls /dev/fd/7 7</sys/fs/cgroup"));
    assert_ne!(code, Some(0));
    assert!(said.contains("descriptor 7 is not handed on: it is the directory /sys/fs/cgroup"), "{said}");
    for stream in ["</", "</sys/fs/cgroup", "</proc/sys/kernel/core_pattern", ">/proc/self/oom_score_adj"] {
        let (code, said) = bash(&format!("{SANDTOP} run -- true {stream}"));
        assert_eq!(code, Some(125), "{stream}: {said}");
        assert!(said.contains("through which a command could reach past its limit"), "{stream}: {said}");
    }
}

#[test]
fn a_working_directory_is_entered_or_the_reason_is_said() {
    let test = "a_working_directory_is_entered_or_the_reason_is_said";
    if !kernel_tier(test) || !has(test, "setpriv") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sh = |line: &str| {
        let output = std::process::Command::new("sh").args(["-c", line]).current_dir(dir.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, said) = sh(&format!("mkdir gone; cd gone; rmdir ../gone; {SANDTOP} run -- pwd"));
    assert_eq!(code, Some(125));
    assert!(said.contains("cannot tell the working directory"), "{said}");
    let (code, _, said) = sh(&format!(
        "mkdir -p /dev/shm/sandtop-cwd; cd /dev/shm/sandtop-cwd; {SANDTOP} run -- pwd; c=$?; rmdir /dev/shm/sandtop-cwd; exit $c"
    ));
    assert_eq!(code, Some(125));
    assert!(said.contains("cannot start in /dev/shm/sandtop-cwd") && said.contains("--unshare uts"), "{said}");
    // A directory that root cannot enter and the user can, as on NFS or FUSE: root without the right to pass by modes.
    let own = dir.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&own, Some(65534), Some(65534)).unwrap();
    let weak = "setpriv --bounding-set -dac_override,-dac_read_search --inh-caps -all";
    let parent = ParentGroup::create("cwd"); // the root of a v2 hierarchy is nobody's to write by its mode
    let inside = format!("cd own; {weak} {SANDTOP} run -u nobody {} --no-keep -- pwd", parent.option());
    let (code, out, said) = sh(&inside);
    assert_eq!((code, out.trim()), (Some(0), own.to_str().unwrap()), "{said}");
}

#[test]
fn small_things_that_went_wrong_without_a_word() {
    if !kernel_tier("small_things_that_went_wrong_without_a_word") {
        return;
    }
    let ended = Sandtop::run("-u 1234").sh("echo $HOME $USER").go();
    assert_eq!(ended.out, "/ 1234\n");
    let ended = Sandtop::run("").cmd(["dmeo"]).go();
    assert!(ended.err.contains("sandtop demo"), "{}", ended.err);
    // The last line is the verdict.
    assert!(ended.err.lines().last().unwrap().ends_with("dmeo: command not found"), "{}", ended.err);
    let long = "x".repeat(130_000);
    let ended = Sandtop::with("run -m").raw().arg(&long).arg("true").output().unwrap();
    assert!(ended.stderr.len() < 4000, "{}", ended.stderr.len());
    let words: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let ended =
        Sandtop::run("-m 20M").cmd([SANDTOP, "worker", "fill", "64M"].map(String::from).into_iter().chain(words)).go();
    assert!(ended.err.len() < 8000, "{}", ended.err.len());
    let ended = Sandtop::run("-m 64M --memory-swap max").cmd(["true"]).go();
    let swap = fs::read_to_string("/proc/swaps").unwrap().lines().count() > 1;
    assert_ne!(ended.err.contains("this machine has no swap"), swap, "{}", ended.err);
}
