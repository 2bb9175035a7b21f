//! A dump of the OOM killer, put together from its lines: who asked for memory, how the group stood, who stood in it, who was chosen. Pure.
//!
//! One dump is printed at a time (the kernel holds `oom_lock`), but other lines come between its own. Refuses: to guess what a dump lacks.

use super::record::{Constraint, Killed, Line, place, read, unescaped};

/// The most rows of a table that are kept: one of a group has a handful, the machine's thousands.
const ROWS: usize = 4096;

/// The most lines of `memory.stat` that are kept: kernels print some sixty.
const STAT_LINES: usize = 256;

/// The kernel prints who is killed right after whom it chose, and the others of a group kill right after that: what comes later, in microseconds by its
/// own stamps, belongs to another kill. A slow console takes a millisecond a line.
const SAME_KILL: u64 = 1_000_000;
const SAME_GROUP_KILL: u64 = 200_000;

/// What a kernel that has another one ready for a crash prints after the asker's name (`dump_stack_print_info` in lib/dump_stack.c).
const KDUMP: &str = " Kdump: loaded";

/// What the kernel's log says about the OOM killer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This process is about to be killed (the rate-limited dump).
    Chosen(Dump),
    /// This process was killed.
    Killed(Killed),
}

/// A dump. Sizes in bytes, pids those of the initial namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Who was chosen.
    pub pid: i32,
    /// Its group, as a path below the hierarchy's mount.
    pub group: String,
    /// Whose lack of memory it was.
    pub constraint: Constraint,
    /// Who asked for the memory that was not there, and its name.
    pub asker: Option<(i32, String)>,
    /// What was charged to the group whose limit was met, that limit, and how often it had been met.
    pub stood: Option<(u64, u64, u64)>,
    /// The processes that could be chosen.
    pub table: Vec<TableRow>,
    /// `memory.stat` of the group whose limit was met: keys and values.
    pub stat: Vec<(String, u64)>,
    /// What v1 counts of the kernel's own memory there, in bytes.
    pub kernel_memory: Option<u64>,
}

impl Default for Dump {
    fn default() -> Dump {
        Dump {
            pid: 0,
            group: String::new(),
            constraint: Constraint::Machine,
            asker: None,
            stood: None,
            table: Vec::new(),
            stat: Vec::new(),
            kernel_memory: None,
        }
    }
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
    /// Whether `memory.stat` is being printed.
    in_stat: bool,
    /// The number of the newest record.
    newest: Option<u64>,
    /// Who was chosen last, until it is said to be killed: then a thread of it may be named, one that still has its memory.
    chosen: Option<Chosen>,
    /// Who was killed last, and whether others are killed with it.
    killed: Option<KilledLast>,
}

struct Chosen {
    pid: i32,
    name: String,
    at: u64,
}

struct KilledLast {
    /// The process, and the pid that was printed: that of a thread, now and then.
    pid: i32,
    printed: i32,
    at: u64,
    group_kill: bool,
}

impl Listener {
    /// Takes in a record; what is complete with it.
    pub fn hear(&mut self, record: &[u8]) -> Option<Said> {
        let (number, at) = place(record)?;
        if self.newest.is_some_and(|newest| number > newest.saturating_add(1)) {
            // Records were overwritten before they were read: what was begun has no end.
            *self = Listener::default();
        }
        self.newest = Some(number);
        let line = read(record)?;
        if !matches!(line, Line::Stat(_)) {
            self.in_stat = matches!(line, Line::StatBegins);
        }
        match line {
            Line::Invoked { name } => {
                let newest = self.newest;
                *self = Listener { dump: Some(Dump::default()), invoked: Some(name), newest, ..Listener::default() };
            }
            Line::Asker { pid, name } => {
                if let Some(dump) = self.dump.as_mut().filter(|dump| dump.asker.is_none())
                    && let Some(invoked) = &self.invoked
                    && (name == *invoked || name.strip_suffix(KDUMP) == Some(invoked))
                {
                    dump.asker = Some((pid, invoked.clone()));
                }
            }
            Line::Usage { usage, limit, hits } => {
                if let Some(dump) = &mut self.dump {
                    dump.stood = Some((usage, limit, hits));
                }
            }
            Line::KernelMemory(bytes) => {
                if let Some(dump) = &mut self.dump {
                    dump.kernel_memory = Some(bytes);
                }
            }
            Line::StatBegins => {}
            Line::Stat(pairs) => {
                if let Some(dump) = self.dump.as_mut().filter(|_| self.in_stat) {
                    dump.stat.extend(pairs.into_iter().take(STAT_LINES.saturating_sub(dump.stat.len())));
                }
            }
            Line::Header(columns) => self.columns = columns,
            Line::Row(text) => {
                if let Some(dump) = self.dump.as_mut().filter(|dump| dump.table.len() < ROWS) {
                    dump.table.extend(row(&self.columns, &text));
                }
            }
            Line::Chosen { pid, name, constraint, group } => {
                let dump = self.dump.take().unwrap_or_default();
                (self.chosen, self.killed) = (Some(Chosen { pid, name, at }), None);
                return Some(Said::Chosen(Dump { pid, group, constraint, ..dump }));
            }
            Line::Skipped => self.chosen = None,
            Line::GroupKill => {
                if let Some(killed) = self.killed.as_mut().filter(|killed| at.saturating_sub(killed.at) <= SAME_KILL) {
                    (killed.group_kill, killed.at) = (true, at);
                }
            }
            Line::Killed(killed) => {
                return Some(Said::Killed(Killed { printed_us: at, ..self.killed(killed, at) }));
            }
        }
        None
    }

    /// Whose kill that is: the chosen one's, that of another one of its group, or one of its own.
    fn killed(&mut self, killed: Killed, at: u64) -> Killed {
        self.dump = None;
        if let Some(last) = &mut self.killed
            && last.group_kill
            && self.chosen.is_none()
            && at.saturating_sub(last.at) <= SAME_GROUP_KILL
        {
            last.at = at;
            let pid = if killed.pid == last.printed { last.pid } else { killed.pid };
            return Killed { pid, killed_with: Some(last.pid), ..killed };
        }
        // The line of the one that was chosen may be lost, or never printed: another one does not get its pid.
        let agrees = |chosen: &Chosen| {
            let near = at.saturating_sub(chosen.at) <= SAME_KILL;
            chosen.pid == killed.pid || chosen.name == killed.name && near
        };
        let pid = self.chosen.take().filter(agrees).map_or(killed.pid, |chosen| chosen.pid);
        self.killed = Some(KilledLast { pid, printed: killed.pid, at, group_kill: false });
        Killed { pid, ..killed }
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
4,2,2,-;CPU: 0 UID: 0 PID: 14882 Comm: a ) b Not tainted 6.18.44 #1 PREEMPT(none) 
4,3,3,-;Call Trace:
6,4,4,-;memory: usage 102400kB, limit 102400kB, failcnt 31
6,5,5,-;memory+swap: usage 102400kB, limit 9007199254740988kB, failcnt 0
6,6,6,-;kmem: usage 236kB, limit 9007199254740988kB, failcnt 0
6,7,7,-;usb 1-1: new device
6,8,8,-;Memory cgroup stats for /sandtop/14876:
6,9,9,-;total_rss 66867200
6,10,10,-;Tasks state (memory values in pages):
6,11,11,-;[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name
6,12,12,-;[  14881]     0 14881      846      463        0      463         0    53248        7             0 stress
6,13,13,-;[  14882]     0 14882    52047    25507    25440       67         0   266240        0           -17 a ) b
6,14,14,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/sandtop/14876,task_memcg=/sandtop/14876/leaf,task=a ) b,pid=14882,uid=0
3,15,15,-;Memory cgroup out of memory: Killed process 14882 (a ) b) total-vm:208188kB, anon-rss:101760kB, file-rss:268kB, shmem-rss:0kB, UID:0 pgtables:260kB oom_score_adj:-17";

    fn heard(text: &str) -> Vec<Said> {
        let mut listener = Listener::default();
        text.lines().filter_map(|line| listener.hear(line.as_bytes())).collect()
    }

    #[test]
    fn one_that_ended_before_it_was_killed_lends_its_pid_to_nobody() {
        // Of the next kill the kernel prints no dump: they are rate-limited.
        let chosen = DUMP.lines().nth(13).unwrap();
        let next = "3,16,16,-;Memory cgroup out of memory: Killed process 99 (other) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
        for between in [
            "6,15,15,-;Memory cgroup out of memory: OOM victim 14882 (a ) b) is already exiting. Skip killing the task",
            "4,15,15,-;x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
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
        assert_eq!(dump.constraint, Constraint::Group { group: "/sandtop/14876".into() });
        assert_eq!(
            (dump.kernel_memory, &dump.stat[..]),
            (Some(236 << 10), &[("total_rss".to_string(), 66_867_200)][..])
        );
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
        let end: Vec<&str> = DUMP.lines().skip(13).collect();
        let said = heard(&end.join("\n"));
        let [Said::Chosen(dump), Said::Killed(_)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((dump.pid, dump.asker.as_ref(), dump.table.len()), (14882, None, 0));
        // Lines out of place are of no dump.
        assert_eq!(heard("6,1,1,-;[  5]  0 5 1 1 x\n6,1,1,-;memory: usage 1kB, limit 1kB, failcnt 1"), []);
    }

    /// The dump with a line in the place of another, by what it begins with.
    fn with(begin: &str, line: &str) -> String {
        let replaced = |old: &str| {
            let (prefix, text) = old.split_once(';').expect("a record");
            if text.starts_with(begin) { format!("{prefix};{line}") } else { old.to_string() }
        };
        DUMP.lines().map(replaced).collect::<Vec<_>>().join("\n")
    }

    fn killed_line(number: u64, at: u64, pid: i32, name: &str) -> String {
        format!(
            "3,{number},{at},-;Memory cgroup out of memory: Killed process {pid} ({name}) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0"
        )
    }

    #[test]
    fn a_line_that_was_lost_lends_its_pid_to_no_other_kill() {
        let chosen: Vec<&str> = DUMP.lines().take(14).collect();
        let dumped = chosen.join("\n");
        // The same name: a gap in the numbers tells, or a second. Another name tells by itself.
        for next in [
            killed_line(16, 15, 99, "a ) b"),
            killed_line(15, 3_000_000, 99, "a ) b"),
            killed_line(15, 15, 99, "other"),
        ] {
            let said = heard(&[dumped.clone(), next].join("\n"));
            assert!(matches!(said.last(), Some(Said::Killed(killed)) if killed.pid == 99), "{said:?}");
        }
        // A dump whose end was overwritten is nobody's.
        let cut: Vec<&str> = DUMP.lines().take(8).chain(DUMP.lines().skip(12)).collect();
        let said = heard(&cut.join("\n"));
        let [Said::Chosen(dump), Said::Killed(killed)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((dump.pid, &dump.asker, dump.stood, killed.pid), (14882, &None, None, 14882));
    }

    #[test]
    fn the_asker_is_known_where_a_crash_kernel_is_loaded() {
        let cpu = "CPU: 0 UID: 0 PID: 14882 Comm: a ) b Kdump: loaded Not tainted 6.18.44 #1";
        assert_eq!(heard(&with("CPU:", cpu)), heard(DUMP));
        // A name can be just that.
        let named = with("CPU:", "CPU: 0 PID: 7 Comm: x Kdump: loaded Tainted: G 6.1 #1");
        let named = named.replace("a ) b invoked", "x Kdump: loaded invoked");
        let [Said::Chosen(dump), _] = &heard(&named)[..] else { panic!("{named}") };
        assert_eq!(dump.asker, Some((7, "x Kdump: loaded".into())));
    }

    #[test]
    fn who_goes_with_the_chosen_one_is_told_apart_from_the_next_kill() {
        // Chosen by a thread of it, which is printed twice.
        let group = "6,16,16,-;Tasks in /sandtop/14876 are going to be killed due to memory.oom.group set";
        let thread = DUMP.replace("Killed process 14882", "Killed process 14890");
        let lines = [
            thread,
            group.into(),
            killed_line(17, 17, 14881, "stress"),
            killed_line(18, 18, 14890, "a ) b"),
            killed_line(19, 900_000, 14900, "later"),
        ];
        let said = heard(&lines.join("\n"));
        let killed: Vec<(i32, Option<i32>)> = said
            .iter()
            .filter_map(|said| match said {
                Said::Killed(killed) => Some((killed.pid, killed.killed_with)),
                Said::Chosen(_) => None,
            })
            .collect();
        assert_eq!(killed, [(14882, None), (14881, Some(14882)), (14882, Some(14882)), (14900, None)]);
    }
}
