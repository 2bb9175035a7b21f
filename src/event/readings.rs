//! What is read from a group: plain data. What this kernel does not offer is `None`, never 0 and never -1.

use serde::{Deserialize, Serialize};

use crate::units::Limit;

/// Raw readings of the group at one instant, in bytes where not said otherwise. What the kernel does not offer is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What is charged to the group (`memory.usage_in_bytes`, v2 `memory.current`); moves in steps of 256 KiB per CPU.
    pub usage: u64,
    /// The highest usage since the last sample (`memory.max_usage_in_bytes`, v2 `memory.peak`, read and reset). A
    /// kernel that cannot reset it tells only new highs; one without the file, nothing.
    pub peak: Option<u64>,
    /// How often a charge met the limit, since the group was made (`memory.failcnt`, v2 `max` in `memory.events.local`).
    pub limit_hits: Option<u64>,
    /// Processes of the whole subtree that the OOM killer killed, since the group was made (`oom_kill` in `memory.oom_control`,
    /// v2 in `memory.events`; v2's `oom` beside it is no count of anything).
    pub oom_kills: Option<u64>,
    /// What the usage consists of; read less often than the rest.
    pub stat: Option<MemoryStat>,
    /// What is swapped out, in bytes (v2 `memory.swap.current`); as often as `stat`.
    #[serde(default)]
    pub swap: Option<u64>,
    /// Time lost to waiting for memory (`memory.pressure`); as often as `stat`.
    #[serde(default)]
    pub pressure: Option<Pressure>,
    /// The machine's free swap, in bytes (sysinfo(2)), where it is not what it was at the sample that told it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_free: Option<u64>,
    /// What was swapped so far, where it is not what it was at the sample that told it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapping: Option<Box<Swapping>>,
    /// The highest unreclaimable usage so far, where it is not what it was at the sample that told it last; as often as `stat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreclaimable: Option<Box<Unreclaimable>>,
    /// How often limits beside the memory limit were met, where it is not what it was at the sample that told it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_limits: Option<Box<OtherLimits>>,
    /// How much of their code processes fetched back, at the first sample and at the one after each
    /// look at them. `None` in all samples: nobody looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeFaults>,
}

impl Sample {
    /// This sample as it would be if the one before had not been taken: with all that only that one
    /// tells.
    pub fn after(self, before: Sample) -> Sample {
        let other_limits = match (self.other_limits, before.other_limits) {
            // That a limit of processes was met is told by how many there were.
            (Some(mut now), Some(before)) => {
                now.pids_current = now.pids_current.max(before.pids_current);
                Some(now)
            }
            (now, before) => now.or(before),
        };
        Sample {
            // The highest since the sample before; where this one told none, it was at least its
            // own usage.
            peak: before.peak.map(|peak| peak.max(self.peak.unwrap_or(self.usage))).or(self.peak),
            stat: self.stat.or(before.stat),
            swap: self.swap.or(before.swap),
            pressure: self.pressure.or(before.pressure),
            swap_free: self.swap_free.or(before.swap_free),
            unreclaimable: self.unreclaimable.or(before.unreclaimable),
            swapping: self.swapping.or(before.swapping),
            code: self.code.or(before.code),
            other_limits,
            ..self
        }
    }
}

/// What processes fetched back of their own code, between looks at each: counts. The sandbox's
/// processes are looked at only while its limit is met and pages come back from the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeFaults {
    /// Pages of executable mappings of files that a process lost and has mapped again (bit 63 in
    /// `/proc/PID/pagemap`).
    pub fetched: u64,
    /// The major faults of those processes in the same time, for code or not (`maj_flt` in
    /// `/proc/PID/stat`).
    pub major_faults: u64,
}

/// The highest unreclaimable usage since the group was made, as an interval, in bytes: nobody keeps it between two readings of `memory.stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreclaimable {
    /// It was at least this: anonymous, shared and locked memory, and what v2 tells of the kernel's.
    pub least: u64,
    /// It was at most this: usage less the file cache; `None` where the kernel keeps no highest usage (v2 before 5.19).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
    /// The part of `most` that is kernel memory of which it is not known whether it is reclaimable (v1).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown: u64,
}

/// What was swapped since the group was made, in bytes. What this kernel does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Swapping {
    /// The most that was swapped out at once (v2 `memory.swap.peak`, 6.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// The most that memory and swap were together (v1 `memory.memsw.max_usage_in_bytes`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_with_memory: Option<u64>,
    /// What was read back from swap (`pswpin` in `memory.stat`, in pages there).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// What was written to swap (`pswpout`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

/// How often limits beside the memory limit were met since the group was made: counts. What this kernel or this group does not count is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherLimits {
    /// Forks and new threads that a limit of processes refused (`max` in `pids.events`): of the group with the limit from 6.12 on v2, else the sum over
    /// its subtree, where a refusal for a limit above is counted as well (`pids_event` in kernel/cgroup/pids.c).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_refused: Option<u64>,
    /// The most processes and threads that there were at once (`pids.peak`, 6.1; before, the highest `pids.current` that was seen).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_peak: Option<u64>,
    /// Processes and threads that there are now (`pids.current`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_current: Option<u64>,
    /// Periods in which the quota of CPU time was used up (`nr_throttled` in `cpu.stat`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttled: Option<u64>,
    /// How long tasks were kept waiting for that, in microseconds (v2 `throttled_usec`; v1 `throttled_time`, which is in nanoseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_us: Option<u64>,
    /// Charges above `memory.high`, each of which has its task reclaim or wait (`high` in `memory.events.local`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<u64>,
}

/// Time that processes of the group lost waiting for memory since it was made, in microseconds (`total=` in `memory.pressure`,
/// Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some process waited.
    pub some_us: u64,
    /// Every process that could run waited.
    pub full_us: u64,
}

/// The group's other settings, as the kernel has them. What this kernel or this group lacks is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Above it allocations are slowed down (v2 `memory.high`).
    pub high: Option<Limit>,
    /// Up to it the group is spared when the machine is short, as far as the groups above it are (v2 `memory.low`).
    pub low: Option<Limit>,
    /// Above it the group is reclaimed from first when the machine is short (v1 `memory.soft_limit_in_bytes`).
    pub soft_limit: Option<Limit>,
    /// How much may be swapped out (v2 `memory.swap.max`; v1 `memory.memsw.limit_in_bytes` less the limit).
    pub swap_limit: Option<Limit>,
    /// Whether an OOM kill takes all processes (v2 `memory.oom.group`).
    pub oom_group: Option<bool>,
    /// How readily the group is swapped out (v1 `memory.swappiness`).
    pub swappiness: Option<u64>,
    /// Whether the processes are frozen (v2 or the twin's `cgroup.events`).
    pub frozen: Option<bool>,
    /// How many processes and threads there may be (`pids.max`): a number or `max`.
    pub pids_limit: Option<String>,
    /// CPU time in microseconds per period in microseconds (v2 `cpu.max`; v1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`): `max 100000`.
    pub cpu: Option<String>,
    /// The tightest limit above the sandbox's own, where there is one.
    pub above: Option<Above>,
    /// What this kernel can do to the group.
    pub can: Abilities,
}

/// A limit of a group that the sandbox is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// It, in bytes.
    pub limit: u64,
    /// The group, as a path below the hierarchy's mount; `None` where it lies out of sight (v1 `hierarchical_memory_limit` tells of it).
    pub group: Option<String>,
}

/// What this kernel can do to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// Tell the highest usage (`memory.peak`, 5.19; v1 always).
    pub peak: bool,
    /// Reset it between samples (6.12; v1 always).
    pub peak_reset: bool,
    /// Stop all processes at once (`cgroup.freeze`).
    pub freeze: bool,
    /// Kill all processes at once (`cgroup.kill`, 5.14).
    pub kill: bool,
    /// Reclaim on demand (`memory.reclaim`, 5.19; v1 `memory.force_empty`).
    pub reclaim: bool,
    /// Tell time lost to waiting (`memory.pressure`).
    pub pressure: bool,
}

/// What the usage consists of, in bytes (`memory.stat`; v1 the `total_` lines, and `memory.kmem.usage_in_bytes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStat {
    /// Anonymous memory: heap, stack, private mappings. Without swap it cannot be given back.
    pub anon: u64,
    /// File cache without shared memory: can be given back.
    pub file: u64,
    /// Shared memory and tmpfs: cannot be given back without swap.
    pub shmem: u64,
    /// What the kernel holds for the group, where it counts that.
    pub kernel: Option<u64>,
    /// The part of `file` that is not on the disk yet, or on its way there (`dirty` and `writeback`; v2 `file_dirty` and `file_writeback`): it is
    /// written before it can go.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unwritten: u64,
    /// What reclaim can take without swap (`active_file` and `inactive_file`), where that is not all of `file`: what is locked into memory is not
    /// in it, and anonymous memory that a program has given up (MADV_FREE) is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evictable: Option<u64>,
    /// The file cache that was not used twice (`inactive_file`): what docker and kubectl leave out of what they show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_file: Option<u64>,
    /// What reclaim cannot take even with swap: memory that is locked (`unevictable`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub locked: u64,
    /// The part of `kernel` that goes with what it describes (v2 `slab_reclaimable`; v1 does not tell it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slab_reclaimable: Option<u64>,
    /// Page faults that had to wait for a disk, since the group was made: a count (`pgmajfault`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
    /// Pages that came back soon after they were reclaimed, since the group was made: a count (`workingset_refault_file` and `_anon`, mm/workingset.c;
    /// one sum before 5.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refaults: Option<u64>,
    /// The part of `refaults` that is anonymous memory, back from swap (`workingset_refault_anon`,
    /// 5.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refaults_anon: Option<u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
