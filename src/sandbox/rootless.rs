//! A sandbox that root did not make: ids in a user namespace, whether one can be used at all, and how a workload ends that has no pid namespace.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sched::CloneFlags,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{Pid, getpid},
};

use super::{
    mounts,
    sys::{self, Forked, Parent},
};
use crate::{
    cgroup::{beside::THAWED, tree},
    event::Isolation,
};

/// A uid and a gid.
pub type Ids = (u32, u32);

/// Who we are. To be asked before there is a user namespace: in one without a map everybody is nobody.
pub fn our_ids() -> Ids {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

/// In a fresh user namespace: gives its one user and its one group these ids. A plain user may do that for his own, and only without setgroups
/// (user_namespaces(7)).
pub fn map_ids(inside: Ids, outside: Ids) -> Result<(), Errno> {
    let write = |name: &str, text: String| {
        std::fs::write(format!("/proc/self/{name}"), text)
            .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EIO as i32)))
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{} {} 1", inside.0, outside.0))?;
    write("gid_map", format!("{} {} 1", inside.1, outside.1))
}

/// Makes a user namespace, and in it the mounts that a sandbox needs most; then it is gone again.
///
/// # Errors
/// Why that cannot be done here.
pub fn try_user_namespace(inside: Ids) -> Result<(), Errno> {
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    let outside = our_ids();
    match sys::fork_into(flags.bits(), Parent::Us)? {
        Forked::Parent(pid) => loop {
            match waitpid(pid, None) {
                Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
                Ok(WaitStatus::Exited(_, errno)) => return Err(Errno::from_raw(errno)),
                Err(Errno::EINTR) => {}
                _ => return Err(Errno::EIO),
            }
        },
        Forked::Child => {
            std::panic::set_hook(Box::new(|_| sys::exit_now(Errno::EIO as i32)));
            let tried = map_ids(inside, outside).and_then(|()| mounts::try_out());
            sys::exit_now(tried.map_or_else(|errno| errno as i32, |()| 0))
        }
    }
}

/// How what is left of the workload is found at its end.
pub enum Rest {
    /// It is everything in our pid namespace; and what may keep it from dying: v1's `freezer.state`, a CPU quota.
    Namespace {
        /// v1's freezer.
        freezer: Option<OwnedFd>,
        /// The quota of either kernel interface.
        quota: Option<OwnedFd>,
    },
    /// It is everything in this group: there is no pid namespace.
    Group(PathBuf),
}

impl Rest {
    /// The group is told by its `cgroup.procs`, which we were given open: our mounts are sandtop's own then.
    ///
    /// # Errors
    /// When there is no pid namespace, and the group cannot be told either.
    pub fn new(
        isolation: Isolation,
        joins: &[OwnedFd],
        freezer: Option<OwnedFd>,
        quota: Option<OwnedFd>,
    ) -> Result<Rest, Errno> {
        if isolation != Isolation::LimitOnly {
            return Ok(Rest::Namespace { freezer, quota });
        }
        let join = joins.first().ok_or(Errno::EBADF)?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", join.as_raw_fd())).map_err(|_| Errno::ENOENT)?;
        path.parent().filter(|dir| dir.is_absolute()).map(|dir| Rest::Group(dir.into())).ok_or(Errno::ENOENT)
    }

    /// When sandtop is gone: a pid namespace goes with its init; without one the main process, which is our own child and not reaped yet, and
    /// everything in the group are killed here. Whom v1's freezer holds does not die: it is killed first and then thawed, so that it does
    /// nothing any more.
    pub fn orphaned(&self, main: Pid) {
        match self {
            Rest::Group(dir) => {
                let _ = kill(main, Signal::SIGKILL);
                let _ = tree::kill_all(dir);
            }
            Rest::Namespace { freezer, quota } if getpid().as_raw() == 1 => {
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                freezer.iter().for_each(thaw);
                quota.iter().for_each(lift);
            }
            Rest::Namespace { .. } => {}
        }
    }

    /// Kills all of it at once, the main process too, and waits for nothing.
    pub fn kill(&self) {
        match self {
            Rest::Group(dir) => {
                tree::kill_once(dir);
            }
            Rest::Namespace { .. } if getpid().as_raw() == 1 => {
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
            Rest::Namespace { .. } => {}
        }
    }

    /// Whether anybody is left beside init.
    pub fn is_any_left(&self) -> bool {
        match self {
            Rest::Group(dir) => !tree::pids_below(dir).is_empty(),
            Rest::Namespace { .. } => getpid().as_raw() == 1 && kill(Pid::from_raw(-1), None).is_ok(),
        }
    }

    /// Kills what the main process left behind, and counts it.
    pub fn end(&self) -> u32 {
        match self {
            Rest::Group(dir) => end_group(dir),
            // In a pid namespace of ours `-1` is everything but init itself. Anywhere else it would be the user's whole session.
            Rest::Namespace { freezer, .. } if getpid().as_raw() == 1 => end_namespace(freezer.as_ref()),
            Rest::Namespace { .. } => 0,
        }
    }
}

fn end_group(dir: &Path) -> u32 {
    let left = tree::pids_below(dir).len();
    let _ = tree::kill_all(dir);
    left as u32
}

/// Lifts a CPU quota: v2 takes the word, v1 the number, and each refuses the other.
fn lift(quota: &OwnedFd) {
    for none in ["max", "-1"] {
        let _ = nix::sys::uio::pwrite(quota, none.as_bytes(), 0);
    }
}

fn thaw(freezer: &OwnedFd) {
    let _ = nix::sys::uio::pwrite(freezer, THAWED.as_bytes(), 0);
}

/// Waits for the end of one of those that were killed. sandtop may freeze them at the last moment.
fn wait_for_one(freezer: Option<&OwnedFd>) -> Result<WaitStatus, Errno> {
    let Some(freezer) = freezer else { return waitid(Id::All, WaitPidFlag::WEXITED) };
    loop {
        thaw(freezer);
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)? {
            WaitStatus::StillAlive => std::thread::sleep(Duration::from_millis(1)),
            ended => return Ok(ended),
        }
    }
}

fn end_namespace(freezer: Option<&OwnedFd>) -> u32 {
    let mut ended = 0;
    while kill(Pid::from_raw(-1), Signal::SIGKILL).is_ok() {
        // One that was killed may have left children behind, which are init's now.
        match wait_for_one(freezer) {
            Ok(_) => ended += 1,
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    ended
}
