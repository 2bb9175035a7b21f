//! How a run is brought to its end: asked, then killed, then killed from outside with init and all, and then left as it is. A pure rule over
//! instants.

use std::time::{Duration, Instant};

use crate::event::Stopped;

/// After the signal that asks, this long until the one that does not.
const GRACE: Duration = Duration::from_secs(5);

/// After that signal, this long until all are killed from outside: somebody stopped init, or starves it.
const FORCE: Duration = Duration::from_millis(300);

/// After that, this long until those are freed who wait for a file system of their own.
const FREE: Duration = Duration::from_millis(100);

/// After an order to end, this long until what cannot be ended is left: outputs are written, and sandtop is gone within six seconds.
const LEAVE: Duration = Duration::from_millis(5600);

/// What the main process left behind is killed by init, and has this long before it is killed from outside.
const LEFT: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The run's time is over.
    Timeout,
    /// The main process is to be killed.
    Kill,
    /// All are to be killed from outside, init too.
    Force,
    /// Who waits for a file system of the sandbox's own is to be freed.
    Free,
    /// What is left is not waited for any longer.
    Leave,
}

/// The end that a run is on its way to.
#[derive(Debug, Default)]
pub struct Ending {
    why: Option<Stopped>,
    sent: Option<i32>,
    timeout_at: Option<Instant>,
    kill_at: Option<Instant>,
    force_at: Option<Instant>,
    free_at: Option<Instant>,
    leave_at: Option<Instant>,
}

impl Ending {
    /// The main process starts, and may run until then.
    pub fn time_out_at(&mut self, at: Option<Instant>) {
        self.timeout_at = at;
    }

    /// The end was ordered, with a signal that asks or (`killed`) with one that does not. The first reason stays.
    pub fn ordered(&mut self, now: Instant, why: Stopped, killed: bool) {
        self.why.get_or_insert(why);
        self.leave_at.get_or_insert(now + LEAVE);
        if killed {
            self.force_at.get_or_insert(now + FORCE);
        } else {
            self.kill_at.get_or_insert(now + GRACE);
        }
    }

    /// The main process has ended, and others are left.
    pub fn main_ended(&mut self, now: Instant) {
        self.force_at.get_or_insert(now + LEFT);
        self.leave_at.get_or_insert(now + LEAVE);
    }

    /// All were killed from outside.
    pub fn forced(&mut self, now: Instant) {
        self.kill_at = None;
        self.force_at = None;
        self.free_at.get_or_insert(now + FREE);
        self.leave_at.get_or_insert(now + LEAVE);
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
        let all = [self.timeout_at, self.kill_at, self.force_at, self.free_at, self.leave_at];
        all.into_iter().flatten().min()
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
        let rest = [(&mut self.force_at, Due::Force), (&mut self.free_at, Due::Free), (&mut self.leave_at, Due::Leave)];
        rest.into_iter().find_map(|(at, due)| at.take_if(|at| now >= *at).map(|_| due))
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
            (ending.due(at(15)), ending.due(at(15)), ending.due(at(15) + FORCE)),
            (Some(Due::Kill), None, Some(Due::Force))
        );
        ending.forced(at(15) + FORCE);
        assert_eq!(ending.due(at(15) + FORCE), None);
        assert_eq!(ending.due(at(15) + FORCE + FREE), Some(Due::Free));
        let last = at(10) + LEAVE;
        assert_eq!((ending.deadline(), ending.due(last)), (Some(last), Some(Due::Leave)));
        assert!(last < at(16), "all is over within six seconds");
        assert_eq!((ending.due(at(100)), ending.deadline()), (None, None));
    }

    #[test]
    fn what_the_main_process_left_behind_is_not_waited_for_for_ever() {
        let start = Instant::now();
        let mut ending = Ending::default();
        ending.main_ended(start);
        assert_eq!((ending.due(start), ending.due(start + LEFT)), (None, Some(Due::Force)));
        ending.forced(start + LEFT);
        assert_eq!(ending.due(start + LEFT + FREE), Some(Due::Free));
        assert_eq!(ending.due(start + LEAVE), Some(Due::Leave));
        assert_eq!(ending.why(), None);
    }
}
