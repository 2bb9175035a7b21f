//! Who was killed, and why: the kernel's own words, from /dev/kmsg.
//!
//! Only `Killed process` is printed for every kill; the long dump before it is rate-limited to ten in five seconds. The counters say *that*
//! there was a kill; this says *who* it was. `record` takes a record apart, `dump` puts a dump together: both pure. Refuses: whatever the kernel
//! did not say itself.

mod dump;
mod record;

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

pub use dump::{Dump, Listener, Said, TableRow};
pub use record::{Constraint, Killed};

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
    listener: Listener,
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
        Some(KernelLog { file, listener: Listener::default() })
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
                Ok(n) => said.extend(self.listener.hear(&record[..n])),
                Err(e) if e.raw_os_error() == Some(nix::libc::EPIPE) => {} // overrun: go on with the oldest that is left; the gap in the numbers tells the listener
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return said,
            }
        }
    }
}
