//! The mount table, as `/proc/self/mountinfo` tells it (proc_pid_mountinfo(5)).
//!
//! Parsed here and not by the procfs crate because the sandbox's safety hangs on every path being exact:
//! the kernel escapes spaces, tabs, newlines and backslashes in octal, and those are undone here.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u64,
    /// The mount that it is mounted on; of none in the table for the root.
    pub parent: u64,
    /// The directory of the file system that is mounted (`/` unless it is a bind mount).
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Options of this mount (`ro`, `nosuid`, …).
    pub options: Vec<String>,
    /// The file system's type.
    pub kind: String,
    /// Options of the file system; for cgroup v1 these name the controllers.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount itself carries this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// Whether this is a cgroup v1 mount of that controller.
    pub fn controls(&self, controller: &str) -> bool {
        self.kind == "cgroup" && self.super_options.iter().any(|o| o == controller)
    }

    /// Whether its path leads to it, and to no other mount that lies over it or over a directory
    /// above it.
    pub fn is_visible(&self, all: &[Mount]) -> bool {
        let covered =
            |mount: &Mount| all.iter().any(|m| m.parent == mount.id && m.id != mount.id && m.point == mount.point);
        !covered(self) && self.is_place_visible(all)
    }

    /// Whether the directory that it is mounted on is to be reached, in the mount that it is in.
    fn is_place_visible(&self, all: &[Mount]) -> bool {
        let hides = |m: &Mount| {
            m.parent == self.parent && m.id != self.id && m.point != self.point && self.point.starts_with(&m.point)
        };
        if all.iter().any(hides) {
            return false;
        }
        let parent = all.iter().find(|m| m.id == self.parent && m.id != self.id);
        parent.is_none_or(|parent| parent.is_place_visible(all))
    }
}

/// Takes a mount out of a table, and all that is mounted on it or in it, as umount does with
/// `MNT_DETACH`.
pub fn detach(all: &mut Vec<Mount>, id: u64) {
    all.retain(|mount| mount.id != id);
    while let Some(child) = all.iter().find(|m| m.parent == id && m.id != id).map(|m| m.id) {
        detach(all, child);
    }
}

/// Reads the mounts of this process, in mount order.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn read() -> Result<Vec<Mount>> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read(path)
        .map_err(|e| Error::io("read", path, e).remedy("sandtop needs /proc: mount -t proc proc /proc"))?;
    Ok(text.split(|b| *b == b'\n').filter_map(parse_line).collect())
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let dash = fields.iter().position(|f| *f == b"-")?;
    let list = |field: &[u8]| String::from_utf8_lossy(field).split(',').map(str::to_string).collect();
    let number = |n: usize| std::str::from_utf8(fields.get(n)?).ok()?.parse().ok();
    Some(Mount {
        id: number(0)?,
        parent: number(1)?,
        root: unescape(fields.get(3)?),
        point: unescape(fields.get(4)?),
        options: list(fields.get(5)?),
        kind: String::from_utf8_lossy(fields.get(dash + 1)?).into_owned(),
        super_options: list(fields.get(dash + 3)?),
    })
}

/// Undoes the kernel's octal escapes (`mangle()` in fs/proc_namespace.c).
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|d| first == b'\\' && d.iter().all(|c| (b'0'..=b'7').contains(c)));
        match octal {
            Some(d) => {
                out.push(d.iter().fold(0u8, |n, c| n.wrapping_mul(8).wrapping_add(c - b'0')));
                rest = &tail[3..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_and_its_escapes_undone() {
        let line = br"36 35 98:0 /mnt1 /mnt\040two rw,noatime master:1 - ext4 /dev/root rw,errors=continue";
        let mount = parse_line(line).unwrap();
        assert_eq!(mount.point, Path::new("/mnt two"));
        assert_eq!(mount.root, Path::new("/mnt1"));
        assert_eq!(mount.kind, "ext4");
        assert!(mount.has("noatime"));
    }

    #[test]
    fn a_mount_below_another_is_not_visible_until_that_one_is_gone() {
        let table = "1 0 0:1 / / rw - ext4 a rw
2 1 0:2 / /mnt rw - cgroup b rw,memory
3 2 0:3 / /mnt rw - tmpfs c rw
4 1 0:4 / /srv/a rw - cgroup d rw,cpu
5 1 0:5 / /srv rw - tmpfs e rw
6 5 0:6 / /srv/b rw - tmpfs f rw
7 2 0:7 / /mnt/below rw - tmpfs g rw";
        let mut all: Vec<Mount> = table.split('\n').filter_map(|line| parse_line(line.as_bytes())).collect();
        let visible = |all: &[Mount]| all.iter().filter(|m| m.is_visible(all)).map(|m| m.id).collect::<Vec<_>>();
        assert_eq!(visible(&all), [1, 3, 5, 6]);
        detach(&mut all, 5);
        assert_eq!(visible(&all), [1, 3, 4], "what was in it went with it");
        detach(&mut all, 3);
        assert_eq!(visible(&all), [1, 2, 4, 7]);
    }

    #[test]
    fn controllers_of_a_v1_mount_are_found_and_a_broken_line_is_skipped() {
        let line = b"30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
        let mount = parse_line(line).unwrap();
        assert!(mount.controls("cpu") && mount.controls("cpuacct") && !mount.controls("memory"));
        assert_eq!(parse_line(b"30 24 0:26 /"), None);
        assert_eq!(parse_line(b""), None);
    }
}
