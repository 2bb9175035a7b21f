//! A process of a run: what is known of it, how busy it is, and how fast it grows.

use std::time::Duration;

use super::growth::Size;
use crate::{
    event::{Process, ProcessUsage, Share},
    heap::Heap,
};

/// A process, alive or dead.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is known of it.
    pub process: Process,
    /// CPU use over its last two readings, in percent of one core.
    pub(super) cpu: f64,
    /// Its part of the memory that it has mapped, and when that was read.
    pub share: Option<(Duration, Share)>,
    /// When it was first seen, or became another program.
    pub since: Duration,
    /// Where its heap ends by what it decided at its start.
    pub heap: Option<Heap>,
    /// When it died.
    pub died: Option<Duration>,
    /// Whether the OOM killer did it.
    pub oom_killed: bool,
    cpu_read: (Duration, u64),
    size: Size,
}

impl Row {
    /// One that was born, or became another program.
    pub(super) fn new(at: Duration, process: Process, heap: Option<Heap>, oom_killed: bool) -> Row {
        let cpu_read = (at, process.usage.cpu_ms);
        let size = Size::new(at, own(&process.usage));
        Row { process, cpu: 0.0, share: None, since: at, heap, died: None, oom_killed, cpu_read, size }
    }

    /// Whether this is the same program in the same process, which has only taken another name (`PR_SET_NAME`).
    pub(super) fn is_renamed(&self, process: &Process) -> bool {
        self.died.is_none() && (self.process.parent, &self.process.command) == (process.parent, &process.command)
    }

    /// Takes in its numbers. When all were looked at before, `looked`, it had the ones that it had until now.
    pub(super) fn update(&mut self, at: Duration, usage: ProcessUsage, looked: Duration) {
        self.process.usage = usage;
        self.size.take(at, own(&usage), looked);
        let (since, before) = self.cpu_read;
        let elapsed = at.saturating_sub(since).as_millis() as u64;
        // CPU time moves in steps of a clock tick: over less than half a second it says nothing.
        if elapsed >= 500 {
            self.cpu = usage.cpu_ms.saturating_sub(before) as f64 * 100.0 / elapsed as f64;
            self.cpu_read = (at, usage.cpu_ms);
        }
    }

    /// CPU use now, in percent of one core: one whose time has not moved for so long is idle, and nothing more is told of it.
    pub fn cpu_now(&self, now: Duration, patience: Duration) -> f64 {
        if now.saturating_sub(self.cpu_read.0) > patience { 0.0 } else { self.cpu }
    }

    /// How fast it grows now, in bytes a second; 0 for one that does not. All were looked at `looked` for the last time.
    pub(super) fn growth(&self, now: Duration, looked: Duration) -> u64 {
        self.size.growth(now, looked)
    }
}

/// What is a process's own, in bytes: anonymous memory, in memory or swapped out. File pages are mapped, and nothing is charged for most.
fn own(usage: &ProcessUsage) -> u64 {
    usage.anon.saturating_add(usage.swap.unwrap_or(0))
}
