//! The processes of a run: who was born, who moved, and the newest of the dead.

use std::{collections::HashSet, time::Duration};

use super::{Row, Run, run::JUST_NAMED};
use crate::{
    event::ProcessChanges,
    heap::{self, Heap},
    units::{mirror_margin, mirror_of},
};

/// How many dead processes a run keeps to show.
pub(super) const DEAD_KEPT: usize = 32;

/// A process that uses CPU time is read at least as often as this, where there are few; where there are many they are read in turns.
const READ_EVERY: Duration = Duration::from_secs(3);
const READ_IN_TURNS: Duration = Duration::from_secs(20);
const FEW: usize = 100;

impl Run {
    /// The process whose heap has a ceiling of its own: the largest that lives, or did.
    pub fn heap(&self) -> Option<(&Row, &Heap)> {
        let with = self.processes.values().filter_map(|row| Some((row, row.heap.as_ref()?)));
        with.max_by_key(|(row, _)| (row.died.is_none(), row.process.usage.rss))
    }

    /// A process's CPU use now, in percent of one core.
    pub fn cpu(&self, row: &Row, now: Duration) -> f64 {
        row.cpu_now(now, if self.processes.len() <= FEW { READ_EVERY } else { READ_IN_TURNS })
    }

    /// Takes in what changed.
    pub(super) fn processes_changed(&mut self, at: Duration, changes: &ProcessChanges) {
        self.held_then = self.parts().held;
        let before = std::mem::replace(&mut self.looked, at);
        let found = mirror_of(self.limit_in_force(), mirror_margin(self.started.cpus));
        for process in &changes.born {
            if let Some(row) = self.processes.get_mut(&process.host_pid).filter(|row| row.is_renamed(process)) {
                row.process = process.clone();
                row.update(at, process.usage, before);
                continue;
            }
            let named =
                |(then, pid): &(Duration, i32)| *pid == process.host_pid && at.saturating_sub(*then) < JUST_NAMED;
            let killed = self.just_named.iter().any(named);
            let heap = heap::ceiling(&process.name, &process.command, process.heap_options.as_deref(), found);
            self.processes.insert(process.host_pid, Row::new(at, process.clone(), heap, killed));
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
