//! A workload that is stopped because its memory is about to run out (`--oom pause`).

use serde::{Deserialize, Serialize};

use crate::units::Limit;

/// How it stood with memory when the workload was stopped, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The limit.
    pub limit: Limit,
    /// What was charged.
    pub usage: u64,
    /// The part of it that is unreclaimable.
    pub unreclaimable: u64,
    /// Whether the limit itself was met: tasks sleep in the kernel, where they asked for memory (v1 `under_oom`). What others of the
    /// workload asked for before they were stopped may have failed.
    pub at_limit: bool,
    /// Whether all processes are stopped. Where they cannot be, only those sleep that met the limit, and calls of the others fail.
    pub frozen: bool,
}

/// A reclaim that made room, so that there was no pause: all processes stood still meanwhile. In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaimed {
    /// The limit.
    pub limit: Limit,
    /// What was charged before.
    pub before: u64,
    /// And after.
    pub after: u64,
    /// For how long the processes stood still, in microseconds.
    pub stood_us: u64,
    /// How many reclaims these were: a long recording puts those in a row together.
    #[serde(default = "once")]
    pub times: u64,
}

fn once() -> u64 {
    1
}

impl Reclaimed {
    /// Both as one, with what was before the earlier.
    #[must_use]
    pub fn after(self, earlier: Reclaimed) -> Reclaimed {
        let stood_us = self.stood_us.saturating_add(earlier.stood_us);
        let times = self.times.saturating_add(earlier.times);
        Reclaimed { before: earlier.before, stood_us, times, ..self }
    }
}

/// Why a paused workload goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// There is room again: the limit was raised, or memory was given back.
    Room,
    /// It is not to be paused any more: from here on the limit kills.
    Policy,
    /// It was asked to end, and heeds nothing while it is stopped.
    Ending,
    /// A process of it was killed, which takes effect only when it goes on (v1's freezer).
    Killed,
}
