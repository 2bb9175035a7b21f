//! How long one frame of the screen takes to draw: 120×40, 1,000 processes, an hour of history (mark: 1.5 ms in the middle). `cargo bench --bench frame`;
//! criterion prints the time of one frame as [low, middle, high].
//!
//! Drawn is what the live screen draws, into a buffer in memory; what ratatui then sends to a terminal is the difference to the frame before.

use std::{hint::black_box, path::Path, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use sandtop::{
    event::{Event, MemoryStat, Process, ProcessChanges, ProcessUsage, Sample, Stamped},
    record,
    tui::{picture::Picture, theme::Theme},
};

const M: u64 = 1 << 20;

/// A real run's start, and then an hour at ten samples a second with a thousand processes, of which ten move each second.
fn hour(processes: i32) -> Vec<Stamped> {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workloads/leak.jsonl.gz");
    let start = record::read(&recording).expect("a recording").events;
    let mut events: Vec<Stamped> =
        start.into_iter().take_while(|stamped| !matches!(stamped.event, Event::Processes(_))).collect();
    let first = events.last().map_or(Duration::ZERO, |stamped| stamped.at);
    let usage = |n: i32, tick: u64| ProcessUsage {
        rss: M + (u64::from(n.unsigned_abs()) + tick) % 97 * 4096,
        anon: M / 2,
        threads: 1,
        page_tables: Some(40 << 10),
        swap: Some(0),
        state: 'S',
        ..ProcessUsage::default()
    };
    let process = |n: i32| Process {
        host_pid: 10_000 + n,
        pid: Some(2 + n),
        parent: if n == 0 { 1 } else { 10_000 + (n - 1) / 8 },
        name: "worker".into(),
        command: format!("/usr/bin/worker --number {n} --with some --more arguments"),
        heap_options: None,
        usage: usage(n, 0),
    };
    let born = (0..processes).map(process).collect();
    events.push(Stamped { at: first, event: Event::Processes(ProcessChanges { born, ..ProcessChanges::default() }) });
    for tick in 0..36_000u64 {
        let at = first + Duration::from_millis(100 * tick);
        let used = 40 * M + tick * 7919 % (50 * M);
        let stat = MemoryStat { anon: used - 10 * M, file: 9 * M, kernel: Some(M), ..MemoryStat::default() };
        let sample = Sample {
            usage: used,
            peak: Some(used + M / 2),
            stat: Some(stat),
            limit_hits: Some(tick / 100),
            ..Sample::default()
        };
        events.push(Stamped { at, event: Event::Sample(sample) });
        if tick % 10 == 0 && processes > 0 {
            let n = |k: u64| ((tick + k * 101) % processes.unsigned_abs() as u64) as i32;
            let changed = (0..10).map(|k| (10_000 + n(k), usage(n(k), tick))).collect();
            let changes = ProcessChanges { changed, ..ProcessChanges::default() };
            events.push(Stamped { at, event: Event::Processes(changes) });
        }
    }
    events
}

fn frames(c: &mut Criterion) {
    for (name, processes, keys) in [
        ("120x40, 1000 processes, an hour", 1_000, ""),
        ("120x40, 1000 processes, an hour, ordered by size", 1_000, ">,>"),
        ("120x40, 10000 processes, an hour", 10_000, ""),
        ("120x40, 1000 processes, the whole hour on the chart", 1_000, "Z,Z,Z,Z,Z,Z,Z,Z"),
    ] {
        let events = hour(processes);
        let keys: Vec<String> = keys.split(',').filter(|key| !key.is_empty()).map(String::from).collect();
        let mut picture = Picture::new(&events, (120, 40), &keys, Theme::new(true)).expect("a picture");
        c.bench_function(name, |b| b.iter(|| black_box(picture.draw().area)));
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
