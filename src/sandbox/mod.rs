//! The sandbox: namespaces, init, and the workload in them, as sandtop sees them from outside.
//!
//! The first launch is a fork, while sandtop still has one thread; every later one a re-exec of `/proc/self/exe`, since a process with
//! threads must not be forked. All that sandtop holds of a sandbox is a pidfd of init
//! and one socket; dropping a [`Sandbox`] ends it.

pub mod descriptors;
pub mod init;
pub mod mounts;
pub mod privileges;
pub mod protocol;
pub mod rootless;
pub mod seccomp;
pub mod spec;
mod sys;

use std::{
    ffi::{OsStr, OsString},
    io::{self, IoSlice, IoSliceMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send, sendmsg,
            setsockopt, socketpair, sockopt,
        },
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{
    cgroup::InitFiles,
    error::{Error, Result},
    event::Isolation,
};
use protocol::{MAX_MESSAGE, Order, Report};
use spec::{Spec, Streams};

/// The hidden subcommand that the re-exec'd process is started with.
pub const INIT_COMMAND: &str = "__init";

/// A running sandbox, from outside.
pub struct Sandbox {
    control: OwnedFd,
    init: Option<OwnedFd>,
}

/// Whether a signal was ignored when sandtop was started: then it stays so, for us and for the workload (`nohup`).
pub fn was_ignored(signal: nix::sys::signal::Signal) -> bool {
    sys::is_ignored(signal)
}

/// Makes a signal break off what a thread of ours waits for in the kernel, and do nothing else.
///
/// # Errors
/// When the kernel refuses.
pub fn catch_quietly(signal: nix::sys::signal::Signal) -> std::result::Result<(), Errno> {
    sys::catch_quietly(signal)
}

/// Gives the terminal back when this process crashes while `taken` is set: writes these bytes, and sets its modes as they are now.
///
/// # Errors
/// When standard input is no terminal.
pub fn give_terminal_back_on_crash(
    taken: &'static std::sync::atomic::AtomicBool,
    bytes: Vec<u8>,
) -> std::result::Result<(), Errno> {
    sys::give_terminal_back_on_crash(taken, bytes)
}

/// Whether standard output was closed when sandtop was started.
pub fn stdout_was_closed() -> bool {
    sys::stdout_was_closed()
}

/// Makes a crash end this process at once, as it does any other.
pub fn default_crash_signals() {
    sys::default_crash_signals();
}

/// Makes a second process of this one, which has one thread: the pid of the new one, and `None` in that itself.
///
/// # Errors
/// When the kernel refuses.
pub fn fork_worker() -> std::result::Result<Option<nix::unistd::Pid>, Errno> {
    match sys::fork_into(0, sys::Parent::Us)? {
        sys::Forked::Parent(pid) => Ok(Some(pid)),
        sys::Forked::Child => Ok(None),
    }
}

/// What this process can build a sandbox of, for a workload with this uid and gid inside: what a plain user may do is tried, not asked (Ubuntu 24.04
/// makes user namespaces that have no rights). Must be called while sandtop has one thread.
pub fn isolation(uid: u32, gid: u32) -> Isolation {
    if nix::unistd::geteuid().is_root() {
        return Isolation::Root;
    }
    match rootless::try_user_namespace((uid, gid)) {
        Ok(()) => Isolation::User { uid, gid },
        Err(_) => Isolation::LimitOnly,
    }
}

/// Takes SIGCHLD back where it was ignored, and tells whether it was: we and init must learn how children end.
pub fn take_sigchld() -> bool {
    let ignored = sys::is_ignored(nix::sys::signal::Signal::SIGCHLD);
    if ignored {
        sys::ignore_sigchld(false);
    }
    ignored
}

/// A report, and the pid outside of the process that sent it.
pub type Heard = (Report, i32);

impl Sandbox {
    /// Starts the sandbox of this spec, up to the point where the command is to be started: [`Sandbox::go`]. `tty` is the workload's end of its
    /// terminal, if it gets one; the spec's descriptor number is set here. Until it is let go, the group can be made beside it.
    ///
    /// Must be called from the thread that will outlive the sandbox: the kernel's parent-death signal follows the thread.
    ///
    /// # Errors
    /// When the helper cannot be started or cannot make init.
    pub fn launch(mut spec: Spec, tty: Option<&OwnedFd>) -> Result<(Sandbox, Vec<Heard>)> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        )
        .map_err(|e| Error::sys("make a socket pair", e))?;
        setsockopt(&ours, sockopt::PassCred, &true).map_err(|e| Error::sys("set up a socket", e))?;
        set_blocking(&theirs)?;
        spec.setup.streams = tty.map_or(Streams::Inherited, |tty| Streams::Terminal(tty.as_raw_fd()));
        match init::fork(&theirs, &spec) {
            Ok(pid) => Ok((Sandbox { control: ours, init: Some(open_pidfd(pid)?) }, Vec::new())),
            Err(Errno::EDEADLK) => Sandbox::re_exec(ours, theirs, spec, tty),
            Err(errno) => Err(no_namespaces(errno as i32)),
        }
    }

    /// Launches from a process with threads: a helper without any makes init.
    fn re_exec(ours: OwnedFd, theirs: OwnedFd, mut spec: Spec, tty: Option<&OwnedFd>) -> Result<(Sandbox, Vec<Heard>)> {
        // The helper inherits these by number; every other descriptor of sandtop is closed at exec.
        let control = inheritable(&theirs)?;
        let tty = tty.map(inheritable).transpose()?;
        spec.setup.streams = tty.as_ref().map_or(Streams::Inherited, |tty| Streams::Terminal(tty.as_raw_fd()));
        let spec_file = inheritable(&spec.to_file()?)?;
        let mut helper = Command::new("/proc/self/exe");
        helper.arg0("sandtop-init").arg(INIT_COMMAND);
        helper.arg(control.as_raw_fd().to_string()).arg(spec_file.as_raw_fd().to_string());
        helper.env_clear(); // the workload's environment is none of init's: no LD_PRELOAD in PID 1
        if tty.is_some() {
            helper.stdout(Stdio::null()).stderr(Stdio::null());
            if !spec.setup.keep_stdin {
                helper.stdin(Stdio::null());
            }
        }
        let child = helper.spawn().map_err(|e| Error::sys("start the sandbox's init (/proc/self/exe)", e));
        drop((theirs, control, tty, spec_file));
        let mut child = child?;
        let mut sandbox = Sandbox { control: ours, init: None };
        let early = sandbox.wait_for_init();
        let _ = child.wait();
        Ok((sandbox, early?))
    }

    /// Waits for the helper's word, and gives what others said before it: init and a quick workload do not wait for the helper.
    fn wait_for_init(&mut self) -> Result<Vec<Heard>> {
        let mut early = Vec::new();
        loop {
            let mut fds = [nix::poll::PollFd::new(self.control.as_fd(), nix::poll::PollFlags::POLLIN)];
            let _ = nix::poll::poll(&mut fds, nix::poll::PollTimeout::NONE);
            match self.receive() {
                Ok(Some((Report::Init(pid), _))) => {
                    self.init = Some(open_pidfd(pid)?);
                    return Ok(early);
                }
                Ok(Some((Report::Failed(failure), _))) if failure.step == crate::event::Step::Unshare => {
                    return Err(no_namespaces(failure.errno));
                }
                Ok(Some(heard)) => early.push(heard),
                Ok(None) => {}
                Err(_) => return Err(Error::new("the sandbox's init did not come up")),
            }
        }
    }

    /// The next report, if there is one.
    ///
    /// # Errors
    /// When the inside is gone.
    pub fn receive(&self) -> Result<Option<Heard>> {
        let mut buffer = [0; MAX_MESSAGE];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let mut space = nix::cmsg_space!(nix::libc::ucred);
        let message = match recvmsg::<()>(self.control.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(e) => return Err(Error::sys("hear from init", e)),
        };
        let sender = message.cmsgs().into_iter().flatten().find_map(|c| match c {
            ControlMessageOwned::ScmCredentials(who) => Some(who.pid()),
            _ => None,
        });
        let n = message.bytes;
        if n == 0 {
            return Err(Error::new("init is gone"));
        }
        Ok(Report::decode(&buffer[..n]).map(|report| (report, sender.unwrap_or_default())))
    }

    /// Lets the command go: init starts it, and it joins the groups whose `cgroup.procs` these are before it becomes the command. Init keeps the
    /// other files, to let all die when sandtop is gone.
    pub fn go(&self, files: &InitFiles) {
        let releases = [files.quota, files.freezer].into_iter().flatten();
        let fds: Vec<_> = files.joins.iter().copied().chain(releases).map(|file| file.as_raw_fd()).collect();
        let order = Order::Go { thaws: files.freezer.is_some(), lifts: files.quota.is_some() }.encode();
        let _ = sendmsg::<()>(
            self.control.as_raw_fd(),
            &[IoSlice::new(&order)],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
    }

    /// Gives init an order; one that it cannot take any more is moot.
    pub fn order(&self, order: Order) {
        let _ = send(self.control.as_raw_fd(), &order.encode(), MsgFlags::MSG_NOSIGNAL);
    }

    /// The socket: readable when there is a report.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Init's pidfd: readable when init, and with it the whole sandbox, has ended.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.init.as_ref().map(AsFd::as_fd)
    }

    /// Ends everything in the sandbox. The pidfd tells when it is gone.
    pub fn kill(&self) {
        if let Some(init) = &self.init {
            let _ = pidfd_send_signal(init, Signal::KILL);
        }
    }

    /// Waits for init, which has ended or is about to, at most so long; whether it is gone. The kernel lets init go last: when it is reaped, the
    /// groups are empty. It stays while anybody in its namespace sleeps uninterruptibly.
    pub fn reap(&mut self, most: Duration) -> bool {
        let Some(init) = &self.init else { return true };
        let end = Instant::now() + most;
        loop {
            match waitid(Id::PIDFd(init.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::StillAlive) if Instant::now() >= end => return false,
                Ok(WaitStatus::StillAlive) => {
                    let left = end.saturating_duration_since(Instant::now());
                    let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
                    let _ = poll(&mut [PollFd::new(init.as_fd(), PollFlags::POLLIN)], timeout);
                }
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        self.init = None;
        true
    }
}

impl Sandbox {
    /// Kills init and waits for nothing, now and later.
    pub fn leave(&mut self) {
        self.kill();
        self.init = None;
    }
}

/// How long the end of a sandbox that was killed is waited for.
pub const PATIENCE: Duration = Duration::from_secs(2);

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
        self.reap(PATIENCE);
    }
}

/// Closes what was handed on to the workload: its pipes end, and its locks go, with it alone.
pub fn let_go(descriptors: &[i32]) {
    descriptors.iter().for_each(|fd| drop(sys::inherited(*fd)));
}

fn inheritable(fd: impl AsFd) -> Result<OwnedFd> {
    rustix::io::dup(fd).map_err(|e| Error::sys("duplicate a descriptor", e)) // dup clears close-on-exec
}

fn set_blocking(fd: &OwnedFd) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd).map_err(|e| Error::sys("read descriptor flags", e))?;
    rustix::fs::fcntl_setfl(fd, flags.difference(rustix::fs::OFlags::NONBLOCK))
        .map_err(|e| Error::sys("set descriptor flags", e))
}

fn open_pidfd(pid: i32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| Error::new("init has no pid"))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|e| Error::sys("open a pidfd (Linux 5.3 or later is needed)", e))
}

fn no_namespaces(errno: i32) -> Error {
    let error = Error::sys("make namespaces for the sandbox", io::Error::from_raw_os_error(errno));
    match Errno::from_raw(errno) {
        Errno::EPERM if is_nested() => nested(),
        Errno::EPERM if nix::unistd::geteuid().is_root() => error.remedy(
            "uid 0 has not got the right here (CAP_SYS_ADMIN): in a container, start it with --privileged; sandtop doctor tells more",
        ),
        Errno::EPERM => {
            error.remedy("namespaces need root: run sandtop with sudo; in a container, start it with --privileged")
        }
        Errno::ENOSPC => error.remedy("raise the limits in /proc/sys/user/max_*_namespaces"),
        _ => error,
    }
}

/// That another sandtop's sandbox is no place for one.
pub fn nested() -> Error {
    Error::new("this is inside another sandtop, in whose sandbox no other can be made")
        .remedy("run it outside; the limit of the one that runs can be moved from there")
}

/// Whether process 1 is the init of a sandtop.
pub fn is_nested() -> bool {
    std::fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim_end() == INIT_NAME)
}

/// What init is called.
pub const INIT_NAME: &str = "sandtop-init";

/// The files that a command name may mean, in order: itself if it has a slash, else one in every directory of the environment's PATH.
pub fn candidates(name: &OsStr, env: &[OsString]) -> Vec<PathBuf> {
    if name.as_bytes().contains(&b'/') || name.is_empty() {
        return vec![PathBuf::from(name)];
    }
    let path =
        env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH=")).unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    path.split(|b| *b == b':')
        .map(|dir| if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) })
        .map(|dir| dir.join(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_for_along_the_workloads_own_path() {
        let env = [OsString::from("A=b"), OsString::from("PATH=/x::/y")];
        let found = candidates(OsStr::new("ls"), &env);
        assert_eq!(found, [Path::new("/x/ls"), Path::new("./ls"), Path::new("/y/ls")]);
        assert_eq!(candidates(OsStr::new("./ls"), &env), [Path::new("./ls")]);
    }
}
