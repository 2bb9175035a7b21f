//! The writer thread: writes that may reclaim can block for seconds (4.1 s was measured with a slow swap disk), and sampling must not stop
//! for them. One thread, one write at a time, edits in the order they came.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Waker;
use crate::{
    cgroup::WriteLimit,
    error::{Error, Result},
    event::LimitOutcome,
    units::Limit,
};

/// The supervisor's side of the writer thread.
pub struct Writer {
    orders: Option<Sender<Limit>>,
    results: Receiver<(Limit, LimitOutcome)>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; `waker` is woken at every result.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(mut limit: Box<dyn WriteLimit>, waker: Waker) -> Result<Writer> {
        let (orders, inbox) = unbounded::<Limit>();
        let (outbox, results) = unbounded();
        let work = move || {
            for target in inbox {
                let outcome = limit.write(target);
                if outbox.send((target, outcome)).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        let thread = std::thread::Builder::new().name("sandtop-writer".into()).spawn(work);
        let thread = thread.map_err(|e| Error::sys("start the writer thread", e))?;
        Ok(Writer { orders: Some(orders), results, thread: Some(thread) })
    }

    /// Queues a write.
    pub fn order(&self, target: Limit) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(target);
        }
    }

    /// The next result, if there is one.
    pub fn result(&self) -> Option<(Limit, LimitOutcome)> {
        self.results.try_recv().ok()
    }
}

impl Drop for Writer {
    /// Waits for a write that is under way: the group must not be removed below it.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
