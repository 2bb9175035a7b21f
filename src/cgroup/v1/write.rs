//! Writing the settings of a v1 group: in the order that the kernel needs, and read back. Used from the writer thread; a write may block
//! for seconds while the kernel reclaims.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::errno::Errno;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use super::{MEMSW, TCP_LIMIT, kernel_text, memory_and_swap, read_limit};
use crate::{
    cgroup::{
        NO_SWAP, WriteSettings,
        beside::{self, Beside, Kind},
        brink::Lists,
        files,
        files::Kept,
        mirror_of, must_raise_mirror_first,
        tree::LEAF,
    },
    error::{Error, Result},
    event::{Change, LimitOutcome, OomPolicy},
    units::{Limit, page_size},
};

/// The files that are written.
pub struct V1Writer {
    dir: PathBuf,
    leaf: PathBuf,
    margin: u64,
    swap: Limit,
    /// Groups in other hierarchies.
    beside: Vec<(Kind, PathBuf)>,
    memsw: Option<Kept>,
    limit: Kept,
    mirror: Kept,
    usage: Kept,
}

impl V1Writer {
    /// Of the group in `dir`, where so much may be swapped out now.
    ///
    /// # Errors
    /// When the files cannot be opened.
    pub fn open(dir: &Path, swap: Limit, margin: u64, beside: &[Beside]) -> Result<V1Writer> {
        let leaf = dir.join(LEAF);
        Ok(V1Writer {
            margin,
            swap,
            beside: beside.iter().map(|group| (group.kind, group.dir().to_path_buf())).collect(),
            memsw: Kept::open_rw(dir, MEMSW).ok(),
            limit: Kept::open_rw(dir, "memory.limit_in_bytes")?,
            mirror: Kept::open_rw(&leaf, "memory.limit_in_bytes")?,
            usage: Kept::open(dir, "memory.usage_in_bytes")?,
            dir: dir.into(),
            leaf,
        })
    }

    fn try_limit(&mut self, target: Limit) -> Result<Limit> {
        let before = read_limit(&self.limit)?;
        let mirror = kernel_text(mirror_of(target, self.margin));
        let both = self.both(before, target)?.zip(self.memsw.as_ref());
        // The limit of both is never below the limit of memory: it goes first upwards, last downwards.
        if must_raise_mirror_first(before, target) {
            self.mirror.write(&mirror)?;
            both.map_or(Ok(()), |(both, file)| file.write(&kernel_text(both)))?;
            self.limit.write(&kernel_text(target))?;
        } else {
            self.limit.write(&kernel_text(target))?;
            self.mirror.write(&mirror)?;
            // Refused where more is swapped out by now than may be; the limit itself stands.
            let _ = both.map(|(both, file)| file.write(&kernel_text(both)));
        }
        let _ = files::write(&self.dir.join(TCP_LIMIT), &kernel_text(target)); // stands where more is in use
        read_limit(&self.limit)
    }

    /// What memory and swap together have to be; `None` where that is left alone. Where we left it alone and somebody else did not, what he
    /// allowed to be swapped out stays allowed.
    fn both(&self, before: Limit, target: Limit) -> Result<Option<Limit>> {
        let Some(memsw) = &self.memsw else { return Ok(None) };
        let ours = memory_and_swap(target, self.swap);
        let theirs = read_limit(memsw)?.less(before).bytes();
        Ok(ours.or(theirs.map(|swap| target.bytes().map_or(Limit::Max, |n| Limit::Bytes(n.saturating_add(swap))))))
    }

    /// Swap is kept off by swappiness, on every group: v1 reclaims by the task's own.
    fn swap(&mut self, swap: Limit) -> Result<()> {
        if swap == NO_SWAP {
            self.swappiness(0)?;
        }
        if let Some(memsw) = &self.memsw {
            let both = memory_and_swap(read_limit(&self.limit)?, swap).unwrap_or(Limit::Max);
            memsw.write(&kernel_text(both)).map_err(|e| match e.is(Errno::EBUSY) {
                true => e.remedy("more is in use, swapped out or not, than that would allow"),
                false => e,
            })?;
        } else if !matches!(swap, NO_SWAP | Limit::Max) {
            return Err(Error::new(
                "swap is not counted on this machine (swapaccount=0), so that it cannot be limited: give none, or max",
            ));
        }
        // Last, so that a limit that was refused leaves all as it was.
        if swap != NO_SWAP && self.swap == NO_SWAP {
            self.swappiness(self.machines_swappiness())?;
        }
        self.swap = swap;
        Ok(())
    }

    fn swappiness(&self, value: u64) -> Result<()> {
        let text = value.to_string();
        files::write(&self.dir.join(SWAPPINESS), &text)?;
        for group in files::groups_below(&self.leaf) {
            let _ = files::write(&group.join(SWAPPINESS), &text); // one of the workload's own may be gone
        }
        Ok(())
    }

    /// What groups have that nobody set anything for.
    fn machines_swappiness(&self) -> u64 {
        let text = std::fs::read_to_string("/proc/sys/vm/swappiness").unwrap_or_default();
        text.trim().parse().unwrap_or(60)
    }

    fn beside(&self, kind: Kind) -> Result<&PathBuf> {
        let option = if kind == Kind::Pids { "--pids-limit max" } else { "--cpus max" };
        let found = self.beside.iter().find(|(k, _)| *k == kind).map(|(_, dir)| dir);
        found.ok_or_else(|| {
            Error::new(format!(
                "on cgroup v1 that takes a group in the {} hierarchy, which is joined at the start: run it with {option}",
                kind.name()
            ))
        })
    }
}

const SWAPPINESS: &str = "memory.swappiness";

/// What makes a refusal worth another try.
enum Again {
    /// By now it fits: what is charged ahead for each CPU is given back by other threads of the kernel, for which a refusal does not wait
    /// (`drain_all_stock` in mm/memcontrol.c).
    Now,
    /// More may go at another try, with so much in use: dentries and inodes are freed late (RCU), and one try
    /// frees a part of them. v1 does not tell them from other kernel memory.
    Late(u64),
    /// It fits once so many bytes are written to the disk: reclaim asks for that and does not wait either (`wakeup_flusher_threads` in
    /// mm/vmscan.c).
    Written(u64),
}

/// How long what is on its way to the disk is waited for while none of it arrives, and how often it is looked at.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
const DISK_LOOK: Duration = Duration::from_millis(5);

/// How long what is freed late is waited for while usage does not fall, how often it is tried, and for how long
/// at most: a workload may fill what is freed.
const FREED_LATE: Duration = Duration::from_millis(200);
const LATE_LOOK: Duration = Duration::from_millis(20);
const TRIED_FOR: Duration = Duration::from_secs(2);

/// Kernel memory below this is not worth another try, in bytes: stacks, page tables and small change.
const SLAB_WORTH: u64 = 1 << 20;

impl V1Writer {
    /// Whether a limit that was refused is worth another try.
    fn again(&self, target: Limit) -> Option<Again> {
        let (target, usage) = (target.bytes()?, self.usage.number().ok()?);
        if usage <= target {
            return Some(Again::Now);
        }
        let stat = files::read(&self.leaf.join("memory.stat")).ok()?;
        let get = |key| files::value_of(&stat, key).unwrap_or(0);
        let unwritten = get("total_dirty") + get("total_writeback");
        if usage.saturating_sub(unwritten) <= target {
            return Some(Again::Written(unwritten));
        }
        // Also where that cannot be enough: what is said to stay in use is what does.
        let lists = Lists::read(&stat, "total_");
        let kernel = usage.saturating_sub(lists.certain(usage, 0)).saturating_sub(lists.file);
        (kernel >= SLAB_WORTH).then_some(Again::Late(usage))
    }

    /// Writes the limit, also where the kernel refuses what it could take a moment later.
    fn insist(&mut self, target: Limit) -> Result<Limit> {
        let mut least = u64::MAX;
        let mut since = Instant::now();
        let mut drained = false;
        let (begun, mut lowest, mut fell) = (Instant::now(), u64::MAX, Instant::now());
        loop {
            match self.try_limit(target) {
                Err(e) if e.is(Errno::EBUSY) => match self.again(target) {
                    Some(Again::Now) if !std::mem::replace(&mut drained, true) => {}
                    // By then it fits again: a refusal that says less than the limit would be none.
                    Some(Again::Now) if begun.elapsed() < TRIED_FOR => wait(DISK_LOOK)?,
                    Some(Again::Late(usage)) if begun.elapsed() < TRIED_FOR => {
                        if usage.saturating_add(SLAB_WORTH) <= lowest {
                            (lowest, fell) = (usage, Instant::now());
                        } else if fell.elapsed() >= FREED_LATE {
                            return Err(e);
                        }
                        wait(LATE_LOOK)?;
                    }
                    Some(Again::Written(left)) if left < least || since.elapsed() < DISK_PATIENCE => {
                        if left < least {
                            (least, since) = (left, Instant::now());
                        }
                        wait(DISK_LOOK)?;
                    }
                    _ => return Err(e),
                },
                other => return other,
            }
        }
    }
}

/// Waits in the writer's thread, where nobody waits for it. A signal breaks this off as it does a write: `EINTR`.
fn wait(time: Duration) -> Result<()> {
    let time = Timespec { tv_sec: 0, tv_nsec: time.as_nanos() as i64 };
    match nanosleep(&time) {
        NanosleepRelativeResult::Interrupted(_) => Err(Error::sys("wait for the disk", Errno::EINTR)),
        _ => Ok(()),
    }
}

impl WriteSettings for V1Writer {
    fn follow_limit(&mut self) -> Result<()> {
        self.mirror.write(&kernel_text(mirror_of(read_limit(&self.limit)?, self.margin)))
    }

    fn limit(&mut self, target: Limit) -> Result<LimitOutcome> {
        match self.insist(target) {
            Ok(now) => Ok(LimitOutcome::Applied { now }),
            Err(e) if e.is(Errno::EBUSY) => {
                Ok(LimitOutcome::Busy { usage: self.usage.number()?, kept: read_limit(&self.limit)? })
            }
            Err(e) => Err(e),
        }
    }

    /// v1 reclaims only where a limit asks for it. It is L's that is lowered, and put back at once: L holds every page, while the limit that
    /// counts is P's, which never moves here, whoever else writes it and whenever sandtop is killed (the workload then dies in L).
    fn reclaim_to(&mut self, usage: u64) -> Result<()> {
        let lowered = self.mirror.write(&usage.to_string());
        if lowered.as_ref().is_err_and(|e| e.is(Errno::EBUSY)) {
            // As much as could go is gone. Slab that is freed wakes nobody who sleeps at the limit, a limit
            // that rises does (`memcg1_oom_recover` in mm/memcontrol-v1.c): and L's has not moved yet.
            if let Limit::Bytes(mirror) = mirror_of(read_limit(&self.limit)?, self.margin) {
                let _ = self.mirror.write(&mirror.saturating_sub(page_size()).to_string());
            }
            return self.follow_limit();
        }
        self.follow_limit()?;
        lowered
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Swap(swap) => self.swap(swap),
            Change::SoftLimit(_) => Err(Error::new("cgroup v1 has no memory.high: nothing slows a group down there")),
            Change::Reservation(limit) => {
                files::write(&self.dir.join("memory.soft_limit_in_bytes"), &kernel_text(limit))
            }
            Change::Swappiness(value) => self.swappiness(value),
            // v1 has no killing of a whole group: the supervisor does that. What pauses at the brink has the kernel's own pause below it.
            Change::Oom(policy) => {
                // L's own limit is met where P's was raised behind our back.
                let pause = if policy == OomPolicy::Pause { "1" } else { "0" };
                files::write(&self.leaf.join("memory.oom_control"), pause)?;
                files::write(&self.dir.join("memory.oom_control"), pause)
            }
            Change::Pids(most) => beside::write_pids(self.beside(Kind::Pids)?, most),
            Change::Cpus(cpus) => beside::write_cpu(self.beside(Kind::Cpu)?, cpus),
            Change::Reclaim(_) => files::write(&self.dir.join("memory.force_empty"), "0"),
            Change::OomScoreAdj { .. } | Change::Freeze(_) => Ok(()), // not the writer's: it takes no time
        }
    }
}
