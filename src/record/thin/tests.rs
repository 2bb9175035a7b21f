//! Thinning changes no number: the same stories, whole and thinned.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    event::{
        Ended, MemoryStat, Note, Process, ProcessUsage, Reclaimed, Started, Status, Swapping, Unreclaimable, Victim,
    },
    session::{Run, Session},
    units::Limit,
};

const M: u64 = 1 << 20;

/// A story whose every step is a number.
fn story(steps: &[u8]) -> Vec<Stamped> {
    let text = include_str!("../../../tests/data/recording-1.jsonl").lines().nth(1).expect("a start");
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let started: Started = serde_json::from_value(value["event"]["started"].clone()).expect("a start");
    let mut events = vec![
        Event::Started(Box::new(started.clone())),
        Event::Running { pid: 2, host_pid: Some(500) },
        Event::Processes(ProcessChanges { born: vec![process(500)], ..ProcessChanges::default() }),
    ];
    let (mut hits, mut kills) = (0, 0);
    for (n, step) in steps.iter().enumerate() {
        let (usage, pid) = (u64::from(*step) * 7919 * (n as u64 + 1) % 97 * M, 501 + n as i32 % 7);
        let changed = |pid| (pid, ProcessUsage { rss: n as u64, ..ProcessUsage::default() });
        events.push(match step % 32 {
            0 => Event::Note(Note::CountersReset),
            1 => Event::LimitDone {
                target: Limit::Bytes(usage),
                outcome: LimitOutcome::Applied { now: Limit::Bytes(usage) },
                by: Default::default(),
            },
            2 => Event::Victim(Victim { host_pid: pid, pid: None, name: "x".into(), held: M, ..Victim::default() }),
            3..=5 => Event::Processes(ProcessChanges { born: vec![process(pid)], ..ProcessChanges::default() }),
            6..=8 => Event::Processes(ProcessChanges { died: vec![pid], ..ProcessChanges::default() }),
            9..=11 => Event::Processes(ProcessChanges { changed: vec![changed(pid)], ..ProcessChanges::default() }),
            12 => Event::Output(vec![*step; 9]),
            13 | 15 | 16 => Event::Reclaimed(Reclaimed {
                limit: Limit::Bytes(99 * M),
                before: usage,
                after: usage / 2,
                stood_us: n as u64,
                times: 1,
            }),
            14 if n % 40 == 0 => {
                (hits, kills) = (0, 0);
                Event::Started(Box::new(Started { run: 2 + n as u32, ..started.clone() }))
            }
            _ => {
                hits += u64::from(step % 32 >= 28);
                kills += u64::from(*step == 31);
                let stat = (step % 2 == 0).then(|| MemoryStat { file: usage / 2, ..MemoryStat::default() });
                let peak = (step % 3 != 0).then_some(usage + 5);
                let counts = (Some(hits), Some(kills));
                Event::Sample(Sample {
                    usage,
                    peak,
                    stat,
                    limit_hits: counts.0,
                    oom_kills: counts.1,
                    swap: stat.map(|_| n as u64),
                    unreclaimable: (step % 5 == 0)
                        .then(|| Box::new(Unreclaimable { least: n as u64, most: Some(2 * n as u64), unknown: 0 })),
                    swapping: (step % 7 == 0)
                        .then(|| Box::new(Swapping { peak: Some(n as u64), ..Swapping::default() })),
                    ..Sample::default()
                })
            }
        });
    }
    events.push(Event::Ended(Ended {
        status: Status::Signalled(9),
        stopped: None,
        sent: None,
        left_behind: 0,
        wall: None,
    }));
    let at = |n: usize| Duration::from_millis(700 * n as u64);
    events.into_iter().enumerate().map(|(n, event)| Stamped { at: at(n), event }).collect()
}

fn process(host_pid: i32) -> Process {
    let usage = ProcessUsage::default();
    Process { host_pid, pid: None, parent: 1, name: "x".into(), command: "x y".into(), heap_options: None, usage }
}

fn session(events: &[Stamped]) -> Session {
    let mut session = Session::default();
    events.iter().for_each(|stamped| session.apply(stamped));
    session
}

/// What the numbers of a run are, whatever was dropped.
fn numbers(run: &Run) -> String {
    let newest = (run.usage(), run.stat, run.swap, run.limit);
    let counts = (run.limit_hits(), run.oom_kills(), run.peak, run.since, run.named);
    let edits = (run.edits.all(), run.swap_free, run.unreclaimable, run.swapping, run.pauses.averted());
    format!("{newest:?} {counts:?} {edits:?} {:?} {:?} {:?}", run.outcome(), run.elapsed(run.at), run.ended)
}

fn output(events: &[Stamped]) -> Vec<u8> {
    let bytes = |stamped: &Stamped| if let Event::Output(bytes) = &stamped.event { bytes.clone() } else { Vec::new() };
    events.iter().flat_map(bytes).collect()
}

proptest! {
    #[test]
    fn what_is_thinned_adds_up_to_the_same(steps in proptest::collection::vec(any::<u8>(), 0..400), passes in 1..4) {
        let whole = story(&steps);
        let mut kept = Kept { events: whole.clone(), ..Kept::default() };
        for _ in 0..passes {
            kept.thin(kept.events.len().saturating_sub(1), Level::Gentle);
        }
        let (before, after) = (session(&whole), session(&kept.events));
        prop_assert_eq!(&after.log, &before.log);
        prop_assert_eq!(output(&kept.events), output(&whole));
        for (run, thin) in before.runs.iter().zip(&after.runs) {
            prop_assert_eq!(numbers(thin), numbers(run));
            let alive = |run: &Run| {
                let alive = run.processes.values().filter(|row| row.died.is_none());
                alive.map(|row| (row.process.host_pid, row.process.usage.rss)).collect::<Vec<_>>()
            };
            prop_assert_eq!(alive(thin), alive(run));
        }
        let mut stormy = Kept { events: whole.clone(), ..Kept::default() };
        stormy.thin(whole.len() - 1, Level::Kills);
        for (run, thin) in before.runs.iter().zip(&session(&stormy.events).runs) {
            prop_assert_eq!(numbers(thin), numbers(run));
        }
    }
}

fn pushed(most: usize, events: impl Iterator<Item = Event>) -> Kept {
    let mut kept = Kept { most, ..Kept::default() };
    for (n, event) in events.enumerate() {
        kept.push(Stamped { at: Duration::from_millis(n as u64), event });
        assert!(kept.memory <= most, "{} after event {n}", kept.memory);
    }
    kept
}

#[test]
fn however_long_it_goes_on_it_fits_and_has_its_start_its_extremes_and_its_end() {
    let sample = |n: u64| {
        let usage = if n == 7777 { 99 * M } else { n % 5 * M };
        Event::Sample(Sample { usage, peak: Some(usage), limit_hits: Some(n / 10), ..Sample::default() })
    };
    let start = || story(&[]).into_iter().map(|stamped| stamped.event).take(3);
    let end = || story(&[]).into_iter().map(|stamped| stamped.event).skip(3);
    let kept = pushed(1 << 20, start().chain((0..100_000).map(sample)).chain(end()));
    let session = session(&kept.events);
    let run = session.run().expect("a run");
    assert_eq!((run.peak, run.limit_hits(), kept.thinned.left_out), (99 * M, Some(9_999), 0));
    assert!(run.ended.is_some() && run.running.is_some() && kept.events.len() > 2_000);
    assert!(kept.thinned.samples > 90_000, "{:?}", kept.thinned);
    // The newest are as they were.
    let newest = kept.events.iter().rev().skip(1).take(500);
    assert!(newest.map(|stamped| stamped.at.as_millis()).is_sorted_by(|b, a| a + 1 == *b));
}

#[test]
fn what_cannot_be_thinned_is_left_out_before_the_start_and_the_numbers_are() {
    let m = Event::Sample(Sample { usage: 50 * M, peak: Some(60 * M), ..Sample::default() });
    let hint = |n: u64| Event::Note(Note::Hint { text: format!("{n}").repeat(20) });
    let start = story(&[]).into_iter().map(|stamped| stamped.event).take(3);
    let kept = pushed(1 << 20, start.chain([m]).chain((0..50_000).map(hint)));
    let session = session(&kept.events);
    let run = session.run().expect("a run");
    assert_eq!((run.peak, run.running.is_some()), (60 * M, true));
    assert!(kept.thinned.left_out > 10_000, "{:?}", kept.thinned);
    // Nor are starts endless.
    let starts = (0..50_000).flat_map(|_| story(&[])).map(|stamped| stamped.event);
    assert!(pushed(1 << 20, starts).thinned.left_out > 0);
}

#[test]
fn reclaims_that_repeat_for_days_are_put_together_and_none_is_lost() {
    let limit = Limit::Bytes(99 * M);
    let reclaimed = Reclaimed { limit, before: 90 * M, after: 50 * M, stood_us: 40, times: 1 };
    let both = |n: u64| [Event::Reclaimed(reclaimed), Event::Sample(Sample { usage: n % 7 * M, ..Sample::default() })];
    let start = story(&[]).into_iter().map(|stamped| stamped.event).take(3);
    let kept = pushed(1 << 20, start.chain((0..100_000).flat_map(both)));
    let session = session(&kept.events);
    let run = session.run().expect("a run");
    assert_eq!(run.pauses.averted(), (100_000, Duration::from_secs(4)));
    assert_eq!(kept.thinned.left_out, 0);
}
