//! Who is next in line for the OOM killer, by the kernel's own rule (`oom_badness` and `oom_evaluate_task` in mm/oom_kill.c).
//!
//! The rule is exact in whole pages, as the kernel's own table of its tasks says (`tests.rs`). Who is taken is decided when memory has run out, and
//! until then somebody grows: who grows now is counted with the room that is left, in proportion to how fast it grows. What is not known: a process
//! that shares its parent's memory until it becomes another program (vfork) is passed over by the kernel; on v2 a machine whose
//! vm.swappiness is 0 counts no swap as room. Refuses: processes outside the sandbox.

use super::{Row, Run, story::BadnessParts};
use crate::{
    event::{Controller, ProcessUsage},
    units::{Limit, page_size},
};

/// The value of `oom_score_adj` that spares a process (`OOM_SCORE_ADJ_MIN`, include/uapi/linux/oom.h).
const SPARED: i32 = -1000;

/// One that the OOM killer can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// The process.
    pub row: &'a Row,
    /// What the kernel counts for it now (`oom_badness`), in pages. Below 0 where its `oom_score_adj` is.
    pub badness: i64,
    /// The part of that which is its `oom_score_adj`, in pages.
    pub adj: i64,
    /// What it will have grown by when memory runs out, if all goes on as it does, in pages: its share of the room that is left. 0 for one that
    /// does not grow.
    pub grows: i64,
}

impl Candidate<'_> {
    /// What the kernel counts for it now, in bytes.
    pub fn badness_bytes(&self) -> i64 {
        in_bytes(self.badness)
    }

    /// The part of that which is its `oom_score_adj`, in bytes.
    pub fn adj_bytes(&self) -> i64 {
        in_bytes(self.adj)
    }

    /// What it will be when memory runs out, in bytes: by this the line is ordered.
    pub fn then_bytes(&self) -> i64 {
        in_bytes(self.then())
    }

    /// Whether all that is counted was read: recordings of old lack page tables and swap, and are ordered by what page tables come to.
    pub fn is_exact(&self) -> bool {
        self.row.process.usage.page_tables.is_some()
    }

    /// What it consists of.
    pub fn parts(&self) -> BadnessParts {
        let usage = &self.row.process.usage;
        let whole = |bytes: u64| bytes / page_size() * page_size();
        BadnessParts {
            resident: whole(usage.counted.unwrap_or(usage.rss)),
            swapped: whole(usage.swap.unwrap_or(0)),
            page_tables: whole(page_tables(usage)),
            adjusted: self.adj_bytes(),
            growth: in_bytes(self.grows),
        }
    }

    fn then(&self) -> i64 {
        self.badness.saturating_add(self.grows)
    }
}

impl Run {
    /// The living processes that the OOM killer can take under the limit that holds, the first in line first; empty when the run is over. Who is
    /// first is taken when memory runs out.
    pub fn line(&self) -> Vec<Candidate<'_>> {
        let mut line = if self.ended.is_some() { Vec::new() } else { line_under(self, self.limit) };
        // Who is exiting, or was killed, has its memory on the way back.
        line.retain(|candidate| !candidate.row.process.usage.exiting && !candidate.row.oom_killed);
        line
    }

    /// Who is taken when this run's limit leaves no room any more; `None` where nobody can be, and without a limit.
    pub fn next_victim(&self) -> Option<Candidate<'_>> {
        self.line().first().copied().filter(|_| self.limit != Limit::Max)
    }

    /// What the kernel counts for a process now, in bytes, by which it chooses whom to kill; `None` for one that is dead, spared, or not read whole.
    pub fn badness_of(&self, row: &Row) -> Option<i64> {
        let lives = row.died.is_none() && self.ended.is_none();
        candidate(row, total_pages(self, self.limit))
            .filter(|found| lives && found.is_exact())
            .map(|c| c.badness_bytes())
    }
}

/// Whether the OOM killer passes over a process, whatever it holds.
pub fn is_spared(row: &Row) -> bool {
    row.process.usage.oom_score_adj == SPARED
}

/// Page tables, in bytes. Where they were not read (recordings of old): eight bytes for each resident page; those above them, some 40 KiB a
/// process, are the same for all.
pub fn page_tables(usage: &ProcessUsage) -> u64 {
    usage.page_tables.unwrap_or(usage.rss / page_size() * 8)
}

/// The living processes that can be taken under this limit, the first in line first.
pub fn in_line(run: &Run, limit: Limit) -> Vec<&Row> {
    line_under(run, limit).into_iter().map(|candidate| candidate.row).collect()
}

/// What the kernel counts for a process under this limit, in pages, dead or alive: below all others where it is spared.
pub fn weight(run: &Run, limit: Limit, row: &Row) -> i64 {
    candidate(row, total_pages(run, limit)).map_or(i64::MIN, |candidate| candidate.badness)
}

/// The same of one process, dead or alive, as it was last seen.
pub fn last_seen<'a>(run: &Run, limit: Limit, row: &'a Row) -> Option<Candidate<'a>> {
    candidate(row, total_pages(run, limit))
}

/// The same with what the kernel counts for each.
pub fn line_under(run: &Run, limit: Limit) -> Vec<Candidate<'_>> {
    let pages = total_pages(run, limit);
    let living = || run.processes.values().filter(|row| row.died.is_none());
    let mut line: Vec<Candidate> = living().filter_map(|row| candidate(row, pages)).collect();
    // Who is spared grows as well, and takes of the room.
    let all: u128 = living().map(|row| u128::from(row.growth(run.newest, run.looked))).sum();
    let room = u128::from(room(run, limit) / page_size());
    for candidate in &mut line {
        let share = room * u128::from(candidate.row.growth(run.newest, run.looked)) / all.max(1);
        candidate.grows = i64::try_from(share).unwrap_or(i64::MAX);
    }
    // The kernel goes through its list of tasks from the oldest on, and takes a later one that is as bad as the worst before it.
    line.sort_by_key(|candidate| std::cmp::Reverse((candidate.then(), candidate.row.process.host_pid)));
    line
}

fn candidate(row: &Row, total_pages: u64) -> Option<Candidate<'_>> {
    let usage = &row.process.usage;
    let page = page_size();
    let (badness, adj) = points(
        usage.counted.unwrap_or(usage.rss) / page,
        page_tables(usage),
        usage.swap.unwrap_or(0) / page,
        usage.oom_score_adj,
        total_pages,
    )?;
    Some(Candidate { row, badness, adj, grows: 0 })
}

/// `oom_badness`: resident pages, page tables in bytes, swapped-out pages, `oom_score_adj`, and the pages that the group may have. What it comes
/// to in pages, and the part of `oom_score_adj` in that; `None` for one that is spared.
pub fn points(rss: u64, page_tables: u64, swapped: u64, adj: i32, total_pages: u64) -> Option<(i64, i64)> {
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let held = whole(rss.saturating_add(swapped).saturating_add(page_tables / page_size()));
    let adj = (adj != SPARED).then(|| i64::from(adj).saturating_mul(whole(total_pages / 1000)))?;
    Some((held.saturating_add(adj), adj))
}

/// What the group may have in pages, swap included (`mem_cgroup_get_max` in mm/memcontrol.c); without a limit what the machine has
/// (`constrained_alloc` in mm/oom_kill.c).
fn total_pages(run: &Run, limit: Limit) -> u64 {
    let machine = run.started.swap_total.or(run.swap_free).unwrap_or(0);
    let (memory, swap) = match (limit, run.started.controller) {
        (Limit::Max, _) => (run.started.mem_total, machine),
        (Limit::Bytes(limit), Controller::V1) if run.settings.swappiness.is_none_or(|n| n == 0) => (limit, 0),
        // Where v1 does not count swap its limit is none.
        (Limit::Bytes(limit), Controller::V1) => (limit, run.settings.swap_limit.map_or(u64::MAX, most).min(machine)),
        (Limit::Bytes(limit), Controller::V2) => (limit, most(run.swap_limit).min(machine)),
    };
    (memory / page_size()).saturating_add(swap / page_size())
}

/// Pages, in bytes.
pub fn in_bytes(pages: i64) -> i64 {
    pages.saturating_mul(i64::try_from(page_size()).unwrap_or(i64::MAX))
}

fn most(limit: Limit) -> u64 {
    limit.bytes().unwrap_or(u64::MAX)
}

/// How much more can be held before memory runs out, in bytes: what is free, what can be given back, and what can still be swapped out. It is
/// taken from when the processes were looked at, so that what one grew by since is not counted twice.
fn room(run: &Run, limit: Limit) -> u64 {
    let Limit::Bytes(limit) = limit else { return 0 };
    // v1 limits memory and swap together: what is swapped out has taken of it.
    let swap = most(run.swap_limit).saturating_sub(run.swap.unwrap_or(0)).min(run.free_swap());
    let swap = if run.swap_free.is_some() { swap } else { 0 }; // it is not known whether there is any
    limit.saturating_sub(run.held_then).saturating_add(swap)
}

#[cfg(test)]
mod tests;
