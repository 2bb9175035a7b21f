//! The processes of a run: what is known of each, and how busy it is. Refuses: to keep more of the dead than can be shown.

use std::time::Duration;

use super::Run;
use crate::event::{Process, ProcessChanges, ProcessUsage};

/// How many dead processes a run keeps to show.
pub(super) const DEAD_KEPT: usize = 32;

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

impl Run {
    pub(super) fn processes(&mut self, at: Duration, changes: &ProcessChanges) {
        for process in &changes.born {
            let killed = self.victims.iter().any(|v| v.host_pid == process.host_pid);
            self.processes.insert(process.host_pid, Row::new(at, process.clone(), killed));
        }
        for (pid, usage) in &changes.changed {
            if let Some(row) = self.processes.get_mut(pid) {
                row.update(at, *usage);
            }
        }
        let main = self.running.and_then(|(_, _, host_pid)| host_pid);
        self.others_died += changes.died.iter().filter(|pid| Some(**pid) != main).count() as u64;
        for pid in &changes.died {
            if let Some(row) = self.processes.get_mut(pid) {
                row.died = Some(at);
                row.cpu = 0.0;
            }
        }
        if !changes.died.is_empty() {
            self.forget_old_dead(); // it looks at all that live
        }
    }

    /// Keeps the newest of the dead, and of those first the ones that were killed.
    fn forget_old_dead(&mut self) {
        let mut dead: Vec<(bool, Duration, i32)> =
            self.processes.iter().filter_map(|(pid, row)| row.died.map(|at| (row.oom_killed, at, *pid))).collect();
        if dead.len() > DEAD_KEPT {
            dead.sort_unstable();
            for (_, _, pid) in &dead[..dead.len() - DEAD_KEPT] {
                self.processes.remove(pid);
            }
        }
    }
}
