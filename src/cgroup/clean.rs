//! `sandtop clean`: removes groups whose sandtop is gone, and only those.
//!
//! A group is touched only when its name is one that sandtop makes, its pid namespace is ours, and the very process that
//! made it no longer runs. What still runs in such a group was started by that sandtop and is killed, by pid.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{files, name, name::Owner, tree, v1, v2};
use crate::{
    error::{Error, Result},
    mountinfo::Mount,
};

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

/// The groups with a folder of ours, in every hierarchy that is to be seen here.
pub fn parents(mounts: &[Mount]) -> Vec<PathBuf> {
    let hierarchies = mounts.iter().filter(|m| m.kind.starts_with("cgroup") && m.is_visible(mounts));
    let groups = hierarchies.flat_map(|m| files::groups_below(&m.point));
    let folders = groups.filter(|dir| dir.file_name().is_some_and(|name| name == name::FOLDER));
    folders.filter_map(|dir| dir.parent().map(Path::to_path_buf)).collect()
}

/// Removes what dead sandtops left below these groups. With `only_below`, only what those left that
/// have a group below that one.
///
/// # Errors
/// When a folder is there and cannot be read.
pub fn clean(parents: &[PathBuf], only_below: Option<&Path>) -> Result<Cleaned> {
    let here = name::pid_namespace()?;
    let only: Option<Vec<Owner>> =
        only_below.map(|dir| Ok::<_, Error>(owned(dir)?.into_iter().map(|(_, o)| o).collect())).transpose()?;
    let mut cleaned = Cleaned::default();
    let mut dead = Vec::new();
    for parent in parents {
        for (dir, owner) in
            owned(parent)?.into_iter().filter(|(_, o)| only.as_ref().is_none_or(|only| only.contains(o)))
        {
            let text = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let found = if owner.namespace != here || !owner.lives() && !may_remove(&dir) {
                Cleaned { foreign: vec![text], ..Cleaned::default() }
            } else if owner.lives() {
                Cleaned { alive: vec![text], ..Cleaned::default() }
            } else {
                dead.push((dir, text));
                continue;
            };
            cleaned.add(found);
        }
    }
    // Who is frozen, or has no CPU time left, does not die: all are killed and let go first.
    dead.iter().for_each(|(dir, _)| tree::release(dir));
    for (dir, text) in dead {
        cleaned.add(match empty_and_remove(&dir) {
            Ok(()) => Cleaned { removed: vec![text], ..Cleaned::default() },
            Err(e) => Cleaned { failed: vec![(text, e.to_string())], ..Cleaned::default() },
        });
    }
    for parent in parents {
        let folder = parent.join(name::FOLDER);
        super::place::remove_old_leaves(&folder);
        let _ = files::remove_dir(&folder);
    }
    Ok(cleaned)
}

/// The groups below our folder in this group, and whose each is.
fn owned(parent: &Path) -> Result<Vec<(PathBuf, Owner)>> {
    let folder = parent.join(name::FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| Error::io("read", &folder, e))?,
    };
    let dirs = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    let owner = |entry: &fs::DirEntry| Owner::parse(&entry.file_name().to_string_lossy());
    Ok(dirs.filter_map(|entry| Some((entry.path(), owner(&entry)?))).collect())
}

/// Whether it is ours to remove: a plain user leaves alone what root's sandtop left.
fn may_remove(dir: &Path) -> bool {
    let me = nix::unistd::geteuid();
    me.is_root() || fs::metadata(dir).is_ok_and(|m| m.uid() == me.as_raw())
}

/// Kills what is left in a dead sandtop's group, and removes it.
fn empty_and_remove(dir: &Path) -> Result<()> {
    tree::kill_all(dir)?;
    if dir.join("memory.max").exists() { v2::remove_group(dir) } else { v1::remove_group(dir) }
}
