//! How fast something grows, from readings that come at any time: pure.

use std::time::Duration;

use crate::units::CHARGE_BATCH;

/// Growth is measured over this to twice this; of what is younger since its first reading.
const SPAN: Duration = Duration::from_millis(250);

/// What grew by less meanwhile does not grow, in bytes: one batch that the kernel charges.
const GROWS: u64 = CHARGE_BATCH;

/// Who was looked at and has not grown for twice as long as it took to grow the last time stands still; for less than the first of these nobody does,
/// and for more than the second everybody who is looked at that often.
const STILL: (Duration, Duration) = (Duration::from_millis(30), Duration::from_secs(1));

/// Where nothing is told of anybody there is no look to go by: who has not grown for so long, and for two looks, stands still.
const UNTOLD: Duration = Duration::from_millis(300);

/// A size as it was read.
type Reading = (Duration, u64);

/// A size that is read now and then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    /// From here growth is measured …
    base: Reading,
    /// … and from here, once the time has come.
    next: Reading,
    newest: Reading,
    /// When it grew last.
    grew: Duration,
    /// How long that was after the time before.
    after: Duration,
    /// And how long after the look before.
    between: Duration,
}

impl Size {
    pub fn new(at: Duration, size: u64) -> Size {
        let (after, between) = (Duration::ZERO, Duration::ZERO);
        Size { base: (at, size), next: (at, size), newest: (at, size), grew: at, after, between }
    }

    /// A reading. When it was looked at before, `looked`, it was what it had been until then.
    pub fn take(&mut self, at: Duration, size: u64, looked: Duration) {
        let (since, before) = self.newest;
        if looked.saturating_sub(since) >= SPAN {
            (self.base, self.next) = ((looked, before), (looked, before));
        }
        if size > before {
            self.after = at.saturating_sub(self.grew);
            (self.grew, self.between) = (at, at.saturating_sub(looked));
        }
        self.newest = (at, size);
        if at.saturating_sub(self.next.0) >= SPAN {
            (self.base, self.next) = (self.next, self.newest);
        }
    }

    /// Bytes a second, 0 for what does not grow. It was looked at `looked` for the last time, and what was not told had not moved.
    pub fn growth(&self, now: Duration, looked: Duration) -> u64 {
        let (least, most) = STILL;
        let looks = self.between * 2;
        let still = looked.saturating_sub(self.grew) > (self.after * 2).clamp(least, most.max(looks))
            || now.saturating_sub(self.grew) > looks.max(UNTOLD);
        let (span, grown) = (self.newest.0.saturating_sub(self.base.0), self.newest.1.saturating_sub(self.base.1));
        match still || grown < GROWS {
            true => 0,
            false => (u128::from(grown) * 1_000_000 / span.as_micros().max(1)).try_into().unwrap_or(u64::MAX),
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

    /// Looked at every so often, and told of when it has moved.
    fn read(every: usize, until: u64, size: impl Fn(u64) -> u64) -> u64 {
        let mut it = Size::new(ms(0), size(0));
        let mut looked = ms(0);
        for at in (0..=until).step_by(every).skip(1) {
            if size(at) != it.newest.1 {
                it.take(ms(at), size(at), looked);
            }
            looked = ms(at);
        }
        it.growth(ms(until), looked)
    }

    #[test]
    fn growth_is_measured_from_the_second_reading_on_and_over_half_a_second_at_most() {
        assert_eq!(read(10, 0, |at| at * M), 0);
        assert_eq!(read(10, 10, |at| at * M), 1000 * M);
        // It stood still for long: what was before does not count.
        assert_eq!(read(10, 3000, |at| at.saturating_sub(2990) * M), 1000 * M);
        assert_eq!(read(100, 3000, |at| at.saturating_sub(1000) * M), 1000 * M);
    }

    #[test]
    fn who_stops_or_shrinks_or_moves_by_next_to_nothing_does_not_grow() {
        assert!(read(10, 500, |at| at.min(480) * M) > 0);
        assert_eq!(read(10, 500, |at| at.min(460) * M), 0, "the other looks found it as it was");
        assert_eq!(read(10, 500, |at| (1000 - at) * M), 0);
        assert_eq!(read(10, 500, |at| M + at * 400), 0, "200 KB in half a second");
    }

    #[test]
    fn who_grows_in_steps_grows_between_them() {
        assert!((0..20).all(|n| read(10, 1500 + n * 10, |at| at / 200 * 20 * M) > 0));
        assert_eq!(read(10, 3000, |at| at.min(1000) / 200 * 20 * M), 0);
    }

    #[test]
    fn who_is_not_told_of_any_more_stands_still() {
        let mut it = Size::new(ms(0), 0);
        it.take(ms(10), 10 * M, ms(0));
        assert!(it.growth(ms(310), ms(10)) > 0);
        assert_eq!(it.growth(ms(311), ms(10)), 0);
        // Where a look comes every two seconds it is not told of before the next.
        it.take(ms(2010), 20 * M, ms(10));
        assert!(it.growth(ms(6000), ms(2010)) > 0);
        assert_eq!(it.growth(ms(6011), ms(2010)), 0);
    }
}
