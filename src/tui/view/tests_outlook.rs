//! Frames of where a run is heading: a limit that will be full, and a run that gets nowhere. The recordings are of real runs, of whose samples each
//! tenth of a second has one.

use super::{tests::frame, *};
use crate::{session::Session, tui::app::App};

/// `g++` of `<regex>` under 200M: stalled, raised to 400M, finished.
const STALLED: &str = include_str!("../../../tests/data/stalled.jsonl");

/// A worker that fills 20M a second under 150M, until it is killed.
const FILLING: &str = include_str!("../../../tests/data/filling.jsonl");

/// Until usage is this, in MiB.
fn filled(mib: u64) -> impl FnMut(&Session) -> bool {
    move |session| session.run().is_some_and(|run| run.usage() > mib << 20)
}

#[test]
fn a_limit_that_will_be_full_is_told_as_far_as_there_is_room() {
    for (cols, rows) in [(60, 16), (80, 24), (120, 40), (200, 60)] {
        let terminal = frame(FILLING, filled(100), App::default(), cols, rows, true);
        insta::assert_snapshot!(format!("filling_{cols}x{rows}"), terminal.backend());
    }
}

#[test]
fn cache_that_goes_first_is_told_of_a_forecast_where_there_is_room() {
    // The same run, beside 40M of file cache.
    let text = FILLING.replace("\"file\":0,", "\"file\":41943040,");
    let usage = |line: &str| {
        let mut event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Some(usage) = event.pointer_mut("/event/sample/usage") {
            *usage = (usage.as_u64().expect("bytes") + 41_943_040).into();
        }
        event.to_string()
    };
    let text: Vec<String> = text.lines().map(usage).collect();
    let line = |cols| {
        let shown = format!("{}", frame(&text.join("\n"), filled(110), App::default(), cols, 40, true).backend());
        shown.lines().find(|line| line.contains("headroom")).expect("the numbers").to_string()
    };
    assert!(line(120).contains("full in 4 s (2 s of it cache)"), "{}", line(120));
    assert!(line(80).contains("full in 4 s  peak"), "{}", line(80));
    assert!(
        line(300).contains("full in 4 s at 20.1M/s, of which 2 s are cache that is given back first"),
        "{}",
        line(300)
    );
}

#[test]
fn it_is_a_warning_only_when_it_is_soon() {
    let style = |slower: bool| {
        // The same run, ten times as slow.
        let text = if slower {
            FILLING.replace("\"limit\":{\"bytes\":157286400}", "\"limit\":{\"bytes\":1572864000}")
        } else {
            FILLING.into()
        };
        let terminal = frame(&text, filled(60), App::default(), 120, 40, true);
        let buffer = terminal.backend().buffer();
        let shown = format!("{}", terminal.backend());
        let line = shown.lines().position(|line| line.contains("full in")).expect("a forecast");
        let row: Vec<_> = buffer.content().chunks(120).nth(line).expect("a row").to_vec();
        let text: String = row.iter().map(|cell| cell.symbol()).collect();
        let place = text.find("full in").expect("a forecast");
        row[place].style().fg
    };
    let theme = Theme::new(true);
    assert_eq!(style(false), theme.warning.fg);
    assert_eq!(style(true), Some(theme.strong.fg.unwrap_or(ratatui::style::Color::Reset)));
}

#[test]
fn a_run_that_gets_nowhere_says_so_and_what_helps() {
    let stalled = |session: &Session| session.run().is_some_and(|run| run.is_stalled());
    for (cols, rows) in [(60, 16), (80, 24), (120, 40)] {
        let terminal = frame(STALLED, stalled, App::default(), cols, rows, true);
        insta::assert_snapshot!(format!("stalled_{cols}x{rows}"), terminal.backend());
    }
    let terminal = frame(STALLED, |_| false, App::default(), 120, 40, true);
    insta::assert_snapshot!("stalled_end_120x40", terminal.backend());
    // Where nothing can be done about it, no key helps.
    let app = App { replaying: true, ..App::default() };
    let text = format!("{}", frame(STALLED, stalled, app, 120, 40, true).backend());
    assert!(text.contains("≋ STALLED AT LIMIT") && !text.contains("+ raises it"), "{text}");
}

#[test]
fn reclaims_that_averted_a_pause_are_one_line_of_the_events_and_stop_the_forecast() {
    let lines: Vec<&str> = FILLING.lines().collect();
    let (told, rest) = lines.split_at(lines.len() / 2);
    let at = told.last().and_then(|line| line.split("\"event\"").next()).expect("a time");
    let reclaimed =
        r#"{"reclaimed":{"limit":{"bytes":157286400},"before":120000000,"after":90000000,"stood_us":2500}}"#;
    let reclaimed = format!("{at}\"event\":{reclaimed}}}");
    let text = [told, &[reclaimed.as_str(); 2], rest].concat().join("\n");
    let averted = |session: &Session| session.run().is_some_and(|run| run.pauses.averted().0 == 2);
    let shown = format!("{}", frame(&text, averted, App::default(), 200, 60, true).backend());
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("not paused: a reclaim made room 2 times"), "{shown}");
    assert!(!shown.contains("full in"), "{shown}");
}
