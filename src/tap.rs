//! A consumer of the events with a thread of its own, beside the one that follows the run: the recorder, the metrics server.
//!
//! The supervisor hands every event to each. Refuses: to hold it up; what a tap cannot take it loses, and tells.

use crate::event::{Note, Stamped};

/// The supervisor's side of such a consumer. Dropping it ends it.
pub trait Tap: Send {
    /// Takes an event along. Must not wait.
    fn take(&mut self, stamped: &Stamped);

    /// What went wrong, each thing once.
    fn trouble(&mut self) -> Option<Note> {
        None
    }

    /// Nothing comes any more: brings what was taken to its end, and may wait for that. What went wrong and was not told yet.
    fn finish(&mut self) -> Option<Note> {
        None
    }
}
