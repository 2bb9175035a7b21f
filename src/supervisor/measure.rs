//! Each process's share of the memory that it has mapped (PSS), when somebody asks: `/proc/PID/smaps_rollup` walks all of its pages (0.6 ms for
//! 64 MiB) and waits for the lock of its memory, which a process in reclaim can hold for long. So a thread of its own reads it, one list at a time.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Waker;
use crate::event::Share;

/// Of more processes than this only the first are read.
const MOST: usize = 256;

/// Where the shares come from.
pub struct Measure {
    to: Sender<Vec<Share>>,
    results: Receiver<Vec<Share>>,
    busy: Arc<AtomicBool>,
}

impl Default for Measure {
    fn default() -> Measure {
        let (to, results) = unbounded();
        Measure { to, results, busy: Arc::default() }
    }
}

impl Measure {
    /// Reads these processes' shares, unless others are being read. The waker tells when they are there.
    pub fn start(&self, mut pids: Vec<i32>, waker: Waker) {
        if pids.is_empty() || self.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        pids.truncate(MOST);
        let (to, busy) = (self.to.clone(), self.busy.clone());
        let work = move || {
            let shares: Vec<Share> = pids.into_iter().filter_map(share_of).collect();
            busy.store(false, Ordering::SeqCst);
            if to.send(shares).is_ok() {
                waker.wake();
            }
        };
        if std::thread::Builder::new().name("sandtop-pss".into()).spawn(work).is_err() {
            self.busy.store(false, Ordering::SeqCst);
        }
    }

    /// What was read since.
    pub fn results(&self) -> impl Iterator<Item = Vec<Share>> {
        self.results.try_iter().filter(|shares| !shares.is_empty())
    }
}

fn share_of(host_pid: i32) -> Option<Share> {
    parse(host_pid, &fs::read_to_string(format!("/proc/{host_pid}/smaps_rollup")).ok()?)
}

/// `None` where the kernel tells nothing: a process that is gone, or a kernel thread.
fn parse(host_pid: i32, text: &str) -> Option<Share> {
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Share { host_pid, pss: bytes("Pss:")?, swap: bytes("SwapPss:") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_and_one_of_nobody_is_not() {
        let text = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:    2048 kB\nPss:    1024 kB\nPss_Dirty:   512 kB\nSwapPss:  4 kB\n";
        assert_eq!(parse(7, text), Some(Share { host_pid: 7, pss: 1 << 20, swap: Some(4096) }));
        assert_eq!(parse(7, ""), None);
        let own = share_of(std::process::id() as i32).expect("our own");
        assert!(own.pss > 0);
    }
}
