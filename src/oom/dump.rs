//! A dump of the OOM killer, put together from its lines: who asked for memory, how the group stood, who stood in it, who was chosen. Pure.
//!
//! One dump is printed at a time (the kernel holds `oom_lock`), but other lines come between its own. Refuses: to guess what a dump lacks.

use super::record::{Killed, Line, read, unescaped};

/// The most rows of a table that are kept: one of a group has a handful, the machine's thousands.
const ROWS: usize = 4096;

/// What the kernel's log says about the OOM killer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This process is about to be killed (the rate-limited dump).
    Chosen(Dump),
    /// This process was killed.
    Killed(Killed),
}

/// A dump. Sizes in bytes, pids those of the initial namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Who was chosen.
    pub pid: i32,
    /// Its group, as a path below the hierarchy's mount.
    pub group: String,
    /// The group whose limit was met; `None` where the machine had run out.
    pub limited: Option<String>,
    /// Who asked for the memory that was not there, and its name.
    pub asker: Option<(i32, String)>,
    /// What was charged to the group whose limit was met, that limit, and how often it had been met.
    pub stood: Option<(u64, u64, u64)>,
    /// The processes that could be chosen.
    pub table: Vec<TableRow>,
}

/// A process in a dump's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRow {
    /// The pid.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Resident, in pages.
    pub rss: u64,
    /// Its page tables, in bytes.
    pub page_tables: u64,
    /// Swapped out, in pages.
    pub swap: u64,
    /// How readily it is taken.
    pub oom_score_adj: i32,
}

/// Hears the log record by record.
#[derive(Default)]
pub struct Listener {
    dump: Option<Dump>,
    columns: Vec<String>,
    invoked: Option<String>,
    /// Who was chosen last, until it is said to be killed: then a thread of it may be named, one that still has its memory.
    chosen: Option<i32>,
}

impl Listener {
    /// Takes in a record; what is complete with it.
    pub fn hear(&mut self, record: &[u8]) -> Option<Said> {
        match read(record)? {
            Line::Invoked { name } => {
                (self.dump, self.chosen) = (Some(Dump::default()), None);
                (self.columns, self.invoked) = (Vec::new(), Some(name));
            }
            Line::Asker { pid, name } => {
                if let Some(dump) = self.dump.as_mut().filter(|dump| dump.asker.is_none())
                    && self.invoked.as_ref() == Some(&name)
                {
                    dump.asker = Some((pid, name));
                }
            }
            Line::Usage { usage, limit, hits } => {
                if let Some(dump) = &mut self.dump {
                    dump.stood = Some((usage, limit, hits));
                }
            }
            Line::Header(columns) => self.columns = columns,
            Line::Row(text) => {
                if let Some(dump) = self.dump.as_mut().filter(|dump| dump.table.len() < ROWS) {
                    dump.table.extend(row(&self.columns, &text));
                }
            }
            Line::Chosen { pid, limited, group } => {
                let dump = self.dump.take().unwrap_or_default();
                self.chosen = Some(pid);
                return Some(Said::Chosen(Dump { pid, group, limited, ..dump }));
            }
            Line::Skipped => self.chosen = None,
            Line::Killed(killed) => {
                self.dump = None;
                let pid = self.chosen.take().unwrap_or(killed.pid);
                return Some(Said::Killed(Killed { pid, ..killed }));
            }
        }
        None
    }
}

/// A row by its header: kernels differ in the columns. The name is last, and may hold spaces.
fn row(columns: &[String], text: &str) -> Option<TableRow> {
    let (pid, mut rest) = text.strip_prefix('[')?.split_once(']')?;
    let mut row = TableRow { pid: pid.trim().parse().ok()?, ..TableRow::default() };
    let (last, numbers) = columns.split_last()?;
    for column in numbers {
        let (value, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        match column.as_str() {
            // The first column is a thread of it, where the process has lost its first one.
            "tgid" => row.pid = value.parse().ok()?,
            "rss" => row.rss = value.parse().ok()?,
            "pgtables_bytes" => row.page_tables = value.parse().ok()?,
            "swapents" => row.swap = value.parse().ok()?,
            "oom_score_adj" => row.oom_score_adj = value.parse().ok()?,
            _ => {}
        }
    }
    // One space stands between the last number and the name; the name's own are kept.
    row.name = (last == "name").then(|| unescaped(rest))?;
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 6.18 prints it (v1), with another line between.
    const DUMP: &str = "\
4,1,1,-;a ) b invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
4,2,1,-;CPU: 0 UID: 0 PID: 14882 Comm: a ) b Not tainted 6.18.44 #1 PREEMPT(none) 
4,3,1,-;Call Trace:
6,4,1,-;memory: usage 102400kB, limit 102400kB, failcnt 31
6,5,1,-;memory+swap: usage 102400kB, limit 9007199254740988kB, failcnt 0
6,6,1,-;usb 1-1: new device
6,7,1,-;Memory cgroup stats for /sandtop/14876:
6,8,1,-;Tasks state (memory values in pages):
6,9,1,-;[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name
6,10,1,-;[  14881]     0 14881      846      463        0      463         0    53248        7             0 stress
6,11,1,-;[  14882]     0 14882    52047    25507    25440       67         0   266240        0           -17 a ) b
6,12,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/sandtop/14876,task_memcg=/sandtop/14876/leaf,task=a ) b,pid=14882,uid=0
3,13,1,-;Memory cgroup out of memory: Killed process 14882 (a ) b) total-vm:208188kB, anon-rss:101760kB, file-rss:268kB, shmem-rss:0kB, UID:0 pgtables:260kB oom_score_adj:-17";

    fn heard(text: &str) -> Vec<Said> {
        let mut listener = Listener::default();
        text.lines().filter_map(|line| listener.hear(line.as_bytes())).collect()
    }

    #[test]
    fn one_that_ended_before_it_was_killed_lends_its_pid_to_nobody() {
        // Of the next kill the kernel prints no dump: they are rate-limited.
        let chosen = DUMP.lines().nth(11).unwrap();
        let next = "3,15,1,-;Memory cgroup out of memory: Killed process 99 (other) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
        for between in [
            "6,14,1,-;Memory cgroup out of memory: OOM victim 14882 (a ) b) is already exiting. Skip killing the task",
            "4,14,1,-;x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        ] {
            let said = heard(&[chosen, between, next].join("\n"));
            assert!(matches!(said.last(), Some(Said::Killed(killed)) if killed.pid == 99), "{said:?}");
        }
    }

    #[test]
    fn a_dump_says_who_asked_how_it_stood_and_who_stood_there() {
        let said = heard(DUMP);
        let [Said::Chosen(dump), Said::Killed(killed)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((dump.pid, dump.group.as_str()), (14882, "/sandtop/14876/leaf"));
        assert_eq!(dump.limited.as_deref(), Some("/sandtop/14876"));
        assert_eq!(dump.asker, Some((14882, "a ) b".into())));
        assert_eq!(dump.stood, Some((100 << 20, 100 << 20, 31)));
        let stress =
            TableRow { pid: 14881, name: "stress".into(), rss: 463, page_tables: 53248, swap: 7, oom_score_adj: 0 };
        let chosen = TableRow {
            pid: 14882,
            name: "a ) b".into(),
            rss: 25507,
            page_tables: 266_240,
            swap: 0,
            oom_score_adj: -17,
        };
        assert_eq!(dump.table, [stress, chosen]);
        assert_eq!((killed.pid, killed.name.as_str()), (14882, "a ) b"));
    }

    #[test]
    fn the_columns_of_an_older_kernel_are_read_by_their_names() {
        let older = DUMP
            .replace(" rss_anon rss_file rss_shmem", "")
            .replace("      463        0      463         0 ", "      463 ")
            .replace("    25507    25440       67         0 ", "    25507 ");
        assert_eq!(heard(&older), heard(DUMP));
    }

    #[test]
    fn a_thread_that_is_named_in_place_of_the_chosen_process_is_that_process() {
        let thread = DUMP.replace("Killed process 14882", "Killed process 14890");
        let said = heard(&thread);
        let [Said::Chosen(dump), Said::Killed(killed)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((dump.pid, killed.pid), (14882, 14882));
    }

    #[test]
    fn a_dump_without_its_beginning_says_what_is_left_of_it() {
        let end: Vec<&str> = DUMP.lines().skip(11).collect();
        let said = heard(&end.join("\n"));
        let [Said::Chosen(dump), Said::Killed(_)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((dump.pid, dump.asker.as_ref(), dump.table.len()), (14882, None, 0));
        // Lines out of place are of no dump.
        assert_eq!(heard("6,1,1,-;[  5]  0 5 1 1 x\n6,1,1,-;memory: usage 1kB, limit 1kB, failcnt 1"), []);
    }
}
