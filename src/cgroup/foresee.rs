//! Where `place` would make a group for this user right now, found without making, moving or asking anything.
//!
//! What is left open is what only trying could tell: whether systemd grants a scope.

use std::path::{Path, PathBuf};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access, geteuid, getuid},
};

use super::{Hierarchy, place, place::Choice, systemd::Manager, v2};
use crate::{
    error::{Error, Result},
    event::Controller,
};

/// A place for groups of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Below the hierarchy's root, or on v1 below our own group.
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
    match place::choose(hierarchy)? {
        Choice::In(dir) if hierarchy.controller == Controller::V1 || dir == hierarchy.root => {
            writable(&dir)?;
            let lacks_memory = hierarchy.controller == Controller::V2 && !v2::has_memory(&dir);
            match lacks_memory {
                true => Err(Error::new(format!("{} has no memory controller to pass on", dir.display()))),
                false => Ok(Home::Root(dir)),
            }
        }
        Choice::Occupied(dir, processes) => writable(&dir).map(|()| Home::Occupied(dir, processes)),
        Choice::In(dir) | Choice::Own(dir) => Ok(Home::Handed(dir)),
        Choice::Scope(manager, _) if !manager.listens() && root => {
            Err(Error::new("there is no systemd to ask for a group, and the groups here are systemd's"))
        }
        Choice::Scope(..) => Ok(Home::Scope { user: (!root).then(|| getuid().as_raw()) }),
    }
}

/// A socket on which this user's own systemd listens.
pub fn user_socket() -> Option<PathBuf> {
    Manager::User(getuid().as_raw()).first_socket()
}

fn writable(dir: &Path) -> Result<()> {
    match access(dir, AccessFlags::W_OK) {
        Ok(()) => Ok(()),
        Err(Errno::EROFS) => Err(Error::new(format!("{} is read-only here, as in a container", dir.display()))),
        Err(errno) => Err(Error::io("make groups in", dir, errno)),
    }
}
