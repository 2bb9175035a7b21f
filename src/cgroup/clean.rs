//! `sandtop clean`: removes groups whose sandtop is gone, and only those.
//!
//! A group is touched only when its name is one that sandtop makes, its pid namespace is ours, and the very process that
//! made it no longer runs. What still runs in such a group was started by that sandtop and is killed, by pid.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{beside, files, name, tree, v1, v2};
use crate::error::{Error, Result};

/// What became of the groups that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Removed groups.
    pub removed: Vec<String>,
    /// Groups whose sandtop still runs.
    pub alive: Vec<String>,
    /// Groups of other pid namespaces or users: whether their sandtop runs cannot be told from here, or they are not ours to remove.
    pub foreign: Vec<String>,
    /// Groups that stayed, and why.
    pub failed: Vec<(String, String)>,
}

impl Cleaned {
    /// Adds what became of others. A sandbox's twin has its name: it is told once.
    pub fn add(&mut self, other: Cleaned) {
        let add = |to: &mut Vec<String>, from: Vec<String>| {
            for name in from {
                if !to.contains(&name) {
                    to.push(name);
                }
            }
        };
        add(&mut self.removed, other.removed);
        add(&mut self.alive, other.alive);
        add(&mut self.foreign, other.foreign);
        self.failed.extend(other.failed);
    }
}

/// Sweeps our folder below `parent`, a directory of the memory hierarchy.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn clean(parent: &Path) -> Result<Cleaned> {
    let folder = parent.join(name::FOLDER);
    let mut cleaned = Cleaned::default();
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(cleaned),
        other => other.map_err(|e| Error::io("read", &folder, e))?,
    };
    let here = name::pid_namespace()?;
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let text = entry.file_name().to_string_lossy().into_owned();
        match name::Owner::parse(&text) {
            None => {}
            Some(owner) if owner.namespace != here => cleaned.foreign.push(text),
            Some(owner) if owner.lives() => cleaned.alive.push(text),
            Some(_) if !may_remove(&entry) => cleaned.foreign.push(text),
            Some(_) => match empty_and_remove(&entry.path()) {
                Ok(()) => cleaned.removed.push(text),
                Err(e) => cleaned.failed.push((text, e.to_string())),
            },
        }
    }
    super::place::remove_old_leaves(&folder);
    let _ = files::remove_dir(&folder);
    Ok(cleaned)
}

/// Whether it is ours to remove: a plain user leaves alone what root's sandtop left.
fn may_remove(entry: &fs::DirEntry) -> bool {
    let me = nix::unistd::geteuid();
    me.is_root() || entry.metadata().is_ok_and(|m| m.uid() == me.as_raw())
}

/// Thaws what a dead sandtop left frozen by v1's freezer, once it is killed: whom that holds does not die, and keeps all its groups busy.
pub fn thaw_dead(freezer: &Path) {
    let Ok(here) = name::pid_namespace() else { return };
    for entry in fs::read_dir(freezer.join(name::FOLDER)).into_iter().flatten().flatten() {
        let dead = |owner: &name::Owner| owner.namespace == here && !owner.lives();
        if name::Owner::parse(&entry.file_name().to_string_lossy()).is_some_and(|owner| dead(&owner)) {
            tree::kill_once(&entry.path());
            let _ = beside::freeze(&entry.path(), false); // where it is not ours to write, it is not ours to remove
        }
    }
}

/// Kills what is left in a dead sandtop's group, and removes it.
fn empty_and_remove(dir: &Path) -> Result<()> {
    tree::kill_all(dir)?;
    if dir.join("memory.max").exists() { v2::remove_group(dir) } else { v1::remove_group(dir) }
}
