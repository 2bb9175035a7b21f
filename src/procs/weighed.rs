//! What the OOM killer weighs of a process beside its size: page tables, what is swapped out, and `oom_score_adj`.
//!
//! `/proc/PID/status` costs seven times what `statm` does, so it is read when it has something new to say: what is in it moves with the size of the
//! process. Refuses: estimates.

use std::{fs::File, os::unix::fs::FileExt};

/// A process whose size moved by more than this since `status` was read is read again, in bytes …
const MOVED: u64 = 1 << 20;

/// … and a small one at this share of its size (1 in N).
const SHARE: u64 = 16;

/// What `/proc/PID/status` says that nothing cheaper does. What is not there is `None`: a kernel without swap has no `VmSwap`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// The innermost pid (`NSpid`).
    pub pid: Option<i32>,
    /// Page tables, in bytes (`VmPTE`: `mm_pgtables_bytes`, which is what `oom_badness` adds).
    pub page_tables: Option<u64>,
    /// What is swapped out, in bytes (`VmSwap`).
    pub swap: Option<u64>,
}

impl Status {
    /// Reads it; `None` when the process is gone.
    pub fn read(pid: i32) -> Option<Status> {
        let mut buffer = [0; 16 << 10]; // a line of it lists the groups of the user
        let n = File::open(format!("/proc/{pid}/status")).ok()?.read_at(&mut buffer, 0).ok()?;
        Some(Status::parse(&String::from_utf8_lossy(&buffer[..n])))
    }

    fn parse(text: &str) -> Status {
        let mut status = Status::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            match key {
                "NSpid" => status.pid = value.split_whitespace().last().and_then(|pid| pid.parse().ok()),
                "VmPTE" => status.page_tables = kib(value),
                "VmSwap" => status.swap = kib(value),
                _ => {}
            }
        }
        status
    }
}

/// `   176 kB` as bytes.
fn kib(value: &str) -> Option<u64> {
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether a process that had this size when its `status` was read is to be read again at this one.
pub(super) fn has_moved(then: u64, now: u64) -> bool {
    now.abs_diff(then) > MOVED.min(then / SHARE)
}

/// How readily the OOM killer takes a process; `None` when it is gone.
pub(super) fn oom_score_adj(pid: i32) -> Option<i32> {
    let mut buffer = [0; 16];
    let n = File::open(format!("/proc/{pid}/oom_score_adj")).ok()?.read_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..n]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tables_and_swap_are_read_in_bytes_and_what_is_lacking_is_nothing() {
        let text = "Name:\tVmPTE: 1\nNSpid:\t500\t2\nVmRSS:\t    1024 kB\nVmPTE:\t     176 kB\nVmSwap:\t      12 kB\nThreads:\t1\n";
        let read = Status { pid: Some(2), page_tables: Some(176 << 10), swap: Some(12 << 10) };
        assert_eq!(Status::parse(text), read);
        assert_eq!(Status::parse("Name:\tkthreadd\nNSpid:\t2\n"), Status { pid: Some(2), ..Status::default() });
        let mine = Status::read(std::process::id() as i32).expect("it lives");
        assert!(mine.page_tables.is_some_and(|bytes| bytes > 0 && bytes.is_multiple_of(1024)), "{mine:?}");
    }

    #[test]
    fn a_small_process_is_read_again_sooner_than_a_large_one() {
        const M: u64 = 1 << 20;
        assert!(has_moved(0, 1), "it was never read");
        assert!(!has_moved(M, M + M / 16) && has_moved(M, M + M / 16 + 1) && has_moved(M, M / 2));
        assert!(!has_moved(100 * M, 101 * M) && has_moved(100 * M, 101 * M + 1) && has_moved(100 * M, 98 * M));
    }
}
