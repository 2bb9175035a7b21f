//! The process that the shell waits for, where a run has more to do than to be there: files to write, a time to keep.
//!
//! A workload shares the caller's process group, as pipelines, make and Ctrl-C need it, and `kill(0, …)` of its reaches everybody in that: also
//! out of its pid namespace. So what must not be lost to that works in a session of its own, and this process stays in the group for it. It passes
//! signals on, stops and goes on with the others, and ends as the run does. When it is killed, the run ends, and its files are written.
//!
//! Refuses: to know anything of the run.

use std::{
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, kill, raise},
        signalfd::{SfdFlags, SignalFd},
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, recvmsg, send, socketpair},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpgrp, getppid},
};

use crate::{
    error::{EXIT_FAILED, Error, Result},
    headless::{Foreground, tell},
    sandbox,
    supervisor::signals,
};

/// What the working process knows of the one in front of it.
#[derive(Debug)]
pub struct Front {
    link: OwnedFd,
    pid: Pid,
    group: Pid,
}

/// What comes from the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A signal, and whether the terminal (or the kernel otherwise) sent it, to the whole group.
    Signal(i32, bool),
    /// It is gone.
    Gone,
}

impl Front {
    /// Readable when something comes.
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Its pid: whoever started sandtop knows that one.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw() as u32
    }

    /// The process group that the workload starts in.
    pub fn group(&self) -> Pid {
        self.group
    }

    /// What came.
    pub fn passed(&self) -> Option<Passed> {
        let mut buffer = [0; 2];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match recvmsg::<()>(self.link.as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT)
            .map(|message| message.bytes)
        {
            Ok(2) => Some(Passed::Signal(i32::from(buffer[0]), buffer[1] != 0)),
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            _ => Some(Passed::Gone),
        }
    }
}

/// Does the work in a process of its own, and is its front until it has ended; the exit code. What is handed on to the workload is closed here.
///
/// Must be called while sandtop has one thread.
///
/// # Errors
/// When the process cannot be made.
pub fn run(handed_on: &[i32], work: impl FnOnce(Front) -> Result<u8>) -> Result<u8> {
    let mut set = signals::taken(false);
    set.thread_block().map_err(|e| Error::sys("block signals", e))?; // before there are two of us: none gets lost
    // Only who stays in the terminal's session can take it back; the line's modes are the other's to judge.
    let mut foreground = Foreground::now();
    foreground.modes_are_meant = true;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|e| Error::sys("make a socket pair", e))?;
    let front = Front { link: theirs, pid: nix::unistd::getpid(), group: getpgrp() };
    let Some(worker) = sandbox::fork_worker().map_err(|e| Error::sys("start the process that does the work", e))?
    else {
        drop(ours);
        end_worker(front, work)
    };
    // Pipes end, and locks go, with the workload, and not with this process.
    drop((front, work));
    sandbox::let_go(handed_on);
    set.add(Signal::SIGCHLD);
    set.thread_block().map_err(|e| Error::sys("block signals", e))?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|e| Error::sys("make a signalfd", e))?;
    let code = wait_for(worker, &ours, &signals);
    drop(foreground);
    Ok(code)
}

/// As the working process: works, and ends. Who is in front may be stopped, and has to go on to see it.
fn end_worker(front: Front, work: impl FnOnce(Front) -> Result<u8>) -> ! {
    let pid = front.pid;
    let code = work(front).unwrap_or_else(|e| {
        tell(&e.to_string());
        EXIT_FAILED
    });
    if getppid() == pid {
        let _ = kill(pid, Signal::SIGCONT);
    }
    std::process::exit(i32::from(code))
}

/// Who was asked to end has six seconds for it, and a little more where the machine is busy: then it is stuck, and is killed with its sandbox.
const PATIENCE: Duration = Duration::from_secs(8);

fn wait_for(worker: Pid, link: &OwnedFd, signals: &SignalFd) -> u8 {
    let mut stuck_at: Option<Instant> = None;
    loop {
        let left = stuck_at.map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
        if stuck_at.take_if(|at| Instant::now() >= *at).is_some() {
            let _ = kill(worker, Signal::SIGKILL);
        }
        while let Ok(Some(info)) = signals.read_signal() {
            let signal = info.ssi_signo as i32;
            if signal != libc::SIGCHLD {
                let of_kernel = info.ssi_code == libc::SI_KERNEL;
                if signal == libc::SIGTERM || !of_kernel && [libc::SIGINT, libc::SIGHUP].contains(&signal) {
                    stuck_at.get_or_insert(Instant::now() + PATIENCE);
                }
                let message = [signal as u8, u8::from(of_kernel)];
                let _ = send(link.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL);
            }
        }
        match waitpid(worker, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return code as u8,
            Ok(WaitStatus::Signaled(_, signal, _)) => return end_by(signal),
            Err(Errno::ECHILD) => return EXIT_FAILED,
            _ => {}
        }
    }
}

/// Ends as the working process did, for the shell to see.
fn end_by(signal: Signal) -> u8 {
    let _ = SigSet::from_iter([signal]).thread_unblock();
    let _ = raise(signal);
    128 + signal as u8
}
