//! In words, who is next in line for the OOM killer.

use super::Language;
use crate::{event::Process, session::Run, text::visible, units::size};

/// Less than this is not worth a word, in bytes.
const ODD: u64 = 16 << 20;

impl Language {
    /// A place in line, from 0, in five columns: the first has a sign before the word.
    pub fn place(self, place: usize) -> String {
        match place {
            0 => "☠ 1st".into(),
            1 => "  2nd".into(),
            2 => "  3rd".into(),
            _ => format!("{:>3}th", place + 1),
        }
    }

    /// Who is first in line, in so many columns.
    pub fn next(self, process: &Process, columns: usize) -> String {
        let pid = process.pid.unwrap_or(process.host_pid).to_string();
        // Where there is no room for a name the pid is enough.
        let name: String = visible(&process.name).chars().take(columns.saturating_sub(pid.len() + 8)).collect();
        let space = if name.is_empty() { "" } else { " " };
        format!("☠ next {name}{space}{pid}")
    }

    /// Where the sizes of the processes are not what the memory is: what of it no process has, or what counts in several. As far as there is room.
    pub fn odd(self, run: &Run, columns: usize) -> Option<String> {
        let (usage, shmem) = (run.usage(), run.stat?.shmem);
        let living = || run.processes.values().filter(|row| row.died.is_none()).map(|row| &row.process.usage);
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        let mapped = sum(&mut living().map(|of| of.rss.saturating_sub(of.anon)));
        let (rss, anon) = (sum(&mut living().map(|of| of.rss)), sum(&mut living().map(|of| of.anon)));
        // Pages of files may be charged elsewhere; anonymous ones that add up to more than there are, are shared since a fork.
        let there = run.stat?.anon;
        let again = anon.saturating_sub(there);
        let shared = living().count() > 1 && again > (there / 4).saturating_add(ODD);
        let texts = if shmem > usage / 2 && shmem > ODD && mapped < shmem / 2 {
            let shmem = size(shmem);
            vec![
                format!("{shmem} of files in memory is no process's: no kill frees it"),
                format!("no process owns {shmem} of shmem"),
            ]
        } else if shared {
            let (rss, again) = (size(rss), size(again));
            vec![
                format!("RSS adds up to {rss}, {again} of it again: since a fork, until written to (copy-on-write)"),
                format!("RSS adds up to {rss}, {again} copy-on-write"),
                format!("RSS {rss}, {again} copy-on-write"),
                format!("RSS adds up to {rss}, shared"),
            ]
        } else {
            return None;
        };
        texts.into_iter().find(|text| text.chars().count() <= columns)
    }

    /// Instead of a place, of one that the OOM killer passes over.
    pub fn spared(self) -> &'static str {
        "never"
    }

    /// What follows the `oom_score_adj` of a process: what the kernel counts for it, in bytes.
    pub fn counted(self, badness: i64) -> String {
        let sign = if badness < 0 { "-" } else { "" };
        format!("; with it the kernel counts {sign}{}", size(badness.unsigned_abs()))
    }

    /// What the place in line is.
    pub fn place_means(self) -> &'static str {
        "☠ NEXT: whom the kernel would kill if memory ran out. It counts (BADNESS) memory, swap, page tables and oom_score_adj; who grows (↑) is counted with the room that is left."
    }
}
