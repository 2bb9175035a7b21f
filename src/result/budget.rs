//! How a run stands to its budget, in a result.

use serde::Serialize;

use crate::{
    event::BudgetOf,
    session::{Judged, Run},
};

/// How a run stands to its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetDocument {
    /// Which usage it judges.
    pub of: BudgetOf,
    /// Whether it is certain that the budget was kept, or exceeded; else it was kept as far as seen.
    pub proven: bool,
}

impl BudgetDocument {
    /// Of a run; `None` without a budget, and where nothing was read.
    pub fn of(run: &Run) -> Option<BudgetDocument> {
        let judged = run.budget()?;
        Some(BudgetDocument { of: run.budget_of(), proven: matches!(judged, Judged::Over | Judged::Within) })
    }
}
