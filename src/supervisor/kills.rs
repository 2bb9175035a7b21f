//! What the kernel's log says of kills in the sandbox, told as events; and who else may have killed.

use std::time::{Duration, Instant};

use super::{live::Live, outbox::Outbox};
use crate::{
    cgroup,
    event::{Asker, Event, Killer, Note, OomDump, Scope, Status, Tabled, Victim},
    oom::{Dump, KernelLog, Killed, Said, TableRow},
    units::page_size,
};

/// How many rows of the kernel's table are told: those it would take first.
const TABLED: usize = 32;

/// A kill in the kernel's log and in our counter are found at most so far apart.
const CLAIMED_WITHIN: Duration = Duration::from_secs(1);

/// Kills in the kernel's log whose victims were never seen in the sandbox: who lives for a few milliseconds only is not. They may be of another group.
#[derive(Default)]
pub struct Unclaimed {
    lines: Vec<(Instant, Killed)>,
    /// How many victims were named so far.
    named: u64,
}

impl Live {
    /// Takes the kernel's log: whom it killed, and why.
    pub fn kernel_log(&mut self, log: &mut KernelLog, out: &mut Outbox) {
        let group = self.group.path();
        for said in log.drain() {
            match said {
                Said::Chosen(dump) if is_in(&dump.group, &group) => {
                    self.ours.add(dump.pid);
                    let dump = self.dump(dump, &group);
                    out.push(Event::OomDump(Box::new(dump)));
                }
                Said::Killed(killed) if self.ours.take(killed.pid) => self.named(killed, out),
                Said::Killed(killed) => self.unclaimed.lines.push((Instant::now(), killed)),
                _ => {}
            }
        }
        self.claim(Instant::now(), out);
    }

    fn named(&mut self, killed: Killed, out: &mut Outbox) {
        self.unclaimed.named += 1;
        out.push(Event::Victim(Victim {
            host_pid: killed.pid,
            pid: self.pid_inside(killed.pid),
            name: killed.name,
            held: killed.held,
            file: Some(killed.file),
            page_tables: killed.page_tables,
            oom_score_adj: killed.oom_score_adj,
            machine: killed.machine,
        }));
    }

    /// Takes a victim for ours that we never saw, where our counter misses a name for each such line there is.
    pub(super) fn claim(&mut self, now: Instant, out: &mut Outbox) {
        self.unclaimed.lines.retain(|(at, _)| now.saturating_duration_since(*at) < CLAIMED_WITHIN);
        let missing = self.kills().saturating_sub(self.unclaimed.named);
        if self.unclaimed.lines.len() as u64 <= missing {
            for (_, killed) in std::mem::take(&mut self.unclaimed.lines) {
                self.named(killed, out);
            }
        }
    }

    /// A SIGKILL that was not the OOM killer's: whether systemd-oomd says that it was its.
    pub(super) fn tell_killer(&self, out: &mut Outbox) {
        let killed = self.status() == Some(&Status::Signalled(nix::libc::SIGKILL));
        let leaf = self.group.leaf();
        let groups: Vec<&std::path::Path> = std::iter::once(leaf).chain(leaf.parent()).collect();
        if killed && self.kills() == 0 && !self.is_ending() && cgroup::oomd::marked(&groups) {
            out.push(Event::Note(Note::KilledBy { killer: Killer::SystemdOomd }));
        }
    }

    fn pid_inside(&self, host_pid: i32) -> Option<i32> {
        match self.main {
            Some((inside, outside)) if outside == host_pid => Some(inside),
            _ => self.procs.inside(host_pid),
        }
    }

    fn dump(&self, dump: Dump, group: &str) -> OomDump {
        let scope = match &dump.limited {
            None => Scope::Machine,
            Some(limited) if limited == group => Scope::Own,
            Some(limited) if is_in(limited, group) => Scope::Inside { group: limited[group.len()..].into() },
            Some(limited) => Scope::Above { group: limited.clone() },
        };
        let mut rows = dump.table;
        let pages = dump.stood.map_or(u64::MAX / page_size(), |(_, limit, _)| limit / page_size());
        let badness = |row: &TableRow| {
            let held = row.rss.saturating_add(row.swap).saturating_add(row.page_tables / page_size());
            i128::from(held) + i128::from(row.oom_score_adj) * i128::from(pages / 1000)
        };
        rows.sort_by_key(|row| (row.pid != dump.pid, std::cmp::Reverse(badness(row))));
        let left_out = rows.len().saturating_sub(TABLED) as u32;
        rows.truncate(TABLED);
        let tabled = |row: TableRow| Tabled {
            host_pid: row.pid,
            pid: self.pid_inside(row.pid),
            name: row.name,
            rss: row.rss.saturating_mul(page_size()),
            page_tables: row.page_tables,
            swap: row.swap.saturating_mul(page_size()),
            oom_score_adj: row.oom_score_adj,
        };
        OomDump {
            host_pid: dump.pid,
            scope,
            asker: dump.asker.map(|(pid, name)| Asker { host_pid: pid, pid: self.pid_inside(pid), name }),
            usage: dump.stood.map(|(usage, ..)| usage),
            limit: dump.stood.map(|(_, limit, _)| limit),
            limit_hits: dump.stood.map(|(.., hits)| hits),
            table: rows.into_iter().map(tabled).collect(),
            left_out,
        }
    }
}

/// Whether a group lies below another one.
fn is_in(group: &str, parent: &str) -> bool {
    group.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}
