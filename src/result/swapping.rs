//! What was swapped in a run, in a result.

use serde::Serialize;

use crate::session::{HighestFrom, Run};

/// What was swapped, in bytes. What this kernel does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SwappingDocument {
    /// The most that was swapped out at once.
    pub peak_bytes: Option<u64>,
    /// Where that is from.
    pub peak_from: Option<HighestFrom>,
    /// The most that memory and swap were together (v1).
    pub peak_with_memory_bytes: Option<u64>,
    /// What was read back from swap.
    pub read_bytes: Option<u64>,
    /// What was written to swap.
    pub written_bytes: Option<u64>,
}

impl SwappingDocument {
    /// Of a run.
    pub fn of(run: &Run) -> SwappingDocument {
        SwappingDocument {
            peak_bytes: run.swap_peak.map(|(bytes, _)| bytes),
            peak_from: run.swap_peak.map(|(_, from)| from),
            peak_with_memory_bytes: run.swapping.peak_with_memory,
            read_bytes: run.swapping.read,
            written_bytes: run.swapping.written,
        }
    }
}
