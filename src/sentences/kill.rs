//! OOM kills, in words: the line of the log, and the whole story with where each fact is from.

use std::time::Duration;

use super::{Language, count, duration, moment, times};
use crate::{
    event::{Above, Asker, Charged, Controller, Killer, Scope, Victim},
    session::{GroupKill, InLine, PassedOver, Run, Source, Story, Who},
    units::{Limit, size},
};

/// How many that stood beside the victim are named.
const NAMED: usize = 4;

/// How many that were killed with the victim are named.
const OTHERS: usize = 10;

/// What is less than this, in bytes, is not worth a word.
const WORTH: u64 = 1 << 20;

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
        let who = self.process(&victim.name, victim.pid, victim.host_pid);
        format!("{who} held {}", self.amount_held(victim.held, victim.shmem))
    }

    /// `50M, 48M of it shared memory`: others that have the same pages mapped hold them too.
    pub(super) fn amount_held(self, held: u64, shmem: Option<u64>) -> String {
        match shmem.filter(|shmem| *shmem >= WORTH && *shmem >= held / 10) {
            Some(shmem) => format!("{}, {} of it shared memory", size(held), size(shmem)),
            None => size(held),
        }
    }

    /// The same of one whom the kernel's log did not name.
    pub(super) fn seen(self, who: &Who, source: Source) -> String {
        let how = if source == Source::WaitStatus { "as it ended" } else { "by what was seen of it" };
        format!("{} held {}, {how}", self.process(&who.name, who.pid, who.host_pid), size(who.held))
    }

    /// How many OOM kills there were, beside their name: `3`, or `2, counted 3 times` where the
    /// kernel counted a process again.
    pub fn kills_counted(self, kills: u64, repeated: u64) -> String {
        match repeated {
            0 => kills.to_string(),
            _ => format!("{}, counted {}", kills.saturating_sub(repeated), times(kills)),
        }
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
            Some(scope @ (Scope::Cpuset { .. } | Scope::MemoryPolicy)) => {
                format!("not for its own limit of {limit}: {}", self.nodes(scope))
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
            Scope::Cpuset { .. } | Scope::MemoryPolicy => format!("none, {}", self.nodes(scope)),
        }
    }

    /// That some of the machine's nodes had run out of memory, and which.
    fn nodes(self, scope: &Scope) -> String {
        match scope {
            Scope::Cpuset { cpuset } => format!("the memory nodes that the cpuset {cpuset} allows had run out"),
            _ => "the memory nodes that the asker's memory policy allows had run out".into(),
        }
    }

    /// Why the OOM killer came, at the end of a sentence about how a run ended; nothing where it came for the sandbox's own limit.
    pub fn not_ours(self, scope: Option<&Scope>) -> String {
        match scope {
            Some(Scope::Above { group }) => format!(" (the limit of {group} above was met)"),
            Some(Scope::Machine) => " (the whole machine had run out of memory)".into(),
            Some(scope @ (Scope::Cpuset { .. } | Scope::MemoryPolicy)) => format!(" ({})", self.nodes(scope)),
            Some(Scope::Inside { group }) => format!(" (the limit of {group} inside was met)"),
            Some(Scope::Own) | None => String::new(),
        }
    }

    /// A tighter limit above.
    pub fn tighter_above(self, above: &Above, limit: Limit) -> String {
        let whose = self.above(above);
        format!("{whose} is {}, lower than {limit}: it is met first, and kills the same", size(above.limit))
    }

    /// That a pause does not keep from that.
    pub(super) fn pause_below(self) -> &'static str {
        "; a pause (--oom pause) goes by the sandbox's own limit, and comes too late for that"
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
        facts.extend(self.killed_with(story).map(|others| ("killed with it", others)));
        facts.push(("limit met", self.limit_met(story, run)));
        if let Some(Asker { host_pid, pid, name }) = &story.asker {
            let asker = self.process(name, *pid, *host_pid);
            let own = who.is_some_and(|who| who.host_pid == *host_pid);
            let said = if own { "the victim itself".into() } else { format!("{asker}, not the victim") };
            facts.push(("asked for more", said));
        }
        facts.push(("before, after", self.before_after(story)));
        facts.extend(self.charged(story).map(|charged| ("in use by", charged)));
        facts.extend(self.shared(story).map(|shared| ("not freed", shared)));
        facts.extend(self.why(story).map(|why| ("why that one", why)));
        facts.push(("sources", self.sources(story, run)));
        let others = match (story.group_kill, story.processes().saturating_sub(1)) {
            (None, _) | (_, 0) => String::new(),
            (Some(_), 1) => " and 1 other process".to_string(),
            (Some(_), n) => format!(" and {n} other processes"),
        };
        Told { head: format!("OOM kill of {named}{others} at {at}"), facts }
    }

    /// Who was killed with the one that was chosen, and why.
    fn killed_with(self, story: &Story) -> Option<String> {
        let why = match story.group_kill? {
            GroupKill::Kernel => "memory.oom.group was set: the kernel chose one and killed all of its group",
            GroupKill::Sandtop => {
                "--oom group: sandtop killed the rest of the workload, which cgroup v1 cannot do itself"
            }
        };
        let named = |other: &crate::session::Other| {
            format!("{} {}", self.process(&other.name, other.pid, other.host_pid), size(other.held))
        };
        let mut others: Vec<String> = story.others.iter().take(OTHERS).map(named).collect();
        match (others.len() as u64, story.processes().saturating_sub(1)) {
            (_, 0) => return None,
            (0, n) => others.push(format!("{} that nothing names", count(n, "process"))),
            (some, n) if some < n => others.push(format!("and {} more", n - some)),
            _ => {}
        }
        Some(format!("{}; {why}", others.join(", ")))
    }

    /// Where the limit went, part by part and each page once, and what of each part the kill gave back.
    fn charged(self, story: &Story) -> Option<String> {
        let (before, _) = story.charged_then()?;
        let after = story.charged_after.map(|(_, charged)| charged);
        let part = |name: &str, of: fn(&Charged) -> Option<u64>, detail: String| {
            let (then, now) = (of(&before)?, after.as_ref().and_then(of));
            let freed = now.map(|now| then.saturating_sub(now)).filter(|freed| *freed >= WORTH);
            let freed = match freed {
                Some(freed) if then - freed < WORTH => ", freed by the kill".to_string(),
                Some(freed) => format!(", {} of it freed by the kill", size(freed)),
                None => String::new(),
            };
            (then >= WORTH).then(|| format!("{name} {}{detail}{freed}", size(then)))
        };
        let some = |name: &str, bytes: Option<u64>| {
            bytes.filter(|bytes| *bytes >= WORTH).map(|bytes| format!("{name} {}", size(bytes)))
        };
        let details = |details: Vec<Option<String>>| {
            let details: Vec<String> = details.into_iter().flatten().collect();
            if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) }
        };
        let kernel = details(vec![
            some("pipes, sockets, open files and other unreclaimable slab", before.slab_unreclaimable),
            some("dentries, inodes and other reclaimable slab", before.slab_reclaimable),
            some("page tables", before.page_tables),
            some("stacks of threads", before.stacks),
        ]);
        let cache = details(vec![some("not on the disk yet", before.unwritten)]);
        let parts = [
            part("processes", |c| c.anon, String::new()),
            part("shared memory and tmpfs", |c| c.shmem, String::new()),
            part("the kernel", |c| c.kernel, kernel),
            part("network buffers", |c| c.sock, String::new()),
            part("file cache that was not reclaimed", |c| c.file, cache),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
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
                format!("{}, {share}% of the limit of {}", self.amount_held(who.held, who.shmem), size(limit))
            }
            None => self.amount_held(who.held, who.shmem),
        }
    }

    /// Shared memory that the kill did not free.
    fn shared(self, story: &Story) -> Option<String> {
        let worth = |shared: &u64| *shared >= WORTH && *shared >= story.before.usage / 10;
        let before = story.charged_then()?.0.shmem.filter(worth)?;
        match story.shmem_left() {
            None => Some(format!("whether the {} of shared memory and tmpfs were freed was not seen", size(before))),
            Some(left) => Some(left).filter(worth).map(|left| {
                format!(
                    "{} of shared memory or files in tmpfs (/dev/shm, /tmp) are still charged after the kill",
                    size(left)
                )
            }),
        }
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
        let before = story.before;
        let Some(after) = story.after else {
            return format!(
                "usage {} before; memory ran out again before a sample saw what the kill freed",
                size(before.usage)
            );
        };
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
        let (line, source) = &story.line;
        let victim = line.iter().find(|of| of.host_pid == who.host_pid);
        let others: Vec<String> = line
            .iter()
            .filter(|of| of.host_pid != who.host_pid)
            .take(NAMED)
            .map(|of| format!("{} {}", self.process(&of.name, of.pid, of.host_pid), self.badness(of)))
            .collect();
        let more = story.more + line.len().saturating_sub(usize::from(victim.is_some())).saturating_sub(others.len());
        let beside = match (others.len(), more) {
            (0, _) => "; nobody stood beside it".to_string(),
            (_, 0) => format!("; beside it: {}", others.join(", ")),
            (_, n) => format!("; beside it: {}, and {n} more", others.join(", ")),
        };
        let Some(victim) = victim else { return Some(format!("it lived too shortly to be seen{beside}")) };
        let larger = |of: &&InLine| of.host_pid != who.host_pid && of.badness > victim.badness;
        let why_not: Vec<Option<PassedOver>> = line.iter().filter(larger).map(|of| of.passed_over).collect();
        let parts = self.badness_parts(story, victim);
        Some(match (&why_not[..], source) {
            ([], _) => format!("the largest badness: {parts}{beside}"),
            (larger, _) if larger.iter().all(Option::is_some) => {
                format!("the largest badness of those that the kernel could take: {parts}{beside}")
            }
            // In the kernel's own table those before it could not be taken: dying, or not yet another program (vfork).
            (_, Source::KernelLog) => format!("badness {parts}; the kernel passed over those with more{beside}"),
            // What was seen of the others is as old, and they may have shrunk.
            _ => format!("badness {parts} when last seen, a moment before{beside}, by the same look"),
        })
    }

    /// `86.6M (56.5M resident, 30M swapped out, 124K page tables)`: parts that add up.
    fn badness_parts(self, story: &Story, of: &InLine) -> String {
        let parts = &of.parts;
        let some = |bytes: u64, name: &str| (bytes > 0).then(|| format!("{} {name}", size(bytes)));
        let adjusted = (parts.adjusted != 0)
            .then(|| format!("{} for oom_score_adj {}", self.signed(parts.adjusted), of.oom_score_adj));
        let growth = u64::try_from(parts.growth).ok().filter(|growth| *growth > 0);
        // Resident memory counts whole, also what another group is charged for.
        let elsewhere = story.limit.bytes().is_some_and(|limit| parts.resident > limit);
        let resident = if elsewhere { "resident, some of it charged to other groups" } else { "resident" };
        let said: Vec<String> = [
            some(parts.resident, resident),
            some(parts.swapped, "swapped out"),
            some(parts.page_tables, "page tables"),
            adjusted,
            growth.map(|growth| format!("{} that it was about to take", size(growth))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let sum = self.signed(of.badness);
        if said.is_empty() { sum } else { format!("{sum} ({})", said.join(", ")) }
    }

    fn signed(self, bytes: i64) -> String {
        let sign = if bytes < 0 { "-" } else { "" };
        format!("{sign}{}", size(bytes.unsigned_abs()))
    }

    fn badness(self, of: &InLine) -> String {
        let adj = (of.oom_score_adj != 0).then(|| format!("oom_score_adj {}", of.oom_score_adj));
        let passed = of.passed_over.map(|why| match why {
            PassedOver::KilledBefore => "killed a moment before".to_string(),
            PassedOver::Exiting => "exiting".to_string(),
            PassedOver::Spared => "never taken".to_string(),
        });
        let said: Vec<String> = adj.into_iter().chain(passed).collect();
        let value = if of.passed_over == Some(PassedOver::Spared) { String::new() } else { self.signed(of.badness) };
        match (value.is_empty(), said.is_empty()) {
            (false, true) => value,
            (false, false) => format!("{value} ({})", said.join(", ")),
            (true, _) => format!("({})", said.join(", ")),
        }
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
