//! Frames of who is next in line for the OOM killer.

use super::{tests::live, *};
use crate::{
    event::{Controller::V1, Ended, Event, Process, ProcessChanges, ProcessUsage, Stamped, Started, Status},
    session::verdict::tests::session as told,
    tui::rows::Cursor,
    units::Limit,
};

const M: u64 = 1 << 20;

fn process(host_pid: i32, name: &str, size: u64, oom_score_adj: i32) -> Process {
    let usage = ProcessUsage {
        rss: size,
        anon: size,
        threads: 1,
        state: 'S',
        oom_score_adj,
        page_tables: Some(M / 2),
        ..ProcessUsage::default()
    };
    let command = format!("{name} --serve");
    Process { host_pid, pid: Some(host_pid - 498), parent: 1, name: name.into(), command, heap_options: None, usage }
}

fn then(session: &mut Session, ms: u64, event: Event) {
    session.apply(&Stamped { at: Duration::from_millis(ms), event });
}

/// Five of which one is spared, one protected, and the smallest grows.
fn line(change: impl FnOnce(&mut Started)) -> Session {
    let mut session = told(V1, |started, _, _| change(started));
    let born = vec![
        process(500, "database", 20 * M, 0),
        process(501, "cache", 18 * M, 100),
        process(502, "spared", 15 * M, -1000),
        process(503, "protected", 5 * M, -500),
        process(504, "leak", M, 0),
    ];
    then(&mut session, 100, Event::Processes(ProcessChanges { born, ..ProcessChanges::default() }));
    let grown = process(504, "leak", 2 * M, 0).usage;
    let changed = vec![(504, grown)];
    then(&mut session, 110, Event::Processes(ProcessChanges { changed, ..ProcessChanges::default() }));
    session
}

fn screen(session: &Session, app: App, cols: u16, rows: u16) -> String {
    format!("{}", live(session, app, session.now, cols, rows).backend())
}

#[test]
fn who_is_next_has_a_sign_and_a_word_and_what_the_kernel_counts_where_there_is_room() {
    let session = line(|_| {});
    for (cols, rows) in [(80, 24), (100, 30), (120, 40), (200, 60)] {
        let terminal = live(&session, App::default(), session.now, cols, rows);
        insta::assert_snapshot!(format!("next_{cols}x{rows}"), terminal.backend());
    }
}

#[test]
fn who_is_next_is_told_though_its_row_is_not_in_sight() {
    let session = line(|_| {});
    let text = screen(&session, App::default(), 80, 24);
    let title = |text: &str| text.lines().find(|l| l.contains("─ processes 5 ")).expect("the table").to_string();
    assert!(title(&text).contains("☠ next leak 6 ─"), "{text}");
    assert!(!screen(&session, App::default(), 120, 40).contains("☠ next"), "it is in sight");
    // Where the table is scrolled to it the row says so itself.
    let app = App { cursor: Some(Cursor { host_pid: 504, row: 4 }), ..App::default() };
    let text = screen(&session, app, 80, 24);
    assert!(!text.contains("☠ next") && text.contains("2.0M↑☠ leak --serve"), "{text}");
}

#[test]
fn without_a_limit_and_after_the_end_nobody_is_next_and_the_columns_stay() {
    let head = |text: &str| text.lines().find(|l| l.contains("NEXT COMMAND")).map(str::to_string);
    let alive = screen(&line(|_| {}), App::default(), 120, 40);
    let unlimited = screen(&line(|started| started.limit = Limit::Max), App::default(), 120, 40);
    let mut session = line(|_| {});
    then(
        &mut session,
        200,
        Event::Ended(Ended { status: Status::Exited(0), stopped: None, sent: None, left_behind: 5, wall: None }),
    );
    let ended = screen(&session, App::default(), 120, 40);
    let columns = |text: &str| head(text).map(|line| line[..line.find("COMMAND").unwrap_or(0)].to_string());
    assert!(head(&alive).is_some() && alive.contains('☠') && alive.contains("never"));
    for text in [unlimited, ended] {
        assert_eq!(columns(&text), columns(&alive));
        assert!(!text.contains('☠') && !text.contains("never"), "{text}");
    }
}
