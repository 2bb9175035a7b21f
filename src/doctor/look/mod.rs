//! Asks the machine. Every answer may be that it is not known; nothing here fails, and nothing that it does stays.

mod around;
mod groups;
mod systemd;

use std::{
    fs,
    io::IsTerminal,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use super::facts::{Boot, Kernel, Known, Log, Machine, Me, Namespaces, Psi, Refusal, Terminal};
use crate::{
    cgroup::{self, Hierarchy, foresee, place},
    error::{Error, printable, reason},
    mountinfo::{self, Mount},
    oom, sandbox,
};

/// Everything. Must be called while sandtop has one thread: a user namespace is tried in a child of it.
pub fn machine() -> Machine {
    sandbox::take_sigchld(); // children are waited for here, and sandtop was perhaps started with their ends ignored
    let me = me();
    let mounts = mountinfo::read();
    let none = Vec::new();
    let list = mounts.as_ref().unwrap_or(&none);
    let memory = match &mounts {
        Ok(mounts) => cgroup::detect(mounts).map_err(|e| refusal(&e)),
        Err(e) => Err(refusal(e)),
    };
    let home = match &memory {
        Ok(hierarchy) => foresee::home(hierarchy).map_err(|e| refusal(&e)),
        Err(refusal) => Err(refusal.clone()),
    };
    let kernel = kernel();
    let unified = list.iter().find(|mount| mount.kind == "cgroup2").map(|mount| mount.point.clone());
    let mounted = |name: &str| list.iter().find(|mount| mount.controls(name)).map(|mount| mount.point.clone());
    let features = groups::features(memory.as_ref().ok(), home.as_ref().ok(), unified.as_deref(), kernel.version());
    let offered = |name: &str| groups::controller(memory.as_ref().ok(), home.as_ref().ok(), mounted(name), name);
    Machine {
        exe: exe(),
        proc: proc(),
        pids: offered("pids"),
        cpu: offered("cpu"),
        freezer: mounted("freezer"),
        features,
        swap_areas: read("/proc/swaps").map(|text| text.lines().skip(1).filter(|line| !line.is_empty()).count()),
        machine_pressure: read("/proc/pressure/memory").map(drop),
        namespaces: namespaces(&me, list),
        log: log(),
        systemd: systemd::look(memory.as_ref().ok(), home.as_ref().ok()),
        around: around::look(memory.as_ref().ok()),
        terminal: terminal(),
        unified,
        me,
        kernel,
        memory,
        home,
    }
}

fn refusal(error: &Error) -> Refusal {
    let (why, advice) = error.parts();
    Refusal { why: why.into(), advice: advice.map(str::to_string) }
}

/// A file's text, or the sentence why not.
fn read(path: &str) -> Known<String> {
    let bytes = fs::read(path).map_err(|e| format!("cannot read {path}: {}", reason(&e)))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A kernel setting; `None` where this kernel has none of that name, or says something that is no number.
fn setting(name: &str) -> Option<u64> {
    read(&format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

/// The real path: profiles and sudo do not follow links.
fn exe() -> String {
    let path = std::env::current_exe().and_then(fs::canonicalize);
    path.map_or_else(|_| place::exe(), |path| path.display().to_string())
}

fn me() -> Me {
    let uid = nix::unistd::geteuid();
    let user = crate::accounts::user_by_id(uid.as_raw());
    let sets = rustix::thread::capabilities(None);
    let sys_admin =
        |sets: rustix::thread::CapabilitySets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN);
    Me {
        uid: uid.as_raw(),
        name: user.map_or_else(|| uid.to_string(), |user| user.name),
        sys_admin: sets.is_ok_and(sys_admin),
    }
}

/// `/proc/self` is a link to our pid, in a /proc of our own pid namespace; of another one it leads nowhere.
fn proc() -> Known<()> {
    let link = fs::read_link("/proc/self").map_err(|e| format!("/proc/self cannot be read: {}", reason(&e)))?;
    match link.to_str().and_then(|text| text.parse::<u32>().ok()) {
        Some(pid) if pid == std::process::id() => Ok(()),
        _ => Err(format!("/proc says that sandtop is process {}: it is another pid namespace's", link.display())),
    }
}

fn kernel() -> Kernel {
    let one_line = |path| read(path).map(|text| printable(text.trim()));
    let release = one_line("/proc/sys/kernel/osrelease");
    let config = release.as_ref().ok().and_then(|release| read(&format!("/boot/config-{release}")).ok());
    Kernel { command_line: one_line("/proc/cmdline"), psi: config.map(|config| psi(&config)), boot: boot(), release }
}

fn psi(config: &str) -> Psi {
    let set = |option: &str| config.lines().any(|line| line == format!("{option}=y"));
    match (set("CONFIG_PSI"), set("CONFIG_PSI_DEFAULT_DISABLED")) {
        (false, _) => Psi::Absent,
        (true, true) => Psi::OffByDefault,
        (true, false) => Psi::On,
    }
}

fn boot() -> Boot {
    let pi = ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"].into_iter().find(|file| Path::new(file).exists());
    let has = |paths: [&str; 2]| paths.iter().any(|path| Path::new(path).exists());
    match pi {
        Some(file) => Boot::File(file.into()),
        None if has(["/usr/sbin/grubby", "/sbin/grubby"]) => Boot::Grubby,
        None if has(["/usr/sbin/update-grub", "/sbin/update-grub"]) => Boot::Grub,
        None => Boot::Other,
    }
}

fn namespaces(me: &Me, mounts: &[Mount]) -> Namespaces {
    let wanted = ["pid", "mnt", "cgroup", "uts", "ipc", "net", "user"];
    let there = |kind: &&str| Path::new("/proc/self/ns").join(kind).symlink_metadata().is_ok();
    let kinds: Vec<String> = wanted.into_iter().filter(there).map(str::to_string).collect();
    let over_proc = |mount: &&Mount| mount.point.starts_with("/proc") && mount.point != Path::new("/proc");
    Namespaces {
        kinds: if kinds.is_empty() { Err("cannot read /proc/self/ns".into()) } else { Ok(kinds) },
        tried: if me.is_root() { Ok(Ok(())) } else { tried(me) },
        apparmor: setting("kernel/apparmor_restrict_unprivileged_userns"),
        clone: setting("kernel/unprivileged_userns_clone"),
        most: setting("user/max_user_namespaces"),
        // systemd's automount of binfmt_misc is no mask (`mount_too_revealing` counts only what is locked or read-only).
        proc_masked: mounts.iter().filter(over_proc).any(|mount| !mount.point.ends_with("binfmt_misc")),
    }
}

/// Makes a user namespace with the sandbox's first mounts in a child, which then ends.
fn tried(me: &Me) -> Known<Result<(), String>> {
    use nix::errno::Errno;
    match sandbox::rootless::try_user_namespace((me.uid, nix::unistd::getegid().as_raw())) {
        Ok(()) => Ok(Ok(())),
        Err(Errno::EDEADLK) => Err("cannot read /proc/self/task, so that none was tried".into()),
        Err(errno) => Ok(Err(crate::error::errno_text(errno as i32))),
    }
}

fn log() -> Log {
    let file = "/dev/kmsg";
    let open = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(file);
    Log {
        readable: open.map(drop).map_err(|e| format!("cannot open {file}: {}", reason(&e))),
        restricted: setting("kernel/dmesg_restrict"),
        initial_pids: oom::pids_are_the_kernels().map_err(|e| e.parts().0.to_string()),
    }
}

fn terminal() -> Terminal {
    let text = |name: &str| std::env::var_os(name).map(|value| printable(&value.to_string_lossy()));
    let full = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let size = |fd: std::os::fd::BorrowedFd<'_>| rustix::termios::tcgetwinsize(fd).ok();
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let size = [output.as_fd(), error.as_fd(), input.as_fd()].into_iter().find_map(size);
    Terminal {
        tty: output.is_terminal(),
        size: size.filter(|size| size.ws_col > 0).map(|size| (size.ws_col, size.ws_row)),
        term: text("TERM"),
        colorterm: text("COLORTERM"),
        no_color: full(&"NO_COLOR"),
        locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(full).and_then(text),
    }
}

/// The path of a group as `/proc/self/cgroup` has it, for what lies above it.
fn below(hierarchy: &Hierarchy, dir: &Path) -> String {
    dir.strip_prefix(&hierarchy.root).unwrap_or(dir).display().to_string()
}
