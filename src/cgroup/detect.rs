//! Which memory controller this machine has, and where: by mounts and files, never by `/proc/cgroups` (which lists v1's view only).

use std::path::{Path, PathBuf};

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
}

/// Finds the memory controller among the mounts.
///
/// # Errors
/// When there is none that this version can drive; the error says what to do.
pub fn detect(mounts: &[Mount]) -> Result<Hierarchy> {
    if let Some(mount) = mounts.iter().find(|m| m.controls("memory")) {
        return Ok(Hierarchy { controller: Controller::V1, root: mount.point.clone() });
    }
    let v2 = mounts.iter().find(|m| m.kind == "cgroup2" && has_memory(&m.point));
    Err(match v2 {
        Some(mount) => Error::new(format!(
            "the memory controller of this machine is cgroup v2, at {}, and this version of sandtop drives v1 only",
            mount.point.display()
        ))
        .remedy("boot with systemd.unified_cgroup_hierarchy=0 (kernels before 6.12), or wait for the next version"),
        None => Error::new("there is no memory controller: no cgroup hierarchy with `memory` is mounted here").remedy(
            "on the host, as root: mount -t tmpfs cgroup /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory && mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory; in a container: run sandtop on the host",
        ),
    })
}

fn has_memory(root: &Path) -> bool {
    std::fs::read_to_string(root.join("cgroup.controllers"))
        .is_ok_and(|text| text.split_whitespace().any(|c| c == "memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, point: &Path, controllers: &str) -> Mount {
        Mount {
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
    }

    #[test]
    fn a_machine_without_the_controller_is_told_what_to_do() {
        let said = detect(&[mount("cgroup", Path::new("/c"), "rw,cpu")]).unwrap_err().to_string();
        assert!(said.contains("no memory controller") && said.contains("mount -t cgroup -o memory"), "{said}");
    }

    #[test]
    fn a_v2_machine_is_told_that_this_version_cannot() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let said = detect(&[mount("cgroup2", dir.path(), "rw")]).unwrap_err().to_string();
        assert!(said.contains("cgroup v2"), "{said}");
    }
}
