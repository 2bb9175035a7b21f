//! The settings that a run was started with, beside limit and swap, as a document.

use serde::Serialize;

use super::{Amount, LimitValue};
use crate::event::{Change, OomPolicy, Started};

/// What was asked for; null for what was not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AskedDocument {
    /// `--oom`: what happens when memory runs out.
    pub oom: Option<OomPolicy>,
    /// `--memory-high`.
    pub soft_limit: Option<LimitValue>,
    /// `--memory-reservation`.
    pub reservation: Option<LimitValue>,
    /// How readily the group is swapped out; set on the screen for the run after.
    pub swappiness: Option<u64>,
    /// `--pids-limit`.
    pub pids_limit: Option<Amount>,
    /// `--cpus`.
    pub cpus: Option<Amount>,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
}

impl AskedDocument {
    /// Of a run at its start.
    pub fn of(started: &Started) -> AskedDocument {
        let mut asked = AskedDocument { oom_score_adj: started.oom_score_adj, ..AskedDocument::default() };
        for change in &started.changes {
            match *change {
                Change::Oom(policy) => asked.oom = Some(policy),
                Change::SoftLimit(limit) => asked.soft_limit = Some(limit.into()),
                Change::Reservation(limit) => asked.reservation = Some(limit.into()),
                Change::Swappiness(n) => asked.swappiness = Some(n),
                Change::Pids(most) => asked.pids_limit = Some(Amount::whole(most)),
                Change::Cpus(cpus) => asked.cpus = Some(Amount::cpus(cpus)),
                Change::Swap(_) | Change::Reclaim(_) | Change::OomScoreAdj { .. } | Change::Freeze(_) => {}
            }
        }
        asked
    }

    /// The options that ask for it again.
    pub fn options(&self) -> Vec<String> {
        let oom = self.oom.map(|policy| {
            let word = match policy {
                OomPolicy::Kill => "kill",
                OomPolicy::Group => "group",
                OomPolicy::Pause => "pause",
            };
            format!("--oom {word}")
        });
        let soft = self.soft_limit.map(|limit| format!("--memory-high {}", limit.typed()));
        let reservation = self.reservation.map(|limit| format!("--memory-reservation {}", limit.typed()));
        let pids = self.pids_limit.map(|most| format!("--pids-limit {}", most.typed()));
        let cpus = self.cpus.map(|cpus| format!("--cpus {}", cpus.typed()));
        let adj = self.oom_score_adj.map(|n| format!("--oom-score-adj {n}"));
        [soft, reservation, oom, pids, cpus, adj].into_iter().flatten().collect()
    }
}
