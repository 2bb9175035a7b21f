//! What the workload's terminal showed at the end, as text.

use super::{cast, text::visible_lines};
use crate::{
    event::{Event, Stamped},
    tui::pane::Pane,
};

/// The terminal's last screen after the output of one run; `None` where there was none.
pub fn last(events: &[Stamped], run: u32) -> Option<String> {
    let (cols, rows) = cast::size(events); // one that a terminal can have
    let mut pane = Pane::new(rows, cols);
    let mut now = 0;
    for Stamped { event, .. } in events {
        match event {
            Event::Started(started) => now = started.run,
            Event::Resized { rows, cols } => pane.resize(*rows, *cols),
            Event::Output(bytes) if now == run => drop(pane.take(bytes)), // nobody is there to be answered
            _ => {}
        }
    }
    let text = pane.screen().contents();
    let text = visible_lines(text.trim_end());
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_box_is_drawn_as_the_screen_drew_it() {
        let output = |bytes: &[u8]| Stamped { at: Duration::ZERO, event: Event::Output(bytes.to_vec()) };
        let size = Stamped { at: Duration::ZERO, event: Event::Resized { rows: 9, cols: 20 } };
        let events = [
            size,
            output(b"\x1b(0lqqk\r\nx\x1b(B"),
            output(b"qx\x1b"),
            output(b"(0x\r\nmqqj\x1b(B\r\n-\x1b[65535b\x1b[65535b"),
        ];
        let shown = last(&events, 0).expect("a screen");
        assert_eq!(shown.lines().take(3).collect::<Vec<_>>(), ["┌──┐", "│qx│", "└──┘"]);
        // What is repeated is at most a line, however often it is asked for.
        assert!(shown.chars().filter(|c| *c == '-').count() <= 41, "{shown}");
    }
}
