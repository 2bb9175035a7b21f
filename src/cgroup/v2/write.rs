//! Writing the settings of a v2 group: in the order that the kernel needs, and read back. Used from the writer thread; a write may block
//! for seconds while the kernel reclaims.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::{kernel_text, read_limit};
use crate::{
    cgroup::{WriteSettings, beside, brink_of, files, files::Kept, mirror_of, must_raise_mirror_first, tree::LEAF},
    error::{Error, Result},
    event::{Change, LimitOutcome, OomPolicy},
    units::Limit,
};

/// The files that are written.
pub struct V2Writer {
    dir: PathBuf,
    leaf: PathBuf,
    margin: u64,
    limit: Kept,
    mirror: Kept,
    /// `memory.high`, as the user wants it, and for a workload that is paused at the brink.
    high: High,
}

/// What `memory.high` is to be.
#[derive(Clone, Copy, Debug)]
pub struct High {
    /// What the user wants.
    pub soft: Limit,
    /// Whether the workload is paused at the brink: the kernel slows it down there, and says so.
    pub pauses: bool,
}

impl High {
    /// As these changes of a fresh group make it.
    pub fn of(changes: &[Change]) -> High {
        let mut high = High { soft: Limit::Max, pauses: false };
        changes.iter().for_each(|change| high.follow(*change));
        high
    }

    /// Takes note of a change.
    pub fn follow(&mut self, change: Change) {
        match change {
            Change::SoftLimit(limit) => self.soft = limit,
            Change::Oom(policy) => self.pauses = policy == OomPolicy::Pause,
            _ => {}
        }
    }

    /// Under this limit: the lower of the two.
    fn under(self, limit: Limit) -> Limit {
        let brink = brink_of(limit).filter(|_| self.pauses);
        match (self.soft, brink) {
            (Limit::Bytes(soft), Some(brink)) => Limit::Bytes(soft.min(brink)),
            (soft, None) => soft,
            (Limit::Max, Some(brink)) => Limit::Bytes(brink),
        }
    }
}

impl V2Writer {
    /// Of the group in `dir`.
    ///
    /// # Errors
    /// When the files cannot be opened.
    pub fn open(dir: &Path, margin: u64, high: High) -> Result<V2Writer> {
        let leaf = dir.join(LEAF);
        let (limit, mirror) = (Kept::open_rw(dir, "memory.max")?, Kept::open_rw(&leaf, "memory.max")?);
        Ok(V2Writer { dir: dir.into(), leaf, margin, limit, mirror, high })
    }

    fn try_limit(&mut self, target: Limit) -> Result<Limit> {
        let mirror = kernel_text(mirror_of(target, self.margin));
        let raising = must_raise_mirror_first(read_limit(&self.limit)?, target);
        if raising {
            self.mirror.write(&mirror)?;
        } else {
            self.write_high(target)?; // the kernel takes back what it can there, before it would kill
        }
        self.limit.write(&kernel_text(target))?;
        if raising {
            self.write_high(target)?;
        } else {
            self.mirror.write(&mirror)?;
        }
        read_limit(&self.limit)
    }

    /// Moves the brink with the limit. Where nobody is paused at it there is nothing to move.
    fn write_high(&self, limit: Limit) -> Result<()> {
        if self.high.pauses { self.write("memory.high", &kernel_text(self.high.under(limit))) } else { Ok(()) }
    }

    /// Makes a change that `memory.high` hangs on.
    fn change_high(&mut self, change: Change) -> Result<()> {
        let mut then = self.high;
        then.follow(change);
        let before = self.high.under(read_limit(&self.limit)?);
        let after = then.under(read_limit(&self.limit)?);
        if before != after || matches!(change, Change::SoftLimit(_)) {
            self.write("memory.high", &kernel_text(after))?;
        }
        self.high = then;
        Ok(())
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        files::write(&self.dir.join(name), value).map_err(|e| match e.is(Errno::ENOENT) {
            true => Error::new(format!("this kernel, or this group, has no {name}")),
            false => e,
        })
    }

    fn reclaim(&self, bytes: Limit) -> Result<()> {
        let all = || files::read(&self.dir.join("memory.current")).map(|text| text.trim().to_string());
        let bytes = bytes.bytes().map_or_else(all, |n| Ok(n.to_string()))?;
        match self.write("memory.reclaim", &bytes) {
            Err(e) if e.is(Errno::EAGAIN) => Ok(()), // not as much as was asked for could go
            other => other,
        }
    }
}

impl WriteSettings for V2Writer {
    fn follow_limit(&mut self) -> Result<()> {
        let limit = read_limit(&self.limit)?;
        self.mirror.write(&kernel_text(mirror_of(limit, self.margin)))?;
        self.write_high(limit)
    }

    /// The kernel takes any limit: where usage does not fit it reclaims, and then kills until it does or nobody is left.
    fn limit(&mut self, target: Limit) -> Result<LimitOutcome> {
        Ok(LimitOutcome::Applied { now: self.try_limit(target)? })
    }

    /// Before `memory.reclaim` (5.19) `memory.high` does it: the write that lowers it reclaims, and kills nobody. It is put back at once.
    fn reclaim_to(&mut self, usage: u64) -> Result<()> {
        let current = files::read(&self.dir.join("memory.current"))?.trim().parse().unwrap_or(0u64);
        let more = current.saturating_sub(usage);
        if more == 0 {
            return Ok(());
        }
        if self.dir.join("memory.reclaim").exists() {
            return self.reclaim(Limit::Bytes(more));
        }
        let lowered = self.write("memory.high", &usage.to_string());
        self.write("memory.high", &kernel_text(self.high.under(read_limit(&self.limit)?)))?;
        lowered
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Swap(swap) => {
                self.write("memory.swap.max", &kernel_text(swap))?;
                files::write(&self.leaf.join("memory.swap.max"), &kernel_text(swap))
            }
            Change::SoftLimit(_) => self.change_high(change),
            Change::Reservation(limit) => {
                // The leaf has the pages: without `memory_recursiveprot` it is spared by its own file alone.
                self.write("memory.low", &kernel_text(limit))?;
                files::write(&self.leaf.join("memory.low"), &kernel_text(limit))
            }
            Change::Swappiness(_) => Err(Error::new("cgroup v2 has no swappiness for a group: limit the swap instead")),
            Change::Oom(policy) => {
                self.write("memory.oom.group", if policy == OomPolicy::Group { "1" } else { "0" })?;
                self.change_high(change)
            }
            Change::Pids(most) if self.dir.join("pids.max").exists() => beside::write_pids(&self.dir, most),
            Change::Pids(_) => Err(Error::new("the pids controller was not passed on to this group")),
            Change::Cpus(cpus) if self.dir.join("cpu.max").exists() => self.write("cpu.max", &beside::cpu_max(cpus)),
            Change::Cpus(_) => Err(Error::new("the cpu controller was not passed on to this group")),
            Change::Reclaim(bytes) => self.reclaim(bytes),
            Change::OomScoreAdj { .. } | Change::Freeze(_) => Ok(()), // not the writer's: it takes no time
        }
    }
}
