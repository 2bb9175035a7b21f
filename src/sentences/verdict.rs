//! What an edit of the limit would do, and what became of those that were made, in words.

use super::{Language, Weight, count};
use crate::{
    event::Controller,
    session::{Edit, Fate, Verdict, Whom},
    units::size,
};

/// Less cache than this is not worth a word, in bytes.
const A_LITTLE: u64 = 1 << 20;

impl Language {
    /// What an edit would do on this kernel: the sign that goes with it, one sentence, and its weight.
    pub fn verdict(self, controller: Controller, verdict: &Verdict) -> (&'static str, String, Weight) {
        let kernel = match controller {
            Controller::V1 => "cgroup v1",
            Controller::V2 => "cgroup v2",
        };
        match verdict {
            Verdict::Fits { headroom: None } => ("✓", "fits: no limit at all".into(), Weight::Plain),
            Verdict::Fits { headroom: Some(left) } => {
                ("✓", format!("fits: leaves {} headroom", size(*left)), Weight::Plain)
            }
            Verdict::Reclaims { bytes, cache, unwritten } => {
                let first = match unwritten {
                    0 => String::new(),
                    bytes => format!(", {} of it written to the disk first", size(*bytes)),
                };
                let text = format!(
                    "fits once {} are reclaimed{first}: {} of file cache can go, expect a short stall",
                    size(*bytes),
                    size(*cache)
                );
                ("~", text, Weight::Act)
            }
            Verdict::SwapsOut { bytes, free, cache } => {
                let cache = match *cache {
                    cache if cache < A_LITTLE => String::new(),
                    cache => format!(" and {} of file cache dropped", size(cache)),
                };
                let text = format!(
                    "fits once {} are swapped out{cache}: {} could be, expect a long stall",
                    size(*bytes),
                    size(*free)
                );
                ("!", text, Weight::Warning)
            }
            Verdict::Unsure { certain, unknown } => {
                let text = format!(
                    "fits if the kernel can reclaim enough of its own {}, which {kernel} does not tell, and is refused otherwise: {} are unreclaimable",
                    size(*unknown),
                    size(*certain)
                );
                ("~", text, Weight::Act)
            }
            Verdict::Refused { held, cache } => {
                let cache = match *cache {
                    cache if cache < A_LITTLE => String::new(),
                    cache => format!(", and drop {} of file cache in trying", size(cache)),
                };
                let text = format!("{} cannot be given back: {kernel} will refuse this{cache}", size(*held));
                ("✖", text, Weight::Warning)
            }
            Verdict::Kills { held, whom, brink } => {
                let (ahead, verb) = if *brink { (", and the kernel charges ahead", "may") } else { ("", "will") };
                let text = format!("{} cannot be given back{ahead}: {kernel} {}", size(*held), self.whom(whom, verb));
                ("✖", text, Weight::Danger)
            }
        }
    }

    fn whom(self, whom: &Whom, verb: &str) -> String {
        match whom {
            Whom::First { name, pid, more: false } => format!("{verb} kill {name} (pid {pid}), the first in line"),
            Whom::First { name, pid, more: true } => {
                format!("{verb} kill {name} (pid {pid}), the first in line, and others after it")
            }
            Whom::All => format!("{verb} kill the whole workload (memory.oom.group)"),
            Whom::Nobody => "finds nobody to kill, and usage will stay above it".into(),
        }
    }

    /// What became of an edit, in a word or two.
    pub fn fate(self, edit: &Edit) -> String {
        match (edit.fate, edit.kills) {
            (Fate::Pending, 0) => "being written".into(),
            (Fate::Done, 0) => "done".into(),
            (Fate::Pending, kills) => format!("{}, being written", count(kills, "kill")),
            (Fate::Done, kills) => count(kills, "kill"),
            (Fate::Refused, _) => "refused".into(),
            (Fate::Failed, _) => "failed".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    #[test]
    fn a_verdict_is_said_with_its_numbers_in_the_words_of_this_kernel() {
        let first = Whom::First { name: "stress".into(), pid: 7, more: false };
        let kills = |whom| Verdict::Kills { held: 61 * M, whom, brink: false };
        for (controller, verdict, words) in [
            (Controller::V1, Verdict::Fits { headroom: Some(12 * M) }, "leaves 12M headroom"),
            (
                Controller::V2,
                Verdict::Reclaims { bytes: 34 * M, cache: 40 * M, unwritten: 0 },
                "34M are reclaimed: 40M",
            ),
            (Controller::V2, Verdict::Reclaims { bytes: 34 * M, cache: 40 * M, unwritten: 5 * M }, "5M of it written"),
            (Controller::V1, Verdict::SwapsOut { bytes: 9 * M, cache: 0, free: 64 * M }, "9M are swapped out: 64M"),
            (
                Controller::V1,
                Verdict::Refused { held: 61 * M, cache: 0 },
                "61M cannot be given back: cgroup v1 will refuse this",
            ),
            (Controller::V1, Verdict::Refused { held: 61 * M, cache: 5 * M }, "and drop 5M of file cache"),
            (
                Controller::V2,
                kills(first),
                "61M cannot be given back: cgroup v2 will kill stress (pid 7), the first in line",
            ),
            (Controller::V2, kills(Whom::All), "the whole workload"),
            (Controller::V2, kills(Whom::Nobody), "nobody to kill"),
            (
                Controller::V2,
                Verdict::Kills { held: M, whom: Whom::All, brink: true },
                "and the kernel charges ahead: cgroup v2 may kill",
            ),
        ] {
            let (_, said, _) = Language::English.verdict(controller, &verdict);
            assert!(said.contains(words), "{said}");
        }
    }
}
