//! What the kernel's log says of kills in the sandbox, told as events; and who else may have killed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{live::Live, outbox::Outbox};
use crate::{
    cgroup::{self, Detail},
    event::{Asker, Charged, Event, Killer, Note, OomDump, Sample, Scope, Status, Tabled, Victim},
    oom::{Constraint, Dump, KernelLog, Killed, Said, TableRow},
    units::page_size,
};

/// How many rows of the kernel's table are told: those it would take first.
const TABLED: usize = 32;

/// A kill that was counted is printed after this at the latest, on a machine that has time for it; and on any other. Until then a line that is read
/// may be another group's, and ours be on its way.
const PRINTED: Duration = Duration::from_millis(20);
const TOGETHER: Duration = Duration::from_millis(200);

/// A line that nobody has claimed for so long is nobody's here, and a kill that has no name by then gets none.
const LOST: Duration = Duration::from_secs(1);

/// How many kills without a name are remembered at most.
const NAMELESS: usize = 1000;

/// How often log and counter are read again, where kill follows kill.
const AGAIN: usize = 8;

/// Who was killed, as far as it may be about us.
enum Line {
    /// Surely ours.
    Ours(Killed),
    /// Gone, and never seen.
    Unknown(Killed),
}

/// Kills in the kernel's log whose victims were never seen in the sandbox: who lives for a few milliseconds only is not. They may be of another group.
///
/// The kernel counts and prints one kill at a time (`oom_lock`): what was counted between two readings of log and counter was printed between them.
#[derive(Default)]
pub struct Unclaimed {
    /// How many kills were counted when the counter was read last.
    counted: u64,
    /// Kills whose line was not read yet: when each was counted.
    nameless: VecDeque<Instant>,
    /// Names that came before their kill was counted.
    ahead: u64,
    /// What was read together, the oldest first.
    groups: Vec<Group>,
    /// Whom the kernel chose last, where that was in another group.
    elsewhere: Option<i32>,
}

/// Lines that were read together, of victims that nobody knows, and how many of those are ours.
struct Group {
    at: Instant,
    lines: Vec<Killed>,
    ours: usize,
}

impl Unclaimed {
    /// Takes in the counter. A kill whose line did not come in time is given up: the next line that nobody claims is not its own.
    fn count(&mut self, now: Instant, kills: u64) {
        let new = kills.saturating_sub(self.counted);
        self.counted = self.counted.max(kills);
        let named = new.min(self.ahead);
        self.ahead -= named;
        self.nameless.extend((named..new).take(NAMELESS).map(|_| now));
        while self.nameless.len() > NAMELESS || self.nameless.front().is_some_and(|at| now.duration_since(*at) > LOST) {
            self.nameless.pop_front();
        }
    }

    /// Takes in what was read together: how many victims are surely ours, and those that nobody knows.
    fn read(&mut self, at: Instant, sure: usize, lines: Vec<Killed>) {
        for _ in 0..sure {
            if self.nameless.pop_back().is_some() {
                continue;
            }
            // Its kill was counted when others were read: one of those is not ours.
            match self.groups.iter_mut().rfind(|group| group.ours > 0) {
                Some(group) => group.ours -= 1,
                None => self.ahead += 1,
            }
        }
        let ours = lines.len().min(self.nameless.len());
        if ours > 0 {
            self.nameless.truncate(self.nameless.len() - ours);
            self.groups.push(Group { at, lines, ours });
        }
    }

    /// The lines that are ours, as far as that can be told by now: where of those that were read together all are. `last`: nothing more will be read.
    fn claim(&mut self, now: Instant, last: bool) -> Vec<Killed> {
        let age = |group: &Group| now.saturating_duration_since(group.at);
        self.groups.retain(|group| group.ours > 0 && age(group) < LOST);
        let all_ours = |group: &mut Group| group.lines.len() == group.ours && (last || age(group) >= PRINTED);
        self.groups.extract_if(.., all_ours).flat_map(|group| group.lines).collect()
    }

    /// Whether a line of this process waits to be claimed.
    fn waits(&self, pid: i32) -> bool {
        self.groups.iter().flat_map(|group| &group.lines).any(|line| line.pid == pid)
    }

    /// Whether it is the one that was chosen in another group, or was killed with it.
    fn is_elsewhere(&mut self, killed: &Killed) -> bool {
        let is_it = |pid: &i32| *pid == killed.pid || Some(*pid) == killed.killed_with;
        self.elsewhere = self.elsewhere.filter(is_it);
        self.elsewhere.is_some()
    }
}

impl Live {
    /// Takes the kernel's log: whom it killed, and why. A kill is counted before it is printed (`__oom_kill_process`), so that the counter, read now, has all
    /// that is read here.
    pub fn kernel_log(&mut self, log: &mut KernelLog, out: &mut Outbox) {
        let mut said = log.drain();
        let is_kill = |said: &Said| matches!(said, Said::Killed(_));
        if said.iter().any(is_kill) {
            // What is read is what was counted, once nothing comes while the counter is read.
            let mut read: Option<Sample> = None;
            for _ in 0..AGAIN {
                let Ok(sample) = self.group.sample(Detail::Full) else { break };
                // What one reading tells, the next does not tell again: the highest usage since,
                // and other news.
                let sample = read.take().into_iter().fold(sample, Sample::after);
                let (counted, more) = (sample.oom_kills.unwrap_or(0), log.drain());
                let is_all = !more.iter().any(is_kill);
                said.extend(more);
                read = Some(sample);
                if is_all {
                    self.unclaimed.count(Instant::now(), counted);
                    break;
                }
            }
            if let Some(sample) = read {
                out.push(Event::Sample(sample)); // what follows from it waits for the next one
            }
        }
        let group = self.group.path();
        let (mut sure, mut unknown, mut dumps) = (Vec::new(), Vec::new(), Vec::new());
        for said in said {
            match said {
                Said::Chosen(dump) if is_in(&dump.group, &group) => {
                    self.ours.add(dump.pid);
                    self.unclaimed.elsewhere = None;
                    dumps.push(self.dump(dump, &group));
                }
                Said::Chosen(dump) => self.unclaimed.elsewhere = Some(dump.pid),
                Said::Killed(killed) if self.unclaimed.is_elsewhere(&killed) => {}
                Said::Killed(killed) => match self.whose(killed, &group) {
                    Some(Line::Ours(killed)) => sure.push(killed),
                    Some(Line::Unknown(killed)) => unknown.push(killed),
                    None => {}
                },
            }
        }
        self.unclaimed.read(Instant::now(), sure.len(), unknown);
        for killed in sure {
            if let Some(place) = dumps.iter().position(|dump| dump.host_pid == killed.pid) {
                dumps.drain(..=place).for_each(|dump| out.push(Event::OomDump(Box::new(dump))));
            }
            self.named(killed, false, out);
        }
        dumps.into_iter().for_each(|dump| out.push(Event::OomDump(Box::new(dump))));
    }

    /// Whose the victim is: known to us, or still there to be asked; `None` for another group's.
    fn whose(&mut self, mut killed: Killed, group: &str) -> Option<Line> {
        if killed.killed_with == Some(killed.pid) {
            // The chosen one once more: whose it is was found out the first time.
            return match self.ours.was_taken(killed.pid) {
                true => Some(Line::Ours(killed)),
                false => self.unclaimed.waits(killed.pid).then_some(Line::Unknown(killed)),
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

    /// Takes victims for ours that we never saw and that are gone, where our counter says so. One that held more than may be held here is none of ours.
    pub(super) fn claim(&mut self, now: Instant, last: bool, out: &mut Outbox) {
        for killed in self.unclaimed.claim(now, last) {
            self.named(killed, true, out);
        }
    }

    /// At the end: a kill is counted before it is printed, whoever is killed may be interrupted between the two, and what is printed can be read only
    /// when all that came before it is complete (`prb_read_valid`).
    pub(super) fn last_words(&mut self, log: &mut KernelLog, out: &mut Outbox) {
        let until = Instant::now() + TOGETHER;
        self.unclaimed.count(Instant::now(), self.kills());
        while !self.unclaimed.nameless.is_empty() && Instant::now() < until {
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
        let charged = charged(&dump);
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
fn charged(dump: &Dump) -> Option<Charged> {
    let get = |key: &str| dump.stat.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    if dump.stat.is_empty() || matches!(dump.constraint, Constraint::Machine) {
        return None;
    }
    // Before 6.6 the keys are v2's on either controller (`mem_cgroup_print_oom_meminfo` in mm/memcontrol.c).
    let has_keys_of_v1 = get("total_rss").or(get("total_cache")).is_some();
    Some(match has_keys_of_v1 {
        true => {
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
        false => {
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
                kernel: get("kernel").or(dump.kernel_memory).or(parts),
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

    fn line(pid: i32) -> Killed {
        let text = format!(
            "{pid} (x) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0"
        );
        let record = format!("3,1,1,-;Memory cgroup out of memory: Killed process {text}");
        let mut listener = crate::oom::Listener::default();
        let Some(Said::Killed(killed)) = listener.hear(record.as_bytes()) else { panic!("{record}") };
        killed
    }

    fn claimed(unclaimed: &mut Unclaimed, now: Instant) -> Vec<i32> {
        unclaimed.claim(now, false).into_iter().map(|killed| killed.pid).collect()
    }

    #[test]
    fn lines_that_nobody_knows_are_ours_as_far_as_the_counter_says_so() {
        let (start, mut unclaimed) = (Instant::now(), Unclaimed::default());
        let after = |ms| start + Duration::from_millis(ms);
        // Another group's: nothing was counted.
        unclaimed.read(start, 0, vec![line(9)]);
        // Ours, whatever else is read later.
        unclaimed.count(after(1), 1);
        unclaimed.read(after(1), 0, vec![line(1)]);
        unclaimed.read(after(2), 0, vec![line(9)]);
        assert_eq!(claimed(&mut unclaimed, after(3)), [0; 0], "ours may be on its way");
        assert_eq!(claimed(&mut unclaimed, after(30)), [1]);
        // Of two one is ours, and nothing says which: neither is taken, and nothing that comes later either.
        unclaimed.count(after(40), 2);
        unclaimed.read(after(40), 0, vec![line(2), line(9)]);
        assert_eq!(claimed(&mut unclaimed, after(100)), [0; 0]);
        unclaimed.read(after(200), 0, vec![line(9)]);
        assert_eq!(claimed(&mut unclaimed, after(300)), [0; 0]);
        // The line of ours comes late: the one before it was another group's.
        unclaimed.count(after(400), 3);
        unclaimed.read(after(400), 0, vec![line(9)]);
        unclaimed.read(after(410), 1, vec![]);
        assert_eq!(claimed(&mut unclaimed, after(500)), [0; 0]);
    }

    #[test]
    fn a_kill_without_a_name_is_given_up_and_lends_its_place_to_no_other_line() {
        let (start, mut unclaimed) = (Instant::now(), Unclaimed::default());
        let after = |ms| start + Duration::from_millis(ms);
        unclaimed.count(start, 2);
        assert_eq!(unclaimed.nameless.len(), 2);
        unclaimed.read(start, 1, vec![]);
        assert_eq!(unclaimed.nameless.len(), 1);
        unclaimed.count(after(1001), 2);
        assert_eq!(unclaimed.nameless.len(), 0, "its line is lost");
        // A name that comes before its kill is counted is that one's, too.
        unclaimed.read(after(1001), 1, vec![]);
        unclaimed.count(after(1002), 3);
        assert_eq!(unclaimed.nameless.len(), 0);
        unclaimed.count(after(1003), 4);
        assert_eq!(unclaimed.nameless.len(), 1);
    }

    #[test]
    fn what_was_charged_is_read_by_the_keys_that_the_kernel_prints() {
        let dump = |stat: &[(&str, u64)]| {
            let stat = stat.iter().map(|(key, value)| ((*key).to_string(), *value)).collect();
            let constraint = Constraint::Group { group: "/x".into() };
            charged(&Dump { stat, constraint, kernel_memory: Some(7), ..Dump::default() }).expect("numbers")
        };
        // v1 from 6.6 on; v1 of 6.1, which prints v2's keys.
        let new = dump(&[("total_rss", 5), ("total_cache", 9), ("total_shmem", 4)]);
        let old = dump(&[("anon", 5), ("file", 9), ("shmem", 4)]);
        for told in [new, old] {
            assert_eq!((told.anon, told.shmem, told.file, told.kernel), (Some(5), Some(4), Some(5), Some(7)));
        }
    }
}
