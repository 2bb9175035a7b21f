//! From what was typed to what will be done: asks the world (users, mounts, environment) once, and refuses early with the remedy.

use std::{
    ffi::OsString,
    io::IsTerminal,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
    time::Duration,
};

use nix::unistd::{getegid, geteuid};

use crate::{
    accounts,
    cgroup::{self, place, place::Place},
    cli,
    error::{Error, Result, printable},
    event::{BudgetOf, Change, Controller, Isolation, OomPolicy},
    hints,
    metrics::Endpoint,
    mountinfo,
    plan::Plan,
    record::Wish,
    sandbox::{
        self,
        descriptors::{self, Inherited},
        privileges::{Identity, Privileges},
        spec::Namespaces,
    },
    schedule::Schedule,
    sentences::Language,
    units::{ACCEPTED_SIZES, Limit},
};

mod like;
mod rights;

/// The limit when nobody chose one.
pub const DEFAULT_LIMIT: Limit = Limit::Bytes(100 << 20);

/// How often is sampled when nobody chose.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// The id of the user on whose behalf root runs us, under sudo.
pub fn sudo_caller() -> Option<u32> {
    let uid: u32 = std::env::var("SUDO_UID").ok()?.parse().ok()?;
    (geteuid().is_root() && uid != 0).then_some(uid)
}

/// The same user, where this machine knows it.
pub fn sudo_user() -> Option<accounts::User> {
    accounts::user_by_id(sudo_caller()?)
}

/// Resolves what was typed after `sandtop run`.
///
/// # Errors
/// As [`plan`], and when the budget is no size.
pub fn run(run: &cli::Run) -> Result<Plan> {
    let budget = run.budget.as_deref().map(budget).transpose()?;
    let mut plan = plan(&run.options, run.command.clone())?;
    (plan.budget, plan.budget_of) = (budget, run.budget_of);
    plan.hints.extend(budget.and_then(|budget| Language::English.pointless_budget(budget, plan.limit)));
    Ok(plan)
}

/// `--budget`, in bytes.
fn budget(text: &str) -> Result<u64> {
    const ACCEPTED: &str = "64m, 64M, 64MiB, 1.5G or 50%";
    match Limit::parse(text, mem_total()) {
        Ok(Limit::Bytes(budget)) => Ok(budget),
        Ok(Limit::Max) => Err(Error::new(format!("--budget: '{text}' is no budget; one is {ACCEPTED}"))),
        Err(why) => Err(Error::new(format!("--budget: {}", why.replace(ACCEPTED_SIZES, ACCEPTED)))),
    }
}

/// A command as a user would read it.
pub fn shown(command: &[OsString]) -> Vec<String> {
    command.iter().map(|a| printable(&a.to_string_lossy())).collect()
}

/// Resolves options and a command to a plan.
///
/// # Errors
/// When an option does not make sense here, or the machine cannot do it; with the remedy.
pub fn plan(options: &cli::Options, command: Vec<OsString>) -> Result<Plan> {
    let mem_total = mem_total();
    let (limit, schedule) = limit(options, mem_total)?;
    let swap = match (&options.memory_swap, options.like) {
        (None, Some(like)) => like::swap(like, limit),
        (wanted, _) => swap(wanted.as_deref(), limit, mem_total)?,
    };
    if let Some(text) = options.env.iter().find(|e| e.is_empty() || e.as_bytes()[0] == b'=') {
        return Err(Error::new(format!("-e: '{}' names no variable; it is NAME=VALUE", text.to_string_lossy())));
    }
    let namespaces = namespaces(options)?;
    let mounts = mountinfo::read()?;
    let hierarchy = cgroup::detect(&mounts)?;
    let changes = changes(options, mem_total, hierarchy.controller)?;
    let user = user(options.user.as_deref())?;
    // What can fail comes before a group is taken on loan.
    let metrics = options.metrics.map(Endpoint::bind).transpose()?;
    let recording = Wish::new(options.record.as_deref(), !options.no_keep)?;
    let sigchld_ignored = sandbox::take_sigchld(); // before there are children whose end matters
    let (isolation, user) = isolation(user, options)?;
    if let Some((stream, what)) = descriptors::refused_stream() {
        return Err(Error::new(format!("{stream} is {what}, through which a command could reach past its limit"))
            .remedy("give it a file, a pipe, a terminal or /dev/null"));
    }
    let workdir = match &options.workdir {
        Some(dir) => (dir.clone(), true),
        None => (current_dir()?, false),
    };
    let Inherited { passed, refused } = Inherited::take();
    let Place { parent, told, borrowed } = place::find(&hierarchy, options.cgroup_parent.as_deref())?;
    let env = environment(&options.env, user.as_ref());
    let limit_only = (isolation == Isolation::LimitOnly).then(|| LIMIT_ONLY.to_string());
    let shown = shown(&command);
    let served = metrics.as_ref().map(|endpoint| Language::English.metrics(&endpoint.address));
    let hints: Vec<String> = hints::before(&shown).into_iter().chain(rights::server_outside(&shown)).collect();
    let pauses = changes.contains(&Change::Oom(OomPolicy::Pause)) && hierarchy.controller == Controller::V2;
    let no_swap =
        (swap != cgroup::NO_SWAP && rustix::system::sysinfo().totalswap == 0).then(|| NO_SWAP_HERE.to_string());
    let oomd = (pauses && like::oomd_runs()).then(|| Language::English.oomd().to_string());
    let closed = hints::closed(&shown, &refused);
    let hints = told
        .into_iter()
        .chain(limit_only)
        .chain(served)
        .chain(no_swap)
        .chain(oomd)
        .chain(closed)
        .chain(hints)
        .collect();
    let privileges = Privileges {
        user: user.map(|u| u.identity),
        added: options.cap_add.iter().fold(0, |all, bits| all | bits),
        allow_new: options.allow_new_privs,
    };
    let uid = match (&privileges.user, isolation) {
        (Some(identity), _) => identity.uid,
        (None, Isolation::User { uid, .. }) => uid,
        (None, _) => geteuid().as_raw(),
    };
    let rights = rights::rights(&command, &env, uid, &privileges, namespaces);
    let on_failure = hints::failure::on_failure(&shown, &rights);
    Ok(Plan {
        not_nicer: hints::failure::not_nicer(&shown, &rights),
        on_failure,
        shown,
        program: None,
        env,
        limit_is_default: options.memory.is_none() && options.usual_memory.is_none() && schedule.at_start().is_none(),
        limit,
        schedule,
        swap,
        changes,
        like: options.like,
        oom_score_adj: options.oom_score_adj,
        recording,
        metrics,
        hierarchy,
        mounts,
        parent,
        borrowed,
        mem_total,
        interval: options.interval.unwrap_or(DEFAULT_INTERVAL),
        timeout: options.timeout,
        hold: options.hold,
        workdir,
        hostname: options.hostname.clone(),
        isolation,
        namespaces,
        privileges,
        keep_stdin: !std::io::stdin().is_terminal(),
        descriptors: passed,
        sigchld_ignored,
        hints,
        budget: None,
        budget_of: BudgetOf::default(),
        options: options.beside_memory(),
        argv: command,
    })
}

fn current_dir() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| {
        Error::sys("tell the working directory", e)
            .remedy("it is gone or out of reach: cd to another one, or give -w DIR")
    })
}

/// The limit at the start, and how it is to move: `-m` and `--schedule`.
fn limit(options: &cli::Options, mem_total: u64) -> Result<(Limit, Schedule)> {
    let chosen = match &options.memory {
        Some(text) if text == "--" => {
            return Err(Error::new(format!("-m needs a size: {}", ACCEPTED_SIZES)));
        }
        Some(text) => Some(Limit::parse(text, mem_total).map_err(|why| Error::new(format!("-m: {why}")))?),
        None => None,
    };
    let usual = options.usual_memory.as_deref().map(|text| Limit::parse(text, mem_total)).transpose();
    let usual = usual.map_err(|why| Error::new(format!("memory in the configuration: {why}")))?;
    let parsed = options.schedule.as_deref().map(|text| Schedule::parse(text, mem_total)).transpose();
    let schedule = parsed.map_err(|why| Error::new(format!("--schedule, {why}")))?.unwrap_or_default();
    match (chosen, schedule.at_start()) {
        (Some(limit), Some(at_start)) if limit != at_start => Err(Error::new(format!(
            "--schedule, step 1: {at_start} at 0s contradicts -m {limit}: both are the limit at the start; give one of them"
        ))),
        (limit, at_start) => Ok((limit.or(at_start).or(usual).unwrap_or(DEFAULT_LIMIT), schedule)),
    }
}

/// `--memory-swap`, which is memory and swap together, as docker has it: how much may be swapped out.
fn swap(wanted: Option<&str>, limit: Limit, mem_total: u64) -> Result<Limit> {
    let Some(text) = wanted else { return Ok(cgroup::NO_SWAP) };
    let both = Limit::parse(text, mem_total).map_err(|why| Error::new(format!("--memory-swap: {why}")))?;
    match (both, limit) {
        (Limit::Max, _) => Ok(Limit::Max),
        (Limit::Bytes(both), Limit::Bytes(limit)) if both >= limit => Ok(Limit::Bytes(both - limit)),
        _ => Err(Error::new(format!(
            "--memory-swap: {both} is less than the limit of {limit}; it is memory and swap together, as docker has it: give {limit} for no swap, more, or max"
        ))),
    }
}

/// The settings beside limit and swap, as changes of a fresh group.
fn changes(options: &cli::Options, mem_total: u64, controller: Controller) -> Result<Vec<Change>> {
    let size = |option: &str, text: &Option<String>| {
        let parse = |text: &String| Limit::parse(text, mem_total).map_err(|why| Error::new(format!("{option}: {why}")));
        text.as_ref().map(parse).transpose()
    };
    let high = size("--memory-high", &options.memory_high)?;
    if high.is_some() && controller == Controller::V1 {
        return Err(Error::new("--memory-high: cgroup v1 has no memory.high, which slows a group down above it")
            .remedy("leave it out, or try it on a machine with cgroup v2; --memory-reservation is v1's soft limit, which acts only when the whole machine is short"));
    }
    let reservation = size("--memory-reservation", &options.memory_reservation)?;
    let soft = high.map(Change::SoftLimit).into_iter().chain(reservation.map(Change::Reservation));
    let oom = options.oom.or_else(|| like::oom(options.like?, controller)).map(Change::Oom);
    let counts = [options.pids_limit.map(Change::Pids), options.cpus.map(Change::Cpus)];
    Ok(soft.chain(oom).chain(counts.into_iter().flatten()).collect())
}

/// What is said where the limit is all there is.
const LIMIT_ONLY: &str = "limit only: user namespaces cannot be used here (sandtop doctor tells why), so that the workload has none of its own and could lift its own limit";

/// What is said where swap is allowed and there is none.
const NO_SWAP_HERE: &str =
    "this machine has no swap: what the command may swap out has nowhere to go, and only the limit of memory counts";

/// What the sandbox can be made of, and the user that the workload has to become for it. A plain user can be himself, or root inside.
fn isolation(user: Option<Account>, options: &cli::Options) -> Result<(Isolation, Option<Account>)> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if uid == 0 {
        return Ok((Isolation::Root, user));
    }
    let inside = match (&options.user, &user) {
        (None, _) => (uid, gid),
        (Some(_), None) => (0, 0),
        (Some(_), Some(account)) if (account.identity.uid, account.identity.gid) == (uid, gid) => (uid, gid),
        (Some(name), _) => {
            return Err(Error::new(format!(
                "-u {name}: without root a command can run as you, or as root inside (-u root)"
            )));
        }
    };
    let isolation = sandbox::isolation(inside.0, inside.1);
    let wanted = [
        ("-u root", inside.0 != uid),
        ("--hostname", options.hostname.is_some()),
        ("--network none", options.network == Some(cli::Network::None)),
    ];
    match wanted.iter().find(|(_, asked)| *asked) {
        Some((option, _)) if isolation == Isolation::LimitOnly => Err(Error::new(format!(
            "{option} needs a namespace, and user namespaces cannot be used here"
        ))
        .remedy("sandtop doctor tells why, and what would help; without that option the limit alone can be had")),
        _ => Ok((isolation, None)),
    }
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
        Some(id) => accounts::user_by_id(id),
        None => accounts::user_by_name(user),
    };
    let uid = id.or(found.as_ref().map(|f| f.uid)).ok_or_else(|| unknown("user", user))?;
    let gid = match group {
        Some(name) => name
            .parse()
            .ok()
            .filter(|id| *id != u32::MAX)
            .or_else(|| accounts::group_by_name(name))
            .ok_or_else(|| unknown("group", name))?,
        None => found.as_ref().map_or(uid, |f| f.gid),
    };
    let groups = match (&found, group) {
        (Some(found), None) => accounts::groups_of(found)?,
        _ => vec![gid],
    };
    Ok(Account {
        identity: Identity { uid, gid, groups },
        name: found.as_ref().map(|f| f.name.clone()),
        home: found.map(|f| f.home),
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
        // A number without a name has neither a home nor a name; our own would be wrong.
        let home = account.home.as_ref().map_or_else(|| "/".into(), OsString::from);
        let name = account.name.clone().unwrap_or_else(|| account.identity.uid.to_string());
        for (variable, value) in [("USER", name.clone().into()), ("LOGNAME", name.into()), ("HOME", home)] {
            edit(variable.into(), value);
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
