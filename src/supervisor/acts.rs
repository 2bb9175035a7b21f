//! What the user does to a live run.
//!
//! Refuses: to reach any process that is not the sandbox's.

use std::{collections::HashSet, time::Instant};

use nix::{errno::Errno, libc::SIGKILL};

use super::{Waker, live::Live, outbox::Outbox, settings::Chosen, writer};
use crate::{
    cgroup::tree,
    error::Error,
    event::{Author, Change, Event, LimitOutcome, Note, Resume, Stopped},
    sandbox::protocol::Order,
    units::Limit,
};

impl Live {
    /// Lets a held command go.
    pub fn go(&mut self) {
        if self.held {
            self.sandbox.go(&self.group.init_files());
        }
    }

    /// Freezes the group or thaws it, and tells at once what became of it. A paused workload stays stopped until there is room for it.
    pub fn freeze(&mut self, on: bool, out: &mut Outbox) {
        let change = Change::Freeze(on);
        out.push(Event::ChangeRequested { change });
        let done = match (self.is_paused(), on) {
            (true, true) => Ok(()), // it is stopped, and now stays so when the pause is over
            (true, false) => Err(Error::new("it is paused at its limit, and goes on when there is room")),
            (false, _) => self.group.freeze(on),
        };
        self.frozen_by_user = on && done.is_ok();
        out.push(Event::ChangeDone { change, outcome: writer::outcome(done) });
        self.settings.tell(&*self.group, out);
    }

    /// Sends the main process a signal.
    pub fn signal(&self, signal: i32) {
        self.sandbox.order(Order::Signal(signal));
    }

    /// Ends the run: with this signal, and with a kill if that is not heeded. With no signal to send (0) the main process has got it already.
    pub fn stop(&mut self, why: Stopped, signal: i32, out: &mut Outbox) {
        let (killed, now) = (signal == SIGKILL, Instant::now());
        self.ending.ordered(now, why, killed);
        self.timetable.end();
        self.settings.break_off(&*self.group);
        if killed {
            return self.kill_main(out);
        }
        match (signal, why) {
            (0, Stopped::Signal(has)) => self.ending.sent(has),
            (0, _) => {}
            _ => {
                self.ending.sent(signal);
                self.sandbox.order(Order::Signal(signal));
            }
        }
        self.sandbox.order(Order::Signal(nix::libc::SIGCONT)); // a stopped process heeds nothing
        self.thaw_to_end(now, out);
    }

    /// The main process's pid outside, while it is known.
    pub fn main_outside(&self) -> Option<i32> {
        self.main.map(|(_, outside)| outside)
    }

    /// Queues a change of the limit, whoever ordered it.
    pub fn set_limit(&mut self, target: Limit, by: Author, waker: &Waker, out: &mut Outbox) {
        if let Err(e) = self.settings.set_limit(&*self.group, target, by, waker, out) {
            out.push(Event::LimitDone { target, by, outcome: LimitOutcome::Failed { reason: e.to_string() } });
        }
    }

    /// Queues a change of another setting; one of a process is made at once.
    pub fn change(&mut self, change: Change, waker: &Waker, out: &mut Outbox) {
        let done = match change {
            Change::OomScoreAdj { host_pid, value } => {
                out.push(Event::ChangeRequested { change });
                let listed = || tree::pids_below(self.group.leaf());
                let set = self.procs.set_oom_score_adj(host_pid, value, listed);
                Some(writer::outcome(set.map_err(explain_refusal)))
            }
            Change::Freeze(on) => return self.freeze(on, out),
            Change::Cpus(_) => {
                self.sandbox.order(Order::Outlive);
                self.settings.change(&*self.group, change, waker, out).err().map(|e| writer::outcome(Err(e)))
            }
            _ => self.settings.change(&*self.group, change, waker, out).err().map(|e| writer::outcome(Err(e))),
        };
        if let Some(outcome) = done {
            out.push(Event::ChangeDone { change, outcome });
        }
    }

    /// Tells how changes ended; what then holds.
    pub fn results(&mut self, out: &mut Outbox) -> Chosen {
        self.settings.results(&*self.group, out);
        let chosen = self.settings.chosen();
        self.follow(&chosen.changes, Instant::now(), out);
        chosen
    }

    /// Sends one process a signal, by its pid outside.
    pub fn signal_process(&mut self, host_pid: i32, signal: i32, out: &mut Outbox) {
        let listed = || tree::pids_below(self.group.leaf());
        out.push(Event::Note(match self.procs.signal(host_pid, signal, listed) {
            Ok(()) => {
                let (pid, name) =
                    self.procs.who(host_pid).map_or((None, String::new()), |(pid, name)| (pid, name.into()));
                Note::SignalSent { signal, host_pid, pid, name }
            }
            Err(e) => Note::Hint { text: e.to_string() },
        }));
        self.let_killed_die(signal, out);
    }

    /// Sends every process a signal: also those that are born while it is sent, as far as a few looks find them.
    pub fn signal_all(&mut self, signal: i32, out: &mut Outbox) {
        let mut sent = HashSet::new();
        for _ in 0..LOOKS {
            self.sweep(Instant::now(), out);
            let new: Vec<i32> = self.procs.pids().filter(|pid| !sent.contains(pid)).collect();
            if new.is_empty() {
                break;
            }
            sent.extend(self.procs.signal_each(&new, signal, || tree::pids_below(self.group.leaf())));
        }
        out.push(Event::Note(Note::AllSignalled { signal, processes: sent.len() as u32 }));
        if signal == SIGKILL {
            self.lift_quota(out);
        }
        self.let_killed_die(signal, out);
    }

    /// v1's freezer holds those who were killed, too. If there is no room then, the others are paused again at once.
    fn let_killed_die(&mut self, signal: i32, out: &mut Outbox) {
        if signal == SIGKILL && (self.is_paused() || self.brink.is_trying()) && self.group.freezer_state().is_some() {
            self.go_on(Resume::Killed, Instant::now(), out);
        }
    }
}

/// How often the processes are looked at for ones that a signal to all has not reached.
const LOOKS: u32 = 3;

fn explain_refusal(error: Error) -> Error {
    match error.is(Errno::EACCES) {
        true => error.remedy("below what it was is only for who has CAP_SYS_RESOURCE"),
        false => error,
    }
}
