//! The file systems of the sandbox: what is covered, what is made read-only, and the view of the own groups.
//!
//! [`MountPlan::new`] decides, from the mount table, before anything is made; the rest carries out. The plan closes every road that was
//! found from inside to the limit (`ARCHITECTURE.md`, "What the limit holds against"): writable cgroup mounts, the host-wide helpers in
//! `/proc/sys` and `/sys`, and mounts of either kind in odd places.

use std::{ffi::OsString, fs::File, os::fd::OwnedFd, path::Path};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, chroot, fchdir, getcwd, pivot_root},
};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use serde::{Deserialize, Serialize};

use super::spec::Namespaces;
use crate::mountinfo::{Mount, detach};

/// Host-wide switches in /proc: made read-only. `sys` holds `core_pattern`, `modprobe`, `poweroff_cmd` and the rest.
const READ_ONLY_PROC: [&str; 8] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "mtrr"];

/// File systems through which the kernel is configured, wherever they are mounted.
const KERNEL_FILE_SYSTEMS: [&str; 9] =
    ["sysfs", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "efivarfs", "pstore", "binfmt_misc"];

/// The controllers of cgroup v1 (`SUBSYS` in include/linux/cgroup_subsys.h); the other options of a mount are none.
const CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "debug",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// Where the cgroup mounts are by convention, and where programs look for them.
const CGROUP_DIR: &str = "/sys/fs/cgroup";

/// What to do to the mounts of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Mounts to take away: every cgroup mount of the host.
    pub detach: Vec<OsString>,
    /// Mounts to cover instead: in a user namespace the host's mounts are locked.
    pub cover: Vec<OsString>,
    /// Mounts to make read-only, with the flags that they have and keep.
    pub read_only: Vec<(OsString, u64)>,
    /// The read-only view of the own groups: a directory below /sys/fs/cgroup, and the controllers mounted there.
    pub view: Vec<(String, String)>,
    /// Whether that view is one hierarchy for all controllers (v2).
    pub unified_view: bool,
    /// Names below /sys/fs/cgroup that are links to those (`cpu` for `cpu,cpuacct`).
    pub links: Vec<(String, String)>,
    /// Whether /sys is mounted anew: it shows the devices of the network namespace that mounts it.
    pub fresh_sys: bool,
    /// Whether /dev/shm and /dev/mqueue are the sandbox's own: they belong to the ipc namespace.
    pub private_ipc: bool,
}

impl MountPlan {
    /// Plans from the host's mount table, for root or, with `in_user_namespace`, for a plain user. To him the kernel's own files are read-only
    /// already.
    pub fn new(mounts: &[Mount], namespaces: Namespaces, in_user_namespace: bool) -> MountPlan {
        let mut plan = MountPlan { private_ipc: namespaces.ipc, fresh_sys: namespaces.net, ..MountPlan::default() };
        // A mount that lies below another stays there: to take that one away would uncover it.
        let is_convention = |mount: &Mount| mount.point == Path::new(CGROUP_DIR);
        let at_convention = mounts.iter().any(is_convention);
        let goes = |mount: &Mount, all: &[Mount]| {
            let below = at_convention && mount.point.starts_with(CGROUP_DIR);
            // Taking away the directory of the mounts takes away what is below it.
            (is_convention(mount) || mount.kind.starts_with("cgroup") && !below) && mount.is_visible(all)
        };
        if in_user_namespace {
            let covered = mounts.iter().rev().filter(|mount| goes(mount, mounts));
            plan.cover = covered.map(|mount| mount.point.clone().into()).collect();
        } else {
            let mut left = mounts.to_vec();
            // The last mounted first: it may lie on top. What it uncovers is looked at again.
            while let Some(mount) = left.iter().rfind(|mount| goes(mount, &left)).cloned() {
                detach(&mut left, mount.id);
                plan.detach.push(mount.point.into());
            }
            let kept = left.iter().filter(|m| m.point.starts_with("/sys") || is_kernel_interface(m));
            let visible = kept.filter(|m| m.is_visible(&left));
            plan.read_only = visible.map(|m| (m.point.clone().into(), kept_flags(m).bits())).collect();
        }
        plan.plan_view(mounts);
        plan
    }

    fn plan_view(&mut self, mounts: &[Mount]) {
        for mount in mounts.iter().filter(|m| m.kind == "cgroup" && m.point.starts_with(CGROUP_DIR)) {
            let known = |o: &&str| CONTROLLERS.contains(o);
            let controllers: Vec<&str> = mount.super_options.iter().map(String::as_str).filter(known).collect();
            let name = mount.point.file_name().map(|n| n.to_string_lossy().into_owned());
            let seen = |name: &String| self.view.iter().any(|(n, _)| n == name);
            if let Some(name) = name.filter(|name| !controllers.is_empty() && !seen(name)) {
                if controllers.len() > 1 {
                    self.links.extend(controllers.iter().map(|c| (c.to_string(), name.clone())));
                }
                self.view.push((name, controllers.join(",")));
            }
        }
        let real: Vec<String> = self.view.iter().map(|(name, _)| name.clone()).collect();
        self.links.retain(|(link, _)| !real.contains(link));
        self.unified_view =
            self.view.is_empty() && mounts.iter().any(|m| m.kind == "cgroup2" && m.point == Path::new(CGROUP_DIR));
    }
}

/// A mount of a kind that configures the kernel; /proc itself is covered by a fresh one.
fn is_kernel_interface(mount: &Mount) -> bool {
    let elsewhere_proc = mount.kind == "proc" && mount.point != Path::new("/proc");
    // Below /proc (binfmt_misc, say) the fresh /proc covers it.
    (elsewhere_proc || KERNEL_FILE_SYSTEMS.contains(&mount.kind.as_str())) && !mount.point.starts_with("/proc")
}

/// A read-only remount must name the flags that are there already, or it would clear them.
fn kept_flags(mount: &Mount) -> MsFlags {
    let named = [
        ("nosuid", MsFlags::MS_NOSUID),
        ("nodev", MsFlags::MS_NODEV),
        ("noexec", MsFlags::MS_NOEXEC),
        ("noatime", MsFlags::MS_NOATIME),
        ("nodiratime", MsFlags::MS_NODIRATIME),
        ("relatime", MsFlags::MS_RELATIME),
    ];
    named.iter().filter(|(name, _)| mount.has(name)).map(|(_, flag)| *flag).collect()
}

/// A mount that failed: which path, and why.
pub type MountError = (String, Errno);

const NONE: Option<&str> = None;

fn at<T: AsRef<Path> + ?Sized>(path: &T) -> impl Fn(Errno) -> MountError + '_ {
    move |errno| (path.as_ref().display().to_string(), errno)
}

/// Where sandtop runs in a chroot, makes that the root of the whole mount namespace: whoever has
/// CAP_SYS_CHROOT leaves a chroot, and finds the mounts of the host outside.
pub fn leave_chroot() -> Result<(), MountError> {
    let directory = || rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let identity = |dir: &OwnedFd| {
        let stat = rustix::fs::statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)?;
        Ok((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, stat.stx_mnt_id))
    };
    let error = |e: rustix::io::Errno| ("/".to_string(), Errno::from_raw(e.raw_os_error()));
    let namespace = File::open("/proc/self/ns/mnt").map_err(|e| {
        ("/proc/self/ns/mnt".to_string(), Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EIO as i32)))
    })?;
    let ours = directory().map_err(error)?;
    // Joining a mount namespace, be it the own one, leads to its real root (`mntns_install`).
    match nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNS) {
        Err(Errno::EPERM) => return Ok(()), // without CAP_SYS_CHROOT: the workload has not got it either
        other => other.map_err(at("/proc/self/ns/mnt"))?,
    }
    if identity(&ours).map_err(error)? == identity(&directory().map_err(error)?).map_err(error)? {
        return Ok(());
    }
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).map_err(at("/"))?;
    fchdir(&ours).map_err(at("/"))?;
    let path = getcwd().map_err(at("/"))?;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&path), &path, NONE, bind, NONE).and_then(|()| chdir(&path)).map_err(at(&path))?;
    match pivot_root(".", ".") {
        // The root of an initramfs cannot be taken away; what is moved over it covers it for good.
        Err(Errno::EINVAL) => {
            mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).and_then(|()| chroot(".")).map_err(at(&path))?;
        }
        other => other.and_then(|()| umount2(".", MntFlags::MNT_DETACH)).map_err(at(&path))?,
    }
    chdir("/").map_err(at("/"))
}

/// As init, in the fresh mount namespace: everything but the view of the own groups.
pub fn set_up(plan: &MountPlan) -> Result<(), MountError> {
    // Nothing that is mounted here may show outside, and nothing outside here.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).map_err(at("/"))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), safe, NONE).map_err(at("/proc"))?;
    for name in READ_ONLY_PROC {
        let path = Path::new("/proc").join(name);
        match mount(Some(&path), &path, NONE, MsFlags::MS_BIND, NONE) {
            Err(Errno::ENOENT) => continue, // this kernel has none
            other => other.map_err(at(&path))?,
        }
        remount_read_only(&path, safe).map_err(at(&path))?;
    }
    for point in &plan.detach {
        match umount2(Path::new(point), MntFlags::MNT_DETACH) {
            Err(Errno::EINVAL | Errno::ENOENT) => {} // went with the directory above it
            other => other.map_err(at(point))?,
        }
    }
    for point in &plan.cover {
        cover(Path::new(point)).map_err(at(point))?;
    }
    if plan.fresh_sys {
        mount(Some("sysfs"), "/sys", Some("sysfs"), safe | MsFlags::MS_RDONLY, NONE).map_err(at("/sys"))?;
    }
    let covered = |point: &Path| plan.fresh_sys && point.starts_with("/sys");
    let read_only = plan.read_only.iter().map(|(point, flags)| (Path::new(point), flags));
    for (point, flags) in read_only.filter(|(point, _)| !covered(point)) {
        match remount_read_only(point, MsFlags::from_bits_retain(*flags)) {
            Err(Errno::EINVAL | Errno::ENOENT) => {} // covered by another mount: out of reach
            other => other.map_err(at(point))?,
        }
    }
    if plan.private_ipc {
        private_ipc()?;
    }
    Ok(())
}

/// Lays an empty file system over a directory.
fn cover(point: &Path) -> Result<(), Errno> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("tmpfs"), point, Some("tmpfs"), flags, Some("mode=755,size=4k"))
}

/// In a fresh user namespace that is to be tried: what a sandbox cannot do without.
pub fn try_out() -> Result<(), Errno> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, NONE)?;
    cover(Path::new("/proc"))
}

fn remount_read_only(point: &Path, flags: MsFlags) -> Result<(), Errno> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags;
    mount(NONE, point, NONE, flags, NONE)
}

fn private_ipc() -> Result<(), MountError> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for (point, kind, data) in [("/dev/shm", "tmpfs", Some("mode=1777")), ("/dev/mqueue", "mqueue", NONE)] {
        match mount(Some(kind), point, Some(kind), safe, data) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV) => {} // this machine has none
            other => other.map_err(at(point))?,
        }
    }
    Ok(())
}

/// As the main process, in its own cgroup namespace and its own group: a read-only view of that group for every
/// controller. The JVM, Node and Go size themselves by what they read here.
pub fn show_own_groups(plan: &MountPlan) -> Result<(), MountError> {
    let dir = Path::new(CGROUP_DIR);
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if plan.unified_view {
        return mount(Some("cgroup2"), dir, Some("cgroup2"), safe | MsFlags::MS_RDONLY, NONE).map_err(at(dir));
    }
    if plan.view.is_empty() {
        return Ok(());
    }
    mount(Some("tmpfs"), dir, Some("tmpfs"), safe, Some("mode=755,size=64k")).map_err(at(dir))?;
    for (name, controllers) in &plan.view {
        let point = dir.join(name);
        nix::unistd::mkdir(&point, nix::sys::stat::Mode::from_bits_truncate(0o755)).map_err(at(&point))?;
        let flags = safe | MsFlags::MS_RDONLY;
        mount(Some("cgroup"), &point, Some("cgroup"), flags, Some(controllers.as_str())).map_err(at(&point))?;
    }
    for (link, target) in &plan.links {
        let path = dir.join(link);
        nix::unistd::symlinkat(target.as_str(), nix::fcntl::AT_FDCWD, &path).map_err(at(&path))?;
    }
    remount_read_only(dir, safe).map_err(at(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(point: &str, kind: &str, options: &str, super_options: &str) -> Mount {
        let list = |text: &str| text.split(',').map(str::to_string).collect();
        Mount {
            id: 0,
            parent: 0,
            root: "/".into(),
            point: point.into(),
            options: list(options),
            kind: kind.into(),
            super_options: list(super_options),
        }
    }

    /// Numbers them, each mounted on what its path leads to.
    fn table(mut mounts: Vec<Mount>) -> Vec<Mount> {
        for n in 0..mounts.len() {
            let on = (0..n).rev().filter(|m| mounts[n].point.starts_with(&mounts[*m].point));
            let on = on.max_by_key(|m| (mounts[*m].point.as_os_str().len(), *m));
            (mounts[n].id, mounts[n].parent) = (n as u64 + 1, on.map_or(0, |m| m as u64 + 1));
        }
        mounts
    }

    fn systemd_hybrid() -> Vec<Mount> {
        table(vec![
            mount("/", "ext4", "rw,relatime", "rw"),
            mount("/proc", "proc", "rw,nosuid", "rw"),
            mount("/proc/sys/fs/binfmt_misc", "binfmt_misc", "rw", "rw"),
            mount("/sys", "sysfs", "rw,nosuid,noexec", "rw"),
            mount("/sys/kernel/debug", "debugfs", "rw", "rw"),
            mount("/sys/fs/cgroup", "tmpfs", "ro", "rw,mode=755"),
            mount("/sys/fs/cgroup/unified", "cgroup2", "rw", "rw,nsdelegate"),
            mount("/sys/fs/cgroup/systemd", "cgroup", "rw", "rw,xattr,name=systemd"),
            mount("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw", "rw,cpu,cpuacct"),
            mount("/sys/fs/cgroup/memory", "cgroup", "rw", "rw,memory"),
            mount("/srv/jail/proc", "proc", "rw", "rw"),
            mount("/srv/odd", "cgroup", "rw", "rw,memory"),
        ])
    }

    #[test]
    fn what_lies_below_another_mount_is_not_uncovered_and_what_lies_on_top_goes_first() {
        let plan = |added: Vec<Mount>, user| {
            let mounts = table(systemd_hybrid().into_iter().chain(added).collect());
            MountPlan::new(&mounts, Namespaces { uts: true, ipc: true, net: false }, user)
        };
        let cgroup = |point: &str| mount(point, "cgroup", "rw", "rw,memory");
        let covered = || vec![cgroup("/mnt"), mount("/mnt", "tmpfs", "rw", "rw"), mount("/srv", "tmpfs", "rw", "rw")];
        assert_eq!(plan(covered(), false).detach, [CGROUP_DIR], "and /srv/odd is below /srv");
        assert_eq!(plan(covered(), true).cover, [CGROUP_DIR]);
        let stacked = vec![cgroup("/mnt"), cgroup("/mnt"), mount("/sys/fs/cgroup", "tmpfs", "rw", "rw")];
        let twice = [CGROUP_DIR, "/mnt", "/mnt", "/srv/odd", CGROUP_DIR];
        assert_eq!(plan(stacked, false).detach, twice);
        let sysfs = vec![mount("/mnt", "sysfs", "rw", "rw"), mount("/mnt", "tmpfs", "rw", "rw")];
        let points = plan(sysfs, false).read_only;
        assert!(points.iter().all(|(point, _)| point != "/mnt"), "the tmpfs stays writable: {points:?}");
    }

    #[test]
    fn every_cgroup_mount_goes_the_odd_one_too_and_the_last_mounted_first() {
        let plan = MountPlan::new(&systemd_hybrid(), Namespaces { uts: true, ipc: true, net: false }, false);
        assert_eq!(plan.detach, ["/srv/odd", CGROUP_DIR]);
    }

    #[test]
    fn what_configures_the_kernel_becomes_read_only_and_keeps_its_flags() {
        let plan = MountPlan::new(&systemd_hybrid(), Namespaces { uts: true, ipc: true, net: false }, false);
        let points: Vec<&str> = plan.read_only.iter().filter_map(|(p, _)| p.to_str()).collect();
        assert_eq!(points, ["/sys", "/sys/kernel/debug", "/srv/jail/proc"]);
        assert_eq!(plan.read_only[0].1, (MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC).bits());
    }

    #[test]
    fn the_view_has_each_controller_once_under_the_names_that_programs_look_for() {
        let plan = MountPlan::new(&systemd_hybrid(), Namespaces { uts: true, ipc: true, net: false }, false);
        let text = |(a, b): &(String, String)| format!("{a}<{b}");
        assert_eq!(plan.view.iter().map(text).collect::<Vec<_>>(), ["cpu,cpuacct<cpu,cpuacct", "memory<memory"]);
        assert_eq!(plan.links.iter().map(text).collect::<Vec<_>>(), ["cpu<cpu,cpuacct", "cpuacct<cpu,cpuacct"]);
    }

    #[test]
    fn a_plain_user_covers_what_root_takes_away_and_v2_is_shown_as_one_hierarchy() {
        let mounts = table(vec![
            mount("/", "ext4", "rw,relatime", "rw"),
            mount("/sys", "sysfs", "rw,nosuid", "rw"),
            mount("/sys/fs/cgroup", "cgroup2", "rw,nosuid", "rw,nsdelegate"),
            mount("/srv/odd", "cgroup2", "rw", "rw"),
        ]);
        let namespaces = Namespaces { uts: true, ipc: true, net: false };
        let plan = MountPlan::new(&mounts, namespaces, true);
        assert_eq!(
            (plan.cover.clone(), plan.detach.len(), plan.read_only.len()),
            (vec!["/srv/odd".into(), CGROUP_DIR.into()], 0, 0)
        );
        assert!(plan.unified_view && plan.view.is_empty());
        let plan = MountPlan::new(&mounts, namespaces, false);
        assert_eq!((plan.cover.len(), plan.detach), (0, vec!["/srv/odd".into(), CGROUP_DIR.into()]));
    }
}
