//! The writer thread: writes that may reclaim can block for seconds (4.1 s was measured with a slow swap disk), and sampling must not stop
//! for them. One thread, one write at a time, edits in the order they came.
//!
//! A run that is over does not wait for such a write: a signal to the thread breaks it off. The kernel looks for one in each round of
//! reclaiming (`mem_cgroup_resize_max`, `memory_max_write` in mm/memcontrol*.c).

use std::{
    os::unix::thread::JoinHandleExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use nix::{
    errno::Errno,
    sys::{pthread::pthread_kill, signal::Signal},
};

use super::Waker;
use crate::{
    cgroup::WriteSettings,
    error::{Error, Result},
    event::{Author, Change, ChangeOutcome, LimitOutcome},
    sandbox,
    units::Limit,
};

/// What breaks a write off: a signal that nobody sends otherwise, and that is ignored where it is not caught.
const BREAK: Signal = Signal::SIGURG;

/// With the workload gone a write ends by itself, as a rule within this: what it has to say is not lost.
const GRACE: Duration = Duration::from_millis(100);

/// A signal that comes just before the write begins is lost: it is sent again after this.
const AGAIN: Duration = Duration::from_millis(10);

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// The limit.
    Limit(Limit, Author),
    /// Another setting.
    Change(Change),
    /// What hangs on a limit that somebody else has written.
    Follow,
    /// A reclaim, until usage is at most so many bytes.
    Reclaim(u64),
}

/// What became of it.
#[derive(Debug)]
pub enum Written {
    /// The limit.
    Limit(Limit, Author, LimitOutcome),
    /// Another setting.
    Change(Change, ChangeOutcome),
    /// What hangs on the limit; if that failed, it is seen where it is read.
    Followed,
    /// A reclaim; what it freed is seen where it is read.
    Reclaimed,
}

/// The supervisor's side of the writer thread.
pub struct Writer {
    orders: Option<Sender<Order>>,
    results: Receiver<Written>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
    leaving: Arc<AtomicBool>,
}

/// The thread's side.
struct Work {
    group: Box<dyn WriteSettings>,
    leaving: Arc<AtomicBool>,
}

impl Work {
    /// Writes. A write that a signal interrupts is begun again (a Ctrl-Z that stops sandtop for a while is such a signal), unless the run is
    /// over.
    fn write<T>(&mut self, mut write: impl FnMut(&mut dyn WriteSettings) -> Result<T>) -> Result<T> {
        loop {
            match write(&mut *self.group) {
                Err(e) if e.is(Errno::EINTR) && self.is_leaving() => return Err(broken_off()),
                Err(e) if e.is(Errno::EINTR) => {}
                other => return other,
            }
        }
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    fn limit(&mut self, target: Limit) -> Result<LimitOutcome> {
        match self.write(|group| group.limit(target))? {
            LimitOutcome::Applied { now } if now != target && self.is_leaving() => Err(broken_off()),
            outcome => Ok(outcome),
        }
    }

    fn obey(&mut self, order: Order) -> Written {
        match order {
            Order::Limit(target, by) => {
                let failed = |e: Error| LimitOutcome::Failed { reason: e.to_string() };
                Written::Limit(target, by, self.limit(target).unwrap_or_else(failed))
            }
            Order::Follow => {
                let _ = self.write(|group| group.follow_limit());
                Written::Followed
            }
            Order::Reclaim(usage) => {
                let _ = self.write(|group| group.reclaim_to(usage));
                Written::Reclaimed
            }
            Order::Change(change) => Written::Change(change, outcome(self.write(|group| group.change(change)))),
        }
    }
}

fn broken_off() -> Error {
    Error::new("the run ended before the kernel had done it")
}

impl Writer {
    /// Starts the thread; `waker` is woken at every result.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(group: Box<dyn WriteSettings>, waker: Waker) -> Result<Writer> {
        sandbox::catch_quietly(BREAK).map_err(|e| Error::sys("catch a signal", e))?;
        let (orders, inbox) = unbounded::<Order>();
        let (outbox, results) = unbounded();
        let (alive, ended) = unbounded::<()>();
        let leaving = Arc::new(AtomicBool::new(false));
        let mut work = Work { group, leaving: leaving.clone() };
        let work = move || {
            let _alive = alive;
            for order in inbox {
                if work.is_leaving() || outbox.send(work.obey(order)).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        let thread = std::thread::Builder::new().name("sandtop-writer".into()).spawn(work);
        let thread = thread.map_err(|e| Error::sys("start the writer thread", e))?;
        Ok(Writer { orders: Some(orders), results, thread: Some(thread), ended, leaving })
    }

    /// Queues a write.
    ///
    /// # Errors
    /// When the run is being ended.
    pub fn order(&self, order: Order) -> Result<()> {
        match &self.orders {
            Some(orders) if !self.leaving.load(Ordering::Relaxed) => orders.send(order).map_err(|_| broken_off()),
            _ => Err(broken_off()),
        }
    }

    /// The next result, if there is one.
    pub fn result(&self) -> Option<Written> {
        self.results.try_recv().ok()
    }

    /// Breaks off what is under way, and has nothing begun that waits behind it; does not wait for that.
    pub fn break_off(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            // glibc's pthread_t is a number, musl's a pointer, and std has its own name for it.
            let _ = pthread_kill(thread.as_pthread_t() as _, BREAK);
        }
    }

    /// Ends the writing of a run that is over: what is under way has a moment to end by itself, and is then broken off. The results stay to be
    /// taken.
    pub fn finish(&mut self) {
        self.orders = None;
        let broken_off = self.leaving.load(Ordering::Relaxed);
        let mut patience = if broken_off { AGAIN } else { GRACE };
        while self.thread.is_some() && !self.ends_within(patience) {
            self.break_off();
            patience = AGAIN;
        }
        let _ = self.thread.take().map(JoinHandle::join);
    }

    fn ends_within(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

/// What became of a change.
pub fn outcome(result: Result<()>) -> ChangeOutcome {
    match result {
        Ok(()) => ChangeOutcome::Done,
        Err(e) => ChangeOutcome::Failed { reason: e.to_string() },
    }
}

impl Drop for Writer {
    /// Waits for the thread's end: the group must not be removed below a write.
    fn drop(&mut self) {
        self.finish();
    }
}
