//! What the kernel's log says of kills in the sandbox, told as events; and who else may have killed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{live::Live, outbox::Outbox};
use crate::{
    cgroup::{self, Detail},
    event::{Asker, Charged, Controller, Event, Killer, Note, OomDump, Scope, Status, Tabled, Victim},
    oom::{Constraint, Dump, KernelLog, Killed, Said, TableRow},
    units::page_size,
};

/// How many rows of the kernel's table are told: those it would take first.
const TABLED: usize = 32;

/// A kill that was counted is printed after this at the latest, on a machine that has time for it; and on any other.
const PRINTED: Duration = Duration::from_millis(20);
const TOGETHER: Duration = Duration::from_millis(200);

/// A line that nobody has claimed for so long is nobody's here, and a kill that has no name by then gets none.
const LOST: Duration = Duration::from_secs(1);

/// How many kills without a name are remembered at most.
const NAMELESS: usize = 1000;

/// What the log says that may be about us.
enum Line {
    Dump(Box<OomDump>),
    /// Surely ours.
    Ours(Killed),
    /// Gone, and never seen.
    Unknown(Killed),
}

/// Kills in the kernel's log whose victims were never seen in the sandbox: who lives for a few milliseconds only is not. They may be of another group.
#[derive(Default)]
pub struct Unclaimed {
    lines: Vec<(Instant, Killed)>,
    /// How many kills were counted when the counter was read last, and when that had risen.
    counted: u64,
    moved: Option<Instant>,
    /// Kills that have no name yet: when each was counted.
    nameless: VecDeque<Instant>,
    /// Names that came before their kill was counted.
    ahead: u64,
    /// Whom the kernel chose last, where that was in another group.
    elsewhere: Option<i32>,
}

impl Unclaimed {
    /// Takes in the counter: each kill that is new in it has no name yet. A kill whose name did not come in time is given up: the next line that
    /// nobody claims is not its own.
    fn count(&mut self, now: Instant, kills: u64) {
        let new = kills.saturating_sub(self.counted);
        if new > 0 {
            self.counted = kills;
            self.moved = Some(now);
        }
        let named = new.min(self.ahead);
        self.ahead -= named;
        self.nameless.extend((named..new).take(NAMELESS).map(|_| now));
        while self.nameless.len() > NAMELESS || self.nameless.front().is_some_and(|at| now.duration_since(*at) > LOST) {
            self.nameless.pop_front();
        }
    }

    /// Whether it is the one that was chosen in another group, or was killed with it.
    fn is_elsewhere(&mut self, killed: &Killed) -> bool {
        let is_it = |pid: &i32| *pid == killed.pid || Some(*pid) == killed.killed_with;
        self.elsewhere = self.elsewhere.filter(is_it);
        self.elsewhere.is_some()
    }

    /// A kill has its name: the newest that can be its own, for the kernel counts and prints one at a time.
    fn name(&mut self) {
        if self.nameless.pop_back().is_none() {
            self.ahead += 1;
        }
    }
}

impl Live {
    /// Takes the kernel's log: whom it killed, and why. A kill is counted before it is printed (`__oom_kill_process`), so that the counter, read now, has all
    /// that is read here.
    pub fn kernel_log(&mut self, log: &mut KernelLog, out: &mut Outbox) {
        let said = log.drain();
        let now = Instant::now();
        let mut counted = self.kills();
        if said.iter().any(|said| matches!(said, Said::Killed(_)))
            && let Ok(sample) = self.group.sample(Detail::Full)
        {
            counted = sample.oom_kills.unwrap_or(counted);
            out.push(Event::Sample(sample)); // what follows from it waits for the next one
        }
        self.unclaimed.count(now, counted);
        let group = self.group.path();
        let mut ours = Vec::new();
        for said in said {
            match said {
                Said::Chosen(dump) if is_in(&dump.group, &group) => {
                    self.ours.add(dump.pid);
                    self.unclaimed.elsewhere = None;
                    ours.push(Line::Dump(Box::new(self.dump(dump, &group))));
                }
                Said::Chosen(dump) => self.unclaimed.elsewhere = Some(dump.pid),
                Said::Killed(killed) if self.unclaimed.is_elsewhere(&killed) => {}
                Said::Killed(killed) => ours.extend(self.whose(killed, &group)),
            }
        }
        let known = ours.iter().filter(|line| matches!(line, Line::Ours(_))).count();
        if self.unclaimed.nameless.len() <= known {
            // Every kill of ours has its name: the others are of other groups.
            self.unclaimed.lines.clear();
            ours.retain(|line| !matches!(line, Line::Unknown(_)));
        }
        for line in ours {
            match line {
                Line::Dump(dump) => out.push(Event::OomDump(dump)),
                Line::Ours(killed) => self.named(killed, false, out),
                Line::Unknown(killed) => self.unclaimed.lines.push((now, killed)),
            }
        }
    }

    /// Whose the victim is: known to us, or still there to be asked; `None` for another group's.
    fn whose(&mut self, mut killed: Killed, group: &str) -> Option<Line> {
        if killed.killed_with == Some(killed.pid) {
            // The chosen one once more: whose it is was found out the first time.
            let waits = self.unclaimed.lines.iter().any(|(_, line)| line.pid == killed.pid);
            return match self.ours.was_taken(killed.pid) {
                true => Some(Line::Ours(killed)),
                false => waits.then_some(Line::Unknown(killed)),
            };
        }
        if self.ours.take(Instant::now(), killed.pid) {
            return Some(Line::Ours(killed));
        }
        killed.pid = process_of(killed.pid).unwrap_or(killed.pid);
        if self.ours.take(Instant::now(), killed.pid) {
            return Some(Line::Ours(killed));
        }
        match is_member(killed.pid, group) {
            Some(true) => Some(Line::Ours(killed)),
            Some(false) => None,
            None if self.settings.limit().bytes().is_some_and(|limit| killed.held > limit) => None,
            None => Some(Line::Unknown(killed)),
        }
    }

    fn named(&mut self, killed: Killed, by_count: bool, out: &mut Outbox) {
        self.unclaimed.name();
        out.push(Event::Victim(Victim {
            host_pid: killed.pid,
            pid: self.pid_inside(killed.pid),
            name: killed.name,
            held: killed.held,
            shmem: killed.shmem,
            file: Some(killed.file),
            page_tables: killed.page_tables,
            oom_score_adj: killed.oom_score_adj,
            machine: killed.machine,
            killed_with: killed.killed_with,
            printed_us: Some(killed.printed_us),
            by_count,
        }));
    }

    /// Takes a victim for ours that we never saw and that is gone, where our counter misses a name for each such line that came when it moved, and no line
    /// that is surely ours has come by then. One that held more than may be held here is none of ours.
    pub(super) fn claim(&mut self, now: Instant, last: bool, out: &mut Outbox) {
        let limit = self.settings.limit().bytes().unwrap_or(u64::MAX);
        let kills = self.kills();
        self.unclaimed.count(now, kills);
        let age = |at: Instant| now.saturating_duration_since(at);
        self.unclaimed.lines.retain(|(at, killed)| age(*at) < LOST && killed.held <= limit);
        let missing = self.unclaimed.nameless.len();
        // Where kill follows kill there is no moment at which all of ours have their names.
        let calm = self.unclaimed.moved.is_none_or(|moved| age(moved) >= PRINTED);
        let old = self.unclaimed.lines.iter().all(|(at, _)| age(*at) >= TOGETHER);
        let fresh = self.unclaimed.lines.iter().any(|(at, _)| age(*at) < PRINTED);
        if (last || old || calm && !fresh) && self.unclaimed.lines.len() <= missing {
            for (_, killed) in std::mem::take(&mut self.unclaimed.lines) {
                self.named(killed, true, out);
            }
        }
    }

    /// At the end: a kill is counted before it is printed, whoever is killed may be interrupted between the two, and what is printed can be read only
    /// when all that came before it is complete (`prb_read_valid`).
    pub(super) fn last_words(&mut self, log: &mut KernelLog, out: &mut Outbox) {
        let until = Instant::now() + TOGETHER;
        self.unclaimed.count(Instant::now(), self.kills());
        while self.unclaimed.nameless.len() > self.unclaimed.lines.len() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
            self.kernel_log(log, out);
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
            // Killed before a sweep has seen it: its parent may not have reaped it yet.
            _ => self.procs.inside(host_pid).or_else(|| crate::procs::pid_inside(host_pid)),
        }
    }

    fn dump(&self, dump: Dump, group: &str) -> OomDump {
        let charged = charged(self.controller, &dump);
        let scope = match &dump.constraint {
            Constraint::Machine => Scope::Machine,
            Constraint::Cpuset { cpuset } => Scope::Cpuset { cpuset: cpuset.clone() },
            Constraint::MemoryPolicy => Scope::MemoryPolicy,
            Constraint::Group { group: limited } if limited == group => Scope::Own,
            Constraint::Group { group: limited } if is_in(limited, group) => {
                Scope::Inside { group: limited[group.len()..].into() }
            }
            Constraint::Group { group: limited } => Scope::Above { group: limited.clone() },
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
        // Who weighs more than the chosen one was passed over, and why can be read a moment later still.
        let chosen = rows.first().filter(|row| row.pid == dump.pid).map(badness);
        let exiting = |row: &TableRow| {
            let passed_over = row.pid != dump.pid && chosen.is_some_and(|chosen| badness(row) > chosen);
            self.procs.was_exiting(row.pid) && row.pid != dump.pid || passed_over && crate::procs::is_exiting(row.pid)
        };
        let tabled = |row: TableRow| Tabled {
            exiting: exiting(&row),
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
            asker: dump.asker.map(|(thread, name)| {
                let host_pid = process_of(thread).unwrap_or(thread);
                Asker { host_pid, pid: self.pid_inside(host_pid), name }
            }),
            usage: dump.stood.map(|(usage, ..)| usage),
            limit: dump.stood.map(|(_, limit, _)| limit),
            limit_hits: dump.stood.map(|(.., hits)| hits),
            table: rows.into_iter().map(tabled).collect(),
            left_out,
            charged,
        }
    }
}

/// What the usage of the group whose limit was met consisted of, by the dump's `memory.stat`; `None` where that was not printed.
fn charged(controller: Controller, dump: &Dump) -> Option<Charged> {
    let get = |key: &str| dump.stat.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    if dump.stat.is_empty() || matches!(dump.constraint, Constraint::Machine) {
        return None;
    }
    Some(match controller {
        Controller::V1 => {
            let shmem = get("total_shmem");
            let cache = get("total_cache");
            Charged {
                anon: get("total_rss"),
                shmem,
                file: cache.map(|cache| cache.saturating_sub(shmem.unwrap_or(0))),
                unwritten: get("total_dirty").map(|n| n.saturating_add(get("total_writeback").unwrap_or(0))),
                kernel: dump.kernel_memory,
                ..Charged::default()
            }
        }
        Controller::V2 => {
            let shmem = get("shmem");
            let (reclaimable, unreclaimable) = (get("slab_reclaimable"), get("slab_unreclaimable"));
            // `kernel` is 5.18; before, its parts were printed and not their sum.
            let parts = ["kernel_stack", "pagetables", "percpu"].into_iter().filter_map(get);
            let parts = parts.chain(reclaimable).chain(unreclaimable).reduce(u64::saturating_add);
            Charged {
                anon: get("anon"),
                shmem,
                file: get("file").map(|file| file.saturating_sub(shmem.unwrap_or(0))),
                unwritten: get("file_dirty").map(|n| n.saturating_add(get("file_writeback").unwrap_or(0))),
                kernel: get("kernel").or(parts),
                sock: get("sock"),
                page_tables: get("pagetables"),
                stacks: get("kernel_stack"),
                slab_reclaimable: reclaimable,
                slab_unreclaimable: unreclaimable,
            }
        }
    })
}

/// Whether a group lies below another one.
fn is_in(group: &str, parent: &str) -> bool {
    group.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

/// The process of a thread, by its own word (`Tgid` in /proc/PID/status), while it is there.
fn process_of(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// Whether a process is in this group, or below it, in any hierarchy; `None` when it is gone. One that was killed and not reaped yet says it still.
fn is_member(pid: i32, group: &str) -> Option<bool> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    Some(text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(|of| of == group || is_in(of, group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_without_a_name_is_given_up_and_lends_its_place_to_no_other_line() {
        let (start, mut unclaimed) = (Instant::now(), Unclaimed::default());
        let after = |ms| start + Duration::from_millis(ms);
        unclaimed.count(start, 2);
        assert_eq!(unclaimed.nameless.len(), 2);
        unclaimed.name();
        assert_eq!(unclaimed.nameless.len(), 1);
        unclaimed.count(after(1001), 2);
        assert_eq!(unclaimed.nameless.len(), 0, "its line is lost");
        // A name that comes before its kill is counted is that one's, too.
        unclaimed.name();
        unclaimed.count(after(1002), 3);
        assert_eq!(unclaimed.nameless.len(), 0);
        unclaimed.count(after(1003), 4);
        assert_eq!(unclaimed.nameless.len(), 1);
    }
}
