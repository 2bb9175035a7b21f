//! What is to be run and how: the command line, resolved against the world once, before anything is made.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{
    cgroup::Hierarchy,
    mountinfo::Mount,
    sandbox::{privileges::Privileges, spec::Namespaces},
    units::Limit,
};

impl Plan {
    /// The limit of the next run, as the last one left it. One that somebody moved is nobody's default.
    pub fn choose(&mut self, limit: Limit) {
        self.limit_is_default &= limit == self.limit;
        self.limit = limit;
    }
}

/// A plan for one or more runs of a command.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The command and its arguments; never empty.
    pub argv: Vec<OsString>,
    /// The file to execute, where it is not the one that `argv[0]` names: built-in workloads.
    pub program: Option<PathBuf>,
    /// How the command is shown; the same as `argv` but for built-in workloads.
    pub shown: Vec<String>,
    /// The workload's environment, as `NAME=value`.
    pub env: Vec<OsString>,
    /// The memory limit.
    pub limit: Limit,
    /// Whether nobody chose it.
    pub limit_is_default: bool,
    /// The memory hierarchy.
    pub hierarchy: Hierarchy,
    /// The mount table when the plan was made: the first run's; later runs look again.
    pub mounts: Vec<Mount>,
    /// The group below which ours goes.
    pub parent: PathBuf,
    /// The machine's memory, in bytes.
    pub mem_total: u64,
    /// How often to sample.
    pub interval: Duration,
    /// When to end the run.
    pub timeout: Option<Duration>,
    /// Whether the command waits to be told.
    pub hold: bool,
    /// The directory to start in, and whether it was chosen.
    pub workdir: (PathBuf, bool),
    /// The host name inside, where it is to be another.
    pub hostname: Option<String>,
    /// Which namespaces are fresh beside pid, mount and cgroup.
    pub namespaces: Namespaces,
    /// Who the workload is, and what it keeps.
    pub privileges: Privileges,
    /// Whether the workload's standard input is sandtop's own even on the screen: a pipe or a file.
    pub keep_stdin: bool,
    /// Whether SIGCHLD was ignored when sandtop was started.
    pub sigchld_ignored: bool,
    /// What to tell about the command before it starts.
    pub hints: Vec<String>,
}
