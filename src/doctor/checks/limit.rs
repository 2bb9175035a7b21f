//! What setting a limit takes: a kernel, its memory controller, a place for a group, and what belongs to it.

use std::path::PathBuf;

use super::{Check, Group, Topic};
use crate::{
    cgroup::foresee::Home,
    doctor::{
        facts::{Has, Known, Machine},
        remedy::{self, Remedy, as_root, commands, words},
    },
    event::Controller,
};

pub(super) fn checks(m: &Machine) -> Vec<Check> {
    vec![kernel(m), memory(m), group(m), swap(m), pids(m), cpu(m)]
}

/// Waiting on a pidfd is Linux 5.4 (kernel/exit.c, `P_PIDFD`).
const OLDEST: (u32, u32) = (5, 4);

fn kernel(m: &Machine) -> Check {
    let topic = Topic::new(Group::Limit, "kernel", "starting a sandbox and noticing its end (Linux 5.4)");
    match (&m.kernel.release, m.kernel.version()) {
        (Err(reason), _) => topic.not_known(m, reason),
        (Ok(release), None) => topic.not_known(m, &format!("/proc/sys/kernel/osrelease says {release:?}")),
        (Ok(release), Some(version)) if version >= OLDEST => topic.ok(format!("Linux {release}")),
        (Ok(release), _) => topic.missing(format!("Linux {release} is too old"), words("use Linux 5.4 or later")),
    }
}

fn memory(m: &Machine) -> Check {
    let topic = Topic::new(Group::Limit, "memory", "the limit, and every number that is shown");
    let found = match &m.memory {
        Ok(hierarchy) => {
            let root = hierarchy.root.display();
            match (hierarchy.controller, &m.unified) {
                (Controller::V1, Some(_)) => format!("cgroup v1 at {root}, and v2 beside (hybrid)"),
                (Controller::V1, None) => format!("cgroup v1 at {root}"),
                (Controller::V2, _) => format!("cgroup v2 at {root}"),
            }
        }
        Err(refusal) => {
            if m.proc.is_err() {
                return topic.missing(refusal.why.clone(), remedy::see("proc"));
            }
            let advised = refusal.advice.as_deref().map(|advice| remedy::advised(m, advice));
            let remedy = match m.kernel.memory_disabled() {
                true => Some(remedy::kernel_argument(m, "cgroup_enable=memory")),
                false => remedy::container(m).filter(|_| !m.around.privileged),
            };
            let remedy = remedy.or(advised).unwrap_or_else(|| words("mount a cgroup hierarchy with memory"));
            return topic.missing(refusal.why.clone(), remedy);
        }
    };
    topic.ok(found)
}

fn group(m: &Machine) -> Check {
    let topic = Topic::new(Group::Limit, "group", "every limit");
    let me = &m.me.name;
    let home = match &m.home {
        Ok(home) => home,
        Err(_) if m.memory.is_err() => {
            return topic.without_memory();
        }
        Err(refusal) => return topic.missing(refusal.why.clone(), nowhere(m, refusal.advice.as_deref())),
    };
    topic.ok(match home {
        Home::Root(dir) => format!("made below {}, as {me}", dir.display()),
        Home::Occupied(dir, pids) => {
            let (many, them) = if *pids == 1 { ("1 process", "it") } else { (&*format!("{pids} processes"), "them") };
            format!("made below {}, whose {many} must go: sandtop moves {them} to a group beside", dir.display())
        }
        Home::Handed(dir) => format!("made in {}, which was handed to {me}", dir.display()),
        Home::Scope { user: None } => "made in a scope of its own, which systemd is asked for".into(),
        Home::Scope { user: Some(_) } => format!("made in a scope of its own, which {me}'s systemd is asked for"),
    })
}

/// What gives this user a place for a group.
fn nowhere(m: &Machine, advice: Option<&str>) -> Remedy {
    let v1 = m.memory.as_ref().is_ok_and(|hierarchy| hierarchy.controller == Controller::V1);
    let sudo = || remedy::as_root_instead(m);
    if let Some(start) = remedy::container(m).filter(|_| !m.around.privileged || m.me.is_root()) {
        return start;
    }
    match (m.me.is_root(), &m.around.service) {
        (true, _) => advice.map_or_else(
            || words("name a group that may be used: sandtop --cgroup-parent GROUP …"),
            |advice| remedy::advised(m, advice),
        ),
        (false, _) if v1 => sudo(),
        (false, _) if m.around.wsl && !m.systemd.booted => remedy::wsl_systemd(),
        (false, _) if !m.systemd.booted => sudo(),
        (false, Some(unit)) => hand_over(unit),
        (false, None) if m.systemd.user_socket.is_none() => linger(m),
        (false, None) => sudo(),
    }
}

/// A service that may divide its group (systemd.resource-control(5), `Delegate=`).
fn hand_over(unit: &str) -> Remedy {
    let dir = format!("/etc/systemd/system/{unit}.d");
    commands(
        "have systemd hand the service's group over",
        [
            format!("sudo mkdir -p {dir}"),
            format!(r"printf '[Service]\nDelegate=yes\n' | sudo tee {dir}/delegate.conf"),
            "sudo systemctl daemon-reload".into(),
            format!("sudo systemctl restart {unit}"),
        ],
    )
}

/// A user manager that runs without a login session (loginctl(1)).
pub(super) fn linger(m: &Machine) -> Remedy {
    let user = remedy::shell_word(&m.me.name);
    commands("have your own systemd run, also without a login", [format!("sudo loginctl enable-linger {user}")])
}

fn swap(m: &Machine) -> Check {
    let topic = Topic::new(Group::Limit, "swap", "the same limit doing the same thing where there is swap");
    let v1 = m.memory.as_ref().is_ok_and(|hierarchy| hierarchy.controller == Controller::V1);
    if m.memory.is_err() {
        return topic.without_memory();
    }
    let file = if v1 { "memory.memsw.*" } else { "memory.swap.max" };
    let areas = match &m.swap_areas {
        Ok(0) => "this machine has no swap".to_string(),
        Ok(1) => "this machine has 1 swap area".to_string(),
        Ok(n) => format!("this machine has {n} swap areas"),
        Err(reason) => reason.clone(),
    };
    let none = m.swap_areas == Ok(0);
    match m.features.swap {
        Has::Seen(true) => topic.ok(format!("counted ({file}); {areas}")),
        Has::Seen(false) if none => topic.ok(format!("not counted (no {file}), and {areas}")),
        Has::Seen(false) => {
            let told = m.kernel.was_told("swapaccount=0");
            let why = if told { "swapaccount=0" } else { "the kernel's CONFIG_MEMCG_SWAP or swapaccount=" };
            let found = format!("not counted (no {file}: {why}); {areas}");
            topic.partial(found, remedy::kernel_argument(m, "swapaccount=1"))
        }
        _ if none => topic.ok("no swap here; whether it would be counted was not to be seen"),
        _ => topic.partial(
            format!("not known whether it is counted: there is no group with memory to look into; {areas}"),
            words("ask again while something runs in a group, or as root"),
        ),
    }
}

fn pids(m: &Machine) -> Check {
    let topic = Topic::new(Group::Limit, "pids", "a limit on the number of processes");
    controller(m, topic, &m.pids, "pids")
}

fn cpu(m: &Machine) -> Check {
    let topic = Topic::new(Group::Limit, "cpu", "a limit on CPU time");
    controller(m, topic, &m.cpu, "cpu")
}

fn controller(m: &Machine, topic: Topic, place: &Known<Option<PathBuf>>, name: &str) -> Check {
    let (hierarchy, place) = match (&m.memory, place) {
        (Err(_), _) => return topic.without_memory(),
        (_, Err(reason)) => return topic.not_known(m, reason),
        (Ok(hierarchy), Ok(place)) => (hierarchy, place),
    };
    match (place, hierarchy.controller) {
        (Some(place), Controller::V1) => topic.ok(format!("cgroup v1 at {}", place.display())),
        (Some(place), Controller::V2) => {
            let below = place.strip_prefix(&hierarchy.root).ok().filter(|below| below.components().next().is_some());
            topic.ok(format!("offered by {}", below.unwrap_or(place).display()))
        }
        (None, _) => topic.missing("no hierarchy that we may use has it", offer(m, name)),
    }
}

/// How a controller gets to where our groups are.
fn offer(m: &Machine, name: &str) -> Remedy {
    if m.kernel.was_told(&format!("cgroup_disable={name}")) {
        return words(format!("take cgroup_disable={name} off the kernel's command line, and boot again"));
    }
    match (&m.memory, &m.home) {
        (Ok(hierarchy), _) if hierarchy.controller == Controller::V1 => remedy::mount_v1(m, &hierarchy.root, name),
        (_, Ok(Home::Scope { user: Some(_) })) => {
            let dir = "/etc/systemd/system/user@.service.d";
            commands(
                "have systemd hand it over, then log in again",
                [
                    format!("sudo mkdir -p {dir}"),
                    format!(r"printf '[Service]\nDelegate=cpu cpuset io memory pids\n' | sudo tee {dir}/sandtop.conf"),
                    "sudo systemctl daemon-reload".into(),
                ],
            )
        }
        (_, Ok(Home::Handed(dir))) => {
            let file = dir.parent().unwrap_or(dir).join("cgroup.subtree_control");
            let write = as_root(m, &format!("tee {}", file.display()));
            commands("have the group above pass it on", [format!("echo +{name} | {write}")])
        }
        _ if m.around.container.is_some() => words("on the host, have the groups above this container's pass it on"),
        _ => words(format!("use a kernel that has {name} for cgroup v2, and mount it nowhere as cgroup v1")),
    }
}
