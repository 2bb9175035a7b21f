//! Names of groups: `<pid>-<starttime>-<pid namespace>`, so that `sandtop clean` can tell a group whose sandtop is
//! gone from one whose pid was used again, and from one that lives in another container's pid namespace.

use std::{fs, path::Path};

use crate::error::{Error, Result};

/// The folder of ours below the hierarchy's root (or below `--cgroup-parent`).
pub const FOLDER: &str = "sandtop";

/// Who made a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// sandtop's pid.
    pub pid: i32,
    /// When that process started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start: u64,
    /// The inode of its pid namespace.
    pub namespace: u64,
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn myself() -> Result<Owner> {
        let pid = std::process::id() as i32;
        let path = Path::new("/proc/self/stat");
        fs::File::open(path).map_err(|e| Error::io("read", path, e))?;
        // The /proc of another pid namespace has another process under this number, or none.
        let ours = fs::read_link("/proc/self").is_ok_and(|link| link == Path::new(&pid.to_string()));
        let start = start_time(pid).filter(|_| ours).ok_or_else(|| {
            Error::new(format!("/proc does not know us as process {pid}"))
                .remedy("sandtop needs the /proc of its own pid namespace: mount -t proc proc /proc")
        })?;
        Ok(Owner { pid, start, namespace: pid_namespace()? })
    }

    /// The name of this owner's group. `n` tells several of one owner apart.
    pub fn group(&self, n: u32) -> String {
        let name = format!("{}-{}-{}", self.pid, self.start, self.namespace);
        if n == 0 { name } else { format!("{name}.{n}") }
    }

    /// Reads a group's name back; `None` for a name that sandtop does not make.
    pub fn parse(name: &str) -> Option<Owner> {
        let (whole, n) = match name.split_once('.') {
            Some((whole, n)) => (whole, n.parse().ok().filter(|n| *n > 0)?),
            None => (name, 0),
        };
        let mut parts = whole.split('-');
        let owner = Owner {
            pid: parts.next()?.parse().ok().filter(|pid| *pid > 0)?,
            start: parts.next()?.parse().ok()?,
            namespace: parts.next()?.parse().ok()?,
        };
        // Numbers can be written in other ways, as `+1` and `01`: sandtop never does.
        (owner.group(n) == name).then_some(owner)
    }

    /// Whether that very process still runs. Only meaningful in its own pid namespace.
    pub fn lives(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }
}

/// The inode of this process's pid namespace.
///
/// # Errors
/// When /proc cannot be read.
pub fn pid_namespace() -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let path = Path::new("/proc/self/ns/pid");
    Ok(fs::metadata(path).map_err(|e| Error::io("read", path, e))?.ino())
}

/// When a process started, in clock ticks since boot; `None` when it is gone or only its zombie is left.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses itself: fields count from the last one.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_only_ours_do() {
        let owner = Owner { pid: 12, start: 345, namespace: 4026531836 };
        assert_eq!(Owner::parse(&owner.group(0)), Some(owner));
        assert_eq!(Owner::parse(&owner.group(3)), Some(owner));
        for foreign in [
            "docker",
            "12",
            "12-345",
            "12-345-1-1",
            "-1-2-3",
            "0-1-2",
            "a-b-c",
            "1-2-3.x",
            "+1-2-3",
            "01-2-3",
            "1-2-3.0",
            "1-2-3.+1",
        ] {
            assert_eq!(Owner::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn i_live_and_a_later_process_with_my_pid_would_not_be_me() {
        let me = Owner::myself().unwrap();
        assert!(me.lives());
        assert!(!Owner { start: me.start + 1, ..me }.lives());
    }
}
