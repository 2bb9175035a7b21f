//! Directories of ours in a hierarchy: made, emptied and removed, the same way on v1 and on v2.
//!
//! Refuses: any directory that the caller did not make, and any process that is not in it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::errno::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{beside, files, name};
use crate::error::{Error, Result};

/// The leaf below a sandbox's group.
pub const LEAF: &str = "leaf";

/// Makes `folder/<owner's name>`; `ready` prepares the folder for it. The folder may vanish in between: another sandtop removes it when
/// it is empty.
///
/// # Errors
/// When the folder or the group cannot be made.
pub fn make_group(folder: &Path, owner: &name::Owner, ready: impl Fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let (mut n, mut tries) = (0, 0);
    loop {
        let dir = folder.join(owner.group(n));
        let made = match files::make_dir(folder) {
            Err(e) if !e.is(Errno::EEXIST) => return Err(e),
            _ => ready(folder).and_then(|()| files::make_dir(&dir)),
        };
        match made {
            Ok(()) => return Ok(dir),
            Err(e) if e.is(Errno::EEXIST) && n < 1000 => n += 1,
            Err(e)
                if (e.is(Errno::ENOENT) || e.is(Errno::ENODEV))
                    && folder.parent().is_some_and(Path::exists)
                    && tries < 1000 =>
            {
                tries += 1;
            }
            Err(e) => return Err(e),
        }
    }
}

/// Removes a group and all below it, children first, and the folder above it if that was the last in it. `last` is done to each before it goes.
///
/// # Errors
/// When the group stays.
pub fn remove(dir: &Path, last: impl Fn(&Path)) -> Result<()> {
    let since = Instant::now();
    loop {
        for group in files::groups_below(dir).iter().rev() {
            last(group);
            let _ = files::remove_dir(group);
        }
        match files::remove_dir(dir) {
            // Right after a kill the last exit may not be quite over.
            Err(e) if e.is(Errno::EBUSY) && since.elapsed() < LAST_EXIT && pids_below(dir).is_empty() => {
                std::thread::sleep(Duration::from_millis(2))
            }
            Err(e) => return Err(e),
            Ok(()) => break,
        }
    }
    if let Some(folder) = dir.parent() {
        let _ = files::remove_dir(folder); // stays while another sandtop has a group in it
    }
    Ok(())
}

/// How long a group is waited for that is still busy though nobody is in it any more.
const LAST_EXIT: Duration = Duration::from_millis(500);

/// How long a group of killed processes is waited for.
const FREEING: Duration = Duration::from_secs(5);

/// Kills every process in a group of ours and below it, and waits for it to be empty, at most five seconds: freeing gigabytes takes the kernel a
/// while. At once where the kernel can (`cgroup.kill`, 5.14), else one by one.
///
/// # Errors
/// When it does not get empty.
pub fn kill_all(dir: &Path) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < FREEING {
        if kill_once(dir) == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(Error::new(format!("{} does not get empty: {}", dir.display(), who_stays(dir))))
}

/// Kills all that is in a group of ours in any hierarchy, and then takes away what would keep it from
/// dying: whom a freezer holds, or who has no CPU time left, does not die.
pub fn release(dir: &Path) {
    kill_once(dir);
    for (file, value) in [("cpu.max", "max"), (beside::CPU_QUOTA, "-1"), (beside::FREEZER_STATE, beside::THAWED)] {
        for group in files::groups_below(dir).iter().filter(|group| group.join(file).exists()) {
            let _ = files::write(&group.join(file), value);
        }
    }
    let _ = files::write(&dir.join("cgroup.freeze"), "0");
}

/// The processes that are left in a group, each with its state and what it waits for in the kernel.
pub fn who_stays(dir: &Path) -> String {
    const TOLD: usize = 3;
    let pids = pids_below(dir);
    let mut told: Vec<String> = pids.iter().take(TOLD).map(|pid| stays(*pid)).collect();
    if pids.len() > TOLD {
        told.push(format!("and {} more", pids.len() - TOLD));
    }
    if told.is_empty() { "nobody is in it".into() } else { told.join(", ") }
}

fn stays(pid: i32) -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read("stat");
    let (name, state) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).unwrap_or_default();
    let state = state.trim_start().chars().next().unwrap_or('?');
    let waits = match read("wchan").trim() {
        "" | "0" => String::new(),
        place => format!(" in {place}"),
    };
    format!("{} ({pid}, state {state}{waits})", crate::text::visible(name))
}

/// Kills every process that is in a group of ours or below it now, and waits for nothing; how many there were.
pub fn kill_once(dir: &Path) -> usize {
    let pids = pids_below(dir);
    if !pids.is_empty() && files::write(&dir.join("cgroup.kill"), "1").is_err() {
        pids.iter().for_each(|pid| kill_member(dir, *pid));
    }
    pids.len()
}

/// The processes of a group and of all below it.
pub fn pids_below(dir: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    for group in files::groups_below(dir) {
        let _ = files::pids(&group, &mut pids); // it may be gone
    }
    pids
}

/// Kills a process that is in the group now: by a handle that was taken first, so that a pid that is used again meanwhile hits nobody else.
fn kill_member(dir: &Path, pid: i32) {
    let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    if pids_below(dir).contains(&pid) {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}
