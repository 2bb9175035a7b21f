//! The workload's terminal as it looks now: a fold of its output. Escape sequences end here; none reaches the user's terminal.

use std::num::NonZeroU16;

use crate::event::terminal_size;

/// How many lines that scrolled out of the live terminal are kept.
pub const SCROLLBACK: usize = 2000;

/// What a terminal is asked and must answer, collected while output is taken in.
#[derive(Clone, Default)]
struct Answers(Vec<u8>);

impl vt100::Callbacks for Answers {
    fn unhandled_csi(&mut self, screen: &mut vt100::Screen, i1: Option<u8>, _: Option<u8>, params: &[&[u16]], c: char) {
        let first = params.first().and_then(|p| p.first()).copied().unwrap_or(0);
        match (i1, c, first) {
            (None, 'n', 5) => self.0.extend(b"\x1b[0n"),
            (None, 'n', 6) => {
                let (row, col) = screen.cursor_position();
                self.0.extend(format!("\x1b[{};{}R", row + 1, col + 1).into_bytes());
            }
            (None, 'c', 0) => self.0.extend(b"\x1b[?62;22c"), // a VT220 with colour
            (Some(b'>'), 'c', 0) => self.0.extend(b"\x1b[>0;0;0c"),
            _ => {}
        }
    }
}

/// The workload's terminal.
pub struct Pane {
    parser: vt100::Parser<Answers>,
    place: Place,
}

/// Where in the stream of output its end so far is, as far as it matters to whoever takes the rest in afresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between characters and sequences.
    #[default]
    Between,
    /// Inside a character of several bytes, of which so many are to come.
    Character(u8),
    /// After an escape.
    Escape,
    /// Inside `ESC [ …`.
    Control,
    /// Inside a title or the like, which ends with ST or BEL.
    Text,
    /// Inside another string, which ends with ST alone.
    Device,
    /// After an escape in such a string.
    TextEscape,
}

impl Place {
    fn after(self, byte: u8) -> Place {
        match (self, byte) {
            (Place::Escape, b'[') => Place::Control,
            (Place::Escape, b']') => Place::Text,
            (Place::Escape, b'P' | b'X' | b'^' | b'_') => Place::Device,
            (Place::Escape, 0x20..=0x2f) => Place::Escape, // an intermediate byte
            (Place::Text | Place::Device, 0x1b) => Place::TextEscape,
            (_, 0x18 | 0x1a) => Place::Between, // cancelled
            (_, 0x1b) => Place::Escape,
            (Place::Text, 0x07) => Place::Between,
            (Place::TextEscape, b'\\') => Place::Between,
            (Place::Text, _) => Place::Text,
            (Place::Device, _) => Place::Device,
            (Place::TextEscape, byte) => Place::Escape.after(byte), // a BEL after it ends nothing
            (Place::Control, 0x40..=0x7e) => Place::Between,
            (Place::Control, _) => Place::Control,
            (Place::Escape, 0x30..=0x7e) => Place::Between,
            (Place::Escape, _) => Place::Escape,
            (Place::Character(left @ 2..), 0x80..=0xbf) => Place::Character(left - 1),
            (_, 0xc2..=0xdf) => Place::Character(1),
            (_, 0xe0..=0xef) => Place::Character(2),
            (_, 0xf0..=0xf4) => Place::Character(3),
            _ => Place::Between,
        }
    }
}

/// A clone shows the same. What it does with the rest of a sequence that was begun is another matter: see [`Pane::is_between_sequences`].
impl Clone for Pane {
    fn clone(&self) -> Pane {
        let (rows, cols) = self.parser.screen().size();
        let mut new = Pane::new(rows.get(), cols.get());
        *new.parser.screen_mut() = self.parser.screen().clone();
        new
    }
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
        let (rows, cols) = terminal_size(rows, cols);
        Pane {
            parser: vt100::Parser::new_with_callbacks(at_least_1(rows), at_least_1(cols), history, Answers::default()),
            place: Place::Between,
        }
    }

    /// Shows what scrolled out so many lines ago, as far as it is kept; how many those are.
    pub fn scroll_back(&mut self, lines: usize) -> usize {
        let screen = self.parser.screen_mut();
        screen.set_scrollback(lines);
        screen.scrollback()
    }

    /// Takes in output; what the terminal answers to questions in it is to be typed back.
    pub fn take(&mut self, output: &[u8]) -> Vec<u8> {
        self.parser.process(output);
        self.place = output.iter().fold(self.place, |place, byte| place.after(*byte));
        std::mem::take(&mut self.parser.callbacks_mut().0)
    }

    /// Whether the output so far ends neither inside a character nor inside an escape sequence.
    pub fn is_between_sequences(&self) -> bool {
        self.place == Place::Between
    }

    /// How much memory it takes, in bytes, roughly: a terminal has a second screen.
    pub fn memory(&self) -> usize {
        let (rows, cols) = self.parser.screen().size();
        2 * usize::from(rows.get()) * usize::from(cols.get()) * size_of::<vt100::Cell>()
    }

    /// Changes the size.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        let (rows, cols) = terminal_size(rows, cols);
        self.parser.set_size(at_least_1(rows), at_least_1(cols));
    }

    /// What it shows.
    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Starts a fresh line for the next run, so that its output follows that of the last.
    pub fn next_run(&mut self) {
        // Leaves the alternate screen, shows the cursor, resets colours and modes, and goes to a new line if the line has text.
        self.parser.process(b"\x1b[?1049l\x1b[?25h\x1b[?1l\x1b[?2004l\x1b[0m\x1b[r");
        let (rows, _) = self.parser.screen().size();
        let last = (0..rows.get()).rev().find(|row| !self.row_is_empty(*row));
        let below = last.map_or(1, |row| row + 2);
        self.parser.process(format!("\x1b[{};1H", below.min(rows.get())).as_bytes());
        if below > rows.get() {
            self.parser.process(b"\n");
        }
    }

    fn row_is_empty(&self, row: u16) -> bool {
        let cols = self.parser.screen().size().1.get();
        (0..cols).all(|col| self.parser.screen().cell(row, col).is_none_or(|cell| !cell.has_contents()))
    }
}

fn at_least_1(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn questions_are_answered() {
        let mut pane = Pane::new(5, 20);
        assert_eq!(pane.take(b"ab\x1b[6n"), b"\x1b[1;3R");
        assert_eq!(pane.take(b"\x1b[c"), b"\x1b[?62;22c");
        assert_eq!(pane.take(b"plain"), b"");
    }

    #[test]
    fn the_next_run_starts_below_what_the_last_one_left() {
        let mut pane = Pane::new(4, 20);
        pane.take(b"one\r\ntwo");
        pane.next_run();
        pane.take(b"three");
        assert_eq!(pane.screen().contents(), "one\ntwo\nthree");
        pane.take(b"\r\nfour");
        pane.next_run();
        pane.take(b"five");
        assert_eq!(pane.screen().contents(), "two\nthree\nfour\nfive");
    }

    #[test]
    fn a_size_that_no_terminal_has_takes_no_memory() {
        let mut pane = Pane::new(u16::MAX, u16::MAX);
        pane.resize(u16::MAX, u16::MAX);
        pane.take(b"still \x1b[999;999Hhere");
        assert_eq!(pane.screen().size(), (at_least_1(500), at_least_1(1000)));
    }

    proptest! {
        #[test]
        fn a_clone_goes_on_as_the_original_where_it_may(parts in proptest::collection::vec(prop_oneof![
            Just(b"plain".to_vec()), Just(b"\x1b[31mred\x1b[0".to_vec()), Just(b"m".to_vec()), Just(b"\x1b]0;title".to_vec()),
            Just(b"\x07".to_vec()), Just(b"\x1bPq".to_vec()), Just(b"\x1b\\".to_vec()), Just("\u{e9}\u{4e16}".as_bytes().to_vec()), Just(vec![0xe4, 0xb8]), Just(vec![0x96]),
            Just(b"\x1b[?1049h\x1b[2;3r".to_vec()), Just(b"\x1b[3;5H".to_vec()), Just(b"\r\n".to_vec()), Just(b"\x1b".to_vec()), Just(b"(B".to_vec()),
        ], 1..30)) {
            let mut pane = Pane::new(6, 20);
            let mut other: Option<Pane> = None;
            for part in &parts {
                pane.take(part);
                match &mut other {
                    Some(other) => drop(other.take(part)),
                    None if pane.is_between_sequences() => other = Some(pane.clone()),
                    None => {}
                }
            }
            if let Some(other) = other {
                prop_assert_eq!(other.screen().state_formatted(), pane.screen().state_formatted());
            }
        }

        #[test]
        fn no_output_and_no_size_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in 0u16..4, cols in 0u16..4) {
            let mut pane = Pane::new(rows, cols);
            pane.take(&bytes);
            pane.resize(cols, rows);
            pane.take(&bytes);
            pane.next_run();
        }
    }
}
