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
    Some(Mount {
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
    fn controllers_of_a_v1_mount_are_found_and_a_broken_line_is_skipped() {
        let line = b"30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
        let mount = parse_line(line).unwrap();
        assert!(mount.controls("cpu") && mount.controls("cpuacct") && !mount.controls("memory"));
        assert_eq!(parse_line(b"30 24 0:26 /"), None);
        assert_eq!(parse_line(b""), None);
    }
}
