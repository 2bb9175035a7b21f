//! Nothing outlives sandtop: kills at random moments, every signal, panics of our own, and what `sandtop clean` touches.

mod common;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use common::{terminal::Terminal, *};
use nix::sys::signal::Signal;

/// A small generator, so that a run of random moments can be told again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// Processes whose environment carries this mark.
fn marked(mark: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| String::from_utf8_lossy(&env).contains(mark))
    })
    .collect()
}

#[test]
fn a_killed_sandtop_takes_the_sandbox_with_it() {
    if !kernel_tier("a_killed_sandtop_takes_the_sandbox_with_it") {
        return;
    }
    let mut random = Random(std::process::id().into());
    println!("seed {}", random.0);
    let mut slowest = Duration::ZERO;
    for round in 0..times(100) {
        let mark = format!("SANDTOP_TEST_MARK={}-{round}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let size = [8, 64, 256, 512][random.below(4) as usize];
        let script = format!("setsid sleep 1000 & (sleep 1001 &) ; exec {SANDTOP} worker fill {size}M --hold");
        let child = Sandtop::with("run -m max").env(name, value).cmd(["sh", "-c", &script]).start();
        // Any moment from before there is a sandbox to after all is filled.
        let moment = Duration::from_micros(random.below(400_000));
        let start = Instant::now();
        let _ = wait_until(moment, || (start.elapsed() >= moment).then_some(()));
        let group = group_of(child.pid());
        child.signal(Signal::SIGKILL);
        let killed = Instant::now();
        let empty = || {
            let left = group.as_deref().map(pids_in).unwrap_or_default();
            (left.is_empty() && marked(&mark).iter().all(|pid| *pid == child.pid())).then_some(())
        };
        wait_until(Duration::from_secs(5), empty).unwrap_or_else(|| panic!("{:?} live on", marked(&mark)));
        slowest = slowest.max(killed.elapsed());
        drop(child);
    }
    println!("the last process of a killed sandtop was gone after at most {slowest:?}");
    assert!(slowest < within(100), "{slowest:?}");
    let cleaned = Sandtop::with("clean").go();
    assert_eq!(cleaned.code, 0, "{}", cleaned.err);
    let dead = |name: String| !Path::new("/proc").join(name.split('-').next().unwrap()).exists();
    let left: Vec<String> = fs::read_dir(parent_of_groups().join("sandtop"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| dead(n.clone()))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn signals_to_sandtop_end_the_run_and_leave_nothing() {
    if !kernel_tier("signals_to_sandtop_end_the_run_and_leave_nothing") {
        return;
    }
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
        // One that dies of it, and one that catches it and says good-bye.
        for script in ["exec sleep 1000", "trap 'echo bye; exit 0' INT HUP TERM; while :; do sleep 0.01; done"] {
            let child = Sandtop::run("").sh(script).start();
            let group = child.group();
            if script.starts_with("trap") {
                // The last of the three; SIGINT a shell catches by itself.
                wait_for("the trap", || {
                    let pid = *pids_in(&group).first()?;
                    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                    let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"))?.trim().to_string();
                    (u64::from_str_radix(&caught, 16).ok()? & 1 << (Signal::SIGTERM as u64 - 1) != 0).then_some(())
                });
            }
            child.signal(signal);
            let ended = child.wait();
            assert_eq!((ended.code, ended.outcome()), (code, "stopped_by_user"), "{signal} {script}: {}", ended.err);
            assert_eq!(ended.out.contains("bye"), script.starts_with("trap"), "{signal}");
            assert!(!group.exists(), "{signal}: {} stays", group.display());
        }
    }
}

#[test]
fn other_signals_are_passed_on() {
    if !kernel_tier("other_signals_are_passed_on") {
        return;
    }
    for (signal, name) in [(Signal::SIGUSR1, "USR1"), (Signal::SIGUSR2, "USR2"), (Signal::SIGQUIT, "QUIT")] {
        let script = format!("echo ready; trap 'echo got {name}; exit 7' {name}; while :; do sleep 0.01; done");
        let child = Sandtop::run("").sh(&script).start();
        let group = child.group();
        wait_for("the trap", || {
            let status = fs::read_to_string(format!("/proc/{}/status", pids_in(&group).first()?)).ok()?;
            let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"))?.trim().to_string();
            (u64::from_str_radix(&caught, 16).ok()? & 1 << (signal as u64 - 1) != 0).then_some(())
        });
        child.signal(signal);
        let ended = child.wait();
        assert_eq!((ended.code, ended.out.as_str()), (7, format!("ready\ngot {name}\n").as_str()), "{}", ended.err);
    }
}

#[test]
fn a_lost_init_is_said_to_be_lost() {
    if !kernel_tier("a_lost_init_is_said_to_be_lost") {
        return;
    }
    let child = Sandtop::run("").cmd(["sleep", "1000"]).start();
    let group = child.group();
    let init = init_of(child.pid());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), Signal::SIGKILL).unwrap();
    let ended = child.wait();
    assert_eq!((ended.code, ended.outcome()), (125, "sandbox_lost"), "{}", ended.err);
    assert!(!group.exists());
}

#[test]
fn a_panic_of_ours_is_one_line_and_leaves_nothing() {
    if !kernel_tier("a_panic_of_ours_is_one_line_and_leaves_nothing") || !cfg!(debug_assertions) {
        return;
    }
    let child = Sandtop::with("run").env("SANDTOP_PANIC", "supervisor").cmd(["sleep", "1000"]).start();
    let pid = child.pid();
    let ended = child.wait();
    assert_eq!(ended.code, 125, "{}", ended.err);
    assert!(ended.err.starts_with("sandtop: internal error") && !ended.err.contains("backtrace"), "{}", ended.err);
    assert_eq!(group_of(pid), None);
    for place in ["supervisor", "screen"] {
        let mut terminal =
            Terminal::start(Sandtop::with("").env("SANDTOP_PANIC", place).cmd(["sleep", "1000"]).raw(), 100, 30);
        assert_eq!(terminal.end(), 125, "{place}");
        assert!(terminal.is_cooked() && !terminal.is_full_screen(), "{place}: the terminal was not given back");
        assert!(terminal.after_screen().contains("internal error"), "{place}: {}", terminal.after_screen());
    }
}

#[test]
fn clean_removes_what_is_dead_and_nothing_else() {
    if !kernel_tier("clean_removes_what_is_dead_and_nothing_else") {
        return;
    }
    let group = ParentGroup::create("clean");
    let parent = group.dir.display().to_string();
    let clean = || Sandtop::with(&format!("clean {}", group.option())).go();
    assert_eq!(clean().out, format!("nothing to clean below {parent}\n"));
    let live = Sandtop::run(&group.option()).cmd(["sleep", "1000"]).start();
    wait_for("a live group", || fs::read_dir(format!("{parent}/sandtop")).ok()?.flatten().find(|e| e.path().is_dir()));
    let inode = fs::read_link("/proc/self/ns/pid").unwrap().display().to_string();
    let inode = inode.trim_matches(|c: char| !c.is_ascii_digit());
    for group in [format!("{}-1-{inode}", std::process::id()), format!("{}-1-1", std::process::id()), "not-ours".into()]
    {
        fs::create_dir_all(format!("{parent}/sandtop/{group}/leaf")).unwrap();
    }
    // A process that a dead sandtop left: it is killed, by pid.
    let mut left = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(format!("{parent}/sandtop/{}-1-{inode}/leaf/cgroup.procs", std::process::id()), left.id().to_string())
        .unwrap();
    let cleaned = clean();
    assert_eq!(cleaned.code, 0, "{}", cleaned.err);
    assert!(cleaned.out.contains(&format!("removed {}-1-{inode}", std::process::id())), "{}", cleaned.out);
    assert!(!left.wait().unwrap().success());
    let mut there: Vec<String> = fs::read_dir(format!("{parent}/sandtop"))
        .unwrap()
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    let mut expected = vec![format!("{}-1-1", std::process::id()), "not-ours".into()];
    expected.extend(there.iter().find(|n| n.starts_with(&format!("{}-", supervisor_of(live.pid())))).cloned());
    expected.sort();
    assert_eq!(there, expected);
    assert_eq!(there.len(), 3);
    live.signal(Signal::SIGTERM);
    live.wait();
    for dir in [
        format!("{}-1-1/leaf", std::process::id()),
        format!("{}-1-1", std::process::id()),
        "not-ours/leaf".into(),
        "not-ours".into(),
        ".".into(),
    ] {
        let _ = fs::remove_dir(format!("{parent}/sandtop/{dir}"));
    }
    fs::remove_dir(format!("{parent}/sandtop")).unwrap();
    fs::remove_dir(parent).unwrap();
}

#[test]
fn a_parent_that_ignores_sigchld_or_sighup_is_no_trouble() {
    let test = "a_parent_that_ignores_sigchld_or_sighup_is_no_trouble";
    if !kernel_tier(test) {
        return;
    }
    // Daemons and cron start programs like this; the end must be seen all the same, and the workload finds it as it was.
    let run = |options: &[&str]| {
        let mut command = std::process::Command::new("env");
        command.args(options).args([SANDTOP, "run", "-q", "--", "grep", "SigIgn", "/proc/self/status"]); // no shell: they reset it
        let output = command.output().unwrap();
        assert!(output.status.success());
        u64::from_str_radix(String::from_utf8_lossy(&output.stdout).trim_start_matches("SigIgn:").trim(), 16).unwrap()
    };
    assert_eq!(run(&["--ignore-signal=CHLD"]) & 1 << (Signal::SIGCHLD as u64 - 1), 1 << (Signal::SIGCHLD as u64 - 1));
    assert_eq!(run(&["--default-signal"]) & 0x7fff_ffff, 0); // the two above are the C library's own
    // nohup: a hang-up is nothing to sandtop, and nothing to the workload.
    let mut nohup = std::process::Command::new("env");
    nohup.args(["--ignore-signal=HUP", SANDTOP, "run", "-q", "--", "sh", "-c", "kill -HUP $$; exit 9"]);
    let mut child = nohup.spawn().unwrap();
    let pid = child.id() as i32;
    let _ = wait_until(Duration::from_secs(5), || {
        group_of(pid).or_else(|| child.try_wait().ok()?.map(|_| Default::default()))
    });
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGHUP);
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

/// A FUSE server for python: takes the first request after the greeting, and never answers it. `OWN` mounts it in a user namespace of its own, where who
/// asked holds the connection itself, so that not even the server's end frees it.
const FUSE: &str = r#"
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
own, at = sys.argv[1] == 'own', sys.argv[2]
if own:
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(0x10000000 | 0x20000): sys.exit('unshare')
    open('/proc/self/setgroups', 'w').write('deny')
    open('/proc/self/uid_map', 'w').write(f'0 {uid} 1'); open('/proc/self/gid_map', 'w').write(f'0 {gid} 1')
fd = os.open('/dev/fuse', os.O_RDWR)
if libc.mount(b'x', at.encode(), b'fuse', 0, f'fd={fd},rootmode=40000,user_id=0,group_id=0'.encode()):
    sys.exit('mount: ' + os.strerror(ctypes.get_errno()))
request = os.read(fd, 1 << 17)
unique = struct.unpack('=IIQ', request[:16])[2]
ahead = struct.unpack('=IIII', request[40:56])[2]
body = struct.pack('=IIIIHHIIHHI7I', 7, 31, ahead, 0, 0, 0, 1 << 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
os.write(fd, struct.pack('=IiQ', 16 + len(body), 0, unique) + body)
if own and os.fork() == 0:
    try: os.stat(at + '/x')
    except OSError: pass
    os._exit(0)
os.read(fd, 1 << 17)
print('taken', flush=True)
time.sleep(1000)
"#;

#[test]
fn who_waits_for_a_file_system_that_does_not_answer_holds_up_no_end() {
    let test = "who_waits_for_a_file_system_that_does_not_answer_holds_up_no_end";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    if !Path::new("/dev/fuse").exists() {
        return not_here(test);
    }
    let dir = tempfile::tempdir().unwrap();
    let (script, at) = (dir.path().join("fuse.py"), dir.path().join("at"));
    fs::write(&script, FUSE).unwrap();
    fs::create_dir(&at).unwrap();
    let argv = |whose: &str| {
        let words = ["python3".into(), script.display().to_string(), whose.into(), at.display().to_string()];
        words.into_iter().collect::<Vec<String>>()
    };
    // The workload's own: its connection is aborted, and all end.
    let start = Instant::now();
    let ended = Sandtop::run("--timeout 2").cmd(argv("own")).go();
    assert_eq!((ended.code, ended.outcome()), (124, "timed_out"), "{}", ended.err);
    assert!(ended.out.contains("taken") && !ended.err.contains("cannot end yet"), "{}{}", ended.out, ended.err);
    println!("with a FUSE server of its own: {:?} after --timeout 2", start.elapsed());
    // One outside, which is nobody's to abort: what waits for it is left, with its limit, and named.
    let mut server = std::process::Command::new("python3").args(&argv("host")[1..]).spawn().unwrap();
    wait_for("the mount", || fs::read_to_string("/proc/mounts").ok()?.contains(at.to_str()?).then_some(()));
    let start = Instant::now();
    let ended = Sandtop::run("--timeout 1").sh(&format!("exec stat {} >/dev/null 2>&1", at.join("x").display())).go(); // who waits holds no pipe of ours
    let took = start.elapsed();
    println!("waiting for another's: {took:?} after --timeout 1");
    assert!(took < within(7000), "{took:?}");
    assert_eq!((ended.code, ended.number("left_behind")), (124, 1), "{}", ended.err);
    let told = ["stat (", "state D", "killed, and cannot end yet", "the limit of 100M stays on it", "sandtop clean"];
    assert!(told.iter().all(|words| ended.err.contains(words)), "{}", ended.err);
    let cleaned = Sandtop::with("clean").go();
    assert!(cleaned.code == 125 && cleaned.err.contains("stat ("), "{}", cleaned.err);
    server.kill().unwrap();
    server.wait().unwrap();
    let group = memory_root().join(ended.field("group").as_str().unwrap().trim_start_matches('/'));
    wait_for("the end of who waited", || pids_in(&group).is_empty().then_some(()));
    assert_eq!(Sandtop::with("clean").go().code, 0);
    assert!(!group.exists());
    let _ = nix::mount::umount2(&at, nix::mount::MntFlags::MNT_DETACH);
}

#[test]
fn clean_finds_what_is_left_in_every_hierarchy_and_below_every_parent() {
    let test = "clean_finds_what_is_left_in_every_hierarchy_and_below_every_parent";
    if !kernel_tier(test) {
        return;
    }
    let parent = ParentGroup::create("twins");
    let mut sandtop = Sandtop::with(&format!("run --pids-limit 50 --cpus 1 {}", parent.option()))
        .cmd(["sleep", "1000"])
        .raw()
        .spawn()
        .unwrap();
    let name = parent.group(sandtop.id() as i32).file_name().unwrap().to_string_lossy().into_owned();
    sandtop.kill().unwrap();
    sandtop.wait().unwrap();
    let left = || {
        let output = std::process::Command::new("find").args(["/sys/fs/cgroup", "-name", &name, "-type", "d"]).output();
        String::from_utf8_lossy(&output.unwrap().stdout).lines().count()
    };
    let groups = left();
    assert!(groups >= if is_v2() { 1 } else { 3 }, "{groups}");
    let cleaned = Sandtop::with(&format!("clean {}", parent.option())).go();
    assert_eq!((cleaned.code, left()), (0, 0), "{}{}", cleaned.out, cleaned.err);
    println!("{groups} groups of one sandbox, all removed");
}
