//! What groups have: read off groups that are there, by which files they show. Nothing is made for it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    cgroup::{Hierarchy, foresee::Home, place},
    doctor::facts::{Features, Has, Known},
    event::Controller,
};

/// How many groups below a root are looked at; a machine with systemd has three.
const MOST: usize = 64;

/// What a group of ours would have.
pub fn features(
    memory: Option<&Hierarchy>,
    home: Option<&Home>,
    unified: Option<&Path>,
    version: Option<(u32, u32)>,
) -> Features {
    let v1 = memory.is_some_and(|hierarchy| hierarchy.controller == Controller::V1);
    let by_version = |major, minor| version.map_or(Has::Unknown, |is| Has::ByVersion(is >= (major, minor)));
    // The v2 hierarchy that gives freeze, kill and pressure: memory's own, or the twin beside v1.
    let v2_root = if v1 { memory.and_then(|hierarchy| hierarchy.twin.as_deref()) } else { unified };
    let groups = v2_root.map_or_else(Vec::new, |root| candidates(root, memory.filter(|_| !v1), home));
    // Only the hierarchy's own root lacks `cgroup.events`, and with it what groups have.
    let any = groups.iter().find(|dir| dir.join("cgroup.events").exists());
    let with_memory = groups.iter().find(|dir| dir.join("memory.max").exists());
    let common = |name: &str, since: Has| match (v2_root, any) {
        (None, _) => Has::Seen(false),
        (Some(_), Some(dir)) => Has::Seen(dir.join(name).exists()),
        (Some(_), None) => since,
    };
    let of_memory = |name: &str, since: Has| with_memory.map_or(since, |dir| Has::Seen(dir.join(name).exists()));
    let v1_file = |name: &str| Has::Seen(memory.is_some_and(|hierarchy| hierarchy.root.join(name).exists()));
    Features {
        peak: if v1 { v1_file("memory.max_usage_in_bytes") } else { of_memory("memory.peak", by_version(5, 19)) },
        peak_reset: match with_memory {
            _ if v1 => v1_file("memory.max_usage_in_bytes"),
            Some(dir) => Has::Seen(is_writable(&dir.join("memory.peak"))),
            None => by_version(6, 12),
        },
        pressure: pressure(v2_root, with_memory.or(any).map(PathBuf::as_path)),
        freeze: common("cgroup.freeze", by_version(5, 2)),
        kill: common("cgroup.kill", by_version(5, 14)),
        reclaim: if v1 { v1_file("memory.force_empty") } else { of_memory("memory.reclaim", by_version(5, 19)) },
        swap: if v1 { v1_file("memory.memsw.limit_in_bytes") } else { of_memory("memory.swap.max", Has::Unknown) },
    }
}

/// Groups to look into, best first: where ours would be, where we are, what is above, what lies below the root.
fn candidates(root: &Path, memory: Option<&Hierarchy>, home: Option<&Home>) -> Vec<PathBuf> {
    let home = home.and_then(Home::dir).filter(|dir| dir.starts_with(root)).map(Path::to_path_buf);
    let own = memory.and_then(place::own_group);
    let above =
        own.iter().flat_map(|own| own.ancestors()).take_while(|dir| dir.starts_with(root)).map(Path::to_path_buf);
    let mut groups: Vec<PathBuf> = home.into_iter().chain(above).collect();
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    groups.extend(entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).take(MOST));
    groups
}

/// The mode follows from what the file can do: one with a way to write has a write bit (`cgroup_file_mode`, kernel/cgroup/cgroup.c).
fn is_writable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|m| m.permissions().mode() & 0o200 != 0)
}

/// Without PSI the file is not there, or is there and cannot be read. The hierarchy's own root has it, too.
fn pressure(root: Option<&Path>, group: Option<&Path>) -> Has {
    let tells = |dir: &Path| fs::read_to_string(dir.join("memory.pressure")).is_ok_and(|text| text.contains("total="));
    Has::Seen([group, root].into_iter().flatten().any(tells))
}

/// Where a controller is: v1's mount of it, or the v2 group that would pass it on to ours.
pub fn controller(
    memory: Option<&Hierarchy>,
    home: Option<&Home>,
    mount: Option<PathBuf>,
    name: &str,
) -> Known<Option<PathBuf>> {
    let Some(hierarchy) = memory.filter(|hierarchy| hierarchy.controller == Controller::V2) else { return Ok(mount) };
    let dir = match home {
        Some(Home::Scope { user: Some(uid) }) => {
            hierarchy.root.join(format!("user.slice/user-{uid}.slice/user@{uid}.service"))
        }
        Some(home) => home.dir().unwrap_or(&hierarchy.root).to_path_buf(),
        None => hierarchy.root.clone(),
    };
    let file = dir.join("cgroup.controllers");
    let list = super::read(&file.display().to_string())?;
    Ok(list.split_whitespace().any(|c| c == name).then_some(dir))
}
