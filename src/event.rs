//! The vocabulary of the crate: what can be learned of a run, and what can be done to it.
//!
//! Everything that anyone learns is an [`Event`]; everything that anyone does is a [`Command`]. Plain data:
//! nothing here computes, and nothing here knows of a screen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Limit;

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Time since sandtop started, on the monotonic clock.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// Something that was learned of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A sandbox was made; its workload runs as soon as it is let go.
    Started(Box<Started>),
    /// The main process was let go: it is about to become the command.
    Running {
        /// Its pid inside the sandbox.
        pid: i32,
        /// Its pid outside, as `ps` on the host shows it.
        host_pid: Option<i32>,
    },
    /// Raw readings of one instant.
    Sample(Sample),
    /// Processes that were born, changed or died since the last such event.
    Processes(ProcessChanges),
    /// What the workload wrote to its terminal.
    Output(Vec<u8>),
    /// A change of the limit is being written.
    LimitRequested {
        /// The limit that was asked for.
        target: Limit,
    },
    /// How a change of the limit ended.
    LimitDone {
        /// The limit that was asked for.
        target: Limit,
        /// What became of it.
        outcome: LimitOutcome,
    },
    /// The kernel's own words on a kill: who it was.
    Victim(Victim),
    /// Something that the user should know and that no number shows.
    Note(Note),
    /// The run is over.
    Ended(Ended),
}

/// A run at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The number of this run, from 1; `r` starts the next one.
    pub run: u32,
    /// The command and its arguments, as a user would read them.
    pub argv: Vec<String>,
    /// The memory limit at the start.
    pub limit: Limit,
    /// Whether nobody chose that limit.
    pub limit_is_default: bool,
    /// Which interface of the memory controller this machine has.
    pub controller: Controller,
    /// The sandbox's group, as a path below the hierarchy's mount.
    pub group: String,
    /// CPUs of this machine: the kernel charges in batches per CPU.
    pub cpus: u32,
    /// The machine's memory, in bytes.
    pub mem_total: u64,
    /// Whether the workload waits to be told to start.
    pub held: bool,
    /// Whether the sandbox was widened (`--cap-add`, `--allow-new-privs`), so that the limit holds only against accidents.
    pub widened: bool,
    /// Wall clock at the start, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// The interface of the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// cgroup v1: `memory.limit_in_bytes` and friends.
    V1,
}

/// Raw readings of the group at one instant, in bytes where not said otherwise. What the kernel does not offer is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What is charged to the group (v1 `memory.usage_in_bytes`); moves in steps of 256 KiB per CPU.
    pub usage: u64,
    /// The highest usage since the last sample (v1 `memory.max_usage_in_bytes`, read and reset).
    pub peak: Option<u64>,
    /// How often a charge met the limit, since the group was made (v1 `memory.failcnt`).
    pub limit_hits: Option<u64>,
    /// Processes of the whole subtree that the OOM killer killed, since the group was made (v1 `oom_kill` in `memory.oom_control`).
    pub oom_kills: Option<u64>,
    /// What the usage consists of; read less often than the rest.
    pub stat: Option<MemoryStat>,
}

/// What the usage consists of, in bytes (v1 `memory.stat`, the `total_` lines, and `memory.kmem.usage_in_bytes`).
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
}

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
    /// Its command line, cut to a readable length; empty for one that has none.
    pub command: String,
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

/// How a change of the limit ended. Refusals are data, not errors: what they mean differs between kernels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitOutcome {
    /// Written, and this is what the kernel says it is now.
    Applied {
        /// The limit read back.
        now: Limit,
    },
    /// Nothing runs; it holds from the next start.
    NextRun,
    /// The kernel would not go below what cannot be reclaimed (v1 `EBUSY`); the old limit stays.
    Busy {
        /// The usage at that moment, in bytes.
        usage: u64,
        /// The limit that stays.
        kept: Limit,
    },
    /// The write failed otherwise.
    Failed {
        /// The whole sentence.
        reason: String,
    },
}

/// Whom the kernel says it killed (`Killed process` in the kernel's log).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victim {
    /// The pid outside the sandbox.
    pub host_pid: i32,
    /// The pid inside, where we knew it.
    pub pid: Option<i32>,
    /// The process's name.
    pub name: String,
    /// Memory that it held, in bytes: anonymous and shared. File pages are not counted: they may be charged elsewhere, and go first.
    pub held: u64,
}

/// Something that the user should know and that no number shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The limit is not what was last written: somebody else changed it.
    LimitChangedElsewhere {
        /// What it is now.
        now: Limit,
    },
    /// The limit that programs inside read differs from the real one: the workload wrote to its own group. It changes nothing.
    MirrorChanged {
        /// What the leaf says now.
        now: Limit,
    },
    /// Samples were thinned out because nobody took them.
    Thinned {
        /// How many were dropped.
        dropped: u64,
    },
    /// The group could not be removed.
    Leftover {
        /// The whole sentence.
        reason: String,
    },
    /// A hint about the command itself.
    Hint {
        /// The whole sentence.
        text: String,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What became of the main process.
    pub status: Status,
    /// Why we ended it, where we did.
    pub stopped: Option<Stopped>,
    /// Processes that were still there when the main process ended, and were killed.
    pub left_behind: u32,
    /// How long the main process ran, from when it was let go until init reaped it.
    pub wall: Option<Duration>,
}

/// What became of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// It was ended by this signal.
    Signalled(i32),
    /// It never became the command.
    FailedToStart(StartFailure),
    /// Init, which watches it, was lost; what became of the workload is not known.
    SandboxLost,
}

/// Why a command did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// What was being done.
    pub step: Step,
    /// The file or name that it concerned.
    pub what: String,
    /// The errno.
    pub errno: i32,
}

/// A step on the way to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Making the namespaces.
    Unshare,
    /// Preparing the file systems of the sandbox.
    Mount,
    /// Setting the host name.
    Hostname,
    /// Bringing up the loopback device.
    Network,
    /// Joining the memory group.
    Join,
    /// Entering the working directory.
    Workdir,
    /// Becoming the user.
    User,
    /// Giving up privileges.
    Privileges,
    /// Making the terminal the workload's own.
    Terminal,
    /// Making the process.
    Fork,
    /// Becoming the command.
    Exec,
    /// Finding the program that a script names in its first line.
    Interpreter,
}

/// Why we ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// `--timeout` was over.
    Timeout,
    /// The user said so, with a key.
    User,
    /// sandtop was sent this signal.
    Signal(i32),
}

/// Something to be done to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move the limit.
    SetLimit(Limit),
    /// Let a held workload go.
    Go,
    /// Send the main process a signal, as if it had been sent to it without sandtop.
    Signal(i32),
    /// End the run: this signal now, and a kill if it does not heed it in time.
    Stop(i32),
    /// Run the command again (when it has ended).
    Rerun,
    /// Type this to the workload's terminal.
    Input(Vec<u8>),
    /// The workload's terminal has this size now.
    Resize {
        /// Rows, at least 1.
        rows: u16,
        /// Columns, at least 1.
        cols: u16,
    },
    /// End the run at once, remove everything, and stop.
    Shutdown,
}
