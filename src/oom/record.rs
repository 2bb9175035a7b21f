//! A record of /dev/kmsg: `priority,sequence,microseconds,flags[,…];text`, and after that lines with keys. Pure.
//!
//! The text escapes what is not printable ASCII (`\x0a`; `msg_add_ext_text` in kernel/printk/printk.c), so that a name with a line feed is one line
//! still. Names may hold anything else, and each is read from what must stand around it. Refuses: records that a program wrote (the kernel gives
//! those another facility than its own, `devkmsg_write`).

/// A kill as the kernel's log tells it (`__oom_kill_process` in mm/oom_kill.c). Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// The victim's pid in the initial pid namespace.
    pub pid: i32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Memory that it held: anonymous and shared.
    pub held: u64,
    /// The shared part of that, where the kernel tells it apart (4.5).
    pub shmem: Option<u64>,
    /// File pages that it had mapped.
    pub file: u64,
    /// Its page tables, where the kernel tells them (4.20).
    pub page_tables: Option<u64>,
    /// Its `oom_score_adj`, where the kernel tells it (5.3).
    pub oom_score_adj: Option<i32>,
    /// Whether the machine had run out of memory, and not a group.
    pub machine: bool,
    /// Whom the kernel had chosen, where this one was killed with it (`memory.oom.group`). Its own pid where the kernel kills, counts and prints
    /// the chosen one a second time.
    pub killed_with: Option<i32>,
    /// When the kernel printed it, in microseconds by the kernel's own stamps.
    pub printed_us: u64,
}

/// Whose lack of memory it was (`enum oom_constraint` in mm/oom_kill.c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A group's limit. Kernels before 5.2 print CONSTRAINT_NONE for it: the group is what tells.
    Group {
        /// The group, as a path below the hierarchy's mount.
        group: String,
    },
    /// The nodes that a cpuset allows.
    Cpuset {
        /// The cpuset of who asked for memory.
        cpuset: String,
    },
    /// The nodes that a memory policy of the asker allows (mbind, set_mempolicy).
    MemoryPolicy,
    /// The whole machine's.
    Machine,
}

/// One line of the kernel's, as far as it is about the OOM killer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A dump begins: who asked for the memory that was not there.
    Invoked {
        /// Its name.
        name: String,
    },
    /// Who that was, by its pid.
    Asker {
        /// The pid.
        pid: i32,
        /// The name.
        name: String,
    },
    /// How the group stood.
    Usage {
        /// In bytes.
        usage: u64,
        /// In bytes; as large as can be where there is none.
        limit: u64,
        /// How often a charge met it.
        hits: u64,
    },
    /// The table's columns.
    Header(Vec<String>),
    /// A row of it.
    Row(String),
    /// Who was chosen.
    Chosen {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
        /// Whose lack of memory it was.
        constraint: Constraint,
        /// The victim's group, as a path below the hierarchy's mount.
        group: String,
    },
    /// Who was chosen had ended by itself, and is not killed (`__oom_kill_process`).
    Skipped,
    /// Who was killed.
    Killed(Killed),
    /// Whoever is in the same group as the one that was killed is killed too (`memory.oom.group`).
    GroupKill,
    /// The group's `memory.stat` begins.
    StatBegins,
    /// Lines of it.
    Stat(Vec<(String, u64)>),
    /// What v1 counts of the kernel's own memory, in bytes.
    KernelMemory(u64),
}

/// The longest name of a thread, in bytes (`TASK_COMM_LEN` less its end).
const LONGEST_NAME: usize = 15;

/// A record's place in the log: its number, and when it was printed, in microseconds. Numbers without a gap are a log without a loss.
pub fn place(record: &[u8]) -> Option<(u64, u64)> {
    let end = record.iter().position(|byte| *byte == b';')?;
    let mut fields = std::str::from_utf8(&record[..end]).ok()?.split(',').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Takes a record apart; `None` where it is not the kernel's, is cut short, or says nothing of our interest.
pub fn read(record: &[u8]) -> Option<Line> {
    let record = String::from_utf8_lossy(record);
    let (prefix, text) = record.split_once(';')?;
    // The facility is what stands above the three bits of the level; the kernel's own is 0.
    let priority: u32 = prefix.split(',').next()?.parse().ok()?;
    if priority >> 3 != 0 {
        return None;
    }
    line(text.split('\n').next()?)
}

fn line(text: &str) -> Option<Line> {
    if let Some((name, rest)) = text.rsplit_once(" invoked oom-killer: ") {
        // A longer name is another line of the kernel's with somebody's own text in it (`tmpfs: Unknown parameter '…'`).
        let is_name = |name: &String| name.len() <= LONGEST_NAME;
        let name = Some(unescaped(name)).filter(|name| is_name(name) && rest.starts_with("gfp_mask="))?;
        return Some(Line::Invoked { name });
    }
    if let Some(fields) = text.strip_prefix("oom-kill:") {
        return chosen(fields);
    }
    if let Some(rest) = text.strip_prefix("Memory cgroup out of memory: Killed process ") {
        return killed(rest, false).map(Line::Killed);
    }
    // `vm.oom_kill_allocating_task` has words of its own.
    if let Some(rest) = text.strip_prefix("Out of memory")
        && let Some(rest) =
            rest.strip_prefix(" (oom_kill_allocating_task)").unwrap_or(rest).strip_prefix(": Killed process ")
    {
        return killed(rest, true).map(Line::Killed);
    }
    if text.starts_with("Tasks in ") && text.ends_with(" are going to be killed due to memory.oom.group set") {
        return Some(Line::GroupKill);
    }
    if text.starts_with("Memory cgroup stats for ") && text.ends_with(':') {
        return Some(Line::StatBegins);
    }
    if let Some(rest) = text.strip_prefix("kmem: usage ") {
        let kib: u64 = rest.split_once("kB")?.0.parse().ok()?;
        return Some(Line::KernelMemory(kib.saturating_mul(1024)));
    }
    if text.contains("ut of memory: OOM victim ") && text.ends_with(" is already exiting. Skip killing the task") {
        return Some(Line::Skipped);
    }
    if let Some(rest) = text.strip_prefix("CPU: ") {
        let (pid, rest) = rest.split_once("PID: ")?.1.split_once(" Comm: ")?;
        // The name ends where the kernel says what it is tainted by.
        let end = [rest.rfind(" Not tainted"), rest.rfind(" Tainted: ")].into_iter().flatten().max()?;
        return Some(Line::Asker { pid: pid.trim().parse().ok()?, name: unescaped(&rest[..end]) });
    }
    if let Some(rest) = text.strip_prefix("memory: usage ") {
        let (usage, rest) = rest.split_once("kB, limit ")?;
        let (limit, hits) = rest.split_once("kB, failcnt ")?;
        let kib = |n: &str| n.parse::<u64>().ok().map(|n| n.saturating_mul(1024));
        return Some(Line::Usage { usage: kib(usage)?, limit: kib(limit)?, hits: hits.trim().parse().ok()? });
    }
    let Some(inside) = text.strip_prefix('[') else {
        return stat(text).map(Line::Stat);
    };
    match inside.trim_start().strip_prefix("pid") {
        Some(columns) => {
            let columns = columns.trim_start().strip_prefix(']')?;
            Some(Line::Header(columns.split_whitespace().map(String::from).collect()))
        }
        None => inside.split_once(']')?.0.trim().parse::<i32>().ok().map(|_| Line::Row(text.to_string())),
    }
}

/// `anon 1234`: a line of `memory.stat`, or many in one record (before 6.6), whose line feeds are escaped; the last of many may be cut.
fn stat(text: &str) -> Option<Vec<(String, u64)>> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        Some((key.to_string(), value.parse().ok().filter(|_: &u64| is_key)?))
    };
    let mut lines = text.split("\\x0a");
    let first = pair(lines.next()?)?;
    Some(std::iter::once(first).chain(lines.filter_map(pair)).collect())
}

/// `oom-kill:constraint=…,task_memcg=GROUP,task=NAME,pid=N,uid=N`: from the right, for names and groups may hold commas.
fn chosen(fields: &str) -> Option<Line> {
    let (rest, uid) = fields.rsplit_once(",uid=")?;
    uid.trim().parse::<u32>().ok()?;
    let (rest, pid) = rest.rsplit_once(",pid=")?;
    // A name has 15 bytes at most, so that `,task=` cannot stand in it twice with another key between.
    let (rest, name) = rest.split_once(",task=")?;
    let (rest, group) = rest.rsplit_once(",task_memcg=")?;
    let constraint = match rest.rsplit_once(",oom_memcg=") {
        Some((_, group)) => Constraint::Group { group: unescaped(group) },
        None => match rest.strip_prefix("constraint=").and_then(|rest| rest.split(',').next()) {
            Some("CONSTRAINT_CPUSET") => {
                let cpuset = rest.split_once(",cpuset=").and_then(|(_, rest)| rest.rsplit_once(",mems_allowed="));
                Constraint::Cpuset { cpuset: cpuset.map_or(String::new(), |(cpuset, _)| unescaped(cpuset)) }
            }
            Some("CONSTRAINT_MEMORY_POLICY") => Constraint::MemoryPolicy,
            _ => Constraint::Machine,
        },
    };
    Some(Line::Chosen { pid: pid.parse().ok()?, name: unescaped(name), constraint, group: unescaped(group) })
}

/// `N (NAME) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:1kB, UID:0 pgtables:1kB oom_score_adj:0`
fn killed(text: &str, machine: bool) -> Option<Killed> {
    let (who, numbers) = text.rsplit_once(") total-vm:")?;
    let (pid, name) = who.split_once(" (")?;
    let after = |key: &str| numbers.split_once(key).map(|(_, rest)| rest);
    let kib = |key: &str| after(key)?.split_once("kB")?.0.parse::<u64>().ok().map(|n| n.saturating_mul(1024));
    let adj = |text: &str| text.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok();
    Some(Killed {
        pid: pid.parse().ok()?,
        name: unescaped(name),
        held: kib("anon-rss:")?.saturating_add(kib("shmem-rss:").unwrap_or(0)),
        shmem: kib("shmem-rss:"),
        file: kib("file-rss:")?,
        page_tables: kib("pgtables:"),
        oom_score_adj: after("oom_score_adj:").and_then(adj),
        machine,
        killed_with: None,
        printed_us: 0, // the listener knows it
    })
}

/// The text with the kernel's escapes undone.
pub fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.strip_prefix(b"x").and_then(|hex| std::str::from_utf8(hex.get(..2)?).ok());
        match code.filter(|_| *first == b'\\').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_of(record: &str) -> Killed {
        match read(record.as_bytes()) {
            Some(Line::Killed(killed)) => killed,
            other => panic!("{record}: {other:?}"),
        }
    }

    #[test]
    fn what_users_have_the_kernel_print_is_no_line_of_its_own() {
        let kill =
            "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:9kB, file-rss:0kB, shmem-rss:0kB";
        for text in [
            "tmpfs: Unknown parameter 'x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0'"
                .into(),
            format!("tmpfs: Unknown parameter '{kill}'"),
            format!("tmpfs: Unknown parameter 'a\\x0a{kill}'"),
            "oom-kill:a[77]: segfault at 0 ip 1 sp 2 error 4 in ,task_memcg=/g,task=x,pid=5,uid=0[5+1] likely on CPU 1"
                .into(),
        ] {
            assert_eq!(read(format!("3,155439,21653544928,-;{text}").as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_kill_is_read_with_its_sizes_though_the_name_be_odd() {
        for (name, read) in [
            ("b) oom,", "b) oom,"),
            ("a b", "a b"),
            ("(x)", "(x)"),
            (r"two\x0alines", "two\nlines"),
            (r"\x1b[31mred", "\u{1b}[31mred"),
            (r"\xe5\xb7\xa5", "工"),
            (r"back\x5cslash", r"back\slash"),
            (") total-vm:1kB", ") total-vm:1kB"),
            ("Killed process", "Killed process"),
            ("", ""),
        ] {
            let text = format!(
                "3,1362,671643021,-;Memory cgroup out of memory: Killed process 32504 ({name}) total-vm:68012kB, anon-rss:20352kB, file-rss:776kB, shmem-rss:4kB, UID:0 pgtables:80kB oom_score_adj:-3\n"
            );
            let expected = Killed {
                pid: 32504,
                name: read.into(),
                held: 20356 * 1024,
                shmem: Some(4 * 1024),
                file: 776 * 1024,
                page_tables: Some(80 * 1024),
                oom_score_adj: Some(-3),
                machine: false,
                killed_with: None,
                printed_us: 0,
            };
            assert_eq!(killed_of(&text), expected);
        }
        let whole = "3,1,2,-;Out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:48kB oom_score_adj:1000";
        assert!(killed_of(whole).machine && killed_of(whole).oom_score_adj == Some(1000));
        let old = "3,1,2,-;Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB, file-rss:0kB, shmem-rss:0kB";
        assert_eq!((killed_of(old).page_tables, killed_of(old).oom_score_adj), (None, None));
    }

    #[test]
    fn the_chosen_one_and_whose_limit_it_was_are_read_from_the_right() {
        let read = |text: &str| read(format!("6,1361,671642800,-;oom-kill:{text}").as_bytes());
        let ours = "constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/leaf,task=x,pid=1,pid=32504,uid=0";
        let chosen = |constraint, name: &str| Line::Chosen {
            pid: 32504,
            name: name.into(),
            constraint,
            group: "/a/leaf".into(),
        };
        let group = || Constraint::Group { group: "/a".into() };
        assert_eq!(read(ours), Some(chosen(group(), "x,pid=1")));
        assert_eq!(read(&ours.replace("CONSTRAINT_MEMCG", "CONSTRAINT_NONE")), Some(chosen(group(), "x,pid=1")), "5.0");
        let global = |constraint: &str, cpuset: &str| {
            read(&format!(
                "constraint={constraint},nodemask=(null),cpuset={cpuset},mems_allowed=0,global_oom,task_memcg=/a/leaf,task=x,pid=32504,uid=0"
            ))
        };
        assert_eq!(global("CONSTRAINT_NONE", "/"), Some(chosen(Constraint::Machine, "x")));
        assert_eq!(
            global("CONSTRAINT_CPUSET", "/b,c"),
            Some(chosen(Constraint::Cpuset { cpuset: "/b,c".into() }, "x"))
        );
        assert_eq!(global("CONSTRAINT_MEMORY_POLICY", "/"), Some(chosen(Constraint::MemoryPolicy, "x")));
    }

    #[test]
    fn memory_stat_is_read_line_by_line_and_as_one_record() {
        let read = |text: &str| read(format!("6,1,2,-;{text}").as_bytes());
        let pairs =
            |pairs: &[(&str, u64)]| Some(Line::Stat(pairs.iter().map(|(key, n)| ((*key).into(), *n)).collect()));
        assert_eq!(read("anon 62312448"), pairs(&[("anon", 62_312_448)]));
        assert_eq!(read(r"anon 1\x0afile 2\x0asock 3\x0ashme"), pairs(&[("anon", 1), ("file", 2), ("sock", 3)]));
        assert_eq!(
            read("kmem: usage 54196kB, limit 9007199254740988kB, failcnt 0"),
            Some(Line::KernelMemory(54196 << 10))
        );
        assert_eq!(read("Memory cgroup stats for /sandtop/1:"), Some(Line::StatBegins));
        for other in ["usb 1", "x y", "anon -1", "a b c", "Modules 7"] {
            assert!(read(other).is_none() || other == "usb 1", "{other}");
        }
    }

    #[test]
    fn a_global_kill_of_the_one_who_asked_is_a_kill_and_a_quotation_is_none() {
        let numbers = "total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
        let asked = format!("3,1,1,-;Out of memory (oom_kill_allocating_task): Killed process 5 (x) {numbers}");
        assert!(killed_of(&asked).machine);
        let quoted = format!("3,1,1,-;monitor: Memory cgroup out of memory: Killed process 5 (x) {numbers}");
        assert_eq!(read(quoted.as_bytes()), None);
    }

    #[test]
    fn what_is_cut_short_foreign_or_a_programs_own_is_nothing() {
        let whole = "3,1,1,-;Memory cgroup out of memory: Killed process 5 (x) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:0kB";
        assert!(read(whole.as_bytes()).is_some());
        for cut in 0..whole.find("file-rss:3kB").unwrap() + 11 {
            assert_eq!(read(&whole.as_bytes()[..cut]), None, "{}", &whole[..cut]);
        }
        for record in [
            "6,1,1,-;usb 1-1: new device",
            "",
            "6,1,1,-;oom-kill:",
            "6,1,1,-;[ x ] y",
            "3,1,1,-;Out of memory: Killed process x (y",
            // Written to /dev/kmsg by a program: facility 1.
            "11,1,1,-;Memory cgroup out of memory: Killed process 5 (x) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:0kB",
            "x,1,1,-;Memory cgroup out of memory: Killed process 5 (x) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:0kB",
        ] {
            assert_eq!(read(record.as_bytes()), None, "{record}");
        }
    }
}
