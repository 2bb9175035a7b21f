//! Frames: recorded events → the fold → the picture. The recordings are of real runs; the pictures are compared whole.

use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    event::{Event, Stamped},
    tui::app::App,
};

/// `stress` killed at 100M, run again under 300M, its limit moved down and refused, killed.
const STRESS: &str = include_str!("../../../tests/data/stress-refused.jsonl");

/// `dd` of 150 MiB under 50M: cache, and nobody dies.
const DD: &str = include_str!("../../../tests/data/dd-cache.jsonl");

/// The screen after the first events of a recording for which `until` does not hold, and then one more.
fn frame(
    recording: &str,
    until: impl Fn(&Session) -> bool,
    app: App,
    cols: u16,
    rows: u16,
    colour: bool,
) -> Terminal<TestBackend> {
    let mut session = Session::default();
    let (pane_rows, pane_cols) = Regions::new(Rect::new(0, 0, cols, rows), app.focus).pane_size();
    let mut pane = Pane::new(pane_rows, pane_cols);
    for line in recording.lines() {
        let stamped: Stamped = serde_json::from_str(line).expect("a recorded event");
        match &stamped.event {
            Event::Output(bytes) => drop(pane.take(bytes)),
            Event::Started(started) if started.run > 1 => pane.next_run(),
            _ => {}
        }
        session.apply(&stamped);
        if until(&session) {
            break;
        }
    }
    let app = App { alive: session.is_alive(), ..app };
    let theme = Theme::new(colour);
    let view =
        View { session: &session, app: &app, pane: &pane, now: session.now, theme: &theme, words: Language::English };
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).expect("a test terminal");
    terminal.draw(|frame| render(frame, &view)).expect("a frame");
    terminal
}

fn first_end(session: &Session) -> bool {
    session.run().is_some_and(|run| run.ended.is_some())
}

fn never(_: &Session) -> bool {
    false
}

#[test]
fn the_signature_line_at_its_end() {
    for (cols, rows) in [(80, 24), (120, 40), (200, 60)] {
        let terminal = frame(STRESS, first_end, App::default(), cols, rows, true);
        insta::assert_snapshot!(format!("stress_end_{cols}x{rows}"), terminal.backend());
    }
}

#[test]
fn two_runs_side_by_side_with_moves_and_a_refusal() {
    for (cols, rows) in [(80, 24), (120, 40)] {
        let terminal = frame(STRESS, never, App::default(), cols, rows, true);
        insta::assert_snapshot!(format!("two_runs_{cols}x{rows}"), terminal.backend());
    }
}

#[test]
fn cache_is_told_from_what_is_held() {
    let terminal = frame(DD, never, App::default(), 100, 30, true);
    insta::assert_snapshot!("dd_100x30", terminal.backend());
}

#[test]
fn help_and_questions_lie_over_the_screen() {
    for (name, popup) in [
        ("help", Popup::Help),
        ("limit", Popup::Limit(tui_input::Input::new("12zz".into()))),
        ("quit", Popup::ConfirmQuit),
    ] {
        let alive =
            |session: &Session| session.runs.len() == 2 && session.run().is_some_and(|run| run.usage() > 150 << 20);
        let terminal = frame(STRESS, alive, App { popup, ..App::default() }, 80, 24, true);
        insta::assert_snapshot!(format!("popup_{name}"), terminal.backend());
    }
}

#[test]
fn too_small_a_screen_says_what_it_needs_and_none_makes_it_panic() {
    insta::assert_snapshot!("tiny", frame(STRESS, never, App::default(), 50, 10, true).backend());
    for (cols, rows) in [(1, 1), (2, 3), (59, 16), (60, 15), (60, 16), (61, 17), (300, 16), (60, 100)] {
        for focus in [Focus::Processes, Focus::Events, Focus::Output] {
            for popup in
                [Popup::None, Popup::Help, Popup::ConfirmRerun, Popup::Limit(tui_input::Input::new("9".repeat(300)))]
            {
                frame(
                    STRESS,
                    never,
                    App { focus, popup, events_top: 1_000_000, processes_top: 1_000_000, ..App::default() },
                    cols,
                    rows,
                    true,
                );
            }
        }
    }
}

#[test]
fn nothing_yet_is_a_picture_too() {
    frame("", never, App::default(), 80, 24, true);
}

#[test]
fn a_kill_is_red_and_a_move_is_the_users_colour() {
    use ratatui::style::Color;
    let terminal = frame(STRESS, never, App::default(), 120, 40, true);
    let buffer = terminal.backend().buffer();
    let colours = |symbol: &str| -> Vec<Option<Color>> {
        buffer.content().iter().filter(|cell| cell.symbol() == symbol).map(|cell| cell.style().fg).collect()
    };
    assert!(colours("✖").contains(&Some(Color::LightRed)));
    assert!(colours("▼").iter().all(|c| *c == Some(Color::LightMagenta)) && !colours("▼").is_empty());
    assert!(colours("━").contains(&Some(Color::Yellow)));
}

#[test]
fn without_colour_there_is_none() {
    use ratatui::style::Color;
    let terminal = frame(STRESS, never, App::default(), 120, 40, false);
    let coloured =
        terminal.backend().buffer().content().iter().find(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    assert_eq!(coloured, None);
}

#[test]
fn every_region_has_room_from_the_smallest_screen_on() {
    for (cols, rows) in [SMALLEST, (80, 24), (120, 40), (200, 60), (400, 120)] {
        for focus in [Focus::Processes, Focus::Output] {
            let r = Regions::new(Rect::new(0, 0, cols, rows), focus);
            assert!(r.chart.height >= 3 && r.processes.height >= 3 && r.output.height >= 3, "{cols}×{rows} {r:?}");
            assert_eq!(r.footer.y, rows - 1);
        }
    }
}

#[test]
fn a_text_that_does_not_fit_says_so() {
    assert_eq!(fit("stress", 6), "stress");
    assert_eq!(fit("stress", 4), "str…");
    assert_eq!(fit("日本語", 5), "日本…");
    assert_eq!(fit("x", 0), "");
}
