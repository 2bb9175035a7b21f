//! Which memory controller this machine has, and where: by mounts and files, never by `/proc/cgroups` (which lists v1's view only).

use std::path::{Path, PathBuf};

use super::{
    beside::{self, Kind},
    place::own_dir,
};
use crate::{
    error::{Error, Result},
    event::Controller,
    mountinfo::Mount,
};

/// A mounted hierarchy that has the memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub controller: Controller,
    /// Its mount point; groups go below it.
    pub root: PathBuf,
    /// The group that is mounted there: `/` but where a container shows a part of the hierarchy.
    pub shows: PathBuf,
    /// Our own group in a v2 hierarchy without memory beside v1: a twin group below it gives pressure, freeze and kill.
    pub twin: Option<PathBuf>,
    /// Our own groups in the v1 hierarchies that a sandbox may need beside memory.
    pub beside: Vec<(Kind, PathBuf)>,
}

/// Finds the memory controller among the mounts.
///
/// # Errors
/// When there is none; the error says what is missing and what to do.
pub fn detect(mounts: &[Mount]) -> Result<Hierarchy> {
    let hierarchies = mounts.iter().filter(|m| m.kind.starts_with("cgroup") && m.is_visible(mounts));
    let mounts: &[Mount] = &hierarchies.cloned().collect::<Vec<_>>();
    let unified = mounts.iter().find(|m| m.kind == "cgroup2");
    let found = |controller, mount: &Mount, twin| Hierarchy {
        controller,
        root: mount.point.clone(),
        shows: mount.root.clone(),
        twin,
        beside: if controller == Controller::V1 { beside::find(mounts) } else { Vec::new() },
    };
    if let Some(mount) = mounts.iter().find(|m| m.controls("memory")) {
        // Under systemd the v2 hierarchy is systemd's own, and no place for groups of ours.
        let own = |m: &Mount| own_dir(None, &m.point, &m.root).unwrap_or_else(|| m.point.clone());
        let twin = unified.filter(|_| !systemd_booted()).map(own);
        return Ok(found(Controller::V1, mount, twin));
    }
    if let Some(mount) = unified.filter(|m| has_memory(&m.point)) {
        return Ok(found(Controller::V2, mount, None));
    }
    Err(none(unified, &Surroundings::look()))
}

/// Whether systemd is this machine's init (sd_booted(3)).
pub fn systemd_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn has_memory(root: &Path) -> bool {
    std::fs::read_to_string(root.join("cgroup.controllers"))
        .is_ok_and(|text| text.split_whitespace().any(|c| c == "memory"))
}

/// What explains a missing controller.
#[derive(Clone, Copy, Debug, Default)]
struct Surroundings {
    /// The kernel was started without the controller.
    disabled: bool,
    /// We are inside a container, and may not mount in it.
    container: bool,
    /// The kernel runs the controller as v1's, though it is not to be seen here.
    has_v1: bool,
}

impl Surroundings {
    fn look() -> Surroundings {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let line = read("/proc/cmdline");
        let disabled = line
            .split_whitespace()
            .any(|w| w.strip_prefix("cgroup_disable=").is_some_and(|list| list.split(',').any(|c| c == "memory")));
        let may_mount = rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN));
        let container = super::place::in_container() && !may_mount;
        let has_v1 = read("/proc/cgroups").lines().any(|l| {
            let mut fields = l.split_whitespace();
            fields.next() == Some("memory") && fields.next().is_some_and(|hierarchy| hierarchy != "0")
        });
        Surroundings { disabled, container, has_v1 }
    }
}

fn none(unified: Option<&Mount>, around: &Surroundings) -> Error {
    let end = "sandtop doctor tells more";
    if around.disabled {
        return Error::new("there is no memory controller: this kernel was started with cgroup_disable=memory").remedy(format!(
            "take cgroup_disable=memory off the kernel's command line (/etc/default/grub, then update-grub) and reboot; on a Raspberry Pi add cgroup_enable=memory at the end of the line in /boot/firmware/cmdline.txt; {end}"
        ));
    }
    let missing = match unified {
        Some(mount) => format!("the cgroup v2 hierarchy at {} does not offer `memory`", mount.point.display()),
        None => "no cgroup hierarchy with `memory` is mounted here".into(),
    };
    let error = Error::new(format!("there is no memory controller: {missing}"));
    if around.container {
        return error.remedy(format!(
            "this looks like a container: run sandtop on the host, or start it with docker run --privileged --cgroupns=private …; {end}"
        ));
    }
    error.remedy(match (unified.is_some(), around.has_v1) {
        (_, true) => format!(
            "as root: mount -t tmpfs cgroup /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory && mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory; {end}"
        ),
        (true, false) => format!("this kernel has none to offer (built without CONFIG_MEMCG?): run sandtop on another; {end}"),
        (false, false) => format!("as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup; {end}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, point: &Path, controllers: &str) -> Mount {
        Mount {
            id: 0,
            parent: 0,
            root: "/".into(),
            point: point.into(),
            options: vec!["rw".into()],
            kind: kind.into(),
            super_options: controllers.split(',').map(str::to_string).collect(),
        }
    }

    #[test]
    fn a_v1_memory_mount_is_found_beside_an_empty_v2() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "hugetlb\n").unwrap();
        let mounts = [mount("cgroup2", dir.path(), "rw"), mount("cgroup", Path::new("/m"), "rw,memory")];
        let found = detect(&mounts).unwrap();
        assert_eq!((found.controller, found.root), (Controller::V1, PathBuf::from("/m")));
        assert_eq!(found.twin, (!systemd_booted()).then(|| dir.path().into()));
    }

    #[test]
    fn a_v2_mount_with_memory_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let found = detect(&[mount("cgroup2", dir.path(), "rw")]).unwrap();
        assert_eq!((found.controller, found.root, found.twin), (Controller::V2, dir.path().into(), None));
    }

    #[test]
    fn a_machine_without_the_controller_is_told_why_and_what_to_do() {
        let v2 = mount("cgroup2", Path::new("/c"), "rw");
        let around = Surroundings::default();
        for (unified, around, words) in [
            (None, Surroundings { has_v1: true, ..around }, ["no cgroup hierarchy", "mount -t cgroup -o memory"]),
            (None, around, ["no cgroup hierarchy", "mount -t cgroup2"]),
            (Some(&v2), Surroundings { disabled: true, ..around }, ["cgroup_disable=memory", "cgroup_enable=memory"]),
            (Some(&v2), Surroundings { container: true, ..around }, ["/c does not offer", "--privileged"]),
        ] {
            let said = none(unified, &around).to_string();
            assert!(words.iter().all(|w| said.contains(w)) && said.contains("sandtop doctor"), "{said}");
        }
    }
}
