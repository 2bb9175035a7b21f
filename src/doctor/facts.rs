//! What doctor knows of a machine: plain data, so that everything that is said about it can be tested on machines that do not exist.
//!
//! Refuses: any judgement. What is good or bad about a fact is said in `checks/`.

use std::path::PathBuf;

use crate::cgroup::{Hierarchy, foresee::Home};

/// What was looked up, or the sentence that says why it is not known.
pub type Known<T> = Result<T, String>;

/// Why something cannot be had, in the words of the part of sandtop that would refuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub why: String,
    /// What that part would advise.
    pub advice: Option<String>,
}

/// A machine, as one user sees it at one moment.
#[derive(Clone, Debug)]
pub struct Machine {
    /// This program's real path.
    pub exe: String,
    /// Who asks.
    pub me: Me,
    /// Whether /proc is what sandtop needs it to be.
    pub proc: Known<()>,
    /// The kernel, and how it was started.
    pub kernel: Kernel,
    /// The memory controller.
    pub memory: Result<Hierarchy, Refusal>,
    /// A v2 hierarchy beside v1, whether sandtop may use it or not.
    pub unified: Option<PathBuf>,
    /// Where a group would be made.
    pub home: Result<Home, Refusal>,
    /// Where the pids controller is offered, if anywhere.
    pub pids: Known<Option<PathBuf>>,
    /// Where the cpu controller is offered, if anywhere.
    pub cpu: Known<Option<PathBuf>>,
    /// Where v1's freezer is mounted, if anywhere.
    pub freezer: Option<PathBuf>,
    /// What a group has.
    pub features: Features,
    /// The machine's swap areas.
    pub swap_areas: Known<usize>,
    /// Whether the kernel tells of the whole machine's waiting (`/proc/pressure/memory`).
    pub machine_pressure: Known<()>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// The kernel's log.
    pub log: Log,
    /// systemd, and its own killer.
    pub systemd: Systemd,
    /// What kind of place this is.
    pub around: Around,
    /// The terminal.
    pub terminal: Terminal,
}

/// A user.
#[derive(Clone, Debug)]
pub struct Me {
    /// The effective user id.
    pub uid: u32,
    /// The user's name, or the id.
    pub name: String,
    /// Whether `CAP_SYS_ADMIN` is in effect: root in a container usually lacks it.
    pub sys_admin: bool,
}

impl Me {
    /// Whether this is root.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// A running kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `/proc/sys/kernel/osrelease`.
    pub release: Known<String>,
    /// `/proc/cmdline`.
    pub command_line: Known<String>,
    /// What its build options say about pressure, where they can be read.
    pub psi: Option<Psi>,
    /// How an argument is added to its command line.
    pub boot: Boot,
}

impl Kernel {
    /// Its version: `6.1.0-9-amd64` is (6, 1).
    pub fn version(&self) -> Option<(u32, u32)> {
        version(self.release.as_ref().ok()?)
    }

    /// Whether a word stands on its command line.
    pub fn was_told(&self, word: &str) -> bool {
        self.command_line.as_ref().is_ok_and(|line| line.split_whitespace().any(|w| w == word))
    }

    /// Whether it was started without the memory controller; as `cgroup::detect` reads it.
    pub fn memory_disabled(&self) -> bool {
        let Ok(line) = &self.command_line else { return false };
        let mut lists = line.split_whitespace().filter_map(|word| word.strip_prefix("cgroup_disable="));
        let disabled = lists.any(|list| list.split(',').any(|name| name == "memory"));
        disabled && !self.was_told("cgroup_enable=memory") && !self.was_told("cgroup_memory=1")
    }
}

/// A release's first two numbers.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// `CONFIG_PSI` and `CONFIG_PSI_DEFAULT_DISABLED` (init/Kconfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psi {
    /// Not built in.
    Absent,
    /// Built in, and off unless asked for by `psi=1`.
    OffByDefault,
    /// Built in, and on.
    On,
}

/// Where a kernel's command line is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// `/etc/default/grub` and `update-grub`: Debian, Ubuntu.
    Grub,
    /// `grubby`: Fedora, RHEL.
    Grubby,
    /// One line in this file: Raspberry Pi.
    File(PathBuf),
    /// Anything else.
    Other,
}

/// Whether a group has a file or an ability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// As seen in a group that is there.
    Seen(bool),
    /// As the kernel's version has it: there was no group to look into.
    ByVersion(bool),
    /// Neither a group nor a version was to be read.
    Unknown,
}

impl Has {
    /// Whether it is there, as far as known.
    pub fn there(self) -> bool {
        matches!(self, Has::Seen(true) | Has::ByVersion(true))
    }
}

/// What the groups of this kernel have; on v1 some of it in a twin group in the v2 hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The highest usage: `memory.peak` (5.19), on v1 `memory.max_usage_in_bytes`.
    pub peak: Has,
    /// Resetting it: v2 for one descriptor alone (6.12), v1 always.
    pub peak_reset: Has,
    /// `memory.pressure` (4.20, 5.2 on v1's twin).
    pub pressure: Has,
    /// `cgroup.freeze` (5.2).
    pub freeze: Has,
    /// `cgroup.kill` (5.14).
    pub kill: Has,
    /// `memory.reclaim` (5.19), on v1 `memory.force_empty`.
    pub reclaim: Has,
    /// `memory.swap.max`, on v1 `memory.memsw.limit_in_bytes`.
    pub swap: Has,
}

/// Which namespaces there are, and whether this user gets them.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Those of `/proc/self/ns` that sandtop uses.
    pub kinds: Known<Vec<String>>,
    /// What came of trying, for a plain user: an errno's words, or why it could not be tried.
    pub tried: Known<Result<(), String>>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu, since 23.10).
    pub apparmor: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian's and Arch's patch).
    pub clone: Option<u64>,
    /// `user.max_user_namespaces`.
    pub most: Option<u64>,
    /// Something is mounted over parts of /proc, and the kernel then refuses a fresh one (`mount_too_revealing`, fs/namespace.c).
    pub proc_masked: bool,
}

/// The kernel's log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Whether /dev/kmsg can be read.
    pub readable: Known<()>,
    /// `kernel.dmesg_restrict`.
    pub restricted: Option<u64>,
    /// Whether our pids are those that the kernel prints.
    pub initial_pids: Known<bool>,
}

/// systemd as far as sandtop has to do with it.
#[derive(Clone, Debug)]
pub struct Systemd {
    /// Whether it is this machine's init (sd_booted(3)).
    pub booted: bool,
    /// Its version, where it is booted.
    pub version: Known<String>,
    /// A socket of this user's own manager.
    pub user_socket: Option<PathBuf>,
    /// systemd-oomd.
    pub oomd: Oomd,
}

/// systemd-oomd, which kills whole groups before the kernel does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oomd {
    /// No process of that name is to be seen.
    Absent,
    /// It runs, and watches these units above the place of our groups.
    Runs(Known<Vec<Watched>>),
}

/// A unit that systemd-oomd watches (systemd.resource-control(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Its name.
    pub unit: String,
    /// `ManagedOOMMemoryPressure=kill`.
    pub pressure: bool,
    /// `ManagedOOMSwap=kill`.
    pub swap: bool,
}

/// What kind of place this is.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// A container, and whose.
    pub container: Option<Container>,
    /// Whether `CAP_SYS_ADMIN` can be had here at all.
    pub privileged: bool,
    /// Windows Subsystem for Linux.
    pub wsl: bool,
    /// GitHub Codespaces.
    pub codespaces: bool,
    /// A virtual machine of Lima's.
    pub lima: bool,
    /// A Raspberry Pi.
    pub pi: bool,
    /// The system service that we are part of.
    pub service: Option<String>,
}

/// Who made a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Container {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// Another, by the name that it gives itself.
    Other(String),
}

/// The terminal, as far as programs can tell.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    /// Whether standard output is one.
    pub tty: bool,
    /// Columns and rows.
    pub size: Option<(u16, u16)>,
    /// `TERM`.
    pub term: Option<String>,
    /// `COLORTERM`.
    pub colorterm: Option<String>,
    /// Whether `NO_COLOR` is set to something.
    pub no_color: bool,
    /// The first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set to something.
    pub locale: Option<String>,
}
