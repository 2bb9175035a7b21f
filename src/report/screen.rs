//! What the workload's terminal showed at the end, as text.

use std::num::NonZeroU16;

use super::{cast, text::visible_lines};
use crate::event::{Event, Stamped, terminal_size};

/// The terminal's last screen after the output of one run; `None` where there was none.
pub fn last(events: &[Stamped], run: u32) -> Option<String> {
    let (cols, rows) = cast::size(events); // one that a terminal can have
    let at_least_1 = |n| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
    let mut parser = vt100::Parser::new(at_least_1(rows), at_least_1(cols), 0);
    let mut now = 0;
    for Stamped { event, .. } in events {
        match event {
            Event::Started(started) => now = started.run,
            Event::Resized { rows, cols } => {
                let (rows, cols) = terminal_size(*rows, *cols);
                parser.set_size(at_least_1(rows), at_least_1(cols));
            }
            Event::Output(bytes) if now == run => parser.process(bytes),
            _ => {}
        }
    }
    let text = parser.screen().contents();
    let text = visible_lines(text.trim_end());
    (!text.trim().is_empty()).then_some(text)
}
