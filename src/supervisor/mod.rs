//! The one owner of the kernel: a thread that reads everything, orders everything, and tells it as events.
//!
//! This file is the consumer's side of it; the thread itself is `reactor.rs`. Nothing downstream can hold it up (`outbox.rs`), no write can
//! (`writer.rs`).

mod acts;
mod brink;
mod code_watch;
mod ending;
mod fuse;
mod kills;
mod launch;
mod live;
mod measure;
mod ours;
mod outbox;
mod policy;
mod reactor;
mod sampler;
mod settings;
pub mod signals;
mod terminal;
mod timetable;
mod writer;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Instant,
};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{
    error::{Error, Result},
    event::{Command, Event, Stamped},
    front::Front,
    plan::Plan,
};
use outbox::{InFlight, Outbox};
use reactor::Reactor;

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
pub struct Service {
    /// The process that the shell waits for, where that is another one.
    pub front: Option<Front>,
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

impl Supervisor {
    /// Starts the supervisor and the first run. Must be called while sandtop has one thread: the signals are blocked here, for all.
    ///
    /// # Errors
    /// When the first run's sandbox cannot be made.
    pub fn start(plan: Plan, service: Service) -> Result<Supervisor> {
        let set = signals::taken(service.terminal.is_some());
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
        let mut work = Reactor::new(plan, service, waker.clone(), inbox, outbox, set)?;
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

impl Supervisor {
    /// Leaves the thread to the end of the process, which is at hand. Only after a run's end was told: everything is removed by then.
    pub fn leave(mut self) {
        self.thread = None;
    }
}

impl Supervisor {
    /// Ends the run and removes everything; what was told meanwhile.
    pub fn finish(mut self) -> Vec<Stamped> {
        self.shut_down();
        let batches = self.news.try_iter().map(|news| if let News::Batch(batch) = news { batch } else { Vec::new() });
        batches.flatten().collect()
    }

    fn shut_down(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.command(Command::Shutdown);
            let _ = thread.join();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// What to say of a panic of our own where there was a sandbox.
pub fn internal_error(text: &str) -> Error {
    Error::bug(text).remedy("this is a bug in sandtop; the sandbox was ended and its group removed")
}

/// A panic's message.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".into())
}
