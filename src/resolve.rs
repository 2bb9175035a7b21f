//! From what was typed to what will be done: asks the world (users, mounts, environment) once, and refuses early with the remedy.

use std::{
    ffi::{CString, OsString},
    io::IsTerminal,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};

use crate::{
    cgroup, cli,
    error::{Error, Result, printable},
    hints, mountinfo,
    plan::Plan,
    sandbox::{
        self,
        privileges::{Identity, Privileges},
        spec::Namespaces,
    },
    units::Limit,
};

/// The limit when nobody chose one.
pub const DEFAULT_LIMIT: Limit = Limit::Bytes(100 << 20);

/// The user on whose behalf root runs us, under sudo.
pub fn sudo_caller() -> Option<Uid> {
    let uid: u32 = std::env::var("SUDO_UID").ok()?.parse().ok()?;
    (geteuid().is_root() && uid != 0).then_some(Uid::from_raw(uid))
}

/// Resolves options and a command to a plan.
///
/// # Errors
/// When an option does not make sense here, or the machine cannot do it; with the remedy.
pub fn plan(options: &cli::Options, command: Vec<OsString>) -> Result<Plan> {
    let mem_total = mem_total();
    let limit = match &options.memory {
        Some(text) if text == "--" => {
            return Err(Error::new(format!("-m needs a size: {}", crate::units::ACCEPTED_SIZES)));
        }
        Some(text) => Limit::parse(text, mem_total).map_err(|why| Error::new(format!("-m: {why}")))?,
        None => DEFAULT_LIMIT,
    };
    if let Some(text) = options.env.iter().find(|e| e.is_empty() || e.as_bytes()[0] == b'=') {
        return Err(Error::new(format!("-e: '{}' names no variable; it is NAME=VALUE", text.to_string_lossy())));
    }
    let namespaces = namespaces(options)?;
    need_root()?;
    let mounts = mountinfo::read()?;
    let hierarchy = cgroup::detect(&mounts)?;
    let parent = parent(&hierarchy.root, options.cgroup_parent.as_deref())?;
    let user = user(options.user.as_deref())?;
    let env = environment(&options.env, user.as_ref());
    let current = || std::env::current_dir().unwrap_or_else(|_| "/".into());
    Ok(Plan {
        shown: command.iter().map(|a| printable(&a.to_string_lossy())).collect(),
        program: None,
        env,
        limit,
        limit_is_default: options.memory.is_none(),
        hierarchy,
        mounts,
        parent,
        mem_total,
        interval: options.interval,
        timeout: options.timeout,
        hold: options.hold,
        workdir: options.workdir.clone().map_or_else(|| (current(), false), |dir| (dir, true)),
        hostname: options.hostname.clone(),
        namespaces,
        privileges: Privileges {
            user: user.map(|u| u.identity),
            added: options.cap_add.iter().fold(0, |all, bits| all | bits),
            allow_new: options.allow_new_privs,
        },
        keep_stdin: !std::io::stdin().is_terminal(),
        sigchld_ignored: sandbox::take_sigchld(),
        hints: hints::before(&command, options.allow_new_privs),
        argv: command,
    })
}

/// The machine's memory, in bytes.
fn mem_total() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}

fn namespaces(options: &cli::Options) -> Result<Namespaces> {
    use cli::Unshare;
    let has = |kind| options.unshare.contains(&kind);
    if has(Unshare::None) && options.unshare.len() > 1 {
        return Err(Error::new("--unshare: 'none' stands alone; a list is of uts, ipc, net"));
    }
    if options.hostname.is_some() && !has(Unshare::Uts) {
        return Err(Error::new("--hostname would rename the host without a uts namespace; add uts to --unshare"));
    }
    if let Some(name) = options.hostname.as_deref().filter(|n| n.is_empty() || n.len() > 64 || n.contains('\0')) {
        return Err(Error::new(format!("--hostname: '{name}' is no host name; it is 1 to 64 bytes")));
    }
    if options.network == Some(cli::Network::Host) && has(Unshare::Net) {
        return Err(Error::new("--network host and --unshare net contradict each other; give one of them"));
    }
    let net = has(Unshare::Net) || options.network == Some(cli::Network::None);
    Ok(Namespaces { uts: has(Unshare::Uts), ipc: has(Unshare::Ipc), net })
}

/// On cgroup v1 there is no way without root.
fn need_root() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    let exe = std::env::current_exe().map_or_else(|_| "sandtop".into(), |p| p.display().to_string());
    Err(Error::new("root is needed: namespaces and cgroup v1 groups are root's to make").remedy(format!(
        "sudo {exe} …   (the full path: sudo does not look where cargo installs; the command itself runs as you)"
    )))
}

/// The group below which ours goes.
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

/// A resolved user: ids, and what goes into the environment.
struct Account {
    identity: Identity,
    name: Option<String>,
    home: Option<PathBuf>,
}

/// `-u`, or else the caller under sudo. `root` stays who we are.
fn user(wanted: Option<&str>) -> Result<Option<Account>> {
    let Some(wanted) = wanted else {
        return sudo_caller().map(|uid| account(&uid.to_string(), None)).transpose();
    };
    let (user, group) = wanted.split_once(':').map_or((wanted, None), |(u, g)| (u, Some(g)));
    let account = account(user, group)?;
    let unchanged = account.identity.uid == 0 && group.is_none();
    Ok(if unchanged { None } else { Some(account) })
}

fn account(user: &str, group: Option<&str>) -> Result<Account> {
    let unknown = |what: &str, name: &str| {
        Error::new(format!("-u: there is no {what} '{name}'; give a name of this machine, or a number"))
    };
    let id: Option<u32> = user.parse().ok().filter(|id| *id != u32::MAX);
    let found = match id {
        Some(id) => User::from_uid(Uid::from_raw(id)),
        None => User::from_name(user),
    };
    let found = found.ok().flatten();
    let uid = id.or(found.as_ref().map(|f| f.uid.as_raw())).ok_or_else(|| unknown("user", user))?;
    let gid = match group {
        Some(name) => name
            .parse()
            .ok()
            .filter(|id| *id != u32::MAX)
            .or_else(|| Group::from_name(name).ok().flatten().map(|g| g.gid.as_raw()))
            .ok_or_else(|| unknown("group", name))?,
        None => found.as_ref().map_or(uid, |f| f.gid.as_raw()),
    };
    let groups = match (&found, group) {
        (Some(f), None) => CString::new(f.name.clone())
            .ok()
            .and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok())
            .map_or_else(|| vec![gid], |list| list.iter().map(|g| g.as_raw()).collect()),
        _ => vec![gid],
    };
    Ok(Account {
        identity: Identity { uid, gid, groups },
        name: found.as_ref().map(|f| f.name.clone()),
        home: found.map(|f| f.dir),
    })
}

/// Our environment, with the user's own names and the `-e` options.
fn environment(edits: &[OsString], user: Option<&Account>) -> Vec<OsString> {
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let mut edit = |name: OsString, value: OsString| {
        env.retain(|(n, _)| *n != name);
        env.push((name, value));
    };
    if let Some(account) = user {
        let home = account.home.as_ref().map(OsString::from);
        let name = account.name.as_ref().map(OsString::from);
        for (variable, value) in [("USER", &name), ("LOGNAME", &name), ("HOME", &home)] {
            if let Some(value) = value {
                edit(variable.into(), value.clone());
            }
        }
    }
    for text in edits {
        let bytes = text.as_bytes();
        // A name alone passes its value on, as docker has it; here everything is passed on anyway.
        if let Some(at) = bytes.iter().position(|b| *b == b'=') {
            edit(OsString::from_vec(bytes[..at].to_vec()), OsString::from_vec(bytes[at + 1..].to_vec()));
        }
    }
    let join = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    env.into_iter().map(join).map(OsString::from_vec).collect()
}
