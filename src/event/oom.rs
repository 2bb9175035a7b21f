//! What the kernel's log says of an OOM kill: plain data.

use serde::{Deserialize, Serialize};

/// Whom the kernel says it killed (`Killed process` in the kernel's log, one line for each kill).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victim {
    /// The pid outside the sandbox.
    pub host_pid: i32,
    /// The pid inside, where we knew it.
    pub pid: Option<i32>,
    /// The process's name.
    pub name: String,
    /// Memory that it held, in bytes: anonymous and shared. File pages are not counted: they may be charged elsewhere, and go first.
    pub held: u64,
    /// The shared part of `held`, in bytes: others may have the same pages mapped, and be told to hold them too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shmem: Option<u64>,
    /// File pages that it had mapped, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u64>,
    /// Its page tables, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_tables: Option<u64>,
    /// How readily it was taken, -1000 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// Whether the whole machine had run out of memory, and not a group.
    #[serde(default, skip_serializing_if = "is_false")]
    pub machine: bool,
    /// Whom the kernel had chosen, by its pid outside, where this one was killed with it (`memory.oom.group`). Its own pid: it is the chosen one itself,
    /// which the kernel then kills and counts a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed_with: Option<i32>,
    /// When the kernel printed it, in microseconds by the kernel's own stamps: kills stand in this order, though some are named late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printed_us: Option<u64>,
    /// Whether only the counter says that it was in the sandbox: nobody saw it there, and a kill had no name.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_count: bool,
}

/// Whose limit was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The sandbox's own.
    Own,
    /// One of a group inside the sandbox.
    Inside {
        /// That group, below the sandbox's.
        group: String,
    },
    /// One of a group that the sandbox is in.
    Above {
        /// That group, as a path below the hierarchy's mount.
        group: String,
    },
    /// No group's: the machine had run out of memory.
    Machine,
    /// No group's: the nodes that a cpuset allows had run out of memory.
    Cpuset {
        /// The cpuset, as a path below the hierarchy's mount.
        cpuset: String,
    },
    /// No group's: the nodes that the asker's memory policy allows had run out of memory (mbind, set_mempolicy).
    MemoryPolicy,
}

/// The kernel's dump before a kill. It prints at most ten in five seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomDump {
    /// Who was chosen, by its pid outside.
    pub host_pid: i32,
    /// Whose limit was met.
    pub scope: Scope,
    /// Who asked for the memory that was not there.
    #[serde(default)]
    pub asker: Option<Asker>,
    /// What was charged to the group whose limit was met, in bytes.
    #[serde(default)]
    pub usage: Option<u64>,
    /// That limit, in bytes.
    #[serde(default)]
    pub limit: Option<u64>,
    /// How often it had been met.
    #[serde(default)]
    pub limit_hits: Option<u64>,
    /// The processes that could be chosen, or the largest of them.
    #[serde(default)]
    pub table: Vec<Tabled>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// What usage consisted of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged: Option<Charged>,
}

/// What a group's usage consisted of at an instant, in bytes, each page once. `None`: this kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charged {
    /// Anonymous memory: the processes' own.
    pub anon: Option<u64>,
    /// Shared memory and tmpfs.
    pub shmem: Option<u64>,
    /// File cache, without that.
    pub file: Option<u64>,
    /// The part of `file` that is not on the disk yet.
    pub unwritten: Option<u64>,
    /// The kernel's own memory, all of it.
    pub kernel: Option<u64>,
    /// Buffers of network sockets, beside `kernel` (v2).
    pub sock: Option<u64>,
    /// Page tables: part of `kernel`.
    pub page_tables: Option<u64>,
    /// Stacks of threads: part of `kernel`.
    pub stacks: Option<u64>,
    /// Dentries, inodes and the like, which reclaim can take: part of `kernel`.
    pub slab_reclaimable: Option<u64>,
    /// Other slab, as pipes, sockets and open files: part of `kernel`.
    pub slab_unreclaimable: Option<u64>,
}

/// Who asked for memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The pid outside.
    pub host_pid: i32,
    /// The pid inside, where we knew it.
    pub pid: Option<i32>,
    /// The name.
    pub name: String,
}

/// A process of the kernel's table: what it weighs when it chooses (`dump_task` in mm/oom_kill.c).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tabled {
    /// The pid outside.
    pub host_pid: i32,
    /// The pid inside, where we knew it.
    pub pid: Option<i32>,
    /// The name.
    pub name: String,
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Its page tables, in bytes.
    pub page_tables: u64,
    /// What it has swapped out, in bytes.
    pub swap: u64,
    /// How readily it is taken, -1000 to 1000.
    pub oom_score_adj: i32,
    /// Whether it is known to have been exiting (PF_EXITING in `/proc/PID/stat`): the kernel passes over it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exiting: bool,
}

fn is_false(b: &bool) -> bool {
    !*b
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
