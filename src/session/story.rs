//! What the story of an OOM kill is made of: plain data, each fact with where it is from. Refuses: to find anything out.

use std::time::Duration;

use crate::{
    event::{Above, Asker, Scope},
    units::Limit,
};

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
    /// Who was killed, and where that is from.
    pub who: Option<(Who, Source)>,
    /// Whose limit was met, and where that is from.
    pub scope: Option<(Scope, Source)>,
    /// The sandbox's own limit then.
    pub limit: Limit,
    /// Another limit that was met instead, in bytes, and what was charged under it, where that is known.
    pub met: Option<(u64, Option<u64>)>,
    /// Shared memory and tmpfs that were charged then, in bytes: nobody's, and not given back when somebody dies.
    pub shmem: Option<u64>,
    /// Who asked for the memory that was not there.
    pub asker: Option<Asker>,
    /// How it stood before.
    pub before: Moment,
    /// How it stood shortly after.
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

    /// Whether its victim is sure: named by the kernel, or seen with a good part of what was in use.
    pub(super) fn is_sure(&self) -> bool {
        self.who.as_ref().is_some_and(|(who, source)| match source {
            Source::Samples => who.held >= self.before.usage / 4,
            _ => true,
        })
    }

    /// Whether it is the story of this process, by its pid outside.
    pub fn is_of(&self, host_pid: i32) -> bool {
        self.who.as_ref().is_some_and(|(who, _)| who.host_pid == host_pid)
    }
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
    /// What the kernel weighs, in bytes; from samples, with its share of the room that was left then.
    pub badness: i64,
    /// How readily it is taken.
    pub oom_score_adj: i32,
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
