//! How a run ended, as one of a closed list, and the exit code that says so.

use std::time::Duration;

use nix::errno::Errno;
use serde::Serialize;

use super::Run;
use crate::event::{Ended, Status, Step, Stopped};

/// The closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The main process exited; nobody was killed.
    Exited,
    /// The main process was ended by a signal, and not by the OOM killer.
    Signalled,
    /// The main process was the OOM killer's victim.
    OomKilled,
    /// The OOM killer killed a descendant; the main process ended by itself.
    OomSurvived,
    /// `--timeout` was over.
    TimedOut,
    /// The user ended it, with a key or a signal to sandtop.
    StoppedByUser,
    /// It never became the command.
    FailedToStart,
    /// Init was lost.
    SandboxLost,
}

/// A fallback where the kernel's log is not to be read: a kill seen this shortly before the main process's SIGKILL was it.
const KILL_AND_END: Duration = Duration::from_millis(100);

impl Run {
    /// How the run ended; `None` while it has not.
    pub fn outcome(&self) -> Option<Outcome> {
        let (at, ended) = self.ended.as_ref()?;
        let kills = self.oom_kills().unwrap_or(0);
        Some(match (&ended.status, ended.stopped) {
            (Status::SandboxLost, None) => Outcome::SandboxLost,
            (_, Some(Stopped::Timeout)) => Outcome::TimedOut,
            (_, Some(Stopped::User | Stopped::Signal(_))) => Outcome::StoppedByUser,
            // Killed before it became the command: the limit was too low even for that.
            (Status::Signalled(9), None) if kills > 0 && self.main_was_victim(*at, kills) => Outcome::OomKilled,
            (Status::FailedToStart(_), None) => Outcome::FailedToStart,
            (Status::Signalled(_), None) => Outcome::Signalled,
            (Status::Exited(_), None) if kills > 0 => Outcome::OomSurvived,
            (Status::Exited(_), None) => Outcome::Exited,
        })
    }

    /// Whether the OOM killer took the main process: by name if the kernel named all its victims, else by the moment.
    fn main_was_victim(&self, ended_at: Duration, kills: u64) -> bool {
        let main = self.running.and_then(|(_, _, host_pid)| host_pid);
        if main.is_some() && self.victims.iter().any(|v| Some(v.host_pid) == main) {
            return true;
        }
        let all_named = main.is_some() && self.named >= kills;
        // The kernel frees about 16 GiB in a second, and a process has not ended before.
        let freeing = Duration::from_millis(self.peak >> 24);
        !all_named && self.last_kill.is_some_and(|at| ended_at.saturating_sub(at) < KILL_AND_END + freeing)
    }
}

/// The exit code of a run that ended so: the workload's own, 128+N for a signal, 124 for a timeout, 125 where sandtop failed, 126 and 127
/// as shells have them.
pub fn exit_code(ended: &Ended) -> u8 {
    match (&ended.status, ended.stopped) {
        (_, Some(Stopped::Timeout)) => 124,
        (_, Some(Stopped::Signal(n))) => signal_code(n),
        (Status::Exited(code), _) => *code as u8,
        (Status::Signalled(n), _) => signal_code(*n),
        (Status::SandboxLost, _) => 125,
        (Status::FailedToStart(failure), _) if failure.step == Step::Interpreter => 126,
        (Status::FailedToStart(failure), _) if failure.step != Step::Exec => 125,
        (Status::FailedToStart(failure), _) => match Errno::from_raw(failure.errno) {
            Errno::ENOENT | Errno::ENOTDIR => 127,
            _ => 126,
        },
    }
}

fn signal_code(signal: i32) -> u8 {
    (128 + signal) as u8
}
