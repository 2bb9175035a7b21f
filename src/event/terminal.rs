//! The sizes that a terminal can have.

/// The most rows and columns that a terminal is believed to have: a size is only a number in a recording, and every cell takes memory.
pub const LARGEST_TERMINAL: (u16, u16) = (500, 1000);

/// A size, in rows and columns, that a terminal can have.
pub fn terminal_size(rows: u16, cols: u16) -> (u16, u16) {
    (rows.clamp(1, LARGEST_TERMINAL.0), cols.clamp(1, LARGEST_TERMINAL.1))
}
