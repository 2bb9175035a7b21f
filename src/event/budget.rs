//! What `--budget` judges.

use serde::{Deserialize, Serialize};

/// Which usage a budget is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BudgetOf {
    /// The highest that was unreclaimable: file cache, which the kernel takes back when it needs room, is left out
    #[default]
    Unreclaimable,
    /// The highest usage, file cache included
    Peak,
}

impl BudgetOf {
    pub(super) fn is_default(&self) -> bool {
        *self == BudgetOf::default()
    }

    /// The word that options and outputs have for it.
    pub fn word(self) -> &'static str {
        match self {
            BudgetOf::Unreclaimable => "unreclaimable",
            BudgetOf::Peak => "peak",
        }
    }
}
