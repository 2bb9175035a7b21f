//! Whose pids are ours: the kernel's log names victims of the whole machine, by their pids outside, and late.

use std::collections::{HashSet, VecDeque};

use crate::event::ProcessChanges;

/// How many dead processes' pids are still taken for ours: after that they may be somebody else's.
const DEAD_REMEMBERED: usize = 1000;

/// Pids outside that the kernel's log named as chosen in our group, or that we have seen in it.
#[derive(Default)]
pub struct Ours {
    pids: HashSet<i32>,
    dead: VecDeque<i32>,
}

impl Ours {
    /// One more.
    pub fn add(&mut self, pid: i32) {
        self.pids.insert(pid);
    }

    /// Whether it is one of those, which it is once: a process is killed once, and a line that says it again is no news.
    pub fn take(&mut self, pid: i32) -> bool {
        self.pids.remove(&pid)
    }

    /// Takes in who was born and who died.
    pub fn follow(&mut self, changes: &ProcessChanges) {
        self.pids.extend(changes.born.iter().map(|p| p.host_pid));
        self.dead.extend(&changes.died);
        while self.dead.len() > DEAD_REMEMBERED {
            if let Some(pid) = self.dead.pop_front() {
                self.pids.remove(&pid);
            }
        }
    }
}
