//! `sandtop clean`: removes groups whose sandtop is gone, and only those.
//!
//! A group is touched only when its name is one that sandtop makes, its pid namespace is ours, and the very process that
//! made it no longer runs. What still runs in such a group was started by that sandtop and is killed, by pid.

use std::{fs, path::Path, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{files, name, v1};
use crate::error::{Error, Result};

/// What became of the groups that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Removed groups.
    pub removed: Vec<String>,
    /// Groups whose sandtop still runs.
    pub alive: Vec<String>,
    /// Groups of other pid namespaces: whether their sandtop runs cannot be told from here.
    pub foreign: Vec<String>,
    /// Groups that stayed, and why.
    pub failed: Vec<(String, String)>,
}

/// Sweeps our folder below `parent`, a directory of the memory hierarchy.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn clean(parent: &Path) -> Result<Cleaned> {
    let folder = parent.join(name::FOLDER);
    let mut cleaned = Cleaned::default();
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(cleaned),
        other => other.map_err(|e| Error::io("read", &folder, e))?,
    };
    let here = name::pid_namespace()?;
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let text = entry.file_name().to_string_lossy().into_owned();
        match name::Owner::parse(&text) {
            None => {}
            Some(owner) if owner.namespace != here => cleaned.foreign.push(text),
            Some(owner) if owner.lives() => cleaned.alive.push(text),
            Some(_) => match empty_and_remove(&entry.path()) {
                Ok(()) => cleaned.removed.push(text),
                Err(e) => cleaned.failed.push((text, e.to_string())),
            },
        }
    }
    let _ = files::remove_dir(&folder);
    Ok(cleaned)
}

/// Kills what is left in a dead sandtop's group and removes it. Freeing gigabytes takes the kernel a while, so this waits for
/// the group to be empty, at most five seconds.
fn empty_and_remove(dir: &Path) -> Result<()> {
    for _ in 0..1000 {
        let mut pids = Vec::new();
        for group in files::groups_below(dir) {
            let _ = files::pids(&group, &mut pids);
        }
        if pids.is_empty() {
            match v1::remove_group(dir) {
                Err(e) if e.is(nix::errno::Errno::EBUSY) => {} // the last exit is not quite over
                other => return other,
            }
        }
        for pid in pids {
            kill_member(dir, pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(Error::new(format!("{} does not get empty", dir.display())))
}

/// Kills a process that is in the group now: by a handle that was taken first, so that a pid that is used again meanwhile hits nobody else.
fn kill_member(dir: &Path, pid: i32) {
    let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    let mut now = Vec::new();
    for group in files::groups_below(dir) {
        let _ = files::pids(&group, &mut now);
    }
    if now.contains(&pid) {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}
