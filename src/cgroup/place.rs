//! Where a group of ours can be made, and how sandtop gets there.
//!
//! On v1: below the hierarchy's root, by root. On v2: as root below the hierarchy's root, or under systemd in a scope of our own; as a plain
//! user in a group that was handed to us, or in a scope of the user's own systemd. Anything else is refused with what would help.
//!
//! Refuses: to write into a tree that systemd keeps, unless systemd handed that part over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, access, geteuid, getuid},
};

use super::{
    Hierarchy,
    detect::systemd_booted,
    files, name,
    systemd::{self, Manager},
    tree, v2,
};
use crate::{
    error::{Error, Result},
    event::Controller,
};

/// A group below which ours can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its directory.
    pub parent: PathBuf,
    /// What was changed on the way, for the user to know.
    pub told: Vec<String>,
    /// A group that was handed over, to be given back as it was.
    pub borrowed: Option<PathBuf>,
}

impl Place {
    fn at(parent: PathBuf) -> Place {
        Place { parent, told: Vec::new(), borrowed: None }
    }
}

/// Finds the place, and moves sandtop there where it must be inside. Must be called while sandtop has one thread.
///
/// # Errors
/// When there is none; the error says what would help.
pub fn find(hierarchy: &Hierarchy, wanted: Option<&Path>) -> Result<Place> {
    match (hierarchy.controller, wanted) {
        (Controller::V1, _) => {
            need_root()?;
            Ok(Place::at(parent(&hierarchy.root, wanted)?))
        }
        (Controller::V2, Some(_)) => {
            let dir = parent(&hierarchy.root, wanted)?;
            v2::pass_on(&dir).map_err(|e| explain_parent(e, &dir))?;
            Ok(Place::at(dir))
        }
        (Controller::V2, None) if geteuid().is_root() => of_root(hierarchy),
        (Controller::V2, None) => of_a_user(hierarchy),
    }
}

/// Groups below which a crashed sandtop may have left something. Nothing is moved or made.
pub fn known(hierarchy: &Hierarchy) -> Vec<PathBuf> {
    let own = own_group(hierarchy);
    let above = own.iter().flat_map(|own| own.ancestors()).filter(|dir| dir.starts_with(&hierarchy.root));
    let beside = hierarchy.beside.iter().map(|(_, root)| root.clone());
    let mut places: Vec<PathBuf> =
        [hierarchy.root.clone()].into_iter().chain(hierarchy.twin.clone()).chain(beside).collect();
    let uid = getuid();
    let slices = ["system.slice".into(), format!("user.slice/user-{uid}.slice/user@{uid}.service/app.slice")];
    for slice in slices {
        let scopes = fs::read_dir(hierarchy.root.join(slice)).into_iter().flatten().flatten().map(|e| e.path());
        places
            .extend(scopes.filter(|dir| dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sandtop-"))));
    }
    places.extend(above.filter(|dir| *dir != hierarchy.root).map(Path::to_path_buf));
    places
}

/// The group that `--cgroup-parent` names, or the hierarchy's root.
///
/// # Errors
/// When there is no such group.
pub fn parent(root: &Path, wanted: Option<&Path>) -> Result<PathBuf> {
    let Some(wanted) = wanted else { return Ok(root.to_path_buf()) };
    let plain = |c: std::path::Component<'_>| !matches!(c, std::path::Component::ParentDir);
    let below = wanted.strip_prefix("/").unwrap_or(wanted);
    let dir = root.join(below);
    if !below.components().all(plain) || !dir.is_dir() {
        return Err(Error::new(format!(
            "--cgroup-parent: there is no group {} in the memory hierarchy",
            wanted.display()
        ))
        .remedy(format!(
            "give a path as below {}, such as /mygroup, after: mkdir {}/mygroup",
            root.display(),
            root.display()
        )));
    }
    Ok(dir)
}

fn explain_parent(error: Error, dir: &Path) -> Error {
    if error.is(Errno::EBUSY) {
        return error.remedy(format!(
            "--cgroup-parent: processes run in {} itself, and v2 has them only in groups without children; move them to one below it",
            dir.display()
        ));
    }
    if error.is(Errno::EACCES) || error.is(Errno::EPERM) {
        return error.remedy("--cgroup-parent: that group is not ours to write");
    }
    error
}

fn of_root(hierarchy: &Hierarchy) -> Result<Place> {
    if !systemd_booted() {
        return below_the_root(&hierarchy.root);
    }
    if let Some(place) = handed_over(hierarchy) {
        return place;
    }
    own_scope(hierarchy, Manager::System).map_err(|e| {
        e.remedy("sandtop makes no groups in systemd's tree without systemd; is this a container? --cgroup-parent GROUP names one to use")
    })
}

/// The root of a hierarchy that nobody keeps. In a container it is a group like any other, and holds the container's processes.
fn below_the_root(root: &Path) -> Result<Place> {
    match v2::pass_on(root) {
        Ok(()) => Ok(Place::at(root.to_path_buf())),
        Err(e) if e.is(Errno::EBUSY) => {
            let moved = make_room(root)?;
            let told = format!(
                "this container's root group held {moved} processes, so that no group with a limit could be made in it: they are in {} now",
                root.join(ROOM).display()
            );
            Ok(Place { told: vec![told], ..Place::at(root.to_path_buf()) })
        }
        Err(e) if [Errno::EROFS, Errno::EACCES, Errno::EPERM].iter().any(|errno| e.is(*errno)) => Err(e.remedy(
            "cgroups cannot be changed in this container: start it with docker run --privileged --cgroupns=private …, or run sandtop on the host; sandtop doctor tells more",
        )),
        Err(e) => Err(e),
    }
}

/// Where a container's processes go to make room.
const ROOM: &str = "sandtop-others";

/// Moves the processes of a container's root group to a leaf below it, and has the root pass the controllers on; how many there were.
fn make_room(root: &Path) -> Result<usize> {
    // A process from outside our pid namespace shows as 0, and cannot be moved from here: then nobody is.
    if files::read(&root.join("cgroup.procs"))?.lines().any(|pid| pid == "0") {
        return Err(Error::new(format!("{} holds processes from outside this container", root.display()))
            .remedy("give the container a group of its own: docker run --privileged --cgroupns=private …; or name another with --cgroup-parent"));
    }
    let room = root.join(ROOM);
    match files::make_dir(&room) {
        Err(e) if !e.is(Errno::EEXIST) => return Err(e),
        _ => {}
    }
    let mut moved = 0;
    // New ones may be born meanwhile; a second look finds them.
    for _ in 0..100 {
        let mut pids = Vec::new();
        files::pids(root, &mut pids)?;
        for pid in &pids {
            match files::write(&room.join("cgroup.procs"), &pid.to_string()) {
                Err(e) if e.is(Errno::ESRCH) => {} // it has ended
                other => {
                    other?;
                    moved += 1;
                }
            }
        }
        match v2::pass_on(root) {
            Err(e) if e.is(Errno::EBUSY) => {}
            other => return other.map(|()| moved),
        }
    }
    Err(Error::new(format!(
        "{} does not get empty: processes from outside this container may be in it",
        root.display()
    )))
}

fn of_a_user(hierarchy: &Hierarchy) -> Result<Place> {
    if let Some(place) = handed_over(hierarchy) {
        return place;
    }
    let manager = Manager::User(getuid().as_raw());
    if systemd_booted() && manager.listens() {
        return own_scope(hierarchy, manager)
            .map_err(|e| e.remedy(format!("or, as root: sudo {} …; the command itself runs as you", exe())));
    }
    Err(why_none(hierarchy))
}

/// Why a plain user has no group to divide, and what would help.
pub(super) fn why_none(hierarchy: &Hierarchy) -> Error {
    if let Some((dir, others)) = crowded(hierarchy) {
        return Error::new(format!(
            "{} was handed over, but {others} other processes are in it, and v2 has limits only below groups without processes",
            dir.display()
        ))
        .remedy("start sandtop as the only process in it (exec sandtop …; in a unit: ExecStart=sandtop …), or move the others to a group below it");
    }
    super::around::Around::look(hierarchy).explain()
}

/// A group that is ours to divide: our own if nobody else is in it, or, where systemd does not keep the tree, one above that we may write and that
/// holds no processes.
///
/// Under systemd only a group that systemd marked counts, and only our own: the mark hands a unit's group to the unit's own processes. Never one of
/// another sandtop: its workload is not to leave it.
pub(super) fn candidate(hierarchy: &Hierarchy) -> Option<Handed> {
    let own = own_group(hierarchy)?;
    let below_root = |dir: &&Path| dir.starts_with(&hierarchy.root) && **dir != hierarchy.root && !is_a_sandtops(dir);
    let candidates = own.ancestors().take_while(below_root).filter(|dir| may_divide(dir) && v2::has_memory(dir));
    for dir in candidates {
        let mut pids = Vec::new();
        files::pids(dir, &mut pids).ok()?;
        if dir == own && pids == [std::process::id() as i32] {
            return Some(Handed::Ours(dir.into()));
        }
        if !systemd_booted() && pids.is_empty() {
            return Some(Handed::Above(dir.into()));
        }
    }
    None
}

/// A group that was handed over and cannot be divided, since others are in it; how many.
fn crowded(hierarchy: &Hierarchy) -> Option<(PathBuf, usize)> {
    let own = own_group(hierarchy)?;
    let below_root = |dir: &&Path| dir.starts_with(&hierarchy.root) && **dir != hierarchy.root && !is_a_sandtops(dir);
    let dir = own.ancestors().take_while(below_root).find(|dir| may_divide(dir) && v2::has_memory(dir))?;
    let mut pids = Vec::new();
    files::pids(dir, &mut pids).ok()?;
    pids.retain(|pid| *pid != std::process::id() as i32);
    (!pids.is_empty()).then(|| (dir.to_path_buf(), pids.len()))
}

/// Gives a group back as it was handed over: its children lose the controllers, and sandtop is in it again. Only when nothing of ours runs any more.
pub fn give_back(dir: &Path) {
    let folder = dir.join(name::FOLDER);
    for controller in v2::CONTROLLERS {
        let _ = files::write(&folder.join("cgroup.subtree_control"), &format!("-{controller}"));
        let _ = files::write(&dir.join("cgroup.subtree_control"), &format!("-{controller}"));
    }
    let _ = files::write(&dir.join("cgroup.procs"), "0");
    remove_old_leaves(&folder);
    let _ = files::remove_dir(&folder);
}

/// A group that was handed over.
pub(super) enum Handed {
    /// We are in it, and nobody else.
    Ours(PathBuf),
    /// It lies above us and holds no processes.
    Above(PathBuf),
}

fn handed_over(hierarchy: &Hierarchy) -> Option<Result<Place>> {
    match candidate(hierarchy)? {
        Handed::Ours(dir) => Some(settle(&dir).map(|place| Place { borrowed: Some(dir), ..place })),
        Handed::Above(dir) => v2::pass_on(&dir).ok().map(|()| Ok(Place::at(dir))),
    }
}

/// Whether a group is P of some sandtop.
fn is_a_sandtops(dir: &Path) -> bool {
    dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name::Owner::parse(name).is_some())
}

pub(super) fn may_divide(dir: &Path) -> bool {
    let writable = ["", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|name| access(&dir.join(name), AccessFlags::W_OK).is_ok());
    writable && (!systemd_booted() || is_marked(dir))
}

/// systemd marks what it hands over (`user.delegate`, systemd 251); the user manager's own group is handed to the user manager.
fn is_marked(dir: &Path) -> bool {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let marked = ["user.delegate", "trusted.delegate"].iter().any(|attribute| {
        let mut mark = [0; 8];
        rustix::fs::getxattr(dir, *attribute, &mut mark[..]).is_ok_and(|n| mark[..n] == *b"1")
    });
    marked && !(name.starts_with("user@") && name.ends_with(".service"))
}

/// Has systemd put us into a scope of our own, and settles there.
fn own_scope(hierarchy: &Hierarchy, manager: Manager) -> Result<Place> {
    if is_inside(hierarchy) {
        return Err(Error::new("no group can be had inside a container or another sandtop"));
    }
    let unit = systemd::unit_name(&name::Owner::myself()?);
    let there = || own_group(hierarchy).is_some_and(|dir| dir.ends_with(&unit));
    systemd::enter_scope(manager, &unit, there)?;
    let dir = own_group(hierarchy)
        .ok_or_else(|| Error::new(format!("{unit} is not to be seen below {}", hierarchy.root.display())))?;
    settle(&dir)
}

/// Whether we are inside a container or another sandtop: systemd would move us out of it.
pub(super) fn is_inside(hierarchy: &Hierarchy) -> bool {
    let namespace = fs::read_link("/proc/self/ns/cgroup").is_ok_and(|link| link != Path::new(INITIAL_CGROUP_NAMESPACE));
    namespace || own_group(hierarchy).is_some_and(|own| own.ancestors().any(is_a_sandtops))
}

/// `PROC_CGROUP_INIT_INO`, include/linux/proc_ns.h.
const INITIAL_CGROUP_NAMESPACE: &str = "cgroup:[4026531835]";

/// In a group of ours where nobody else is: moves sandtop to a leaf, so that the group can have children with limits.
fn settle(dir: &Path) -> Result<Place> {
    let folder = dir.join(name::FOLDER);
    remove_old_leaves(&folder);
    let leaf = folder.join(format!("{SUPERVISOR}{}", std::process::id()));
    for group in [&folder, &leaf] {
        match files::make_dir(group) {
            Err(e) if !e.is(Errno::EEXIST) => return Err(e),
            _ => {}
        }
    }
    files::write(&leaf.join("cgroup.procs"), "0")?;
    v2::pass_on(dir).map_err(|e| {
        e.remedy("systemd did not hand the memory controller over; for a user: sudo systemctl edit user@.service, add [Service] Delegate=yes, log in again")
    })?;
    Ok(Place::at(dir.to_path_buf()))
}

/// The leaf that sandtop itself is in, in a group that it shares with nobody.
const SUPERVISOR: &str = "supervisor-";

/// Our own group's directory in the v2 hierarchy; `None` where it is not below what is mounted.
pub fn own_group(hierarchy: &Hierarchy) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    group_dir(&text, &hierarchy.root, &hierarchy.shows)
}

fn group_dir(text: &str, root: &Path, shows: &Path) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = Path::new(path).strip_prefix(shows).ok()?;
    let inside = below.components().all(|c| !matches!(c, std::path::Component::ParentDir));
    inside.then(|| root.join(below))
}

/// Whether we are inside a container, as far as it tells.
pub fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"].iter().any(|file| Path::new(file).exists())
        || std::env::var_os("container").is_some()
}

/// The path of this program, for a command line.
pub fn exe() -> String {
    std::env::current_exe().map_or_else(|_| "sandtop".into(), |path| path.display().to_string())
}

/// On cgroup v1 there is no way without root.
pub(super) fn need_root() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(Error::new("root is needed: this machine's memory controller is cgroup v1, and its groups are root's to make")
        .remedy(format!(
            "sudo {} …   (the full path: sudo does not look where cargo installs; the command itself runs as you)",
            exe()
        )))
}

/// Empty leaves that sandtops before us left in a group that was handed over.
pub fn remove_old_leaves(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(SUPERVISOR) && tree::pids_below(&entry.path()).is_empty() {
            let _ = files::remove_dir(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_is_found_below_what_is_mounted() {
        let dir = |text, shows| group_dir(text, Path::new("/c"), Path::new(shows));
        assert_eq!(dir("4:memory:/x\n0::/user.slice/a.scope\n", "/"), Some("/c/user.slice/a.scope".into()));
        assert_eq!(dir("0::/\n", "/"), Some("/c".into()));
        assert_eq!(dir("0::/docker/1/inner\n", "/docker/1"), Some("/c/inner".into()));
        assert_eq!(dir("0::/elsewhere\n", "/docker/1"), None);
        assert_eq!(dir("0::/../outside\n", "/"), None);
        assert_eq!(dir("4:memory:/x\n", "/"), None);
    }
}
