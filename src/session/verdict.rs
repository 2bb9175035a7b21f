//! What an edit of the limit would do, foretold from what the run knows now: pure, and the same for whoever asks.
//!
//! It is held to the kernel by `tests/verdicts.rs`, which compares it with what then happens. Refuses: sentences, and any guess where there is no
//! sample yet.

use super::{Run, badness};
use crate::{
    event::{Controller, MemoryStat, ProcessUsage},
    units::{CHARGE_BATCH, Limit, page_size},
};

/// What an edit would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that is in use fits.
    Fits {
        /// What is then left, in bytes; `None` where there is no limit.
        headroom: Option<u64>,
    },
    /// It fits once file cache was given back.
    Reclaims {
        /// How much has to go, in bytes.
        bytes: u64,
        /// How much could, in bytes.
        cache: u64,
        /// How much of what has to go is to be written to the disk first, in bytes.
        unwritten: u64,
    },
    /// It fits once memory was swapped out.
    SwapsOut {
        /// How much, in bytes.
        bytes: u64,
        /// How much file cache goes beside it, in bytes.
        cache: u64,
        /// How much could be swapped out, in bytes.
        free: u64,
    },
    /// It fits if the kernel can reclaim memory of its own, which it does not tell beforehand (v1), and is refused otherwise.
    Unsure {
        /// What is unreclaimable for certain, in bytes.
        certain: u64,
        /// Kernel memory that may be reclaimable, in bytes.
        unknown: u64,
    },
    /// It is less than what cannot be given back, and this kernel refuses it (v1 `EBUSY`).
    Refused {
        /// What cannot be given back, in bytes.
        held: u64,
        /// The file cache that goes all the same while the kernel tries, in bytes.
        cache: u64,
    },
    /// It is less than what cannot be given back, and this kernel takes it and kills until it fits (v2).
    Kills {
        /// What cannot be given back, in bytes.
        held: u64,
        /// Who is taken.
        whom: Whom,
        /// Whether all of that is below the limit, and only what the kernel charges ahead is not: then it may live. At most 1 MiB wide.
        brink: bool,
    },
}

/// Whom the OOM killer takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// This one, the first in line.
    First {
        /// Its name.
        name: String,
        /// Its pid inside, where that is known, else outside.
        pid: i32,
        /// Whether what is left does not fit either.
        more: bool,
    },
    /// All of them (`memory.oom.group`).
    All,
    /// Nobody can be taken: usage then stays above the limit.
    Nobody,
}

impl Verdict {
    /// Whether somebody is killed: nothing does that without being asked once more.
    pub fn is_refused(&self) -> bool {
        matches!(self, Verdict::Refused { .. })
    }

    /// Whether somebody is killed.
    pub fn kills(&self) -> bool {
        matches!(self, Verdict::Kills { .. })
    }
}

/// What usage consists of, as reclaim sees it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What cannot be given back without swap: anonymous, shared and locked memory, and what the kernel holds.
    pub held: u64,
    /// What can: file cache, and what the kernel holds for it.
    pub cache: u64,
    /// What is charged and nobody's: batches for each CPU, given back at the first need.
    pub idle: u64,
    /// The part of `held` that could be swapped out now.
    pub swappable: u64,
    /// The part of `held` that is kernel memory of which it is not known whether it is reclaimable: dentries and inodes, on v1.
    pub unknown: u64,
    /// The part of `held` that the kernel frees while it reclaims, though it counts for nothing then (v2 `slab_reclaimable`).
    pub slab: u64,
    /// The part of `cache` that is written to the disk first.
    pub unwritten: u64,
}

impl Parts {
    /// What is unreclaimable as far as is known, in bytes: `held` without what a reclaim frees, or may free.
    pub fn unreclaimable(&self) -> u64 {
        self.held.saturating_sub(self.unknown).saturating_sub(self.slab)
    }
}

/// A buffer head describes each block of a page that was written through ext4 and the like, and goes with it (`struct buffer_head`, 104 bytes;
/// measured on 6.18: 26 KiB of `kernel` for each MiB written, none for what was only read).
const WITH_EACH_PAGE: u64 = 104;

/// The page cache's own nodes stay behind, to know evicted pages again (`struct xa_node`, 576 bytes for 64 pages; mm/workingset.c).
const LEFT_OF_EACH_PAGE: u64 = 9;

/// What the kernel holds for a process, its page tables for what is resident excepted, and for a thread's stack, in bytes. v1 tells kernel memory
/// as one sum; measured on 6.18 it was 76 to 92 KiB and 16 KiB.
const OF_A_PROCESS: u64 = 84 * 1024;
const OF_A_THREAD: u64 = 16 * 1024;

/// Kernel memory of a v1 group below this is no matter, in bytes: what is reckoned for its processes is not more exact.
const WORTH_A_TRY: u64 = 1 << 20;

/// How far above what is held a limit has to be, in bytes: what the kernel charges ahead meanwhile. Measured with two CPUs, at random
/// limits around what is held:
///
/// - v1 (6.18): below it none of 120 was taken, up to 64 KiB above it 5 of 8, and higher 108 of 111.
/// - v2 (6.1, emulated): of 49 below it and one up to 60 KiB above it each killed; of 5 between 60 and 240 KiB two did, since what is charged
///   ahead is given back by threads that the write does not wait for; of 95 higher ones none. A kill that was not announced is worse than a question
///   too many: the upper edge counts.
fn slack(controller: Controller, cpus: u32) -> u64 {
    let of_a_cpu = match controller {
        Controller::V1 => 24 * 1024,
        Controller::V2 => 128 * 1024,
    };
    (of_a_cpu * u64::from(cpus)).min(1 << 20)
}

impl Run {
    /// What usage consists of now, as reclaim sees it.
    pub fn parts(&self) -> Parts {
        let usage = self.usage();
        let Some(stat) = self.stat else { return Parts { held: usage, ..Parts::default() } };
        let idle = self.idle.min(usage);
        let file = stat.evictable.unwrap_or(stat.file);
        let cache = file.saturating_add(self.kernel_of_cache(file)).min(usage - idle);
        let held = usage - idle - cache;
        let swappable =
            stat.anon.saturating_add(stat.shmem).saturating_sub(stat.locked).min(self.free_swap()).min(held);
        let of_cache = cache.saturating_sub(file.min(cache));
        let (kernel, slab) = (self.kernel_beside_processes(stat), stat.slab_reclaimable);
        let left = kernel.saturating_sub(of_cache).min(held);
        let (unknown, slab) = if slab.is_none() { (left, 0) } else { (0, left) };
        Parts { held, cache, idle, swappable, unwritten: stat.unwritten.min(cache), unknown, slab }
    }

    /// What the kernel holds for the file cache and gives up with it, in bytes. More of its memory could go (names of files that were looked at),
    /// but that counts for nothing while a group is reclaimed (`flush_reclaim_state` in mm/vmscan.c).
    fn kernel_of_cache(&self, file: u64) -> u64 {
        let Some(stat) = self.stat else { return 0 };
        let pages = file / page_size();
        self.kernel_beside_processes(stat).saturating_sub(pages * LEFT_OF_EACH_PAGE).min(pages * WITH_EACH_PAGE)
    }

    /// What the kernel holds that is not for processes, in bytes: v2 tells what of it is reclaimable.
    fn kernel_beside_processes(&self, stat: MemoryStat) -> u64 {
        stat.slab_reclaimable.unwrap_or_else(|| {
            let living = self.processes.values().filter(|row| row.died.is_none()).map(|row| row.process.usage);
            let tables = stat.anon / page_size() * 8;
            let of = |usage: ProcessUsage| OF_A_PROCESS + OF_A_THREAD * u64::from(usage.threads.max(1));
            let needed = living.fold(tables, |sum, usage| sum.saturating_add(of(usage)));
            stat.kernel.unwrap_or(0).saturating_sub(needed)
        })
    }

    /// How much could be swapped out, in bytes. v1 bounds memory and swap together, which swapping out does not move, and swaps nothing out at a
    /// swappiness of 0; on v2 swap has a limit of its own.
    pub(super) fn free_swap(&self) -> u64 {
        let left = match (self.swap_limit, self.started.controller) {
            (Limit::Bytes(0), Controller::V2) => 0,
            (Limit::Bytes(0), Controller::V1) if self.settings.swappiness.is_none_or(|n| n == 0) => 0,
            (_, Controller::V1) if self.settings.swappiness == Some(0) => 0,
            (Limit::Bytes(most), Controller::V2) => most.saturating_sub(self.swap.unwrap_or(0)),
            _ => u64::MAX,
        };
        left.min(self.swap_free.unwrap_or(u64::MAX))
    }

    /// What this limit would do now; `None` before the first sample, and after the end.
    pub fn verdict(&self, target: Limit) -> Option<Verdict> {
        let usage = self.last.as_ref().filter(|_| self.ended.is_none())?.usage;
        let Limit::Bytes(target) = target else { return Some(Verdict::Fits { headroom: None }) };
        let (parts, controller) = (self.parts(), self.started.controller);
        if usage <= target {
            return Some(Verdict::Fits { headroom: Some(target - usage) });
        }
        let over = (usage - parts.idle).saturating_sub(target);
        // What has to go beyond the cache. v1 tries again where only what is charged ahead was in the way.
        let beyond = parts.held.saturating_add(slack(controller, self.started.cpus)).saturating_sub(target);
        Some(match beyond {
            _ if over == 0 && (beyond == 0 || controller == Controller::V1) => Verdict::Fits { headroom: Some(0) },
            0 => {
                let clean = parts.cache - parts.unwritten;
                Verdict::Reclaims { bytes: over, cache: parts.cache, unwritten: over.saturating_sub(clean) }
            }
            _ if beyond <= parts.swappable => {
                Verdict::SwapsOut { bytes: beyond, cache: parts.cache, free: parts.swappable }
            }
            _ if controller == Controller::V1 && parts.unknown >= WORTH_A_TRY && beyond <= parts.unknown => {
                Verdict::Unsure { certain: parts.held - parts.unknown, unknown: parts.unknown }
            }
            _ if controller == Controller::V1 => Verdict::Refused { held: parts.held, cache: parts.cache },
            _ => {
                let whom = self.whom(parts.held - parts.swappable, target);
                Verdict::Kills { held: parts.held, whom, brink: parts.held - parts.swappable <= target }
            }
        })
    }

    /// Whom the kernel takes under this limit, where so much stays in any case.
    fn whom(&self, stays: u64, target: u64) -> Whom {
        let line = badness::in_line(self, Limit::Bytes(target));
        match line.first() {
            None => Whom::Nobody,
            Some(_) if self.settings.oom_group == Some(true) => Whom::All,
            Some(first) => {
                let process = &first.process;
                let pid = process.pid.unwrap_or(process.host_pid);
                let left =
                    stays.saturating_sub(process.usage.anon).saturating_sub(badness::page_tables(&process.usage));
                Whom::First { name: process.name.clone(), pid, more: left > target && line.len() > 1 }
            }
        }
    }
}

/// What is charged and nobody's: what is in use beyond all that is known. Where the kernel does not tell its own part that cannot be known.
pub(super) fn idle(usage: u64, stat: MemoryStat, cpus: u32) -> u64 {
    let Some(kernel) = stat.kernel else { return 0 };
    let known = [stat.anon, stat.file, stat.shmem, kernel].into_iter().fold(0, u64::saturating_add);
    usage.saturating_sub(known).min(CHARGE_BATCH * u64::from(cpus))
}

#[cfg(test)]
pub(crate) mod tests;
