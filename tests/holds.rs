//! What the sandbox holds against, judged by its effect: after every attack a fill of 200 MiB still dies at its limit of 64 MiB.
//! And what must work inside all the same.
//!
//! Each attack proves that it was made: what it prints on its way has to be there. As root all are made one by one (but in an emulated machine, which is slow); as nobody, in a nested user
//! namespace, in a chroot and on the screen in one go, and one by one with SANDTOP_TEST_FULL.

mod common;

use std::{fs, path::Path, process::Command};

use common::{terminal::Terminal, *};
use serde_json::Value;

const M: u64 = 1 << 20;

/// A way to the limit, or to the kernel's work outside.
struct Attack {
    name: &'static str,
    /// For sh; what it prints goes to stderr.
    script: String,
    /// What must be among that: it was really tried.
    proofs: Vec<&'static str>,
}

fn attack(name: &'static str, script: &str, proofs: &[&'static str]) -> Attack {
    Attack { name, script: script.into(), proofs: proofs.to_vec() }
}

/// Who makes it, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Root,
    Nobody,
    NestedUserNamespace,
    /// A plain directory.
    Chroot,
    /// A directory on which something is mounted, as runtimes make them.
    MountedChroot,
    Screen,
}

const WAYS: [Way; 6] = [Way::Root, Way::Nobody, Way::NestedUserNamespace, Way::Chroot, Way::MountedChroot, Way::Screen];

/// Tries to raise every limit that is to be found in any cgroup mount, and in the directories that are given.
const RAISE_ALL: &str = r#"
raise_all() {
    for dir in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts) "$@"; do
        for file in $(find "$dir" \( -name memory.limit_in_bytes -o -name memory.max \) 2>/dev/null); do
            { echo -1 > "$file"; echo max > "$file"; } 2>/dev/null && echo "WRITTEN $file"
        done
        for file in $(find "$dir" -name cgroup.procs 2>/dev/null | head -50); do { echo $$ > "$file"; } 2>/dev/null; done
    done
    echo "raised what could be"
}
"#;

/// What python needs to make a system call by its number.
const SYSCALL: &str = r#"
import ctypes, os, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, x86, arm, *args):
    number = x86 if platform.machine() == 'x86_64' else arm
    ctypes.set_errno(0)
    got = libc.syscall(number, *args)
    print(name, got, ctypes.get_errno(), file=sys.stderr)
"#;

/// `open_by_handle_at` with the handle that the root of every kernfs hierarchy has: type 0xfe, id 1.
const HANDLE: &str = r#"
import struct
for mount in ['/sys/fs/cgroup/memory', '/sys/fs/cgroup', '/sys', '/']:
    for ino in (1, 0x100000001):
        try: fd = os.open(mount, os.O_RDONLY)
        except OSError: continue
        handle = struct.pack('=Ii', 8, 0xfe) + struct.pack('=Q', ino)
        got = libc.open_by_handle_at(fd, handle, os.O_RDONLY)
        print('handle', got, ctypes.get_errno(), file=sys.stderr)
        if got >= 0:
            for top, dirs, files in os.walk(f'/proc/self/fd/{got}'):
                for name, value in [('memory.limit_in_bytes', '-1'), ('memory.max', 'max')]:
                    if name in files:
                        try: open(os.path.join(top, name), 'w').write(value)
                        except OSError as e: print(name, e, file=sys.stderr)
"#;

fn python(body: &str) -> String {
    format!("python3 - <<'PYTHON'\n{SYSCALL}{body}\nPYTHON")
}

/// Every road that was ever found.
fn attacks() -> Vec<Attack> {
    let nested = |flags: &str| {
        format!(
            r#"unshare {flags} sh -c 'echo "inside {flags}"; d=$(mktemp -d); mount -t tmpfs x $d && echo "mounted {flags}"
mount -t cgroup -o memory x $d; mount -t cgroup2 x $d; mount --rbind / $d; mount --bind /sys/fs/cgroup $d
for f in $(find $d/sys/fs/cgroup /sys/fs/cgroup \( -name memory.limit_in_bytes -o -name memory.max \) 2>/dev/null); do echo 777M > $f; echo -1 > $f; echo max > $f; done
umount -l /proc; umount -l /sys/fs/cgroup; mount -o remount,rw /sys/fs/cgroup/memory; echo "tried {flags}"'"#
        )
    };
    vec![
        attack("write", "raise_all; echo WROTE", &["raised what could be", "WROTE"]),
        attack(
            "remount",
            "for at in /sys/fs/cgroup /sys/fs/cgroup/memory /sys /proc/sys; do mount -o remount,rw $at; mount -o remount,rw,bind $at; done; raise_all; echo REMOUNTED",
            &["REMOUNTED"],
        ),
        attack(
            "umount",
            "for at in /sys/fs/cgroup/memory /sys/fs/cgroup /sys /proc/sys /proc; do umount -l $at; done; raise_all; echo UNMOUNTED",
            &["UNMOUNTED"],
        ),
        attack(
            "fresh mount",
            "d=$(mktemp -d); mount -t cgroup -o memory x $d; mount -t cgroup2 x $d; mount -t proc x $d; mount -t sysfs x $d; raise_all $d; echo MOUNTED",
            &["MOUNTED"],
        ),
        attack("nested user namespace", &nested("-Urm"), &["inside -Urm", "mounted -Urm", "tried -Urm"]),
        attack("nested namespaces with a root", &nested("-Urmpfn"), &["inside -Urmpfn", "tried -Urmpfn"]),
        // The filter refuses it: what it would do is never begun.
        attack("cgroup namespace", "unshare -UrmC true || echo REFUSED", &["REFUSED"]),
        attack(
            "init's namespaces",
            "nsenter -t 1 -a true; nsenter -t 1 -m true; ls /proc/1/root/; echo -1 > /proc/1/root/sys/fs/cgroup/memory/memory.limit_in_bytes; kill -9 1; kill -TERM 1; raise_all; echo ENTERED",
            &["ENTERED"],
        ),
        attack(
            "helpers",
            "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /sys/kernel/uevent_helper /proc/sys/kernel/poweroff_cmd /proc/sys/vm/overcommit_memory; do echo '|/tmp/x' > $f; done; echo f > /proc/sysrq-trigger; echo 1 > /proc/sys/vm/drop_caches; find /sys/kernel /sys/module -name '*helper*' -writable -exec sh -c 'echo x > {}' \\;; echo HELPED",
            &["HELPED"],
        ),
        attack(
            "devices",
            "mknod /tmp/sandtop-node b 254 0 && rm /tmp/sandtop-node; head -c 1 /dev/mem; head -c 1 /proc/kcore; swapoff -a; hostname changed; echo DEVICES",
            &["DEVICES"],
        ),
        attack("handle", &python(HANDLE), &["handle -1 "]),
        attack(
            "calls",
            // The numbers are the kernel's; each is answered EPERM (1), whatever its arguments.
            &python(
                "call('request_key', 249, 218, b'user', b'sandtop:x', b'x', -1)\ncall('add_key', 248, 217, b'user', b'x', b'x', 1, -3)\ncall('keyctl', 250, 219, 0, -3, 1)\ncall('acct', 163, 89, b'/tmp/sandtop-acct')\ncall('bpf', 321, 280, 0, 0, 0)\ncall('perf_event_open', 298, 241, 0, 0, -1, -1, 0)\ncall('vhangup', 153, 58)\nlimits = (ctypes.c_ulong * 2)(1, 1)\ncall('prlimit', 302, 261, 1, 0, limits, None)\ncall('cgroup_namespace', 272, 97, 0x02000000)\ncall('tiocsti', 16, 29, 0, 0x5412, b'x')",
            ),
            &[
                "request_key -1 1",
                "add_key -1 1",
                "keyctl -1 1",
                "acct -1 1",
                "bpf -1 1",
                "perf_event_open -1 1",
                "vhangup -1 1",
                "prlimit -1 1",
                "cgroup_namespace -1 1",
                "tiocsti -1 1",
            ],
        ),
        attack(
            "init's turn",
            &python(
                "def tried(name, what):\n    try: what(); print(name, 'done', file=sys.stderr)\n    except OSError as e: print(name, e.errno, file=sys.stderr)\ntried('affinity', lambda: os.sched_setaffinity(1, {0}))\ntried('idle', lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))\ntried('nice', lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))",
            ),
            &["affinity 1", "idle 1"],
        ),
        attack(
            "chroot",
            &python(
                "os.makedirs('/tmp/sandtop-jail', exist_ok=True)\ntry:\n    os.chroot('/tmp/sandtop-jail')\n    for n in range(64): os.chdir('..')\n    os.chroot('.')\n    print('left the chroot', file=sys.stderr)\nexcept OSError as e: print('chroot refused', e.errno, file=sys.stderr)\nfor top, dirs, files in os.walk('/sys/fs/cgroup'):\n    for name, value in [('memory.limit_in_bytes', '-1'), ('memory.max', 'max')]:\n        if name in files:\n            try: open(os.path.join(top, name), 'w').write(value); print('WRITTEN', top, file=sys.stderr)\n            except OSError: pass\nprint('walked', file=sys.stderr)",
            ),
            &["walked"],
        ),
        attack(
            "descriptors",
            "for fd in 3 4 5 6 7 8 9; do if [ -e /proc/self/fd/$fd ]; then ls -l /proc/self/fd/$fd; raise_all /proc/self/fd/$fd/; fi; done; for fd in 0 1 2; do { echo -1 >> /proc/self/fd/$fd; } 2>/dev/null; done; echo DESCRIPTORS",
            &["DESCRIPTORS"],
        ),
    ]
}

/// Makes attacks in one sandbox, then fills. The limit must have held.
fn make(way: Way, attacks: &[&Attack]) {
    let names: Vec<&str> = attacks.iter().map(|attack| attack.name).collect();
    let host = host_switches();
    let scripts: Vec<String> = attacks.iter().map(|attack| format!("(\n{}\n)", attack.script)).collect();
    let nested = way == Way::NestedUserNamespace;
    let file = tempfile::NamedTempFile::new().unwrap();
    let all = format!("{RAISE_ALL}{}", scripts.join("\n"));
    fs::write(file.path(), all).unwrap();
    fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let script = file.path().display();
    let runs = if nested { format!("unshare -Urm sh {script}") } else { format!("sh {script}") };
    let line = format!("{runs} >&2; exec {SANDTOP} worker fill 200M");
    let (json, said) = match way {
        Way::Screen => on_the_screen(&line),
        Way::Chroot | Way::MountedChroot => in_a_chroot(&line, way == Way::MountedChroot),
        _ => {
            let user = if way == Way::Nobody { "-u nobody" } else { "" };
            let ended = Sandtop::run(&format!("-m 64M {user}")).dir(Path::new("/")).sh(&line).go();
            (ended.json.expect("a result"), ended.err)
        }
    };
    assert_eq!(json["outcome"], "oom_killed", "{way:?} {names:?}: {said}");
    // Who is being killed, and what the kernel may not refuse itself, is charged beyond the limit (1.5M was seen); a way past it leads far.
    let peak = json["peak_bytes"].as_u64().unwrap();
    assert!(peak <= highest(64 * M) + 4 * M, "{way:?} {names:?}: peak {peak}");
    assert!(!said.contains("WRITTEN /"), "{way:?} {names:?}: {said}");
    assert_eq!(host, host_switches(), "{way:?} {names:?} changed the host: {said}");
    for attack in attacks {
        for proof in &attack.proofs {
            // A plain user cannot do all that makes an attack, and in a nested namespace the same call may fail for another reason.
            let weak = way == Way::Nobody || nested;
            let tried = said.contains(proof) || weak && said.contains(proof.split(' ').next().unwrap());
            assert!(tried, "{way:?} {}: no {proof:?}, it was never made: {said}", attack.name);
        }
    }
}

/// The result of a run on the screen, and what it printed there.
fn on_the_screen(line: &str) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let (recording, said) = (dir.path().join("x.jsonl"), dir.path().join("said"));
    let line = format!("exec 2>{}; {line}", said.display());
    let command = Sandtop::with(&format!("-m 64M --record {}", recording.display())).sh(&line).raw();
    let mut t = Terminal::start(command, 100, 30);
    t.wait_text("OOM killed");
    wait_for("its end", || derived(&replay(&recording))["outcome"].is_string().then_some(()));
    t.keys("q");
    t.end();
    (derived(&replay(&recording)), fs::read_to_string(said).unwrap())
}

/// The same where sandtop itself is started in a chroot, which whoever has CAP_SYS_CHROOT can leave for the host's root.
fn in_a_chroot(line: &str, mounted: bool) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let (root, json) = (dir.path().join("root"), tempfile::NamedTempFile::new().unwrap());
    fs::create_dir_all(root.join("jail")).unwrap();
    let jail = root.join("jail").display().to_string();
    let script = format!(
        r#"set -e; {}cd {jail}; for d in $(ls /); do
    if [ -d /$d ] && [ ! -L /$d ] && [ $d != proc ]; then mkdir -p ./$d; mount --rbind /$d ./$d; elif [ -L /$d ]; then cp -P /$d ./$d; fi; done
mkdir -p proc; mount -t proc x ./proc; mount --bind /sys/fs/cgroup /mnt
exec chroot . {SANDTOP} run --no-keep --json {} -m 64M -- sh -c "$LINE""#,
        if mounted { format!("mount --bind {jail} {jail}; ") } else { String::new() },
        json.path().display()
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).env("LINE", line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = fs::read_to_string(json.path()).unwrap();
    (serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {said}")), said)
}

/// Host-wide switches through which a workload could have the kernel do its work outside.
fn host_switches() -> Vec<(String, String)> {
    let files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hotplug",
        "/sys/kernel/uevent_helper",
        "/proc/sys/kernel/hostname",
        "/sys/fs/cgroup/memory/release_agent",
    ];
    files.iter().map(|file| (file.to_string(), fs::read_to_string(file).unwrap_or_default())).collect()
}

#[test]
fn no_road_leads_past_the_limit() {
    let test = "no_road_leads_past_the_limit";
    if !kernel_tier(test) || !has(test, "python3") || !has(test, "unshare") || !has(test, "nsenter") {
        return;
    }
    let attacks = attacks();
    for way in WAYS {
        if way == Way::Root && !emulated() || is_full() {
            attacks.iter().for_each(|attack| make(way, &[attack]));
        }
        make(way, &attacks.iter().collect::<Vec<_>>());
    }
    println!("{} roads, {} ways: 0 past the limit", attacks.len(), WAYS.len());
}

#[test]
fn a_working_directory_in_the_hosts_hierarchy_is_no_way_around_the_view() {
    if !kernel_tier("a_working_directory_in_the_hosts_hierarchy_is_no_way_around_the_view") {
        return;
    }
    let script = format!(
        "{RAISE_ALL} raise_all . >&2; for f in $(find . -name memory.limit_in_bytes -o -name memory.max); do echo max > $f; echo -1 > $f; done; echo $$ > cgroup.procs; exec {SANDTOP} worker fill 200M"
    );
    let ended = Sandtop::run("-m 64M").dir(memory_root()).sh(&script).go();
    assert_eq!(ended.outcome(), "oom_killed", "{}", ended.err);
    assert!(ended.err.contains("raised what could be") && !ended.err.contains("WRITTEN"), "{}", ended.err);
}

#[test]
fn a_cgroup_mount_that_lies_below_another_stays_there() {
    let test = "a_cgroup_mount_that_lies_below_another_stays_there";
    if !kernel_tier(test) || !has(test, "unshare") {
        return;
    }
    let (dir, json) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let at = dir.path().display();
    let mount = if is_v2() { "mount -t cgroup2 x" } else { "mount -t cgroup -o memory x" };
    let attack = format!(
        "{RAISE_ALL} cat {at}/cover >&2; raise_all {at} >&2; umount {at}; raise_all {at} >&2; echo here > {at}/writable && echo writable >&2; exec {SANDTOP} worker fill 200M"
    );
    let line = format!(
        "{mount} {at} && mount -t tmpfs y {at} && echo covered > {at}/cover && exec {SANDTOP} run --no-keep --json {} -m 64M -- sh -c \"$ATTACK\"",
        json.path().display()
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &line]).env("ATTACK", attack).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let json: Value =
        serde_json::from_str(&fs::read_to_string(json.path()).unwrap()).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(json["outcome"], "oom_killed", "{said}");
    // What lies over it is there, and as it was.
    assert!(said.contains("covered") && said.contains("\nwritable") && !said.contains("WRITTEN"), "{said}");
}

#[test]
fn a_limit_that_holds_us_holds_the_workload() {
    let test = "a_limit_that_holds_us_holds_the_workload";
    if !kernel_tier(test) {
        return;
    }
    let outer = ParentGroup::create("outer");
    set_limit(&outer.dir, 100 * M);
    let procs = outer.dir.join("cgroup.procs").display().to_string();
    let fill = format!("{SANDTOP} run -q -m 300M -- {SANDTOP} worker fill 200M");
    let sh = |line: String| {
        let output = Command::new("sh").args(["-c", &line]).env("XDG_STATE_HOME", "/nonexistent").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // A shell is in the group, as in a job of a batch system, and sandtop beside it.
    let (code, said) = sh(format!("echo $$ > {procs}; {fill}; code=$?; exit $code"));
    match is_v2() {
        false => assert_eq!(code, Some(137), "{said}"),
        true => {
            assert_eq!(code, Some(125), "{said}");
            let words = ["is limited (memory.max 100M)", "Delegate=yes", "--cgroup-parent /"];
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
    // Alone in it: below it, on both; and the group is given back.
    if is_v2() {
        let _ = fs::write(outer.dir.join("cgroup.subtree_control"), "-memory");
    }
    let (code, said) = sh(format!("echo $$ > {procs}; exec {fill}"));
    assert_eq!(code, Some(137), "{said}");
    // A group below that one, without a limit of its own.
    let inner = outer.dir.join("inner");
    fs::create_dir(&inner).unwrap();
    let (code, said) = sh(format!("echo $$ > {}/cgroup.procs; {fill}; code=$?; exit $code", inner.display()));
    assert!([Some(137), Some(125)].contains(&code), "{code:?} {said}");
    // By the user's word that limit is left.
    let (code, said) =
        sh(format!("echo $$ > {procs}; {} ; code=$?; exit $code", fill.replace("-q", "-q --cgroup-parent /")));
    assert_eq!(code, Some(0), "{said}");
    fs::remove_dir(&inner).unwrap();
    println!("under 100M, with -m 300M, a fill of 200M dies");
}

#[test]
fn what_people_use_works_inside() {
    let test = "what_people_use_works_inside";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    let mut lines = vec![
        ("-m 256M", "python3 -c 'import subprocess; print(subprocess.check_output([\"echo\", \"x\"]))'"),
        ("", "unshare -Ur id -u | grep -qx 0"),
        ("", "unshare -Urpf sh -c 'test $$ = 1'"),
        ("", "su -s /bin/sh nobody -c 'id -un' | grep -qx nobody"),
        ("", "echo x > /dev/null; test -r /dev/urandom; tty || true; ls /proc/self /sys > /dev/null"),
        (
            "",
            "ulimit -n; bash -c 'kill -0 $$'; nice -n 5 true; renice -n 6 $$ > /dev/null; echo 100 > /proc/self/oom_score_adj",
        ),
    ];
    if !emulated() && has(test, "apt-get") {
        lines.push(("-m 1G", "apt-get update > /dev/null")); // the emulated machines have no network
    }
    for (options, script) in lines {
        let ended = Sandtop::run(options).sh(script).go();
        assert_eq!(ended.code, 0, "{script}: {}{}", ended.out, ended.err);
    }
}

#[test]
fn runtimes_size_themselves_by_the_limit() {
    let test = "runtimes_size_themselves_by_the_limit";
    if !kernel_tier(test) || !has(test, "java") || !has(test, "node") {
        return;
    }
    let java = Sandtop::run("-m 256M")
        .sh("java -XshowSettings:system -version 2>&1; java -XshowSettings:vm -version 2>&1")
        .go();
    let after = |key: &str| {
        java.out
            .lines()
            .find_map(|line| line.trim().strip_prefix(key))
            .unwrap_or_else(|| panic!("no {key}: {}", java.out))
            .trim()
    };
    let mib = |text: &str| text.trim_end_matches('M').parse::<f64>().unwrap_or_else(|_| panic!("{text}"));
    let limit = mib(after("Memory Limit:"));
    let heap = mib(after("Max. Heap Size (Estimated):"));
    assert!((256.0..=259.0 + cpus() as f64 / 4.0).contains(&limit), "{limit}");
    assert!(heap < 256.0, "{heap}");
    let node = Sandtop::run("-m 256M").cmd(["node", "-e", "console.log(process.constrainedMemory())"]).go();
    let limit: u64 = node.out.trim().parse().unwrap_or_else(|_| panic!("{}{}", node.out, node.err));
    println!("with 256M: java reads {} and takes a heap of {heap}M, node reads {limit} bytes", after("Memory Limit:"));
    assert!((256 * M..=258 * M + 256 * 1024 * cpus()).contains(&limit), "{limit}");
}

#[test]
fn the_workload_sees_its_own_group_and_no_other() {
    if !kernel_tier("the_workload_sees_its_own_group_and_no_other") {
        return;
    }
    if is_v2() {
        let ended = Sandtop::run("-m 64M").sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.swap.max /proc/self/cgroup; find /sys/fs/cgroup -mindepth 1 -type d; echo $$ > /sys/fs/cgroup/cgroup.procs").go();
        let lines: Vec<&str> = ended.out.lines().collect();
        let limit: u64 = lines[0].parse().unwrap();
        assert!((64 * M..=66 * M + 256 * 1024 * cpus()).contains(&limit), "{limit}");
        assert_eq!(lines[1..], ["0", "0::/"], "{}", ended.out);
        assert_ne!(ended.code, 0, "the view can be written");
        return;
    }
    let ended = Sandtop::run("-m 64M").sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes; grep memory: /proc/self/cgroup | cut -d: -f3; find /sys/fs/cgroup/memory -mindepth 1 -type d").go();
    let lines: Vec<&str> = ended.out.lines().collect();
    let limit: u64 = lines[0].parse().unwrap();
    assert!((64 * M..=66 * M + 256 * 1024 * cpus()).contains(&limit), "{limit}");
    assert_eq!(lines[1..], ["/"], "{}", ended.out);
}

#[test]
fn a_widened_sandbox_gives_back_what_it_says() {
    if !kernel_tier("a_widened_sandbox_gives_back_what_it_says") {
        return;
    }
    let ended = Sandtop::run("--cap-add SYS_ADMIN")
        .sh("mount -t tmpfs x /mnt && echo mounted; grep NoNewPrivs /proc/self/status")
        .go();
    assert_eq!(ended.out.split_whitespace().collect::<Vec<_>>(), ["mounted", "NoNewPrivs:", "1"], "{}", ended.err);
    let ended = Sandtop::run("--allow-new-privs").sh("grep NoNewPrivs /proc/self/status").go();
    assert_eq!(ended.out.split_whitespace().last(), Some("0"));
}

#[test]
fn cgroup_mounts_are_out_of_reach_of_nested_user_namespaces_in_every_hierarchy() {
    if !kernel_tier("cgroup_mounts_are_out_of_reach_of_nested_user_namespaces_in_every_hierarchy") {
        return;
    }
    let before = fs::read_to_string("/sys/fs/cgroup/cpuset/cgroup.clone_children").unwrap_or_default();
    // Through any of these a workload could freeze init, move it into its own group, or leave groups behind on the host.
    let script = r#"for c in memory freezer cpuset pids cpu devices blkio; do
        for flags in -Urm -Urmpf; do
            unshare $flags sh -c "echo inside >&2; d=\$(mktemp -d); mount -t cgroup2 x \$d && mkdir \$d/sandtop-leak"
            unshare $flags sh -c "echo inside >&2; d=\$(mktemp -d); mount -t cgroup -o $c x \$d && mkdir \$d/sandtop-leak && echo 1 > \$d/sandtop-leak/cgroup.procs && echo FROZEN > \$d/sandtop-leak/freezer.state"
        done
        unshare -UrmC true || echo refused >&2
    done; unshare -Ur true && echo user namespaces work"#;
    let ended = Sandtop::run("--timeout 20").sh(script).go();
    assert_eq!((ended.code, ended.out.as_str()), (0, "user namespaces work\n"), "{}", ended.err);
    // Each was really tried, and what the filter refuses was refused.
    assert_eq!((ended.err.matches("inside").count(), ended.err.matches("refused").count()), (28, 7), "{}", ended.err);
    assert!(!files_named(Path::new("/sys/fs/cgroup"), "sandtop-leak"));
    for controller in ["memory", "freezer", "cpuset", "pids", "cpu", "devices", "blkio"] {
        assert!(!Path::new("/sys/fs/cgroup").join(controller).join("sandtop-leak").exists(), "{controller}");
    }
    assert_eq!(before, fs::read_to_string("/sys/fs/cgroup/cpuset/cgroup.clone_children").unwrap_or_default());
}

/// Whether there is a directory of this name in a tree.
fn files_named(dir: &Path, name: &str) -> bool {
    let dirs = fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    dirs.map(|e| e.path()).any(|path| path.file_name().is_some_and(|n| n == name) || files_named(&path, name))
}
