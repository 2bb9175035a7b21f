//! How wide the terminal draws characters of ambiguous width: one is drawn, and the terminal is asked where its cursor is then. What is
//! typed meanwhile is kept. A terminal that does not answer is waited for once, and not for long.

use std::{
    fs::File,
    io::{self, IsTerminal, Write, stdin, stdout},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Result};

/// How long an answer is waited for …
const PATIENCE: Duration = Duration::from_millis(150);

/// … and the rest of one that has begun: it would be taken for typing.
const MORE: Duration = Duration::from_millis(50);

/// A black square at the home of the screen. Of the ambiguous characters it is one that terminals treat as such; some make an exception for
/// lines.
const QUESTION: &str = "\x1b[H■\x1b[6n";

const ERASE: &str = "\x1b[H\x1b[2K";

/// What came of it.
pub struct Measured {
    /// Whether the terminal draws such characters in two cells.
    pub wide: bool,
    /// What was typed meanwhile.
    pub typed: Vec<TerminalEvent>,
}

/// Asks the terminal. It has to be in raw mode, with nobody else reading from it.
///
/// # Errors
/// When it is gone.
pub fn ask() -> Result<Measured> {
    let failed = |e: io::Error| Error::sys("ask the terminal for its cursor", e);
    let tty = terminal().map_err(failed)?;
    let say = |text: &str| stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()).map_err(failed);
    say(QUESTION)?;
    let (answer, rest) = listen(&tty).map_err(failed)?;
    say(ERASE)?;
    Ok(Measured { wide: answer.is_some_and(|column| column > 2), typed: keys(&rest) })
}

/// What crossterm reads keys from.
fn terminal() -> io::Result<OwnedFd> {
    match stdin().is_terminal() {
        true => stdin().as_fd().try_clone_to_owned(),
        false => File::open("/dev/tty").map(OwnedFd::from),
    }
}

/// Reads until the cursor was told, or for as long as there is patience: the column, and what else came.
fn listen(tty: &OwnedFd) -> io::Result<(Option<u16>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let (mut until, mut more) = (Instant::now() + PATIENCE, MORE);
    loop {
        if let Some(column) = take_answer(&mut bytes) {
            return Ok((Some(column), bytes));
        }
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(tty.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => continue, // a signal, as for a new size
            Ok(0) if left.is_zero() && (!is_open(&bytes) || more.is_zero()) => return Ok((None, bytes)),
            Ok(0) if left.is_zero() => until += std::mem::take(&mut more),
            Ok(0) => {}
            Ok(_) => {
                let mut buffer = [0; 1024];
                match rustix::io::read(tty, &mut buffer[..])? {
                    0 => return Ok((None, bytes)),
                    n => bytes.extend_from_slice(&buffer[..n]),
                }
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Takes `ESC [ row ; column R` out of what came; the column.
fn take_answer(bytes: &mut Vec<u8>) -> Option<u16> {
    let starts = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\x1b["));
    for start in starts {
        let Some(end) = bytes[start + 2..].iter().position(|b| !b.is_ascii_digit() && *b != b';') else { continue };
        let end = start + 2 + end;
        let said = std::str::from_utf8(&bytes[start + 2..end]).unwrap_or("");
        if let (b'R', Some((_, column))) = (bytes[end], said.split_once(';')) {
            let column = column.parse().unwrap_or(0);
            bytes.drain(start..=end);
            return Some(column);
        }
    }
    None
}

/// Whether the end of what came may be the beginning of an answer.
fn is_open(bytes: &[u8]) -> bool {
    let Some(start) = bytes.iter().rposition(|b| *b == 0x1b) else { return false };
    let rest = &bytes[start + 1..];
    rest.first().is_none_or(|b| *b == b'[') && rest.iter().skip(1).all(|b| b.is_ascii_digit() || *b == b';')
}

/// What was typed, as crossterm would have told it.
fn keys(bytes: &[u8]) -> Vec<TerminalEvent> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        if let Some(pasted) = rest.strip_prefix(b"\x1b[200~") {
            // What is pasted is text, whatever it says; one that has not come whole is nothing.
            let end = pasted.windows(6).position(|bytes| bytes == b"\x1b[201~");
            let Some(end) = end else { break };
            keys.push(TerminalEvent::Paste(String::from_utf8_lossy(&pasted[..end]).into_owned()));
            rest = &pasted[end + 6..];
            continue;
        }
        let (key, left) = match (*first, after) {
            (0x1b, [b'[' | b'O', sequence @ ..]) => sequence_key(sequence),
            (0x1b, _) => (Some(KeyEvent::from(KeyCode::Esc)), after),
            (byte @ ..0x20 | byte @ 0x7f, _) => (Some(control(byte)), after),
            _ => character(rest),
        };
        keys.extend(key.map(TerminalEvent::Key));
        rest = left;
    }
    keys
}

/// The key of what follows `ESC [` or `ESC O`, where it is a common one, and what is left.
fn sequence_key(bytes: &[u8]) -> (Option<KeyEvent>, &[u8]) {
    let end = bytes.iter().position(|b| (0x40..=0x7e).contains(b)).unwrap_or(bytes.len());
    let (parameters, left) = bytes.split_at(end);
    let Some((last, left)) = left.split_first() else { return (None, left) };
    let code = match (parameters, last) {
        (b"", b'A') => KeyCode::Up,
        (b"", b'B') => KeyCode::Down,
        (b"", b'C') => KeyCode::Right,
        (b"", b'D') => KeyCode::Left,
        (b"", b'H') => KeyCode::Home,
        (b"", b'F') => KeyCode::End,
        (b"", b'Z') => KeyCode::BackTab,
        (b"3", b'~') => KeyCode::Delete,
        (b"5", b'~') => KeyCode::PageUp,
        (b"6", b'~') => KeyCode::PageDown,
        _ => return (None, left),
    };
    (Some(KeyEvent::from(code)), left)
}

fn control(byte: u8) -> KeyEvent {
    let with_ctrl = |c: u8| KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL);
    match byte {
        b'\r' => KeyEvent::from(KeyCode::Enter),
        b'\t' => KeyEvent::from(KeyCode::Tab),
        0x7f => KeyEvent::from(KeyCode::Backspace),
        0 => with_ctrl(b' '),
        1..=0x1a => with_ctrl(byte - 1 + b'a'),
        _ => with_ctrl(byte - 0x1c + b'4'), // crossterm's names for Ctrl with \ ] ^ _
    }
}

fn character(bytes: &[u8]) -> (Option<KeyEvent>, &[u8]) {
    let text = bytes.utf8_chunks().next();
    match text.and_then(|chunk| chunk.valid().chars().next()) {
        Some(c) => {
            let shift = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
            (Some(KeyEvent::new(KeyCode::Char(c), shift)), &bytes[c.len_utf8()..])
        }
        None => (None, &bytes[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_among_what_is_typed() {
        for (came, column, left) in [
            (&b"\x1b[1;3R"[..], Some(3), &b""[..]),
            (b"q\x1b[1;2Rx", Some(2), b"qx"),
            (b"\x1b[A\x1b[1;3R", Some(3), b"\x1b[A"),
            (b"\x1b[1;", None, b"\x1b[1;"),
            (b"R;R", None, b"R;R"),
        ] {
            let mut bytes = came.to_vec();
            assert_eq!(take_answer(&mut bytes), column, "{came:?}");
            assert_eq!(bytes, left);
        }
        assert!(is_open(b"x\x1b[1;") && is_open(b"\x1b") && !is_open(b"\x1b[A") && !is_open(b"x") && !is_open(b""));
    }

    #[test]
    fn what_is_typed_meanwhile_is_not_lost() {
        let typed = keys("qK\r\x1b[A\x1b[99;9uü\x03\x1d\x7f\x1b".as_bytes());
        let none = KeyModifiers::NONE;
        let wanted = [
            (KeyCode::Char('q'), none),
            (KeyCode::Char('K'), KeyModifiers::SHIFT),
            (KeyCode::Enter, none),
            (KeyCode::Up, none),
            (KeyCode::Char('ü'), none),
            (KeyCode::Char('c'), KeyModifiers::CONTROL),
            (KeyCode::Char('5'), KeyModifiers::CONTROL),
            (KeyCode::Backspace, none),
            (KeyCode::Esc, none),
        ];
        assert_eq!(typed, wanted.map(|(code, modifiers)| TerminalEvent::Key(KeyEvent::new(code, modifiers))));
        assert_eq!(keys(b"\xff\xffa").len(), 1);
        // What is pasted is no keys.
        let pasted = keys(b"a\x1b[200~K\rq\x1b[201~b");
        assert_eq!(pasted[1], TerminalEvent::Paste("K\rq".into()));
        assert_eq!(pasted.len(), 3);
        assert_eq!(keys(b"\x1b[200~Kq"), [], "it has not come whole");
    }
}
