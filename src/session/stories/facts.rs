//! What a story is made of: the newest samples, the processes as they were last seen, the kernel's dump. Refuses: to find out who was killed.

use std::time::Duration;

use super::{
    super::{
        Run, badness,
        story::{BadnessParts, InLine, Moment, Other, PassedOver, Source, Story, Who},
    },
    BESIDE, OTHERS, PAST, POINTS,
};
use crate::{
    event::{Charged, Controller, MemoryStat, OomDump, Sample, Scope, Started, Tabled, Victim},
    units::{Limit, page_size},
};

impl Run {
    /// What can be said of a kill before anything is known of it but that it happened.
    pub(super) fn story(&self, at: Duration) -> Story {
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
            printed_us: None,
            by_count: false,
            who: None,
            scope: None,
            limit,
            met: None,
            kills: 1,
            repeated: 0,
            others: Vec::new(),
            others_left_out: 0,
            group_kill: None,
            charged: self.stat.map(|stat| (charged(stat), Source::Samples)),
            charged_after: None,
            asker: None,
            before: Moment { waited_us, ..before },
            after: None,
            line: (line, Source::Samples),
            more,
            past,
        }
    }

    /// A process as it was last seen.
    pub(super) fn who(&self, host_pid: i32, name: &str, pid: Option<i32>) -> Who {
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
        let seen = |of: fn(&super::super::Row) -> String| row.map(of).unwrap_or_default();
        Who {
            host_pid,
            pid: pid.or(row.and_then(|row| row.process.pid)),
            name: if name.is_empty() { seen(|row| row.process.name.clone()) } else { name.into() },
            command: seen(|row| row.process.command.clone()),
            held: row.map_or(0, |row| row.process.usage.anon),
            shmem: None,
            oom_score_adj: row.map(|row| row.process.usage.oom_score_adj),
            parents,
        }
    }
}

/// Takes in what the kernel's dump says.
pub(super) fn take_dump(story: &mut Story, dump: OomDump, run: &Started, own: Limit) {
    let machine = run.mem_total;
    // v2's own counter is another one than `failcnt`, which it prints all the same.
    let hits = dump.limit_hits.filter(|_| run.controller == Controller::V1);
    let of_a_group = matches!(dump.scope, Scope::Own | Scope::Inside { .. } | Scope::Above { .. });
    let limit = dump.limit.filter(|_| of_a_group).unwrap_or(machine);
    if matches!(dump.scope, Scope::Above { .. } | Scope::Inside { .. }) {
        story.met = dump.limit.map(|limit| (limit, dump.usage));
    } else if dump.scope == Scope::Own
        && let Some(usage) = dump.usage
    {
        // The kernel's own reading of that instant.
        story.before = Moment { usage, limit_hits: hits.or(story.before.limit_hits), ..story.before };
        story.limit = dump.limit.map_or(own, |limit| if own.bytes().is_none() { own } else { Limit::Bytes(limit) });
    }
    // What a limit above was met by is nobody's here.
    if let Some(charged) = dump.charged.filter(|_| dump.scope == Scope::Own) {
        story.charged = Some((charged, Source::KernelLog));
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

pub(super) fn take_other(story: &mut Story, other: Other) {
    match story.others.len() < OTHERS {
        true => story.others.push(other),
        false => story.others_left_out += 1,
    }
}

pub(super) fn in_line(row: Tabled, limit: u64) -> InLine {
    let page = page_size();
    let whole = |bytes: u64| bytes / page * page;
    let points = badness::points(row.rss / page, row.page_tables, row.swap / page, row.oom_score_adj, limit / page);
    let (badness, adjusted) =
        points.map_or((i64::MIN, 0), |(all, adj)| (badness::in_bytes(all), badness::in_bytes(adj)));
    let parts = BadnessParts {
        resident: whole(row.rss),
        swapped: whole(row.swap),
        page_tables: whole(row.page_tables),
        adjusted,
        growth: 0,
    };
    let passed_over = match points {
        None => Some(PassedOver::Spared),
        Some(_) => row.exiting.then_some(PassedOver::Exiting),
    };
    let Tabled { host_pid, pid, name, oom_score_adj, .. } = row;
    InLine { host_pid, pid, name, badness, parts, oom_score_adj, passed_over }
}

pub(super) fn seen(candidate: &badness::Candidate) -> InLine {
    let process = &candidate.row.process;
    InLine {
        host_pid: process.host_pid,
        pid: process.pid,
        name: process.name.clone(),
        badness: candidate.then_bytes(),
        parts: candidate.parts(),
        oom_score_adj: process.usage.oom_score_adj,
        passed_over: process.usage.exiting.then_some(PassedOver::Exiting),
    }
}

/// One that was seen, with the sizes that the kernel printed when it killed it. It does not print what was swapped out.
pub(super) fn as_printed(seen: InLine, victim: &Victim) -> InLine {
    let (Some(file), Some(page_tables)) = (victim.file, victim.page_tables) else { return seen };
    let resident = victim.held.saturating_add(file);
    let parts = BadnessParts { resident, page_tables, growth: 0, ..seen.parts };
    let held = resident.saturating_add(parts.swapped).saturating_add(page_tables);
    let badness = i64::try_from(held).unwrap_or(i64::MAX).saturating_add(parts.adjusted);
    InLine { badness, parts, ..seen }
}

pub(super) fn charged(stat: MemoryStat) -> Charged {
    Charged {
        anon: Some(stat.anon),
        shmem: Some(stat.shmem),
        file: Some(stat.file),
        unwritten: Some(stat.unwritten),
        kernel: stat.kernel,
        slab_reclaimable: stat.slab_reclaimable,
        ..Charged::default()
    }
}

pub(super) fn moment(at: Duration, sample: &Sample) -> Moment {
    let waited_us = sample.pressure.map(|pressure| pressure.some_us);
    Moment { at, usage: sample.usage, limit_hits: sample.limit_hits, waited_us }
}
