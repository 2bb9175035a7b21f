//! Limits beside the memory limit that a run met, in a result.

use serde::Serialize;

use crate::session::{LimitsMet, Run};

/// How often each was met. What this kernel or this run does not count is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OtherLimitsDocument {
    /// Forks and threads that a limit of processes refused.
    pub pids_refused: Option<u64>,
    /// How many of them the sandbox's own limit refused for certain.
    pub pids_refused_own: Option<u64>,
    /// That limit, when it last did.
    pub pids_limit: Option<u64>,
    /// The most processes and threads that there were at once.
    pub pids_peak: Option<u64>,
    /// Periods in which the quota of CPU time was used up.
    pub cpu_throttled: Option<u64>,
    /// How long tasks waited for that.
    pub cpu_throttled_seconds: Option<f64>,
    /// Charges above the soft limit that was set, where the kernel acts on it at once.
    pub soft_limit_hits: Option<u64>,
    /// That soft limit, when it was last met.
    pub soft_limit_bytes: Option<u64>,
    /// How long processes waited for memory at it.
    pub soft_limit_waited_seconds: Option<f64>,
}

impl OtherLimitsDocument {
    /// Of a run.
    pub fn of(run: &Run) -> OtherLimitsDocument {
        let met: LimitsMet = run.limits_met;
        let counts = met.counts;
        let refused = counts.pids_refused.map(|_| met.pids_refusals());
        let seconds = |us: Option<u64>| us.map(|us| us as f64 / 1e6);
        OtherLimitsDocument {
            pids_refused: refused,
            pids_refused_own: refused.map(|_| met.pids_refused),
            pids_limit: met.pids_limit,
            pids_peak: counts.pids_peak,
            cpu_throttled: counts.cpu_throttled,
            cpu_throttled_seconds: seconds(counts.cpu_throttled_us),
            soft_limit_hits: counts.high.map(|_| met.soft_limit_hits),
            soft_limit_bytes: met.soft_limit,
            soft_limit_waited_seconds: seconds(met.soft_limit_waited_us.filter(|_| met.soft_limit_hits > 0)),
        }
    }
}
