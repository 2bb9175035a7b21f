//! Whether a run is alive and gets nowhere: it stands at its limit, and what the kernel takes from it is fetched back at once. A part of its fold.
//!
//! No number of the kernel says so. These signs were measured on 6.18 (v1), over stretches of half a second, with a disk that reads 2048 pages ahead and
//! with one that reads 32:
//!
//! | workload, limit | refaults a second | major faults a second | refaults for each of those |
//! |---|---|---|---|
//! | `g++ -O2` of `<regex>`, 200M, 250M, 280M: never ends | 105,000 to 195,000 | 140 to 500; 2,600 | 1,000; 20 |
//! | the same, its disk bounded to 50 MB/s | 7,500 to 18,000 | 7 to 10 | 1,600 |
//! | python, reading a mapped file of 100M at random, 60M | 76,000 to 290,000 | 52 to 200 | 1,600 |
//! | the same with MADV_RANDOM | 5,000 to 10,000 | as many | 1 |
//! | three of those, 300M, their own code charged to them | 11,000 to 22,000 | as many | 1 |
//! | `dd` of files larger than the limit, again and again | 110,000 to 790,000 | none | |
//! | `sort` with a buffer of half the limit | to 113,000 | 0 to 4 | 28,000 |
//! | `tar`, `grep -r` over small files | to 109,000 | 0 to 8; once 59, for 0.7 s | 2,000 and more |
//!
//! So refaults alone mean nothing: who reads a file again gets its pages back as well, and goes on. Who waits for its own code or data does so in major
//! faults. Time lost to waiting (PSI) does not tell them apart: it was 20 to 40 % for `g++`, and up to 42 % for `sort`. Of 28 runs of the last three
//! kinds, with the disk as it is and bounded to 50 and 20 MB/s, none was called stalled by what follows; of 12 of `g++` one was killed half a second after
//! it met its limit, and each of the others called stalled 1.4 to 2.7 s after that.
//!
//! A major fault is for code, for heap or for data, and who reads data goes on: these readers of a mapped file had every sign of the table, with 200 to
//! 13,000 reads a second. What tells them apart is the code itself, which processes are looked at for (`procs/code.rs`):
//! 20 times a second, over 0.75 s at a time.
//!
//! | workload, limit | pages of code that come back for each major fault: median; least, most |
//! |---|---|
//! | `g++ -O2` of `<regex>`, 200M | 11.4 to 14.5; 0.8 (once, as it began), 21 |
//! | the same, its disk bounded to 50 MB/s, looked at 4 times a second | 16 to 23; 1.6, 58 |
//! | the same, to 20 MB/s | 18; 0, 41 |
//! | `g++` beside a python that reads a mapped file at random, 205M | 6 to 8; 0, 63 |
//! | python, reading a mapped file at random, its code charged elsewhere | 0; 0, 0 |
//! | the same, its code charged to it | 0; 0, 0.8 |
//! | three of those, 300M | 0; 0, 2.2, once in 6 s |
//!
//! Looked at 4 times a second the same `g++` had a median of 4: most of what came had gone again. A process that is looked at only once it
//! stalls shows little of its code; so one look comes with the first limit hit. Pages that come back from swap are heap, which the kernel counts.
//!
//! Refuses: to say so of a kernel that counts no refaults, and to guess when it will be over.

use std::{collections::VecDeque, time::Duration};

use super::What;
use crate::{
    event::{CodeFaults, Sample},
    units::{Limit, page_size},
};

/// Counts are compared over two of these at a time, since a slow disk has few major faults; in each of the two at least half of the signs are there, so
/// that a burst is none.
const STRETCH: Duration = Duration::from_millis(250);

/// The signs are there for so long before it is said.
const LASTS: Duration = Duration::from_millis(1500);

/// And even half of them are gone for so long before it is over.
const OVER: Duration = Duration::from_secs(1);

/// At least so many refaults a second …
const REFAULTS: f64 = 1000.0;

/// … and so many major faults, …
const MAJOR_FAULTS: f64 = 4.0;

/// … and one for no more refaults than this.
const REFAULTS_OF_ONE: f64 = 4000.0;

/// Where the disk is slow, waiting for so much of the time counts as much as fetching all of the file cache anew each second.
const WAITING: f64 = 0.4;

/// At least so many pages of code come back for each major fault (one brings its neighbours, too).
const CODE_OF_ONE: f64 = 1.0;

/// Or at least so many pages of anonymous memory, from swap.
const ANON_OF_ONE: f64 = 0.5;

/// The stalls of a run.
#[derive(Clone, Debug, Default)]
pub struct Stalls {
    /// The one that lasts.
    lasting: Option<Stall>,
    /// How long those lasted that are over.
    before: Duration,
    /// The stretch that is being filled.
    stretch: Option<Stretch>,
    /// Where the one before it began, if half of the signs were in it.
    earlier: Option<Counts>,
    /// Since when the signs are there.
    since: Option<Duration>,
    /// What processes fetched back of their code, as it was told last; `None` as long as nobody
    /// looks, and in recordings of old.
    code: Option<(Duration, CodeFaults)>,
    /// What was known of that and of swap at the end of each stretch, over about [`LASTS`].
    fetched: VecDeque<Fetched>,
}

/// What was fetched back so far, at one moment.
#[derive(Clone, Copy, Debug)]
struct Fetched {
    at: Duration,
    code: CodeFaults,
    anon: u64,
    major_faults: u64,
}

impl Fetched {
    /// How much of the waiting from one moment to another was for code or heap, and not for data: 1
    /// where it is as much as in a stall.
    fn share_since(&self, from: &Fetched) -> f64 {
        let share = |pages: [u64; 2], faults: [u64; 2], of_one: f64| {
            let [pages, faults] = [pages, faults].map(|[from, to]| to.saturating_sub(from) as f64);
            if pages > 0.0 { pages / (faults * of_one) } else { 0.0 }
        };
        let (before, now) = (from.code, self.code);
        let code = share([before.fetched, now.fetched], [before.major_faults, now.major_faults], CODE_OF_ONE);
        let anon = share([from.anon, self.anon], [from.major_faults, self.major_faults], ANON_OF_ONE);
        code + anon
    }
}

/// A stall that lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// When it began.
    pub since: Duration,
    /// When its signs were seen last.
    pub seen: Duration,
    /// The limit that does it.
    pub limit: Limit,
    /// Pages that are fetched back, each second.
    pub refaults: u64,
}

/// Counts of the group at one moment.
#[derive(Clone, Copy, Debug)]
struct Counts {
    at: Duration,
    hits: u64,
    refaults: u64,
    major_faults: u64,
    waited_us: Option<u64>,
}

impl Counts {
    fn of(at: Duration, sample: &Sample) -> Option<Counts> {
        let stat = sample.stat?;
        Some(Counts {
            at,
            hits: sample.limit_hits?,
            refaults: stat.refaults?,
            major_faults: stat.major_faults?,
            waited_us: sample.pressure.map(|pressure| pressure.some_us),
        })
    }
}

/// What is seen from one reading of the counts to another.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Counts,
    samples: u32,
    at_limit: u32,
}

impl Stretch {
    fn starts(from: Counts) -> Stretch {
        Stretch { from, samples: 0, at_limit: 0 }
    }

    /// Most of the time: a process of several may end, and the next takes what it had.
    fn was_at_limit(&self) -> bool {
        self.at_limit * 4 >= self.samples * 3
    }
}

impl Stalls {
    /// The stall that lasts.
    pub fn now(&self) -> Option<&Stall> {
        self.lasting.as_ref()
    }

    /// How long the run has stalled so far.
    pub fn total(&self) -> Duration {
        self.before + self.lasting.map_or(Duration::ZERO, |stall| stall.seen.saturating_sub(stall.since))
    }

    /// Takes in a sample, taken under this limit, that counts so many more kills than the one before.
    pub(super) fn sample(&mut self, at: Duration, sample: &Sample, limit: Limit, kills: u64) -> Option<What> {
        self.code = sample.code.map(|code| (at, code)).or(self.code);
        let Limit::Bytes(bytes) = limit else { return self.over() };
        let raised = self.lasting.is_some_and(|stall| stall.limit.bytes().is_none_or(|before| bytes > before));
        if kills > 0 || raised {
            return self.over();
        }
        let margin = (bytes / 50).max(1 << 20);
        if let Some(stretch) = &mut self.stretch {
            stretch.samples += 1;
            stretch.at_limit += u32::from(sample.usage.saturating_add(margin) >= bytes);
        }
        let counts = Counts::of(at, sample)?;
        let stretch = *self.stretch.get_or_insert(Stretch::starts(counts));
        if at.saturating_sub(stretch.from.at) < STRETCH {
            return None;
        }
        let file = sample.stat.map_or(0, |stat| stat.file);
        let signs = |from: &Counts, share| Some((from.at, refaults_of_a_stall(from, &counts, file, share)?));
        let half = Some(stretch.from).filter(|_| stretch.was_at_limit()).and_then(|from| signs(&from, 0.5));
        let earlier = std::mem::replace(&mut self.earlier, half.map(|_| stretch.from));
        self.stretch = Some(Stretch::starts(counts));
        self.keep_fetched(at, sample, counts);
        let signs = match self.lasting {
            Some(_) => half.filter(|_| self.fetches_program(at) != Some(false)),
            None => half.and(earlier).and_then(|from| signs(&from, 1.0)),
        };
        self.seen(at, limit, signs)
    }

    /// The run has ended.
    pub(super) fn ended(&mut self) {
        self.over();
    }

    /// Takes in whether the signs are there: since when at least, and the refaults a second.
    fn seen(&mut self, at: Duration, limit: Limit, signs: Option<(Duration, f64)>) -> Option<What> {
        let Some((from, rate)) = signs else {
            self.since = None;
            let gone = self.lasting.is_some_and(|stall| at.saturating_sub(stall.seen) >= OVER);
            return if gone { self.over() } else { None };
        };
        let since = *self.since.get_or_insert(from);
        if let Some(stall) = &mut self.lasting {
            (stall.seen, stall.limit, stall.refaults) = (at, limit, rate as u64);
            return None;
        }
        let lasted = at.saturating_sub(since);
        // Where nobody looks the other signs decide; where a look takes long, they do a little later.
        let is_late = |looked: Duration| at.saturating_sub(looked.max(since)) >= 2 * LASTS;
        let is_stall = match self.fetches_program(at) {
            Some(fetches) => fetches,
            None => self.code.is_none_or(|(looked, _)| is_late(looked)),
        };
        (lasted >= LASTS && is_stall).then(|| {
            let refaults = rate as u64;
            // It may have read data with the same signs before.
            let since = match (self.code, self.fetched.front()) {
                (Some(_), Some(first)) => since.max(first.at),
                _ => since,
            };
            self.lasting = Some(Stall { since, seen: at, limit, refaults });
            What::Stalled { limit, refaults }
        })
    }

    /// Keeps what is known at the end of a stretch of what was fetched back.
    fn keep_fetched(&mut self, at: Duration, sample: &Sample, counts: Counts) {
        let code = self.code.map_or_else(CodeFaults::default, |(_, code)| code);
        let anon = sample.stat.and_then(|stat| stat.refaults_anon).unwrap_or(0);
        self.fetched.push_back(Fetched { at, code, anon, major_faults: counts.major_faults });
        while self.fetched.get(1).is_some_and(|second| at.saturating_sub(second.at) >= LASTS) {
            self.fetched.pop_front();
        }
    }

    /// Whether the program waits for its own code or heap, and not for data that it reads. `None`:
    /// not known. A stall begins only where that is so in each third of the last while: a program
    /// that comes to another part of its code is not meant.
    fn fetches_program(&self, at: Duration) -> Option<bool> {
        let (looked, _) = self.code?;
        let (first, last) = (self.fetched.front()?, self.fetched.back()?);
        if at.saturating_sub(looked) >= LASTS {
            return None;
        }
        if self.lasting.is_some() {
            return Some(last.share_since(first) >= 0.5);
        }
        let third = last.at.saturating_sub(first.at) / 3;
        let nearest = |at: Duration| self.fetched.iter().min_by_key(|one| one.at.abs_diff(at));
        let bounds = [first, nearest(first.at + third)?, nearest(first.at + 2 * third)?, last];
        Some(bounds.windows(2).all(|pair| pair[1].share_since(pair[0]) >= 1.0))
    }

    /// Forgets what was seen; what it tells if a stall is over with it.
    fn over(&mut self) -> Option<What> {
        (self.earlier, self.stretch, self.since) = (None, None, None);
        self.fetched.clear();
        let stall = self.lasting.take()?;
        let lasted = stall.seen.saturating_sub(stall.since);
        self.before += lasted;
        Some(What::StallOver { lasted })
    }
}

/// Refaults a second, if these counts have at least this share of the signs of a stall, with so much file cache at the end of them.
fn refaults_of_a_stall(from: &Counts, to: &Counts, file: u64, share: f64) -> Option<f64> {
    let seconds = to.at.saturating_sub(from.at).as_secs_f64();
    let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
    let refaults = rate(from.refaults, to.refaults);
    let major_faults = rate(from.major_faults, to.major_faults);
    let waiting = from.waited_us.zip(to.waited_us).map_or(0.0, |(from, to)| rate(from, to) / 1e6);
    let at_once = refaults >= share * (file / page_size()) as f64 || waiting >= share * WAITING;
    let signs = to.hits > from.hits
        && refaults >= share * REFAULTS
        && at_once
        && major_faults >= share * MAJOR_FAULTS.max(refaults / REFAULTS_OF_ONE);
    signs.then_some(refaults)
}

#[cfg(test)]
mod tests;
