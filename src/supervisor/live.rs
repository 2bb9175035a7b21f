//! A live run: the group, the sandbox, and what is read from them. Dropping it ends the run and removes the group.

use std::{
    collections::HashSet,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    sys::epoll::{Epoll, EpollEvent, EpollFlags},
    time::ClockId,
};

use super::{
    Waker,
    brink::Brink,
    code_watch::CodeWatch,
    ending::{Due, Ending},
    kills::Unclaimed,
    ours::Ours,
    outbox::Outbox,
    reactor::Token,
    sampler::Sampler,
    settings::{Chosen, SettingsWatch},
    terminal::Terminal,
    timetable::Timetable,
};
use crate::{
    cgroup::{Cgroup, Detail, tree},
    error::panic_if_asked,
    event::{Author, Controller, Ended, Event, Isolation, Note, OomPolicy, Sample, StartFailure, Status, Stopped},
    oom::KernelLog,
    procs::ProcessTable,
    sandbox::{
        PATIENCE, Sandbox,
        protocol::{Order, Report},
    },
};

/// Sweeping the processes may take this share of the time (1 in N).
const SWEEP_SHARE: u32 = 30;

/// However cheap a sweep is, the next comes not before this: below it the eye sees nothing, and 1 kHz is for the group's files.
const SWEEP_LEAST: Duration = Duration::from_millis(10);

/// However dear one was, the next comes after this: a machine that stood still for a moment would not show its processes for half a minute.
const SWEEP_MOST: Duration = Duration::from_secs(2);

/// When the processes could not be read, they are read again after this.
const SWEEP_RETRY: Duration = Duration::from_millis(100);

/// In a storm of OOMs the processes are read in a quarter of the time, and after this long at the latest.
const SWEEP_AT_OOM: Duration = Duration::from_millis(10);

/// One run, from its sandbox's making to its end.
pub struct Live {
    pub(super) group: Box<dyn Cgroup>,
    pub(super) sandbox: Sandbox,
    pub(super) terminal: Option<Terminal>,
    pub(super) sampler: Sampler,
    pub(super) held: bool,
    timeout: Option<Duration>,
    pub(super) procs: ProcessTable,
    pids: Vec<i32>,
    code: CodeWatch,
    pub(super) settings: SettingsWatch,
    isolation: Isolation,
    pub(super) controller: Controller,
    /// What happens when memory runs out.
    pub(super) policy: OomPolicy,
    /// Whether it was ever to be paused at the brink: a SIGUSR1 is then meant for the pause, even where that is just over.
    pub(super) was_to_pause: bool,
    pub(super) brink: Brink,
    /// Whether the user stopped all processes; a pause and its end leave that as it is.
    pub(super) frozen_by_user: bool,
    pub(super) waker: Waker,
    /// OOM kills when last counted.
    kills: u64,
    pub(super) main: Option<(i32, i32)>,
    started: Option<Instant>,
    wall: Option<Duration>,
    status: Option<Status>,
    failure: Option<StartFailure>,
    left_behind: u32,
    /// How the main process ended, while others are left.
    main_status: Option<Status>,
    /// Whether what cannot be ended is not waited for any longer.
    left: bool,
    /// Whether we ended init: what then ends with it did not get lost.
    init_killed: bool,
    pub(super) ending: Ending,
    pub(super) timetable: Timetable,
    /// What to tell of the command if it fails, and however it ends.
    on_failure: Vec<String>,
    at_end: Option<String>,
    sweep_due: Instant,
    oom_sweep_due: Instant,
    told: HashSet<String>,
    pub(super) ours: Ours,
    pub(super) unclaimed: Unclaimed,
}

impl Live {
    /// A run whose sandbox was just launched.
    pub fn new(
        group: Box<dyn Cgroup>,
        sandbox: Sandbox,
        terminal: Option<Terminal>,
        plan: &crate::plan::Plan,
        procs: ProcessTable,
        waker: Waker,
    ) -> Live {
        let now = Instant::now();
        Live {
            group,
            sandbox,
            terminal,
            sampler: Sampler::new(now, plan.interval, plan.budget),
            held: plan.hold,
            timeout: plan.timeout,
            procs,
            pids: Vec::new(),
            code: CodeWatch::default(),
            settings: SettingsWatch::new(now, plan.limit),
            isolation: plan.isolation,
            controller: plan.hierarchy.controller,
            policy: OomPolicy::default(),
            was_to_pause: false,
            brink: Brink::default(),
            frozen_by_user: false,
            waker,
            kills: 0,
            main: None,
            started: None,
            wall: None,
            status: None,
            failure: None,
            left_behind: 0,
            main_status: None,
            left: false,
            init_killed: false,
            ending: Ending::default(),
            timetable: Timetable::new(&plan.schedule),
            on_failure: plan.on_failure.clone(),
            at_end: plan.not_nicer.clone(),
            sweep_due: now,
            oom_sweep_due: now,
            told: HashSet::new(),
            ours: Ours::default(),
            unclaimed: Unclaimed::default(),
        }
    }

    /// Puts what the run is heard on into the epoll.
    pub fn register(&self, epoll: &Epoll) -> nix::Result<()> {
        let readable = |token: Token| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
        epoll.add(self.sandbox.control(), readable(Token::Control))?;
        if let Some(init) = self.sandbox.pidfd() {
            epoll.add(init, readable(Token::Init))?;
        }
        if let Some((oom, ready)) = self.group.oom_event() {
            epoll.add(oom, EpollEvent::new(ready, Token::Oom as u64))?;
        }
        if let Some(warning) = self.group.warning() {
            epoll.add(warning, readable(Token::Brink))?;
        }
        Ok(())
    }

    /// The earliest moment at which something is due.
    pub fn deadline(&self) -> Instant {
        let others = [self.ending.deadline(), self.timetable.deadline(), self.brink.deadline()];
        others.into_iter().flatten().fold(self.sampler.next(), Instant::min)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, waker: &Waker, out: &mut Outbox) {
        while let Some(due) = self.ending.due(now) {
            match due {
                Due::Timeout => self.stop(Stopped::Timeout, nix::libc::SIGTERM, out),
                Due::Kill => self.kill_main(out),
                Due::Force => self.force_end(out),
                Due::Free => {
                    self.group.let_die();
                    self.lift_quota(out);
                    super::fuse::abort_own(&tree::pids_below(self.group.leaf()));
                }
                Due::Leave => self.left = true,
            }
        }
        if let Some((number, planned)) = self.timetable.due(now, self.settings.is_writing()) {
            self.set_limit(planned.to, Author::Schedule { number }, waker, out);
        }
        if self.brink.deadline().is_some_and(|at| now >= at) {
            self.look(now, out);
        }
        if let Some(detail) = self.sampler.due(now) {
            panic_if_asked("supervisor");
            self.sample(now, detail, out);
        }
    }

    pub(super) fn sample(&mut self, now: Instant, detail: Detail, out: &mut Outbox) {
        let limit = self.settings.limit();
        match self.group.sample(detail) {
            Ok(mut sample) => {
                self.sampler.took(now, detail, &sample, limit);
                let kills = sample.oom_kills.unwrap_or(0);
                let killed = kills > std::mem::replace(&mut self.kills, kills);
                if killed {
                    self.take_whole(now, out);
                }
                if self.brink.is_near(sample.usage, limit) {
                    self.look(now, out);
                }
                self.code.attend(now, &mut sample, self.procs.pids());
                out.push(Event::Sample(sample));
                self.claim(now, false, out);
                if killed {
                    self.settings.tell(&*self.group, out); // a limit above may be new
                }
            }
            Err(e) => {
                self.tell_once(Note::Hint { text: e.to_string() }, out);
                self.sampler.took(now, detail, &Sample::default(), self.settings.limit()); // there is nothing to watch closely
            }
        }
        if now >= self.sweep_due {
            self.sweep(now, out);
        }
        self.settings.check(now, self.brink.is_trying(), &*self.group, &self.waker, out);
        if self.settings.limit() != limit {
            self.look(now, out);
        }
    }

    /// Reads the processes, as often as costs little.
    pub fn sweep(&mut self, now: Instant, out: &mut Outbox) {
        self.pids.clear();
        self.sweep_due = now + SWEEP_RETRY;
        let before = cpu_time();
        if self.group.pids(&mut self.pids).is_err() {
            return; // not read (no descriptor left, say): nobody has died of that
        }
        let changes = self.procs.sweep(&self.pids);
        self.ours.follow(now, &changes);
        if !changes.is_empty() {
            out.push(Event::Processes(changes));
        }
        let cost = cpu_time().saturating_sub(before);
        self.sweep_due = now + (cost * SWEEP_SHARE).clamp(SWEEP_LEAST, SWEEP_MOST);
    }

    /// Takes the kernel's word that memory may have run out; whether it had.
    pub fn oom(&mut self, now: Instant, out: &mut Outbox) -> bool {
        self.look(now, out);
        if !self.group.oom_seen() {
            return false;
        }
        self.sampler.oom(now);
        // While the victim still stands: its size is part of the story.
        if now >= self.oom_sweep_due {
            self.sweep(now, out);
            self.oom_sweep_due = now + (now.elapsed() * 4).min(SWEEP_AT_OOM);
        }
        true
    }

    /// Hears what the inside reports.
    pub fn hear(&mut self, out: &mut Outbox) {
        while let Ok(Some((report, sender))) = self.sandbox.receive() {
            self.heard(report, sender, out);
        }
    }

    /// One report.
    pub fn heard(&mut self, report: Report, sender: i32, out: &mut Outbox) {
        match report {
            // Killed from outside, with init: how far init came with telling it is chance.
            Report::MainEnded(_) | Report::Ended { .. } if self.init_killed => {}
            Report::Joined(pid) => {
                let host_pid = (sender > 0).then_some(sender);
                self.held = false;
                self.main = host_pid.map(|outside| (pid, outside));
                host_pid.into_iter().for_each(|pid| self.ours.add(pid));
                let now = Instant::now();
                self.started = Some(now);
                self.ending.time_out_at(self.timeout.map(|t| now + t));
                self.timetable.start(now);
                self.sampler.young(now); // it may have been held for long
                out.push(Event::Running { pid, host_pid });
            }
            Report::Failed(failure) => self.failure = Some(failure),
            Report::MainEnded(status) => {
                self.wall = self.started.map(|at| at.elapsed());
                self.main_status = Some(status);
                self.ending.main_ended(Instant::now());
                self.lift_quota(out); // for those who are left, and killed
            }
            Report::Ended { status, left_behind } => {
                if self.main_status.is_none() {
                    self.wall = self.started.map(|at| at.elapsed());
                }
                self.status = Some(status);
                self.left_behind = left_behind;
            }
            Report::Init(_) => {}
        }
    }

    /// Whether init has told the end: everything but init itself is dead and reaped then, and the group is empty.
    pub fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// Whether it is over as far as we are concerned, though somebody who cannot be ended is left.
    pub fn is_left(&self) -> bool {
        self.left
    }

    /// After the end was told, or init was lost: reads what is left to read, removes the group, and tells the end. Init itself takes a while to
    /// go, with its namespaces; it is waited for last, when `self` is dropped.
    pub fn finish(mut self, log: Option<&mut KernelLog>, out: &mut Outbox) -> Chosen {
        self.hear(out);
        if !self.has_ended() && !self.left {
            self.group.let_die();
            // The kernel lets init go last.
            self.left = !self.sandbox.reap(PATIENCE);
            self.end_without_namespace();
        }
        let stay = if self.left { tree::pids_below(self.group.leaf()) } else { Vec::new() };
        // On v2 the very write that killed may be unanswered yet.
        self.settings.finish(&*self.group, out);
        let mut log = log;
        if let Some(log) = &mut log {
            self.kernel_log(log, out); // while the table still knows the victims' pids inside
        }
        let died = self.procs.sweep(&stay);
        if let Ok(sample) = self.group.sample(Detail::Full) {
            let kills = sample.oom_kills.unwrap_or(self.kills);
            out.push(Event::Sample(sample));
            if kills > std::mem::replace(&mut self.kills, kills) {
                self.settings.tell(&*self.group, out);
            }
            if let Some(log) = log {
                self.last_words(log, out);
            }
            self.claim(Instant::now(), true, out);
        }
        if !died.is_empty() {
            out.push(Event::Processes(died));
        }
        for words in self.terminal.take().map(|mut t| t.last_words()).unwrap_or_default() {
            out.push(Event::Output(words));
        }
        self.tell_killer(out);
        if !stay.is_empty() {
            self.left_behind = stay.len() as u32;
            let who = tree::who_stays(self.group.leaf());
            let reason = format!(
                "{who}: killed, and cannot end yet; the limit of {} stays on it; when it is gone: sandtop clean",
                self.settings.limit()
            );
            out.push(Event::Note(Note::Leftover { reason }));
        } else if let Err(e) = self.group.remove() {
            out.push(Event::Note(Note::Leftover { reason: format!("{e}; later: sandtop clean") }));
        }
        let status = match (self.failure.take(), self.status.take()) {
            (Some(failure), _) => Status::FailedToStart(failure),
            (None, Some(status)) => status,
            (None, None) => match self.main_status.take() {
                Some(status) => status,
                // We killed init, and with it the main process.
                None if self.init_killed => Status::Signalled(nix::libc::SIGKILL),
                None => Status::SandboxLost,
            },
        };
        let failed = matches!(status, Status::Exited(1..)) && self.kills == 0 && self.ending.why().is_none();
        let hints = if failed { std::mem::take(&mut self.on_failure) } else { Vec::new() };
        for text in hints.into_iter().chain(self.at_end.take()) {
            out.push(Event::Note(Note::Hint { text }));
        }
        out.push(Event::Ended(Ended {
            status,
            stopped: self.ending.why(),
            sent: self.ending.last_sent(),
            left_behind: self.left_behind,
            wall: self.wall,
        }));
        self.settings.chosen()
    }

    /// Ends everything in the sandbox, and waits for nothing. From outside, so that it takes no help of init's, and init last: it may be starved.
    pub fn kill(&mut self) {
        self.settings.break_off(&*self.group);
        self.init_killed = true;
        match (&self.status, &self.main_status) {
            (None, None) => self.ending.sent(nix::libc::SIGKILL),
            (None, Some(_)) => self.left_behind = tree::pids_below(self.group.leaf()).len() as u32,
            (Some(_), _) => {}
        }
        self.brink.switch(false, Instant::now()); // nobody is stopped any more who is to die
        self.group.kill();
        self.group.let_die();
        self.group.lift_quota();
        self.sandbox.kill();
        self.ending.forced(Instant::now());
    }

    /// Ends the run at once, and everything in it.
    pub fn end_at_once(&mut self, why: Stopped, out: &mut Outbox) {
        self.ending.ordered(Instant::now(), why, true);
        self.force_end(out);
    }

    /// The same where nothing else has ended it.
    fn force_end(&mut self, out: &mut Outbox) {
        self.lift_quota(out);
        self.kill();
    }

    /// Lifts the CPU quota, for who is to die. What the settings tell from now on is what they were.
    pub(super) fn lift_quota(&mut self, out: &mut Outbox) {
        self.settings.lifted();
        if self.group.lift_quota() {
            out.push(Event::Note(Note::QuotaLifted));
        }
    }

    /// Lifts the pause at the limit, for who was asked to end.
    pub(super) fn lift_pause(&mut self) {
        self.settings.lifted();
        self.group.lift_pause();
    }

    /// Kills the main process; init ends the rest when it is gone.
    pub(super) fn kill_main(&mut self, out: &mut Outbox) {
        self.lift_quota(out);
        self.ending.sent(nix::libc::SIGKILL);
        self.brink.switch(false, Instant::now());
        self.sandbox.order(Order::Signal(nix::libc::SIGKILL));
        self.group.let_die();
    }

    /// What became of the main process, once that is known.
    pub(super) fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// OOM kills when last counted.
    pub(super) fn kills(&self) -> u64 {
        self.kills
    }

    /// Whether its end was ordered.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.why().is_some()
    }

    /// A pid namespace goes with its init; without one the group says whom to end.
    fn end_without_namespace(&self) {
        if self.isolation == Isolation::LimitOnly {
            let _ = tree::kill_all(self.group.leaf());
        }
    }

    pub(super) fn tell_once(&mut self, note: Note, out: &mut Outbox) {
        if self.told.insert(format!("{note:?}")) {
            out.push(Event::Note(note));
        }
    }

    /// Keeps the terminal in the epoll for just what can be done with it now. A terminal that hung up is always "ready", so one that is not to
    /// be read leaves the set.
    pub fn watch_terminal(&self, epoll: &Epoll, before: EpollFlags, wanted: EpollFlags) {
        let Some(terminal) = &self.terminal else { return };
        let event = EpollEvent::new(wanted, Token::Terminal as u64);
        let _ = match (before.is_empty(), wanted.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => epoll.add(terminal.fd().as_fd(), event),
            (false, true) => epoll.delete(terminal.fd()),
            (false, false) => epoll.modify(terminal.fd(), &mut { event }),
        };
    }
}

/// CPU time that this thread has used: on a busy machine what the clock says is what others took.
fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

impl Drop for Live {
    fn drop(&mut self) {
        self.kill();
        if self.left {
            self.sandbox.leave();
        } else {
            self.sandbox.reap(PATIENCE);
            self.end_without_namespace();
        }
        self.settings.stop();
        let _ = self.group.remove();
    }
}
