//! Who is first in line for the OOM killer, by the kernel's own rule (`oom_badness` in mm/oom_kill.c).

use super::{Row, Run};
use crate::units::{Limit, page_size};

/// The value of `oom_score_adj` that spares a process (`OOM_SCORE_ADJ_MIN`, include/uapi/linux/oom.h).
const SPARED: i32 = -1000;

/// The page tables of so much resident memory, in bytes: eight bytes for each page. Those above them, some 40 KiB a process, are the same for all.
pub fn page_tables(rss: u64) -> u64 {
    rss / page_size() * 8
}

/// How bad a process is, in pages: what it holds, and its `oom_score_adj` in thousandths of what the group may have. What it has swapped out is
/// not known here, and is left out.
pub fn badness(row: &Row, pages: u64) -> i64 {
    let usage = &row.process.usage;
    let held = usage.rss.saturating_add(page_tables(usage.rss)) / page_size();
    (held as i64).saturating_add(i64::from(usage.oom_score_adj).saturating_mul((pages / 1000) as i64))
}

/// The living processes that can be taken under this limit, the first in line first. Of two that are equally bad the later one is.
pub fn in_line(run: &Run, limit: Limit) -> Vec<&Row> {
    let pages = limit.bytes().unwrap_or(run.started.mem_total) / page_size();
    let living = run.processes.values().filter(|row| row.died.is_none());
    let mut line: Vec<&Row> = living.filter(|row| row.process.usage.oom_score_adj != SPARED).collect();
    line.sort_by_key(|row| (badness(row, pages), row.process.host_pid));
    line.reverse();
    line
}
