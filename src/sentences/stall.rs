//! A run that lives and gets nowhere, in words: what it does, why nothing ends it, and what would help.

use std::time::Duration;

use super::{Language, Weight, duration};
use crate::units::Limit;

impl Language {
    /// That a run has stalled, as a line of the log.
    pub fn stalled(self, limit: Limit, refaults: u64) -> (String, Weight) {
        self.stalled_and(limit, refaults, "")
    }

    /// The same while it lasts, with the key that helps.
    pub fn stalled_with_key(self, limit: Limit, refaults: u64, key: &str) -> (String, Weight) {
        self.stalled_and(limit, refaults, &format!("; {key} raises it"))
    }

    /// As long as the kernel finds pages to take it has no reason to kill. It may fail to for a moment (seen: a kill after 5 s).
    fn stalled_and(self, limit: Limit, refaults: u64, remedy: &str) -> (String, Weight) {
        let text = format!(
            "stalled: it lives, but spends its time fetching back what the limit of {limit} takes away{remedy} ({} pages a second; no kill will come as long as that works)",
            about(refaults)
        );
        (text, Weight::Warning)
    }

    /// The same for who has no screen: with sandtop's pid, and the file of the limit.
    pub fn how_to_get_on(self, pid: u32, limit_file: &str) -> String {
        format!("to give it room: echo SIZE > {limit_file}, or start it with a larger -m; to end it: kill {pid}")
    }

    /// That it gets on again.
    pub fn stall_over(self, lasted: Duration) -> (String, Weight) {
        (format!("not stalled any more, after {}", duration(lasted)), Weight::Plain)
    }

    /// How long a run stalled in all, as a part of the line that it ends with; nothing if it did not.
    pub(super) fn stalled_for(self, total: Duration) -> String {
        if total.is_zero() { String::new() } else { format!(", stalled for {}", duration(total)) }
    }
}

/// A number that is not known to its last digit, for people: `93,000`, `1,200`.
fn about(n: u64) -> String {
    let step = if n < 10_000 { 100 } else { 1000 };
    let digits = ((n + step / 2) / step * step).to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_told_with_its_limit_and_its_rate() {
        let (text, weight) = Language::English.stalled(Limit::Bytes(200 << 20), 93_210);
        assert!(text.contains("the limit of 200M takes away (93,000 pages a second;"), "{text}");
        assert_eq!(weight, Weight::Warning);
        let (text, _) = Language::English.stalled_with_key(Limit::Bytes(200 << 20), 93_210, "+");
        assert!(text.contains("takes away; + raises it (93,000"), "{text}");
        assert_eq!(
            [about(1234), about(9_960), about(175_499), about(1_234_567)],
            ["1,200", "10,000", "175,000", "1,235,000"]
        );
    }
}
