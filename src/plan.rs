//! What is to be run and how: the command line, resolved against the world once, before anything is made.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{
    cgroup::Hierarchy,
    event::{BudgetOf, Change, Isolation, Like, Note, OomPolicy},
    metrics::Endpoint,
    mountinfo::Mount,
    record::Wish,
    sandbox::{privileges::Privileges, spec::Namespaces},
    schedule::Schedule,
    tap::Tap,
    units::Limit,
};

impl Plan {
    /// The consumers beside the one that follows the run, started; and what is to be told of those that could not be.
    pub fn taps(&self) -> (Vec<Box<dyn Tap>>, Option<Note>) {
        let (recorder, lost) = match self.recording.start(self) {
            Ok(recorder) => (recorder.map(|recorder| Box::new(recorder) as Box<dyn Tap>), None),
            Err(e) => (None, Some(Note::RecordingLost { reason: e.parts().0.to_string() })),
        };
        let metrics = self.metrics.as_ref().map(Endpoint::start);
        (recorder.into_iter().chain(metrics).collect(), lost)
    }

    /// The limit of the next run, as the last one left it. One that somebody moved is nobody's default. With a schedule the next run starts as
    /// this one did: the schedule starts again.
    pub fn choose(&mut self, limit: Limit, changes: &[Change]) {
        if self.schedule.is_empty() {
            self.limit_is_default &= limit == self.limit;
            self.limit = limit;
        }
        changes.iter().for_each(|change| self.remember(*change));
    }

    /// A setting that the next run is to have, too.
    pub fn remember(&mut self, change: Change) {
        match change {
            Change::Swap(swap) => self.swap = swap,
            Change::Reclaim(_) | Change::OomScoreAdj { .. } | Change::Freeze(_) => {} // of that moment, of that process
            _ => {
                let kind = std::mem::discriminant(&change);
                self.changes.retain(|before| std::mem::discriminant(before) != kind);
                self.changes.push(change);
            }
        }
    }

    /// What happens when memory runs out.
    pub fn oom(&self) -> OomPolicy {
        let policy = self.changes.iter().find_map(|c| if let Change::Oom(policy) = c { Some(*policy) } else { None });
        policy.unwrap_or_default()
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
    /// How it is to move by itself.
    pub schedule: Schedule,
    /// What usage is not to exceed, in bytes.
    pub budget: Option<u64>,
    /// Which usage that is.
    pub budget_of: BudgetOf,
    /// How much may be swapped out beside it.
    pub swap: Limit,
    /// The other settings that were asked for.
    pub changes: Vec<Change>,
    /// Whose ways with memory were asked for.
    pub like: Option<Like>,
    /// How readily the OOM killer takes the workload, -1000 to 1000; `None` leaves it as it is.
    pub oom_score_adj: Option<i32>,
    /// The memory hierarchy.
    pub hierarchy: Hierarchy,
    /// The mount table when the plan was made: the first run's; later runs look again.
    pub mounts: Vec<Mount>,
    /// The group below which ours goes.
    pub parent: PathBuf,
    /// A group that was handed over, to be given back at the end.
    pub borrowed: Option<PathBuf>,
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
    /// Whether there are namespaces at all, and by whose right.
    pub isolation: Isolation,
    /// Which namespaces are fresh beside pid, mount and cgroup.
    pub namespaces: Namespaces,
    /// Who the workload is, and what it keeps.
    pub privileges: Privileges,
    /// Whether the workload's standard input is sandtop's own even on the screen: a pipe or a file.
    pub keep_stdin: bool,
    /// Descriptors above 2 that the workload gets, by these numbers.
    pub descriptors: Vec<i32>,
    /// Whether SIGCHLD was ignored when sandtop was started.
    pub sigchld_ignored: bool,
    /// Whether and where the run is recorded.
    pub recording: Wish,
    /// Where metrics are served; the listener is bound.
    pub metrics: Option<Endpoint>,
    /// The options that were given and that bear on something else than memory, as words; of `-e` only the names.
    pub options: Vec<String>,
    /// What to tell of it if it fails …
    pub on_failure: Vec<String>,
    /// … and what of a niceness that it asked for, however it ends.
    pub not_nicer: Option<String>,
    /// What to tell about the command before it starts.
    pub hints: Vec<String>,
}
