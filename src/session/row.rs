//! A process of a run: what is known of it, and how busy it is.

use std::time::Duration;

use crate::event::{Process, ProcessUsage};

/// A process, alive or dead.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is known of it.
    pub process: Process,
    /// CPU use over its last two readings, in percent of one core.
    pub cpu: f64,
    /// When it died.
    pub died: Option<Duration>,
    /// Whether the OOM killer did it.
    pub oom_killed: bool,
    cpu_read: (Duration, u64),
}

impl Row {
    /// One that was born, or became another program.
    pub(super) fn new(at: Duration, process: Process, oom_killed: bool) -> Row {
        let cpu_read = (at, process.usage.cpu_ms);
        Row { process, cpu: 0.0, died: None, oom_killed, cpu_read }
    }

    /// Takes in its numbers.
    pub(super) fn update(&mut self, at: Duration, usage: ProcessUsage) {
        self.process.usage = usage;
        let (since, before) = self.cpu_read;
        let elapsed = at.saturating_sub(since).as_millis() as u64;
        // CPU time moves in steps of a clock tick: over less than half a second it says nothing.
        if elapsed >= 500 {
            self.cpu = usage.cpu_ms.saturating_sub(before) as f64 * 100.0 / elapsed as f64;
            self.cpu_read = (at, usage.cpu_ms);
        }
    }
}
