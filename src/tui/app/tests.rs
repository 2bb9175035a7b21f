//! Edits of the limit by keys and in the dialog: what is asked, and what is done.

use super::*;
use crate::{
    event::Controller::{V1, V2},
    session::verdict::tests::plain,
};

const M: u64 = 1 << 20;

fn set(mib: u64) -> Vec<Effect> {
    vec![Effect::Command(Command::SetLimit(Limit::Bytes(mib * M)))]
}

fn typed(text: &str) -> App {
    App { alive: true, popup: Popup::Limit(Line::new(text.into())), ..App::default() }
}

fn asks(app: &App) -> Option<Limit> {
    if let Popup::Limit(line) = &app.popup { line.sure } else { None }
}

fn applied(app: &mut App, mib: u64) {
    let now = Limit::Bytes(mib * M);
    app.limit_done(now, &crate::event::LimitOutcome::Applied { now });
}

#[test]
fn what_a_line_offers_gives_way_to_the_first_character_and_stays_for_any_other_key() {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    let session = Session::default();
    let edit = |app: &mut App, code| app.update(&session, Action::Edit(KeyEvent::new(code, KeyModifiers::NONE)));
    let open = || {
        let mut app = App { events_filter: "kill".into(), focus: Focus::Events, ..App::default() };
        app.update(&session, Action::Filter);
        assert_eq!(app.offered.as_deref(), Some("kill"));
        app
    };
    let text = |app: &mut App| app.line().map(|line| line.value().to_string()).unwrap_or_default();
    let mut app = open();
    edit(&mut app, KeyCode::Char('a'));
    edit(&mut app, KeyCode::Char('b'));
    assert_eq!(text(&mut app), "ab");
    app = open();
    edit(&mut app, KeyCode::End);
    edit(&mut app, KeyCode::Char('s'));
    assert_eq!(text(&mut app), "kills");
    app = open();
    app.update(&session, Action::Paste("limit".into()));
    assert_eq!(text(&mut app), "limit");
}

#[test]
fn an_edit_that_kills_is_asked_about_however_it_is_made() {
    let session = plain(V2); // 60M cannot go, under 100M
    // In the dialog: the first Enter asks, the second does it.
    let mut app = typed("50M");
    assert_eq!(app.update(&session, Action::Confirm), []);
    assert_eq!(asks(&app), Some(Limit::Bytes(50 * M)));
    assert_eq!(app.update(&session, Action::Confirm), set(50));
    // By a key: the dialog opens and asks.
    let mut app = App { alive: true, step: Step::Bytes(50 * M), ..App::default() };
    assert_eq!(app.update(&session, Action::LimitDown), []);
    assert_eq!(asks(&app), Some(Limit::Bytes(50 * M)));
    assert_eq!(app.update(&session, Action::Confirm), set(50));
    // By undo, where what is held has grown since.
    let mut app = App { alive: true, ..App::default() };
    app.undo.asked(Kind::New, Limit::Bytes(50 * M), Limit::Bytes(100 * M));
    assert_eq!(app.update(&session, Action::Undo), []);
    assert_eq!(app.update(&session, Action::Confirm), set(50));
    assert_eq!(app.undo.forward(), Some(Limit::Bytes(100 * M)), "it was an undo");
}

#[test]
fn what_is_typed_after_the_question_is_another_edit() {
    let session = plain(V2);
    let mut app = typed("50M");
    app.update(&session, Action::Confirm);
    let key = |code| Action::Edit(crossterm::event::KeyEvent::from(code));
    for code in [crossterm::event::KeyCode::Backspace, crossterm::event::KeyCode::Char('M')] {
        app.update(&session, key(code));
    }
    assert_eq!(asks(&app), None);
    assert_eq!(app.update(&session, Action::Confirm), []);
    assert_eq!(app.update(&session, Action::Confirm), set(50));
    app.popup = Popup::Limit(Line { sure: Some(Limit::Bytes(50 * M)), ..Line::new("40M".into()) });
    assert_eq!(app.update(&session, Action::Confirm), [], "asked about another limit");
}

#[test]
fn what_does_not_kill_is_done_at_once() {
    for (session, mib) in [(plain(V1), 50), (plain(V2), 70), (plain(V2), 200)] {
        assert_eq!(typed(&format!("{mib}M")).update(&session, Action::Confirm), set(mib));
    }
}

#[test]
fn undo_and_redo_are_edits_like_others() {
    let session = plain(V1);
    let mut app = App { alive: true, ..App::default() };
    assert_eq!(app.update(&session, Action::Undo), []);
    assert_eq!(app.update(&session, Action::LimitDown), set(90));
    assert_eq!(app.update(&session, Action::Undo), set(100), "faster than the kernel answers");
    applied(&mut app, 90);
    applied(&mut app, 100);
    assert_eq!(app.update(&session, Action::Redo), set(90));
}

#[test]
fn an_edit_that_was_broken_off_with_its_run_is_forgotten_with_it() {
    let mut session = plain(V1);
    let mut app = App { alive: true, step: Step::Bytes(10 * M), ..App::default() };
    assert_eq!(app.update(&session, Action::LimitDown), set(90));
    applied(&mut app, 90);
    assert_eq!(app.update(&session, Action::LimitUp), set(110), "the session here stays at 100M");
    assert_eq!(app.update(&session, Action::LimitUp), set(120));
    // The run ends before either is written, and nothing is said of them.
    let event = |event| crate::event::Stamped { at: Duration::from_secs(60), event };
    let status = crate::event::Status::Exited(0);
    session.apply(&event(crate::event::Event::Ended(crate::event::Ended {
        status,
        stopped: None,
        sent: None,
        left_behind: 0,
        wall: None,
    })));
    app.observe(&session);
    assert_eq!(app.limit_now(&session), session.limit());
    assert_eq!((app.undo.back(), app.undo.forward()), (Some(Limit::Bytes(100 * M)), None), "only what was written");
    // What is asked for after the end is answered, and not forgotten till then.
    assert_eq!(app.update(&session, Action::LimitUp), set(110));
    app.observe(&session);
    assert_eq!(app.update(&session, Action::LimitUp), set(120));
}

/// A run that was paused at this many milliseconds.
fn paused(at: u64) -> Session {
    let mut session = plain(V1);
    let pause = crate::event::Pause {
        limit: Limit::Bytes(100 * M),
        usage: 90 * M,
        unreclaimable: 90 * M,
        at_limit: false,
        frozen: true,
    };
    let at = session.now + std::time::Duration::from_millis(at);
    session.apply(&crate::event::Stamped { at, event: crate::event::Event::Paused(pause) });
    session
}

#[test]
fn the_panel_opens_once_for_each_pause_and_goes_with_it() {
    let is_open = |app: &App| matches!(app.popup, Popup::Paused);
    let mut app = App { alive: true, ..App::default() };
    app.observe(&paused(1));
    assert!(is_open(&app));
    app.update(&paused(1), Action::Cancel);
    app.observe(&paused(1));
    assert!(!is_open(&app), "it was hidden");
    app.update(&paused(1), Action::ShowPause);
    assert!(is_open(&app));
    app.observe(&plain(V1));
    assert!(!is_open(&app), "it goes on");
    app.observe(&paused(2));
    assert!(is_open(&app), "another pause");
    // The next key must not be an answer to what nobody has read.
    for busy in [
        App { focus: Focus::Output, typing: Typing::Workload, ..App::default() },
        App { popup: Popup::Help, ..App::default() },
    ] {
        let mut app = App { alive: true, ..busy };
        app.observe(&paused(1));
        assert!(!is_open(&app));
    }
}

#[test]
fn a_paused_workload_is_raised_by_a_quarter_let_go_or_killed() {
    let session = paused(1);
    let mut app = App { alive: true, popup: Popup::Paused, ..App::default() };
    let press = |app: &mut App, c: char| {
        let key = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char(c));
        let action = crate::tui::input::action(app, key);
        action.map(|action| app.update(&session, action)).unwrap_or_default()
    };
    assert_eq!(press(&mut app, '+'), set(125));
    applied(&mut app, 125);
    let kill = crate::event::Change::Oom(crate::event::OomPolicy::Kill);
    assert_eq!(press(&mut app, 'L'), [Effect::Command(Command::Change(kill))]);
    assert_eq!(press(&mut app, 'K'), [], "it asks");
    assert_eq!(press(&mut app, 'K'), [Effect::Command(Command::Stop(nix::libc::SIGKILL))]);
    // What freezes and thaws otherwise must not undo a pause.
    app.popup = Popup::None;
    assert_eq!(press(&mut app, 'f'), []);
    assert!(matches!(app.popup, Popup::Paused));
}

#[test]
fn a_drag_of_the_limit_ends_with_its_press_and_a_later_click_moves_nothing() {
    let session = plain(V1);
    let held = |limit: u64| {
        let mut app = App { alive: true, ..App::default() };
        app.update(&session, Action::Drag(Limit::Bytes(limit * M)));
        app
    };
    assert_eq!(held(90).update(&session, Action::Drop), set(90), "let go where it was dragged");
    assert_eq!(held(100).update(&session, Action::Drop), [], "it was not moved");
    let mut app = held(90);
    app.update(&session, Action::Cancel);
    assert_eq!(app.update(&session, Action::Drop), [], "Esc lets it be");
    let mut app = held(90); // its release was lost: here is the next press
    app.update(&session, Action::Focus(Focus::Processes));
    assert_eq!(app.update(&session, Action::Drop), []);
    let mut app = held(90);
    app.popup = Popup::Help;
    app.observe(&session);
    assert_eq!(app.update(&session, Action::Drop), [], "something was opened over it");
    // What the kernel would refuse is asked about.
    let mut app = held(50);
    assert_eq!(app.update(&session, Action::Drop), []);
    assert!(matches!(app.popup, Popup::Limit(_)));
    assert_eq!(app.update(&session, Action::Confirm), set(50));
}

#[test]
fn zoom_in_a_replay_is_of_what_was_recorded_and_not_of_what_was_played() {
    let session = plain(V1);
    let run = session.run().unwrap();
    let until = run.origin() + Duration::from_secs(60);
    let mut app = App { replaying: true, recorded_until: Some(until), ..App::default() };
    app.update(&session, Action::Zoom { closer: true });
    assert_eq!(app.viewport.chosen_span(run), Some(Duration::from_secs(30)));
}

#[test]
fn a_step_down_from_no_limit_asks_which_one() {
    let session = plain(V1);
    let mut app = App { alive: true, aimed: Some(Limit::Max), ..App::default() };
    assert_eq!(app.update(&session, Action::LimitDown), []);
    assert!(matches!(&app.popup, Popup::Limit(line) if line.input.value().is_empty()), "{:?}", app.popup);
}

#[test]
fn a_schedule_that_starts_anew_leaves_nothing_to_undo() {
    for (schedule, back) in [("", Some(Limit::Bytes(100 * M))), ("0s=100M,9s=50M", None)] {
        let mut session = plain(V1);
        let mut app = App { alive: true, step: Step::Bytes(10 * M), ..App::default() };
        assert_eq!(app.update(&session, Action::LimitDown), set(90));
        applied(&mut app, 90);
        // It has ended, and the next run starts.
        app.alive = false;
        if !schedule.is_empty() {
            session.runs[0].started.schedule = crate::schedule::Schedule::parse(schedule, 0).expect("a schedule");
        }
        app.observe(&session);
        assert_eq!(app.undo.back(), back, "{schedule}");
    }
}
