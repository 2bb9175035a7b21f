//! Whose pids are ours: the kernel's log names victims of the whole machine, by their pids outside, and late.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::event::ProcessChanges;

/// How many dead processes' pids are still taken for ours, and for how long: after that they may be somebody else's.
const DEAD_REMEMBERED: usize = 1000;
const DEAD_FOR: Duration = Duration::from_secs(10);

/// How many that were taken are remembered: the kernel kills the one that it chose of a group twice.
const TAKEN_REMEMBERED: usize = 64;

/// Pids outside that the kernel's log named as chosen in our group, or that we have seen in it.
#[derive(Default)]
pub struct Ours {
    pids: HashSet<i32>,
    /// Those that were taken, the newest first.
    taken: VecDeque<i32>,
    dead: VecDeque<(Instant, i32)>,
}

impl Ours {
    /// One more.
    pub fn add(&mut self, pid: i32) {
        self.pids.insert(pid);
    }

    /// Whether it is one of those, which it is once: a process is killed once, and a line that says it again is no news.
    pub fn take(&mut self, now: Instant, pid: i32) -> bool {
        self.forget(now);
        let is_ours = self.pids.remove(&pid);
        if is_ours {
            self.taken.truncate(TAKEN_REMEMBERED - 1);
            self.taken.push_front(pid);
        }
        is_ours
    }

    /// Whether it was one of those, a moment ago.
    pub fn was_taken(&self, pid: i32) -> bool {
        self.taken.contains(&pid)
    }

    /// Takes in who was born and who died.
    pub fn follow(&mut self, now: Instant, changes: &ProcessChanges) {
        for process in &changes.born {
            self.pids.insert(process.host_pid);
            self.dead.retain(|(_, pid)| *pid != process.host_pid); // it has come again
        }
        self.dead.extend(changes.died.iter().map(|pid| (now, *pid)));
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        let old = |at: &Instant| now.saturating_duration_since(*at) > DEAD_FOR;
        while self.dead.len() > DEAD_REMEMBERED || self.dead.front().is_some_and(|(at, _)| old(at)) {
            if let Some((_, pid)) = self.dead.pop_front() {
                self.pids.remove(&pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_ours_while_its_process_lives_and_a_moment_longer() {
        let (start, mut ours) = (Instant::now(), Ours::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        ours.add(7);
        ours.add(8);
        ours.follow(start, &ProcessChanges { died: vec![7, 8], ..ProcessChanges::default() });
        assert!(ours.take(after(1), 7), "the kernel's log is read late");
        assert!(!ours.take(after(60), 8), "a minute later it is somebody else's");
    }
}
