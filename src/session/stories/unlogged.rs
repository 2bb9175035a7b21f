//! Victims without the kernel's log: by who died, when, and how the main process ended. Refuses: to call somebody a victim who may have ended by itself.

use std::time::Duration;

use super::{
    super::{
        Run, badness,
        story::{AFTERMATH, GroupKill, KILL_AND_DEATH, Other, Source, Story},
    },
    HIT_AND_KILL,
    facts::take_other,
};
use crate::event::{Controller, Process, Stopped};

impl Run {
    /// Somebody died: where the kernel's log is not to be read, the victim is found by who stood in line and is dead: the first of those. Who is not in it was dead
    /// before, and was the victim if it was larger than all. The main process tells by itself how it ended: while it stands before the others, that is waited for.
    pub(in crate::session) fn died(&mut self, at: Duration, ended: bool) {
        if self.started.kernel_log {
            return;
        }
        let main = self.running.and_then(|(.., host_pid)| host_pid);
        for place in 0..self.stories.told.len() {
            let story = &self.stories.told[place];
            if story.who.is_some() || at.saturating_sub(story.at) > KILL_AND_DEATH {
                continue;
            }
            let Some(host_pid) = self.dead_first(story, main, ended) else { continue };
            let who = self.who(host_pid, "", None);
            if let Some(row) = self.processes.get_mut(&host_pid) {
                row.oom_killed = true;
            }
            self.stories.told[place].who = Some((who, Source::Samples));
            self.mark_passed_over(place);
        }
    }

    /// The first in a story's line that is dead and has no story of its own.
    fn dead_first(&self, story: &Story, main: Option<i32>, ended: bool) -> Option<i32> {
        let free = |pid: &i32| !self.stories.told.iter().any(|story| story.is_of(*pid));
        let dead = |pid: &i32| self.processes.get(pid).is_none_or(|row| row.died.is_some());
        let from = story.at.saturating_sub(HIT_AND_KILL);
        let limit = story.limit;
        let before = self.processes.values().filter(|row| {
            let pid = row.process.host_pid;
            let recently = row.died.is_some_and(|died| died >= from && died <= story.at);
            recently && Some(pid) != main && story.line.0.iter().all(|of| of.host_pid != pid)
        });
        let largest = before.max_by_key(|row| badness::weight(self, limit, row));
        let first = story.line.0.first().map_or(i64::MIN, |first| first.badness);
        // Sizes can be old: who was dead before must have held a good part of what was in use.
        let held = |row: &&super::super::Row| row.process.usage.anon >= story.before.usage / 4;
        if let Some(row) =
            largest.filter(|row| held(row) && badness::in_bytes(badness::weight(self, limit, row)) > first)
        {
            return Some(row.process.host_pid).filter(free);
        }
        // Who has no memory left when it is first seen is dying already.
        let dying = |pid: i32| self.processes.get(&pid).is_some_and(|row| row.process.usage.rss == 0);
        let gone = story.line.0.iter().map(|of| of.host_pid).find(|pid| dying(*pid) && Some(*pid) != main);
        if let Some(pid) = gone.filter(|pid| dead(pid) && free(pid)) {
            return Some(pid);
        }
        for of in &story.line.0 {
            match of.host_pid {
                pid if Some(pid) == main && !ended => return None,
                pid if Some(pid) != main && dead(&pid) && free(&pid) => return Some(pid),
                _ => {}
            }
        }
        None
    }

    /// The run has ended: whether the main process was a victim is told by how it ended.
    pub(in crate::session) fn stories_end(&mut self, at: Duration, main_was_victim: bool) {
        self.stories.dump = None;
        let tighter = self.tighter().cloned();
        self.stories.told.iter_mut().for_each(|story| story.judge(false, tighter.as_ref()));
        self.find_victims(at, main_was_victim);
        self.killed_with_the_last();
    }

    /// Whom a group kill took, where the kernel's log does not name them: whoever was there and is not any more. On v1 sandtop takes them.
    fn killed_with_the_last(&mut self) {
        let by_us = self.ended.as_ref().is_some_and(|(_, ended)| ended.stopped == Some(Stopped::OomGroup));
        let Some((last, earlier)) = self.stories.told.split_last_mut() else { return };
        if by_us && self.started.controller == Controller::V1 {
            last.group_kill = Some(GroupKill::Sandtop);
        }
        let found = match last.group_kill {
            Some(GroupKill::Sandtop) => true,
            // Of a whole sandbox some die with its main process before the kernel comes to them.
            Some(GroupKill::Kernel) => {
                last.who.is_some() && (!self.started.kernel_log || self.settings.oom_group == Some(true))
            }
            None => false,
        };
        if !found {
            return;
        }
        let from = last.at.saturating_sub(AFTERMATH);
        // The kernel's dump lists all that stood there: who is not in it had ended before, and was
        // only seen to be dead by then.
        let (line, source) = &last.line;
        let table = (*source == Source::KernelLog && last.more == 0 && !line.is_empty())
            .then(|| line.iter().map(|of| of.host_pid).collect::<Vec<_>>());
        for row in self.processes.values() {
            let Process { host_pid, pid, ref name, .. } = row.process;
            let named = last.is_of(host_pid) || earlier.iter().any(|story| story.is_of(host_pid));
            let stood_there = table.as_ref().is_none_or(|table| table.contains(&host_pid));
            if row.died.is_none_or(|died| died >= from) && !named && stood_there {
                take_other(last, Other { host_pid, pid, name: name.clone(), held: row.process.usage.anon });
            }
        }
    }

    /// Who was killed, as far as the way processes ended tells.
    fn find_victims(&mut self, at: Duration, main_was_victim: bool) {
        let Some((_, pid, Some(host_pid))) = self.running.filter(|_| main_was_victim) else {
            return self.died(at, true);
        };
        let who = self.who(host_pid, "", Some(pid));
        let told = &mut self.stories.told;
        if told.iter().any(|story| story.is_of(host_pid)) {
            return;
        }
        if let Some(story) = told.iter_mut().rev().find(|story| !story.is_sure()) {
            let wrong = story.who.replace((who, Source::WaitStatus));
            if let Some(row) = wrong.and_then(|(wrong, _)| self.processes.get_mut(&wrong.host_pid)) {
                row.oom_killed = false;
            }
        }
    }

    /// Whether each kill has a victim, and it is not this process.
    pub(in crate::session) fn killed_others(&self, host_pid: Option<i32>) -> bool {
        let told = &self.stories.told;
        let other = |story: &Story| story.is_sure() && host_pid.is_some_and(|pid| !story.is_of(pid));
        host_pid.is_some() && self.stories.forgotten() == 0 && told.iter().all(other)
    }
}
