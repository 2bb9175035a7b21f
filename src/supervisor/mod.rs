//! The one owner of the kernel: a thread that reads everything, orders everything, and tells it as events.
//!
//! One epoll holds its timer (deadlines, not sleeps), signals, the OOM eventfd, init's pidfd and socket, the kernel's log, the workload's terminal and
//! the wake-up for commands. Nothing downstream can hold it up ([`outbox`]), no write can ([`writer`]).

mod launch;
mod live;
mod outbox;
mod sampler;
mod terminal;
mod writer;

use std::{
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::{
    errno::Errno,
    libc,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd, siginfo},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

use crate::{
    error::{Error, Result},
    event::{Command, Event, LimitOutcome, Note, Stamped, Stopped},
    oom::KernelLog,
    plan::Plan,
};
use live::Live;
use outbox::{InFlight, Outbox};
use terminal::Read;

/// What the supervisor tells its consumer.
#[derive(Debug)]
pub enum News {
    /// What happened, in order.
    Batch(Vec<Stamped>),
    /// sandtop got a signal that concerns its screen.
    Signal(i32),
    /// The supervisor is lost; everything was removed.
    Fatal(String),
}

/// How the consumer wants to be served.
#[derive(Clone, Copy)]
pub struct Service {
    /// The size of the workload's own terminal; without one it gets sandtop's streams.
    pub terminal: Option<(u16, u16)>,
    /// Gives the user's terminal back when the consumer is stuck and sandtop must go: must not wait for anything that it may hold.
    pub give_back: fn(),
}

/// The consumer's side of the supervisor. Dropping it ends the run and removes everything.
pub struct Supervisor {
    commands: Sender<Command>,
    waker: Waker,
    news: Receiver<News>,
    in_flight: InFlight,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the supervisor's epoll from another thread.
#[derive(Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Wakes it.
    pub fn wake(&self) {
        let _ = self.0.write(1);
    }
}

/// Signals that end a sandtop with a screen; `run` passes those on that it does not end at.
const ENDING: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGALRM,
    Signal::SIGABRT,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
];

/// Signals that the supervisor takes, and that must be blocked in every thread. One that was ignored when sandtop was started stays
/// ignored (`nohup`): a blocked signal would reach the signalfd all the same.
fn signals(screen: bool) -> SigSet {
    let mut set = SigSet::from_iter(ENDING);
    set.add(Signal::SIGUSR1);
    set.add(Signal::SIGUSR2);
    if screen {
        set.add(Signal::SIGTSTP); // the terminal is given back before stopping; `run` just stops
    }
    for signal in set.iter().filter(|s| crate::sandbox::was_ignored(*s)).collect::<Vec<_>>() {
        set.remove(signal);
    }
    set
}

impl Supervisor {
    /// Starts the supervisor and the first run. Must be called while sandtop has one thread: the signals are blocked here, for all.
    ///
    /// # Errors
    /// When the first run's sandbox cannot be made.
    pub fn start(plan: Plan, service: Service) -> Result<Supervisor> {
        let set = signals(service.terminal.is_some());
        set.thread_block().map_err(|e| Error::sys("block signals", e))?;
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|e| Error::sys("make an eventfd", e))?;
        let waker = Waker(Arc::new(event));
        let (commands, inbox) = unbounded();
        let (to, news) = bounded(64);
        let in_flight = InFlight::default();
        let fatal = to.clone();
        let outbox = Outbox::new(to, Instant::now(), in_flight.clone());
        // The first sandbox is launched here, before there is a second thread.
        let mut work = Loop::new(plan, service, waker.clone(), inbox, outbox, set)?;
        let work = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(move || work.run())) {
                let _ = fatal.send(News::Fatal(panic_text(&*panic)));
            }
        };
        let thread = std::thread::Builder::new().name("sandtop-kernel".into()).spawn(work);
        let thread = Some(thread.map_err(|e| Error::sys("start the supervisor thread", e))?);
        Ok(Supervisor { commands, waker, news, in_flight, thread })
    }

    /// What it tells.
    pub fn news(&self) -> &Receiver<News> {
        &self.news
    }

    /// Gives it a command.
    pub fn command(&self, command: Command) {
        let _ = self.commands.send(command);
        self.waker.wake();
    }

    /// Says that the workload output of a batch was taken, so that more is read.
    pub fn took(&self, batch: &[Stamped]) {
        let bytes = |stamped: &Stamped| match &stamped.event {
            Event::Output(bytes) => bytes.len(),
            _ => 0,
        };
        let taken: usize = batch.iter().map(bytes).sum();
        if taken > 0 {
            self.in_flight.fetch_sub(taken, Ordering::Relaxed);
            self.waker.wake();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.command(Command::Shutdown);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What to say of a panic of our own.
pub fn internal_error(text: &str) -> Error {
    Error::new(format!("internal error: {text}"))
        .remedy("this is a bug in sandtop; the sandbox was ended and its group removed")
}

/// A panic's message.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".into())
}

/// Who is ready in the epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Token {
    Timer,
    Wake,
    Signal,
    KernelLog,
    Control,
    Init,
    Oom,
    Terminal,
}

const TOKENS: [Token; 8] = [
    Token::Timer,
    Token::Wake,
    Token::Signal,
    Token::KernelLog,
    Token::Control,
    Token::Init,
    Token::Oom,
    Token::Terminal,
];

/// An output event is about this long at most, in bytes.
const BULK: usize = 60 * 1024;

/// A consumer that does not go within this after a signal is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

struct Loop {
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
    terminal_flags: EpollFlags,
    leaving: Option<(Instant, i32)>,
    /// Another run was started while a batch of readiness was gone through: the rest of it is the last run's.
    stale: bool,
    done: bool,
}

impl Loop {
    fn new(
        plan: Plan,
        service: Service,
        waker: Waker,
        commands: Receiver<Command>,
        outbox: Outbox,
        set: SigSet,
    ) -> Result<Loop> {
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
        let launcher = launch::Launcher::new()?;
        let mut new = Loop {
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
        let (live, early) = self.launcher.launch(&self.plan, self.service.terminal, &mut self.outbox)?;
        live.register(&self.epoll).map_err(|e| Error::sys("fill an epoll", e))?;
        self.terminal_flags = EpollFlags::empty();
        let live = self.live.insert(live);
        for (report, sender) in early {
            live.heard(report, sender, &mut self.outbox);
        }
        for text in &self.plan.hints {
            self.outbox.push(Event::Note(Note::Hint { text: text.clone() }));
        }
        Ok(())
    }

    fn run(&mut self) {
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
                live.tick(now, &mut self.outbox);
            }
            self.leave_if_stuck(now);
            self.outbox.flush(now, false);
        }
    }

    /// Sets the timer for the next thing that is due, and the terminal's place in the epoll.
    fn rearm(&mut self) {
        let deadlines =
            [self.outbox.deadline(), self.leaving.map(|(at, _)| at), self.live.as_ref().map(Live::deadline)];
        if let Some(next) = deadlines.into_iter().flatten().min() {
            let wait = next.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let _ = self.timer.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty());
        }
        let Some(live) = &mut self.live else { return };
        let mut wanted = EpollFlags::empty();
        wanted.set(EpollFlags::EPOLLIN, !self.outbox.is_choked());
        wanted.set(EpollFlags::EPOLLOUT, live.terminal.as_mut().is_some_and(|t| t.write(&[])));
        if wanted != self.terminal_flags {
            live.watch_terminal(&self.epoll, self.terminal_flags, wanted);
            self.terminal_flags = wanted;
        }
    }

    fn ready(&mut self, token: Token, flags: EpollFlags) {
        match token {
            Token::Timer => drop(self.timer.wait()),
            Token::Wake => {
                let _ = self.waker.0.read();
                if let Some(live) = &mut self.live {
                    self.plan.choose(live.limit_results(&mut self.outbox));
                }
                while let Ok(command) = self.commands.try_recv() {
                    self.obey(command);
                }
                self.outbox.flush(Instant::now(), true);
            }
            Token::Signal => {
                while let Ok(Some(info)) = self.signals.read_signal() {
                    self.signal(&info);
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
                    if flags.contains(EpollFlags::EPOLLHUP) {
                        let _ = self.epoll.delete(live.sandbox.control()); // init is gone: its pidfd says so too
                    }
                }
            }
            Token::Init => self.end_run(),
            Token::Oom => {
                let now = Instant::now();
                if let Some(live) = &mut self.live {
                    live.oom(now, &mut self.outbox);
                    live.tick(now, &mut self.outbox);
                    self.outbox.flush(now, true);
                }
            }
            Token::Terminal => self.read_terminal(flags),
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

    fn end_run(&mut self) {
        let Some(live) = self.live.take() else { return };
        self.plan.choose(live.finish(self.log.as_mut(), &mut self.outbox));
        self.outbox.flush(Instant::now(), true);
    }

    fn obey(&mut self, command: Command) {
        match (command, &mut self.live) {
            (Command::Shutdown, _) => {
                self.live = None;
                self.done = true;
            }
            (Command::Resize { rows, cols }, live) => {
                self.service.terminal = self.service.terminal.map(|_| (rows, cols));
                if let Some(terminal) = live.as_ref().and_then(|live| live.terminal.as_ref()) {
                    terminal.resize(rows, cols);
                }
            }
            (Command::SetLimit(target), Some(live)) => {
                if let Err(e) = live.set_limit(target, &self.waker, &mut self.outbox) {
                    let outcome = LimitOutcome::Failed { reason: e.to_string() };
                    self.outbox.push(Event::LimitDone { target, outcome });
                }
            }
            (Command::SetLimit(target), None) => {
                self.plan.limit = target;
                self.plan.limit_is_default = false; // chosen, even if it is the same
                self.outbox.push(Event::LimitDone { target, outcome: LimitOutcome::NextRun });
            }
            (Command::Go, Some(live)) => live.go(),
            (Command::Signal(n), Some(live)) => live.signal(n),
            (Command::Stop(n), Some(live)) => live.stop(Stopped::User, n),
            (Command::Input(bytes), Some(live)) => {
                if let Some(terminal) = &mut live.terminal {
                    terminal.write(&bytes);
                }
            }
            (Command::Rerun, None) => {
                if let Err(e) = self.start_run() {
                    self.outbox.push(Event::Note(Note::Hint { text: format!("not started again: {e}") }));
                }
            }
            (Command::Rerun | Command::Go | Command::Signal(_) | Command::Stop(_) | Command::Input(_), _) => {}
        }
    }

    /// A signal to sandtop. On the screen the consumer decides; `run` passes it on, except what the workload got already.
    fn signal(&mut self, info: &siginfo) {
        let signal = info.ssi_signo as i32;
        if signal == libc::SIGUSR1 && self.live.as_ref().is_some_and(|live| live.held) {
            return self.obey(Command::Go);
        }
        if self.service.terminal.is_some() {
            return self.screen_signal(signal);
        }
        let Some(live) = &mut self.live else { return };
        // The terminal sends its signals to its whole foreground group, and the workload is in it unless it left.
        let has_it = info.ssi_code == libc::SI_KERNEL && live.main_outside().is_some_and(in_our_group);
        match signal {
            libc::SIGINT | libc::SIGQUIT if has_it => {}
            libc::SIGINT | libc::SIGQUIT if info.ssi_code == libc::SI_KERNEL => live.signal(signal),
            libc::SIGHUP if has_it => live.stop(Stopped::Signal(signal), 0),
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP => live.stop(Stopped::Signal(signal), signal),
            _ => live.signal(signal),
        }
    }

    fn screen_signal(&mut self, signal: i32) {
        if ENDING.iter().any(|s| *s as i32 == signal) {
            self.leaving = Some((Instant::now() + PATIENCE, signal));
            if let Some(live) = &self.live {
                live.sandbox.kill();
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

fn in_our_group(pid: i32) -> bool {
    let group = |pid| nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)));
    group(pid).is_ok_and(|theirs| theirs == nix::unistd::getpgrp())
}
