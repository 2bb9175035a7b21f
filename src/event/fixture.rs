//! A run's start as the tests tell it: an ordinary one, of which each changes what it is about.

use super::{BudgetOf, Controller, Isolation, OomPolicy, Started};
use crate::{schedule::Schedule, units::Limit};

impl Started {
    /// `sh` under 100 MiB on a machine with two CPUs.
    pub(crate) fn plain(controller: Controller) -> Started {
        Started {
            run: 1,
            argv: vec!["sh".into()],
            limit: Limit::Bytes(100 << 20),
            limit_is_default: false,
            swap: None,
            oom: OomPolicy::Kill,
            like: None,
            changes: Vec::new(),
            oom_score_adj: None,
            schedule: Schedule::default(),
            controller,
            group: "/sandtop/1-2-3".into(),
            cpus: 2,
            mem_total: 8 << 30,
            above: None,
            kernel_log: true,
            swap_total: Some(0),
            held: false,
            isolation: Isolation::Root,
            widened: false,
            options: Vec::new(),
            demo: false,
            budget: None,
            budget_of: BudgetOf::default(),
            wall_ms: 0,
        }
    }
}
