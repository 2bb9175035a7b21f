//! Keys as the bytes that a terminal sends for them (xterm's, ctlseqs), for typing to the workload.

mod mouse;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use mouse::mouse;

/// The bytes for a key; empty for one that terminals do not send. `application` is the workload's cursor-key mode (DECCKM).
pub fn key(key: KeyEvent, application: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let arrow = |letter: u8| cursor_key(letter, key.modifiers, application);
    match key.code {
        KeyCode::Char(c) => {
            if alt {
                bytes.push(0x1b);
            }
            match control(c).filter(|_| key.modifiers.contains(KeyModifiers::CONTROL)) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        KeyCode::Enter => bytes.extend(if alt { &b"\x1b\r"[..] } else { b"\r" }),
        KeyCode::Tab => bytes.push(b'\t'),
        KeyCode::BackTab => bytes.extend(b"\x1b[Z"),
        KeyCode::Backspace => bytes.extend(if alt { &b"\x1b\x7f"[..] } else { b"\x7f" }),
        KeyCode::Esc => bytes.push(0x1b),
        KeyCode::Up => bytes = arrow(b'A'),
        KeyCode::Down => bytes = arrow(b'B'),
        KeyCode::Right => bytes = arrow(b'C'),
        KeyCode::Left => bytes = arrow(b'D'),
        KeyCode::Home => bytes = arrow(b'H'),
        KeyCode::End => bytes = arrow(b'F'),
        KeyCode::Insert => bytes = tilde(2, key.modifiers),
        KeyCode::Delete => bytes = tilde(3, key.modifiers),
        KeyCode::PageUp => bytes = tilde(5, key.modifiers),
        KeyCode::PageDown => bytes = tilde(6, key.modifiers),
        KeyCode::F(n @ 1..=4) => bytes = cursor_key(b'P' + n - 1, key.modifiers, true),
        KeyCode::F(n @ 5..=12) => bytes = tilde([15, 17, 18, 19, 20, 21, 23, 24][usize::from(n) - 5], key.modifiers),
        _ => {}
    }
    bytes
}

/// The bytes for pasted text: what of it could be a key or an end of the paste is left out.
pub fn paste(text: &str, bracketed: bool) -> Vec<u8> {
    let text = text.replace("\r\n", "\r").replace('\n', "\r");
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\r' | '\t')).collect();
    match bracketed {
        true => format!("\x1b[200~{text}\x1b[201~").into_bytes(),
        false => text.into_bytes(),
    }
}

/// The bytes for the focus that comes, or goes.
pub fn focus(comes: bool) -> Vec<u8> {
    if comes { b"\x1b[I".to_vec() } else { b"\x1b[O".to_vec() }
}

/// The control character that Ctrl and this key make.
fn control(c: char) -> Option<u8> {
    Some(match c.to_ascii_lowercase() {
        c @ 'a'..='z' => c as u8 & 0x1f,
        ' ' | '@' | '2' => 0,
        '[' | '3' => 0x1b,
        '\\' | '4' => 0x1c,
        ']' | '5' => 0x1d,
        '^' | '6' => 0x1e,
        '_' | '7' | '/' => 0x1f,
        '8' | '?' => 0x7f,
        _ => return None,
    })
}

/// xterm's number for the modifiers: 1 is none.
fn modifier_number(modifiers: KeyModifiers) -> u8 {
    let bit = |m, n| if modifiers.contains(m) { n } else { 0 };
    1 + bit(KeyModifiers::SHIFT, 1) + bit(KeyModifiers::ALT, 2) + bit(KeyModifiers::CONTROL, 4)
}

fn cursor_key(letter: u8, modifiers: KeyModifiers, application: bool) -> Vec<u8> {
    match (modifier_number(modifiers), application) {
        (1, true) => vec![0x1b, b'O', letter],
        (1, false) => vec![0x1b, b'[', letter],
        (n, _) => format!("\x1b[1;{n}{}", letter as char).into_bytes(),
    }
}

fn tilde(number: u8, modifiers: KeyModifiers) -> Vec<u8> {
    match modifier_number(modifiers) {
        1 => format!("\x1b[{number}~").into_bytes(),
        n => format!("\x1b[{number};{n}~").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(code: KeyCode, modifiers: KeyModifiers) -> Vec<u8> {
        key(KeyEvent::new(code, modifiers), false)
    }

    #[test]
    fn keys_are_sent_as_xterm_sends_them() {
        let none = KeyModifiers::NONE;
        assert_eq!(bytes(KeyCode::Char('é'), none), "é".as_bytes());
        assert_eq!(bytes(KeyCode::Char('c'), KeyModifiers::CONTROL), [3]);
        assert_eq!(bytes(KeyCode::Char('x'), KeyModifiers::ALT), b"\x1bx");
        assert_eq!(bytes(KeyCode::Enter, none), b"\r");
        assert_eq!(bytes(KeyCode::Up, none), b"\x1b[A");
        assert_eq!(bytes(KeyCode::Up, KeyModifiers::CONTROL), b"\x1b[1;5A");
        assert_eq!(key(KeyEvent::new(KeyCode::Up, none), true), b"\x1bOA");
        assert_eq!(bytes(KeyCode::F(5), none), b"\x1b[15~");
        assert_eq!(bytes(KeyCode::F(1), none), b"\x1bOP");
        assert_eq!(bytes(KeyCode::F(1), KeyModifiers::SHIFT), b"\x1b[1;2P");
        assert_eq!(bytes(KeyCode::Delete, none), b"\x1b[3~");
    }

    #[test]
    fn a_paste_is_text_and_cannot_end_itself() {
        assert_eq!(paste("a\r\nb\nc\td", false), b"a\rb\rc\td");
        assert_eq!(paste("a\x1b[201~\x03\u{9b}é", true), "\x1b[200~a[201~é\x1b[201~".as_bytes());
    }
}
