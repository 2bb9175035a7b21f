//! The crate that keeps the cells, guarded: whatever it does with what it is given, sandtop goes on.

use std::{
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::event::terminal_size;

/// What stands in the pane after the emulator broke.
const BROKEN: &str = "[sandtop: what was printed here broke the terminal's emulator; the pane starts afresh]\r\n";

/// A terminal's cells and modes.
pub struct Emulator {
    parser: vt100::Parser,
    history: usize,
}

/// Only whole sequences go into it, so that a clone goes on as it would itself.
impl Clone for Emulator {
    fn clone(&self) -> Emulator {
        let mut new = Emulator::new(self.size(), self.history);
        *new.parser.screen_mut() = self.parser.screen().clone();
        new
    }
}

impl Emulator {
    /// One of this size, in rows and columns, which keeps so many lines that scroll out of it.
    pub fn new(size: (u16, u16), history: usize) -> Emulator {
        let (rows, cols) = terminal_size(size.0, size.1);
        Emulator { parser: vt100::Parser::new(at_least_1(rows), at_least_1(cols), history), history }
    }

    /// Takes in whole characters and sequences.
    pub fn process(&mut self, output: &[u8]) {
        self.guarded(|parser| parser.process(output));
    }

    /// Changes the size.
    pub fn resize(&mut self, size: (u16, u16)) {
        let (rows, cols) = terminal_size(size.0, size.1);
        self.guarded(|parser| parser.set_size(at_least_1(rows), at_least_1(cols)));
        if self.size() != (rows, cols) {
            *self = Emulator::new((rows, cols), self.history); // it broke, and has started afresh with the old size
            self.parser.process(BROKEN.as_bytes());
        }
    }

    /// Shows what scrolled out so many lines ago, as far as it is kept.
    pub fn scroll_back(&mut self, lines: usize) {
        self.parser.screen_mut().set_scrollback(lines);
    }

    /// What it shows.
    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Its size, in rows and columns.
    pub fn size(&self) -> (u16, u16) {
        let (rows, cols) = self.parser.screen().size();
        (rows.get(), cols.get())
    }

    /// Where the cursor is; past the last column, where the next character goes to the next line, it is on the last one.
    pub fn cursor(&self) -> (u16, u16) {
        let (row, col) = self.parser.screen().cursor_position();
        (row, col.min(self.size().1 - 1))
    }

    /// A panic in there ends here: the broken one is replaced, and the pane says so. None is known, in 0.18; earlier ones had many.
    fn guarded(&mut self, work: impl FnOnce(&mut vt100::Parser)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.parser))).is_err() {
            let (rows, cols) = self.parser.screen().size();
            self.parser = vt100::Parser::new(rows, cols, self.history);
            self.parser.process(BROKEN.as_bytes());
        }
    }
}

fn at_least_1(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_is_told_in_the_pane_and_nothing_else_comes_of_it() {
        let mut emulator = Emulator::new((5, 100), 10);
        emulator.process(b"before");
        emulator.guarded(|_| panic!("as a bug in it would"));
        emulator.process(b"after");
        let shown = emulator.screen().contents();
        assert_eq!(shown, format!("{}\nafter", BROKEN.trim_end()));
    }
}
