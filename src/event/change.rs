//! Changes of a run's settings, the limit excepted: that one may be refused or kill, and has events of its own.

use serde::{Deserialize, Serialize};

use super::Controller;
use crate::units::{Limit, Quota};

/// A change of one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// How much may be swapped out beside the limit, in bytes; nothing is `Bytes(0)` (v2 `memory.swap.max`; v1 `memory.swappiness`, and
    /// `memory.memsw.limit_in_bytes` less the limit).
    Swap(Limit),
    /// Above it the kernel reclaims and slows allocations down (v2 `memory.high`). Recordings from before `Reservation` have it for v1's
    /// `memory.soft_limit_in_bytes` too.
    SoftLimit(Limit),
    /// docker's reservation: up to it the kernel takes from other groups first (v2 `memory.low`), or above it from this group first (v1
    /// `memory.soft_limit_in_bytes`); both only when the machine is short.
    Reservation(Limit),
    /// How readily the group is swapped out, 0 to 200 (v1 `memory.swappiness`, before 5.8 to 100).
    Swappiness(u64),
    /// What happens when memory runs out.
    Oom(OomPolicy),
    /// How many processes and threads there may be (`pids.max`).
    Pids(Quota),
    /// CPU time, in thousandths of a CPU (v2 `cpu.max`, v1 `cpu.cfs_quota_us`).
    Cpus(Quota),
    /// Give back so many bytes now, or all that can be (v2 `memory.reclaim`; v1 `memory.force_empty`, which knows only all).
    Reclaim(Limit),
    /// How readily the OOM killer takes a process, -1000 to 1000 (`/proc/PID/oom_score_adj`).
    OomScoreAdj {
        /// The process, by its pid outside.
        host_pid: i32,
        /// The value.
        value: i32,
    },
    /// Stop all processes at once, or let them go on (`cgroup.freeze` of v2, or of the twin beside v1).
    Freeze(bool),
}

impl Change {
    /// What is meant on this controller: recordings from before [`Change::Reservation`] call v1's soft limit [`Change::SoftLimit`].
    pub fn on(self, controller: Controller) -> Change {
        match self {
            Change::SoftLimit(limit) if controller == Controller::V1 => Change::Reservation(limit),
            other => other,
        }
    }
}

/// What happens when memory runs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OomPolicy {
    /// The kernel kills one process, and the others go on
    #[default]
    Kill,
    /// The whole workload is killed
    Group,
    /// The workload is stopped at the brink, to be looked at and saved by raising the limit (SIGUSR1 to sandtop lets it go on)
    Pause,
}

/// A system whose ways with memory can be asked for (`--like`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Like {
    /// The kernel kills one process; as much again as the limit may be swapped out
    Docker,
    /// No swap; on cgroup v2 an OOM kill takes the whole container (the kubelet, since 1.28), on v1 one process
    Kubernetes,
    /// A service: any amount may be swapped out, and an OOM kill ends it whole
    Systemd,
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeOutcome {
    /// The kernel took it.
    Done,
    /// Nothing runs; it holds from the next start.
    NextRun,
    /// It was refused, or cannot be had here.
    Failed {
        /// The whole sentence.
        reason: String,
    },
}
