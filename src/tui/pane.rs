//! The workload's terminal as it looks now: a fold of its output. Escape sequences end here; none reaches the user's terminal.

use std::num::NonZeroU16;

/// What a terminal is asked and must answer, collected while output is taken in.
#[derive(Default)]
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
}

impl Pane {
    /// An empty terminal of this size.
    pub fn new(rows: u16, cols: u16) -> Pane {
        Pane { parser: vt100::Parser::new_with_callbacks(at_least_1(rows), at_least_1(cols), 0, Answers::default()) }
    }

    /// Takes in output; what the terminal answers to questions in it is to be typed back.
    pub fn take(&mut self, output: &[u8]) -> Vec<u8> {
        self.parser.process(output);
        std::mem::take(&mut self.parser.callbacks_mut().0)
    }

    /// Changes the size.
    pub fn resize(&mut self, rows: u16, cols: u16) {
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

    proptest! {
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
