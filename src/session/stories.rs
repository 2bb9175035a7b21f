//! The story of each OOM kill: who, why that one, whose limit, how it stood before and after. Kept when processes and group are gone.
//!
//! Three sources tell of a kill, in any order: the counter (when), the kernel's log (who, and why), the way processes ended. Each fact keeps where it is
//! from. Refuses: sentences.

mod facts;
mod unlogged;

use std::time::Duration;

use facts::{as_printed, charged, moment, seen, take_dump, take_other};

use super::{
    Run, badness,
    story::{GroupKill, InLine, KILL_AND_DEATH, Moment, Other, PassedOver, Source, Story, Who},
};
use crate::event::{MemoryStat, OomDump, Sample, Scope, Victim};

/// How many stories a run keeps; the newest.
const KEPT: usize = 256;

/// How many are kept that stood beside the victim.
const BESIDE: usize = 8;

/// How many are kept that were killed with it.
const OTHERS: usize = 64;

/// Whose kill was told so long ago is dying still, or its pid is another one's.
const KILLED_BEFORE: Duration = Duration::from_secs(10);

/// How much of the past a story keeps, and as how many points at most.
const PAST: Duration = Duration::from_secs(10);
const POINTS: usize = 60;

/// A kill and the limit hit that led to it are seen at most so far apart: they are read at different moments.
pub(super) const HIT_AND_KILL: Duration = Duration::from_millis(500);

/// The stories of a run.
#[derive(Clone, Debug, Default)]
pub struct Stories {
    told: Vec<Story>,
    /// How many kills have a story, kept or not.
    count: u64,
    /// How many of those count a process a second time.
    repeated: u64,
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

    /// How many kills came before those.
    pub fn forgotten(&self) -> u64 {
        self.count.saturating_sub(self.told.iter().map(|story| story.kills).sum())
    }

    /// How many kills of the kernel's count are of processes that it had counted before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Whose limit the newest kill was for, where that is known.
    pub fn scope(&self) -> Option<Scope> {
        self.told.last()?.scope.as_ref().map(|(scope, _)| scope.clone())
    }

    /// Whether all kills were for other limits than the sandbox's own, as far as they are kept.
    pub fn are_for_other_limits(&self) -> bool {
        let other = |story: &Story| story.scope.as_ref().is_some_and(|(scope, _)| *scope != Scope::Own);
        !self.told.is_empty() && self.told.iter().all(other)
    }

    /// A kill followed at once on those before it: what they gave back is only known where a sample saw it.
    fn overtaken(&mut self, at: Duration, is_over: impl Fn(&Story) -> bool) {
        let mut earlier = self.told.iter_mut().rev().skip_while(|story| story.at == at).peekable();
        let Some(before) = earlier.peek().map(|story| story.at) else { return };
        for story in earlier.take_while(|story| story.at == before) {
            if !story.has_freed() && !is_over(story) {
                story.after = None;
                story.charged_after = None;
            }
        }
    }

    /// Kills stand in the order in which the kernel printed them, though some are named late. When a kill was counted and what was sampled then
    /// belongs to the place.
    fn sort(&mut self, mut place: usize) -> usize {
        let Some(printed) = self.told[place].printed_us else { return place };
        while let Some(other) = self.told[..place].iter().rposition(|story| story.printed_us.is_some())
            && self.told[other].printed_us > Some(printed)
        {
            self.swap(other, place);
            place = other;
        }
        while let Some(next) = self.told[place + 1..].iter().position(|story| story.printed_us.is_some())
            && self.told[place + 1 + next].printed_us < Some(printed)
        {
            self.swap(place, place + 1 + next);
            place += 1 + next;
        }
        place
    }

    fn swap(&mut self, earlier: usize, later: usize) {
        self.told.swap(earlier, later);
        let (head, tail) = self.told.split_at_mut(later);
        let (one, two) = (&mut head[earlier], &mut tail[0]);
        std::mem::swap(&mut one.at, &mut two.at);
        std::mem::swap(&mut one.after, &mut two.after);
        std::mem::swap(&mut one.charged_after, &mut two.charged_after);
        std::mem::swap(&mut one.past, &mut two.past);
    }

    fn open(&mut self, story: Story) -> &mut Story {
        if self.told.len() == KEPT {
            self.told.remove(0);
        }
        self.count = self.count.saturating_add(story.kills);
        self.told.push(story);
        let last = self.told.len() - 1;
        &mut self.told[last]
    }

    /// In bytes, roughly.
    pub(super) fn memory(&self) -> usize {
        let of = |story: &Story| {
            let who = story.who.as_ref().map_or(0, |(who, _)| who.command.len() + 64 * who.parents.len());
            let line = story.line.0.len() * (size_of::<InLine>() + 32);
            let others = story.others.len() * (size_of::<Other>() + 32);
            size_of::<Story>() + who + line + others + size_of_val(&story.past[..])
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
            let mut uncounted = self.stories.count.saturating_sub(before);
            for story in self.stories.told.iter_mut().rev() {
                if uncounted == 0 {
                    break;
                }
                uncounted = uncounted.saturating_sub(story.kills);
                story.at = at;
            }
        }
        // Where the counter leapt, the newest have a story, and the others are counted.
        let kills = sample.oom_kills.unwrap_or(0).max(self.stories.count);
        let mut missing = (kills - self.stories.count).min(KEPT as u64);
        self.stories.count = kills - missing;
        if self.settings.oom_group == Some(true) && missing > 0 {
            // The kernel takes all of them for the first, and counts one by one.
            let story = match self.stories.told.last_mut().filter(|story| at.saturating_sub(story.at) <= HIT_AND_KILL) {
                Some(story) => story,
                None => {
                    missing -= 1;
                    let story = self.story(at);
                    self.stories.open(story)
                }
            };
            story.kills += missing;
            if story.kills > 1 {
                story.group_kill = Some(GroupKill::Kernel);
            }
            self.stories.count += missing;
            missing = 0;
        }
        for _ in 0..missing {
            let story = self.story(at);
            self.stories.open(story);
        }
        let moment = moment(at, sample);
        let own = self.stories.last_hit.is_some_and(|hit| at.saturating_sub(hit) <= HIT_AND_KILL);
        let tighter = self.tighter().cloned();
        let newest = self.stories.told.last().map(|story| story.at);
        // What follows the next kill is that one's.
        let processes = &self.processes;
        let died = |story: &Story| story.who.as_ref().and_then(|(who, _)| processes.get(&who.host_pid)?.died);
        let is_over = |story: &Story| story.is_over(at, died(story));
        for story in self.stories.told.iter_mut().rev().take_while(|story| Some(story.at) == newest) {
            if is_over(story) && story.after.is_some() {
                break;
            }
            // Others may take at once what it gave back.
            if story.after.is_none_or(|after| moment.usage <= after.usage) {
                story.after = Some(moment);
            }
            story.judge(own, tighter.as_ref().filter(|_| at > story.at));
        }
        if newest == Some(at) {
            self.stories.overtaken(at, is_over);
        }
        self.charged_after(at, moment, sample.stat);
    }

    /// What is still charged after the newest kill: at the lowest usage of the moment that follows, or whenever that is known first.
    fn charged_after(&mut self, at: Duration, moment: Moment, stat: Option<MemoryStat>) {
        let (Some(stat), Some(newest)) = (stat, self.stories.told.last().map(|story| story.at)) else { return };
        let processes = &self.processes;
        let died = |story: &Story| story.who.as_ref().and_then(|(who, _)| processes.get(&who.host_pid)?.died);
        for story in self.stories.told.iter_mut().rev().take_while(|story| story.at == newest) {
            let after = at.saturating_sub(story.at);
            let lower = match story.charged_after {
                None => after <= KILL_AND_DEATH,
                Some((then, _)) => !story.is_over(at, died(story)) && moment.usage <= then.usage,
            };
            if at > story.at && lower {
                story.charged_after = Some((moment, charged(stat)));
            }
        }
    }

    /// The kernel named a victim.
    pub(super) fn victim_named(&mut self, at: Duration, victim: &Victim) {
        if let Some(chosen) = victim.killed_with
            && self.killed_with(at, chosen, victim)
        {
            return;
        }
        let who = self.who(victim.host_pid, &victim.name, victim.pid);
        let oom_score_adj = victim.oom_score_adj.or(who.oom_score_adj);
        let who = Who { held: victim.held, shmem: victim.shmem, oom_score_adj, ..who };
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
        let place = unnamed.or_else(|| self.named_by_count(at, victim)).unwrap_or_else(|| {
            self.stories.open(new);
            self.stories.told.len() - 1
        });
        let story = &mut self.stories.told[place];
        story.printed_us = victim.printed_us;
        story.by_count = victim.by_count;
        story.who = Some((who, Source::KernelLog));
        // What the kernel printed of it as it killed it is newer than any look at it.
        let last_seen = last_seen.map(|seen| as_printed(seen, victim));
        let placed = story.line.0.iter_mut().find(|of| of.host_pid == victim.host_pid);
        if let (Some(of), Some(printed)) = (placed, &last_seen) {
            of.clone_from(printed);
        }
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
        let place = self.stories.sort(place);
        self.mark_passed_over(place);
    }

    /// Each kill that was counted has its name, and here is one more: one that is ours by the count alone is not. Whose story that is; its victim
    /// was another group's.
    fn named_by_count(&mut self, at: Duration, victim: &Victim) -> Option<usize> {
        let counted = self.oom_kills().unwrap_or(0);
        if victim.by_count || victim.printed_us.is_none() || self.stories.count < counted.max(1) {
            return None;
        }
        let is_it = |story: &Story| story.by_count && at.saturating_sub(story.at) <= KILL_AND_DEATH;
        let told = self.stories.told.iter().enumerate().filter(|(_, story)| is_it(story));
        let (place, wrong) =
            told.min_by_key(|(_, story)| story.printed_us.map(|us| us.abs_diff(victim.printed_us.unwrap_or(us))))?;
        let wrong = wrong.who.as_ref().map(|(who, _)| who.host_pid);
        self.victims.retain(|victim| Some(victim.host_pid) != wrong);
        self.named = self.named.saturating_sub(1);
        Some(place)
    }

    /// The kernel killed one with the process that it had chosen: that is the chosen one's story. Whether there is one.
    fn killed_with(&mut self, at: Duration, chosen: i32, victim: &Victim) -> bool {
        let told = &mut self.stories.told;
        let Some(place) = told.iter().rposition(|story| story.is_of_chosen(chosen)) else { return false };
        let story = &mut told[place];
        story.group_kill = Some(GroupKill::Kernel);
        if victim.host_pid == chosen {
            story.repeated += 1;
            self.stories.repeated += 1;
        } else if !story.is_of(victim.host_pid) {
            let Victim { host_pid, pid, held, ref name, .. } = *victim;
            take_other(story, Other { host_pid, pid, name: name.clone(), held });
        }
        if story.named() > story.kills {
            story.kills += 1;
            // It was counted before it was named: there the count opened a story without a name.
            let waits = |story: &Story| story.who.is_none() && at.saturating_sub(story.at) <= KILL_AND_DEATH;
            match told.iter().position(waits) {
                Some(place) => drop(told.remove(place)),
                None => self.stories.count = self.stories.count.saturating_add(1),
            }
        }
        true
    }

    /// Who stood beside the victim and could not be taken, though it may have weighed more.
    fn mark_passed_over(&mut self, place: usize) {
        let (before, rest) = self.stories.told.split_at_mut(place);
        let Some(story) = rest.first_mut() else { return };
        let (at, chosen) = (story.at, story.who.as_ref().map(|(who, _)| who.host_pid));
        for of in story.line.0.iter_mut().filter(|of| Some(of.host_pid) != chosen) {
            let killed = |earlier: &Story| at.saturating_sub(earlier.at) <= KILLED_BEFORE && earlier.is_of(of.host_pid);
            if before.iter().any(killed) {
                of.passed_over = Some(PassedOver::KilledBefore);
            }
        }
    }
}
