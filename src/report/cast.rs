//! What the workload wrote to its terminal, as an asciicast (version 2): for asciinema and its players, with markers where something happened.
//!
//! A recording that does not tell the terminal's size is taken for one of 80×24, or as large as the places that the output itself goes to.

use std::time::Duration;

use super::{
    Source,
    text::{json, visible},
    words,
};
use crate::{
    event::{Event, Stamped, terminal_size},
    result,
    tui::pane::tokens::{Csi, Token, Tokens},
};

/// The smallest terminal, in columns and rows …
const LEAST: (u16, u16) = (80, 24);

/// … and the largest that output is believed to have been written for: programs that ask for the size go to row and column 999.
const MOST: (u16, u16) = (400, 150);

/// The asciicast of all runs that are there. Times are seconds since the first one's main process was let go.
pub fn cast(source: &Source) -> String {
    let Some(origin) = origin(source.events) else { return String::new() };
    let mut lines = vec![header(source)];
    let mut timed: Vec<(Duration, serde_json::Value)> = Vec::new();
    let mut text = Text::default();
    let mut runs = 0;
    for Stamped { at, event } in source.events {
        let at = at.saturating_sub(origin);
        match event {
            Event::Output(bytes) => timed.push((at, serde_json::json!([seconds(at), "o", text.take(bytes)]))),
            Event::Resized { rows, cols } => {
                let (rows, cols) = terminal_size(*rows, *cols);
                timed.push((at, serde_json::json!([seconds(at), "r", format!("{cols}x{rows}")])));
            }
            Event::Started(started) => {
                runs += 1;
                if runs > 1 {
                    // As on the screen: the next run starts on a fresh line of a terminal in its usual modes.
                    timed.push((
                        at,
                        serde_json::json!([seconds(at), "o", "\u{1b}[?1049l\u{1b}[?25h\u{1b}[0m\u{1b}[r\r\n"]),
                    ));
                    timed.push((at, serde_json::json!([seconds(at), "m", format!("run {}", started.run)])));
                }
            }
            _ => {}
        }
    }
    timed.extend(markers(source, origin));
    timed.sort_by_key(|(at, _)| *at); // stable: output stays in its order
    lines.extend(timed.into_iter().map(|(_, line)| json(&line.to_string())));
    lines.join("\n") + "\n"
}

/// When the first run's main process was let go, or where that is not told its sandbox made. A session forgets old runs; the events have them.
fn origin(events: &[Stamped]) -> Option<Duration> {
    let from = events.iter().position(|stamped| matches!(stamped.event, Event::Started(_)))?;
    let of_run = |stamped: &&Stamped| !matches!(stamped.event, Event::Started(_));
    let running = |stamped: &Stamped| matches!(stamped.event, Event::Running { .. }).then_some(stamped.at);
    Some(events[from + 1..].iter().take_while(of_run).find_map(running).unwrap_or(events[from].at))
}

/// Whether there is any output to show.
pub fn has_output(events: &[Stamped]) -> bool {
    events.iter().any(|stamped| matches!(stamped.event, Event::Output(_)))
}

fn seconds(at: Duration) -> f64 {
    at.as_micros() as f64 / 1e6
}

fn header(source: &Source) -> String {
    let (width, height) = size(source.events);
    let first = source.session.runs.first();
    let title = first.map_or(String::new(), words::command);
    let wall = first.map_or(source.header.wall_ms, |run| run.started.wall_ms) / 1000;
    serde_json::json!({
        "version": 2, "width": width, "height": height, "timestamp": wall, "title": title,
        "env": { "TERM": "xterm-256color" },
    })
    .to_string()
}

/// What happened, as markers that a player can jump to.
fn markers(source: &Source, origin: Duration) -> Vec<(Duration, serde_json::Value)> {
    let Some(document) = result::document(source.session) else { return Vec::new() };
    let runs = document.earlier_runs.iter().chain([&document.run]);
    let mut markers = Vec::new();
    for (run, session_run) in runs.zip(&source.session.runs) {
        let from = session_run.origin().saturating_sub(origin).as_secs_f64();
        for event in run.events.iter().filter(|event| event.kind != "started") {
            let at = Duration::try_from_secs_f64(from + event.at_seconds).unwrap_or_default();
            markers.push((at, serde_json::json!([seconds(at), "m", visible(&event.text)])));
        }
    }
    markers
}

/// Output as it is played: a character that is cut between two writes is put together again, and what would do something to the viewer's terminal
/// beside showing it (fill its clipboard, ask it something that it answers as if typed, change its title) is left out.
#[derive(Default)]
struct Text {
    tokens: Tokens,
}

impl Text {
    fn take(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        self.tokens.feed(bytes, |token| match token {
            Token::Text(text) => out.push_str(text),
            Token::Control(byte) => out.push(char::from(byte)),
            Token::Escape(_, b'Z' | b'\\') | Token::Osc(_) => {} // DECID asks who the terminal is; the other is a string's end
            Token::Escape(between, last) => {
                out.push('\u{1b}');
                out.extend(between.iter().chain([&last]).map(|byte| char::from(*byte)));
            }
            Token::Csi(csi) if asks(&csi) => {}
            Token::Csi(Csi { private, numbers, between, last }) => {
                out.push_str("\u{1b}[");
                out.extend(private.map(char::from));
                out.push_str(numbers);
                out.extend(between.map(char::from));
                out.push(char::from(last));
            }
        });
        out
    }
}

/// Whether a terminal answers to it: its state (`n`, `x`), who it is (`c`, `> q`), its window (`t`), a mode (`$ p`), its keyboard (`? u`).
fn asks(csi: &Csi) -> bool {
    matches!(
        (csi.private, csi.between, csi.last),
        (_, None, b'n' | b'c' | b't' | b'x')
            | (_, Some(b'$'), b'p')
            | (Some(b'>'), None, b'q')
            | (Some(b'?'), None, b'u')
    )
}

/// The terminal's first size, in columns and rows; where it is not told, as far as the output shows it: the farthest row and column that it goes to
/// by number.
pub fn size(events: &[Stamped]) -> (u16, u16) {
    let told = events.iter().find_map(|stamped| match stamped.event {
        Event::Resized { rows, cols } => Some(terminal_size(rows, cols)),
        _ => None,
    });
    if let Some((rows, cols)) = told {
        return (cols, rows);
    }
    let (mut width, mut height) = LEAST;
    for Stamped { event, .. } in events {
        let Event::Output(bytes) = event else { continue };
        for sequence in bytes.split(|b| *b == 0x1b).skip(1).filter_map(|rest| rest.strip_prefix(b"[")) {
            let Some(end) = sequence.iter().position(|b| !b.is_ascii_digit() && *b != b';') else { continue };
            let numbers: Vec<u16> = sequence[..end]
                .split(|b| *b == b';')
                .map(|n| std::str::from_utf8(n).ok().and_then(|n| n.parse().ok()).unwrap_or(1))
                .collect();
            let (row, column) = match (sequence[end], numbers.as_slice()) {
                (b'H' | b'f', [row, column]) => (*row, *column),
                (b'H' | b'f' | b'd', [row]) => (*row, 1),
                (b'r', [_, last]) => (*last, 1),
                (b'G' | b'`', [column]) => (1, *column),
                _ => continue,
            };
            width = if column <= MOST.0 { width.max(column) } else { width };
            height = if row <= MOST.1 { height.max(row) } else { height };
        }
    }
    (width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_is_cut_is_put_together_and_what_is_none_is_replaced() {
        let mut text = Text::default();
        assert_eq!(text.take(b"a\xe2\x82"), "a");
        assert_eq!(text.take(b"\xac b\xff\xe2"), "€ b");
        assert_eq!(text.take(b"\x82\xac"), "€");
    }

    #[test]
    fn nothing_but_what_is_seen_is_played() {
        let said = |bytes: &[u8]| Text::default().take(bytes);
        for hostile in [
            &b"\x1b]52;c;cm0gLXJmIH4=\x07"[..],
            b"\x1b]52;c;cm0gLXJmIH4=\x1b\\",
            b"\x1b]0;title\x07",
            b"\x1bP$qm\x1b\\",
            b"\x1b[6n",
            b"\x1b[c",
            b"\x1b[>0c",
            b"\x1b[21t",
            b"\x1b[?2026$p",
            b"\x1b[>q",
            b"\x1bZ",
        ] {
            assert_eq!(said(&[b"a", hostile, b"b"].concat()), "ab", "{hostile:?}");
        }
        let harmless = "\x1b[1;31mred\x1b[0m\x1b[2J\x1b[?25l\x1b(B\x1b7\x1b[3 q\r\n\t";
        assert_eq!(said(harmless.as_bytes()), harmless);
    }

    #[test]
    fn a_size_that_no_terminal_has_is_not_believed() {
        let resized = |rows, cols| Stamped { at: Duration::ZERO, event: Event::Resized { rows, cols } };
        assert_eq!(size(&[resized(u16::MAX, u16::MAX)]), (1000, 500));
        assert_eq!(size(&[resized(0, 0)]), (1, 1));
        let written = Stamped { at: Duration::ZERO, event: Event::Output(b"here".to_vec()) };
        let last = super::super::screen::last(&[resized(u16::MAX, u16::MAX), written], 0);
        assert_eq!(last.as_deref(), Some("here"));
    }

    #[test]
    fn the_terminal_is_as_large_as_its_output_goes() {
        let output = |bytes: &[u8]| Stamped { at: Duration::ZERO, event: Event::Output(bytes.to_vec()) };
        assert_eq!(size(&[output(b"plain")]), (80, 24));
        assert_eq!(size(&[output(b"\x1b[999;999H\x1b[6n"), output(b"\x1b[40;120Hx\x1b[1;42r")]), (120, 42));
    }
}
