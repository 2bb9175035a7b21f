//! The processes of a run: who was born, who moved, and the newest of the dead.

use std::{collections::HashSet, time::Duration};

use super::{Row, Run};
use crate::event::ProcessChanges;

/// How many dead processes a run keeps to show.
pub(super) const DEAD_KEPT: usize = 32;

/// A process that uses CPU time is read at least as often as this, where there are few; where there are many they are read in turns.
const READ_EVERY: Duration = Duration::from_secs(3);
const READ_IN_TURNS: Duration = Duration::from_secs(20);
const FEW: usize = 100;

impl Run {
    /// A process's CPU use now, in percent of one core.
    pub fn cpu(&self, row: &Row, now: Duration) -> f64 {
        row.cpu_now(now, if self.processes.len() <= FEW { READ_EVERY } else { READ_IN_TURNS })
    }

    /// Takes in what changed.
    pub(super) fn processes_changed(&mut self, at: Duration, changes: &ProcessChanges) {
        self.held_then = self.parts().held;
        let before = std::mem::replace(&mut self.looked, at);
        for process in &changes.born {
            let killed = self.victims.iter().any(|v| v.host_pid == process.host_pid);
            self.processes.insert(process.host_pid, Row::new(at, process.clone(), killed));
        }
        for (pid, usage) in &changes.changed {
            if let Some(row) = self.processes.get_mut(pid) {
                row.update(at, *usage, before);
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
            self.died(at, false);
            self.forget_old_dead(); // it looks at all that live
        }
    }

    /// Keeps the newest of the dead, and of those first the parents of others that are kept, and the ones that were killed.
    fn forget_old_dead(&mut self) {
        let parents: HashSet<i32> = self.processes.values().map(|row| row.process.parent).collect();
        let weight = |pid: &i32, row: &Row| row.oom_killed || parents.contains(pid);
        let mut dead: Vec<(bool, Duration, i32)> =
            self.processes.iter().filter_map(|(pid, row)| row.died.map(|at| (weight(pid, row), at, *pid))).collect();
        if dead.len() > DEAD_KEPT {
            dead.sort_unstable();
            for (_, _, pid) in &dead[..dead.len() - DEAD_KEPT] {
                self.processes.remove(pid);
            }
        }
    }
}
