//! The supervisor's loop: waits for whoever is ready, and for what is due.
//!
//! One epoll holds its timer (deadlines, not sleeps), signals, the OOM eventfd, the brink's, init's pidfd and socket, the kernel's log, the workload's terminal and
//! the wake-up for commands. Refuses: to block anywhere else.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        signal::SigSet,
        signalfd::{SfdFlags, SignalFd},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

mod heed;

use super::{
    Service, Waker, launch,
    live::Live,
    measure::Measure,
    outbox::Outbox,
    terminal::{Read, Terminal},
};
use crate::{
    error::{Error, Result},
    event::{Author, Change, ChangeOutcome, Command, Event, LimitOutcome, Note, Stopped},
    front::{Front, Passed},
    oom::KernelLog,
    plan::Plan,
    sandbox,
};

/// Who is ready in the epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Token {
    Timer,
    Wake,
    Signal,
    KernelLog,
    Control,
    Init,
    Oom,
    Brink,
    Terminal,
    Front,
}

const TOKENS: [Token; 10] = [
    Token::Timer,
    Token::Wake,
    Token::Signal,
    Token::KernelLog,
    Token::Control,
    Token::Init,
    Token::Oom,
    Token::Brink,
    Token::Terminal,
    Token::Front,
];

/// An output event is about this long at most, in bytes.
const BULK: usize = 60 * 1024;

/// The supervisor's thread: what it owns.
pub(super) struct Reactor {
    plan: Plan,
    service: Service,
    epoll: Epoll,
    timer: TimerFd,
    signals: SignalFd,
    waker: Waker,
    commands: Receiver<Command>,
    outbox: Outbox,
    log: Option<KernelLog>,
    launcher: launch::Launcher,
    live: Option<Live>,
    measure: Measure,
    terminal_flags: EpollFlags,
    leaving: Option<(Instant, i32)>,
    /// Another run was started while a batch of readiness was gone through: the rest of it is the last run's.
    stale: bool,
    done: bool,
}

impl Reactor {
    /// Sets everything up and launches the first run.
    pub(super) fn new(
        plan: Plan,
        service: Service,
        waker: Waker,
        commands: Receiver<Command>,
        outbox: Outbox,
        set: SigSet,
    ) -> Result<Reactor> {
        let sys = |what: &'static str| move |e: Errno| Error::sys(what, e);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(sys("make an epoll"))?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
            .map_err(sys("make a timer"))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(sys("make a signalfd"))?;
        let log = KernelLog::open();
        let readable = |token: Token| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
        let watch =
            |fd: std::os::fd::BorrowedFd<'_>, token| epoll.add(fd, readable(token)).map_err(sys("fill an epoll"));
        watch(timer.as_fd(), Token::Timer)?;
        watch(waker.0.as_fd(), Token::Wake)?;
        watch(signals.as_fd(), Token::Signal)?;
        if let Some(log) = &log {
            watch(log.fd(), Token::KernelLog)?;
        }
        if let Some(front) = &service.front {
            watch(front.link(), Token::Front)?;
        }
        let launcher = launch::Launcher::new(waker.clone(), log.is_some())?;
        let mut new = Reactor {
            plan,
            service,
            epoll,
            timer,
            signals,
            waker,
            commands,
            outbox,
            log,
            launcher,
            measure: Measure::default(),
            live: None,
            terminal_flags: EpollFlags::empty(),
            leaving: None,
            stale: false,
            done: false,
        };
        new.start_run()?;
        Ok(new)
    }

    fn start_run(&mut self) -> Result<()> {
        self.stale = true;
        let apart = self.service.front.is_some();
        let (live, early) = self.launcher.launch(&self.plan, self.service.terminal, apart, &mut self.outbox)?;
        live.register(&self.epoll).map_err(|e| Error::sys("fill an epoll", e))?;
        if self.service.terminal.is_none() {
            sandbox::let_go(&std::mem::take(&mut self.plan.descriptors)); // there is no second run
        }
        self.terminal_flags = EpollFlags::empty();
        if let Some((rows, cols)) = self.service.terminal {
            self.outbox.push(Event::Resized { rows, cols });
        }
        let live = self.live.insert(live);
        live.adopt(self.plan.oom(), Instant::now(), &mut self.outbox);
        for (report, sender) in early {
            live.heard(report, sender, &mut self.outbox);
        }
        for text in std::mem::take(&mut self.plan.hints) {
            self.outbox.push(Event::Note(Note::Hint { text })); // said once, however often it is run again
        }
        Ok(())
    }

    /// Goes round until told to stop.
    pub(super) fn run(&mut self) {
        let (taps, lost) = self.plan.taps();
        taps.into_iter().for_each(|tap| self.outbox.tap(tap));
        lost.into_iter().for_each(|note| self.outbox.push(Event::Note(note)));
        let mut ready = [EpollEvent::empty(); 16];
        while !self.done {
            self.rearm();
            let n = self.epoll.wait(&mut ready, EpollTimeout::NONE).unwrap_or(0); // EINTR: look again
            for event in &ready[..n] {
                let token = TOKENS.iter().find(|t| **t as u64 == event.data());
                self.ready(*token.unwrap_or(&Token::Timer), event.events());
                if std::mem::take(&mut self.stale) {
                    break;
                }
            }
            let now = Instant::now();
            if let Some(live) = &mut self.live {
                live.tick(now, &self.waker, &mut self.outbox);
                if live.is_left() {
                    self.end_run();
                }
            }
            self.leave_if_stuck(now);
            self.outbox.check_taps();
            self.outbox.flush(now, false);
        }
    }

    /// Sets the timer for the next thing that is due, and the terminal's place in the epoll.
    fn rearm(&mut self) {
        let deadlines =
            [self.outbox.deadline(), self.leaving.map(|(at, _)| at), self.live.as_ref().map(Live::deadline)];
        // Setting it takes back what it announced, so that it need not be read.
        let _ = match deadlines.into_iter().flatten().min() {
            Some(next) => {
                let wait = next.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                self.timer.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty())
            }
            None => self.timer.unset(),
        };
        let Some(live) = &mut self.live else { return };
        let mut wanted = EpollFlags::empty();
        wanted.set(EpollFlags::EPOLLIN, !self.outbox.is_choked());
        wanted.set(EpollFlags::EPOLLOUT, live.terminal.as_mut().is_some_and(Terminal::flush));
        if wanted != self.terminal_flags {
            live.watch_terminal(&self.epoll, self.terminal_flags, wanted);
            self.terminal_flags = wanted;
        }
    }

    fn ready(&mut self, token: Token, flags: EpollFlags) {
        match token {
            Token::Timer => {} // what is due is done after every wait
            Token::Wake => {
                let _ = self.waker.0.read();
                if let Some(live) = &mut self.live {
                    let chosen = live.results(&mut self.outbox);
                    self.plan.choose(chosen.limit, &chosen.changes);
                }
                for shares in self.measure.results().filter(|_| self.live.is_some()) {
                    self.outbox.push(Event::Shares(shares));
                }
                while let Ok(command) = self.commands.try_recv() {
                    self.obey(command);
                }
                self.outbox.flush(Instant::now(), true);
            }
            Token::Signal => {
                while let Ok(Some(info)) = self.signals.read_signal() {
                    self.signal(info.ssi_signo as i32, info.ssi_code == nix::libc::SI_KERNEL);
                }
            }
            Token::KernelLog => match (&mut self.log, &mut self.live) {
                (Some(log), Some(live)) => live.kernel_log(log, &mut self.outbox),
                (Some(log), None) => drop(log.drain()),
                _ => {}
            },
            Token::Control => {
                if let Some(live) = &mut self.live {
                    live.hear(&mut self.outbox);
                    if live.has_ended() {
                        return self.end_run();
                    }
                    if flags.contains(EpollFlags::EPOLLHUP) {
                        let _ = self.epoll.delete(live.sandbox.control()); // init is gone: its pidfd says so too
                        live.group.let_die(); // its namespace goes only when nobody in it is held
                    }
                }
            }
            Token::Init => self.end_run(),
            Token::Oom => {
                let now = Instant::now();
                if let Some(live) = &mut self.live
                    && live.oom(now, &mut self.outbox)
                {
                    live.tick(now, &self.waker, &mut self.outbox);
                    self.outbox.flush(now, true);
                }
            }
            Token::Brink => {
                if let Some(live) = &mut self.live {
                    live.look(Instant::now(), &mut self.outbox);
                }
            }
            Token::Terminal => self.read_terminal(flags),
            Token::Front => {
                while let Some(passed) = self.service.front.as_ref().and_then(Front::passed) {
                    match passed {
                        Passed::Signal(signal, of_kernel) => self.signal(signal, of_kernel),
                        Passed::Gone => return self.lose_front(),
                    }
                }
            }
        }
    }

    fn read_terminal(&mut self, flags: EpollFlags) {
        let Some(live) = &mut self.live else { return };
        let Some(terminal) = &mut live.terminal else { return };
        if !flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP) {
            return;
        }
        // The kernel gives at most 4 KiB a read; together they are one event.
        let mut output = Vec::new();
        while output.len() < BULK {
            match terminal.read() {
                Read::Bytes(bytes) => output.extend_from_slice(&bytes),
                Read::Nothing | Read::Closed => break,
            }
        }
        if !output.is_empty() {
            let bulk = output.len() >= BULK; // the consumer is to take it while more is read
            self.outbox.push(Event::Output(output));
            self.outbox.flush(Instant::now(), bulk);
        }
    }

    /// Who the shell waits for was killed: so is the workload. The shell has its answer, the files are still to be written.
    fn lose_front(&mut self) {
        if let Some(front) = self.service.front.take() {
            let _ = self.epoll.delete(front.link());
        }
        if let Some(live) = &mut self.live {
            live.end_at_once(Stopped::Signal(nix::libc::SIGKILL), &mut self.outbox);
        }
    }

    fn end_run(&mut self) {
        let Some(live) = self.live.take() else { return };
        let chosen = live.finish(self.log.as_mut(), &mut self.outbox);
        self.plan.choose(chosen.limit, &chosen.changes);
        if self.service.terminal.is_none() {
            self.outbox.finish_taps(); // nothing comes after it, and sandtop does not wait for this thread
        }
        self.outbox.flush(Instant::now(), true);
    }

    fn obey(&mut self, command: Command) {
        match (command, &mut self.live) {
            (Command::Shutdown, _) => {
                // An end that was ordered is told. One that nobody ordered is an error of ours, and no end of the run.
                if let Some(mut live) = self.live.take().filter(Live::is_ending) {
                    live.kill();
                    live.finish(self.log.as_mut(), &mut self.outbox);
                }
                self.outbox.finish_taps();
                self.outbox.flush(Instant::now(), true);
                self.done = true;
            }
            (Command::Resize { rows, cols }, live) => {
                self.service.terminal = self.service.terminal.map(|_| (rows, cols));
                if let Some(terminal) = live.as_ref().and_then(|live| live.terminal.as_ref()) {
                    terminal.resize(rows, cols);
                    self.outbox.push(Event::Resized { rows, cols });
                }
            }
            (Command::SetLimit(target), Some(live)) => {
                live.set_limit(target, Author::User, &self.waker, &mut self.outbox);
            }
            (Command::SetLimit(target), None) => {
                self.plan.limit = target;
                self.plan.limit_is_default = false; // chosen, even if it is the same
                let (by, outcome) = (Author::User, LimitOutcome::NextRun);
                self.outbox.push(Event::LimitDone { target, by, outcome });
            }
            (Command::Change(change), Some(live)) => live.change(change, &self.waker, &mut self.outbox),
            (Command::Change(Change::Reclaim(_) | Change::OomScoreAdj { .. } | Change::Freeze(_)), None) => {} // of a run
            (Command::Change(change), None) => {
                self.plan.remember(change);
                self.outbox.push(Event::ChangeDone { change, outcome: ChangeOutcome::NextRun });
            }
            (Command::ResetCounters, Some(_)) => self.outbox.push(Event::Note(Note::CountersReset)),
            (Command::SignalProcess { host_pid, signal }, Some(live)) => {
                live.signal_process(host_pid, signal, &mut self.outbox);
            }
            (Command::Measure(pids), Some(live)) => {
                let pids = live.procs.pids().filter(|pid| pids.is_empty() || pids.contains(pid)).collect();
                self.measure.start(pids, self.waker.clone());
            }
            (Command::SignalAll(signal), Some(live)) => live.signal_all(signal, &mut self.outbox),
            (Command::Freeze(on), Some(live)) => live.freeze(on, &mut self.outbox),
            (Command::Go, Some(live)) => live.go(),
            (Command::Signal(n), Some(live)) => live.signal(n),
            (Command::Stop(n), Some(live)) => live.stop(Stopped::User, n, &mut self.outbox),
            (Command::Input(bytes), Some(live)) => {
                if let Some(refused) = live.terminal.as_mut().and_then(|terminal| terminal.write(&bytes)) {
                    self.outbox.push(Event::Note(refused));
                }
            }
            (Command::Rerun, None) => {
                if let Err(e) = self.start_run() {
                    self.outbox.push(Event::Note(Note::Hint { text: format!("not started again: {e}") }));
                }
            }
            (
                Command::Rerun
                | Command::Go
                | Command::Freeze(_)
                | Command::Signal(_)
                | Command::SignalProcess { .. }
                | Command::SignalAll(_)
                | Command::ResetCounters
                | Command::Measure(_)
                | Command::Stop(_)
                | Command::Input(_),
                _,
            ) => {}
        }
    }

    fn leave_if_stuck(&mut self, now: Instant) {
        if let Some((at, signal)) = self.leaving
            && now >= at
        {
            self.live = None;
            (self.service.give_back)();
            std::process::exit(128 + signal);
        }
    }
}
