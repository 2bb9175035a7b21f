//! The settings, in words: their names, their files, what they do, what they are, and why one cannot be had.

use super::{Language, clock};
use crate::{
    event::{Controller, OomPolicy, Settings},
    session::{Knob, Lack, Value},
    units::Limit,
};

impl Language {
    /// A setting's name.
    pub fn knob(self, knob: Knob) -> &'static str {
        match knob {
            Knob::Limit => "limit",
            Knob::Swap => "swap limit",
            Knob::SoftLimit => "soft limit",
            Knob::Reservation => "reservation",
            Knob::Swappiness => "swappiness",
            Knob::Oom => "out of memory",
            Knob::Pids => "pids limit",
            Knob::Cpus => "CPU time",
            Knob::Freeze => "freeze",
            Knob::Reclaim => "reclaim now",
            Knob::Counters => "reset counters",
        }
    }

    /// The kernel's file behind it, on this machine.
    pub fn knob_file(self, controller: Controller, settings: &Settings, knob: Knob) -> &'static str {
        match (controller, knob) {
            (_, Knob::Counters) => "sandtop's own",
            (Controller::V1, Knob::Limit) => "memory.limit_in_bytes",
            (Controller::V1, Knob::Swap) if settings.swap_limit.is_none() => "memory.swappiness",
            (Controller::V1, Knob::Swap) => "memory.memsw.limit_in_bytes",
            (Controller::V1, Knob::SoftLimit) => "–",
            (Controller::V1, Knob::Reservation) => "memory.soft_limit_in_bytes",
            (Controller::V2, Knob::Reservation) => "memory.low",
            (Controller::V1, Knob::Swappiness) => "memory.swappiness",
            (Controller::V2, Knob::Swappiness) => "–",
            (Controller::V1, Knob::Oom) => "memory.oom_control",
            (_, Knob::Pids) => "pids.max",
            (Controller::V1, Knob::Cpus) => "cpu.cfs_quota_us",
            (Controller::V1, Knob::Freeze) => "cgroup.freeze/freezer.state",
            (Controller::V2, Knob::Freeze) => "cgroup.freeze",
            (Controller::V1, Knob::Reclaim) => "memory.force_empty",
            (Controller::V2, Knob::Limit) => "memory.max",
            (Controller::V2, Knob::Swap) => "memory.swap.max",
            (Controller::V2, Knob::SoftLimit) => "memory.high",
            (Controller::V2, Knob::Oom) => "memory.oom.group",
            (Controller::V2, Knob::Cpus) => "cpu.max",
            (Controller::V2, Knob::Reclaim) => "memory.reclaim",
        }
    }

    /// What it does, in one sentence.
    pub fn knob_does(self, controller: Controller, knob: Knob) -> &'static str {
        match (knob, controller) {
            (Knob::Limit, Controller::V1) => {
                "Usage cannot be more. A lower limit is refused if what is in use does not fit."
            }
            (Knob::Limit, Controller::V2) => {
                "Usage cannot be more. A lower limit reclaims, and kills what does not fit."
            }
            (Knob::Swap, Controller::V1) => {
                "How much may be swapped out beside the limit. It moves with the limit: v1 limits the sum. None is swappiness 0."
            }
            (Knob::Swap, Controller::V2) => {
                "How much may be swapped out beside the limit. None: the limit is all there is."
            }
            (Knob::Reservation, Controller::V1) => {
                "v1's soft limit: above it the kernel takes from this group first, and only when the whole machine is short."
            }
            (Knob::Reservation, Controller::V2) => {
                "When the machine is short the kernel takes from other groups first, as long as usage is below it."
            }
            (Knob::SoftLimit, _) => "Above it the kernel reclaims and slows allocations down; it kills nobody.",
            (Knob::Swappiness, _) => {
                "How readily memory is swapped out instead of cache given back: 0 not at all, 100 alike."
            }
            (Knob::Oom, _) => {
                "Kill: the kernel takes one process. Group: all of them. Pause: stopped at the brink, to be saved."
            }
            (Knob::Pids, _) => "How many processes and threads there may be: beyond it a fork fails (EAGAIN).",
            (Knob::Cpus, _) => "CPU time in each tenth of a second: who has used it up waits for the next.",
            (Knob::Freeze, _) => "All processes stop where they are, and go on as if nothing had happened.",
            (Knob::Reclaim, Controller::V1) => {
                "The kernel gives back all that it can: cache, and with swap also memory."
            }
            (Knob::Reclaim, Controller::V2) => {
                "The kernel gives back so much, or what it can: cache, and with swap also memory."
            }
            (Knob::Counters, _) => {
                "Limit hits, OOM kills and the peak are shown as they are from now on. Results and metrics go on counting."
            }
        }
    }

    /// What it is set to.
    pub fn value(self, value: Value) -> String {
        match value {
            Value::Size(Limit::Bytes(0)) => "none".into(),
            Value::Size(limit) => limit.to_string(),
            Value::Number(n) => n.to_string(),
            Value::Policy(OomPolicy::Kill) => "kill".into(),
            Value::Policy(OomPolicy::Group) => "group".into(),
            Value::Policy(OomPolicy::Pause) => "pause".into(),
            Value::Count(quota) => quota.number().map_or_else(|| "max".into(), |n| n.to_string()),
            Value::Cpus(quota) => self.cpus(quota).unwrap_or_else(|| "max".into()),
            Value::Frozen(true) => "frozen".into(),
            Value::Frozen(false) => "goes on".into(),
            Value::Since(None) => "since the start".into(),
            Value::Since(Some(at)) => format!("since {}", clock(at)),
        }
    }

    /// What may be typed for it.
    pub fn knob_accepts(self, knob: Knob) -> &'static str {
        match knob {
            Knob::Swap => "swap alone, not memory and swap together: 64M, none or max",
            Knob::SoftLimit | Knob::Reservation => "64M, 1.5G, 50% (of this machine's memory) or max",
            Knob::Swappiness => "0 to 200 (before 5.8 to 100)",
            Knob::Pids => "1 or more, or max",
            Knob::Cpus => "0.5, 2, or max",
            Knob::Reclaim => "how much: 16M, or max for all that can go",
            _ => "",
        }
    }

    /// Why it cannot be moved.
    pub fn lack(self, knob: Knob, lack: Lack) -> String {
        match (lack, knob) {
            (Lack::NothingRuns, _) => "Nothing runs that it could be done to.".into(),
            (Lack::Unread, _) => "Not read yet.".into(),
            (Lack::NotOnV2, _) => "cgroup v2 has no swappiness for a group: limit the swap instead.".into(),
            (Lack::NotOnV1, _) => "cgroup v1 has no memory.high: nothing slows a group down there.".into(),
            (Lack::NotJoined, Knob::Pids) => {
                "On cgroup v1 that takes a group in the pids hierarchy, joined at the start: run it with --pids-limit max.".into()
            }
            (Lack::NotJoined, _) => {
                "On cgroup v1 that takes a group in the cpu hierarchy, joined at the start: run it with --cpus max.".into()
            }
            (Lack::NotPassedOn, Knob::Pids) => "The pids controller was not passed on to this group.".into(),
            (Lack::NotPassedOn, _) => "The cpu controller was not passed on to this group.".into(),
            (Lack::Kernel, Knob::Swap) => "This kernel does not count swap (CONFIG_SWAP, swapaccount).".into(),
            (Lack::Kernel, Knob::Reclaim) => "This kernel cannot be told to: memory.reclaim came with 5.19.".into(),
            (Lack::Kernel, Knob::Freeze) => {
                "It takes cgroup.freeze of cgroup v2 (5.2) or v1's freezer, and this group has neither.".into()
            }
            (Lack::Kernel, knob) => format!("This kernel, or this group, has no {}.", self.knob(knob)),
        }
    }

    /// That somebody else moved one.
    pub(super) fn changed_elsewhere(self, knob: Knob, now: Value) -> String {
        let value = self.value(now);
        match (knob, now) {
            (Knob::Freeze, Value::Frozen(true)) => "the workload is frozen now: something else did that".into(),
            (Knob::Freeze, _) => "the workload is not frozen any more: something else did that".into(),
            (Knob::Oom, _) => format!("when memory runs out: {value}, now: something else changed it"),
            _ => format!("the {} is {value} now: something else changed it", self.knob(knob)),
        }
    }

    /// That the sum of memory and swap could not follow a lower limit.
    pub(super) fn swap_kept(self, now: Limit) -> String {
        format!(
            "up to {now} may be swapped out now: more is swapped out by now than the swap limit beside the lower limit would allow"
        )
    }
}
