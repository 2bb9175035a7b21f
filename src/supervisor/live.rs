//! A live run: the group, the sandbox, and what is read from them. Dropping it ends the run and removes the group.

use std::{
    collections::{HashSet, VecDeque},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::{Waker, outbox::Outbox, reactor::Token, sampler::Sampler, terminal::Terminal, writer::Writer};
use crate::{
    cgroup::{Cgroup, Detail},
    error::{Result, panic_if_asked},
    event::{Ended, Event, Note, StartFailure, Status, Stopped, Victim},
    oom::{KernelLog, Said},
    procs::ProcessTable,
    sandbox::{
        Sandbox,
        protocol::{Order, Report},
    },
    units::Limit,
};

/// After the signal that asks, this long until the one that does not.
const GRACE: Duration = Duration::from_secs(5);

/// How often the limits are checked against what was last written.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Sweeping the processes may take this share of the time (1 in N).
const SWEEP_SHARE: u32 = 30;

/// However cheap a sweep is, the next comes not before this: below it the eye sees nothing, and 1 kHz is for the group's files.
const SWEEP_LEAST: Duration = Duration::from_millis(10);

/// When the processes could not be read, they are read again after this.
const SWEEP_RETRY: Duration = Duration::from_millis(100);

/// In a storm of OOMs the processes are read at most this often.
const SWEEP_AT_OOM: Duration = Duration::from_millis(10);

/// How many dead processes' pids are still taken for ours.
const DEAD_REMEMBERED: usize = 1000;

/// One run, from its sandbox's making to its end.
pub struct Live {
    pub(super) group: Box<dyn Cgroup>,
    pub(super) sandbox: Sandbox,
    pub(super) terminal: Option<Terminal>,
    pub(super) sampler: Sampler,
    pub(super) held: bool,
    timeout: Option<Duration>,
    procs: ProcessTable,
    pids: Vec<i32>,
    writer: Option<Writer>,
    /// Edits that were ordered and not answered yet.
    writes: usize,
    limit: Limit,
    main: Option<(i32, i32)>,
    started: Option<Instant>,
    wall: Option<Duration>,
    status: Option<Status>,
    failure: Option<StartFailure>,
    left_behind: u32,
    stopped: Option<Stopped>,
    timeout_at: Option<Instant>,
    kill_at: Option<Instant>,
    sweep_due: Instant,
    oom_sweep_due: Instant,
    check_due: Instant,
    told: HashSet<String>,
    /// Pids outside that the kernel's log named as chosen in our group, or that we have seen in it.
    ours: HashSet<i32>,
    dead: VecDeque<i32>,
}

impl Live {
    /// A run whose sandbox was just launched.
    pub fn new(group: Box<dyn Cgroup>, sandbox: Sandbox, terminal: Option<Terminal>, plan: &crate::plan::Plan) -> Live {
        let now = Instant::now();
        Live {
            group,
            sandbox,
            terminal,
            sampler: Sampler::new(now, plan.interval),
            held: plan.hold,
            timeout: plan.timeout,
            procs: ProcessTable::default(),
            pids: Vec::new(),
            writer: None,
            writes: 0,
            limit: plan.limit,
            main: None,
            started: None,
            wall: None,
            status: None,
            failure: None,
            left_behind: 0,
            stopped: None,
            timeout_at: None,
            kill_at: None,
            sweep_due: now,
            oom_sweep_due: now,
            check_due: now + CHECK_EVERY,
            told: HashSet::new(),
            ours: HashSet::new(),
            dead: VecDeque::new(),
        }
    }

    /// Puts what the run is heard on into the epoll.
    pub fn register(&self, epoll: &Epoll) -> nix::Result<()> {
        let readable = |token: Token| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
        epoll.add(self.sandbox.control(), readable(Token::Control))?;
        if let Some(init) = self.sandbox.pidfd() {
            epoll.add(init, readable(Token::Init))?;
        }
        if let Some(oom) = self.group.oom_event() {
            epoll.add(oom, readable(Token::Oom))?;
        }
        Ok(())
    }

    /// The earliest moment at which something is due.
    pub fn deadline(&self) -> Instant {
        let stops = [self.timeout_at, self.kill_at];
        stops.into_iter().flatten().fold(self.sampler.next(), Instant::min)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        if self.timeout_at.is_some_and(|at| now >= at) {
            self.timeout_at = None;
            self.stop(Stopped::Timeout, nix::libc::SIGTERM);
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            self.sandbox.order(Order::Signal(nix::libc::SIGKILL));
        }
        if let Some(detail) = self.sampler.due(now) {
            panic_if_asked("supervisor");
            self.sample(now, detail, out);
        }
    }

    fn sample(&mut self, now: Instant, detail: Detail, out: &mut Outbox) {
        match self.group.sample(detail) {
            Ok(sample) => {
                self.sampler.took(now, detail, &sample, self.limit);
                out.push(Event::Sample(sample));
            }
            Err(e) => {
                self.tell_once(Note::Hint { text: e.to_string() }, out);
                self.sampler.took(now, detail, &nothing(), self.limit);
            }
        }
        if now >= self.sweep_due {
            self.sweep(now, out);
        }
        if now >= self.check_due {
            self.check_due = now + CHECK_EVERY;
            self.check_limits(out);
        }
    }

    /// Reads the processes, as often as costs little.
    pub fn sweep(&mut self, now: Instant, out: &mut Outbox) {
        self.pids.clear();
        self.sweep_due = now + SWEEP_RETRY;
        if self.group.pids(&mut self.pids).is_err() {
            return; // not read (no descriptor left, say): nobody has died of that
        }
        let changes = self.procs.sweep(&self.pids);
        self.ours.extend(changes.born.iter().map(|p| p.host_pid));
        self.forget_dead(&changes.died);
        if !changes.is_empty() {
            out.push(Event::Processes(changes));
        }
        self.sweep_due = now + (now.elapsed() * SWEEP_SHARE).max(SWEEP_LEAST);
    }

    /// A dead process's pid is ours for a while: the kernel names its victims late. After that it may be somebody else's.
    fn forget_dead(&mut self, died: &[i32]) {
        self.dead.extend(died);
        while self.dead.len() > DEAD_REMEMBERED {
            if let Some(pid) = self.dead.pop_front() {
                self.ours.remove(&pid);
            }
        }
    }

    fn check_limits(&mut self, out: &mut Outbox) {
        let busy = self.writes > 0; // an edit may be half way: its own result tells
        let Ok(limits) = self.group.limits() else { return };
        if limits.limit != self.limit && !busy {
            self.limit = limits.limit;
            out.push(Event::Note(Note::LimitChangedElsewhere { now: limits.limit }));
        }
        if limits.mirror != limits.mirror_expected && !busy {
            self.tell_once(Note::MirrorChanged { now: limits.mirror }, out);
        }
    }

    /// Takes the kernel's word that memory ran out.
    pub fn oom(&mut self, now: Instant, out: &mut Outbox) {
        self.group.oom_seen();
        self.sampler.oom(now);
        // While the victim still stands: its size is part of the story.
        if now >= self.oom_sweep_due {
            self.sweep(now, out);
            self.oom_sweep_due = now + SWEEP_AT_OOM;
        }
    }

    /// Takes the kernel's log: whom it killed.
    pub fn kernel_log(&mut self, log: &mut KernelLog, out: &mut Outbox) {
        let group = self.group.path();
        for said in log.drain() {
            match said {
                Said::Chosen { pid, group: of }
                    if of.strip_prefix(&group).is_some_and(|rest| rest.starts_with('/')) =>
                {
                    self.ours.insert(pid);
                }
                Said::Killed(killed) if self.ours.contains(&killed.pid) => {
                    let pid = match self.main {
                        Some((inside, outside)) if outside == killed.pid => Some(inside),
                        _ => self.procs.inside(killed.pid),
                    };
                    let name = killed.name;
                    out.push(Event::Victim(Victim { host_pid: killed.pid, pid, name, held: killed.held }));
                }
                _ => {}
            }
        }
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
            Report::Joined(pid) => {
                let host_pid = (sender > 0).then_some(sender);
                self.held = false;
                self.main = host_pid.map(|outside| (pid, outside));
                self.ours.extend(host_pid);
                let now = Instant::now();
                self.started = Some(now);
                self.timeout_at = self.timeout.map(|t| now + t);
                self.sampler.young(now); // it may have been held for long
                out.push(Event::Running { pid, host_pid });
            }
            Report::Failed(failure) => self.failure = Some(failure),
            Report::Ended { status, left_behind } => {
                self.wall = self.started.map(|at| at.elapsed());
                self.status = Some(status);
                self.left_behind = left_behind;
            }
            Report::Init(_) => {}
        }
    }

    /// Lets a held command go.
    pub fn go(&mut self) {
        if self.held {
            self.sandbox.go(self.group.join_file());
        }
    }

    /// Sends the main process a signal.
    pub fn signal(&self, signal: i32) {
        self.sandbox.order(Order::Signal(signal));
    }

    /// Ends the run: with this signal, and with a kill if that is not heeded. With no signal to send (0) the main process has got it already.
    pub fn stop(&mut self, why: Stopped, signal: i32) {
        self.stopped.get_or_insert(why);
        if signal != 0 {
            self.sandbox.order(Order::Signal(signal));
        }
        if signal != nix::libc::SIGKILL {
            self.sandbox.order(Order::Signal(nix::libc::SIGCONT)); // a stopped process heeds nothing
            self.kill_at.get_or_insert(Instant::now() + GRACE);
        }
    }

    /// The main process's pid outside, while it is known.
    pub fn main_outside(&self) -> Option<i32> {
        self.main.map(|(_, outside)| outside)
    }

    /// Queues a change of the limit.
    ///
    /// # Errors
    /// When the writer cannot be started.
    pub fn set_limit(&mut self, target: Limit, waker: &Waker, out: &mut Outbox) -> Result<()> {
        if self.writer.is_none() {
            self.writer = Some(Writer::start(self.group.limit_writer()?, waker.clone())?);
        }
        out.push(Event::LimitRequested { target });
        if let Some(writer) = &self.writer {
            writer.order(target);
            self.writes += 1;
        }
        Ok(())
    }

    /// Tells how changes of the limit ended; the limit that then holds.
    pub fn limit_results(&mut self, out: &mut Outbox) -> Limit {
        while let Some((target, outcome)) = self.writer.as_ref().and_then(Writer::result) {
            self.writes = self.writes.saturating_sub(1);
            match &outcome {
                crate::event::LimitOutcome::Applied { now } => self.limit = *now,
                crate::event::LimitOutcome::Busy { kept, .. } => self.limit = *kept,
                _ => {}
            }
            out.push(Event::LimitDone { target, outcome });
        }
        self.limit
    }

    /// Whether init has told the end: everything but init itself is dead and reaped then, and the group is empty.
    pub fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// After the end was told, or init was lost: reads what is left to read, removes the group, and tells the end. Init itself takes a while to
    /// go, with its namespaces; it is waited for last, when `self` is dropped.
    pub fn finish(mut self, log: Option<&mut KernelLog>, out: &mut Outbox) -> Limit {
        self.hear(out);
        if !self.has_ended() {
            self.sandbox.reap(); // the kernel lets init go last
        }
        self.writer = None;
        let limit = self.limit_results(out);
        if let Some(log) = log {
            self.kernel_log(log, out); // while the table still knows the victims' pids inside
        }
        let died = self.procs.sweep(&[]);
        if let Ok(sample) = self.group.sample(Detail::Full) {
            out.push(Event::Sample(sample));
        }
        if !died.is_empty() {
            out.push(Event::Processes(died));
        }
        for words in self.terminal.take().map(|mut t| t.last_words()).unwrap_or_default() {
            out.push(Event::Output(words));
        }
        if let Err(e) = self.group.remove() {
            out.push(Event::Note(Note::Leftover { reason: format!("{e}; later: sandtop clean") }));
        }
        let status = match (self.failure.take(), self.status.take()) {
            (Some(failure), _) => Status::FailedToStart(failure),
            (None, Some(status)) => status,
            (None, None) => Status::SandboxLost,
        };
        out.push(Event::Ended(Ended { status, stopped: self.stopped, left_behind: self.left_behind, wall: self.wall }));
        limit
    }

    fn tell_once(&mut self, note: Note, out: &mut Outbox) {
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

/// What the clockwork is told when a sample failed: there is nothing to watch closely.
fn nothing() -> crate::event::Sample {
    crate::event::Sample { usage: 0, peak: None, limit_hits: None, oom_kills: None, stat: None }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.sandbox.end();
        self.writer = None;
        let _ = self.group.remove();
    }
}
