//! The inside of the sandbox: init (PID 1), how it comes to be, and the main process until it execs.
//!
//! One thread throughout. Init mounts, forks, forwards orders, reaps everything and reports; it stays outside the limited group, so that it is never a
//! victim, never blocked and never counted. It ends when sandtop's end of the socket closes, and the kernel ends the pid namespace with it: those too whom v1's freezer holds, which it thaws.
//!
//! Refuses: anything that sandtop could do from outside.

use std::{
    ffi::OsStr,
    fs::File,
    io::IoSliceMut,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::CloneFlags,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
        socket::{ControlMessageOwned, MsgFlags, recvmsg, send},
        statfs::{CGROUP2_SUPER_MAGIC, fstatfs},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve, setsid},
};

use rustix::thread::CapabilitySet;

use super::{
    mounts,
    privileges::{self, Privileges},
    protocol::{Order, Report},
    rootless::{Ids, Rest, map_ids, our_ids},
    seccomp,
    spec::{Setup, Spec, Streams, c_string},
    sys::{self, Forked, Parent},
};
use crate::event::{Isolation, StartFailure, Status, Step};

/// A step that failed.
type Failure = StartFailure;

fn failed(step: Step, what: impl Into<String>) -> impl FnOnce(Errno) -> Failure {
    let what = what.into();
    move |errno| Failure { step, what, errno: errno as i32 }
}

/// The re-exec'd helper: reads the spec, makes init, tells its pid, and is gone. The arguments are descriptors.
pub fn helper(control: RawFd, spec: RawFd) -> ! {
    quiet_panics();
    let (Some(control), Some(spec)) = (sys::inherited(control), sys::inherited(spec)) else { sys::exit_now(125) };
    let Ok(spec) = Spec::from_file(File::from(spec)) else { sys::exit_now(125) };
    let outside = our_ids();
    match sys::fork_into(namespaces(&spec), Parent::Ours) {
        Ok(Forked::Parent(pid)) => tell(&control, &Report::Init(pid.as_raw())),
        Ok(Forked::Child) => init(&control, &spec, outside),
        Err(errno) => tell(&control, &Report::Failed(failed(Step::Unshare, "the namespaces")(errno))),
    }
    sys::exit_now(0)
}

/// Makes init as a child of this process, which must have one thread; its pid.
///
/// # Errors
/// When the namespaces cannot be made.
pub fn fork(control: &OwnedFd, spec: &Spec) -> Result<i32, Errno> {
    let outside = our_ids();
    match sys::fork_into(namespaces(spec), Parent::Us)? {
        Forked::Parent(pid) => Ok(pid.as_raw()),
        Forked::Child => {
            quiet_panics();
            let tty = match spec.setup.streams {
                Streams::Terminal(tty) => tty,
                Streams::Inherited => 0,
            };
            let kept: Vec<RawFd> = spec.setup.descriptors.iter().copied().chain([control.as_raw_fd(), tty]).collect();
            sys::close_all_but(&kept);
            init(control, spec, outside)
        }
    }
}

/// A panic of ours must not unwind through a copied process.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| sys::exit_now(125)));
}

fn namespaces(spec: &Spec) -> i32 {
    let chosen = spec.setup.namespaces;
    if spec.setup.isolation == Isolation::LimitOnly {
        return 0;
    }
    let mut flags = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    flags.set(CloneFlags::CLONE_NEWUTS, chosen.uts);
    flags.set(CloneFlags::CLONE_NEWIPC, chosen.ipc);
    flags.set(CloneFlags::CLONE_NEWNET, chosen.net);
    flags.set(CloneFlags::CLONE_NEWUSER, matches!(spec.setup.isolation, Isolation::User { .. }));
    flags.bits() // the cgroup namespace comes later: its root is to be L
}

fn tell(control: &OwnedFd, report: &Report) {
    let _ = send(control.as_raw_fd(), &report.encode(), MsgFlags::MSG_NOSIGNAL);
}

fn init(control: &OwnedFd, spec: &Spec, outside: Ids) -> ! {
    // The signal tells of a parent that dies from now on, the socket of one that is dead already (in a pid
    // namespace getppid() is 0 in either case). Without a pid namespace init must live on to end the workload itself.
    let _ = match spec.setup.isolation {
        Isolation::LimitOnly => rustix::process::set_child_subreaper(Some(rustix::process::getpid())),
        _ => rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)),
    };
    if sandtop_is_gone(control) {
        sys::exit_now(0);
    }
    match prepare(spec, outside).and_then(|signals| start(control, spec).map(|(main, rest)| (signals, main, rest))) {
        Ok((signals, main, rest)) => {
            let ended = watch(control, &signals, main, &rest);
            tell(control, &ended);
        }
        Err(failure) => tell(control, &Report::Failed(failure)),
    }
    sys::exit_now(0)
}

fn sandtop_is_gone(control: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
    let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].revents().is_some_and(|r| r.intersects(hung_up))
}

/// What init prepares for all: file systems, names, and its own ears.
fn prepare(spec: &Spec, outside: Ids) -> Result<SignalFd, Failure> {
    let setup = &spec.setup;
    if let Isolation::User { uid, gid } = setup.isolation {
        map_ids((uid, gid), outside).map_err(failed(Step::Unshare, "the user namespace"))?;
    }
    if setup.isolation != Isolation::LimitOnly {
        if setup.isolation == Isolation::Root {
            mounts::leave_chroot().map_err(|(path, errno)| failed(Step::Mount, path)(errno))?;
        }
        mounts::set_up(&setup.mounts).map_err(|(path, errno)| failed(Step::Mount, path)(errno))?;
    }
    if let Some(name) = &setup.hostname {
        nix::unistd::sethostname(name).map_err(failed(Step::Hostname, name))?;
    }
    if setup.namespaces.net && setup.isolation != Isolation::LimitOnly {
        sys::raise_loopback().map_err(failed(Step::Network, "lo"))?;
    }
    let _ = rustix::thread::set_name(c"sandtop-init");
    // Blocked and never taken, the terminal's signals are nothing to init: the workload gets its own.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(failed(Step::Fork, "signals"))?;
    let child = SigSet::from_iter([Signal::SIGCHLD]);
    SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed(Step::Fork, "signals"))
}

/// Waits to be told, and makes the main process.
fn start(control: &OwnedFd, spec: &Spec) -> Result<(Pid, Rest), Failure> {
    let mut order = next_order(control);
    while let Some((Order::Outlive, _)) = order {
        outlive_sandtop();
        order = next_order(control);
    }
    let (mut joins, thaws, lifts) = match order {
        Some((Order::Go { thaws, lifts }, joins)) if !joins.is_empty() => (joins, thaws, lifts),
        Some((Order::Signal(n), _)) => {
            tell(control, &Report::Ended { status: Status::Signalled(n), left_behind: 0 });
            sys::exit_now(0)
        }
        _ => sys::exit_now(0), // sandtop is gone, or wants nothing to start
    };
    let freezer = if thaws { joins.pop() } else { None };
    let quota = if lifts { joins.pop() } else { None };
    if freezer.is_some() {
        outlive_sandtop();
        if sandtop_is_gone(control) {
            sys::exit_now(0);
        }
    }
    let rest = Rest::new(spec.setup.isolation, &joins, freezer, quota).map_err(failed(Step::Join, MEMORY_GROUP))?;
    let init = nix::unistd::getpid();
    match sys::fork().map_err(failed(Step::Fork, "the main process"))? {
        Forked::Parent(pid) => {
            let_go_of_streams(&spec.setup.descriptors);
            Ok((pid, rest))
        }
        Forked::Child => {
            let Err(failure) = main_process(control, spec, &joins, init);
            tell(control, &Report::Failed(failure));
            sys::exit_now(125)
        }
    }
}

/// A killed init could not thaw, or lift a quota: from now on the socket alone tells that sandtop is gone.
fn outlive_sandtop() {
    let _ = rustix::process::set_parent_process_death_signal(None);
}

/// Init must not keep the workload's pipes, locks and terminal open.
fn let_go_of_streams(descriptors: &[RawFd]) {
    descriptors.iter().for_each(|fd| drop(sys::inherited(*fd)));
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
}

/// What it joins first, in the user's words.
const MEMORY_GROUP: &str = "the memory group";

/// Whether this is a file of a v2 group.
fn is_unified(join: &OwnedFd) -> bool {
    fstatfs(join).is_ok_and(|of| of.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

enum Never {}

/// The main process on its way to the command. Joins L first: no page of the command is uncounted.
fn main_process(control: &OwnedFd, spec: &Spec, joins: &[OwnedFd], init: Pid) -> Result<Never, Failure> {
    let setup = &spec.setup;
    for (n, join) in joins.iter().enumerate() {
        match nix::unistd::write(join, b"0") {
            Err(errno) if n == 0 => return Err(failed(Step::Join, MEMORY_GROUP)(errno)),
            Err(errno) if !is_unified(join) => return Err(failed(Step::Join, "the groups of its other limits")(errno)),
            _ => {} // the twin only tells more; without the others a setting would not hold
        }
    }
    if setup.isolation == Isolation::LimitOnly {
        // Nothing else would end us if init went before this; and when sandtop is gone init kills only what is in the group.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        if nix::unistd::getppid() != init || sandtop_is_gone(control) {
            sys::exit_now(125);
        }
    } else {
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).map_err(failed(Step::Unshare, "the cgroup namespace"))?;
        mounts::show_own_groups(&setup.mounts).map_err(|(path, errno)| failed(Step::Mount, path)(errno))?;
    }
    if let Some(value) = setup.oom_score_adj {
        // Below what it is takes a right (CAP_SYS_RESOURCE) that is about to go.
        let path = "/proc/self/oom_score_adj";
        std::fs::write(path, value.to_string())
            .map_err(|e| failed(Step::Privileges, path)(Errno::from_raw(e.raw_os_error().unwrap_or(0))))?;
    }
    if let Streams::Terminal(tty) = setup.streams {
        own_terminal(tty, setup.keep_stdin).map_err(failed(Step::Terminal, "the terminal"))?;
    }
    tell(control, &Report::Joined(nix::unistd::getpid().as_raw()));
    // By its path, in the new mounts: a directory of the host's cgroup tree must not stay open as the current one.
    let enter = || nix::unistd::chdir(setup.workdir.as_os_str());
    let entered = !setup.workdir_chosen && enter().is_ok();
    if !entered {
        nix::unistd::chdir("/").map_err(failed(Step::Workdir, "/"))?;
    }
    let privileges = &setup.privileges;
    let namespaced = setup.isolation != Isolation::LimitOnly;
    if namespaced {
        privileges::shrink_bounding_set(privileges).map_err(failed(Step::Privileges, "capabilities"))?;
    }
    // Who was given SYS_ADMIN can mount what it likes. The filter needs no_new_privs, or the rights that are about to go.
    let filtered = namespaced && privileges.added & CapabilitySet::SYS_ADMIN.bits() == 0;
    if filtered && privileges.allow_new {
        install_filter(privileges)?;
    }
    if let Some(identity) = &privileges.user {
        privileges::become_user(identity).map_err(failed(Step::User, identity.uid.to_string()))?;
    }
    privileges::give_up(privileges).map_err(failed(Step::Privileges, "capabilities"))?;
    if filtered && !privileges.allow_new {
        install_filter(privileges)?;
    }
    if !entered {
        // A directory of a network or FUSE file system may be one that only this user can enter.
        enter().map_err(failed(Step::Workdir, setup.workdir.to_string_lossy()))?;
    }
    restore_process(setup);
    exec(spec)
}

fn install_filter(privileges: &Privileges) -> Result<(), Failure> {
    let mut program = seccomp::program(CapabilitySet::from_bits_retain(privileges.added));
    if program.is_empty() {
        return Ok(());
    }
    match sys::install_filter(&mut program) {
        Err(Errno::EINVAL) => Ok(()), // a kernel without seccomp: what it would deny is then only denied to others
        other => other.map_err(failed(Step::Privileges, "the system-call filter")),
    }
}

/// A session of its own on this terminal, as login makes it.
fn own_terminal(tty: RawFd, keep_stdin: bool) -> Result<(), Errno> {
    let tty = sys::inherited(tty).ok_or(Errno::EBADF)?;
    setsid()?;
    rustix::process::ioctl_tiocsctty(&tty).map_err(|e| Errno::from_raw(e.raw_os_error()))?;
    if !keep_stdin {
        dup2_stdin(&tty)?;
    }
    dup2_stdout(&tty)?;
    dup2_stderr(&tty)
}

/// Undoes what sandtop and init changed of the process that the user started.
fn restore_process(setup: &Setup) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, setup.open_files.min(hard), hard);
    }
    if setup.sigchld_ignored {
        sys::ignore_sigchld(true);
    }
    let _ = sys::default_sigpipe();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    sys::close_on_exec_above_2_but(&setup.descriptors);
}

/// execvpe with the workload's own PATH. What it returns is the failure: "not executable" wins over "not found".
fn exec(spec: &Spec) -> Result<Never, Failure> {
    let env: Vec<_> = spec.env.iter().map(|text| c_string(text)).collect();
    let argv: Vec<_> = spec.argv.iter().map(|text| c_string(text)).collect();
    let name = spec.argv[0].to_string_lossy().into_owned();
    let mut worst = Errno::ENOENT;
    let named = || super::candidates(&spec.argv[0], &spec.env);
    for path in spec.setup.program.as_ref().map_or_else(named, |program| vec![program.into()]) {
        let path = c_string(path.as_os_str());
        let file = PathBuf::from(OsStr::from_bytes(path.as_bytes()));
        let Err(mut errno) = execve(&path, &argv, &env);
        if errno == Errno::ENOEXEC {
            // A script without `#!`: shells and execvp give it to sh.
            let mut script = vec![c"/bin/sh".to_owned(), path];
            script.extend_from_slice(&argv[1..]);
            let Err(again) = execve(c"/bin/sh", &script, &env);
            errno = again;
        }
        match errno {
            Errno::ENOENT if file.exists() => {
                return Err(failed(Step::Interpreter, name)(errno));
            }
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => worst = errno, // another directory of PATH may have one that may be run
            other => return Err(failed(Step::Exec, name)(other)),
        }
    }
    Err(failed(Step::Exec, name)(worst))
}

/// Waits for an order, and takes the descriptors that may come with it; `None` when sandtop is gone. What is no order is passed over.
fn next_order(control: &OwnedFd) -> Option<(Order, Vec<OwnedFd>)> {
    let mut buffer = [0; 64];
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let mut space = nix::cmsg_space!([RawFd; 8]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(control.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) if message.bytes > 0 => message,
            Err(Errno::EINTR) => continue,
            _ => return None,
        };
        let fds = message.cmsgs().into_iter().flatten().find_map(|c| match c {
            ControlMessageOwned::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds = fds.unwrap_or_default().into_iter().filter_map(sys::inherited).collect();
        let n = message.bytes;
        if let Some(order) = Order::decode(&buffer[..n]) {
            return Some((order, fds));
        }
    }
}

/// Forwards orders and reaps until the main process ends; then ends what is left.
fn watch(control: &OwnedFd, signals: &SignalFd, main: Pid, rest: &Rest) -> Report {
    loop {
        let mut fds =
            [PollFd::new(control.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::NONE).is_err() {
            continue;
        }
        let ready = |fd: &PollFd| fd.revents().is_some_and(|r| !r.is_empty());
        let (order, child) = (ready(&fds[0]), ready(&fds[1]));
        if order {
            match next_order(control) {
                None => {
                    rest.orphaned(main);
                    sys::exit_now(0)
                }
                Some((Order::Go { .. }, _)) => {}
                Some((Order::Outlive, _)) => outlive_sandtop(),
                Some((Order::KillAll, _)) => rest.kill(),
                Some((Order::Signal(n), _)) => {
                    let _ = Signal::try_from(n).map(|signal| kill(main, signal));
                }
            }
        }
        if child {
            while let Ok(Some(_)) = signals.read_signal() {}
            if let Some(status) = reap(main) {
                if rest.is_any_left() {
                    tell(control, &Report::MainEnded(status.clone()));
                }
                return Report::Ended { status, left_behind: rest.end() };
            }
        }
    }
}

/// Reaps whatever has ended; how the main process did, when it is among them.
fn reap(main: Pid) -> Option<Status> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => ended = Some(Status::Exited(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => ended = Some(Status::Signalled(signal as i32)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            _ => {}
        }
    }
}
