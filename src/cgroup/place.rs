//! Where a group of ours can be made, and how sandtop gets there.
//!
//! On v1: below our own group, by root. On v2: below the nearest group that can be divided, or under systemd in a scope of our own in the slice
//! that we are in. Never so that a limit that holds us would not hold the workload. Anything else is refused with what would help.
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
    sandbox,
};

mod limits;

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

/// Where the parent of our group is to be, before anything is made or moved.
///
/// The nearest group, our own included, in which a child with the memory controller can be made by
/// moving nobody but ourselves; and no group below it that we would leave limits anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// In this group, which is there and has (or passes on) what is needed.
    In(PathBuf),
    /// In our own group, in which nobody else is; sandtop goes to a leaf below it.
    Own(PathBuf),
    /// In a container's root group, whose processes (so many) go to a leaf below it.
    Occupied(PathBuf, usize),
    /// In a scope that this systemd makes.
    Scope(Manager, Scope),
}

/// What a scope of ours is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The slice that we are in; `None` for systemd's own choice.
    pub slice: Option<String>,
    /// How many processes the groups allow that we leave: systemd sets a number for each unit, so
    /// that it is carried over rather than refused.
    pub tasks: Option<u64>,
}

/// Finds the place, and moves sandtop there where it must be inside. Must be called while sandtop has one thread.
///
/// # Errors
/// When there is none; the error says what would help.
pub fn find(hierarchy: &Hierarchy, wanted: Option<&Path>) -> Result<Place> {
    if wanted.is_some() {
        let dir = parent(&hierarchy.root, wanted)?;
        match hierarchy.controller {
            Controller::V1 => need_root()?,
            Controller::V2 => v2::pass_on(&dir).map_err(|e| explain_parent(e, &dir))?,
        }
        return Ok(Place::at(dir));
    }
    match choose(hierarchy)? {
        Choice::In(dir) if hierarchy.controller == Controller::V1 => Ok(Place::at(dir)),
        Choice::In(dir) | Choice::Occupied(dir, _) if dir == hierarchy.root => below_the_root(&dir),
        Choice::In(dir) | Choice::Occupied(dir, _) => v2::pass_on(&dir).map(|()| Place::at(dir)),
        Choice::Own(dir) => settle(&dir).map(|place| Place { borrowed: Some(dir), ..place }),
        Choice::Scope(manager, scope) => own_scope(hierarchy, manager, &scope).map_err(|e| match manager {
            Manager::System => e.remedy("sandtop makes no groups in systemd's tree without systemd; is this a container? --cgroup-parent GROUP names one to use"),
            Manager::User(_) => e.remedy(format!("or, as root: sudo {} …; the command itself runs as you", exe())),
        }),
    }
}

/// Chooses the place. Nothing is made or moved.
///
/// # Errors
/// When there is none; the error says what would help.
pub(super) fn choose(hierarchy: &Hierarchy) -> Result<Choice> {
    if sandbox::is_nested() {
        return Err(sandbox::nested());
    }
    let own = own_group(hierarchy).unwrap_or_else(|| hierarchy.root.clone());
    if hierarchy.controller == Controller::V1 {
        need_root()?;
        // Before 5.11 such a group does not count those below it: ours would not be under its limit.
        let apart = files::read(&own.join("memory.use_hierarchy")).is_ok_and(|text| text.trim() == "0");
        return match limits::of_v1(&own).filter(|_| apart && own != hierarchy.root) {
            Some(limit) => {
                Err(limits::left_behind(&own, &limit, "it does not count groups below it (memory.use_hierarchy)"))
            }
            None => Ok(Choice::In(own)),
        };
    }
    if systemd_booted() { of_systemd(hierarchy, &own) } else { of_nobody(hierarchy, &own) }
}

/// In a tree that nobody keeps: up from our own group.
fn of_nobody(hierarchy: &Hierarchy, own: &Path) -> Result<Choice> {
    for dir in own.ancestors().take_while(|dir| dir.starts_with(&hierarchy.root)) {
        if dir == hierarchy.root && geteuid().is_root() {
            let occupied = occupants(dir)?;
            return Ok(if occupied == 0 { Choice::In(dir.into()) } else { Choice::Occupied(dir.into(), occupied) });
        }
        let divisible = dir != hierarchy.root && !is_a_sandtops(dir) && may_divide(dir) && v2::has_memory(dir);
        if divisible {
            let pids = members(dir)?;
            if dir == own && pids == [std::process::id() as i32] {
                return Ok(Choice::Own(dir.into()));
            }
            if pids.is_empty() || v2::passes_memory_on(dir) {
                return Ok(Choice::In(dir.into()));
            }
        }
        if let Some(limit) = limits::of_v2(dir).filter(|_| dir != hierarchy.root) {
            let why = match divisible {
                true => "no group can be made below it while other processes are in it",
                false if v2::has_memory(dir) => "it is not ours to divide",
                false => "it has no memory controller for groups below it",
            };
            return Err(limits::left_behind(dir, &limit, why));
        }
    }
    Err(why_none(hierarchy))
}

/// In a tree that systemd keeps: in what it handed over to us alone, else in a scope of our own in
/// the slice that we are in.
fn of_systemd(hierarchy: &Hierarchy, own: &Path) -> Result<Choice> {
    let alone = || members(own).is_ok_and(|pids| pids == [std::process::id() as i32]);
    let divisible = *own != hierarchy.root && !is_a_sandtops(own) && may_divide(own) && v2::has_memory(own);
    if divisible && alone() {
        return Ok(Choice::Own(own.into()));
    }
    let root = geteuid().is_root();
    let manager = if root { Manager::System } else { Manager::User(getuid().as_raw()) };
    if !manager.listens() && !root {
        return Err(why_none(hierarchy));
    }
    if is_inside(hierarchy) {
        return Err(Error::new("no group can be had inside a container or another sandtop"));
    }
    let below = own.strip_prefix(&hierarchy.root).unwrap_or(Path::new(""));
    let (slice, kept) = slice_of(below, manager);
    let kept = hierarchy.root.join(kept);
    let mut tasks: Option<u64> = None;
    for dir in own.ancestors().take_while(|dir| **dir != kept && dir.starts_with(&hierarchy.root)) {
        match limits::of_v2(dir) {
            Some(limits::Limit { tasks: Some(n), .. }) => tasks = Some(tasks.map_or(n, |most| most.min(n))),
            Some(limit) => {
                return Err(limits::left_behind(dir, &limit, "a scope of its own would lie outside of it"));
            }
            None => {}
        }
    }
    Ok(Choice::Scope(manager, Scope { slice, tasks }))
}

/// The slice of this manager that a group lies in, and the group up to which a scope in it leaves
/// nothing behind.
fn slice_of(below: &Path, manager: Manager) -> (Option<String>, PathBuf) {
    let names: Vec<String> = below.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    let user_manager = names.iter().position(|name| name.starts_with("user@") && name.ends_with(".service"));
    let mine = |name: &String| matches!(manager, Manager::User(uid) if *name == format!("user@{uid}.service"));
    let range = match (manager, user_manager) {
        (Manager::System, at) => 0..at.unwrap_or(names.len()),
        (Manager::User(_), Some(at)) if mine(&names[at]) => at + 1..names.len(),
        // Outside of our manager's group, as in a log-in session: what both lie in is kept.
        (Manager::User(uid), _) => {
            let both = ["user.slice".to_string(), format!("user-{uid}.slice")];
            let shared = names.iter().zip(&both).take_while(|(a, b)| a == b).count();
            return (None, names[..shared].iter().collect());
        }
    };
    let slice = range.clone().rev().find(|n| names[*n].ends_with(".slice"));
    let kept = slice.map_or(range.start, |n| n + 1);
    (slice.map(|n| names[n].clone()), names[..kept].iter().collect())
}

fn members(dir: &Path) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    files::pids(dir, &mut pids)?;
    Ok(pids)
}

/// How many processes are in the way of a limit below a hierarchy's root. Every group but the
/// hierarchy's own root has `cgroup.events`, and cannot both hold processes and pass memory on.
fn occupants(root: &Path) -> Result<usize> {
    if !root.join("cgroup.events").exists() || v2::passes_memory_on(root) {
        return Ok(0);
    }
    members(root).map(|pids| pids.len())
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

/// Whether a group is P of some sandtop.
fn is_a_sandtops(dir: &Path) -> bool {
    dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name::Owner::parse(name).is_some())
}

pub(super) fn may_divide(dir: &Path) -> bool {
    let writable = ["", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|name| access(&dir.join(name), AccessFlags::W_OK).is_ok());
    writable && (!systemd_booted() || is_handed_over(dir))
}

/// Whether systemd handed this group over, or one above it: then who has that one divides it. What
/// lies below a user's manager is that manager's.
fn is_handed_over(dir: &Path) -> bool {
    let managed = |dir: &&Path| !is_user_manager(dir);
    dir.ancestors().take_while(managed).any(is_marked)
}

fn is_user_manager(dir: &Path) -> bool {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.starts_with("user@") && name.ends_with(".service")
}

/// systemd marks what it hands over (`user.delegate`, systemd 251); the user manager's own group is handed to the user manager.
fn is_marked(dir: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|attribute| {
        let mut mark = [0; 8];
        rustix::fs::getxattr(dir, *attribute, &mut mark[..]).is_ok_and(|n| mark[..n] == *b"1")
    })
}

/// Has systemd put us into a scope of our own, and settles there.
fn own_scope(hierarchy: &Hierarchy, manager: Manager, scope: &Scope) -> Result<Place> {
    let unit = systemd::unit_name(&name::Owner::myself()?);
    let there = || own_group(hierarchy).is_some_and(|dir| dir.ends_with(&unit));
    systemd::enter_scope(manager, &unit, scope, there)?;
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

/// Our own group's directory in the memory hierarchy; `None` where it is not below what is mounted.
pub fn own_group(hierarchy: &Hierarchy) -> Option<PathBuf> {
    let controller = (hierarchy.controller == Controller::V1).then_some("memory");
    own_dir(controller, &hierarchy.root, &hierarchy.shows)
}

/// Our own group's directory in the v1 hierarchy of a controller, or in the v2 hierarchy, mounted at
/// `root` from its group `shows` on; `None` where it is not below that.
pub(super) fn own_dir(controller: Option<&str>, root: &Path, shows: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    group_dir(&text, controller, root, shows).filter(|dir| dir.is_dir())
}

fn group_dir(text: &str, controller: Option<&str>, root: &Path, shows: &Path) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| {
        let (hierarchy, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match controller {
            Some(name) => controllers.split(',').any(|c| c == name),
            None => hierarchy == "0" && controllers.is_empty(),
        };
        is_it.then_some(path)
    })?;
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
        let of = |text, controller, shows| group_dir(text, controller, Path::new("/c"), Path::new(shows));
        let dir = |text, shows| of(text, None, shows);
        assert_eq!(dir("4:memory:/x\n0::/user.slice/a.scope\n", "/"), Some("/c/user.slice/a.scope".into()));
        assert_eq!(dir("0::/\n", "/"), Some("/c".into()));
        assert_eq!(dir("0::/docker/1/inner\n", "/docker/1"), Some("/c/inner".into()));
        assert_eq!(dir("0::/elsewhere\n", "/docker/1"), None);
        assert_eq!(dir("0::/../outside\n", "/"), None);
        assert_eq!(dir("4:memory:/x\n", "/"), None);
        let v1 = "5:cpu,cpuacct:/a:b\n4:memory:/x/y\n0::/\n";
        assert_eq!(of(v1, Some("memory"), "/"), Some("/c/x/y".into()));
        assert_eq!(of(v1, Some("cpuacct"), "/"), Some("/c/a:b".into()));
        assert_eq!(of(v1, Some("memory"), "/x"), Some("/c/y".into()));
        assert_eq!(of(v1, Some("pids"), "/"), None);
    }

    #[test]
    fn a_scope_is_asked_for_in_the_slice_that_we_are_in() {
        let of = |path: &str, manager| {
            let (slice, kept) = slice_of(Path::new(path), manager);
            (slice.unwrap_or_default(), kept.display().to_string())
        };
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        let (system, user) = (Manager::System, Manager::User(1000));
        assert_eq!(of("system.slice/ci.service", system), pair("system.slice", "system.slice"));
        assert_eq!(of("lab.slice/lab-a.slice/x.scope/in", system), pair("lab-a.slice", "lab.slice/lab-a.slice"));
        assert_eq!(of("init.scope", system), pair("", ""));
        assert_eq!(of("", system), pair("", ""));
        let session = "user.slice/user-1000.slice/session-2.scope";
        assert_eq!(of(session, system), pair("user-1000.slice", "user.slice/user-1000.slice"));
        assert_eq!(of(session, user), pair("", "user.slice/user-1000.slice"));
        let own = "user.slice/user-1000.slice/user@1000.service";
        let terminal = format!("{own}/app.slice/app-term.slice/vte-1.scope");
        assert_eq!(of(&terminal, user), pair("app-term.slice", &format!("{own}/app.slice/app-term.slice")));
        assert_eq!(of(&terminal, system), pair("user-1000.slice", "user.slice/user-1000.slice"));
        assert_eq!(of(&format!("{own}/init.scope"), user), pair("", own));
        assert_eq!(of("system.slice/ci.service", user), pair("", ""));
    }
}
