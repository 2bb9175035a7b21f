//! Random walks over the screen: keys, clicks, drags and resizes, while a recorded run goes on. Nothing panics, and nothing ends it but a quit key.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::{Terminal, backend::TestBackend};

use super::{
    tests::{DD, STRESS},
    *,
};
use crate::{
    event::{Event, Stamped},
    tui::{
        app::{App, Effect},
        input::{self, Action},
        mouse,
    },
};

const SIZES: [(u16, u16); 8] = [(80, 24), (120, 40), (200, 60), (60, 16), (59, 15), (1, 1), (300, 10), (20, 100)];

/// Numbers that look random, the same in each run of a test.
struct Dice(u64);

impl Dice {
    fn new(seed: u8) -> Dice {
        Dice(0x9e37_79b9_7f4a_7c15 ^ u64::from(seed) << 32)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A screen on its way: the session so far, and what is to come.
struct Walk {
    session: Session,
    app: App,
    pane: Pane,
    events: std::vec::IntoIter<Stamped>,
    terminal: Terminal<TestBackend>,
    size: (u16, u16),
}

impl Walk {
    fn new(events: Vec<Stamped>, size: (u16, u16)) -> Walk {
        let app = App { alive: true, ..App::default() };
        let (rows, cols) = Regions::new(Rect::new(0, 0, size.0, size.1), &app, 0).pane_size();
        let terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
        Walk {
            session: Session::default(),
            app,
            pane: Pane::new(rows, cols),
            events: events.into_iter(),
            terminal,
            size,
        }
    }

    /// The next event of the recording.
    fn go_on(&mut self) {
        let Some(stamped) = self.events.next() else { return };
        match &stamped.event {
            Event::Output(bytes) => drop(self.pane.take(bytes)),
            Event::Started(started) if started.run > 1 => self.pane.next_run(),
            _ => {}
        }
        self.session.apply(&stamped);
        self.app.observe(&self.session);
    }

    fn view<'a>(&'a self, theme: &'a Theme) -> View<'a> {
        View {
            session: &self.session,
            app: &self.app,
            pane: &self.pane,
            now: self.session.now + Duration::from_millis(7),
            theme,
            words: Language::English,
            own: None,
            replay: None,
        }
    }

    fn draw(&mut self) {
        let theme = Theme::new(true);
        let mut terminal = std::mem::replace(&mut self.terminal, Terminal::new(TestBackend::new(1, 1)).expect("one"));
        terminal.draw(|frame| render(frame, &self.view(&theme))).expect("a frame");
        self.terminal = terminal;
    }

    fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.app.drag = None;
        self.terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
        let (rows, cols) = Regions::new(Rect::new(0, 0, size.0, size.1), &self.app, 0).pane_size();
        if rows > 0 && cols > 0 {
            self.pane.resize(rows, cols);
        }
    }

    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        let theme = Theme::new(true);
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        let actions = mouse::actions(&self.view(&theme), area, event);
        self.act(actions)
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let actions = input::action(&self.app, key).into_iter().collect();
        self.act(actions)
    }

    fn act(&mut self, actions: Vec<Action>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for action in actions {
            effects.extend(self.app.update(&self.session, action));
        }
        effects
    }
}

const BUTTONS: [MouseButton; 3] = [MouseButton::Left, MouseButton::Right, MouseButton::Middle];

fn kinds() -> Vec<MouseEventKind> {
    let of = |kind: fn(MouseButton) -> MouseEventKind| BUTTONS.map(kind);
    let presses = [of(MouseEventKind::Down), of(MouseEventKind::Up), of(MouseEventKind::Drag)];
    let wheels = [
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollLeft,
        MouseEventKind::ScrollRight,
        MouseEventKind::Moved,
    ];
    presses.into_iter().flatten().chain(wheels).collect()
}

/// The keys that are typed: all that mean anything, and some that do not.
fn keys() -> Vec<KeyEvent> {
    let plain = "abcdefghijklmnoprstuvwxyzADEFGHIJKLMNOPRSTUVWXYZ0123456789+-=_/?.,:;[]{}<> \u{e9}\u{4e2d}".chars();
    let mut keys: Vec<KeyEvent> = plain.map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)).collect();
    let named = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Insert,
        KeyCode::F(1),
        KeyCode::F(5),
    ];
    keys.extend(named.map(|code| KeyEvent::new(code, KeyModifiers::NONE)));
    keys.extend("aelnpuwz]rL".chars().map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
    keys
}

fn recordings() -> Vec<Vec<Stamped>> {
    let mut all = vec![super::tests::events(STRESS), super::tests::events(DD)];
    all.extend(["java-heap", "stress-ng", "dashboards", "redis-fork"].map(super::tests_workloads::events));
    all
}

#[test]
fn no_walk_over_the_screen_ends_it_but_by_a_quit_key() {
    let walks = 100;
    let (recordings, keys, kinds) = (recordings(), keys(), kinds());
    for walk in 0..walks {
        let mut dice = Dice::new(walk);
        let mut screen = Walk::new(recordings[usize::from(walk) % recordings.len()].clone(), dice.of(&SIZES));
        for step in 0..500 {
            for _ in 0..dice.below(4) {
                screen.go_on();
            }
            let effects = match dice.below(20) {
                0 => {
                    screen.resize(dice.of(&SIZES));
                    Vec::new()
                }
                1..=7 => {
                    // Also beyond the screen, as some terminals tell it.
                    let (cols, rows) = (usize::from(screen.size.0) + 3, usize::from(screen.size.1) + 3);
                    screen.mouse(dice.of(&kinds), dice.below(cols) as u16, dice.below(rows) as u16)
                }
                _ => screen.key(dice.of(&keys)),
            };
            // `y` may have been typed to the question that Ctrl-C and the like open; q and Q are not among the keys.
            assert!(!effects.contains(&Effect::Quit), "walk {walk}, step {step}: {:?}", screen.app.popup);
            if step % 3 == 0 {
                screen.draw();
            }
        }
        screen.draw();
    }
}

#[test]
fn a_click_anywhere_in_any_state_is_no_panic() {
    let keys = ["", "l", "s", "?", "e", "o", "x", "/", "v", "K", "r", "Q", "z", "\t", "i"];
    let kinds = kinds();
    for (n, size) in [(80, 24), (60, 16), (20, 8)].into_iter().enumerate() {
        for keys in keys {
            let mut ready = Walk::new(super::tests::events(STRESS), size);
            (0..40 + 400 * n).for_each(|_| ready.go_on());
            for c in keys.chars() {
                let code = if c == '\t' { KeyCode::Tab } else { KeyCode::Char(c) };
                ready.key(KeyEvent::new(code, KeyModifiers::NONE));
            }
            let state = ready.app.clone();
            for (column, row) in positions(size) {
                for kind in &kinds {
                    ready.app = state.clone();
                    ready.mouse(*kind, column, row);
                }
            }
            ready.draw();
        }
    }
}

/// Each row in a few columns, and those just beyond.
fn positions((cols, rows): (u16, u16)) -> impl Iterator<Item = (u16, u16)> {
    let columns = [0, 1, cols / 3, cols / 2, cols - 2, cols - 1, cols, u16::MAX];
    let rows = (0..=rows + 1).chain([u16::MAX]);
    rows.flat_map(move |row| columns.map(|column| (column, row)))
}

#[test]
fn one_step_back_from_a_line_that_was_opened_alone_is_out() {
    let key = |screen: &mut Walk, code| screen.key(KeyEvent::new(code, KeyModifiers::NONE));
    let mut screen = Walk::new(super::tests::events(STRESS), (80, 24));
    while screen.session.run().is_none_or(|run| run.processes.is_empty()) {
        screen.go_on();
    }
    key(&mut screen, KeyCode::Char('o'));
    assert!(matches!(screen.app.popup, Popup::Process(_)));
    key(&mut screen, KeyCode::Esc);
    assert!(matches!(screen.app.popup, Popup::None), "{:?}", screen.app.popup);
    // From the list of signals it is one step back to that.
    for code in [KeyCode::Char('x'), KeyCode::Char('o'), KeyCode::Esc] {
        key(&mut screen, code);
    }
    assert!(matches!(screen.app.popup, Popup::Process(_)), "{:?}", screen.app.popup);
}

#[test]
fn who_quits_is_asked_first_then_asks_the_workload_and_then_kills_it() {
    let key = |screen: &mut Walk, c| screen.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    let mut screen = Walk::new(super::tests::events(STRESS), (80, 24));
    // Before anything was heard of the run.
    assert_eq!(key(&mut screen, 'q'), []);
    assert!(matches!(screen.app.popup, Popup::ConfirmQuit));
    (0..20).for_each(|_| screen.go_on());
    assert_eq!(key(&mut screen, 'y'), [Effect::Quit]);
    screen.draw();
    let text = format!("{:?}", screen.terminal.backend());
    assert!(text.contains("It was asked to end (SIGTERM).") && text.contains("Kill it now?"), "{text}");
    assert_eq!(key(&mut screen, 'y'), [Effect::Quit], "who says yes again does not wait");
}
