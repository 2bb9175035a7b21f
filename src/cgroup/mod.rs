//! The memory controller, behind one small interface.
//!
//! *P* is the sandbox's group: its limit is the one that counts. *L*, the leaf below it, holds the tasks: what the workload
//! can reach from inside is only ever L (`ARCHITECTURE.md`, "Two groups"). A second back-end is a second file beside `v1.rs`;
//! callers see samples, outcomes and notices, never file names.
//!
//! Refuses: any group that sandtop did not make, and any process that is not the sandbox's.

pub mod clean;
pub mod detect;
pub mod files;
pub mod name;
pub mod v1;

use std::{fs::File, os::fd::BorrowedFd};

use crate::{
    error::Result,
    event::{LimitOutcome, Sample},
    units::Limit,
};

pub use detect::{Hierarchy, detect};

/// How much of a sample to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The numbers that must not miss anything: usage, interval peak, limit hits, kills in the leaf.
    Quick,
    /// Those, and what the usage consists of (`memory.stat`).
    Stat,
    /// Those, and kills in groups that the workload made below its own.
    Full,
}

/// The two limits as the kernel has them now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsNow {
    /// P's: the one that counts.
    pub limit: Limit,
    /// L's: what programs inside read.
    pub mirror: Limit,
    /// What L's should be, given P's.
    pub mirror_expected: Limit,
}

/// A sandbox's memory group.
pub trait Cgroup: Send {
    /// P, as a path below the hierarchy's mount.
    fn path(&self) -> String;

    /// L's `cgroup.procs`, open for writing: a process that writes `0` to it joins.
    fn join_file(&self) -> &File;

    /// Becomes readable when the group runs out of memory.
    fn oom_event(&self) -> Option<BorrowedFd<'_>>;

    /// Takes what [`Cgroup::oom_event`] announced, so that it can announce again.
    fn oom_seen(&self);

    /// Reads the group. Resets the interval peak.
    ///
    /// # Errors
    /// When a file that every kernel with this interface has cannot be read.
    fn sample(&mut self, detail: Detail) -> Result<Sample>;

    /// Reads the processes of the whole subtree.
    ///
    /// # Errors
    /// When the leaf's list cannot be read.
    fn pids(&mut self, pids: &mut Vec<i32>) -> Result<()>;

    /// Reads both limits.
    ///
    /// # Errors
    /// When a limit cannot be read.
    fn limits(&self) -> Result<LimitsNow>;

    /// The part that writes the limit, to be used from another thread: the write may block for seconds while the kernel reclaims.
    ///
    /// # Errors
    /// When the files cannot be opened.
    fn limit_writer(&self) -> Result<Box<dyn WriteLimit>>;

    /// Removes the group and what is below it. Nothing may run in it any more.
    ///
    /// # Errors
    /// When a directory stays.
    fn remove(&mut self) -> Result<()>;
}

/// Writes the limit, in the order that this kernel needs, and reads it back.
pub trait WriteLimit: Send {
    /// Moves the limit; what the kernel made of it is the outcome.
    fn write(&mut self, target: Limit) -> LimitOutcome;
}
