//! The processes of a run: plain data, that travels as what changed.

use serde::{Deserialize, Serialize};

/// The longest command line that is told, in bytes.
pub const COMMAND_LENGTH: usize = 256;

/// One process of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The pid outside the sandbox.
    pub host_pid: i32,
    /// The pid inside, where it could be read.
    pub pid: Option<i32>,
    /// The parent's pid outside.
    pub parent: i32,
    /// The kernel's name for it (at most 15 bytes).
    pub name: String,
    /// Its command line, cut to [`COMMAND_LENGTH`]; empty for one that has none.
    pub command: String,
    /// What its environment says of its heap, of a runtime that reads that there: the words alone, and nothing else of it. `None` where it was
    /// not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap_options: Option<Vec<String>>,
    /// The part that changes.
    pub usage: ProcessUsage,
}

/// The part of a process that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Resident memory in bytes, shared pages included (`/proc/PID/statm`).
    pub rss: u64,
    /// The anonymous part of it, in bytes: what is charged to the process's own group, file pages being whoever's who read them first.
    #[serde(default)]
    pub anon: u64,
    /// CPU time used so far, user and system, in milliseconds (`/proc/PID/stat`).
    pub cpu_ms: u64,
    /// Threads (`/proc/PID/stat`).
    pub threads: u32,
    /// The state letter of `/proc/PID/stat`; a space where it was not read yet.
    pub state: char,
    /// How readily the OOM killer takes it, -1000 to 1000 (`/proc/PID/oom_score_adj`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oom_score_adj: i32,
    /// Resident memory as the OOM killer counts it, in bytes (`rss` of `/proc/PID/stat` when that was read last, moved by what `rss` moved since). From
    /// 6.2 on each CPU counts pages for itself and hands them on in batches; newer kernels add those up for `statm` (`get_mm_counter_sum` in
    /// include/linux/mm.h), and not for `oom_badness`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
    /// Its page tables, in bytes (`VmPTE` of `/proc/PID/status`), as they were when its size last moved by something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_tables: Option<u64>,
    /// What it has swapped out, in bytes (`VmSwap` of `/proc/PID/status`), as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<u64>,
    /// Whether it is exiting (PF_EXITING in the flags of `/proc/PID/stat`): its memory is on its way back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exiting: bool,
}

fn is_false(b: &bool) -> bool {
    !*b
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// A process's part of the memory that it has mapped, where others map it too. Read when somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its pid outside.
    pub host_pid: i32,
    /// Its proportional set size, in bytes (`Pss` in `/proc/PID/smaps_rollup`).
    pub pss: u64,
    /// The same of what is swapped out (`SwapPss`), in bytes.
    pub swap: Option<u64>,
}

/// Processes that were born, changed or died.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessChanges {
    /// New ones, or ones that became another program (exec).
    pub born: Vec<Process>,
    /// Those whose numbers moved, by outside pid.
    pub changed: Vec<(i32, ProcessUsage)>,
    /// Those that are gone, by outside pid.
    pub died: Vec<i32>,
}

impl ProcessChanges {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.born.is_empty() && self.changed.is_empty() && self.died.is_empty()
    }
}
