//! From a plan to a live run: terminal, sandbox, group, in this order; what was made goes again when a later step fails.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{Waker, live::Live, outbox::Outbox, terminal::Terminal};
use crate::{
    cgroup::{Cgroup, InitFiles, Wanted, name::Owner, v1::V1, v2::V2},
    error::{Error, Result},
    event::{Change, Controller, Event, Isolation, Note, Started},
    mountinfo,
    plan::Plan,
    procs,
    sandbox::{
        Heard, Sandbox,
        mounts::MountPlan,
        protocol::Order,
        spec::{Setup, Spec, Streams},
    },
    units::Limit,
};

/// What stays the same from run to run.
pub struct Launcher {
    owner: Owner,
    cpus: u32,
    open_files: u64,
    /// How many processes are read through kept descriptors.
    kept: usize,
    runs: u32,
    waker: Waker,
    /// Whether the kernel's log can be read.
    kernel_log: bool,
}

impl Launcher {
    /// Learns who and where we are, and raises our own limit of open files: processes are watched through two descriptors each.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn new(waker: Waker, kernel_log: bool) -> Result<Launcher> {
        let (soft, hard) =
            getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| Error::sys("read the limit of open files", e))?;
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        let (owner, cpus, kept) = (Owner::myself()?, cpus_online(), procs::kept(hard));
        Ok(Launcher { owner, cpus, open_files: soft, kept, runs: 0, waker, kernel_log })
    }

    /// Starts a run. `apart`: then sandtop leaves the session in which the workload stays.
    ///
    /// # Errors
    /// When a step fails; nothing is left of it.
    pub fn launch(
        &mut self,
        plan: &Plan,
        terminal: Option<(u16, u16)>,
        apart: bool,
        out: &mut Outbox,
    ) -> Result<(Live, Vec<Heard>)> {
        let now = (self.runs > 0).then(mountinfo::read).transpose()?;
        let mounts = now.as_ref().unwrap_or(&plan.mounts);
        let user = plan.privileges.user.as_ref().map(|u| (u.uid, u.gid));
        let spec = Spec {
            setup: Setup {
                isolation: plan.isolation,
                namespaces: plan.namespaces,
                hostname: plan.hostname.clone(),
                mounts: MountPlan::new(mounts, plan.namespaces, plan.isolation != Isolation::Root),
                privileges: plan.privileges.clone(),
                program: plan.program.clone().map(Into::into),
                workdir: plan.workdir.0.clone().into(),
                workdir_chosen: plan.workdir.1,
                open_files: self.open_files,
                streams: Streams::Inherited,
                keep_stdin: plan.keep_stdin,
                descriptors: plan.descriptors.clone(),
                sigchld_ignored: plan.sigchld_ignored,
                oom_score_adj: plan.oom_score_adj,
            },
            argv: plan.argv.clone(),
            env: plan.env.clone(),
        };
        let terminal = terminal.map(|(rows, cols)| Terminal::open(rows, cols, user)).transpose()?;
        let theirs = terminal.as_ref().and_then(Terminal::workload_end);
        let (sandbox, early) = Sandbox::launch(spec, theirs)?;
        if apart {
            let _ = nix::unistd::setsid(); // after init was made, and before the command may start
        }
        // While init mounts, the group is made; the command starts when there is a limit for it to start under.
        let wanted = Wanted {
            hierarchy: &plan.hierarchy,
            parent: &plan.parent,
            owner: &self.owner,
            cpus: self.cpus,
            limit: plan.limit,
            swap: plan.swap,
            changes: &plan.changes,
        };
        let ready = |files: &InitFiles| {
            if plan.changes.iter().any(|change| matches!(change, Change::Cpus(_))) {
                sandbox.order(Order::Outlive);
            }
            if !plan.hold {
                sandbox.go(files);
            }
        };
        let group: Box<dyn Cgroup> = match plan.hierarchy.controller {
            Controller::V1 => Box::new(V1::create(&wanted, ready)?),
            Controller::V2 => Box::new(V2::create(&wanted, ready)?),
        };
        self.runs += 1;
        out.push(Event::Started(Box::new(self.started(plan, &*group))));
        if !group.swap_is_limited() && plan.swap != Limit::Max && swap_total() > 0 {
            let text = "swap is not counted on this machine (swapaccount=0?): what is swapped out does not count, and the limit may hold nobody back";
            out.push(Event::Note(Note::Hint { text: text.into() }));
        }
        Ok((Live::new(group, sandbox, terminal, plan, procs::ProcessTable::new(self.kept), self.waker.clone()), early))
    }

    fn started(&self, plan: &Plan, group: &dyn Cgroup) -> Started {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Started {
            run: self.runs,
            argv: plan.shown.clone(),
            limit: plan.limit,
            limit_is_default: plan.limit_is_default,
            swap: Some(plan.swap).filter(|swap| *swap != crate::cgroup::NO_SWAP),
            oom: plan.oom(),
            like: plan.like,
            changes: plan.changes.clone(),
            schedule: plan.schedule.clone(),
            oom_score_adj: plan.oom_score_adj,
            controller: plan.hierarchy.controller,
            group: group.path(),
            cpus: self.cpus,
            mem_total: plan.mem_total,
            above: group.above(),
            kernel_log: self.kernel_log,
            swap_total: Some(swap_total()),
            held: plan.hold,
            isolation: plan.isolation,
            options: plan.options.clone(),
            demo: plan.program.is_some(),
            widened: plan.privileges.added != 0 || plan.privileges.allow_new,
            budget: plan.budget,
            budget_of: plan.budget_of,
            wall_ms: wall.as_millis() as u64,
        }
    }
}

/// The machine's swap, in bytes.
fn swap_total() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalswap as u64 * u64::from(machine.mem_unit)
}

/// CPUs that may hold a charge batch: all that the machine has, not those that this process may use.
fn cpus_online() -> u32 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    count_cpus(text.trim()).unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32))
}

/// Counts a list like `0-3,8`.
fn count_cpus(list: &str) -> Option<u32> {
    list.split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_from_the_kernels_list() {
        assert_eq!(count_cpus("0-3,8"), Some(5));
        assert_eq!(count_cpus("0"), Some(1));
        assert_eq!(count_cpus(""), None);
    }
}
