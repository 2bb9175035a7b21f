//! Who was killed: the kernel's own words, from /dev/kmsg.
//!
//! Only `Killed process` is printed for every kill; the long dump is rate-limited to ten in five seconds. The counters say *that* there was a
//! kill; this says *who* it was. Refuses: records that are not about our group or our processes.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

/// A kill as the kernel's log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// The victim's pid in the initial pid namespace.
    pub pid: i32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Memory that it held, in bytes: anonymous and shared.
    pub held: u64,
}

/// What a line of the kernel's log says about the OOM killer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This process of this group is about to be killed (part of the rate-limited dump).
    Chosen {
        /// Its pid.
        pid: i32,
        /// Its group, as a path below the hierarchy's mount.
        group: String,
    },
    /// This process was killed.
    Killed(Killed),
}

/// `PROC_PID_INIT_INO`, include/linux/proc_ns.h.
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Whether the pids that we see are those that the kernel prints.
///
/// # Errors
/// When /proc cannot be read.
pub fn pids_are_the_kernels() -> crate::error::Result<bool> {
    Ok(crate::cgroup::name::pid_namespace()? == INITIAL_PID_NAMESPACE)
}

/// The kernel's log, from now on.
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Opens the log at its end; `None` where this process may not read it, or where the pids in it, which are those of the
    /// initial pid namespace, are not the pids that we see.
    pub fn open() -> Option<KernelLog> {
        if !pids_are_the_kernels().ok()? {
            return None;
        }
        let mut file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
        file.seek(SeekFrom::End(0)).ok()?;
        Some(KernelLog { file })
    }

    /// Readable when there is a new record.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Takes what is new about the OOM killer.
    pub fn drain(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(0) => return said,
                Ok(n) => said.extend(parse(&String::from_utf8_lossy(&record[..n]))),
                Err(e) if e.raw_os_error() == Some(nix::libc::EPIPE) => {} // overrun: go on with the oldest that is left
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return said,
            }
        }
    }
}

/// Reads one record: `priority,sequence,microseconds,flags;text` and a line of our interest as its text.
pub fn parse(record: &str) -> Option<Said> {
    let text = record.split_once(';')?.1.lines().next()?;
    if let Some(fields) = text.strip_prefix("oom-kill:") {
        // From the right: the name in `task=` may hold commas. Pids there are those of the initial namespace.
        let (rest, uid) = fields.rsplit_once(",uid=")?;
        uid.parse::<u32>().ok()?;
        let (rest, pid) = rest.rsplit_once(",pid=")?;
        let (rest, _name) = rest.split_once(",task=")?;
        let (_, group) = rest.rsplit_once(",task_memcg=")?;
        return Some(Said::Chosen { pid: pid.parse().ok()?, group: group.to_string() });
    }
    let (_, killed) = text.split_once("ut of memory: Killed process ")?; // "Out of…" or "Memory cgroup out of…"
    let (who, numbers) = killed.rsplit_once(") total-vm:")?;
    let (pid, name) = who.split_once(" (")?;
    let kib = |key: &str| -> u64 {
        let value = numbers.split_once(key).map_or("", |(_, rest)| rest);
        value.split("kB").next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let held = (kib("anon-rss:") + kib("shmem-rss:")) * 1024;
    Some(Said::Killed(Killed { pid: pid.parse().ok()?, name: name.to_string(), held }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_read_with_its_size_though_the_name_be_odd() {
        let record = "3,1362,671643021,-;Memory cgroup out of memory: Killed process 32504 (b) oom,) total-vm:68012kB, anon-rss:20352kB, file-rss:776kB, shmem-rss:0kB, UID:0 pgtables:80kB oom_score_adj:0\n";
        let killed = Killed { pid: 32504, name: "b) oom,".into(), held: 20352 * 1024 };
        assert_eq!(parse(record), Some(Said::Killed(killed)));
    }

    #[test]
    fn the_group_of_the_chosen_one_is_read_from_the_right() {
        let record = "6,1361,671642800,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/leaf,task=x,pid=1,pid=32504,uid=0\n";
        assert_eq!(parse(record), Some(Said::Chosen { pid: 32504, group: "/a/leaf".into() }));
    }

    #[test]
    fn other_records_say_nothing() {
        for record in
            ["6,1,1,-;usb 1-1: new device", "", "6,1,1,-;oom-kill:", "3,1,1,-;Out of memory: Killed process x (y"]
        {
            assert_eq!(parse(record), None, "{record}");
        }
    }
}
