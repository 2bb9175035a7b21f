//! Programs of random bytes, drawn through the real view: what then goes to the user's terminal holds nothing but what sandtop itself says.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

use super::Pane;
use crate::{
    event::Controller::V1,
    sentences::Language,
    session::{Session, verdict::tests::plain},
    tui::{
        app::{App, Focus, Typing},
        theme::Theme,
        view::{Regions, View, render},
    },
};

/// Ends and numbers of sequences, and what else terminals have a meaning for.
const PIECES: &[&[u8]] = &[
    b"\x1b",
    b"\x1b[",
    b"\x1b]",
    b"\x1bP",
    b"\x1b_",
    b"\x1b^",
    b"\x1bX",
    b"\x1b\\",
    b"\x07",
    b"\x9b",
    b"\x9d",
    b"\x90",
    b"\x9c",
    b"\x18",
    b"\x1a",
    b"\xc2\x9b",
    b"\xc2\x9d",
    b"\xc2\x90",
    b"\xc2\x85",
    b"?",
    b">",
    b"=",
    b"!",
    b"$",
    b" ",
    b";",
    b":",
    b"0",
    b"1",
    b"25",
    b"38",
    b"1049",
    b"2004",
    b"2026",
    b"65535",
    b"4294967296",
    b"\x1bc",
    b"\x1b[!p",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?1000;1003;1006h",
    b"\x1b[?2026h",
    b"\x1b[?25h",
    b"\x1b[?6h",
    b"\x1b]0;STOLEN\x07",
    b"\x1b]2;\x1b[31m\x1b\\",
    b"\x1b]8;;http://localhost/\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]52;c;U1RPTEVO\x07",
    b"\x1b]4;1;rgb:ff/ff/ff\x07",
    b"\x1b]1337;File=:AAAA\x07",
    b"\x1bPq#0;2;0;0;0~-\x1b\\",
    b"\x1bP$qm\x1b\\",
    b"\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\",
    b"\x1b_Gf=24;AAAA\x1b\\",
    b"\x1b[6n\x1b[c\x1b[>q",
    b"\x1b[8;1;1t\x1b[3;0;0t\x1b[22;0t",
    b"\x1b[2;3r",
    b"\x1b[4h",
    b"\x1b(0",
    b"\x0e",
    b"\x1b#8",
    b"\x1b[5i",
    b"\r",
    b"\n",
    b"\t",
    b"\x08",
    b"\x00",
    b"\x7f",
    "\u{e9}".as_bytes(),
    "\u{4e16}\u{754c}".as_bytes(),
    "e\u{301}\u{302}\u{303}".as_bytes(),
    "\u{202e}\u{2066}\u{200f}".as_bytes(),
    "\u{200b}\u{200d}\u{feff}".as_bytes(),
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".as_bytes(),
    "\u{2764}\u{fe0f}".as_bytes(),
    "\u{1f1e9}\u{1f1ea}".as_bytes(),
    "\u{e0041}\u{e007f}".as_bytes(),
    "\u{fdfd}\u{17d8}".as_bytes(),
];

/// A small generator, so that a run can be told again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn program(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(60) {
            match self.below(4) {
                0 => bytes.push(self.below(256) as u8),
                1 => bytes.push(0x20 + self.below(0x5f) as u8),
                _ => bytes.extend_from_slice(PIECES[self.below(PIECES.len())]),
            }
        }
        bytes
    }
}

/// What was written, seen from both ends.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first thing in it that sandtop does not say by itself.
fn strange(written: &[u8]) -> Option<String> {
    let Ok(text) = str::from_utf8(written) else { return Some("no text".into()) };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\x1b' {
            if c.is_control() || crate::text::has_hidden(&c.to_string()) {
                return Some(format!("{c:?}"));
            }
            continue;
        }
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "[?;:".contains(c))).unwrap_or(rest.len());
        let (body, last) = (&rest[..end], rest[end..].chars().next().unwrap_or('-'));
        let private = ["[?25", "[?2026"].contains(&body) && "hl".contains(last);
        let drawing = body.starts_with('[') && !body.contains('?') && "mHJ".contains(last);
        if !private && !drawing {
            return Some(format!("ESC {body}{last}"));
        }
        rest = &rest[end + last.len_utf8()..];
    }
    None
}

#[test]
fn what_is_strange_is_seen() {
    assert_eq!(strange("\x1b[31;1mred\x1b[2;3H\x1b[?25l é 世".as_bytes()), None);
    for (written, what) in [
        ("\x1b]0;t\x07", "ESC ]"),
        ("\x1b[?1049l", "ESC [?1049l"),
        ("\x1bc", "ESC c"),
        ("\x1b[6n", "ESC [6n"),
        ("\u{9b}", "'\\u{9b}'"),
    ] {
        assert_eq!(strange(written.as_bytes()).as_deref(), Some(what));
    }
}

#[test]
fn nothing_of_a_hostile_program_reaches_the_terminal() {
    let programs = if std::env::var_os("SANDTOP_TEST_FULL").is_some() { 20_000 } else { 1_000 };
    let seed = std::env::var("SANDTOP_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = Random(seed.unwrap_or_else(|| std::process::id().into()));
    println!("seed {}", random.0);
    let session = plain(V1);
    let mut run = Hostile::new(&session, &mut random);
    for n in 0..programs {
        if n % 50 == 0 {
            run = Hostile::new(&session, &mut random);
        }
        let program = random.program();
        let written = run.show(&program, &mut random);
        assert_eq!(strange(&written), None, "program {n}: {:?}", String::from_utf8_lossy(&program));
    }
}

/// A pane, a screen and what is written to it.
struct Hostile<'a> {
    session: &'a Session,
    app: App,
    pane: Pane,
    sink: Sink,
    terminal: Terminal<CrosstermBackend<Sink>>,
    area: Rect,
}

impl<'a> Hostile<'a> {
    fn new(session: &'a Session, random: &mut Random) -> Hostile<'a> {
        let area = Rect::new(0, 0, 60 + random.below(60) as u16, 16 + random.below(20) as u16);
        let sink = Sink::default();
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let terminal = Terminal::with_options(CrosstermBackend::new(sink.clone()), options).expect("a terminal");
        let app = App { alive: true, focus: Focus::Output, typing: Typing::Workload, ..App::default() };
        let (rows, cols) = Regions::new(area, &app, 0).pane_size();
        Hostile { session, app, pane: Pane::with_history(rows, cols), sink, terminal, area }
    }

    /// Has the program print, and draws; what was written.
    fn show(&mut self, program: &[u8], random: &mut Random) -> Vec<u8> {
        let cut = random.below(program.len() + 1);
        self.pane.take(&program[..cut]);
        match random.below(10) {
            0 => self.app.enlarged = !self.app.enlarged,
            1 => self.app.scrolled_back = self.pane.scroll_back(random.below(50)),
            2 => self.pane.next_run(),
            3 => self.pane = self.pane.clone(),
            _ => {}
        }
        let (rows, cols) = Regions::new(self.area, &self.app, 0).pane_size();
        self.pane.resize(rows, cols);
        self.pane.take(&program[cut..]);
        assert!(!self.pane.screen().contents().contains("broke the terminal"), "it panicked");
        let view = View {
            session: self.session,
            app: &self.app,
            pane: &self.pane,
            now: self.session.now + Duration::from_millis(10),
            theme: &Theme::new(random.below(2) == 0),
            words: Language::English,
            own: None,
            replay: None,
        };
        self.terminal.draw(|frame| render(frame, &view)).expect("a frame");
        self.sink.0.take()
    }
}
