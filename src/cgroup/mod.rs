//! The memory controller, behind one small interface.
//!
//! *P* is the sandbox's group: its limit is the one that counts. *L*, the leaf below it, holds the tasks: what the workload
//! can reach from inside is only ever L (`ARCHITECTURE.md`, "Two groups"). The two back-ends are parallel, `v1.rs` and `v2.rs`;
//! callers see samples, outcomes and notices, never file names.
//!
//! Refuses: any group that sandtop did not make, and any process that is not the sandbox's.

pub mod above;
pub mod around;
pub mod beside;
pub mod brink;
pub mod clean;
pub mod detect;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod foresee;
pub mod name;
#[cfg(test)]
mod odd_files;
pub mod oomd;
pub mod other_limits;
pub mod place;
mod rising;
mod swapping;
mod systemd;
pub mod tree;
pub mod unified;
mod unreclaimable;
pub mod v1;
pub mod v2;

use std::{fs::File, os::fd::BorrowedFd, path::Path};

use nix::sys::epoll::EpollFlags;

use crate::{
    error::Result,
    event::{Above, Change, LimitOutcome, Sample, Settings},
    units::{Limit, mirror_margin, mirror_of},
};

pub use brink::Closeness;
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

/// What a sandbox's group is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where.
    pub hierarchy: &'a Hierarchy,
    /// The group below which it goes, a directory.
    pub parent: &'a Path,
    /// Whose it is.
    pub owner: &'a name::Owner,
    /// CPUs that may hold a charge batch.
    pub cpus: u32,
    /// The limit.
    pub limit: Limit,
    /// How much may be swapped out beside it: `Bytes(0)` for nothing.
    pub swap: Limit,
    /// The other settings that were asked for.
    pub changes: &'a [Change],
}

impl Wanted<'_> {
    fn margin(&self) -> u64 {
        mirror_margin(self.cpus)
    }
}

/// What init gets of a group, open.
#[derive(Default)]
pub struct InitFiles<'a> {
    /// L's `cgroup.procs` in every hierarchy that has one: a process that writes `0` to each joins.
    pub joins: Vec<&'a File>,
    /// v1's `freezer.state`: whom it holds does not die, not even killed.
    pub freezer: Option<&'a File>,
    /// The CPU quota: a dying process needs CPU time.
    pub quota: Option<&'a File>,
}

/// Nothing may be swapped out: the same limit does the same thing on every machine.
pub const NO_SWAP: Limit = Limit::Bytes(0);

/// A sandbox's memory group.
pub trait Cgroup: Send {
    /// P, as a path below the hierarchy's mount.
    fn path(&self) -> String;

    /// L: the directory that holds the workload.
    fn leaf(&self) -> &Path;

    /// What init gets: to have the command join, and to let all die when sandtop is gone.
    fn init_files(&self) -> InitFiles<'_>;

    /// Kills all processes at once, from outside, and waits for nothing.
    fn kill(&self) {
        tree::kill_once(self.leaf());
    }

    /// Announces that the group may have run out of memory, and by which readiness.
    fn oom_event(&self) -> Option<(BorrowedFd<'_>, EpollFlags)>;

    /// Takes what [`Cgroup::oom_event`] announced, so that it can announce again; whether memory had run out.
    fn oom_seen(&mut self) -> bool;

    /// Reads the group. Resets the interval peak.
    ///
    /// # Errors
    /// When a file that every kernel with this interface has cannot be read.
    fn sample(&mut self, detail: Detail) -> Result<Sample>;

    /// Whether what may be swapped out is bounded as was asked for. Without swap accounting it cannot be.
    fn swap_is_limited(&self) -> bool;

    /// Stops all processes at once, or lets them go on.
    ///
    /// # Errors
    /// When this machine cannot.
    fn freeze(&self, on: bool) -> Result<()>;

    /// Lets processes die that were killed while they are stopped: v1's freezer holds even those (`freezer.state`); elsewhere there is nothing
    /// to do. Whom it does not kill goes on.
    fn let_die(&self) {}

    /// Lifts the CPU quota for who is to die; whether there was one. A dying process runs in the kernel, and waits for its turn like any other:
    /// 150 that share a tenth of a CPU took 21 s.
    fn lift_quota(&self) -> bool {
        false
    }

    /// Lifts what stops or slows down at the limit whoever is paused there, for a workload that was asked to end.
    fn lift_pause(&self) {}

    /// The open `freezer.state`, where init has to do that itself when sandtop is gone.
    fn freezer_state(&self) -> Option<&File> {
        None
    }

    /// Reads how close the group is to its limit.
    ///
    /// # Errors
    /// When usage or `memory.stat` cannot be read.
    fn closeness(&self) -> Result<Closeness>;

    /// Asks to be told when usage crosses this many bytes, or not any more. v2 tells by itself: the writer puts `memory.high` there, and
    /// [`Cgroup::oom_event`] announces it.
    ///
    /// # Errors
    /// When the kernel does not take it.
    fn warn_at(&mut self, bytes: Option<u64>) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Readable when that happened, where it is told apart from an OOM.
    fn warning(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes what [`Cgroup::warning`] announced, so that it can announce again.
    fn warned(&self) {}

    /// Reads the other settings. What this kernel lacks is `None`, and so is what cannot be read.
    fn settings(&self) -> Settings;

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

    /// The tightest limit above the sandbox's own, where there is one that can be seen or felt.
    fn above(&self) -> Option<Above>;

    /// Takes back a lower limit that is being written, where the kernel acts on it before the write returns: `held` is the one that held before.
    /// Does not block.
    fn take_back(&self, held: Limit);

    /// The part that writes the limit and other settings, to be used from another thread: a write may block for seconds while the kernel
    /// reclaims.
    ///
    /// # Errors
    /// When the files cannot be opened.
    fn writer(&self) -> Result<Box<dyn WriteSettings>>;

    /// Removes the group and what is below it. Nothing may run in it any more.
    ///
    /// # Errors
    /// When a directory stays.
    fn remove(&mut self) -> Result<()>;
}

/// Writes settings, in the order that this kernel needs.
pub trait WriteSettings: Send {
    /// Moves the limit, and with it what hangs on it, and reads it back; what the kernel made of it is the outcome.
    ///
    /// # Errors
    /// When it could not be written, and the kernel did not refuse it for what it is. `EINTR`: a signal broke it off.
    fn limit(&mut self, target: Limit) -> Result<LimitOutcome>;

    /// Changes another setting.
    ///
    /// # Errors
    /// When the kernel refuses, or has no such setting; the whole sentence. `EINTR`: a signal broke it off.
    fn change(&mut self, change: Change) -> Result<()>;

    /// Somebody else moved the limit: moves what hangs on it.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn follow_limit(&mut self) -> Result<()>;

    /// Reclaims until usage is at most this many bytes, as far as that goes; the limit stays where it is.
    ///
    /// # Errors
    /// When this kernel has no way to. `EINTR`: a signal broke it off.
    fn reclaim_to(&mut self, usage: u64) -> Result<()>;

    /// Makes these changes, in order.
    ///
    /// # Errors
    /// At the first that fails.
    fn all(&mut self, changes: &[Change]) -> Result<()> {
        changes.iter().try_for_each(|change| self.change(*change))
    }
}

/// How far below its limit a group is to be stopped that is paused at the brink, in bytes. What fills a gigabyte a second is stopped within it
/// (measured: 16 MiB were enough in 20 of 20, 8 MiB in 17); a small limit must leave room to run in.
pub fn headroom(limit: u64) -> u64 {
    (limit / 4).min(16 << 20)
}

/// Where the brink of a limit begins, in bytes; `None` where there is no limit.
pub fn brink_of(limit: Limit) -> Option<u64> {
    limit.bytes().map(|limit| limit - headroom(limit))
}

/// A dead group that holds more cache than this gives it up, in bytes.
const CACHE_LEFT: u64 = 16 << 20;

/// The machine's swap: told when it moved.
#[derive(Debug, Default)]
struct MachineSwap {
    told: Option<u64>,
}

impl MachineSwap {
    /// What is free of it, in bytes, if that is not what it was at the last call.
    fn moved(&mut self) -> Option<u64> {
        let machine = rustix::system::sysinfo();
        let free = machine.freeswap as u64 * u64::from(machine.mem_unit);
        (self.told.replace(free) != Some(free)).then_some(free)
    }
}

/// L's limit is never below P's, on the way up as on the way down: hits would move to L.
fn must_raise_mirror_first(before: Limit, target: Limit) -> bool {
    before.bytes().is_some_and(|now| target.bytes().is_none_or(|then| then > now))
}

/// A group's path below its hierarchy's mount.
fn below(root: &Path, dir: &Path) -> String {
    format!("/{}", dir.strip_prefix(root).unwrap_or(dir).display())
}
