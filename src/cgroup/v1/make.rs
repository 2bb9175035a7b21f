//! How a group of v1 comes to be, and what is said where it cannot. Refuses: to touch a group that is in use.

use std::path::Path;

use nix::errno::Errno;

use super::{MEMSW, TCP_LIMIT, kernel_text, memory_and_swap, read_limit, remove_group};
use crate::{
    cgroup::{
        NO_SWAP, Wanted,
        beside::{Beside, Kind},
        files,
        files::Kept,
        mirror_of, tree,
        tree::LEAF,
    },
    error::{Error, Result},
    event::Change,
};

/// Takes back what was made of a group. The command may run in it already.
pub(super) fn undo(dir: &Path) {
    let _ = tree::kill_all(dir).and_then(|()| remove_group(dir));
}

pub(super) fn explain_refusal(error: Error) -> Error {
    if error.is(Errno::EACCES) || error.is(Errno::EPERM) {
        return error.remedy("making a memory group on cgroup v1 needs root");
    }
    if error.is(Errno::EROFS) {
        return error
            .remedy("cgroups are read-only here, as inside a container or another sandtop; run it on the host");
    }
    if error.is(Errno::ENOMEM) {
        return error.remedy("the limit is too small even for an empty group; most programs need 1M or more");
    }
    if error.is(Errno::ENOENT) {
        return error.remedy("--cgroup-parent must be an existing group of the memory hierarchy, as `mkdir` made it");
    }
    error
}

pub(super) fn prepare(dir: &Path, wanted: &Wanted) -> Result<()> {
    // Before 5.11 a limit on P did nothing to L without this; it must be on before L is made.
    let hierarchical = dir.join("memory.use_hierarchy");
    if files::read(&hierarchical).is_ok_and(|text| text.trim() == "0") {
        files::write(&hierarchical, "1")?;
        if files::read(&hierarchical)?.trim() != "1" {
            return Err(Error::new(format!("{} does not take 1: a limit would not hold here", hierarchical.display())));
        }
    }
    if wanted.swap == NO_SWAP {
        files::write(&dir.join("memory.swappiness"), "0")?; // L inherits it at mkdir, and only then
    }
    files::write(&dir.join("memory.limit_in_bytes"), &kernel_text(wanted.limit))?;
    let stands = read_limit(&Kept::open(dir, "memory.limit_in_bytes")?)?;
    if stands != wanted.limit {
        return Err(Error::new(format!("{} was given {} and says {stands}", dir.display(), wanted.limit)));
    }
    let _ = files::write(&dir.join(TCP_LIMIT), &kernel_text(wanted.limit)); // a kernel without CONFIG_INET has none
    if let Some(both) = memory_and_swap(wanted.limit, wanted.swap) {
        match files::write(&dir.join(MEMSW), &kernel_text(both)) {
            Err(e) if e.is(Errno::ENOENT) => {} // swap is not counted here
            other => other?,
        }
    }
    let leaf = dir.join(LEAF);
    files::make_dir(&leaf)?;
    files::write(&leaf.join("memory.limit_in_bytes"), &kernel_text(mirror_of(wanted.limit, wanted.margin())))
}

/// The groups in other hierarchies that the settings need; and the freezer where nothing else can stop the processes. It holds even those who are
/// killed: init gets its state, to thaw them if sandtop itself is killed.
pub(super) fn make_beside(wanted: &Wanted, has_twin: bool) -> Result<Vec<Beside>> {
    let places = &wanted.hierarchy.beside;
    let asked = wanted.changes.iter().filter_map(|change| match change {
        Change::Pids(_) => Some(Kind::Pids),
        Change::Cpus(_) => Some(Kind::Cpu),
        _ => None,
    });
    let mut made: Vec<Beside> = Vec::new();
    for kind in asked {
        if !made.iter().any(|group| group.kind == kind) {
            made.push(Beside::create(places, kind, wanted.owner).map_err(explain_refusal)?);
        }
    }
    if !has_twin {
        made.extend(Beside::create(places, Kind::Freezer, wanted.owner)); // the sandbox does without
    }
    Ok(made)
}
