//! The system calls that need `unsafe`: the only file of the crate that may contain it.
//!
//! Most of it is used by the re-exec'd, single-threaded process (the helper, init, the main process before exec), or wraps a descriptor number
//! that process was given; the rest is about signals. Refuses: any decision.
#![allow(unsafe_code)]

use std::{
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SigHandler, Signal},
    unistd::Pid,
};

/// Takes ownership of a descriptor that was inherited by number; `None` for a number that is no open descriptor above 2.
pub fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD reads a flag; a number that is not open is an error.
    let open = fd > 2 && unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
    // SAFETY: it is open, and taken once per number, by the process that was started with it for this purpose.
    open.then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a fork made of this process.
pub enum Forked {
    /// The parent; the pid is as it sees it.
    Parent(Pid),
    /// The child.
    Child,
}

/// Whether this process has one thread: only then may it be copied and go on in the copy, since no lock can be held by a
/// thread that the copy does not have.
pub fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Whose child init becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// This process's.
    Us,
    /// This process's parent's (`CLONE_PARENT`): this process, a helper, may then go, and init is still sandtop's own
    /// child, so that its pidfd and its parent-death signal work.
    Ours,
}

/// fork(2) into these new namespaces. Refused (`EDEADLK`) to a process with more than one thread.
pub fn fork_into(namespaces: libc::c_int, parent: Parent) -> Result<Forked, Errno> {
    if !is_single_threaded() {
        return Err(Errno::EDEADLK);
    }
    let whose = if parent == Parent::Ours { libc::CLONE_PARENT } else { 0 };
    let flags = (namespaces | whose) as libc::c_ulong | libc::SIGCHLD as libc::c_ulong;
    // SAFETY: this process has one thread, so the copy is whole. Without a stack argument and without CLONE_VM the call is
    // fork(2) with flags; the other arguments are ignored then.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) };
    match Errno::result(pid)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(Pid::from_raw(pid as i32))),
    }
}

/// fork(2).
pub fn fork() -> Result<Forked, Errno> {
    // SAFETY: only init calls this, which never makes a thread.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Forked::Parent(child)),
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
    }
}

/// Ends at once: no destructor, no exit handler of a process that this one is a copy of.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any number and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Marks every descriptor above 2 to be closed at exec, but for these.
pub fn close_on_exec_above_2_but(keep: &[RawFd]) {
    // The flag is Linux 5.11.
    if close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC).is_err() {
        for fd in open_above_2() {
            // SAFETY: F_SETFD changes a flag of a descriptor of this process; a number that is closed meanwhile is an error, ignored.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    for fd in keep {
        // SAFETY: as above.
        unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) };
    }
}

/// The descriptors above 2 that an exec would hand on.
pub fn inheritable_above_2() -> Vec<RawFd> {
    // SAFETY: F_GETFD reads a flag; a number that is closed meanwhile is an error.
    let flags = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) };
    open_above_2().into_iter().filter(|fd| matches!(flags(fd), n if n >= 0 && n & libc::FD_CLOEXEC == 0)).collect()
}

/// Closes every descriptor above 2 but these: in a copy of a process they are nobody's any more.
pub fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep.iter().copied().chain([u32::MAX]) {
        if fd > from && close_range(from, fd - 1, 0).is_err() {
            for open in open_above_2().into_iter().filter(|open| !keep.contains(&(*open as u32))) {
                // SAFETY: no object of this copy uses these descriptors any more: it goes on as init, with those that it keeps.
                unsafe { libc::close(open) };
            }
            return;
        }
        from = fd.saturating_add(1);
    }
}

/// close_range(2), Linux 5.9.
fn close_range(first: u32, last: u32, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: it takes plain numbers, and touches descriptors only; its two callers say why they may.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

fn open_above_2() -> Vec<RawFd> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    open.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect()
}

/// Gives SIGPIPE its default back: Rust's start-up ignores it, and an ignored signal stays ignored over exec.
pub fn default_sigpipe() -> Result<(), Errno> {
    // SAFETY: the default action is no handler function, so there is none that could be unsafe.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

/// Brings the loopback device of a fresh network namespace up.
pub fn raise_loopback() -> Result<(), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use std::os::fd::AsRawFd;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain old data, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // The request is an unsigned long for glibc and an int for musl.
    // SAFETY: SIOCSIFFLAGS reads the ifreq that it is given a pointer to, which lives past the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) }).map(drop)
}

/// Installs a seccomp filter for this process and all that it becomes. Needs CAP_SYS_ADMIN or no_new_privs.
pub fn install_filter(program: &mut [libc::sock_filter]) -> Result<(), Errno> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program during the call; both it and the header outlive the call.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) }).map(drop)
}

/// Whether a signal is ignored here, as `nohup` or a daemon's parent may have arranged.
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: sigaction is plain old data, and with no new action the call only fills it in.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let asked = unsafe { libc::sigaction(signal as libc::c_int, std::ptr::null(), &mut now) };
    asked == 0 && now.sa_sigaction == libc::SIG_IGN
}

/// Catches a signal and does nothing about it: it then breaks off what a thread waits for in the kernel. Nothing that is executed inherits that.
pub fn catch_quietly(signal: Signal) -> Result<(), Errno> {
    use nix::sys::signal::{SaFlags, SigAction, SigSet, sigaction};
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: a handler that does nothing may run at any place.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Ignores SIGCHLD, or no longer. While it is ignored the kernel reaps children itself, and nobody learns how they ended.
pub fn ignore_sigchld(ignore: bool) {
    let action = if ignore { SigHandler::SigIgn } else { SigHandler::SigDfl };
    // SAFETY: neither action is a handler function.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGCHLD, action) };
}

/// Signals of a crash, which nothing but a handler can take.
const CRASHES: [Signal; 8] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGXFSZ,
    Signal::SIGABRT,
];

/// What gives the terminal back when this process crashes.
struct GiveBack {
    taken: &'static AtomicBool,
    bytes: Vec<u8>,
    modes: libc::termios,
}

static GIVE_BACK: OnceLock<GiveBack> = OnceLock::new();

/// Writes these bytes to the terminal and sets its modes as they are now, when this process crashes while `taken` is set; it then ends by that
/// signal all the same. A signal that is ignored stays so.
pub fn give_terminal_back_on_crash(taken: &'static AtomicBool, bytes: Vec<u8>) -> Result<(), Errno> {
    use nix::sys::signal::{SaFlags, SigAction, SigSet, sigaction};
    // SAFETY: termios is plain old data, for which all zeroes is a valid value.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: tcgetattr fills in the termios that it is given a pointer to.
    Errno::result(unsafe { libc::tcgetattr(0, &mut modes) })?;
    let _ = GIVE_BACK.set(GiveBack { taken, bytes, modes });
    let action = SigAction::new(SigHandler::Handler(crashed), SaFlags::SA_ONSTACK, SigSet::empty());
    for signal in CRASHES.into_iter().filter(|signal| !is_ignored(*signal)) {
        // SAFETY: the handler calls nothing but what signal-safety(7) lists, and reads what was set before it was installed.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Gives the terminal back, and ends by the signal: it is blocked while its handler runs, so that it comes when this returns.
extern "C" fn crashed(signal: libc::c_int) {
    if let Some(what) = GIVE_BACK.get()
        && what.taken.swap(false, Ordering::SeqCst)
    {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: open, write and tcsetattr are async-signal-safe; the buffer and the termios live for ever.
        unsafe {
            let tty = libc::open(c"/dev/tty".as_ptr(), flags);
            libc::write(tty, what.bytes.as_ptr().cast(), what.bytes.len());
            libc::tcsetattr(tty, libc::TCSANOW, &what.modes);
        }
    }
    // SAFETY: both are async-signal-safe; the default action is no handler function.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Takes away the handlers of Rust's start-up, which tell of a stack that overflowed and swallow the first such signal that somebody sends.
pub fn default_crash_signals() {
    for signal in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: the default action is no handler function.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
}

/// Whether standard output was closed when this process was started.
pub fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's start-up, which puts /dev/null in the place of a standard stream that is closed.
// SAFETY: the C library calls what is listed in this section once, before main and in the only thread.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: F_GETFD reads a flag; a number that is not open is an error.
        let closed = unsafe { libc::fcntl(1, libc::F_GETFD) } < 0;
        STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
    }
    look
};
