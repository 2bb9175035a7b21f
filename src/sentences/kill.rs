//! OOM kills, in words: the line of the log, and the whole story with where each fact is from.

use std::time::Duration;

use super::{Language, count, duration, moment};
use crate::{
    event::{Above, Asker, Controller, Killer, Scope, Victim},
    session::{InLine, Run, Source, Story, Who},
    units::{Limit, size},
};

/// How many that stood beside the victim are named.
const NAMED: usize = 4;

/// The story of a kill: one sentence, and facts with a label each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who, when.
    pub head: String,
    /// The facts: what each is about, and what it says.
    pub facts: Vec<(&'static str, String)>,
}

impl Language {
    /// `stress (pid 3) held 99.4M`.
    pub(super) fn victim(self, victim: &Victim) -> String {
        format!("{} held {}", self.process(&victim.name, victim.pid, victim.host_pid), size(victim.held))
    }

    /// The same of one whom the kernel's log did not name.
    pub(super) fn seen(self, who: &Who, source: Source) -> String {
        let how = if source == Source::WaitStatus { "as it ended" } else { "by what was seen of it" };
        format!("{} held {}, {how}", self.process(&who.name, who.pid, who.host_pid), size(who.held))
    }

    /// A kill, or several in quick succession, as a line of the log.
    pub(super) fn kill(
        self,
        count: u64,
        who: Option<String>,
        limit: Limit,
        scope: Option<&Scope>,
        log: bool,
    ) -> String {
        let who = match who {
            Some(who) => who,
            None if log => "the kernel's log does not say whom".to_string(),
            None => "whom, only the kernel's log says, which cannot be read here".to_string(),
        };
        let why = match scope {
            None | Some(Scope::Own) => format!("the {limit} limit was hit"),
            Some(Scope::Inside { group }) => format!("a limit inside was hit, that of {group}"),
            Some(Scope::Above { group }) => format!("not for its own limit of {limit}: that of {group} above was hit"),
            Some(Scope::Machine) => {
                format!("not for its own limit of {limit}: the whole machine had run out of memory")
            }
        };
        match count {
            0 | 1 => format!("OOM kill: {who}; {why}"),
            n => format!("{n} OOM kills, the last: {who}; {why}"),
        }
    }

    /// Whose limit it was.
    pub(super) fn whose(self, scope: &Scope) -> String {
        match scope {
            Scope::Own => "the sandbox's own".into(),
            Scope::Inside { group } => format!("that of {group}, inside the sandbox"),
            Scope::Above { group } => format!("that of {group}, above the sandbox"),
            Scope::Machine => "none, the machine had run out of memory".into(),
        }
    }

    /// Why the OOM killer came, at the end of a sentence about how a run ended; nothing where it came for the sandbox's own limit.
    pub(super) fn not_ours(self, scope: Option<&Scope>) -> String {
        match scope {
            Some(Scope::Above { group }) => format!(" (the limit of {group} above was met)"),
            Some(Scope::Machine) => " (the whole machine had run out of memory)".into(),
            Some(Scope::Inside { group }) => format!(" (the limit of {group} inside was met)"),
            Some(Scope::Own) | None => String::new(),
        }
    }

    /// A tighter limit above.
    pub(super) fn tighter_above(self, above: &Above, limit: Limit) -> String {
        let whose = self.above(above);
        format!("{whose} is {}, lower than {limit}: it is met first, and kills the same", size(above.limit))
    }

    /// Whose limit that is.
    pub fn above(self, above: &Above) -> String {
        match &above.group {
            Some(group) => format!("the limit of {group} above"),
            None => "a limit above, out of sight".into(),
        }
    }

    /// Who killed beside the kernel.
    pub(super) fn killed_by(self, killer: Killer) -> &'static str {
        match killer {
            Killer::SystemdOomd => {
                "systemd-oomd killed the workload, for memory pressure or lack of swap: its own limit was not the reason"
            }
        }
    }

    /// Where a fact is from.
    pub fn source(self, source: Source, controller: Controller) -> &'static str {
        match (source, controller) {
            (Source::KernelLog, _) => "the kernel's log",
            (Source::Counters, Controller::V1) => "memory.failcnt and memory.oom_control",
            (Source::Counters, Controller::V2) => "memory.events",
            (Source::WaitStatus, _) => "the way it ended",
            (Source::Samples, _) => "our samples",
        }
    }

    /// The story of a kill.
    pub fn told(self, story: &Story, run: &Run) -> Told {
        let at = moment(story.at.saturating_sub(run.origin()));
        let who = story.who.as_ref().map(|(who, _)| who);
        let named = who.map_or("a process".to_string(), |who| self.process(&who.name, who.pid, who.host_pid));
        let mut facts = Vec::new();
        if let Some(who) = who {
            facts.push(("held", self.held(who, story)));
            if !who.command.is_empty() && who.command != who.name {
                facts.push(("command", who.command.clone()));
            }
            if !who.parents.is_empty() {
                let of = |(name, pid, host): &(String, Option<i32>, i32)| self.process(name, *pid, *host);
                facts.push(("started by", who.parents.iter().map(of).collect::<Vec<_>>().join(", by ")));
            }
        }
        facts.push(("limit met", self.limit_met(story, run)));
        if let Some(Asker { host_pid, pid, name }) = &story.asker {
            let asker = self.process(name, *pid, *host_pid);
            let own = who.is_some_and(|who| who.host_pid == *host_pid);
            let said = if own { "the victim itself".into() } else { format!("{asker}, not the victim") };
            facts.push(("asked for more", said));
        }
        facts.push(("before, after", self.before_after(story)));
        facts.extend(self.shared(story).map(|shared| ("nobody's", shared)));
        facts.extend(self.why(story).map(|why| ("why that one", why)));
        facts.push(("sources", self.sources(story, run)));
        Told { head: format!("OOM kill of {named} at {at}"), facts }
    }

    fn held(self, who: &Who, story: &Story) -> String {
        let limit = story.limit.bytes().filter(|limit| *limit > 0);
        match limit {
            // Shared memory counts for whoever has it mapped, and can be charged to another group.
            Some(limit) if who.held > limit => {
                format!("{}, with shared memory that is charged elsewhere", size(who.held))
            }
            Some(limit) => {
                let share = u128::from(who.held) * 100 / u128::from(limit);
                format!("{}, {share}% of the limit of {}", size(who.held), size(limit))
            }
            None => size(who.held),
        }
    }

    /// What no kill gives back.
    fn shared(self, story: &Story) -> Option<String> {
        let shared = story.shmem.filter(|shared| *shared >= (1 << 20) && *shared >= story.before.usage / 10)?;
        Some(format!(
            "{} of it were shared memory or files in tmpfs (/dev/shm, /tmp): no kill gives those back",
            size(shared)
        ))
    }

    fn limit_met(self, story: &Story, run: &Run) -> String {
        let met = |what: String| match story.met {
            Some((limit, Some(usage))) => format!("{what}: {} of {} were in use there", size(usage), size(limit)),
            Some((limit, None)) => format!("{what}, {}", size(limit)),
            None => what,
        };
        match story.scope.as_ref().map(|(scope, _)| scope) {
            Some(Scope::Own) => format!("{}, {}", self.whose(&Scope::Own), story.limit),
            Some(scope) => met(self.whose(scope)),
            None => match &run.above {
                Some(above) => {
                    format!("not the sandbox's own, which was not hit; {} is {}", self.above(above), size(above.limit))
                }
                None => "not the sandbox's own, which was not hit; the machine's memory is the next above it".into(),
            },
        }
    }

    fn before_after(self, story: &Story) -> String {
        let (before, after) = (story.before, story.after.unwrap_or(story.before));
        let mut said = vec![format!("usage {} → {}", size(before.usage), size(after.usage))];
        match (before.limit_hits, after.limit_hits) {
            (Some(before), Some(after)) if before < after => said.push(format!("limit hits {before} → {after}")),
            (_, Some(hits)) => said.push(format!("{} so far", count(hits, "limit hit"))),
            _ => {}
        }
        if let (Some(before), Some(after)) = (before.waited_us, after.waited_us) {
            let waited = Duration::from_micros(after.saturating_sub(before));
            said.push(format!("waited {} for memory", duration(waited)));
        }
        said.join("; ")
    }

    /// Why the kernel took that one: what it weighed.
    fn why(self, story: &Story) -> Option<String> {
        let (who, _) = story.who.as_ref()?;
        let (line, _) = &story.line;
        let place = line.iter().position(|of| of.host_pid == who.host_pid);
        let others: Vec<String> = line
            .iter()
            .filter(|of| of.host_pid != who.host_pid)
            .take(NAMED)
            .map(|of| format!("{} {}", self.process(&of.name, of.pid, of.host_pid), self.badness(of)))
            .collect();
        let more = story.more + line.len().saturating_sub(usize::from(place.is_some())).saturating_sub(others.len());
        let beside = match (others.len(), more) {
            (0, _) => "; nobody stood beside it".to_string(),
            (_, 0) => format!("; beside it: {}", others.join(", ")),
            (_, n) => format!("; beside it: {}, and {n} more", others.join(", ")),
        };
        let line_is_kernels = story.line.1 == Source::KernelLog;
        Some(match place.map(|n| (n, &line[n])) {
            Some((0, first)) => {
                // Resident memory counts whole, also what another group is charged for.
                let limit = story.limit.bytes().and_then(|limit| i64::try_from(limit).ok());
                let over = limit.is_some_and(|limit| first.badness > limit && first.oom_score_adj == 0);
                let files = if over { ", with files that are charged elsewhere" } else { "" };
                format!(
                    "the largest badness (memory, page tables, oom_score_adj): {}{files}{beside}",
                    self.badness(first)
                )
            }
            // In the kernel's own table those before it could not be taken: spared, dying, or not yet another program (vfork).
            Some((_, of)) if line_is_kernels => {
                format!("badness {}; those with more were passed over by the kernel{beside}", self.badness(of))
            }
            Some((_, of)) => format!("badness {} when last seen, a moment before{beside}", self.badness(of)),
            None => format!("it lived too shortly to be seen{beside}"),
        })
    }

    fn badness(self, of: &InLine) -> String {
        let adj = match of.oom_score_adj {
            0 => String::new(),
            adj => format!(" (oom_score_adj {adj})"),
        };
        let value = match of.badness {
            less if less < 0 => format!("-{}", size(less.unsigned_abs())),
            some => size(some.unsigned_abs()),
        };
        value + &adj
    }

    /// Where the facts are from: each source once.
    fn sources(self, story: &Story, run: &Run) -> String {
        let name = |source| self.source(source, run.started.controller);
        let who = match &story.who {
            Some((_, source)) => name(*source),
            None if run.started.kernel_log => "nobody, the kernel's log did not say",
            None => "nobody, the kernel's log cannot be read here, and nobody was seen to die of it",
        };
        let whose = name(story.scope.as_ref().map_or(Source::Counters, |(_, from)| *from));
        let facts =
            [("who", who), ("whose limit", whose), ("who stood there", name(story.line.1)), ("usage", "our samples")];
        let mut said: Vec<(&str, Vec<&str>)> = Vec::new();
        for (fact, from) in facts {
            match said.iter_mut().find(|(source, _)| *source == from) {
                Some((_, facts)) => facts.push(fact),
                None => said.push((from, vec![fact])),
            }
        }
        said.iter().map(|(from, facts)| format!("{}: {from}", facts.join(", "))).collect::<Vec<_>>().join("; ")
    }

    /// That there were more kills than stories are told.
    pub fn more_kills(self, n: u64) -> String {
        format!("and {} before", count(n, "OOM kill"))
    }
}
