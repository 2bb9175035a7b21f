//! Counts that start anew where the user says so: shown from there, while the whole run's, which results and metrics tell, go on.

use std::time::Duration;

use super::Run;

/// Where counts start that the user reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Limit hits until then.
    pub limit_hits: u64,
    /// OOM kills until then.
    pub oom_kills: u64,
    /// The highest usage since then, in bytes; `None` where nothing was reset.
    pub peak: Option<u64>,
    /// When that was.
    pub at: Option<Duration>,
}

impl Run {
    /// Counts from here. The whole run's counts, which results and metrics tell, go on.
    pub(super) fn reset_counters(&mut self, at: Duration) {
        self.since = Baseline {
            at: Some(at),
            limit_hits: self.limit_hits().unwrap_or(0),
            oom_kills: self.processes_killed().unwrap_or(0),
            peak: Some(self.usage()),
        };
    }

    /// Limit hits since the counters were reset.
    pub fn limit_hits_shown(&self) -> Option<u64> {
        self.limit_hits().map(|hits| hits.saturating_sub(self.since.limit_hits))
    }

    /// OOM kills since then.
    pub fn oom_kills_shown(&self) -> Option<u64> {
        self.processes_killed().map(|kills| kills.saturating_sub(self.since.oom_kills))
    }

    /// The highest usage since then, in bytes.
    pub fn peak_shown(&self) -> u64 {
        self.since.peak.unwrap_or(self.peak)
    }
}
