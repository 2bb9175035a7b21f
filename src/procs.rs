//! The sandbox's processes, read from /proc with kept descriptors.
//!
//! `statm` of every process at every sweep; `stat`, three times as dear, only of the young and the large, and of the others in turn, and with some
//! of these looks `oom_score_adj`; `status` (`weighed.rs`) when a process's size has moved. A kept descriptor of /proc/PID answers ESRCH once the
//! process is reaped, never with a later process of the same pid.

use std::{
    cell::LazyCell,
    collections::HashMap,
    fs::File,
    io::{Cursor, Read, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::PathBuf,
};

use procfs::FromRead;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{
    error::{Error, Result},
    event::{COMMAND_LENGTH, Process, ProcessChanges, ProcessUsage},
    heap,
    units::page_size,
};

pub mod code;
mod weighed;

use weighed::{Status, has_moved, oom_score_adj};

/// Sweeps in which a process counts as young: it may still exec, and is looked at each time.
const YOUNG: u32 = 20;

/// What moves with the size of a process is read once in so many looks at `stat` all the same.
const RARELY: u32 = 16;

/// What a process itself, or its parent, sets while it is young is read later once in so many looks at `stat`.
const NOW_AND_THEN: u32 = 4;

/// How many of the largest are looked at each time.
const LARGEST: usize = 8;

/// Processes that are read through kept descriptors at most; those of more are opened each time.
const KEPT: u64 = 4000;

/// Descriptors that processes leave for everything else: without one for a group's list nobody would be known to have died.
const RESERVED: u64 = 256;

/// How many handles are open at once while many are sent a signal.
const HANDLES: usize = 100;

/// How many processes can be read through kept descriptors, two each, by who may have so many open.
pub fn kept(open_files: u64) -> usize {
    (open_files.saturating_sub(RESERVED) / 2).min(KEPT) as usize
}

/// A process's flag that it is exiting (include/linux/sched.h).
const PF_EXITING: u32 = 0x4;

struct Known {
    statm: Option<File>,
    stat: Option<File>,
    row: Process,
    sweeps: u32,
    /// How often its `stat` was read.
    looks: u32,
    /// How much more than `statm` the kernel's own count of its memory was when that was read, in bytes.
    counted: i64,
    /// How large it was when its `status` was read, in bytes.
    weighed_at: u64,
    /// Whether it is to be looked at whole at the next sweep, whose turn it is not.
    due: bool,
}

/// The pid inside the sandbox of a process that nobody has looked at yet, while it is there (a zombie is).
pub fn pid_inside(host_pid: i32) -> Option<i32> {
    Status::read(host_pid)?.pid
}

/// Whether a process is exiting, or is gone already.
pub fn is_exiting(host_pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{host_pid}/stat")).ok();
    let stat = stat.and_then(|stat| procfs::process::Stat::from_read(Cursor::new(stat)).ok());
    stat.is_none_or(|stat| stat.flags & PF_EXITING != 0)
}

/// What is known of the processes of one run.
pub struct ProcessTable {
    known: HashMap<i32, Known>,
    /// How many are read through kept descriptors.
    kept: usize,
    turn: usize,
}

impl ProcessTable {
    /// An empty one, which keeps the descriptors of at most so many processes.
    pub fn new(kept: usize) -> ProcessTable {
        ProcessTable { known: HashMap::new(), kept, turn: 0 }
    }

    /// Reads these processes and tells what is new since the last sweep. One that vanishes meanwhile has died.
    pub fn sweep(&mut self, pids: &[i32]) -> ProcessChanges {
        let mut changes = ProcessChanges::default();
        let full = self.chosen_for_stat(pids);
        for (n, pid) in pids.iter().enumerate() {
            match self.known.get_mut(pid) {
                Some(known) => match known.refresh(full[n]) {
                    None => self.forget(*pid, &mut changes),
                    Some(Moved::Nothing) => {}
                    Some(Moved::Usage) => changes.changed.push((*pid, known.row.usage)),
                    Some(Moved::Program) => changes.born.push(known.row.clone()),
                },
                None => {
                    if let Some(known) = Known::open(*pid, self.known.len() < self.kept) {
                        changes.born.push(known.row.clone());
                        self.known.insert(*pid, known);
                    }
                }
            }
        }
        let listed: std::collections::HashSet<i32> = pids.iter().copied().collect();
        let gone: Vec<i32> = self.known.keys().copied().filter(|pid| !listed.contains(pid)).collect();
        for pid in gone {
            self.forget(pid, &mut changes);
        }
        changes
    }

    /// The pid inside the sandbox of a process that is known.
    pub fn inside(&self, host_pid: i32) -> Option<i32> {
        self.known.get(&host_pid)?.row.pid
    }

    /// The same, and its name.
    pub fn who(&self, host_pid: i32) -> Option<(Option<i32>, &str)> {
        self.known.get(&host_pid).map(|known| (known.row.pid, known.row.name.as_str()))
    }

    /// Whether a process that is known was exiting when it was looked at last.
    pub fn was_exiting(&self, host_pid: i32) -> bool {
        self.known.get(&host_pid).is_some_and(|known| known.row.usage.exiting)
    }

    /// The pids outside of those that are known.
    pub fn pids(&self) -> impl Iterator<Item = i32> {
        self.known.keys().copied()
    }

    /// Sets how readily the OOM killer takes a process that is known. `listed` tells who is in the sandbox now.
    ///
    /// # Errors
    /// When it has ended, or the kernel refuses (a value below the one that it started with takes a right).
    pub fn set_oom_score_adj(&mut self, host_pid: i32, value: i32, listed: impl FnOnce() -> Vec<i32>) -> Result<()> {
        let path = PathBuf::from(format!("/proc/{host_pid}/oom_score_adj"));
        let mut file = File::options().write(true).open(&path).map_err(|e| Error::io("open", &path, e))?;
        if !self.still_lives(host_pid, &LazyCell::new(listed)) {
            return Err(ended(host_pid));
        }
        file.write_all(value.to_string().as_bytes()).map_err(|e| Error::io(&format!("write {value} to"), &path, e))?;
        if let Some(known) = self.known.get_mut(&host_pid) {
            known.due = true;
        }
        Ok(())
    }

    /// Sends a process that is known a signal. `listed` tells who is in the sandbox now.
    ///
    /// # Errors
    /// When it has ended, or the signal cannot be sent.
    pub fn signal(&self, host_pid: i32, signal: i32, listed: impl FnOnce() -> Vec<i32>) -> Result<()> {
        let signal =
            Signal::from_named_raw(signal).ok_or_else(|| Error::new(format!("there is no signal {signal}")))?;
        let handle = handle(host_pid).ok_or_else(|| ended(host_pid))?;
        if !self.still_lives(host_pid, &LazyCell::new(listed)) {
            return Err(ended(host_pid));
        }
        pidfd_send_signal(&handle, signal).map_err(|e| Error::sys("send a signal", e))
    }

    /// Sends several a signal; those that got it. `listed` is asked once for many: with thousands in it the list is long.
    pub fn signal_each(&self, host_pids: &[i32], signal: i32, listed: impl Fn() -> Vec<i32>) -> Vec<i32> {
        let Some(signal) = Signal::from_named_raw(signal) else { return Vec::new() };
        let mut sent = Vec::new();
        for some in host_pids.chunks(HANDLES) {
            let handles: Vec<_> = some.iter().filter_map(|pid| Some((*pid, handle(*pid)?))).collect();
            let listed = LazyCell::new(&listed);
            let reached = |(pid, handle): &(i32, OwnedFd)| {
                self.still_lives(*pid, &listed) && pidfd_send_signal(handle, signal).is_ok()
            };
            sent.extend(handles.iter().filter(|one| reached(one)).map(|(pid, _)| *pid));
        }
        sent
    }

    /// That what was just opened by a pid is that process and no later one of the same pid: the descriptor that was kept from its beginning
    /// says that it has not been reaped yet. Where none is kept it is at least one of the sandbox's.
    fn still_lives(&self, host_pid: i32, listed: &LazyCell<Vec<i32>, impl FnOnce() -> Vec<i32>>) -> bool {
        self.known.get(&host_pid).is_some_and(|known| match known.statm {
            Some(_) => known.read(&known.statm, "statm").is_some(),
            None => listed.contains(&host_pid),
        })
    }

    fn forget(&mut self, pid: i32, changes: &mut ProcessChanges) {
        self.known.remove(&pid);
        changes.died.push(pid);
    }

    /// Which of these get their `stat` read this time.
    fn chosen_for_stat(&mut self, pids: &[i32]) -> Vec<bool> {
        let rss = |pid: &i32| self.known.get(pid).map_or(0, |k| k.row.usage.rss);
        let mut sizes: Vec<u64> = pids.iter().map(rss).collect();
        let large = match sizes.len() > LARGEST {
            true => *sizes.select_nth_unstable_by(LARGEST, |a, b| b.cmp(a)).1,
            false => 0,
        };
        let share = (pids.len() / 10).max(LARGEST);
        let turn = self.turn;
        self.turn = if pids.is_empty() { 0 } else { (turn + share) % pids.len() };
        let in_turn = |n: usize| (n + pids.len() - turn.min(pids.len())) % pids.len() < share;
        let due = |pid: &i32| self.known.get(pid).is_none_or(|k| k.sweeps < YOUNG || k.due);
        pids.iter().enumerate().map(|(n, pid)| rss(pid) > large || in_turn(n) || due(pid)).collect()
    }
}

/// A handle of whoever has this pid now.
fn handle(host_pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(host_pid)?, PidfdFlags::empty()).ok()
}

fn ended(host_pid: i32) -> Error {
    Error::new(format!("the process {host_pid} has ended"))
}

enum Moved {
    Nothing,
    Usage,
    Program,
}

impl Known {
    fn open(pid: i32, kept: bool) -> Option<Known> {
        let keep = |name: &str| kept.then(|| File::open(format!("/proc/{pid}/{name}")).ok())?;
        let mut known = Known {
            statm: keep("statm"),
            stat: keep("stat"),
            row: Process {
                host_pid: pid,
                pid: None,
                parent: 0,
                name: String::new(),
                command: String::new(),
                heap_options: None,
                usage: ProcessUsage { state: ' ', ..ProcessUsage::default() },
            },
            sweeps: 0,
            looks: 0,
            counted: 0,
            weighed_at: 0,
            due: false,
        };
        known.refresh(true)?;
        Some(known)
    }

    /// Reads the process again; `None` when it is gone.
    fn refresh(&mut self, full: bool) -> Option<Moved> {
        let before = self.row.usage;
        self.sweeps = self.sweeps.saturating_add(1);
        let (rss, anon) = resident(&self.read(&self.statm, "statm")?)?;
        if rss == 0 && before.rss > 0 {
            return Some(Moved::Nothing); // it is dying and has given its memory back: what it held is what counts
        }
        self.row.usage.rss = rss;
        self.row.usage.anon = anon;
        let mut program = false;
        if full {
            let stat = procfs::process::Stat::from_read(Cursor::new(self.read(&self.stat, "stat")?)).ok()?;
            if stat.state == 'Z' || stat.state == 'X' {
                return None;
            }
            self.row.parent = stat.ppid;
            self.row.usage.cpu_ms = (stat.utime + stat.stime) * 1000 / procfs::ticks_per_second();
            self.row.usage.threads = u32::try_from(stat.num_threads).unwrap_or(0);
            self.row.usage.state = stat.state;
            self.row.usage.exiting = stat.flags & PF_EXITING != 0;
            self.counted = (stat.rss * page_size()).cast_signed() - rss.cast_signed();
            let command = self.command_when_due(&stat.comm);
            program = command.is_some() || stat.comm != self.row.name;
            if program {
                self.row.heap_options = match heap::reads_environment(&stat.comm) {
                    true => environment(self.row.host_pid).map(|environment| heap::options_in(&environment)),
                    false => None,
                };
                self.row.name = stat.comm;
                self.row.command = command.unwrap_or_default();
            }
        }
        self.row.usage.counted = Some(rss.saturating_add_signed(self.counted));
        self.weigh(full, program);
        Some(match program {
            true => Moved::Program,
            false if self.row.usage == before => Moved::Nothing,
            false => Moved::Usage,
        })
    }

    /// What the OOM killer weighs beside the size, where it may have moved. When it cannot be read the process is about to be gone.
    fn weigh(&mut self, full: bool, program: bool) {
        let pid = self.row.host_pid;
        let usage = &mut self.row.usage;
        let young = self.sweeps <= YOUNG || self.due || program;
        if full && (young || self.looks.is_multiple_of(NOW_AND_THEN)) {
            usage.oom_score_adj = oom_score_adj(pid).unwrap_or(usage.oom_score_adj);
        }
        let in_turn = full && self.looks.is_multiple_of(RARELY);
        if (in_turn || program || has_moved(self.weighed_at, usage.rss))
            && let Some(status) = Status::read(pid)
        {
            self.row.pid = self.row.pid.or(status.pid);
            (usage.page_tables, usage.swap) = (status.page_tables, status.swap);
            self.weighed_at = usage.rss;
        }
        self.looks = self.looks.wrapping_add(u32::from(full));
        self.due &= !full;
    }

    /// The command line, where it may have changed and did: at first, at a new name, and while young (exec keeps a name now and then).
    fn command_when_due(&self, name: &str) -> Option<String> {
        if name == self.row.name && self.sweeps > YOUNG {
            return None;
        }
        let command = command_line(self.row.host_pid);
        (command != self.row.command || name != self.row.name).then_some(command)
    }

    fn read(&self, kept: &Option<File>, name: &str) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1024];
        let n = match kept {
            Some(file) => file.read_at(&mut buffer, 0).ok()?,
            None => File::open(format!("/proc/{}/{name}", self.row.host_pid)).ok()?.read_at(&mut buffer, 0).ok()?,
        };
        buffer.truncate(n);
        (n > 0).then_some(buffer)
    }
}

/// Resident bytes, and those of them that are anonymous: the second field of `statm`, and that less the third, in pages.
fn resident(statm: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(statm).ok()?;
    let mut fields = text.split(' ').skip(1).map(|field| field.parse::<u64>());
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    let page = page_size();
    Some((resident * page, resident.saturating_sub(shared) * page))
}

/// The longest environment that is looked at, in bytes: the process itself decides how long it is.
const ENVIRONMENT: usize = 128 << 10;

/// The environment that it was started with; `None` where we may not read it, or not all of it.
fn environment(pid: i32) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(ENVIRONMENT as u64).read_to_end(&mut raw).ok()?;
    (raw.len() < ENVIRONMENT).then_some(raw)
}

fn command_line(pid: i32) -> String {
    // One bounded read: the process itself decides how long this file is, and may make it gigabytes.
    let mut raw = [0; COMMAND_LENGTH];
    let file = File::open(format!("/proc/{pid}/cmdline"));
    let n = file.and_then(|file| file.read_at(&mut raw, 0)).unwrap_or(0);
    let text = String::from_utf8_lossy(&raw[..n]);
    text.trim_end_matches('\0').replace('\0', " ").replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_am_born_once_and_a_process_that_is_not_listed_has_died() {
        let me = std::process::id() as i32;
        let mut table = ProcessTable::new(10);
        let born = table.sweep(&[me]).born;
        assert_eq!(born.len(), 1);
        let usage = born[0].usage;
        assert!(usage.rss > 0 && usage.threads > 0 && !born[0].command.is_empty());
        assert!(usage.counted.is_some_and(|n| n > 0) && usage.page_tables.is_some_and(|n| n > 0), "{usage:?}");
        assert_eq!(table.sweep(&[me]).born, []);
        assert_eq!(table.sweep(&[]).died, [me]);
    }

    #[test]
    fn a_process_that_never_was_is_a_skipped_row() {
        assert!(ProcessTable::new(10).sweep(&[i32::MAX - 1]).is_empty());
    }

    #[test]
    fn descriptors_are_kept_of_no_more_processes_than_leave_some_for_everything_else() {
        assert_eq!([0, 300, 4096, u64::MAX].map(kept), [0, 22, 1920, 4000]);
        let me = std::process::id() as i32;
        let parent = std::os::unix::process::parent_id() as i32;
        let mut table = ProcessTable::new(1);
        assert_eq!(table.sweep(&[me, parent]).born.len(), 2);
        let open = |known: &&Known| known.statm.is_some() || known.stat.is_some();
        assert_eq!(table.known.values().filter(open).count(), 1);
        assert_eq!(table.sweep(&[me]).died, [parent], "it is forgotten like the others");
    }

    #[test]
    fn one_whose_descriptors_are_not_kept_gets_signals_while_it_is_in_the_sandbox() {
        use std::{os::unix::process::ExitStatusExt, process::Command};
        let mut children = [(); 3].map(|()| Command::new("sleep").arg("60").spawn().unwrap());
        let [stranger, one, two] = [0, 1, 2].map(|n: usize| children[n].id() as i32);
        let (mut table, listed) = (ProcessTable::new(0), || vec![one, two]);
        let born = table.sweep(&[stranger, one, two]).born.len();
        let adj = [stranger, one].map(|pid| table.set_oom_score_adj(pid, 500, listed).is_ok());
        let sent = [stranger, one].map(|pid| table.signal(pid, 15, listed).is_ok());
        let rest = table.signal_each(&[stranger, two], 15, listed);
        let _ = children[0].kill();
        let ends = children.map(|mut child| child.wait().unwrap().signal());
        assert_eq!((born, adj, sent, rest), (3, [false, true], [false, true], vec![two]));
        assert_eq!(ends, [Some(9), Some(15), Some(15)]);
    }

    #[test]
    fn resident_pages_become_bytes() {
        let page = crate::units::page_size();
        assert_eq!(resident(b"18012 17652 244 1 0 17408 0\n"), Some((17652 * page, 17408 * page)));
        assert_eq!(resident(b""), None);
    }
}
