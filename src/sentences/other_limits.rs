//! Limits beside the memory limit, in words.

use std::time::Duration;

use super::{Language, duration, times};
use crate::{result::OtherLimitsDocument, units::size};

impl Language {
    /// That a limit of processes was met, as a line of the log.
    pub(super) fn pids_limit_met(self, limit: Option<u64>) -> String {
        format!("{} was met: a fork or a new thread failed", self.pids_limit(limit))
    }

    /// That the soft limit was met, as a line of the log.
    pub(super) fn soft_limit_met(self, limit: impl std::fmt::Display) -> String {
        format!("usage met the soft limit of {limit}: the kernel reclaims, and slows down who asks for more")
    }

    /// What was met beside the memory limit, each as a part of a sentence; none where nothing was.
    pub fn other_limits(self, met: &OtherLimitsDocument) -> Vec<String> {
        let time = |seconds: f64| duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let positive = |n: Option<u64>| n.filter(|n| *n > 0);
        let mut told = Vec::new();
        if let Some(hits) = positive(met.soft_limit_hits) {
            let limit = met.soft_limit_bytes.map_or(String::new(), |bytes| format!(" of {}", size(bytes)));
            let waited = met.soft_limit_waited_seconds.map_or(String::new(), |s| format!(", waited {}", time(s)));
            told.push(format!("slowed down by its soft limit{limit}: {}{waited}", times(hits)));
        }
        if let Some(refused) = positive(met.pids_refused) {
            let own = met.pids_refused_own.unwrap_or(0);
            if own > 0 {
                told.push(format!("{} was met {}", self.pids_limit(met.pids_limit), times(own)));
            }
            if refused > own {
                told.push(format!("{} was met {}", self.pids_limit(None), times(refused - own)));
            }
        }
        if let Some(periods) = positive(met.cpu_throttled) {
            let waited = met.cpu_throttled_seconds.map_or(String::new(), |s| format!(", waited {}", time(s)));
            told.push(format!("its CPU quota was used up {}{waited}", times(periods)));
        }
        told
    }

    fn pids_limit(self, limit: Option<u64>) -> String {
        match limit {
            Some(limit) => format!("the limit of {limit} processes and threads"),
            None => "a limit of processes, ours or one above,".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_that_was_met_is_told_and_what_was_not_is_not() {
        let told = |met: OtherLimitsDocument| Language::English.other_limits(&met).join("; ");
        let none = OtherLimitsDocument {
            pids_refused: Some(0),
            pids_peak: Some(3),
            cpu_throttled: Some(0),
            soft_limit_hits: Some(0),
            ..OtherLimitsDocument::default()
        };
        assert_eq!(told(none), "");
        let pids = OtherLimitsDocument {
            pids_refused: Some(7),
            pids_refused_own: Some(7),
            pids_limit: Some(40),
            ..OtherLimitsDocument::default()
        };
        assert_eq!(told(pids.clone()), "the limit of 40 processes and threads was met 7 times");
        let elsewhere = OtherLimitsDocument { pids_refused_own: Some(0), pids_refused: Some(1), ..pids };
        assert_eq!(told(elsewhere), "a limit of processes, ours or one above, was met once");
        let slowed = OtherLimitsDocument {
            cpu_throttled: Some(12),
            cpu_throttled_seconds: Some(0.5),
            soft_limit_hits: Some(150),
            soft_limit_bytes: Some(40 << 20),
            soft_limit_waited_seconds: Some(14.0),
            ..OtherLimitsDocument::default()
        };
        let said = "slowed down by its soft limit of 40M: 150 times, waited 14.0 s; \
            its CPU quota was used up 12 times, waited 0.500 s";
        assert_eq!(told(slowed), said);
    }
}
