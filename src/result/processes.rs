//! The processes of a run, in its document, and who is next in line for the OOM killer.

use serde::Serialize;

use super::since_start;
use crate::session::{Candidate, Row, Run};

/// A process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessDocument {
    /// Its pid inside.
    pub pid: Option<i32>,
    /// Its pid outside.
    pub host_pid: i32,
    /// Its parent's pid outside.
    pub parent_host_pid: i32,
    /// Its name.
    pub name: String,
    /// Its command line.
    pub command: String,
    /// Resident memory, shared pages included.
    pub rss_bytes: u64,
    /// The anonymous part of it.
    pub anon_bytes: u64,
    /// CPU time so far.
    pub cpu_seconds: f64,
    /// Its threads.
    pub threads: u32,
    /// How readily the OOM killer takes it.
    pub oom_score_adj: i32,
    /// By what the kernel chooses whom to kill; null for one that is dead, or that cannot be taken.
    pub badness_bytes: Option<i64>,
    /// When it died.
    pub died_seconds: Option<f64>,
    /// Whether the OOM killer did it.
    pub oom_killed: bool,
}

/// Who is taken when memory runs out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NextVictimDocument {
    /// Its pid inside.
    pub pid: Option<i32>,
    /// Its pid outside.
    pub host_pid: i32,
    /// Its name.
    pub name: String,
    /// What the kernel counts for it now; null where it was not read whole.
    pub badness_bytes: Option<i64>,
}

pub(super) fn processes(run: &Run) -> Vec<ProcessDocument> {
    let document = |row: &Row| {
        let process = &row.process;
        ProcessDocument {
            pid: process.pid,
            host_pid: process.host_pid,
            parent_host_pid: process.parent,
            name: process.name.clone(),
            command: process.command.clone(),
            rss_bytes: process.usage.rss,
            anon_bytes: process.usage.anon,
            cpu_seconds: process.usage.cpu_ms as f64 / 1000.0,
            threads: process.usage.threads,
            oom_score_adj: process.usage.oom_score_adj,
            badness_bytes: run.badness_of(row),
            died_seconds: row.died.map(|at| since_start(run, at)),
            oom_killed: row.oom_killed,
        }
    };
    run.processes.values().map(document).collect()
}

pub(super) fn next_victim(run: &Run) -> Option<NextVictimDocument> {
    let document = |candidate: Candidate| {
        let process = &candidate.row.process;
        NextVictimDocument {
            pid: process.pid,
            host_pid: process.host_pid,
            name: process.name.clone(),
            badness_bytes: run.badness_of(candidate.row),
        }
    };
    run.next_victim().map(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Controller::V1, session::verdict::tests::session};

    #[test]
    fn who_is_next_is_named_and_what_was_not_read_is_not_told() {
        let session = session(V1, |_, _, _| {});
        let run = session.run().expect("a run");
        let next = next_victim(run).expect("somebody");
        assert_eq!((next.name.as_str(), next.host_pid, next.pid, next.badness_bytes), ("large", 501, Some(3), None));
        let mut run = run.clone();
        let read = run.processes.get_mut(&501).expect("it lives");
        read.process.usage.page_tables = Some(1 << 20);
        read.process.usage.counted = Some(read.process.usage.rss - (64 << 10));
        let badness = Some((42 << 20) - (64 << 10));
        assert_eq!(next_victim(&run).expect("somebody").badness_bytes, badness);
        assert_eq!(processes(&run).iter().map(|p| p.badness_bytes).collect::<Vec<_>>(), [None, badness]);
    }
}
