//! Which open descriptors go from the user's shell to the workload: pipes of a process substitution,
//! make's jobserver, locks. Those that could lead to the limit, or to the host's mounts, stay behind.
//!
//! Must be asked while sandtop has what it opened itself marked to be closed at exec, which all of it
//! always is: what is left is what it was started with.

use std::{
    fs::File,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
};

use nix::sys::statfs::fstatfs;
use rustix::fs::OFlags;

use super::sys;

/// A descriptor that is not handed on, and what it is, in words.
pub type Refused = (RawFd, String);

/// What sandtop was started with beside the three standard streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Handed on, by the same numbers.
    pub passed: Vec<RawFd>,
    /// Closed.
    pub refused: Vec<Refused>,
}

impl Inherited {
    /// Looks at them, and closes those that are not handed on.
    pub fn take() -> Inherited {
        let mut inherited = Inherited::default();
        for fd in sys::inheritable_above_2() {
            let Some(file) = sys::inherited(fd) else { continue };
            match refusal(file.as_fd()) {
                None => inherited.passed.push(file.into_raw_fd()),
                Some(what) => inherited.refused.push((fd, what)), // and is closed here
            }
        }
        inherited
    }
}

/// The standard stream that cannot be the workload's, and what it is.
pub fn refused_stream() -> Option<(&'static str, String)> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams =
        [("standard input", stdin.as_fd()), ("standard output", stdout.as_fd()), ("standard error", stderr.as_fd())];
    streams.into_iter().find_map(|(name, fd)| Some((name, refusal(fd)?)))
}

/// What a descriptor is, where it is nothing that is handed on.
fn refusal(fd: BorrowedFd<'_>) -> Option<String> {
    let shown = || shown(fd);
    let Ok(duplicate) = fd.try_clone_to_owned() else { return Some(shown()) };
    let is_path = rustix::fs::fcntl_getfl(&duplicate).is_ok_and(|flags| flags.contains(OFlags::PATH));
    let file = File::from(duplicate);
    let (Ok(metadata), Ok(system)) = (file.metadata(), fstatfs(&file)) else { return Some(shown()) };
    let kind = metadata.file_type();
    let magic = system.filesystem_type().0 as u32;
    let passes = !is_path
        && if magic == ANON_INODE {
            ["anon_inode:[eventfd]", "anon_inode:[timerfd]"].contains(&link(fd).as_str())
        } else if kind.is_char_device() {
            is_harmless_device(metadata.rdev())
        } else if kind.is_file() {
            // Whoever may write a file can open it anew for writing, also from a descriptor that
            // is open for reading.
            let never_writable = metadata.mode() & 0o222 == 0;
            !KERNEL_INTERFACES.contains(&magic) || (PROC_AND_SYS.contains(&magic) && never_writable)
        } else {
            kind.is_fifo() || kind.is_socket()
        };
    (!passes).then(|| match link(fd).strip_prefix("anon_inode:") {
        Some(inner) => inner.trim_matches(['[', ']']).to_string(),
        None if kind.is_dir() => format!("the directory {}", shown()),
        None => shown(),
    })
}

/// A terminal's own end, or one of the devices that hold nothing.
fn is_harmless_device(rdev: u64) -> bool {
    // Documentation/admin-guide/devices.txt
    let is_terminal = |major, minor| match major {
        4 | 136..=143 | 166 | 188 | 204 | 229 => true, // consoles, serial lines, pseudo-terminals
        5 => minor != 2,                               // /dev/tty, /dev/console; 2 is a master
        _ => false,
    };
    match (rustix::fs::major(rdev), rustix::fs::minor(rdev)) {
        (1, minor) => [3, 5, 7, 8, 9].contains(&minor), // null, zero, full, random, urandom
        (major, minor) => is_terminal(major, minor),
    }
}

/// What the descriptor is open on, as the kernel names it.
fn link(fd: BorrowedFd<'_>) -> String {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::read_link(path).map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}

fn shown(fd: BorrowedFd<'_>) -> String {
    let link = link(fd);
    if link.is_empty() { "something that cannot be looked at".into() } else { crate::error::printable(&link) }
}

/// include/uapi/linux/magic.h
const ANON_INODE: u32 = 0x0904_1934;
const PROC_AND_SYS: [u32; 2] = [0x9fa0, 0x6265_6572];

/// File systems that are no storage: files in them change the kernel.
const KERNEL_INTERFACES: [u32; 20] = [
    PROC_AND_SYS[0],
    PROC_AND_SYS[1],
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0xcafe_4a11, // bpf
    0x6e73_6673, // nsfs
    0x5049_4446, // pidfs
    0x6265_6570, // configfs
    0x7363_6673, // securityfs
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x0765_5821, // resctrl
    0xabba_1974, // xenfs
    0x5a3c_69f0, // apparmor's own
];

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn passes(file: impl AsFd) -> bool {
        refusal(file.as_fd()).is_none()
    }

    #[test]
    fn what_leads_nowhere_is_handed_on_and_what_leads_to_the_host_is_not() {
        let (pipe, _) = std::io::pipe().unwrap();
        let (socket, _) = UnixStream::pair().unwrap();
        assert!(passes(&pipe) && passes(&socket));
        let open = |path: &str| File::open(path).unwrap();
        for path in ["/dev/null", "/dev/zero", "/dev/urandom", "/proc/meminfo", "/etc/passwd", "/proc/self/mounts"] {
            assert!(passes(open(path)), "{path}");
        }
        for path in ["/", "/proc", "/proc/sys/kernel/core_pattern", "/proc/self/oom_score_adj", "/proc/self/ns/mnt"] {
            assert!(!passes(open(path)), "{path}");
        }
        assert!(passes(tempfile::tempfile().unwrap()));
        let path = rustix::fs::open("/etc/passwd", OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        assert!(!passes(&path));
        assert_eq!(refusal(open("/").as_fd()).unwrap(), "the directory /");
    }

    #[test]
    fn of_what_has_no_file_only_counters_and_timers_are_handed_on() {
        use nix::sys::{
            epoll::{Epoll, EpollCreateFlags},
            eventfd::EventFd,
            timerfd::{ClockId, TimerFd, TimerFlags},
        };
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty()).unwrap();
        assert!(passes(EventFd::new().unwrap().as_fd()) && passes(timer.as_fd()));
        assert_eq!(refusal(Epoll::new(EpollCreateFlags::empty()).unwrap().0.as_fd()).as_deref(), Some("eventpoll"));
        let inotify = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::empty()).unwrap();
        assert_eq!(refusal(inotify.as_fd()).as_deref(), Some("inotify"));
        let myself = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(myself, rustix::process::PidfdFlags::empty()).unwrap();
        assert!(!passes(&pidfd));
    }

    #[test]
    fn a_terminals_end_is_handed_on_and_its_master_is_not() {
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
        assert!(passes(&slave) && !passes(&master));
    }
}
