//! What kind of place this is, by the marks that each leaves.

use std::path::Path;

use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

use super::read;
use crate::{
    cgroup::{Hierarchy, place},
    doctor::facts::{Around, Container},
    error::printable,
};

pub fn look(memory: Option<&Hierarchy>) -> Around {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default().to_ascii_lowercase();
    let model = read("/proc/device-tree/model").unwrap_or_default();
    let own = memory.and_then(place::own_group);
    Around {
        container: container(),
        privileged: capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN).unwrap_or(false),
        wsl: release.contains("microsoft"),
        codespaces: std::env::var_os("CODESPACES").is_some_and(|value| value == "true"),
        lima: is_lima(),
        pi: model.contains("Raspberry Pi"),
        service: own.as_deref().and_then(crate::cgroup::around::system_service),
    }
}

fn container() -> Option<Container> {
    let exists = |path: &str| Path::new(path).exists();
    // Both files may be there: podman makes its own, and `.dockerenv` for those who look for it.
    if exists("/run/.containerenv") {
        return Some(Container::Podman);
    }
    if exists("/.dockerenv") {
        return Some(Container::Docker);
    }
    if !place::in_container() {
        return None;
    }
    let told = read("/run/systemd/container").ok().or_else(|| std::env::var("container").ok());
    let name = told.as_deref().map(|name| printable(name.trim())).filter(|name| !name.is_empty());
    Some(match name.as_deref() {
        Some("docker") => Container::Docker,
        Some("podman") => Container::Podman,
        name => Container::Other(name.unwrap_or("unnamed").into()),
    })
}

/// Lima names its machines `lima-NAME` and hands them their settings on this disk.
fn is_lima() -> bool {
    let name = rustix::system::uname();
    name.nodename().to_bytes().starts_with(b"lima-")
        || Path::new("/mnt/lima-cidata").exists()
        || std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("LIMA_"))
}
