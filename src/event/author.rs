//! Who ordered an edit. What somebody else did to the group is no edit: it is found and not ordered, and a note tells it.

use serde::{Deserialize, Serialize};

/// Who ordered an edit of the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The user, with a key or a typed size.
    #[default]
    User,
    /// `--schedule`.
    Schedule {
        /// Which of the moves that it plans, from 0 ([`crate::schedule::Schedule::moves`]).
        number: usize,
    },
}
