//! What is said of a recording itself, before what it tells is believed.

use std::path::Path;

use super::{Language, count};
use crate::record::Caution;

impl Language {
    /// Something that has to be known of a recording: what it is, and what that means.
    pub fn caution(self, caution: &Caution) -> (&'static str, String) {
        match caution {
            Caution::Damaged(damage) => ("is damaged", damage.to_string()),
            Caution::Unfinished => ("has no end", "it is still being written, or sandtop was killed".into()),
            Caution::Thinned(thinned) => {
                let mut said = Vec::new();
                if thinned.samples > 0 {
                    let samples = count(thinned.samples, "older sample");
                    said.push(format!(
                        "{samples} between others were thinned out; peaks, counts and the end are as they were"
                    ));
                }
                match thinned.left_out {
                    0 => {}
                    1 => said.push("one entry did not fit into memory, and was left out".into()),
                    n => said.push(format!("{n} entries did not fit into memory, and were left out")),
                }
                ("is long", said.join("; "))
            }
        }
    }

    /// Why nothing is where a workload's output would be.
    pub fn no_output(self) -> &'static str {
        "there is no output in this recording: only a run on the screen has its terminal recorded"
    }

    /// That a recording holds more runs than are shown; nothing where it does not.
    pub fn forgotten(self, runs: u64) -> Option<String> {
        match runs {
            0 => None,
            1 => Some("1 earlier run is not shown here: --run 1 shows it".into()),
            n => Some(format!("{n} earlier runs are not shown here: --run N shows one")),
        }
    }

    /// That two recordings are not compared, where there is no screen.
    pub fn not_compared(self, before: &Path, file: &Path) -> String {
        let (before, file) = (before.display(), file.display());
        format!("standard output is no terminal: this is {file} alone; on a screen it lies over {before}")
    }
}
