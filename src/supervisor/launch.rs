//! From a plan to a live run: terminal, sandbox, group, in this order; what was made goes again when a later step fails.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{live::Live, outbox::Outbox, terminal::Terminal};
use crate::{
    cgroup::{Cgroup, name::Owner, v1::V1},
    error::{Error, Result},
    event::{Controller, Event, Started},
    mountinfo,
    plan::Plan,
    sandbox::{
        Heard, Sandbox,
        mounts::MountPlan,
        spec::{Setup, Spec, Streams},
    },
};

/// What stays the same from run to run.
pub struct Launcher {
    owner: Owner,
    cpus: u32,
    open_files: u64,
    runs: u32,
}

impl Launcher {
    /// Learns who and where we are, and raises our own limit of open files: every process is watched through two descriptors.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn new() -> Result<Launcher> {
        let (soft, hard) =
            getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| Error::sys("read the limit of open files", e))?;
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        Ok(Launcher { owner: Owner::myself()?, cpus: cpus_online(), open_files: soft, runs: 0 })
    }

    /// Starts a run.
    ///
    /// # Errors
    /// When a step fails; nothing is left of it.
    pub fn launch(
        &mut self,
        plan: &Plan,
        terminal: Option<(u16, u16)>,
        out: &mut Outbox,
    ) -> Result<(Live, Vec<Heard>)> {
        let now = (self.runs > 0).then(mountinfo::read).transpose()?;
        let mounts = now.as_ref().unwrap_or(&plan.mounts);
        let user = plan.privileges.user.as_ref().map(|u| (u.uid, u.gid));
        let spec = Spec {
            setup: Setup {
                namespaces: plan.namespaces,
                hostname: plan.hostname.clone(),
                mounts: MountPlan::new(mounts, plan.namespaces),
                privileges: plan.privileges.clone(),
                program: plan.program.clone().map(Into::into),
                workdir: plan.workdir.0.clone().into(),
                workdir_chosen: plan.workdir.1,
                open_files: self.open_files,
                streams: Streams::Inherited,
                keep_stdin: plan.keep_stdin,
                sigchld_ignored: plan.sigchld_ignored,
            },
            argv: plan.argv.clone(),
            env: plan.env.clone(),
        };
        let terminal = terminal.map(|(rows, cols)| Terminal::open(rows, cols, user)).transpose()?;
        let theirs = terminal.as_ref().and_then(Terminal::workload_end);
        let (sandbox, early) = Sandbox::launch(spec, theirs)?;
        // While init mounts, the group is made; the command starts when there is a limit for it to start under.
        let (root, parent) = (&plan.hierarchy.root, &plan.parent);
        let group = match plan.hierarchy.controller {
            Controller::V1 => V1::create(root, parent, &self.owner, self.cpus, plan.limit, |join| {
                if !plan.hold {
                    sandbox.go(join);
                }
            })?,
        };
        self.runs += 1;
        out.push(Event::Started(Box::new(self.started(plan, &group))));
        Ok((Live::new(Box::new(group), sandbox, terminal, plan), early))
    }

    fn started(&self, plan: &Plan, group: &dyn Cgroup) -> Started {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Started {
            run: self.runs,
            argv: plan.shown.clone(),
            limit: plan.limit,
            limit_is_default: plan.limit_is_default,
            controller: plan.hierarchy.controller,
            group: group.path(),
            cpus: self.cpus,
            mem_total: plan.mem_total,
            held: plan.hold,
            widened: plan.privileges.added != 0 || plan.privileges.allow_new,
            wall_ms: wall.as_millis() as u64,
        }
    }
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
