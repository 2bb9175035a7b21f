//! What a signal to sandtop does to the run. Which signals are taken at all is `signals.rs`'s.

use std::time::Instant;

use nix::{libc, unistd::getpgrp};

use super::{
    super::{
        News,
        signals::{PATIENCE, is_ending, is_in_group},
    },
    Reactor,
};
use crate::{
    event::{Change, OomPolicy, Stopped},
    front::Front,
};

impl Reactor {
    /// A signal to sandtop; `of_kernel` where the terminal sent it. On the screen the consumer decides; `run` passes it on, except what the workload got already.
    pub(super) fn signal(&mut self, signal: i32, of_kernel: bool) {
        if signal == libc::SIGUSR1 && self.lets_go_on() {
            return;
        }
        if self.service.terminal.is_some() {
            return self.screen_signal(signal);
        }
        let Some(live) = &mut self.live else { return };
        // The terminal sends its signals to its whole foreground group, and the workload is in it unless it left.
        let group = self.service.front.as_ref().map_or_else(getpgrp, Front::group);
        let has_it = of_kernel && live.main_outside().is_some_and(|pid| is_in_group(pid, group));
        match signal {
            libc::SIGINT | libc::SIGQUIT if has_it => {}
            libc::SIGINT | libc::SIGQUIT if of_kernel => live.signal(signal),
            libc::SIGHUP if has_it => live.stop(Stopped::Signal(signal), 0, &mut self.outbox),
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP => {
                live.stop(Stopped::Signal(signal), signal, &mut self.outbox);
            }
            _ => live.signal(signal),
        }
    }

    fn screen_signal(&mut self, signal: i32) {
        if is_ending(signal) {
            self.leaving = Some((Instant::now() + PATIENCE, signal));
            if let Some(live) = &mut self.live {
                live.end_at_once(Stopped::Signal(signal), &mut self.outbox);
            }
        } else if signal != libc::SIGTSTP {
            if let Some(live) = &self.live {
                live.signal(signal);
            }
            return;
        }
        // The consumer may be stuck in a terminal that is gone; it is not waited for.
        let _ = self.outbox.tell(News::Signal(signal));
    }

    /// Whether a SIGUSR1 is for us: it lets go on who waits to be told. Where a pause is just over it has nothing to do; passed on, it would kill
    /// whom it was to let go on.
    fn lets_go_on(&mut self) -> bool {
        let Some(live) = &mut self.live else { return false };
        if live.held {
            live.go();
        } else if live.is_paused() {
            live.change(Change::Oom(OomPolicy::Kill), &self.waker, &mut self.outbox);
        } else {
            return live.was_to_pause;
        }
        true
    }
}
