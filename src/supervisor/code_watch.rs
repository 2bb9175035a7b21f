//! When to look at what processes fetch back of their own code, and the thread that does.
//!
//! The files that tell it wait for the lock of a process's memory, which one in reclaim can hold for
//! long, so a thread of its own reads them. It is asked only while a stall may be coming: the limit
//! is met, and pages come back from the disk. What it counted goes into the next sample.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::{
    event::{CodeFaults, Sample},
    procs::code::{CodePages, is_readable},
};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// And while the limit is met but nothing comes back.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

/// An order is to look for so long at …
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looking may take this share of a processor (1 in N).
const SHARE: u32 = 30;

/// A run's looks at its code.
#[derive(Default)]
pub struct CodeWatch {
    thread: Option<Looker>,
    /// Whether the first sample was seen.
    began: bool,
    /// Whether a look was asked for and not answered.
    is_busy: bool,
    /// When the counts below were read.
    seen: Option<(Instant, [u64; 3])>,
    /// When it was looked last.
    looked: Option<Instant>,
}

/// The thread's ends.
struct Looker {
    orders: Sender<Vec<i32>>,
    results: Receiver<Option<CodeFaults>>,
}

impl Looker {
    /// It ends when the orders do.
    fn spawn() -> Option<Looker> {
        let (orders, received) = unbounded::<Vec<i32>>();
        let (to, results) = unbounded();
        let work = move || {
            let mut pages = CodePages::default();
            for pids in received {
                if to.send(look_for_a_while(&mut pages, &pids)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("sandtop-code".into()).spawn(work).ok()?;
        Some(Looker { orders, results })
    }
}

/// Looks again and again for almost the time between two orders; what was counted so far.
fn look_for_a_while(pages: &mut CodePages, pids: &[i32]) -> Option<CodeFaults> {
    let until = Instant::now() + LOOK_EVERY - LOOK_AGAIN;
    loop {
        let start = Instant::now();
        let counted = pages.look(pids);
        let pause = LOOK_AGAIN.max(start.elapsed() * SHARE);
        if counted.is_none() || Instant::now() + pause > until {
            return counted;
        }
        std::thread::sleep(pause);
    }
}

impl CodeWatch {
    /// Adds to a sample what was counted since the one before, and has these processes looked at
    /// again if it is time to.
    pub fn attend(&mut self, now: Instant, sample: &mut Sample, pids: impl Iterator<Item = i32>) {
        if !std::mem::replace(&mut self.began, true) {
            sample.code = is_readable().then(CodeFaults::default);
        }
        if let Some(result) = self.thread.as_ref().and_then(|thread| thread.results.try_iter().last()) {
            self.is_busy = false;
            sample.code = result;
        }
        if self.is_due(now, sample) && !self.is_busy {
            self.thread = self.thread.take().or_else(Looker::spawn);
            let order = |thread: &Looker| thread.orders.send(pids.collect()).is_ok();
            self.is_busy = self.thread.as_ref().is_some_and(order);
        }
    }

    /// Whether the time between two looks is over, and limit hits, refaults and major faults rose in
    /// it. While only the limit is met, it is looked now and then, so that what is taken next is known.
    fn is_due(&mut self, now: Instant, sample: &Sample) -> bool {
        let counts = |sample: &Sample| {
            let stat = sample.stat?;
            Some([sample.limit_hits?, stat.refaults?, stat.major_faults?])
        };
        let Some(counts) = counts(sample) else { return false };
        let (since, before) = *self.seen.get_or_insert((now, counts));
        if now - since < LOOK_EVERY {
            return false;
        }
        self.seen = Some((now, counts));
        let [hits, refaults, major_faults] = [0, 1, 2].map(|n| counts[n] > before[n]);
        let is_long_ago = self.looked.is_none_or(|at| now - at >= LOOK_AT_LEAST);
        let is_due = hits && (refaults && major_faults || is_long_ago);
        if is_due {
            self.looked = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::MemoryStat;

    fn sample(count: u64) -> Sample {
        let stat = MemoryStat { refaults: Some(count), major_faults: Some(count), ..MemoryStat::default() };
        Sample { limit_hits: Some(count), stat: Some(stat), ..Sample::default() }
    }

    #[test]
    fn while_pages_come_back_it_is_looked_four_times_a_second_and_while_the_limit_is_met_now_and_then() {
        let (start, mut watch) = (Instant::now(), CodeWatch::default());
        let mut asked = Vec::new();
        for n in 0..80u64 {
            let now = start + Duration::from_millis(100 * n);
            let mut sample = sample(n.saturating_sub(50));
            sample.limit_hits = Some(n.saturating_sub(20));
            if watch.is_due(now, &sample) {
                asked.push(n);
            }
            assert!(!watch.is_due(now, &Sample::default()), "it tells no counts");
        }
        assert_eq!(asked[..3], [21, 33, 45], "the first hit, and once in about a second");
        assert!(asked[3..].windows(2).all(|pair| pair[1] - pair[0] == 3), "{asked:?}");
        assert!(asked.last() >= Some(&75), "{asked:?}");
    }

    #[test]
    fn the_first_sample_says_that_somebody_looks_and_the_one_after_a_look_says_what_was_seen() {
        let (start, mut watch) = (Instant::now(), CodeWatch::default());
        let me = || [std::process::id() as i32].into_iter();
        let mut attend = |ms: u64, count| {
            let mut sample = sample(count);
            watch.attend(start + Duration::from_millis(ms), &mut sample, me());
            (sample.code, watch.is_busy)
        };
        assert_eq!(attend(0, 0), (Some(CodeFaults::default()), false));
        assert_eq!(attend(300, 0), (None, false));
        assert_eq!(attend(600, 1), (None, true));
        let seen = (0..5000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            attend(601, 1).0
        });
        assert!(seen.is_some(), "the look was never answered");
    }
}
