//! Events on their way to the consumers: stamped, in batches, and bounded at both ends.
//!
//! A consumer that stops taking (a terminal held by Ctrl-S) can neither hold the supervisor up nor fill the memory: batches wait here, samples are
//! thinned out and the loss is told, and workload output is not even read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Sender, TrySendError};

use super::News;
use crate::{
    event::{Event, Note, Stamped},
    record,
    tap::Tap,
};

/// Nobody sees faster than this: waking a consumer for every sample at 1 kHz would cost more than sampling.
pub const BATCH: Duration = Duration::from_millis(16);

/// The most workload output between the terminal and the consumer, in bytes.
const OUTPUT_IN_FLIGHT: usize = 256 * 1024;

/// How many events wait here before samples are thinned out.
const WAITING: usize = 4096;

/// Workload output that the consumer has not taken yet, in bytes.
pub type InFlight = Arc<AtomicUsize>;

/// The supervisor's way out.
pub struct Outbox {
    to: Sender<News>,
    waiting: Vec<Stamped>,
    origin: Instant,
    last_flush: Instant,
    in_flight: InFlight,
    dropped: u64,
    thin_at: usize,
    taps: Vec<Box<dyn Tap>>,
}

impl Outbox {
    /// A way out to this channel; times are stamped from `origin`.
    pub fn new(to: Sender<News>, origin: Instant, in_flight: InFlight) -> Outbox {
        Outbox {
            to,
            waiting: Vec::new(),
            origin,
            last_flush: origin,
            in_flight,
            dropped: 0,
            thin_at: WAITING,
            taps: Vec::new(),
        }
    }

    /// Stamps an event and sends it with the next batch.
    pub fn push(&mut self, event: Event) {
        if let Event::Output(bytes) = &event {
            self.in_flight.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        let stamped = Stamped { at: self.now(), event };
        self.taps.iter_mut().for_each(|tap| tap.take(&stamped));
        self.waiting.push(stamped);
        if self.waiting.len() > self.thin_at {
            self.dropped += record::halve(&mut self.waiting);
            self.thin_at = (self.waiting.len() * 2).max(WAITING);
        }
    }

    /// Whole microseconds: what is recorded is then the very same.
    fn now(&self) -> Duration {
        Duration::from_micros(self.origin.elapsed().as_micros() as u64)
    }

    /// Gives everything to this consumer too from now on, and what waits here.
    pub fn tap(&mut self, mut tap: Box<dyn Tap>) {
        self.waiting.iter().for_each(|stamped| tap.take(stamped));
        self.taps.push(tap);
    }

    /// Tells what became of the taps, if something did.
    pub fn check_taps(&mut self) {
        let told: Vec<Note> = self.taps.iter_mut().filter_map(|tap| tap.trouble()).collect();
        told.into_iter().for_each(|note| self.push(Event::Note(note)));
    }

    /// Has the taps bring to an end what they have.
    pub fn finish_taps(&mut self) {
        let told: Vec<Note> = std::mem::take(&mut self.taps).iter_mut().filter_map(|tap| tap.finish()).collect();
        told.into_iter().for_each(|note| self.push(Event::Note(note)));
    }

    /// Sends what waits if the last batch is old enough, or at once if it is `urgent`.
    pub fn flush(&mut self, now: Instant, urgent: bool) {
        if self.waiting.is_empty() || !(urgent || now.duration_since(self.last_flush) >= BATCH) {
            return;
        }
        if self.dropped > 0 && !self.to.is_full() {
            let note = Event::Note(Note::Thinned { dropped: std::mem::take(&mut self.dropped) });
            self.waiting.push(Stamped { at: self.now(), event: note });
        }
        self.last_flush = now;
        match self.to.try_send(News::Batch(std::mem::take(&mut self.waiting))) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(News::Batch(batch))) => self.waiting = batch,
            Err(TrySendError::Full(_)) => {}
        }
    }

    /// Tells something that is no event, at once; lost when nobody listens.
    pub fn tell(&self, news: News) -> Result<(), TrySendError<News>> {
        self.to.try_send(news)
    }

    /// When to flush next, if anything waits.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.last_flush + BATCH)
    }

    /// Whether the consumer has so much output to take that none should be read.
    pub fn is_choked(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > OUTPUT_IN_FLIGHT
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{Process, ProcessChanges, ProcessUsage, Sample};

    fn sample(peak: u64) -> Event {
        Event::Sample(Sample { usage: 1, peak: Some(peak), ..Sample::default() })
    }

    #[test]
    fn a_consumer_that_stops_taking_costs_samples_and_not_memory_and_no_peak() {
        let (to, from) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox::new(to, Instant::now(), InFlight::default());
        for n in 0..50_000u64 {
            outbox.push(sample(if n == 4000 { 77 } else { 1 }));
            outbox.flush(Instant::now(), true);
        }
        assert!(outbox.waiting.len() <= WAITING * 2);
        let peak = |batch: &[Stamped]| {
            batch
                .iter()
                .filter_map(|s| match &s.event {
                    Event::Sample(sample) => sample.peak,
                    _ => None,
                })
                .max()
        };
        let Ok(News::Batch(_)) = from.recv() else { panic!("no first batch") };
        outbox.flush(Instant::now(), true);
        let Ok(News::Batch(batch)) = from.recv() else { panic!("no second batch") };
        assert_eq!(peak(&batch), Some(77));
        assert!(batch.iter().any(|s| matches!(s.event, Event::Note(Note::Thinned { dropped }) if dropped > 40_000)));
    }

    fn changes(born: &[i32], changed: &[i32], died: &[i32]) -> Event {
        let usage = |n: i32| ProcessUsage { rss: n as u64, ..ProcessUsage::default() };
        let process = |pid: &i32| Process {
            host_pid: *pid,
            pid: None,
            parent: 1,
            name: "sh".into(),
            command: "sh -c x".into(),
            heap_options: None,
            usage: usage(0),
        };
        Event::Processes(ProcessChanges {
            born: born.iter().map(process).collect(),
            changed: changed.iter().map(|pid| (*pid, usage(*pid))).collect(),
            died: died.to_vec(),
        })
    }

    /// Who lives at the end, and with how much, as a consumer comes to know it.
    fn living(batch: &[Stamped]) -> BTreeMap<i32, u64> {
        let mut living = BTreeMap::new();
        for stamped in batch {
            let Event::Processes(changes) = &stamped.event else { continue };
            living.extend(changes.born.iter().map(|process| (process.host_pid, process.usage.rss)));
            for (pid, usage) in &changes.changed {
                living.entry(*pid).and_modify(|rss| *rss = usage.rss);
            }
            living.retain(|pid, _| !changes.died.contains(pid));
        }
        living
    }

    #[test]
    fn a_workload_that_forks_while_nobody_takes_anything_costs_no_memory_and_nobody_who_lives_is_lost() {
        let (to, _from) = crossbeam_channel::bounded(0);
        let mut outbox = Outbox::new(to, Instant::now(), InFlight::default());
        let pid = |n: i32| 1000 + n.rem_euclid(20_000); // in the end they come again
        outbox.push(changes(&[100], &[], &[]));
        (0..2).for_each(|_| outbox.push(sample(1)));
        outbox.push(Event::Sample(Sample { usage: 1, swap_free: Some(7), ..Sample::default() }));
        for n in 0..30_000 {
            // Each lives until the next is born.
            outbox.push(changes(&[pid(n)], &[100], &[pid(n - 1)]));
            outbox.push(sample(1));
            outbox.flush(Instant::now(), true);
        }
        // Who died and whose pid is another's now lives.
        outbox.push(changes(&[], &[], &[100]));
        outbox.push(changes(&[100], &[], &[]));
        outbox.push(changes(&[], &[100], &[]));
        assert!(outbox.waiting.len() <= WAITING * 2, "{}", outbox.waiting.len());
        let expected = BTreeMap::from([(100, 100), (pid(29_999), 0)]);
        assert_eq!(living(&outbox.waiting), expected);
        outbox.dropped += record::halve(&mut outbox.waiting);
        assert_eq!(living(&outbox.waiting), expected);
        let born = |s: &Stamped| if let Event::Processes(changes) = &s.event { changes.born.len() } else { 0 };
        let born: usize = outbox.waiting.iter().map(born).sum();
        assert!(born < 10_000, "{born} of 30000 births are kept: those of the dead ought to be gone");
        let swap_free = outbox.waiting.iter().find_map(|s| match &s.event {
            Event::Sample(sample) => sample.swap_free,
            _ => None,
        });
        assert_eq!(swap_free, Some(7));
    }
}
