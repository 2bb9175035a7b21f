//! The place that this is: /proc, systemd, its own killer, and the environments that need a line of their own.

use super::{Check, Group, Topic, limit};
use crate::{
    cgroup::foresee::Home,
    doctor::{
        facts::{Container, Machine, Oomd, Watched},
        remedy::{self, Remedy, as_root, words},
    },
    event::Controller,
};

pub(super) fn checks(m: &Machine) -> Vec<Check> {
    vec![proc(m), systemd(m), user_manager(m), oomd(m), surroundings(m)]
}

fn proc(m: &Machine) -> Check {
    let topic = Topic::new(Group::Environment, "proc", "everything: mounts, groups and processes are read there");
    match &m.proc {
        Ok(()) => topic.ok("/proc is this pid namespace's own"),
        Err(reason) => {
            let mount = as_root(m, "mount -t proc proc /proc");
            topic.missing(reason.clone(), remedy::commands("mount it", [mount]))
        }
    }
}

/// Whether this user can only get a group from a systemd: a plain user on v2, to whom none was handed over.
fn depends_on_systemd(m: &Machine) -> bool {
    let v2 = m.memory.as_ref().is_ok_and(|hierarchy| hierarchy.controller == Controller::V2);
    v2 && !m.me.is_root() && !matches!(m.home, Ok(Home::Handed(_)))
}

fn systemd(m: &Machine) -> Check {
    let topic = Topic::new(Group::Environment, "systemd", "a group of one's own without root, on cgroup v2");
    match (m.systemd.booted, &m.systemd.version) {
        (true, Ok(version)) => topic.ok(format!("version {version}")),
        (true, Err(reason)) => topic.ok(format!("runs this machine; its version is not known: {reason}")),
        (false, _) if depends_on_systemd(m) => {
            let remedy = if m.around.wsl { remedy::wsl_systemd() } else { remedy::as_root_instead(m) };
            topic.missing("not this machine's init", remedy)
        }
        (false, _) => topic.ok("not this machine's init, and not needed"),
    }
}

fn user_manager(m: &Machine) -> Check {
    let topic = Topic::new(Group::Environment, "user_manager", "a group of one's own without root, on cgroup v2");
    match &m.systemd.user_socket {
        _ if m.me.is_root() => topic.ok("not needed as root"),
        Some(socket) => topic.ok(format!("{}'s own systemd listens at {}", m.me.name, socket.display())),
        None if !depends_on_systemd(m) => topic.ok("none, and not needed"),
        None if m.systemd.booted => {
            let found = "none: su and sudo -u start none, and no linger does";
            topic.missing(found, limit::linger(m))
        }
        None => topic.missing("none, without systemd", remedy::see("systemd")),
    }
}

fn oomd(m: &Machine) -> Check {
    let topic = Topic::new(Group::Environment, "oomd", "nobody but the kernel killing for lack of memory");
    let watched = match &m.systemd.oomd {
        Oomd::Absent => return topic.ok("systemd-oomd does not run"),
        Oomd::Runs(Err(reason)) => {
            let remedy = remedy::commands("see what it watches", ["oomctl".into()]);
            return topic.partial(format!("systemd-oomd runs; what it watches is not known: {reason}"), remedy);
        }
        Oomd::Runs(Ok(watched)) => watched,
    };
    let by =
        |of: fn(&Watched) -> bool| -> Vec<&str> { watched.iter().filter(|w| of(w)).map(|w| w.unit.as_str()).collect() };
    let (pressure, swap) = (by(|w| w.pressure), by(|w| w.swap));
    if pressure.is_empty() && swap.is_empty() {
        return topic.ok("systemd-oomd runs, and watches nothing above our groups");
    }
    if pressure.is_empty() {
        // It chooses by swap in use (systemd-oomd.service(8)), of which a sandbox has none.
        return topic.ok(format!("systemd-oomd watches the swap of {}; a sandbox uses none", swap.join(", ")));
    }
    let found = format!(
        "systemd-oomd watches {}: under long pressure it may kill the sandbox before the kernel does",
        pressure.join(", ")
    );
    let off =
        |unit: &&str| as_root(m, &format!("systemctl set-property --runtime {unit} ManagedOOMMemoryPressure=auto"));
    let commands = pressure.iter().map(off).collect();
    topic.partial(found, Remedy { commands, ..words("keep it off, until the next boot") })
}

fn surroundings(m: &Machine) -> Check {
    let topic = Topic::new(Group::Environment, "surroundings", "running sandtop in such a place");
    let around = &m.around;
    if around.pi && m.kernel.memory_disabled() {
        let remedy = remedy::kernel_argument(m, "cgroup_enable=memory");
        return topic.missing("a Raspberry Pi, started with cgroup_disable=memory", remedy);
    }
    if around.wsl && !m.systemd.booted {
        let found = "WSL without systemd";
        return if m.me.is_root() { topic.ok(found) } else { topic.partial(found, remedy::wsl_systemd()) };
    }
    if let Some(name) = container_name(m) {
        let kind = if around.privileged { "privileged" } else { "not privileged" };
        let able = around.privileged || m.home.is_ok() && (m.me.sys_admin || !m.me.is_root());
        return match remedy::container(m).filter(|_| !able) {
            Some(start) => topic.missing(format!("{name}, {kind}"), start),
            None => topic.ok(format!("{name}, {kind}")),
        };
    }
    topic.ok(match around {
        _ if around.wsl => "WSL with systemd",
        _ if around.lima => "a virtual machine of Lima's",
        _ if around.pi => "a Raspberry Pi, with the memory controller on",
        _ => "no container, no WSL: nothing that needs a line of its own",
    })
}

fn container_name(m: &Machine) -> Option<String> {
    if m.around.codespaces {
        return Some("GitHub Codespaces".into());
    }
    Some(match m.around.container.as_ref()? {
        Container::Docker => "a docker container".into(),
        Container::Podman => "a podman container".into(),
        Container::Other(name) => format!("a container ({name})"),
    })
}
