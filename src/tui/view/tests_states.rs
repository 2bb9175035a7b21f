//! Each state of a run and of the screen, at each size that people have.

use std::time::Duration;

use super::{tests::frame_of, *};
use crate::{
    event::{Controller, Event, Process, ProcessChanges, ProcessUsage, Sample, Stamped, Started},
    session::{Run, What},
    tui::{
        app::{Card, Line},
        explain::Page,
        glyphs::Glyphs,
        rows::{Column, Cursor, Order},
    },
};
use tui_input::Input;

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (60, 16)];

fn recorded(name: &str) -> Vec<Stamped> {
    super::tests_workloads::events(name)
}

fn stress_refused() -> Vec<Stamped> {
    super::tests::events(include_str!("../../../tests/data/stress-refused.jsonl"))
}

fn told(session: &Session, is: impl Fn(&What) -> bool) -> bool {
    session.log.last().is_some_and(|entry| is(&entry.what))
}

fn after(ms: u64) -> impl Fn(&Session) -> bool {
    move |session| session.run().is_some_and(|run: &Run| run.elapsed(session.now) >= Duration::from_millis(ms))
}

/// A run with so many processes, of these names in turn.
fn with_processes(count: i32, names: &[&str]) -> Vec<Stamped> {
    let usage = |n: i32| ProcessUsage {
        rss: 1 << 20 | (n as u64 % 97) << 12,
        anon: 1 << 19,
        threads: 1,
        page_tables: Some(40 << 10),
        swap: Some(0),
        state: 'S',
        ..ProcessUsage::default()
    };
    let process = |n: i32| Process {
        host_pid: 1000 + n,
        pid: Some(2 + n),
        parent: if n == 0 { 1 } else { 1000 + (n - 1) / 8 },
        name: names[n as usize % names.len()].into(),
        command: format!("{} --number {n}", names[n as usize % names.len()]),
        heap_options: None,
        usage: usage(n),
    };
    let born = (0..count).map(process).collect();
    let sample = Sample { usage: 60 << 20, ..Sample::default() };
    let events = [
        Event::Started(Started::plain(Controller::V2).into()),
        Event::Running { pid: 2, host_pid: Some(1000) },
        Event::Sample(sample),
        Event::Processes(ProcessChanges { born, ..ProcessChanges::default() }),
    ];
    events.into_iter().enumerate().map(|(n, event)| Stamped { at: Duration::from_millis(n as u64), event }).collect()
}

fn snapshots(name: &str, events: &[Stamped], until: impl Fn(&Session) -> bool, app: &App) {
    for size @ (cols, rows) in SIZES {
        let terminal = frame_of(events.to_vec(), &until, app.clone(), size, &Theme::new(true));
        insta::assert_snapshot!(format!("{name}_{cols}x{rows}"), terminal.backend());
    }
}

fn popup(popup: Popup) -> App {
    App { popup, ..App::default() }
}

#[test]
fn a_run_from_its_start_to_its_end() {
    let plain = App::default();
    let started = |session: &Session| session.run().is_some();
    snapshots("starting", &recorded("leak"), started, &plain);
    snapshots("steady", &recorded("leak"), after(1_500), &plain);
    snapshots("near_limit", &recorded("leak"), after(4_500), &plain);
    let killed = |session: &Session| told(session, |what| matches!(what, What::OomKill { .. }));
    snapshots("oom_just_now", &recorded("stress"), killed, &plain);
    snapshots("ended", &recorded("leak"), |_| false, &plain);
    let paused = super::tests::events(include_str!("../../../tests/data/paused.jsonl"));
    let is_paused = |session: &Session| session.run().is_some_and(|run| run.is_paused() && !run.processes.is_empty());
    snapshots("paused_now", &paused, is_paused, &popup(Popup::Paused));
    let refused = |session: &Session| told(session, |what| matches!(what, What::LimitBusy { .. }));
    snapshots("refused_edit", &stress_refused(), refused, &plain);
}

#[test]
fn what_lies_over_it() {
    let leak = recorded("leak");
    let near = after(4_500);
    snapshots("help", &leak, &near, &popup(Popup::Help));
    let rss = Page::of(Focus::Processes);
    snapshots("explain", &leak, &near, &popup(Popup::Explain(rss)));
    snapshots(
        "explain_others",
        &recorded("dashboards"),
        after(4_030),
        &popup(Popup::Explain(Page { dashboards: true, ..rss })),
    );
    snapshots("limit_typed", &leak, &near, &popup(Popup::Limit(Line::new("50M".into()))));
    let pid = leak.iter().find_map(|stamped| match &stamped.event {
        Event::Running { host_pid, .. } => *host_pid,
        _ => None,
    });
    snapshots("detail", &leak, &near, &popup(Popup::Detail(pid.expect("a process"))));
    snapshots("card", &recorded("stress"), |_| false, &popup(Popup::Story(Card::default())));
    let filter = App {
        order: Order { filter: "stress".into(), by: Column::Rss, flat: true, ..Order::default() },
        ..popup(Popup::Filter(Input::new("stress".into())))
    };
    snapshots("filter", &recorded("stress-ng"), after(1_500), &filter);
    let events = App { focus: Focus::Events, events_filter: "kill".into(), entry: Some(1), ..App::default() };
    snapshots("filtered_events", &recorded("stress-ng"), after(1_500), &events);
}

#[test]
fn many_processes_none_and_odd_ones() {
    let all = |_: &Session| false;
    let thousand = App { cursor: Some(Cursor { host_pid: 1500, row: 500 }), ..App::default() };
    snapshots("thousand_processes", &with_processes(1000, &["worker"]), all, &thousand);
    snapshots("no_processes", &with_processes(0, &["none"]), all, &App::default());
    let wide = with_processes(12, &["数据库服务器", "🦀🦀🦀", "naïve-café", "데이터베이스", "a\u{200b}b\u{202e}c"]);
    snapshots("wide_names", &wide, all, &App::default());
}

#[test]
fn without_colours_and_with_ascii_alone() {
    let (all, size) = (|_: &Session| false, (80, 24));
    for (name, theme) in
        [("monochrome", Theme::new(false)), ("ascii", Theme { glyphs: Glyphs::Ascii, ..Theme::new(true) })]
    {
        let terminal = frame_of(recorded("sort-60m"), all, App::default(), size, &theme);
        insta::assert_snapshot!(format!("{name}_sort_80x24"), terminal.backend());
    }
}

#[test]
fn the_cursor_reads_out_what_was_and_the_picture_stands_still() {
    let events = recorded("sort-60m");
    let mut app = App::default();
    let mut session = Session::default();
    events.iter().for_each(|stamped| session.apply(stamped));
    for _ in 0..20 {
        app.update(&session, crate::tui::input::Action::Pan(-2));
    }
    for _ in 0..3 {
        app.update(&session, crate::tui::input::Action::Zoom { closer: true });
    }
    let terminal = frame_of(events.clone(), |_| false, app, (120, 40), &Theme::new(true));
    insta::assert_snapshot!("cursor_120x40", terminal.backend());
    let text = terminal.backend().to_string();
    let rule = text.lines().find(|line| line.contains("memory")).expect("a rule");
    for part in ["at 0:00.7", "usage 100M", "limit 100M", "anon 60.", "cache 3"] {
        assert!(rule.contains(part), "{part}: {rule}");
    }
}

#[test]
fn a_spike_that_is_seen_is_read_out() {
    // A hundred seconds at 10M, with one sample of 90M in the middle, under a limit that was hit then.
    let mut events = with_processes(0, &["none"]);
    for n in 1..=1000u64 {
        let spike = n == 500;
        let usage = if spike { 90 << 20 } else { 10 << 20 };
        let sample = Sample { usage, limit_hits: Some(if n >= 500 { 7 } else { 0 }), ..Sample::default() };
        events.push(Stamped { at: Duration::from_millis(100 * n), event: Event::Sample(sample) });
    }
    let mut session = Session::default();
    events.iter().for_each(|stamped| session.apply(stamped));
    let mut app = App::default();
    app.update(&session, crate::tui::input::Action::Zoom { closer: false });
    app.update(&session, crate::tui::input::Action::LookAt(Duration::from_millis(50_000)));
    let terminal = frame_of(events, |_| false, app, (200, 60), &Theme::new(true));
    let text = terminal.backend().to_string();
    let rule = text.lines().find(|line| line.contains("memory")).expect("a rule");
    assert!(rule.contains("usage 90M") && rule.contains("+7 hits"), "{rule}");
}
