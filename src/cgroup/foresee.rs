//! Where `place` would make a group for this user right now, found without making, moving or asking anything.
//!
//! What is left open is what only trying could tell: whether systemd grants a scope.

use std::path::{Path, PathBuf};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access, geteuid, getuid},
};

use super::{Hierarchy, detect::systemd_booted, files, place, place::Handed, systemd::Manager};
use crate::{
    error::{Error, Result},
    event::Controller,
};

/// A place for groups of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Below the hierarchy's root.
    Root(PathBuf),
    /// Below a container's root group, after its processes (so many) were moved to a leaf.
    Occupied(PathBuf, usize),
    /// In a group that was handed to us.
    Handed(PathBuf),
    /// In a scope that systemd makes for us: the machine's, or this user's own.
    Scope {
        /// The user whose systemd is asked.
        user: Option<u32>,
    },
}

impl Home {
    /// The group, where it is there already.
    pub fn dir(&self) -> Option<&Path> {
        match self {
            Home::Root(dir) | Home::Occupied(dir, _) | Home::Handed(dir) => Some(dir),
            Home::Scope { .. } => None,
        }
    }
}

/// Finds the place.
///
/// # Errors
/// When there is none; with the sentences of `place`.
pub fn home(hierarchy: &Hierarchy) -> Result<Home> {
    let root = geteuid().is_root();
    match hierarchy.controller {
        Controller::V1 => {
            place::need_root()?;
            writable(&hierarchy.root)?;
            Ok(Home::Root(hierarchy.root.clone()))
        }
        Controller::V2 if root && !systemd_booted() => below_the_root(&hierarchy.root),
        Controller::V2 => match place::candidate(hierarchy) {
            Some(Handed::Ours(dir) | Handed::Above(dir)) => Ok(Home::Handed(dir)),
            None => scope(hierarchy, root),
        },
    }
}

fn scope(hierarchy: &Hierarchy, root: bool) -> Result<Home> {
    let user = (!root).then(|| getuid().as_raw());
    let manager = user.map_or(Manager::System, Manager::User);
    match systemd_booted() && manager.listens() {
        true if place::is_inside(hierarchy) => {
            Err(Error::new("no group can be had inside a container or another sandtop"))
        }
        true => Ok(Home::Scope { user }),
        false if root => Err(Error::new("there is no systemd to ask for a group, and the groups here are systemd's")),
        false => Err(place::why_none(hierarchy)),
    }
}

/// A socket on which this user's own systemd listens.
pub fn user_socket() -> Option<PathBuf> {
    Manager::User(getuid().as_raw()).first_socket()
}

fn below_the_root(root: &Path) -> Result<Home> {
    writable(root)?;
    let lists = |name: &str| files::read(&root.join(name)).map(|text| text.split_whitespace().any(|c| c == "memory"));
    if !lists("cgroup.controllers")? {
        return Err(Error::new(format!("{} has no memory controller to pass on", root.display())));
    }
    // Every group but the hierarchy's own root has `cgroup.events`, and cannot both hold processes and pass memory on.
    let mut pids = Vec::new();
    if root.join("cgroup.events").exists() && !lists("cgroup.subtree_control")? {
        files::pids(root, &mut pids)?;
    }
    Ok(if pids.is_empty() { Home::Root(root.into()) } else { Home::Occupied(root.into(), pids.len()) })
}

fn writable(dir: &Path) -> Result<()> {
    match access(dir, AccessFlags::W_OK) {
        Ok(()) => Ok(()),
        Err(Errno::EROFS) => Err(Error::new(format!("{} is read-only here, as in a container", dir.display()))),
        Err(errno) => Err(Error::io("make groups in", dir, errno)),
    }
}
