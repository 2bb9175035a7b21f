//! In words, who is next in line for the OOM killer.

use super::Language;
use crate::{event::Process, text::visible, units::size};

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
