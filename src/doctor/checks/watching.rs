//! What can be seen of a sandbox, and done to it beside moving its limit. Nothing here is vital: what is missing is grey on the screen.

use super::{Check, Group, Topic, source};
use crate::{
    doctor::{
        facts::{Has, Machine, Psi},
        remedy::{self, Remedy, as_root, commands, words},
    },
    event::Controller,
};

pub(super) fn checks(m: &Machine) -> Vec<Check> {
    let mut all = vec![peak(m), pressure(m), kernel_log(m), freeze(m), kill(m), reclaim(m)];
    // They are a group's; only the log is not.
    for check in all.iter_mut().filter(|check| m.memory.is_err() && check.name != "kernel_log") {
        *check = Topic::new(check.group, check.name, check.needed_for).without_memory();
    }
    all
}

fn is_v1(m: &Machine) -> bool {
    m.memory.as_ref().is_ok_and(|hierarchy| hierarchy.controller == Controller::V1)
}

fn newer(version: &str) -> Remedy {
    words(format!("use Linux {version} or later"))
}

/// Nobody knows, since there was nothing to look into.
fn unseen(m: &Machine, topic: Topic) -> Check {
    topic.not_known(m, "there is no group to look into, and no kernel version")
}

fn peak(m: &Machine) -> Check {
    let topic = Topic::new(Group::Watching, "peak", "the highest usage between two looks");
    let (peak, reset) = (m.features.peak, m.features.peak_reset);
    if is_v1(m) && peak.there() {
        return topic.ok("memory.max_usage_in_bytes, reset at every look");
    }
    match (peak, reset.there()) {
        (Has::Unknown, _) => unseen(m, topic),
        (_, true) => topic.ok(format!("memory.peak, reset at every look{}", source(reset, m))),
        (peak, false) if peak.there() => {
            let found = format!("memory.peak, which cannot be reset: new highs only{}", source(peak, m));
            topic.partial(found, newer("6.12"))
        }
        (peak, _) => topic.missing(format!("no memory.peak{}", source(peak, m)), newer("5.19")),
    }
}

fn pressure(m: &Machine) -> Check {
    let topic = Topic::new(Group::Watching, "pressure", "time lost to waiting for memory");
    match (m.features.pressure, &m.machine_pressure) {
        (group, _) if group.there() => topic.ok(format!("memory.pressure, of the sandbox alone{}", source(group, m))),
        (_, Ok(())) if is_v1(m) => topic.partial("of the whole machine only (/proc/pressure/memory)", twin(m)),
        (Has::Unknown, Ok(())) => unseen(m, topic),
        (_, Ok(())) => topic.partial("of the whole machine only (/proc/pressure/memory)", newer("4.20")),
        (_, Err(reason)) => no_pressure(m, topic, reason),
    }
}

/// Pressure stall information is switched off, or not built in (Documentation/accounting/psi.rst).
fn no_pressure(m: &Machine, topic: Topic, reason: &str) -> Check {
    let on = || remedy::kernel_argument(m, "psi=1");
    if m.proc.is_err() {
        return topic.not_known(m, reason);
    }
    if m.kernel.was_told("psi=0") {
        return topic.missing("off: the kernel was started with psi=0", on());
    }
    match m.kernel.psi {
        Some(Psi::Absent) => {
            topic.missing("this kernel is built without it (CONFIG_PSI)", words("use a kernel that has CONFIG_PSI"))
        }
        Some(Psi::OffByDefault) => topic.missing("off by default in this kernel (CONFIG_PSI_DEFAULT_DISABLED)", on()),
        _ => topic.missing(format!("off, or not built in: {reason}"), on()),
    }
}

/// What gives a v1 machine a v2 group beside.
fn twin(m: &Machine) -> Remedy {
    if m.systemd.booted {
        return Remedy {
            words: "boot with cgroup v2: systemd keeps the v2 hierarchy of this machine for itself".into(),
            ..remedy::kernel_argument(m, "systemd.unified_cgroup_hierarchy=1")
        };
    }
    let dir = m.memory.as_ref().map_or_else(|_| "/sys/fs/cgroup/unified".into(), |h| h.root.with_file_name("unified"));
    commands(
        "mount a cgroup v2 hierarchy beside, for what v1 lacks",
        [
            as_root(m, &format!("mkdir -p {}", dir.display())),
            as_root(m, &format!("mount -t cgroup2 cgroup2 {}", dir.display())),
        ],
    )
}

fn kernel_log(m: &Machine) -> Check {
    let topic = Topic::new(Group::Watching, "kernel_log", "the names of those whom the OOM killer took");
    match (&m.log.initial_pids, &m.log.readable) {
        (Err(reason), _) => topic.not_known(m, reason),
        (Ok(false), _) => {
            let remedy = match remedy::container(m) {
                Some(_) => words("run sandtop on the host, or start the container with --pid=host as well"),
                None => words("run sandtop outside of this pid namespace"),
            };
            topic.missing("not used: the pids in /dev/kmsg are those of another pid namespace", remedy)
        }
        (Ok(true), Ok(())) => topic.ok("/dev/kmsg can be read"),
        (Ok(true), Err(_)) if m.log.restricted == Some(1) => {
            let found = "/dev/kmsg is for root only (kernel.dmesg_restrict is 1)";
            let both = commands("open it to all users", remedy::sysctl(m, "kernel.dmesg_restrict=0"));
            topic.missing(found, both)
        }
        (Ok(true), Err(reason)) => topic.missing(reason.clone(), remedy::as_root_instead(m)),
    }
}

fn freeze(m: &Machine) -> Check {
    let topic = Topic::new(Group::Watching, "freeze", "stopping everything in the sandbox at once");
    let has = m.features.freeze;
    match (has, &m.freezer) {
        (has, _) if has.there() => topic.ok(format!("cgroup.freeze{}", source(has, m))),
        (_, Some(freezer)) => topic.ok(format!("cgroup v1's freezer at {}", freezer.display())),
        (Has::Unknown, None) => unseen(m, topic),
        (_, None) if is_v1(m) => topic.missing("no freezer, and no cgroup v2 beside", twin(m)),
        (has, None) => topic.missing(format!("no cgroup.freeze{}", source(has, m)), newer("5.2")),
    }
}

fn kill(m: &Machine) -> Check {
    let topic = Topic::new(Group::Watching, "kill", "ending everything in the sandbox with one write");
    match m.features.kill {
        Has::Unknown => unseen(m, topic),
        has if has.there() => topic.ok(format!("cgroup.kill{}", source(has, m))),
        has => {
            let found = format!("no cgroup.kill{}: the sandbox is ended through its init", source(has, m));
            let remedy = if is_v1(m) && m.unified.is_none() { twin(m) } else { newer("5.14") };
            topic.partial(found, remedy)
        }
    }
}

fn reclaim(m: &Machine) -> Check {
    let topic = Topic::new(Group::Watching, "reclaim", "taking cache back without moving the limit");
    match m.features.reclaim {
        has if is_v1(m) && has.there() => topic.ok("memory.force_empty"),
        Has::Unknown => unseen(m, topic),
        has if has.there() => topic.ok(format!("memory.reclaim{}", source(has, m))),
        has => topic.missing(format!("no memory.reclaim{}", source(has, m)), newer("5.19")),
    }
}
