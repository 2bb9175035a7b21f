//! Frames: recorded events → the fold → the picture. The recordings are of real runs; the pictures are compared whole.

use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    event::{Event, Stamped},
    tui::app::{App, Card, Line},
    tui::own::Own,
};

/// `stress` killed at 100M, run again under 300M, its limit moved down and refused, killed.
pub(super) const STRESS: &str = include_str!("../../../tests/data/stress-refused.jsonl");

/// `dd` of 150 MiB under 50M: cache, and nobody dies.
pub(super) const DD: &str = include_str!("../../../tests/data/dd-cache.jsonl");

/// A worker that fills 90M under 64M with `--oom pause --like docker`: paused, raised, paused again, raised, and killed in its third pause.
const PAUSED: &str = include_str!("../../../tests/data/paused.jsonl");

/// Two workers in a row beside a small holder that is to be taken rather than others; each killed at 40M.
const KILLS: &str = include_str!("../../../tests/data/kills.jsonl");

/// The screen after the first events of a recording for which `until` does not hold, and then one more.
pub(super) fn frame(
    recording: &str,
    until: impl FnMut(&Session) -> bool,
    app: App,
    cols: u16,
    rows: u16,
    colour: bool,
) -> Terminal<TestBackend> {
    themed(recording, until, app, (cols, rows), Theme::new(colour))
}

/// The same in a theme.
pub(super) fn themed(
    recording: &str,
    until: impl FnMut(&Session) -> bool,
    app: App,
    size: (u16, u16),
    theme: Theme,
) -> Terminal<TestBackend> {
    frame_of(events(recording), until, app, size, &theme)
}

/// The same, of events.
pub(super) fn frame_of(
    events: Vec<Stamped>,
    mut until: impl FnMut(&Session) -> bool,
    app: App,
    (cols, rows): (u16, u16),
    theme: &Theme,
) -> Terminal<TestBackend> {
    let mut session = Session::default();
    let (pane_rows, pane_cols) = Regions::new(Rect::new(0, 0, cols, rows), &app, 0).pane_size();
    let mut pane = Pane::new(pane_rows, pane_cols);
    for stamped in events {
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
    let view = View {
        session: &session,
        app: &app,
        pane: &pane,
        now: session.now,
        theme,
        words: Language::English,
        own: Some(Own { cpu: 0.7, rss: 9 << 20 }),
        replay: None,
    };
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
fn no_name_and_no_command_turns_the_screen_around_it() {
    // The name, the command line and the output of a process; a run's own words, and what the kernel called a victim.
    let hostile =
        STRESS.replace("stress", "sl\u{202e}eep\u{9b}31m").replace("\"output\":\"", "\"output\":\"x\u{202e}y ");
    assert!(hostile.contains('\u{202e}'));
    for (cols, rows) in [(80, 24), (200, 60)] {
        let terminal = frame(&hostile, never, App::default(), cols, rows, true);
        let buffer = terminal.backend().buffer();
        let hidden = buffer.content().iter().filter(|cell| crate::text::has_hidden(cell.symbol()));
        assert_eq!(hidden.count(), 0);
        let text = format!("{}", terminal.backend());
        assert!(text.contains("sl\u{fffd}eep\u{fffd}31m"), "{text}");
    }
}

/// A recording's events.
pub(super) fn events(recording: &str) -> Vec<Stamped> {
    recording.lines().map(|line| serde_json::from_str(line).expect("a recorded event")).collect()
}

/// The screen of a replay at so many percent of it, over what it is compared with.
fn replayed(percent: u8, before: Option<&str>, cols: u16, rows: u16) -> Terminal<TestBackend> {
    played(events(STRESS), percent, before, cols, rows)
}

fn played(recording: Vec<Stamped>, percent: u8, before: Option<&str>, cols: u16, rows: u16) -> Terminal<TestBackend> {
    use crate::tui::{
        input::Play,
        replay::{Before, Player, Replay},
    };
    let mut player = Player::new(recording, 24, 80);
    let before = before.map(|recording| {
        let mut session = Session::default();
        events(recording).iter().for_each(|stamped| session.apply(stamped));
        Before { session, name: "before.jsonl.gz".into() }
    });
    // As long as the longer of the two, as a replay makes it.
    let theirs = before.as_ref().and_then(|before: &Before| before.session.run()?.ended.as_ref().map(|(at, _)| *at));
    player.reach(theirs.unwrap_or_default());
    player.obey(Play::To(percent));
    let replay = Replay { player, name: "stress.jsonl.gz".into(), before };
    let shown = replay.player.shown();
    let app = App { replaying: true, ..App::default() };
    let (theme, now, words) = (Theme::new(true), replay.player.times().0, Language::English);
    let view = View {
        session: &shown.session,
        app: &app,
        pane: &shown.pane,
        now,
        theme: &theme,
        words,
        own: None,
        replay: Some(&replay),
    };
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).expect("a test terminal");
    terminal.draw(|frame| render(frame, &view)).expect("a frame");
    terminal
}

#[test]
fn a_replay_shows_what_was_and_where_in_the_whole_it_is() {
    for (cols, rows) in [(80, 24), (120, 40)] {
        insta::assert_snapshot!(format!("replay_{cols}x{rows}"), replayed(1, None, cols, rows).backend());
    }
    insta::assert_snapshot!("replay_end_120x40", replayed(100, None, 120, 40).backend());
}

#[test]
fn what_a_replay_is_compared_with_lies_over_it_in_a_style_of_its_own() {
    let terminal = replayed(100, Some(DD), 120, 40);
    insta::assert_snapshot!("replay_compared_120x40", terminal.backend());
    let style = Theme::new(true).before;
    let cells = terminal.backend().buffer().content().iter();
    let drawn =
        |symbols: &str| cells.clone().filter(|c| symbols.contains(c.symbol()) && c.style().fg == style.fg).count();
    assert!(drawn("╌") > 5, "its limit");
    assert!(drawn("─│┐┘┌└") > 10, "its usage");
}

#[test]
fn what_a_run_held_is_not_drawn_past_its_end() {
    // It lasted a third of a second, what it is compared with two; and it was sampled for the last time while it was at its highest.
    let mut recording = events(DD);
    recording.retain(|stamped| !matches!(&stamped.event, Event::Sample(sample) if sample.usage < 10 << 20));
    let screen = played(recording, 100, Some(STRESS), 120, 40).backend().to_string();
    let late = |line: &str| line.chars().skip(60).any(|c| "▁▂▃▄▅▆▇█▒".contains(c));
    let chart = screen.lines().skip(2).take(15).collect::<Vec<_>>();
    assert!(chart.iter().any(|line| line.contains('█') || line.contains('▒')), "{screen}");
    assert!(!chart.iter().any(|line| late(line)), "{screen}");
}

#[test]
fn no_size_makes_a_replay_panic() {
    for (cols, rows) in [(1, 1), (59, 16), (60, 16), (61, 17), (300, 16), (60, 100)] {
        for percent in [0, 50, 100] {
            replayed(percent, None, cols, rows);
            replayed(percent, Some(STRESS), cols, rows);
        }
    }
}

#[test]
fn help_and_questions_lie_over_the_screen() {
    for (name, popup) in
        [("help", Popup::Help), ("limit", Popup::Limit(Line::new("12zz".into()))), ("quit", Popup::ConfirmQuit)]
    {
        let alive =
            |session: &Session| session.runs.len() == 2 && session.run().is_some_and(|run| run.usage() > 150 << 20);
        let terminal = frame(STRESS, alive, App { popup, ..App::default() }, 80, 24, true);
        insta::assert_snapshot!(format!("popup_{name}"), terminal.backend());
    }
}

#[test]
fn a_kill_has_a_card_that_fits_every_screen() {
    for (cols, rows) in [(60, 16), (80, 24), (120, 40)] {
        let app = App { popup: Popup::Story(Card::default()), ..App::default() };
        let terminal = frame(KILLS, never, app, cols, rows, true);
        insta::assert_snapshot!(format!("story_{cols}x{rows}"), terminal.backend());
    }
    // The one before it; and what was recorded before there were dumps is told from samples.
    let app = App { popup: Popup::Story(Card { back: 1, top: 0 }), ..App::default() };
    insta::assert_snapshot!("story_before_120x40", frame(KILLS, never, app, 120, 40, true).backend());
    let app = App { popup: Popup::Story(Card::default()), ..App::default() };
    insta::assert_snapshot!("story_old_120x40", frame(STRESS, never, app, 120, 40, true).backend());
}

#[test]
fn a_paused_workload_has_a_panel_over_the_chart_beside_its_processes() {
    let second = |session: &Session| {
        session.run().is_some_and(|run| run.pauses.list().len() == 2 && run.is_paused() && !run.processes.is_empty())
    };
    for (cols, rows) in [(60, 16), (80, 24), (120, 40)] {
        let app = App { popup: Popup::Paused, ..App::default() };
        let terminal = frame(PAUSED, second, app, cols, rows, true);
        insta::assert_snapshot!(format!("paused_{cols}x{rows}"), terminal.backend());
    }
    // Hidden, it is in the header and among the keys; while somebody types it says how to get there.
    let terminal = frame(PAUSED, second, App::default(), 120, 40, true);
    insta::assert_snapshot!("paused_hidden_120x40", terminal.backend());
    let terminal = frame(
        PAUSED,
        second,
        App { focus: Focus::Output, typing: crate::tui::app::Typing::Workload, ..App::default() },
        80,
        24,
        true,
    );
    insta::assert_snapshot!("paused_typing_80x24", terminal.backend());
    // At the limit itself not all is safe.
    let at_limit = PAUSED.replace("\"at_limit\":false", "\"at_limit\":true");
    let terminal = frame(&at_limit, second, App { popup: Popup::Paused, ..App::default() }, 80, 24, true);
    insta::assert_snapshot!("paused_at_limit_80x24", terminal.backend());
}

/// The limit dialog over a run of 60M anonymous memory and 20M file cache under 100M.
fn dialog(controller: crate::event::Controller, line: Line, cols: u16, rows: u16) -> Terminal<TestBackend> {
    let session = crate::session::verdict::tests::plain(controller);
    live(&session, App { popup: Popup::Limit(line), ..App::default() }, session.now, cols, rows)
}

/// The screen of a run that goes on.
pub(super) fn live(session: &Session, app: App, now: Duration, cols: u16, rows: u16) -> Terminal<TestBackend> {
    let app = App { alive: true, ..app };
    let (pane, theme) = (Pane::new(5, cols), Theme::new(true));
    let words = Language::English;
    let view = View { session, app: &app, pane: &pane, now, theme: &theme, words, own: None, replay: None };
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).expect("a test terminal");
    terminal.draw(|frame| render(frame, &view)).expect("a frame");
    terminal
}

#[test]
fn the_limit_dialog_says_what_would_happen_and_shows_why() {
    use crate::event::Controller::{V1, V2};
    for (name, controller, typed) in
        [("fits", V1, "90M"), ("reclaims", V2, "70M"), ("refused", V1, "50M"), ("kills", V2, "50M")]
    {
        for (cols, rows) in [(60, 16), (80, 24), (120, 40), (200, 60)] {
            let terminal = dialog(controller, Line::new(typed.into()), cols, rows);
            insta::assert_snapshot!(format!("limit_{name}_{cols}x{rows}"), terminal.backend());
        }
    }
    let asked = Line { sure: Some(crate::units::Limit::Bytes(50 << 20)), ..Line::new("50M".into()) };
    insta::assert_snapshot!("limit_kill_asked_80x24", dialog(V2, asked.clone(), 80, 24).backend());
    insta::assert_snapshot!("limit_kill_asked_60x16", dialog(V2, asked, 60, 16).backend());
}

#[test]
fn what_is_being_written_and_what_the_schedule_does_next_stand_beside_the_usage() {
    use crate::{event::*, schedule::Schedule, units::Limit};
    let mut session = crate::session::verdict::tests::plain(Controller::V1);
    let run = session.run().expect("a run");
    let (mut started, sample) = (run.started.clone(), run.last.clone().expect("a sample"));
    started.run = 2;
    started.schedule = Schedule::parse("0s=100M,10s..20s=100M..40M", 0).unwrap();
    let (target, by) = (Limit::Bytes(70 << 20), Author::User);
    let change = Change::Swap(Limit::Max);
    let origin = session.now;
    for (ms, event) in [
        (0, Event::Started(Box::new(started))),
        (0, Event::Running { pid: 2, host_pid: Some(500) }),
        (2000, Event::Sample(sample)),
        (3000, Event::LimitRequested { target, by }),
        (3500, Event::ChangeRequested { change }),
    ] {
        session.apply(&Stamped { at: origin + Duration::from_millis(ms), event });
    }
    let now = origin + Duration::from_millis(5400);
    for (cols, rows) in [(80, 24), (120, 40)] {
        insta::assert_snapshot!(
            format!("writing_{cols}x{rows}"),
            live(&session, App::default(), now, cols, rows).backend()
        );
    }
}

#[test]
fn too_small_a_screen_says_what_it_needs_and_none_makes_it_panic() {
    insta::assert_snapshot!("tiny", frame(STRESS, never, App::default(), 50, 10, true).backend());
    for (cols, rows) in [(1, 1), (2, 3), (59, 16), (60, 15), (60, 16), (61, 17), (300, 16), (60, 100)] {
        for focus in [Focus::Processes, Focus::Events, Focus::Output] {
            for popup in [Popup::None, Popup::Help, Popup::ConfirmRerun, Popup::Limit(Line::new("9".repeat(300)))] {
                frame(STRESS, never, App { focus, popup, entry: Some(0), ..App::default() }, cols, rows, true);
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
    let theme = Theme::new(true);
    let terminal = frame(STRESS, never, App::default(), 120, 40, true);
    let buffer = terminal.backend().buffer();
    let colours = |symbol: &str| -> Vec<Option<Color>> {
        buffer.content().iter().filter(|cell| cell.symbol() == symbol).map(|cell| cell.style().fg).collect()
    };
    assert!(colours("✖").contains(&theme.danger.fg));
    assert!(colours("▼").iter().all(|c| *c == theme.act.fg) && !colours("▼").is_empty());
    assert!(colours("━").contains(&theme.limit.fg));
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
            let r = Regions::new(Rect::new(0, 0, cols, rows), &App { focus, ..App::default() }, 0);
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
