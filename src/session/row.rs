//! A process of a run: what is known of it, how busy it is, and how fast it grows.

use std::time::Duration;

use crate::event::{Process, ProcessUsage};

/// Growth is measured over this to twice this; of one that is younger since its first reading.
const SPAN: Duration = Duration::from_millis(250);

/// What grew by less is not growing, in bytes: one batch that the kernel charges (`MEMCG_CHARGE_BATCH`, include/linux/memcontrol.h).
const GROWS: u64 = 256 * 1024;

/// Who has not been told of for so long stands still.
const STILL: Duration = Duration::from_secs(1);

/// A process, alive or dead.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is known of it.
    pub process: Process,
    /// CPU use over its last two readings, in percent of one core.
    pub cpu: f64,
    /// When it died.
    pub died: Option<Duration>,
    /// Whether the OOM killer did it.
    pub oom_killed: bool,
    cpu_read: (Duration, u64),
    size: Size,
}

/// What it held of its own, at three readings: the first is the base of the second's measure, the last is the newest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size([(Duration, u64); 3]);

impl Row {
    /// One that was born, or became another program.
    pub(super) fn new(at: Duration, process: Process, oom_killed: bool) -> Row {
        let cpu_read = (at, process.usage.cpu_ms);
        let size = Size([(at, own(&process.usage)); 3]);
        Row { process, cpu: 0.0, died: None, oom_killed, cpu_read, size }
    }

    /// Takes in its numbers.
    pub(super) fn update(&mut self, at: Duration, usage: ProcessUsage) {
        self.process.usage = usage;
        self.size.take(at, own(&usage));
        let (since, before) = self.cpu_read;
        let elapsed = at.saturating_sub(since).as_millis() as u64;
        // CPU time moves in steps of a clock tick: over less than half a second it says nothing.
        if elapsed >= 500 {
            self.cpu = usage.cpu_ms.saturating_sub(before) as f64 * 100.0 / elapsed as f64;
            self.cpu_read = (at, usage.cpu_ms);
        }
    }

    /// How fast it grows now, in bytes a second; 0 for one that does not. Of its own is meant: file pages are mapped and nothing is charged for most.
    pub(super) fn growth(&self, now: Duration) -> u64 {
        let Size([(since, before), _, (at, newest)]) = self.size;
        let (span, grown) = (at.saturating_sub(since), newest.saturating_sub(before));
        match grown >= GROWS && now.saturating_sub(at) <= span.max(STILL) {
            true => (u128::from(grown) * 1_000_000 / span.as_micros().max(1)).try_into().unwrap_or(u64::MAX),
            false => 0,
        }
    }
}

/// What is a process's own, in bytes: anonymous memory, in memory or swapped out.
fn own(usage: &ProcessUsage) -> u64 {
    usage.anon.saturating_add(usage.swap.unwrap_or(0))
}

impl Size {
    fn take(&mut self, at: Duration, own: u64) {
        let [base, next, newest] = &mut self.0;
        *newest = (at, own);
        if at.saturating_sub(next.0) >= SPAN {
            (*base, *next) = (*next, *newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A process that is read every 10 ms and then has this size.
    fn read(until: u64, size: impl Fn(u64) -> u64) -> Row {
        let usage = |at| ProcessUsage { rss: 50 * M, anon: size(at), ..ProcessUsage::default() };
        let process =
            Process { host_pid: 5, pid: None, parent: 1, name: "x".into(), command: String::new(), usage: usage(0) };
        let mut row = Row::new(ms(0), process, false);
        (10..=until).step_by(10).for_each(|at| row.update(ms(at), usage(at)));
        row
    }

    #[test]
    fn growth_is_measured_from_the_second_reading_on_and_over_half_a_second_at_most() {
        assert_eq!(read(0, |at| at * M).growth(ms(0)), 0);
        assert_eq!(read(10, |at| at * M).growth(ms(10)), 1000 * M);
        // It stood still for long, and grows: by then what was before does not count.
        assert_eq!(read(3000, |at| at.saturating_sub(2400) * M).growth(ms(3000)), 1000 * M);
    }

    #[test]
    fn who_stands_still_who_shrinks_and_who_is_not_told_of_does_not_grow() {
        assert_eq!(read(2000, |at| at.min(1000) * M).growth(ms(2000)), 0);
        assert_eq!(read(500, |at| (1000 - at) * M).growth(ms(500)), 0);
        assert_eq!(read(500, |at| M + at * 400).growth(ms(500)), 0, "200 KB in half a second");
        let row = read(500, |at| at * M);
        assert!(row.growth(ms(1500)) > 0);
        assert_eq!(row.growth(ms(1501)), 0);
    }
}
