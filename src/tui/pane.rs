//! The workload's terminal as it looks now: a fold of its output. Escape sequences end here; none reaches the user's terminal.
//!
//! Output is taken apart into whole sequences (`tokens`). Those that are known go on to the emulator that keeps the cells, some of them in words
//! that it knows; questions are answered; the rest is dropped.

mod charset;
mod emulator;
mod environment;
mod report;
pub(crate) mod tokens;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use charset::Charsets;
use emulator::Emulator;
pub use environment::environment;
use tokens::{Csi, Token, Tokens};

use crate::text::visible;

/// How many lines that scrolled out of the live terminal are kept.
pub const SCROLLBACK: usize = 2000;

/// The most characters of a title that are kept.
const LONGEST_TITLE: usize = 200;

/// What goes to the emulator at once, in bytes, about.
const PIECE: usize = 16 * 1024;

/// The workload's terminal.
#[derive(Clone)]
pub struct Pane {
    emulator: Emulator,
    tokens: Tokens,
    modes: Modes,
    /// What is on its way to the emulator.
    clean: Vec<u8>,
    /// What is to be typed back.
    answers: Vec<u8>,
}

/// What the emulator does not keep.
#[derive(Clone, Debug, Default)]
struct Modes {
    charsets: Charsets,
    /// As they were when the cursor was saved.
    saved: Charsets,
    /// What is printed moves what stands there to the right.
    insert: bool,
    focus_events: bool,
    title: Option<String>,
}

impl Pane {
    /// An empty terminal of this size, as far as a terminal can have it.
    pub fn new(rows: u16, cols: u16) -> Pane {
        Pane::with(rows, cols, 0)
    }

    /// The same, which keeps what scrolls out of it.
    pub fn with_history(rows: u16, cols: u16) -> Pane {
        Pane::with(rows, cols, SCROLLBACK)
    }

    fn with(rows: u16, cols: u16, history: usize) -> Pane {
        Pane {
            emulator: Emulator::new((rows, cols), history),
            tokens: Tokens::default(),
            modes: Modes::default(),
            clean: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Takes in output; what the terminal answers to questions in it is to be typed back.
    pub fn take(&mut self, output: &[u8]) -> Vec<u8> {
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.feed(output, |token| self.heed(token));
        self.tokens = tokens;
        self.flush();
        std::mem::take(&mut self.answers)
    }

    /// Shows what scrolled out so many lines ago, as far as it is kept; how many those are.
    pub fn scroll_back(&mut self, lines: usize) -> usize {
        self.emulator.scroll_back(lines);
        self.scrolled_back()
    }

    /// How many lines ago what it shows scrolled out: more with each that follows, so that the place stays.
    pub fn scrolled_back(&self) -> usize {
        self.emulator.screen().scrollback()
    }

    /// How much memory it takes, in bytes, roughly: a terminal has a second screen.
    pub fn memory(&self) -> usize {
        let (rows, cols) = self.emulator.size();
        2 * usize::from(rows) * usize::from(cols) * size_of::<vt100::Cell>()
    }

    /// Changes the size.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.emulator.resize((rows, cols));
    }

    /// What it shows.
    pub fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    /// The title that the program gave its window, in one visible line.
    pub fn title(&self) -> Option<&str> {
        self.modes.title.as_deref()
    }

    /// Which of the mouse's doings the program wants to know, and how they are written.
    pub fn mouse_mode(&self) -> (vt100::MouseProtocolMode, vt100::MouseProtocolEncoding) {
        (self.screen().mouse_protocol_mode(), self.screen().mouse_protocol_encoding())
    }

    /// Whether the program wants to know when its terminal gets the focus, and loses it.
    pub fn wants_focus_events(&self) -> bool {
        self.modes.focus_events
    }

    /// Starts a fresh line for the next run, so that its output follows that of the last.
    pub fn next_run(&mut self) {
        (self.tokens, self.modes) = (Tokens::default(), Modes::default());
        // Leaves the alternate screen, shows the cursor, resets colours and modes, and goes to a new line if the line has text.
        self.emulator.process(b"\x1b[?1049l\x1b[?25h\x1b[?1l\x1b[?6l\x1b[?2004l\x1b>\x1b[0m\x1b[r");
        self.emulator.process(b"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l");
        let rows = self.emulator.size().0;
        let last = (0..rows).rev().find(|row| !self.row_is_empty(*row));
        let below = last.map_or(1, |row| row + 2);
        self.emulator.process(format!("\x1b[{};1H", below.min(rows)).as_bytes());
        if below > rows {
            self.emulator.process(b"\n");
        }
    }

    fn row_is_empty(&self, row: u16) -> bool {
        let cols = self.emulator.size().1;
        (0..cols).all(|col| self.screen().cell(row, col).is_none_or(|cell| !cell.has_contents()))
    }

    /// Has the emulator take in what is on its way.
    fn flush(&mut self) {
        let clean = std::mem::take(&mut self.clean);
        self.emulator.process(&clean);
        self.clean = clean;
        self.clean.clear();
    }

    fn heed(&mut self, token: Token) {
        match token {
            Token::Text(text) => self.print(text),
            Token::Control(byte @ (8..=10 | 13)) => self.clean.push(byte),
            Token::Control(11 | 12) => self.clean.push(b'\n'),
            Token::Control(byte @ (14 | 15)) => self.modes.charsets.shift(byte == 14),
            Token::Control(_) => {}
            Token::Escape(between, last) => self.escape(between, last),
            Token::Csi(csi) => self.csi(csi),
            Token::Osc(text) => self.osc(text),
        }
        if self.clean.len() >= PIECE {
            self.flush();
        }
    }

    fn print(&mut self, text: &str) {
        if !self.modes.insert && !self.modes.charsets.draws() {
            return self.clean.extend_from_slice(text.as_bytes());
        }
        let charsets = self.modes.charsets;
        for c in text.chars().map(|c| charsets.meant(c)) {
            let width = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            if self.modes.insert && width > 0 {
                self.put(format!("\x1b[{width}@"));
            }
            self.put(c.to_string());
        }
    }

    fn escape(&mut self, between: &[u8], last: u8) {
        match (between, last) {
            (b"", b'7') => {
                self.modes.saved = self.modes.charsets;
                self.put("\x1b7");
            }
            (b"", b'8') => {
                self.modes.charsets = self.modes.saved;
                self.put("\x1b8");
            }
            (b"", b'=' | b'>' | b'M') => self.clean.extend([0x1b, last]),
            (b"", b'D') => self.put("\n"),
            (b"", b'E') => self.put("\r\n"),
            (b"", b'c') => {
                self.modes = Modes::default();
                self.put("\x1bc");
            }
            (between, last) => self.modes.charsets.designate(between, last),
        }
    }

    fn csi(&mut self, csi: Csi) {
        let n = csi.first().max(1);
        match (csi.private, csi.between, csi.last) {
            (None, None, b'@'..=b'H' | b'J'..=b'M' | b'P' | b'S' | b'X' | b'`' | b'd' | b'f' | b'r') => self.pass(&csi),
            (None, None, b'm') => {
                if let Some(numbers) = tokens::known_styles(csi.numbers) {
                    self.put(format!("\x1b[{numbers}m"));
                }
            }
            (None, None, b'T') if !csi.numbers.contains(';') => self.pass(&csi), // with more it is about the mouse
            (Some(b'?'), None, b'J' | b'K') => self.pass(&csi),
            (None, Some(b' '), b'q') => self.pass(&csi),
            // More than a line is nothing that a program draws, and 65535 of them take long.
            (None, None, b'b') => self.put(format!("\x1b[{}b", n.min(self.emulator.size().1))),
            (None, None, b'a') => self.put(format!("\x1b[{n}C")),
            (None, None, b'e') => self.put(format!("\x1b[{n}B")),
            (None, None, b's') if csi.numbers.is_empty() => self.escape(b"", b'7'),
            (None, None, b'u') if csi.numbers.is_empty() => self.escape(b"", b'8'),
            (None, None, b'I') => self.put("\t".repeat(usize::from(n.min(self.emulator.size().1 / 8 + 1)))),
            (None, None, b'Z') => self.tab_back(n),
            (None, None, b'h' | b'l') => {
                self.modes.insert = if csi.each().any(|n| n == 4) { csi.last == b'h' } else { self.modes.insert };
            }
            (Some(b'?'), None, b'h' | b'l') => csi.each().for_each(|mode| self.set(mode, csi.last)),
            (None, Some(b'!'), b'p') => self.soft_reset(),
            _ => self.asked(csi),
        }
    }

    /// To the tab stop before.
    fn tab_back(&mut self, n: u16) {
        self.flush();
        let col = self.emulator.cursor().1;
        let to = (col.div_ceil(8).saturating_sub(n)) * 8;
        self.put(format!("\x1b[{}G", to + 1));
    }

    /// A private mode on (`h`) or off (`l`).
    fn set(&mut self, mode: u16, last: u8) {
        let letter = last as char;
        match mode {
            1 | 6 | 9 | 25 | 47 | 1000 | 1002 | 1003 | 1005 | 1006 | 1049 | 2004 => {
                self.put(format!("\x1b[?{mode}{letter}"));
            }
            1047 => self.put(format!("\x1b[?47{letter}")),
            1048 => self.escape(b"", if last == b'h' { b'7' } else { b'8' }),
            1004 => self.modes.focus_events = last == b'h',
            _ => {}
        }
    }

    /// DECSTR: all modes as at the start; cells and cursor stay.
    fn soft_reset(&mut self) {
        self.flush();
        let (row, col) = self.emulator.cursor();
        let Modes { title, focus_events, .. } = std::mem::take(&mut self.modes);
        self.modes = Modes { title, focus_events, ..Modes::default() };
        self.put(format!("\x1b[?25h\x1b[?1l\x1b[?6l\x1b>\x1b[0m\x1b[r\x1b[{};{}H", row + 1, col + 1));
    }

    fn osc(&mut self, text: &[u8]) {
        if let Some(title) = text.strip_prefix(b"0;").or_else(|| text.strip_prefix(b"2;")) {
            let title: String = String::from_utf8_lossy(title).trim().chars().take(LONGEST_TITLE).collect();
            self.modes.title = Some(visible(&title)).filter(|title| !title.is_empty());
        }
    }

    /// Hands a sequence on as it is.
    fn pass(&mut self, csi: &Csi) {
        let sign = |byte: Option<u8>| byte.map(|b| (b as char).to_string()).unwrap_or_default();
        self.put(format!("\x1b[{}{}{}{}", sign(csi.private), csi.numbers, sign(csi.between), csi.last as char));
    }

    fn put(&mut self, clean: impl AsRef<str>) {
        self.clean.extend_from_slice(clean.as_ref().as_bytes());
    }
}
