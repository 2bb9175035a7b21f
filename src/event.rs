//! The vocabulary of the crate: what can be learned of a run, and what can be done to it.
//!
//! Everything that anyone learns is an [`Event`]; everything that anyone does is a [`Command`]. Plain data:
//! nothing here computes, and nothing here knows of a screen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{schedule::Schedule, units::Limit};

mod author;
mod budget;
mod bytes;
mod change;
#[cfg(test)]
mod fixture;
mod oom;
mod pause;
mod process;
mod readings;
mod terminal;
pub(crate) mod words;
pub use author::Author;
pub use budget::BudgetOf;
pub use change::{Change, ChangeOutcome, Like, OomPolicy};
pub use oom::{Asker, Charged, OomDump, Scope, Tabled, Victim};
pub use pause::{Pause, Reclaimed, Resume};
pub use process::{COMMAND_LENGTH, Process, ProcessChanges, ProcessUsage, Share};
pub use readings::{
    Abilities, Above, CodeFaults, MemoryStat, OtherLimits, Pressure, Sample, Settings, Swapping, Unreclaimable,
};
pub use terminal::{LARGEST_TERMINAL, terminal_size};

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
    /// The group's other settings, at the start and whenever one of them changed.
    Settings(Box<Settings>),
    /// Processes that were born, changed or died since the last such event.
    Processes(ProcessChanges),
    /// Processes' parts of the memory that they have mapped: somebody asked.
    Shares(Vec<Share>),
    /// What the workload wrote to its terminal.
    Output(#[serde(with = "bytes")] Vec<u8>),
    /// The workload's own terminal has this size from now on. Where there is none, nothing tells one.
    Resized {
        /// Rows, at least 1.
        rows: u16,
        /// Columns, at least 1.
        cols: u16,
    },
    /// A change of the limit is being written.
    LimitRequested {
        /// The limit that was asked for.
        target: Limit,
        /// By whom.
        #[serde(default)]
        by: Author,
    },
    /// How a change of the limit ended.
    LimitDone {
        /// The limit that was asked for.
        target: Limit,
        /// By whom.
        #[serde(default)]
        by: Author,
        /// What became of it.
        outcome: LimitOutcome,
    },
    /// Another setting is being changed.
    ChangeRequested {
        /// What is wanted.
        change: Change,
    },
    /// How that ended.
    ChangeDone {
        /// What was wanted.
        change: Change,
        /// What became of it.
        outcome: ChangeOutcome,
    },
    /// Memory is about to run out, and the workload is stopped. Told again when it stands worse than was told.
    Paused(Pause),
    /// The paused workload goes on.
    Resumed {
        /// Why.
        by: Resume,
    },
    /// Memory seemed to run out, and a reclaim made room: no pause was needed.
    Reclaimed(Reclaimed),
    /// The kernel's long dump before a kill: why, and who stood beside it.
    OomDump(Box<OomDump>),
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
    #[serde(deserialize_with = "words::deserialize")]
    pub argv: Vec<String>,
    /// The memory limit at the start.
    pub limit: Limit,
    /// Whether nobody chose that limit.
    pub limit_is_default: bool,
    /// How much may be swapped out; `None` for nothing.
    #[serde(default)]
    pub swap: Option<Limit>,
    /// What happens when memory runs out.
    #[serde(default)]
    pub oom: OomPolicy,
    /// Whose ways with memory were asked for (`--like`).
    #[serde(default)]
    pub like: Option<Like>,
    /// Settings beside the limit that were asked for.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// How the limit is to move by itself; empty where no schedule was given.
    #[serde(default)]
    pub schedule: Schedule,
    /// `--oom-score-adj`: how readily the OOM killer takes the workload, where that was asked for.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// Which interface of the memory controller this machine has.
    pub controller: Controller,
    /// The sandbox's group, as a path below the hierarchy's mount.
    pub group: String,
    /// CPUs of this machine: the kernel charges in batches per CPU.
    pub cpus: u32,
    /// The machine's memory, in bytes.
    pub mem_total: u64,
    /// The tightest limit above the sandbox's own, where there is one.
    #[serde(default)]
    pub above: Option<Above>,
    /// Whether the kernel's log can be read: it names whom the OOM killer took.
    #[serde(default = "yes")]
    pub kernel_log: bool,
    /// The machine's swap, in bytes (sysinfo(2)): the OOM killer counts it as room, where the group may swap. Old recordings do not tell it.
    #[serde(default)]
    pub swap_total: Option<u64>,
    /// Whether the workload waits to be told to start.
    pub held: bool,
    /// What the sandbox is made of.
    #[serde(default)]
    pub isolation: Isolation,
    /// Whether the sandbox was widened (`--cap-add`, `--allow-new-privs`), so that the limit holds only against accidents.
    pub widened: bool,
    /// The options that were given and that bear on something else than memory, as words for a command line; of `-e` only the names.
    #[serde(default, deserialize_with = "words::deserialize")]
    pub options: Vec<String>,
    /// Whether it is one of sandtop's own demos, so that the command is nobody else's.
    #[serde(default)]
    pub demo: bool,
    /// What usage is not to exceed (`--budget`), in bytes: the run has failed if it did.
    #[serde(default)]
    pub budget: Option<u64>,
    /// Which usage that is.
    #[serde(default, skip_serializing_if = "BudgetOf::is_default")]
    pub budget_of: BudgetOf,
    /// Wall clock at the start, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// Recordings from before it was told were made where it could be.
fn yes() -> bool {
    true
}

/// The interface of the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// cgroup v1: `memory.limit_in_bytes` and friends. A limit below what cannot be reclaimed is refused.
    V1,
    /// cgroup v2: `memory.max` and friends. A limit below what cannot be reclaimed kills.
    V2,
}

/// What the sandbox is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// The limit and namespaces, made by root.
    #[default]
    Root,
    /// The limit and namespaces, made by a plain user inside a user namespace.
    User {
        /// The uid that the caller has inside.
        uid: u32,
        /// The gid that the caller has inside.
        gid: u32,
    },
    /// The limit alone: user namespaces cannot be used here. The workload could lift its own limit.
    LimitOnly,
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
    /// Events that the recording lacks: the disk was slower than the run.
    Unrecorded {
        /// How many.
        events: u64,
    },
    /// The recording that was asked for ended before the run.
    RecordingLost {
        /// What could not be done, and why.
        reason: String,
    },
    /// Workload output that the recording lacks, here: it holds the first of it and the newest.
    OutputGap {
        /// How much, in bytes.
        bytes: u64,
    },
    /// The user wants limit hits, kills and the peak shown as they are since now.
    CountersReset,
    /// The user sent one process a signal.
    SignalSent {
        /// The signal.
        signal: i32,
        /// The process, by its pid outside.
        host_pid: i32,
        /// The pid inside, where we knew it.
        pid: Option<i32>,
        /// Its name.
        name: String,
    },
    /// The user sent all processes a signal.
    AllSignalled {
        /// The signal.
        signal: i32,
        /// How many there were.
        processes: u32,
    },
    /// The CPU quota was lifted, for who was to die.
    QuotaLifted,
    /// The group could not be removed.
    Leftover {
        /// The whole sentence.
        reason: String,
    },
    /// The main process was killed, and not for the group's limit: by whom is known.
    KilledBy {
        /// By whom.
        killer: Killer,
    },
    /// A hint about the command itself.
    Hint {
        /// The whole sentence.
        text: String,
    },
}

/// Who kills beside the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Killer {
    /// systemd-oomd: for memory pressure, or for lack of swap.
    SystemdOomd,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What became of the main process.
    pub status: Status,
    /// Why we ended it, where we did.
    pub stopped: Option<Stopped>,
    /// The last signal that sandtop sent the main process to end it: a SIGKILL of ours is no evidence of anybody else's.
    #[serde(default)]
    pub sent: Option<i32>,
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
    /// Joining the memory group, or those of the other limits.
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
    /// The OOM killer took a process, and is to take all of them (`--oom group`), which v1 leaves to us.
    OomGroup,
}

/// Something to be done to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move the limit.
    SetLimit(Limit),
    /// Change another setting.
    Change(Change),
    /// Count limit hits, kills and the peak from here. The kernel's own counts are left alone.
    ResetCounters,
    /// Let a held workload go.
    Go,
    /// Send the main process a signal, as if it had been sent to it without sandtop.
    Signal(i32),
    /// Send all processes of the sandbox a signal.
    SignalAll(i32),
    /// Send one process a signal.
    SignalProcess {
        /// Its pid outside.
        host_pid: i32,
        /// The signal.
        signal: i32,
    },
    /// End the run: this signal now, and a kill if it does not heed it in time.
    Stop(i32),
    /// Stop all processes of the sandbox at once (`true`), or let them go on.
    Freeze(bool),
    /// Read the parts that these processes (by their pids outside; none for all) have of the memory that they have mapped.
    Measure(Vec<i32>),
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
