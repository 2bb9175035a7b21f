//! How a run ended, as one of a closed list, and the exit code that says so.

use std::time::Duration;

use nix::errno::Errno;
use serde::Serialize;

use super::{Row, Run, stories::HIT_AND_KILL};
use crate::{
    error::EXIT_OVER_BUDGET,
    event::{Ended, OomPolicy, Status, Step, Stopped},
    heap,
    hints::{self, OwnHeap},
};

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

/// Why a run ended; how its main process ended is its [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Nobody ended it: its main process exited, was killed, or never became the command.
    Itself,
    /// `--timeout` was over.
    Timeout,
    /// sandtop was sent a signal.
    Signal,
    /// The user, with a key.
    User,
    /// Init was lost.
    Lost,
}

impl EndedBy {
    /// The word that the JSON has for it.
    pub fn word(self) -> &'static str {
        match self {
            EndedBy::Itself => "itself",
            EndedBy::Timeout => "timeout",
            EndedBy::Signal => "signal",
            EndedBy::User => "user",
            EndedBy::Lost => "lost",
        }
    }
}

/// A fallback where the kernel's log is not to be read: a kill seen this shortly before the main process's SIGKILL was it.
const KILL_AND_END: Duration = Duration::from_millis(100);

/// The same where nobody else is known to have died of it. On a busy machine an end is seen late.
const KILL_AND_END_ALONE: Duration = Duration::from_secs(3);

impl Run {
    /// What is to be said of an end that surprises.
    pub fn hint(&self) -> Option<String> {
        let (argv, status) = (&self.started.argv, &self.ended.as_ref()?.1.status);
        let killed = self.oom_kills().unwrap_or(0) > 0;
        let heap = match self.heap() {
            // Who was asked to end did not end for want of room.
            _ if self.ended_by() != Some(EndedBy::Itself) => OwnHeap::Roomy,
            Some((row, heap)) if heap.is_nearly(row.process.usage.rss) => OwnHeap::Full(heap),
            // Where nothing says it a JVM takes a quarter or a half of the limit, and V8 a half.
            None if self.limit.bytes().is_some_and(|limit| self.peak > limit / 5) => {
                self.with_own_heap().map_or(OwnHeap::Roomy, OwnHeap::Unknown)
            }
            _ => OwnHeap::Roomy,
        };
        hints::at_end(argv, status).or_else(|| hints::sized_by_itself(argv, status, killed, heap))
    }

    /// The program whose heap has a ceiling of its own even where nothing says so: the main
    /// process's, else that of the largest process.
    fn with_own_heap(&self) -> Option<&'static str> {
        let main = self.started.argv.join(" ");
        let name = main.split(' ').next()?.rsplit('/').next()?;
        heap::program(name, &main).or_else(|| {
            let largest = self.processes.values().max_by_key(|row| row.process.usage.rss)?;
            heap::program(&largest.process.name, &largest.process.command)
        })
    }

    /// How the run ended; `None` while it has not.
    pub fn outcome(&self) -> Option<Outcome> {
        let (at, ended) = self.ended.as_ref()?;
        let kills = self.oom_kills().unwrap_or(0);
        Some(match (&ended.status, ended.stopped) {
            // Whoever ended the run: its end came before the one that was ordered.
            (Status::Signalled(9) | Status::SandboxLost, _) if kills > 0 && self.main_was_victim(*at, ended, kills) => {
                Outcome::OomKilled
            }
            (Status::SandboxLost, None | Some(Stopped::OomGroup)) => Outcome::SandboxLost,
            (Status::FailedToStart(_), _) => Outcome::FailedToStart,
            (_, Some(Stopped::Timeout)) => Outcome::TimedOut,
            (_, Some(Stopped::User | Stopped::Signal(_))) => Outcome::StoppedByUser,
            (Status::Signalled(_), _) => Outcome::Signalled,
            (Status::Exited(_), _) if kills > 0 => Outcome::OomSurvived,
            (Status::Exited(_), _) => Outcome::Exited,
        })
    }

    /// Why the run ended; `None` while it has not.
    pub fn ended_by(&self) -> Option<EndedBy> {
        let (_, ended) = self.ended.as_ref()?;
        Some(match (ended.stopped, &ended.status) {
            (Some(Stopped::Timeout), _) => EndedBy::Timeout,
            (Some(Stopped::Signal(_)), _) => EndedBy::Signal,
            (Some(Stopped::User), _) => EndedBy::User,
            (None | Some(Stopped::OomGroup), Status::SandboxLost) => EndedBy::Lost,
            (None | Some(Stopped::OomGroup), _) => EndedBy::Itself,
        })
    }

    /// Whether the OOM killer took the whole workload, as it was to.
    pub fn was_taken_whole(&self) -> bool {
        self.outcome() == Some(Outcome::OomKilled) && self.oom == OomPolicy::Group
    }

    /// The exit code that says so; `None` while the run lives. A run that passed and was over its budget has failed.
    pub fn exit_code(&self) -> Option<u8> {
        let code = exit_code(&self.ended.as_ref()?.1);
        Some(if code == 0 && self.over_budget() { EXIT_OVER_BUDGET } else { code })
    }

    /// Whether the OOM killer took the main process, which a SIGKILL ended: by name if the kernel named all its victims; else by who else died, and
    /// by the moment. A SIGKILL that sandtop sent tells nothing.
    fn main_was_victim(&self, ended_at: Duration, ended: &Ended, kills: u64) -> bool {
        let main = self.running.and_then(|(_, _, host_pid)| host_pid);
        if main.is_some() && self.victims.iter().any(|v| Some(v.host_pid) == main) {
            return true;
        }
        if ended.status == Status::SandboxLost || ended.is_killed_by_sandtop() {
            return false;
        }
        // The kernel, or sandtop for it, took the whole workload. Who ended by itself in that moment was quicker.
        if self.oom == OomPolicy::Group {
            return true;
        }
        // Killed before it became the command: the limit was too low even for that.
        let all_named = main.is_some() && self.named >= kills || self.killed_others(main);
        // The kernel frees about 16 GiB in a second, and a process has not ended before.
        let freeing = Duration::from_millis(self.peak >> 24);
        let left_behind = u64::from(ended.left_behind);
        // Not every victim can have been somebody else.
        let alone = self.others_died.saturating_sub(left_behind) < kills || self.only_main_was_large(ended_at);
        let window = if alone { KILL_AND_END_ALONE } else { KILL_AND_END };
        !all_named && self.last_kill.is_some_and(|at| ended_at.saturating_sub(at) < window + freeing)
    }

    /// Whether, of those that have died since the last kill, only the main process held a good part of what was in use.
    fn only_main_was_large(&self, ended_at: Duration) -> bool {
        let Some((_, _, Some(main))) = self.running else { return false };
        let Some(kill) = self.stories.told().last() else { return false };
        let is_large = |row: &Row| row.process.usage.anon > 0 && row.process.usage.anon >= kill.before.usage / 4;
        let died = |row: &Row| row.died.is_some_and(|died| died + HIT_AND_KILL >= kill.at && died <= ended_at);
        let mut others = self.processes.values().filter(|row| row.process.host_pid != main && died(row));
        self.processes.get(&main).is_some_and(is_large) && !others.any(is_large)
    }
}

impl Ended {
    /// Whether sandtop killed the main process, or may have: old recordings do not tell.
    fn is_killed_by_sandtop(&self) -> bool {
        match (self.sent, self.stopped) {
            (Some(signal), _) => signal == nix::libc::SIGKILL,
            (None, Some(Stopped::Timeout | Stopped::User | Stopped::Signal(_))) => true,
            (None, None | Some(Stopped::OomGroup)) => false,
        }
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
        (Status::SandboxLost, Some(Stopped::User)) => signal_code(nix::libc::SIGKILL), // with its init
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
    128i32.wrapping_add(signal) as u8 // the number is read from recordings too
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_no_kernel_has_ends_nothing_but_the_run() {
        let code = |n| {
            exit_code(&Ended { status: Status::Signalled(n), stopped: None, sent: None, left_behind: 0, wall: None })
        };
        assert_eq!([9, 15, 64].map(code), [137, 143, 192]);
        assert_eq!([i32::MAX, i32::MIN, -1].map(code), [127, 128, 127]);
    }
}
