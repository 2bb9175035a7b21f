//! What the sandbox holds against, judged by its effect: after every attack a fill of 200 MiB still dies at its limit of 64 MiB.
//! And what must work inside all the same.

mod common;

use std::{fs, path::Path};

use common::*;

const M: u64 = 1 << 20;

/// Runs an attack as root inside, then fills. The limit must have held.
fn attack(name: &str, script: &str) {
    attack_from(name, script, Path::new("/"));
}

fn attack_from(name: &str, script: &str, dir: &Path) {
    let host = host_switches();
    let ended =
        Sandtop::run("-m 64M").dir(dir).sh(&format!("{{ {script}\n}} >&2; exec {SANDTOP} worker fill 200M")).go();
    assert_eq!(ended.outcome(), "oom_killed", "{name}: {}", ended.err);
    assert!(ended.number("peak_bytes") <= highest(64 * M), "{name}: {:?}", ended.json);
    assert_eq!(host, host_switches(), "{name} changed the host; stderr: {}", ended.err);
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

/// Tries to raise every limit that is to be found in any cgroup mount.
const RAISE_ALL: &str = r#"
for dir in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts) "$@"; do
    for file in $(find $dir -name memory.limit_in_bytes -o -name memory.max 2>/dev/null); do
        echo -1 > $file; echo max > $file
    done
    for file in $(find $dir -name cgroup.procs 2>/dev/null | head -50); do echo $$ > $file; done
done"#;

#[test]
fn every_reachable_cgroup_file_is_written_in_vain() {
    if !kernel_tier("every_reachable_cgroup_file_is_written_in_vain") {
        return;
    }
    attack("write", RAISE_ALL);
    // A working directory in the host's hierarchy must not stay open as a way around the view.
    let from_there = "for f in memory.limit_in_bytes sandtop/*/memory.limit_in_bytes sandtop/*/leaf/memory.limit_in_bytes; do echo -1 > $f; done; for f in sandtop/*/memory.max sandtop/*/leaf/memory.max; do echo max > $f; done; echo $$ > cgroup.procs";
    attack_from("working directory", from_there, memory_root());
}

#[test]
fn mounts_are_changed_in_vain() {
    if !kernel_tier("mounts_are_changed_in_vain") {
        return;
    }
    attack(
        "remount",
        &format!(
            "mount -o remount,rw /sys/fs/cgroup; mount -o remount,rw,bind /sys/fs/cgroup; mount -o remount,rw /sys/fs/cgroup/memory; mount -o remount,rw,bind /sys/fs/cgroup/memory; mount -o remount,rw /sys; mount -o remount,rw,bind /proc/sys{RAISE_ALL}"
        ),
    );
    attack(
        "umount",
        &format!(
            "umount /sys/fs/cgroup/memory; umount -l /sys/fs/cgroup; umount -l /sys; umount -l /proc/sys; umount -l /proc{RAISE_ALL}"
        ),
    );
    attack(
        "fresh mount",
        &format!(
            "d=$(mktemp -d); mount -t cgroup -o memory x $d; mount -t cgroup2 x $d; mount -t proc x $d; mount -t sysfs x $d; set -- $d{RAISE_ALL}"
        ),
    );
    let nested = r#"unshare -UrmC sh -c 'd=$(mktemp -d); mount -t cgroup -o memory x $d; for f in $(find $d -name memory.limit_in_bytes); do echo 777M > $f; echo -1 > $f; done; d=$(mktemp -d); mount -t cgroup2 x $d; for f in $(find $d -name memory.max); do echo 777M > $f; echo max > $f; done; umount -l /proc; umount -l /sys/fs/cgroup; mount -o remount,rw /sys/fs/cgroup/memory'"#;
    attack("nested user namespace", nested);
    attack("nested namespaces with a root", &nested.replace("-UrmC", "-UrmCpfn"));
    attack(
        "init's namespaces",
        &format!(
            "nsenter -t 1 -a true; nsenter -t 1 -m true; ls /proc/1/root/; echo -1 > /proc/1/root/sys/fs/cgroup/memory/memory.limit_in_bytes; kill -9 1; kill -TERM 1{RAISE_ALL}"
        ),
    );
}

#[test]
fn the_kernels_host_wide_helpers_are_out_of_reach() {
    if !kernel_tier("the_kernels_host_wide_helpers_are_out_of_reach") {
        return;
    }
    attack(
        "helpers",
        "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /sys/kernel/uevent_helper /proc/sys/kernel/poweroff_cmd /proc/sys/vm/overcommit_memory; do echo '|/tmp/x' > $f; done; echo f > /proc/sysrq-trigger; echo 1 > /proc/sys/vm/drop_caches; sysctl -w kernel.core_pattern=x; find /sys/kernel /sys/module -name '*helper*' -writable -exec sh -c 'echo x > {}' \\;",
    );
    attack(
        "devices",
        "mknod /tmp/sandtop-node b 254 0 && rm /tmp/sandtop-node; head -c 1 /dev/mem; head -c 1 /proc/kcore; swapoff -a; hostname changed",
    );
}

#[test]
fn the_hierarchys_root_is_not_to_be_had_by_its_handle() {
    let test = "the_hierarchys_root_is_not_to_be_had_by_its_handle";
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    // The root of a kernfs hierarchy has a handle that is the same on every machine: type 0xfe, id 1.
    let python = r#"python3 - <<'EOF'
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
for mount in ['/sys/fs/cgroup/memory', '/sys/fs/cgroup', '/sys', '/']:
    for ino in (1, 0x100000001):
        try: fd = os.open(mount, os.O_RDONLY)
        except OSError: continue
        handle = struct.pack('=Ii', 8, 0xfe) + struct.pack('=Q', ino)
        got = libc.open_by_handle_at(fd, handle, os.O_RDONLY)
        print(mount, got, os.strerror(ctypes.get_errno()))
        if got >= 0:
            for name, value in [('memory.limit_in_bytes', '-1'), ('memory.max', 'max')]:
                for where in ['', 'leaf/'] + ['sandtop/' + d + '/' for d in os.listdir(f'/proc/self/fd/{got}/sandtop')]:
                    try: open(f'/proc/self/fd/{got}/' + where + name, 'w').write(value)
                    except OSError as e: print(name, e)
EOF"#;
    attack("handle", python);
    attack("handle from a user namespace", &format!("unshare -Ur sh -c \"$(cat <<'X'\n{python}\nX\n)\""));
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
        unshare -UrmC sh -c "d=\$(mktemp -d); mount -t cgroup2 x \$d && mkdir \$d/sandtop-leak"
        unshare -UrmC sh -c "d=\$(mktemp -d); mount -t cgroup -o $c x \$d && mkdir \$d/sandtop-leak && echo 1 > \$d/sandtop-leak/cgroup.procs && echo FROZEN > \$d/sandtop-leak/freezer.state"
    done; unshare -Ur true && echo user namespaces work"#;
    let ended = Sandtop::run("--timeout 20").sh(script).go();
    assert_eq!((ended.code, ended.out.as_str()), (0, "user namespaces work\n"), "{}", ended.err);
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
