//! What sandtop itself costs: its share of a CPU and its resident memory, from its own /proc, once a second.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use crate::units::{page_size, size};

/// It is read as often as this.
const EVERY: Duration = Duration::from_secs(1);

/// What sandtop costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Own {
    /// Over the last second, in percent of one CPU.
    pub cpu: f64,
    /// Its resident memory, in bytes.
    pub rss: u64,
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}% {}", self.cpu, size(self.rss))
    }
}

/// The meter.
pub struct Meter {
    read: Option<(Instant, u64)>,
    /// What was measured last.
    pub own: Option<Own>,
}

impl Meter {
    /// Nothing is known yet.
    pub fn new() -> Meter {
        Meter { read: None, own: None }
    }

    /// Measures, if a second has passed.
    pub fn look(&mut self) {
        let now = Instant::now();
        if self.read.is_some_and(|(at, _)| now - at < EVERY) {
            return;
        }
        let Some((rss, ticks)) = read() else { return };
        if let Some((at, before)) = self.read.replace((now, ticks)) {
            let seconds = ticks.saturating_sub(before) as f64 / procfs::ticks_per_second() as f64;
            self.own = Some(Own { cpu: seconds * 100.0 / (now - at).as_secs_f64(), rss });
        }
    }
}

/// Resident memory in bytes (/proc/self/statm), and time used in clock ticks (/proc/self/stat: `utime` and `stime`).
fn read() -> Option<(u64, u64)> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold blanks and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((pages * page_size(), user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_cost_is_read() {
        let (rss, before) = read().expect("our own numbers");
        assert!(rss > 1 << 20, "{rss}");
        let start = Instant::now();
        let mut n = 0u64;
        while read().expect("our own numbers").1 == before {
            n = std::hint::black_box(n + 1);
            assert!(start.elapsed() < Duration::from_secs(60), "no time was used");
        }
        assert_eq!(Own { cpu: 0.66, rss: 9 << 20 }.to_string(), "0.7% 9M");
    }
}
