//! How a run is brought to its end: asked, then killed, then, when even init does not answer, ended with it. A pure rule over instants.

use std::time::{Duration, Instant};

use crate::event::Stopped;

/// After the signal that asks, this long until the one that does not.
const GRACE: Duration = Duration::from_secs(5);

/// After that signal, this long until init is ended, and everything with it: somebody stopped it. The end comes within a second.
const FORCE: Duration = Duration::from_millis(800);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The run's time is over.
    Timeout,
    /// The main process is to be killed.
    Kill,
    /// Init is to be killed.
    Force,
}

/// The end that a run is on its way to.
#[derive(Debug, Default)]
pub struct Ending {
    why: Option<Stopped>,
    sent: Option<i32>,
    timeout_at: Option<Instant>,
    kill_at: Option<Instant>,
    force_at: Option<Instant>,
}

impl Ending {
    /// The main process starts, and may run until then.
    pub fn time_out_at(&mut self, at: Option<Instant>) {
        self.timeout_at = at;
    }

    /// The end was ordered, with a signal that asks or (`killed`) with one that does not. The first reason stays.
    pub fn ordered(&mut self, now: Instant, why: Stopped, killed: bool) {
        self.why.get_or_insert(why);
        if killed {
            self.force_at.get_or_insert(now + FORCE);
        } else {
            self.kill_at.get_or_insert(now + GRACE);
        }
    }

    /// Why the run was ended, where it was.
    pub fn why(&self) -> Option<Stopped> {
        self.why
    }

    /// Whether it was ordered with a signal that does not ask.
    pub fn is_killing(&self) -> bool {
        self.force_at.is_some() || self.sent == Some(nix::libc::SIGKILL)
    }

    /// The main process was sent this signal to end it.
    pub fn sent(&mut self, signal: i32) {
        self.sent = Some(signal);
    }

    /// The last signal that it was sent to end it.
    pub fn last_sent(&self) -> Option<i32> {
        self.sent
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Instant> {
        [self.timeout_at, self.kill_at, self.force_at].into_iter().flatten().min()
    }

    /// Takes what is due, one at a time.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        if self.timeout_at.take_if(|at| now >= *at).is_some() {
            return Some(Due::Timeout);
        }
        if self.kill_at.take_if(|at| now >= *at).is_some() {
            self.force_at.get_or_insert(now + FORCE);
            return Some(Due::Kill);
        }
        self.force_at.take_if(|at| now >= *at).map(|_| Due::Force)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_heed_is_killed_and_who_cannot_answer_is_ended() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut ending = Ending::default();
        ending.time_out_at(Some(at(10)));
        assert_eq!((ending.due(at(9)), ending.due(at(10))), (None, Some(Due::Timeout)));
        ending.ordered(at(10), Stopped::Timeout, false);
        ending.ordered(at(11), Stopped::User, false);
        assert_eq!(ending.why(), Some(Stopped::Timeout));
        assert_eq!((ending.deadline(), ending.due(at(14))), (Some(at(15)), None));
        assert_eq!(
            (ending.due(at(15)), ending.due(at(15)), ending.due(at(16))),
            (Some(Due::Kill), None, Some(Due::Force))
        );
        assert_eq!((ending.due(at(100)), ending.deadline()), (None, None));
    }
}
