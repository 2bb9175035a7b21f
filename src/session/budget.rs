//! How a run stands to its budget.

use super::{HighestFrom, Run};
use crate::event::BudgetOf;

/// What a budget came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// More was used for certain.
    Over,
    /// No more was used for certain.
    Within,
    /// No more was seen; it may have been as much as this, in bytes, where that is known.
    WithinAsFarAsSeen(Option<u64>),
}

impl Run {
    /// How the run stands to its budget; `None` without one, and before anything was read.
    pub fn budget(&self) -> Option<Judged> {
        let budget = self.started.budget.filter(|_| self.running.is_some() && self.last.is_some())?;
        let (least, most) = self.judged_usage();
        Some(match most {
            _ if least > budget => Judged::Over,
            Some(most) if most <= budget => Judged::Within,
            most => Judged::WithinAsFarAsSeen(most),
        })
    }

    /// Which usage the budget judges. Old recordings do not tell what was unreclaimable: theirs judge the peak, as it was when they were made.
    pub fn budget_of(&self) -> BudgetOf {
        match self.unreclaimable {
            Some(_) => self.started.budget_of,
            None => BudgetOf::Peak,
        }
    }

    /// The usage that the budget judges, in bytes: it was at least so much, and at most so much where that is known.
    fn judged_usage(&self) -> (u64, Option<u64>) {
        match (self.budget_of(), self.unreclaimable) {
            (BudgetOf::Unreclaimable, Some(seen)) => (seen.least, seen.most),
            _ => (self.peak, (self.highest_from() == HighestFrom::Kernel).then_some(self.peak)),
        }
    }

    /// Whether more was used than `--budget` allows.
    pub fn over_budget(&self) -> bool {
        self.budget() == Some(Judged::Over)
    }
}
