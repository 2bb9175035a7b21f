//! How close a group is to its limit, counted in what cannot be given back; and v1's word that usage has crossed a mark.
//!
//! Refuses: to decide anything. What is done about it is the supervisor's (`supervisor/brink.rs`).

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
        eventfd::{EfdFlags, EventFd},
    },
};

use super::{files, files::Kept};
use crate::error::{Error, Result};

/// How close a group is to its limit, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closeness {
    /// What is charged.
    pub usage: u64,
    /// The part of it that may be unreclaimable: all but file cache and, where there is swap for it, what can be swapped out. On v1 it has
    /// dentries and inodes in it, which the kernel does not tell apart: only a reclaim shows whether they can go.
    pub unreclaimable: u64,
    /// The part of that which is unreclaimable for certain.
    pub certain: u64,
    /// Whether the limit itself was met, and tasks sleep at it (v1 `under_oom` in `memory.oom_control`; only with `oom_kill_disable`).
    pub at_limit: bool,
}

/// What `memory.stat` says of the kernel's lists of pages, in bytes. The lists, and not `cache`: what is locked in memory and what is shared
/// memory are file pages too, and cannot go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// File pages that can be dropped, or written and dropped.
    pub file: u64,
    /// Anonymous and shared pages that could be swapped out.
    pub anon: u64,
    /// Names and inodes that the kernel remembers and can forget; 0 where it is not told.
    pub slab: u64,
    /// Pages that are locked in memory.
    pub locked: u64,
    /// What the kernel holds beside `slab`, as far as it tells (v2).
    pub kernel: u64,
}

impl Lists {
    /// From `memory.stat`; v1's keys of the whole subtree begin with `total_`.
    pub fn read(stat: &str, prefix: &str) -> Lists {
        let get = |key: &str| files::value_of(stat, &format!("{prefix}{key}")).unwrap_or(0);
        Lists {
            file: get("active_file") + get("inactive_file"),
            anon: get("active_anon") + get("inactive_anon"),
            slab: get("slab_reclaimable"),
            locked: get("unevictable"),
            kernel: ["slab_unreclaimable", "kernel_stack", "pagetables", "sock"].map(get).iter().sum(),
        }
    }

    /// What of a usage is unreclaimable for certain, when so much may be swapped out.
    pub fn certain(&self, usage: u64, swap_room: u64) -> u64 {
        let parts = self.anon.saturating_sub(swap_room) + self.locked + self.kernel;
        parts.min(self.unreclaimable(usage, swap_room))
    }

    /// What of a usage cannot be given back, when so much may be swapped out.
    pub fn unreclaimable(&self, usage: u64, swap_room: u64) -> u64 {
        usage.saturating_sub(self.file + self.slab).saturating_sub(self.anon.min(swap_room))
    }
}

/// How much swap this machine has left, in bytes.
pub fn free_swap() -> u64 {
    let info = rustix::system::sysinfo();
    info.freeswap.saturating_mul(u64::from(info.mem_unit))
}

/// Announces that the usage of a v1 group crossed a mark, in either direction (`cgroup.event_control`,
/// Documentation/admin-guide/cgroup-v1/memory.rst §9). The kernel looks every 128 pages or so.
///
/// A registration ends only with its eventfd, so that a mark that moves needs another one each time: they come and go in an epoll of their
/// own, which is all that the supervisor sees.
pub struct Threshold {
    inner: Epoll,
    armed: Option<EventFd>,
}

impl Threshold {
    /// One that announces nothing yet.
    ///
    /// # Errors
    /// When there is no epoll to be had.
    pub fn new() -> Result<Threshold> {
        let inner = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| Error::sys("make an epoll", e))?;
        Ok(Threshold { inner, armed: None })
    }

    /// Readable once the mark was crossed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inner.0.as_fd()
    }

    /// Moves the mark, or takes it away.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn set(&mut self, dir: &Path, bytes: Option<u64>) -> Result<()> {
        self.armed = None; // closing it ends its registration, here and in the kernel
        let Some(bytes) = bytes else { return Ok(()) };
        let failed = |e: Errno| Error::sys("make an eventfd", e);
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(failed)?;
        self.inner.add(&event, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(failed)?;
        let usage = Kept::open(dir, "memory.usage_in_bytes")?;
        let order = format!("{} {} {bytes}", event.as_fd().as_raw_fd(), usage.file().as_raw_fd());
        files::write(&dir.join("cgroup.event_control"), &order)?;
        self.armed = Some(event);
        Ok(())
    }

    /// Takes what was announced, so that it can announce again.
    pub fn take(&self) {
        if let Some(event) = &self.armed {
            let _ = event.read();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    #[test]
    fn what_can_be_dropped_or_swapped_out_is_not_in_the_way() {
        let stat = "cache 100\ntotal_active_file 3145728\ntotal_inactive_file 1048576\ntotal_active_anon 2097152\ntotal_shmem 9\n";
        let lists = Lists::read(stat, "total_");
        assert_eq!(lists, Lists { file: 4 * M, anon: 2 * M, ..Lists::default() });
        assert_eq!((lists.certain(10 * M, 0), lists.certain(10 * M, M)), (2 * M, M), "the rest may be dentries");
        assert_eq!(lists.unreclaimable(10 * M, 0), 6 * M);
        assert_eq!(lists.unreclaimable(10 * M, M), 5 * M);
        assert_eq!(lists.unreclaimable(10 * M, u64::MAX), 4 * M);
        assert_eq!(lists.unreclaimable(M, u64::MAX), 0, "what is told at different moments may not add up");
    }
}
