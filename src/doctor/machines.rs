//! Machines that do not exist: facts to test what is said about them.

use std::path::PathBuf;

use super::{facts::*, verdict::Can};
use crate::{
    cgroup::{Hierarchy, foresee::Home},
    event::Controller,
};

pub const EVERYTHING: Features = Features {
    peak: Has::Seen(true),
    peak_reset: Has::Seen(true),
    pressure: Has::Seen(true),
    freeze: Has::Seen(true),
    kill: Has::Seen(true),
    reclaim: Has::Seen(true),
    swap: Has::Seen(true),
};

/// A machine with cgroup v2 and without systemd, and its root: everything works.
pub fn v2_root() -> Machine {
    let root = PathBuf::from("/sys/fs/cgroup");
    let memory =
        Hierarchy { controller: Controller::V2, root: root.clone(), shows: "/".into(), twin: None, beside: Vec::new() };
    let kinds = ["pid", "mnt", "cgroup", "uts", "ipc", "net", "user"].map(str::to_string);
    Machine {
        exe: "/usr/local/bin/sandtop".into(),
        me: Me { uid: 0, name: "root".into(), sys_admin: true },
        proc: Ok(()),
        kernel: Kernel {
            release: Ok("6.12.3-amd64".into()),
            command_line: Ok("root=/dev/sda1 quiet".into()),
            psi: Some(Psi::On),
            boot: Boot::Grub,
        },
        memory: Ok(memory),
        unified: Some(root.clone()),
        home: Ok(Home::Root(root.clone())),
        pids: Ok(Some(root.clone())),
        cpu: Ok(Some(root)),
        freezer: None,
        features: EVERYTHING,
        swap_areas: Ok(0),
        machine_pressure: Ok(()),
        namespaces: Namespaces {
            kinds: Ok(kinds.to_vec()),
            tried: Ok(Ok(())),
            apparmor: None,
            clone: None,
            most: Some(63_000),
            proc_masked: false,
        },
        log: Log { readable: Ok(()), restricted: Some(1), initial_pids: Ok(true) },
        systemd: Systemd {
            booted: false,
            version: Err("it is not booted".into()),
            user_socket: None,
            oomd: Oomd::Absent,
        },
        around: Around { privileged: true, ..Around::default() },
        terminal: Terminal {
            tty: true,
            size: Some((120, 40)),
            term: Some("xterm-256color".into()),
            colorterm: Some("truecolor".into()),
            no_color: false,
            locale: Some("en_GB.UTF-8".into()),
        },
    }
}

pub fn v1_root() -> Machine {
    let root = PathBuf::from("/sys/fs/cgroup/memory");
    let memory =
        Hierarchy { controller: Controller::V1, root: root.clone(), shows: "/".into(), twin: None, beside: Vec::new() };
    Machine {
        memory: Ok(memory),
        unified: None,
        home: Ok(Home::Root(root)),
        pids: Ok(Some("/sys/fs/cgroup/pids".into())),
        cpu: Ok(Some("/sys/fs/cgroup/cpu,cpuacct".into())),
        freezer: Some("/sys/fs/cgroup/freezer".into()),
        features: Features {
            pressure: Has::Seen(false),
            freeze: Has::Seen(false),
            kill: Has::Seen(false),
            ..EVERYTHING
        },
        ..v2_root()
    }
}

fn refusal(why: &str, advice: &str) -> Refusal {
    Refusal { why: why.into(), advice: Some(advice.into()) }
}

/// The same machine, and a plain user of it.
fn plain(m: Machine) -> Machine {
    Machine {
        me: Me { uid: 1000, name: "ann".into(), sys_admin: false },
        exe: "/home/ann/.cargo/bin/sandtop".into(),
        log: Log { readable: Err("cannot open /dev/kmsg: Operation not permitted".into()), ..m.log },
        ..m
    }
}

pub fn v1_user() -> Machine {
    let home = Err(refusal("root is needed: this machine's memory controller is cgroup v1", "sudo sandtop …"));
    Machine { home, ..plain(v1_root()) }
}

/// A desktop: systemd, and a user with a manager of their own.
pub fn user_scope() -> Machine {
    let m = plain(v2_root());
    Machine {
        home: Ok(Home::Scope { user: Some(1000) }),
        systemd: Systemd {
            booted: true,
            version: Ok("257".into()),
            user_socket: Some("/run/user/1000/systemd/private".into()),
            oomd: Oomd::Runs(Ok(vec![])),
        },
        ..m
    }
}

pub fn delegated() -> Machine {
    Machine { home: Ok(Home::Handed("/sys/fs/cgroup/lab/ann".into())), ..plain(v2_root()) }
}

pub fn refused(m: Machine) -> Machine {
    let namespaces = Namespaces { tried: Ok(Err("Operation not permitted".into())), ..m.namespaces.clone() };
    Machine { namespaces, ..m }
}

pub fn ubuntu() -> Machine {
    let m = refused(user_scope());
    Machine { namespaces: Namespaces { apparmor: Some(1), ..m.namespaces.clone() }, ..m }
}

pub fn debian_without_user_namespaces() -> Machine {
    let m = refused(user_scope());
    Machine { namespaces: Namespaces { clone: Some(0), ..m.namespaces.clone() }, ..m }
}

pub fn docker() -> Machine {
    let m = v2_root();
    Machine {
        me: Me { sys_admin: false, ..m.me.clone() },
        home: Err(Refusal { why: "/sys/fs/cgroup is read-only here, as in a container".into(), advice: None }),
        around: Around { container: Some(Container::Docker), privileged: false, ..Around::default() },
        log: Log { initial_pids: Ok(false), ..m.log.clone() },
        ..m
    }
}

pub fn codespaces() -> Machine {
    let m = docker();
    Machine { around: Around { codespaces: true, ..m.around.clone() }, ..m }
}

pub fn podman_privileged() -> Machine {
    let m = docker();
    Machine {
        me: Me { sys_admin: true, ..m.me.clone() },
        home: Ok(Home::Occupied("/sys/fs/cgroup".into(), 3)),
        around: Around { container: Some(Container::Podman), privileged: true, ..Around::default() },
        ..m
    }
}

pub fn wsl() -> Machine {
    let home =
        Err(refusal("there is no group in which ann may set a limit: this WSL runs without systemd", "printf …"));
    Machine { home, around: Around { wsl: true, privileged: true, ..Around::default() }, ..plain(v2_root()) }
}

pub fn pi() -> Machine {
    let m = user_scope();
    let why = "there is no memory controller: this kernel was started with cgroup_disable=memory";
    let refusal = refusal(why, "add cgroup_enable=memory to the kernel's command line; sandtop doctor tells more");
    Machine {
        kernel: Kernel {
            command_line: Ok("coherent_pool=1M cgroup_disable=memory root=/dev/mmcblk0p2".into()),
            boot: Boot::File("/boot/firmware/cmdline.txt".into()),
            ..m.kernel.clone()
        },
        memory: Err(refusal.clone()),
        home: Err(refusal),
        around: Around { pi: true, privileged: true, ..Around::default() },
        ..m
    }
}

pub fn no_pressure() -> Machine {
    let m = v2_root();
    Machine {
        kernel: Kernel { psi: Some(Psi::OffByDefault), boot: Boot::Grubby, ..m.kernel.clone() },
        features: Features { pressure: Has::Seen(false), ..EVERYTHING },
        machine_pressure: Err("cannot read /proc/pressure/memory: No such file or directory".into()),
        ..m
    }
}

pub fn old_kernel() -> Machine {
    let m = v2_root();
    let none = Has::Seen(false);
    Machine {
        kernel: Kernel { release: Ok("5.10.0-46-cloud-amd64".into()), ..m.kernel.clone() },
        features: Features { peak: none, peak_reset: none, kill: none, reclaim: none, ..EVERYTHING },
        ..m
    }
}

pub fn su_shell() -> Machine {
    let m = user_scope();
    Machine {
        home: Err(refusal("their own systemd does not run (su and sudo -u start none)", "sudo loginctl …")),
        systemd: Systemd { user_socket: None, ..m.systemd.clone() },
        ..m
    }
}

pub fn ci_service() -> Machine {
    let m = su_shell();
    Machine { around: Around { service: Some("ci.service".into()), ..m.around.clone() }, ..m }
}

pub fn without_proc() -> Machine {
    let m = v2_root();
    let unread = |path: &str| format!("cannot read {path}: No such file or directory");
    let why = refusal(&unread("/proc/self/mountinfo"), "sandtop needs /proc: mount -t proc proc /proc");
    let unknown = Has::Unknown;
    Machine {
        proc: Err("/proc/self cannot be read: No such file or directory".into()),
        kernel: Kernel {
            release: Err(unread("/proc/sys/kernel/osrelease")),
            command_line: Err(unread("/proc/cmdline")),
            psi: None,
            boot: Boot::Other,
        },
        memory: Err(why.clone()),
        home: Err(why),
        features: Features { peak: unknown, peak_reset: unknown, reclaim: unknown, swap: unknown, ..EVERYTHING },
        swap_areas: Err(unread("/proc/swaps")),
        machine_pressure: Err(unread("/proc/pressure/memory")),
        namespaces: Namespaces { kinds: Err(unread("/proc/self/ns")), ..m.namespaces.clone() },
        log: Log { initial_pids: Err(unread("/proc/self/ns/pid")), ..m.log.clone() },
        ..m
    }
}

pub fn fedora() -> Machine {
    let m = user_scope();
    let watched = vec![
        Watched { unit: "-.slice".into(), pressure: false, swap: true },
        Watched { unit: "user@1000.service".into(), pressure: true, swap: false },
    ];
    Machine { systemd: Systemd { oomd: Oomd::Runs(Ok(watched)), ..m.systemd.clone() }, ..m }
}

pub fn machines() -> Vec<(&'static str, Machine, Can)> {
    use Can::{Everything, LimitOnly, Nothing};
    vec![
        ("v1 root", v1_root(), Everything),
        ("v1 user", v1_user(), Nothing),
        ("v2 root", v2_root(), Everything),
        ("delegated", delegated(), Everything),
        ("user scope", user_scope(), Everything),
        ("ubuntu", ubuntu(), LimitOnly),
        ("debian", debian_without_user_namespaces(), LimitOnly),
        ("docker", docker(), Nothing),
        ("codespaces", codespaces(), Nothing),
        ("podman", podman_privileged(), Everything),
        ("wsl", wsl(), Nothing),
        ("pi", pi(), Nothing),
        ("no pressure", no_pressure(), Everything),
        ("old kernel", old_kernel(), Everything),
        ("su", su_shell(), Nothing),
        ("ci", ci_service(), Nothing),
        ("fedora", fedora(), Everything),
        ("no proc", without_proc(), Nothing),
    ]
}
