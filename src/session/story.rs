//! What the story of an OOM kill is made of: plain data, each fact with where it is from. Refuses: to find anything out.

use std::time::Duration;

use crate::{
    event::{Above, Asker, Charged, Scope},
    units::Limit,
};

/// So much of what stood there, in bytes, a sample may lack and still tell how it was: charged in
/// advance, or since.
const SAMPLED_JUST_BEFORE: u64 = 1 << 20;

/// What follows a kill: until then a victim's memory is given back, once it is dead.
pub(super) const AFTERMATH: Duration = Duration::from_millis(100);

/// Who is killed dies within this, though others have the CPU; and who is found to have died so long after a kill may have been its victim, where
/// nobody names it.
pub(super) const KILL_AND_DEATH: Duration = Duration::from_secs(3);

/// Where a fact is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel's log.
    KernelLog,
    /// The group's counters.
    Counters,
    /// How the main process ended.
    WaitStatus,
    /// Our own samples of the processes.
    Samples,
}

/// The story of one kill.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// When it was learned of.
    pub at: Duration,
    /// When the kernel printed who was killed, in microseconds by its own stamps.
    pub printed_us: Option<u64>,
    /// Whether only the count says that the victim was in the sandbox.
    pub by_count: bool,
    /// Who was killed, and where that is from.
    pub who: Option<(Who, Source)>,
    /// Whose limit was met, and where that is from.
    pub scope: Option<(Scope, Source)>,
    /// The sandbox's own limit then.
    pub limit: Limit,
    /// Another limit that was met instead, in bytes, and what was charged under it, where that is known.
    pub met: Option<(u64, Option<u64>)>,
    /// How many kills of the kernel's count this is the story of: the chosen one's, and those of a group kill.
    pub kills: u64,
    /// How many of those count the chosen one a second time, as the kernel does in a group kill.
    pub repeated: u64,
    /// Who was killed with it.
    pub others: Vec<Other>,
    /// How many more there were.
    pub others_left_out: u64,
    /// Why others were killed with it.
    pub group_kill: Option<GroupKill>,
    /// What usage consisted of when memory ran out, and where that is from.
    pub charged: Option<(Charged, Source)>,
    /// The same shortly after the kill, at the lowest usage that was sampled.
    pub charged_after: Option<(Moment, Charged)>,
    /// Who asked for the memory that was not there.
    pub asker: Option<Asker>,
    /// How it stood before.
    pub before: Moment,
    /// How it stood shortly after; `None` where memory ran out again before a sample saw any of it given back.
    pub after: Option<Moment>,
    /// Who could be taken, the first in line first, and where that is from; the victim is one of them, if it was seen.
    pub line: (Vec<InLine>, Source),
    /// How many more stood in line.
    pub more: usize,
    /// Usage in the seconds before: when, and how much, in bytes.
    pub past: Vec<(Duration, u64)>,
}

impl Story {
    /// Whose limit it was, by the counters: ours, if it was hit; else that of a tighter group above. The kernel's word stands.
    pub(super) fn judge(&mut self, own: bool, tighter: Option<&Above>) {
        let scope = match (&self.scope, own) {
            (Some((_, Source::KernelLog)), _) => return,
            (_, true) => Scope::Own,
            (None, false) => match tighter {
                Some(above) => {
                    self.met = Some((above.limit, None));
                    Scope::Above { group: above.group.clone().unwrap_or_default() }
                }
                None => return,
            },
            (Some(_), false) => return,
        };
        if scope == Scope::Own
            && let Some(limit) = self.limit.bytes()
        {
            self.before.usage = self.before.usage.max(limit); // a charge did not fit: the last sample was before that
        }
        self.scope = Some((scope, Source::Counters));
    }

    /// Whether usage fell after it.
    pub(super) fn has_freed(&self) -> bool {
        self.after.is_some_and(|after| after.usage < self.before.usage)
    }

    /// Whether what it gave back was given back by now; when its victim died, where that was seen.
    pub(super) fn is_over(&self, now: Duration, died: Option<Duration>) -> bool {
        let since = |then: Duration| now.saturating_sub(then);
        let gone = self.has_freed() || died.is_some_and(|died| since(died) > AFTERMATH);
        since(self.at) > KILL_AND_DEATH || since(self.at) > AFTERMATH && gone
    }

    /// Whether its victim is sure: named by the kernel, or seen with a good part of what was in use.
    pub(super) fn is_sure(&self) -> bool {
        self.who.as_ref().is_some_and(|(who, source)| match source {
            Source::Samples => who.held >= self.before.usage / 4,
            _ => true,
        })
    }

    /// Whether this process was killed in it, by its pid outside.
    pub fn is_of(&self, host_pid: i32) -> bool {
        self.is_of_chosen(host_pid) || self.others.iter().any(|other| other.host_pid == host_pid)
    }

    /// Whether it is the kill of the same program, started by the same process, for the same limit.
    pub fn is_like(&self, before: &Story) -> bool {
        let (Some((who, _)), Some((then, _))) = (&self.who, &before.who) else { return false };
        let parent = |who: &Who| who.parents.first().map(|(.., host_pid)| *host_pid);
        // Who lived too shortly to be seen has no parent that is known.
        let parents = [parent(who), parent(then)];
        let same = parents.contains(&None) || parents[0] == parents[1];
        let scope = |story: &Story| story.scope.as_ref().map(|(scope, _)| scope.clone());
        same && who.name == then.name && scope(self) == scope(before) && self.group_kill == before.group_kill
    }

    /// Whether this is the process that was chosen.
    pub fn is_of_chosen(&self, host_pid: i32) -> bool {
        self.who.as_ref().is_some_and(|(who, _)| who.host_pid == host_pid)
    }

    /// How many of its kills have a name.
    pub(super) fn named(&self) -> u64 {
        u64::from(self.who.is_some()) + self.others.len() as u64 + self.others_left_out + self.repeated
    }

    /// How many processes were killed in it.
    pub fn processes(&self) -> u64 {
        // The kernel names nobody who was dying already when it came to it.
        let named = 1 + self.others.len() as u64 + self.others_left_out;
        match self.group_kill {
            Some(GroupKill::Sandtop) => named,
            Some(GroupKill::Kernel) => self.kills.saturating_sub(self.repeated).max(named),
            None => self.kills,
        }
    }

    /// What usage consisted of when memory ran out; `None` where all that is known is a sample that
    /// is too old.
    pub fn charged_then(&self) -> Option<(Charged, Source)> {
        let held = self.who.as_ref().map_or(0, |(who, _)| who.held);
        let sampled = |of: &Charged| of.anon.unwrap_or(0).saturating_add(of.shmem.unwrap_or(0));
        let old = |of: &Charged| sampled(of).saturating_add(SAMPLED_JUST_BEFORE) < held;
        self.charged.filter(|(of, source)| *source != Source::Samples || !old(of))
    }

    /// Shared memory that is still charged after the kill, in bytes; `None` where that was not seen.
    pub fn shmem_left(&self) -> Option<u64> {
        let before = self.charged_then()?.0.shmem?;
        Some(self.charged_after?.1.shmem?.min(before))
    }
}

/// Why others were killed with the chosen process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKill {
    /// By the kernel: `memory.oom.group` was set.
    Kernel,
    /// By sandtop, for `--oom group` where the kernel has no such setting (v1).
    Sandtop,
}

/// One that was killed with the chosen process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The pid outside.
    pub host_pid: i32,
    /// The pid inside, where it is known.
    pub pid: Option<i32>,
    /// The name.
    pub name: String,
    /// Memory that it held, in bytes: anonymous and shared.
    pub held: u64,
}

/// Why the kernel does not take one that weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// It was killed a moment before: its memory was on its way back, or was taken from it already (MMF_OOM_SKIP, which cannot be read and is
    /// inferred from that kill).
    KilledBefore,
    /// It was exiting by itself.
    Exiting,
    /// Its `oom_score_adj` is -1000.
    Spared,
}

/// The victim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Who {
    /// The pid outside.
    pub host_pid: i32,
    /// The pid inside, where it is known.
    pub pid: Option<i32>,
    /// The name.
    pub name: String,
    /// The command line, where it was seen.
    pub command: String,
    /// Memory that it held, in bytes: anonymous and shared.
    pub held: u64,
    /// The shared part of that, in bytes: others may have the same pages mapped.
    pub shmem: Option<u64>,
    /// How readily it was taken.
    pub oom_score_adj: Option<i32>,
    /// Its parent, that one's parent, and so on, as far as they were seen: name, pid inside, pid outside.
    pub parents: Vec<(String, Option<i32>, i32)>,
}

/// One that stood in line.
#[derive(Clone, Debug, PartialEq)]
pub struct InLine {
    /// The pid outside.
    pub host_pid: i32,
    /// The pid inside, where it is known.
    pub pid: Option<i32>,
    /// The name.
    pub name: String,
    /// What the kernel weighs, in bytes; from samples, with its share of the room that was left then. The sum of the parts.
    pub badness: i64,
    /// What that consists of.
    pub parts: BadnessParts,
    /// How readily it is taken.
    pub oom_score_adj: i32,
    /// Why the kernel passes over it, where that is known.
    pub passed_over: Option<PassedOver>,
}

/// What a badness consists of, in bytes of whole pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BadnessParts {
    /// Resident memory, whoever is charged for it.
    pub resident: u64,
    /// Swapped out.
    pub swapped: u64,
    /// Page tables.
    pub page_tables: u64,
    /// `oom_score_adj` in thousandths of what the group may have.
    pub adjusted: i64,
    /// From samples: its share of the room that was left, which it was about to take.
    pub growth: i64,
}

/// How it stood at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// When.
    pub at: Duration,
    /// Usage, in bytes.
    pub usage: u64,
    /// Limit hits so far.
    pub limit_hits: Option<u64>,
    /// Time lost to waiting for memory so far, in microseconds.
    pub waited_us: Option<u64>,
}
