//! The story of each OOM kill: who, why that one, whose limit, how it stood before and after. Kept when processes and group are gone.
//!
//! Three sources tell of a kill, in any order: the counter (when), the kernel's log (who, and why), the way processes ended. Each fact keeps where it is
//! from. Refuses: sentences.

use std::time::Duration;

use super::{
    Run, badness,
    story::{InLine, Moment, Source, Story, Who},
};
use crate::{
    event::{Controller, OomDump, Sample, Scope, Started, Tabled, Victim},
    units::{Limit, page_size},
};

/// How many stories a run keeps; the newest.
const KEPT: usize = 256;

/// How many are kept that stood beside the victim.
const BESIDE: usize = 8;

/// How much of the past a story keeps, and as how many points at most.
const PAST: Duration = Duration::from_secs(10);
const POINTS: usize = 60;

/// What follows a kill: until then a victim's memory is given back.
const AFTERMATH: Duration = Duration::from_millis(100);

/// A kill and the limit hit that led to it are seen at most so far apart: they are read at different moments.
const HIT_AND_KILL: Duration = Duration::from_millis(500);

/// Who is found to have died so long after a kill may have been its victim, where nobody names it.
const KILL_AND_DEATH: Duration = Duration::from_secs(3);

/// The stories of a run.
#[derive(Clone, Debug, Default)]
pub struct Stories {
    told: Vec<Story>,
    /// How many there were in all.
    count: u64,
    /// A dump whose victim was not named yet.
    dump: Option<OomDump>,
    /// When limit hits were last seen to rise.
    last_hit: Option<Duration>,
}

impl Stories {
    /// The stories, oldest first; the newest of them.
    pub fn told(&self) -> &[Story] {
        &self.told
    }

    /// How many came before those.
    pub fn forgotten(&self) -> u64 {
        self.count.saturating_sub(self.told.len() as u64)
    }

    /// Whose limit the newest kill was for, where that is known.
    pub fn scope(&self) -> Option<Scope> {
        self.told.last()?.scope.as_ref().map(|(scope, _)| scope.clone())
    }

    fn open(&mut self, story: Story) -> &mut Story {
        if self.told.len() == KEPT {
            self.told.remove(0);
        }
        self.count = self.count.saturating_add(1);
        self.told.push(story);
        let last = self.told.len() - 1;
        &mut self.told[last]
    }

    /// In bytes, roughly.
    pub(super) fn memory(&self) -> usize {
        let of = |story: &Story| {
            let who = story.who.as_ref().map_or(0, |(who, _)| who.command.len() + 64 * who.parents.len());
            size_of::<Story>() + who + story.line.0.len() * 80 + size_of_val(&story.past[..])
        };
        self.told.iter().map(of).sum()
    }
}

impl Run {
    /// The kernel's dump before a kill: kept until it names the victim.
    pub(super) fn oom_dump(&mut self, dump: &OomDump) {
        self.stories.dump = Some(dump.clone());
    }

    /// The counter has moved: each kill that is counted has a story.
    pub(super) fn kills_counted(&mut self, at: Duration, sample: &Sample) {
        if sample.limit_hits.unwrap_or(0) > self.limit_hits().unwrap_or(0) {
            self.stories.last_hit = Some(at);
        }
        // Those that were named before they were counted happened when they were.
        let before = self.oom_kills().unwrap_or(0);
        if sample.oom_kills.unwrap_or(0) > before {
            let uncounted = usize::try_from(self.stories.count.saturating_sub(before)).unwrap_or(0);
            self.stories.told.iter_mut().rev().take(uncounted).for_each(|story| story.at = at);
        }
        // Where the counter leapt, the newest have a story, and the others are counted.
        let kills = sample.oom_kills.unwrap_or(0).max(self.stories.count);
        let missing = (kills - self.stories.count).min(KEPT as u64);
        self.stories.count = kills - missing;
        for _ in 0..missing {
            let story = self.story(at);
            self.stories.open(story);
        }
        let moment = moment(at, sample);
        let own = self.stories.last_hit.is_some_and(|hit| at.saturating_sub(hit) <= HIT_AND_KILL);
        let tighter = self.tighter().cloned();
        let newest = self.stories.told.last().map(|story| story.at);
        for story in self.stories.told.iter_mut().rev() {
            // What follows the next kill is that one's.
            let over = at.saturating_sub(story.at) > AFTERMATH || Some(story.at) != newest;
            if over && story.after.is_some() {
                break;
            }
            // Others may take at once what it gave back.
            if story.after.is_none_or(|after| moment.usage <= after.usage) {
                story.after = Some(moment);
            }
            story.judge(own, tighter.as_ref().filter(|_| at > story.at));
        }
    }

    /// The kernel named a victim.
    pub(super) fn victim_named(&mut self, at: Duration, victim: &Victim) {
        let who = self.who(victim.host_pid, &victim.name, victim.pid);
        let who = Who { held: victim.held, oom_score_adj: victim.oom_score_adj.or(who.oom_score_adj), ..who };
        let dump = self.stories.dump.take().filter(|dump| dump.host_pid == victim.host_pid);
        let limit = self.limit_in_force();
        let new = self.story(at);
        let last_seen = self.processes.get(&victim.host_pid).and_then(|row| badness::last_seen(self, limit, row));
        let last_seen = last_seen.as_ref().map(seen);
        // A kill that was counted long ago lost its name: the log was overrun.
        let waits = |story: &Story| story.who.is_none() && at.saturating_sub(story.at) <= KILL_AND_DEATH;
        // Of several the one in whose moment it died; who was never seen is named late, and the oldest is his.
        let row = self.processes.get(&victim.host_pid);
        let died = row.map(|row| row.died.unwrap_or(at)).unwrap_or_default();
        let told = self.stories.told.iter().enumerate().filter(|(_, story)| waits(story));
        let unnamed = told.min_by_key(|(_, story)| story.at.abs_diff(died)).map(|(place, _)| place);
        let story = match unnamed {
            Some(place) => &mut self.stories.told[place],
            None => self.stories.open(new),
        };
        story.who = Some((who, Source::KernelLog));
        if let Some(last) = last_seen.filter(|last| story.line.0.iter().all(|of| of.host_pid != last.host_pid)) {
            story.line.0.truncate(BESIDE - 1);
            story.line.0.push(last);
        }
        if victim.machine {
            story.scope = Some((Scope::Machine, Source::KernelLog));
        }
        if let Some(dump) = dump {
            take_dump(story, dump, &self.started, limit);
        }
    }

    /// Somebody died: where the kernel's log is not to be read, the victim is found by who stood in line and is dead: the first of those. Who is not in it was dead
    /// before, and was the victim if it was larger than all. The main process tells by itself how it ended: while it stands before the others, that is waited for.
    pub(super) fn died(&mut self, at: Duration, ended: bool) {
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
        let held = |row: &&super::Row| row.process.usage.anon >= story.before.usage / 4;
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
    pub(super) fn stories_end(&mut self, at: Duration, main_was_victim: bool) {
        self.stories.dump = None;
        let tighter = self.tighter().cloned();
        self.stories.told.iter_mut().for_each(|story| story.judge(false, tighter.as_ref()));
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
    pub(super) fn killed_others(&self, host_pid: Option<i32>) -> bool {
        let told = &self.stories.told;
        let other = |story: &Story| story.is_sure() && host_pid.is_some_and(|pid| !story.is_of(pid));
        host_pid.is_some() && self.stories.forgotten() == 0 && told.iter().all(other)
    }

    /// What can be said of a kill before anything is known of it but that it happened.
    fn story(&self, at: Duration) -> Story {
        let limit = self.limit_in_force();
        let line = badness::line_under(self, limit);
        let more = line.len().saturating_sub(BESIDE);
        let line: Vec<InLine> = line.iter().take(BESIDE).map(seen).collect();
        let last_at = self.history.points().last().map(|point| point.at);
        let before = self.last.as_ref().zip(last_at).map(|(sample, at)| moment(at, sample)).unwrap_or_default();
        let waited_us = before.waited_us.or(self.pressure.map(|pressure| pressure.some_us));
        let from = at.saturating_sub(PAST).max(self.origin());
        let points = self.history.columns(from, at, POINTS);
        let mut past: Vec<(Duration, u64)> = points.iter().flatten().map(|p| (p.at, p.usage.max(p.peak))).collect();
        past.dedup_by_key(|(at, _)| *at);
        Story {
            at,
            who: None,
            scope: None,
            limit,
            met: None,
            shmem: self.stat.map(|stat| stat.shmem),
            asker: None,
            before: Moment { waited_us, ..before },
            after: None,
            line: (line, Source::Samples),
            more,
            past,
        }
    }

    /// A process as it was last seen.
    fn who(&self, host_pid: i32, name: &str, pid: Option<i32>) -> Who {
        let row = self.processes.get(&host_pid);
        let mut parents = Vec::new();
        let mut next = row.map(|row| row.process.parent);
        let mut passed = vec![host_pid];
        while let Some(row) = next.and_then(|pid| self.processes.get(&pid)).filter(|_| parents.len() < BESIDE) {
            if passed.contains(&row.process.host_pid) {
                break; // a recording can say that
            }
            passed.push(row.process.host_pid);
            parents.push((row.process.name.clone(), row.process.pid, row.process.host_pid));
            next = Some(row.process.parent);
        }
        let seen = |of: fn(&super::Row) -> String| row.map(of).unwrap_or_default();
        Who {
            host_pid,
            pid: pid.or(row.and_then(|row| row.process.pid)),
            name: if name.is_empty() { seen(|row| row.process.name.clone()) } else { name.into() },
            command: seen(|row| row.process.command.clone()),
            held: row.map_or(0, |row| row.process.usage.anon),
            oom_score_adj: row.map(|row| row.process.usage.oom_score_adj),
            parents,
        }
    }
}

/// Takes in what the kernel's dump says.
fn take_dump(story: &mut Story, dump: OomDump, run: &Started, own: Limit) {
    let machine = run.mem_total;
    // v2's own counter is another one than `failcnt`, which it prints all the same.
    let hits = dump.limit_hits.filter(|_| run.controller == Controller::V1);
    let limit = dump.limit.filter(|_| dump.scope != Scope::Machine).unwrap_or(machine);
    if matches!(dump.scope, Scope::Above { .. } | Scope::Inside { .. }) {
        story.met = dump.limit.map(|limit| (limit, dump.usage));
    } else if dump.scope == Scope::Own
        && let Some(usage) = dump.usage
    {
        // The kernel's own reading of that instant.
        story.before = Moment { usage, limit_hits: hits.or(story.before.limit_hits), ..story.before };
        story.limit = dump.limit.map_or(own, |limit| if own.bytes().is_none() { own } else { Limit::Bytes(limit) });
    }
    story.scope = Some((dump.scope, Source::KernelLog));
    story.asker = dump.asker;
    let count = dump.table.len();
    if count > 0 {
        let mut line: Vec<InLine> = dump.table.into_iter().map(|row| in_line(row, limit)).collect();
        line.sort_by_key(|of| std::cmp::Reverse(of.badness));
        let victim = line.iter().position(|of| of.host_pid == dump.host_pid);
        if let Some(place) = victim.filter(|place| *place >= BESIDE) {
            line.swap(place, BESIDE - 1);
        }
        line.truncate(BESIDE);
        story.line = (line, Source::KernelLog);
        story.more = count.saturating_sub(BESIDE) + dump.left_out as usize;
    }
}

fn in_line(row: Tabled, limit: u64) -> InLine {
    let page = page_size();
    let points = badness::points(row.rss / page, row.page_tables, row.swap / page, row.oom_score_adj, limit / page);
    let badness = points.map_or(i64::MIN, |(badness, _)| badness::in_bytes(badness));
    let Tabled { host_pid, pid, name, oom_score_adj, .. } = row;
    InLine { host_pid, pid, name, badness, oom_score_adj }
}

fn seen(candidate: &badness::Candidate) -> InLine {
    let process = &candidate.row.process;
    InLine {
        host_pid: process.host_pid,
        pid: process.pid,
        name: process.name.clone(),
        badness: candidate.then_bytes(),
        oom_score_adj: process.usage.oom_score_adj,
    }
}

fn moment(at: Duration, sample: &Sample) -> Moment {
    let waited_us = sample.pressure.map(|pressure| pressure.some_us);
    Moment { at, usage: sample.usage, limit_hits: sample.limit_hits, waited_us }
}
