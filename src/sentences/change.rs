//! Changes of settings, in words.

use super::Language;
use crate::{
    event::{Change, OomPolicy},
    session::Session,
    units::{Limit, Quota},
};

impl Language {
    /// What a change does, as the beginning of a sentence.
    pub fn change(self, change: Change, session: &Session) -> String {
        let most = |limit: Limit| if limit == Limit::Max { "none".to_string() } else { limit.to_string() };
        match change {
            Change::Swap(Limit::Bytes(0)) => "nothing is swapped out any more".into(),
            Change::Swap(limit) => format!("swap limit {limit}"),
            Change::SoftLimit(limit) => format!("soft limit {}", most(limit)),
            Change::Reservation(limit) => format!("reservation {}", most(limit)),
            Change::Swappiness(0) => "swappiness 0 (nothing is swapped out)".into(),
            Change::Swappiness(value) => format!("swappiness {value} (the workload may swap)"),
            Change::Oom(policy) => format!("when memory runs out: {}", self.policy(policy)),
            Change::Pids(Quota::Of(n)) => format!("at most {n} processes and threads"),
            Change::Pids(Quota::Max) => "any number of processes".into(),
            Change::Cpus(quota) => match self.cpus(quota) {
                Some(cpus) => format!("CPU time of {cpus}"),
                None => "any CPU time".into(),
            },
            Change::Reclaim(Limit::Max) => "all was given back that could be".into(),
            Change::Reclaim(limit) => format!("up to {limit} were given back"),
            Change::OomScoreAdj { host_pid, value } => {
                let row = session.run().and_then(|run| run.processes.get(&host_pid));
                let known = row.map_or(("", None), |row| (row.process.name.as_str(), row.process.pid));
                format!("oom_score_adj {value} for {}", self.process(known.0, known.1, host_pid))
            }
            Change::Freeze(true) => "frozen".into(),
            Change::Freeze(false) => "not frozen any more".into(),
        }
    }

    /// What a policy means.
    pub fn policy(self, policy: OomPolicy) -> &'static str {
        match policy {
            OomPolicy::Kill => "the kernel kills one process",
            OomPolicy::Group => "the whole workload is killed",
            OomPolicy::Pause => "the workload is paused at the brink",
        }
    }

    /// A CPU quota: `1.5 CPUs`; `None` for any.
    pub fn cpus(self, quota: Quota) -> Option<String> {
        let n = quota.number()? as f64 / 1000.0;
        Some(if n == 1.0 { "1 CPU".into() } else { format!("{n} CPUs") })
    }
}
