//! The highest unreclaimable usage of a group: no kernel keeps it, so that it is known as an interval.
//!
//! At a reading of `memory.stat` the kernel tells parts that are unreclaimable for certain: the highest sum of those is the least that it was. Between two
//! readings usage was no higher than the kernel's mark, and the file cache no smaller than at the readings, unless something was reclaimed or freed
//! meanwhile: the highest difference is the most that it was. What could be swapped out counts as unreclaimable.

use super::brink::Lists;
use crate::{
    event::Unreclaimable,
    units::{CHARGE_BATCH, page_size},
};

/// What was read of a group at one moment, in bytes where not said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What is charged.
    pub usage: u64,
    /// The highest that usage was since the reading before, or may have been; `None` where the kernel keeps no mark.
    pub highest: Option<u64>,
    /// What usage consists of.
    pub lists: Lists,
    /// How many pages were reclaimed so far, of the group (v2 `pgsteal`) or of the whole machine (v1), where that is counted.
    pub reclaimed: Option<u64>,
    /// How often a charge met the limit: without a count of pages something may have been reclaimed whenever it moves.
    pub hits: u64,
    /// Kernel memory of which it is not told whether it is reclaimable (v1).
    pub unknown: u64,
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct UnreclaimableReader {
    told: Unreclaimable,
    now: Unreclaimable,
    /// The highest mark since `before`, and whether the kernel keeps one.
    highest: Option<u64>,
    before: Option<Reading>,
    slack: u64,
}

impl UnreclaimableReader {
    /// One for a machine with so many CPUs.
    pub fn new(cpus: u32) -> UnreclaimableReader {
        UnreclaimableReader { slack: CHARGE_BATCH * u64::from(cpus), ..UnreclaimableReader::default() }
    }

    /// Takes in the kernel's mark where nothing else is read.
    pub fn mark(&mut self, highest: Option<u64>) {
        self.highest = self.highest.max(highest);
    }

    /// Takes in a reading; the interval, if it is not what it was at the last call.
    pub fn read(&mut self, reading: Reading) -> Option<Box<Unreclaimable>> {
        self.mark(reading.highest);
        let least = reading.lists.certain(reading.usage, 0);
        self.now.least = self.now.least.max(least);
        // Usage is read a moment before its parts: the kernel's mark is no lower.
        let most = self.highest.take().map(|highest| {
            let cache = self.before.map_or(0, |before| self.cache_between(&before, &reading));
            highest.max(reading.usage).saturating_sub(cache).max(least)
        });
        if most.is_some_and(|most| self.now.most.is_none_or(|before| most > before)) {
            (self.now.most, self.now.unknown) = (most, reading.unknown);
        }
        self.before = Some(reading);
        (self.told != self.now).then(|| {
            self.told = self.now;
            Box::new(self.now)
        })
    }

    /// How much file cache there was all the time between two readings, at least.
    fn cache_between(&self, from: &Reading, to: &Reading) -> u64 {
        let evictable = |reading: &Reading| reading.lists.file + reading.lists.slab;
        let (before, after) = (evictable(from), evictable(to));
        let reclaimed = match (from.reclaimed, to.reclaimed) {
            (Some(from), Some(to)) => to.saturating_sub(from).saturating_mul(page_size()),
            _ if from.hits == to.hits => 0,
            _ => return 0,
        };
        // Where it shrank by more than was reclaimed something was freed, and that may have been more. Pages that are on their way to a list are on none,
        // and numbers come in batches for each CPU.
        if before > after.saturating_add(reclaimed).saturating_add(self.slack) {
            return 0;
        }
        before.min(after).saturating_sub(reclaimed).saturating_sub(self.slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    fn reading(usage: u64, file: u64) -> Reading {
        let anon = usage.saturating_sub(file);
        let lists = Lists { file, anon, slab: 0, locked: 0, kernel: 0 };
        Reading { usage, highest: Some(usage), lists, reclaimed: None, hits: 0, unknown: 0 }
    }

    fn told(readings: &[Reading]) -> Unreclaimable {
        let mut reader = UnreclaimableReader::new(2);
        readings.iter().for_each(|reading| drop(reader.read(*reading)));
        reader.now
    }

    #[test]
    fn file_cache_that_grows_is_not_counted() {
        let grows: Vec<Reading> = (0..=300).map(|n| reading((8 + n) * M, n * M)).collect();
        let told = told(&grows);
        assert_eq!(told.least, 8 * M);
        assert!(told.most.unwrap() <= 10 * M, "{told:?}");
    }

    #[test]
    fn a_high_between_two_readings_may_have_been_unreclaimable() {
        let high = Reading { highest: Some(60 * M), ..reading(20 * M, 10 * M) };
        let told = told(&[reading(20 * M, 10 * M), high]);
        assert_eq!((told.least, told.most), (10 * M, Some(50 * M + CHARGE_BATCH * 2)));
    }

    #[test]
    fn cache_that_may_have_gone_meanwhile_stands_for_nothing() {
        let before = reading(100 * M, 90 * M);
        // A limit hit, where pages that are reclaimed are not counted; so many of them; something was freed.
        let hit = Reading { hits: 1, ..before };
        assert_eq!(told(&[before, hit]).most, Some(100 * M));
        let count = |pages| Reading { reclaimed: Some(pages), ..before };
        let most = told(&[count(0), count(5 * M / page_size())]).most;
        assert_eq!(most, Some(100 * M), "before the first reading there may have been no cache");
        let mut reader = UnreclaimableReader::new(2);
        (0..=90).for_each(|n| drop(reader.read(Reading { reclaimed: Some(0), ..reading((10 + n) * M, n * M) })));
        reader.read(count(5 * M / page_size()));
        assert_eq!(reader.now.most, Some(15 * M + CHARGE_BATCH * 2));
        let freed = Reading { highest: Some(100 * M), ..reading(10 * M, M) };
        assert_eq!(told(&[before, freed]).most, Some(100 * M));
    }

    #[test]
    fn without_the_kernels_mark_there_is_no_most_and_only_news_is_told() {
        let mut reader = UnreclaimableReader::new(1);
        let seen = Reading { highest: None, ..reading(20 * M, 0) };
        assert_eq!(reader.read(seen).map(|told| (told.least, told.most)), Some((20 * M, None)));
        assert_eq!(reader.read(seen), None);
    }
}
