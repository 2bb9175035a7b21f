//! When a run is called stalled, and when not: the rates are those of the measured workloads.

use std::time::Duration;

use super::*;
use crate::{
    event::{CodeFaults, Controller, Event, LimitOutcome, MemoryStat, Pressure, Stamped, Started},
    session::{Entry, Session},
};

const M: u64 = 1 << 20;

/// What happens to a group in each second.
#[derive(Clone, Copy)]
struct Rates {
    usage: u64,
    file: u64,
    hits: f64,
    refaults: f64,
    major_faults: f64,
    waiting: f64,
    /// Pages of code that come back.
    code: f64,
    /// Pages that come back from swap.
    anon: f64,
}

/// `g++` of `<regex>` under 200M.
const COMPILER: Rates = Rates {
    usage: 200 * M,
    file: 15 * M,
    hits: 180e3,
    refaults: 175e3,
    major_faults: 170.0,
    waiting: 0.3,
    code: 1700.0,
    anon: 0.0,
};

/// The same with a disk of 50 MB/s.
const SLOW_DISK: Rates = Rates {
    usage: 200 * M,
    file: 10 * M,
    hits: 12e3,
    refaults: 12e3,
    major_faults: 8.0,
    waiting: 0.1,
    code: 140.0,
    anon: 0.0,
};

/// `dd`, reading again and again what does not fit.
const READER: Rates = Rates {
    usage: 200 * M,
    file: 198 * M,
    hits: 1e3,
    refaults: 790e3,
    major_faults: 0.0,
    waiting: 0.03,
    code: 0.0,
    anon: 0.0,
};

/// `sort`, whose buffer is half of the limit.
const SORT: Rates = Rates {
    usage: 200 * M,
    file: 90 * M,
    hits: 49e3,
    refaults: 113e3,
    major_faults: 3.0,
    waiting: 0.42,
    code: 0.0,
    anon: 0.0,
};

/// `tar`, at its worst.
const TAR: Rates = Rates {
    usage: 200 * M,
    file: 22 * M,
    hits: 45e3,
    refaults: 73e3,
    major_faults: 3.0,
    waiting: 0.19,
    code: 0.0,
    anon: 0.0,
};

/// python, reading a mapped file at random: its own code is charged here, too, and seldom goes.
const MAPPED: Rates = Rates {
    usage: 200 * M,
    file: 180 * M,
    hits: 150e3,
    refaults: 150e3,
    major_faults: 100.0,
    waiting: 0.3,
    code: 16.0,
    anon: 0.0,
};

/// The same with MADV_RANDOM, in three processes: each fault brings one page.
const MAPPED_RANDOM: Rates = Rates { refaults: 20e3, major_faults: 20e3, waiting: 0.9, code: 0.0, ..MAPPED };

/// A program whose heap does not fit, with swap.
const SWAPPER: Rates = Rates {
    usage: 200 * M,
    file: 2 * M,
    hits: 20e3,
    refaults: 16e3,
    major_faults: 2500.0,
    waiting: 0.8,
    code: 5.0,
    anon: 15e3,
};

const IDLE: Rates = Rates {
    usage: 100 * M,
    file: 10 * M,
    hits: 0.0,
    refaults: 0.0,
    major_faults: 0.0,
    waiting: 0.0,
    code: 0.0,
    anon: 0.0,
};

/// What is known of the code that comes back.
#[derive(Clone, Copy, PartialEq)]
enum Watched {
    /// Nothing: a recording of old.
    Never,
    /// What each sample says.
    Always,
    /// Nothing since the first sample: the lock of a process's memory is held.
    AtFirst,
}

/// A run under 200M, and the counts of its group.
struct Story {
    session: Session,
    at: Duration,
    counts: [f64; 6],
    every: Duration,
    counted: bool,
    watched: Watched,
}

impl Story {
    fn new() -> Story {
        let mut session = Session::default();
        let started = Started { limit: Limit::Bytes(200 * M), ..Started::plain(Controller::V1) };
        session.apply(&Stamped { at: Duration::ZERO, event: Event::Started(Box::new(started)) });
        Story {
            session,
            at: Duration::ZERO,
            counts: [0.0; 6],
            every: Duration::from_millis(100),
            counted: true,
            watched: Watched::Always,
        }
    }

    /// Lets so many seconds pass.
    fn passes(&mut self, seconds: f64, rates: Rates) -> &mut Story {
        let until = self.at + Duration::from_secs_f64(seconds);
        while self.at < until {
            self.at += self.every;
            let each = [rates.hits, rates.refaults, rates.major_faults, rates.waiting * 1e6, rates.code, rates.anon];
            for (count, rate) in self.counts.iter_mut().zip(each) {
                *count += rate * self.every.as_secs_f64();
            }
            self.sample(rates, 0);
        }
        self
    }

    fn sample(&mut self, rates: Rates, oom_kills: u64) {
        let [hits, refaults, major_faults, some_us, fetched, anon] = self.counts.map(|count| count as u64);
        let stat = MemoryStat {
            anon: rates.usage - rates.file,
            file: rates.file,
            refaults: self.counted.then_some(refaults),
            refaults_anon: self.counted.then_some(anon),
            major_faults: Some(major_faults),
            ..MemoryStat::default()
        };
        let first = self.at <= self.every;
        let code = match self.watched {
            Watched::Always => Some(CodeFaults { fetched, major_faults }),
            Watched::AtFirst if first => Some(CodeFaults::default()),
            _ => None,
        };
        let sample = Sample {
            code,
            usage: rates.usage,
            limit_hits: Some(hits),
            oom_kills: Some(oom_kills),
            stat: Some(stat),
            pressure: Some(Pressure { some_us, full_us: 0 }),
            ..Sample::default()
        };
        self.session.apply(&Stamped { at: self.at, event: Event::Sample(sample) });
    }

    fn limit(&mut self, limit: u64) -> &mut Story {
        let target = Limit::Bytes(limit);
        let event = Event::LimitDone { target, by: Default::default(), outcome: LimitOutcome::Applied { now: target } };
        self.session.apply(&Stamped { at: self.at, event });
        self
    }

    fn told(&self) -> Vec<&Entry> {
        let stalls = |entry: &&Entry| matches!(entry.what, What::Stalled { .. } | What::StallOver { .. });
        self.session.log.iter().filter(stalls).collect()
    }

    fn total(&self) -> f64 {
        self.session.run().unwrap().stalls.total().as_secs_f64()
    }

    fn is_stalled(&self) -> bool {
        self.session.run().unwrap().is_stalled()
    }
}

#[test]
fn a_compiler_that_fetches_its_own_code_again_and_again_is_stalled_within_two_seconds_and_a_half() {
    for (rates, every) in [(COMPILER, 100), (COMPILER, 5), (COMPILER, 250), (SLOW_DISK, 100)] {
        let mut story = Story { every: Duration::from_millis(every), ..Story::new() };
        story.passes(1.0, IDLE).passes(2.5, rates);
        let told = story.told();
        assert_eq!(told.len(), 1, "every {every} ms: {told:?}");
        assert!(told[0].at >= Duration::from_millis(2500), "{told:?}");
        let What::Stalled { limit, refaults } = told[0].what else { panic!("{told:?}") };
        assert_eq!(limit, Limit::Bytes(200 * M));
        assert!((refaults as f64 / rates.refaults - 1.0).abs() < 0.3, "{refaults}");
        assert!(story.is_stalled());
        assert!((1.5..=2.6).contains(&story.total()), "{}", story.total());
    }
}

#[test]
fn who_reads_or_writes_or_sorts_more_than_fits_is_not_stalled() {
    for rates in [READER, SORT, TAR] {
        let mut story = Story::new();
        story.passes(30.0, rates);
        assert_eq!((story.told().len(), story.total()), (0, 0.0));
    }
    // Nor with a moment now and then in which its own code went, too.
    let mut story = Story::new();
    for _ in 0..10 {
        story.passes(0.8, Rates { major_faults: 59.0, ..TAR }).passes(0.8, TAR);
    }
    assert_eq!(story.told().len(), 0, "{:?}", story.told());
}

#[test]
fn who_reads_a_mapped_file_larger_than_the_limit_at_random_is_not_stalled() {
    for rates in [MAPPED, MAPPED_RANDOM] {
        let mut story = Story::new();
        story.passes(1.0, IDLE).passes(30.0, rates);
        assert_eq!((story.told().len(), story.total()), (0, 0.0));
        // Nor when it comes to another part of its code now and then.
        for _ in 0..10 {
            story.passes(0.3, Rates { code: 1000.0, ..rates }).passes(2.0, rates);
        }
        assert_eq!(story.told().len(), 0, "{:?}", story.told());
        // What needs its own code while it reads is.
        story.passes(4.0, Rates { code: 3.0 * rates.major_faults, ..rates });
        assert!(story.is_stalled());
        story.passes(3.0, rates);
        assert!(!story.is_stalled(), "it only reads again");
    }
}

#[test]
fn a_heap_that_comes_back_from_swap_stalls_as_code_does() {
    let mut story = Story::new();
    story.passes(1.0, IDLE).passes(3.0, SWAPPER);
    assert!(story.is_stalled());
    let mut story = Story::new();
    story.passes(1.0, IDLE).passes(9.0, Rates { anon: 0.0, ..SWAPPER });
    assert!(!story.is_stalled(), "what comes back is files that it reads");
}

#[test]
fn where_nobody_looks_the_other_signs_decide_and_where_a_look_takes_long_they_do_later() {
    let after = |watched, seconds| {
        let mut story = Story { watched, ..Story::new() };
        story.passes(1.0, IDLE).passes(seconds, MAPPED);
        story.is_stalled()
    };
    assert!(after(Watched::Never, 2.5), "a recording of old says what it said");
    assert!(!after(Watched::AtFirst, 2.5));
    assert!(after(Watched::AtFirst, 4.0));
}

#[test]
fn below_the_limit_and_without_hits_nothing_stalls() {
    for rates in [
        Rates { usage: 190 * M, ..COMPILER },
        Rates { hits: 0.0, ..COMPILER },
        Rates { refaults: 500.0, ..COMPILER },
        Rates { refaults: 2000.0, file: 100 * M, ..SLOW_DISK },
    ] {
        let mut story = Story::new();
        story.passes(10.0, rates);
        assert_eq!(story.told().len(), 0);
    }
}

#[test]
fn where_all_wait_for_a_slow_disk_a_cache_that_is_not_turned_over_counts_as_well() {
    let mut story = Story::new();
    story.passes(10.0, Rates { refaults: 2000.0, file: 100 * M, waiting: 0.9, ..SLOW_DISK });
    assert!(story.is_stalled());
}

#[test]
fn a_kernel_that_counts_no_refaults_says_nothing() {
    let mut story = Story { counted: false, ..Story::new() };
    story.passes(10.0, COMPILER);
    assert_eq!(story.told().len(), 0);
}

#[test]
fn it_is_over_a_second_after_the_last_sign_and_its_time_is_that_of_the_signs() {
    let mut story = Story::new();
    story.passes(1.0, IDLE).passes(5.0, COMPILER).passes(0.6, IDLE);
    assert!(story.is_stalled(), "a moment without signs is none");
    story.passes(2.0, COMPILER).passes(2.0, IDLE);
    let told = story.told();
    let What::StallOver { lasted } = told[1].what else { panic!("{told:?}") };
    assert_eq!((told.len(), story.is_stalled()), (2, false));
    assert!((7.0..=7.9).contains(&lasted.as_secs_f64()), "{lasted:?}");
    assert_eq!(story.total(), lasted.as_secs_f64());
    // The next one comes on top.
    story.passes(4.0, COMPILER);
    assert!(story.is_stalled() && story.total() > lasted.as_secs_f64() + 3.0, "{}", story.total());
}

#[test]
fn a_raised_limit_ends_it_at_once_and_a_lowered_one_does_not() {
    let mut story = Story::new();
    story.passes(4.0, COMPILER).limit(190 * M).passes(1.0, Rates { usage: 190 * M, ..COMPILER });
    assert!(story.is_stalled());
    story.limit(400 * M).passes(0.1, COMPILER);
    assert!(!story.is_stalled());
    assert!(matches!(story.told()[1].what, What::StallOver { .. }));
    // Raised by too little, it is stalled again.
    story.limit(401 * M).passes(4.0, Rates { usage: 401 * M, ..COMPILER });
    assert!(story.is_stalled());
}

#[test]
fn a_kill_ends_it_and_so_does_the_end() {
    let mut story = Story::new();
    story.passes(4.0, COMPILER);
    story.sample(COMPILER, 1);
    assert!(!story.is_stalled());
    story.passes(4.0, COMPILER);
    let before = story.total();
    let ended = crate::event::Ended {
        status: crate::event::Status::Exited(0),
        stopped: None,
        sent: None,
        left_behind: 0,
        wall: None,
    };
    let at = story.at;
    story.session.apply(&Stamped { at, event: Event::Ended(ended) });
    assert!(!story.is_stalled());
    assert_eq!(story.total(), before);
}
