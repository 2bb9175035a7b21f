//! What happens to a live run when memory runs out: paused at the brink, or killed whole. What the kernel does by itself it is left to do.

use std::time::{Duration, Instant};

use nix::libc::SIGKILL;

use super::{live::Live, outbox::Outbox};
use crate::{
    cgroup::Detail,
    event::{Change, Controller, Event, Note, OomPolicy, Pause, Reclaimed, Resume, Stopped},
    sandbox::protocol::Order,
};

use super::brink::Step;

impl Live {
    /// From now on this happens when memory runs out.
    pub(super) fn adopt(&mut self, policy: OomPolicy, now: Instant, out: &mut Outbox) {
        self.policy = policy;
        self.was_to_pause |= policy == OomPolicy::Pause;
        let pauses = policy == OomPolicy::Pause && !self.is_ending();
        self.brink.switch(pauses, now);
        if !pauses {
            self.go_on(Resume::Policy, now, out);
        }
        self.look(now, out);
    }

    /// Takes note of what the writer has done: the limit may be another, and so may the policy.
    pub(super) fn follow(&mut self, changes: &[Change], now: Instant, out: &mut Outbox) {
        if !self.settings.is_writing() {
            self.brink.reclaimed(now);
        }
        for change in changes {
            if let Change::Oom(policy) = change {
                self.adopt(*policy, now, out);
            }
        }
        self.look(now, out);
    }

    /// Looks how close the limit is, where that matters, and does what is due.
    pub fn look(&mut self, now: Instant, out: &mut Outbox) {
        let limit = self.settings.limit();
        if let Some(mark) = self.brink.rearm(limit)
            && let Err(e) = self.group.warn_at(mark)
        {
            self.tell_once(Note::Hint { text: e.to_string() }, out); // samples see it too, later
        }
        if !self.brink.is_on() {
            return;
        }
        self.group.warned();
        let Ok(close) = self.group.closeness() else { return self.brink.look_later(now) };
        match self.brink.judge(now, limit, &close) {
            Step::Stay => {}
            Step::Resume if self.brink.is_trying() => {
                if let Some((before, stood)) = self.thaw_trial(now, out) {
                    let stood_us = stood.as_micros().try_into().unwrap_or(u64::MAX);
                    let after = close.usage;
                    out.push(Event::Reclaimed(Reclaimed { limit, before, after, stood_us, times: 1 }));
                }
            }
            Step::Resume => self.go_on(Resume::Room, now, out),
            Step::Reclaim(usage) => {
                // Without a freezer a reclaim is a race, but none that anybody loses.
                let _ = if self.is_paused() { Ok(()) } else { self.group.freeze(true) };
                if self.settings.reclaim(&*self.group, usage, &self.waker).is_err() {
                    self.brink.reclaimed(now);
                }
            }
            Step::Pause => {
                let frozen = self.group.freeze(true);
                // Without a freezer only the kernel's own pause is left, at the limit itself.
                if frozen.is_ok() || close.at_limit {
                    let (usage, unreclaimable) = (close.usage, close.unreclaimable);
                    let pause = Pause { limit, usage, unreclaimable, at_limit: close.at_limit, frozen: frozen.is_ok() };
                    self.pause(pause, now, out);
                }
                if let Err(e) = frozen {
                    if !close.at_limit && !self.frozen_by_user {
                        // A reclaim before it may have stopped the workload.
                        let _ = self.group.freeze(false);
                    }
                    self.tell_once(Note::Hint { text: e.to_string() }, out);
                }
            }
        }
    }

    /// Lets a workload go on that was stopped for a reclaim and is not paused; what the user froze stays so.
    fn thaw_trial(&mut self, now: Instant, out: &mut Outbox) -> Option<(u64, Duration)> {
        let trial = self.brink.end_trial(now)?;
        if !self.frozen_by_user
            && let Err(e) = self.group.freeze(false)
        {
            out.push(Event::Note(Note::Hint { text: e.to_string() }));
        }
        Some(trial)
    }

    fn pause(&mut self, pause: Pause, now: Instant, out: &mut Outbox) {
        self.brink.stopped(pause);
        self.sample(now, Detail::Full, out); // what is looked at now is how it stood
        self.sweep(now, out);
        out.push(Event::Paused(pause));
        self.settings.tell(&*self.group, out);
        out.flush(now, true);
    }

    /// Lets a paused workload go on; what the user froze stays so.
    pub(super) fn go_on(&mut self, by: Resume, now: Instant, out: &mut Outbox) {
        self.thaw_trial(now, out);
        if !self.brink.went_on(now) {
            return;
        }
        if !self.frozen_by_user
            && let Err(e) = self.group.freeze(false)
        {
            out.push(Event::Note(Note::Hint { text: e.to_string() }));
        }
        out.push(Event::Resumed { by });
        self.settings.tell(&*self.group, out);
        out.flush(now, true);
    }

    /// Whether the workload is paused.
    pub fn is_paused(&self) -> bool {
        self.brink.paused().is_some()
    }

    /// The end was ordered with a signal that asks: who is stopped heeds nothing, so it goes on, and is not paused again.
    pub(super) fn thaw_to_end(&mut self, now: Instant, out: &mut Outbox) {
        self.brink.switch(false, now);
        if self.policy == OomPolicy::Pause {
            self.lift_pause(); // who meets the limit now is killed, as without a pause
        }
        // v2 says only later that nobody is frozen any more.
        let tried = self.thaw_trial(now, out).is_some();
        match self.is_paused() {
            true => self.frozen_by_user = false,
            // Whoever froze it.
            false if self.frozen_by_user || !tried && self.group.settings().frozen == Some(true) => {
                self.freeze(false, out);
            }
            false => {}
        }
        self.go_on(Resume::Ending, now, out);
    }

    /// The kernel has killed, and it is to take the whole workload. v2 does (`memory.oom.group`); on v1 we do it.
    pub(super) fn take_whole(&mut self, now: Instant, out: &mut Outbox) {
        if self.policy == OomPolicy::Group {
            self.lift_quota(out);
        }
        if self.policy == OomPolicy::Group && self.controller == Controller::V1 && !self.ending.is_killing() {
            self.ending.ordered(now, Stopped::OomGroup, true);
            self.timetable.end();
            self.settings.break_off(&*self.group);
            self.sandbox.order(Order::KillAll);
            self.sandbox.order(Order::Signal(SIGKILL)); // where init cannot tell who belongs to it
            self.group.let_die();
        }
    }
}
