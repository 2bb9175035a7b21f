//! The mouse as the bytes that a terminal sends for it (xterm's, ctlseqs), for a program in the pane that asked for them.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};
use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mode};

/// The bytes for an event over the pane `body`; `None` where it is elsewhere, or the program does not want to know.
pub fn mouse(event: MouseEvent, body: Rect, (mode, encoding): (Mode, Encoding)) -> Option<Vec<u8>> {
    if !body.contains(Position::new(event.column, event.row)) {
        return None;
    }
    let button = |button: MouseButton| match button {
        MouseButton::Left => 0,
        MouseButton::Middle => 1,
        MouseButton::Right => 2,
    };
    let (code, released) = match event.kind {
        MouseEventKind::Down(of) if mode != Mode::None => (button(of), false),
        MouseEventKind::Up(of) if !matches!(mode, Mode::None | Mode::Press) => (button(of), true),
        MouseEventKind::Drag(of) if matches!(mode, Mode::ButtonMotion | Mode::AnyMotion) => (button(of) + 32, false),
        MouseEventKind::ScrollUp if mode != Mode::None => (64, false),
        MouseEventKind::ScrollDown if mode != Mode::None => (65, false),
        _ => return None,
    };
    let held = |modifier, bit| if event.modifiers.contains(modifier) { bit } else { 0 };
    let code: u16 = code + held(KeyModifiers::SHIFT, 4) + held(KeyModifiers::ALT, 8) + held(KeyModifiers::CONTROL, 16);
    let (x, y) = (event.column - body.x + 1, event.row - body.y + 1);
    // The old form says which button only when it goes down, and ends at column and row 223.
    let old = |n: u16| u8::try_from(n + 32).ok();
    // Of the form between the two: as characters.
    let utf8 = |n: u16| char::from_u32(u32::from(n) + 32).filter(|_| n <= 2015);
    match encoding {
        Encoding::Utf8 => {
            let code = utf8(if released { code | 3 } else { code })?;
            Some(format!("\x1b[M{code}{}{}", utf8(x)?, utf8(y)?).into_bytes())
        }
        Encoding::Sgr => Some(format!("\x1b[<{code};{x};{y}{}", if released { 'm' } else { 'M' }).into_bytes()),
        _ => Some(vec![0x1b, b'[', b'M', old(if released { code | 3 } else { code })?, old(x)?, old(y)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kind: MouseEventKind, column: u16, mode: Mode, encoding: Encoding) -> Option<Vec<u8>> {
        let event = MouseEvent { kind, column, row: 21, modifiers: KeyModifiers::NONE };
        mouse(event, Rect::new(0, 20, 250, 10), (mode, encoding))
    }

    #[test]
    fn the_mouse_is_sent_as_the_program_asked_for_it() {
        let down = MouseEventKind::Down(MouseButton::Left);
        assert_eq!(sent(down, 4, Mode::None, Encoding::Sgr), None);
        assert_eq!(sent(down, 4, Mode::PressRelease, Encoding::Sgr).unwrap(), b"\x1b[<0;5;2M");
        let up = MouseEventKind::Up(MouseButton::Left);
        assert_eq!(sent(up, 4, Mode::PressRelease, Encoding::Sgr).unwrap(), b"\x1b[<0;5;2m");
        assert_eq!(sent(up, 4, Mode::Press, Encoding::Sgr), None);
        assert_eq!(sent(up, 4, Mode::PressRelease, Encoding::Default).unwrap(), b"\x1b[M#%\"");
        assert_eq!(sent(down, 240, Mode::PressRelease, Encoding::Default), None, "too far for the old form");
        assert_eq!(sent(down, 240, Mode::Press, Encoding::Utf8).unwrap(), "\x1b[M \u{111}\"".as_bytes());
        let drag = MouseEventKind::Drag(MouseButton::Right);
        assert_eq!(sent(drag, 0, Mode::ButtonMotion, Encoding::Sgr).unwrap(), b"\x1b[<34;1;2M");
        assert_eq!(sent(MouseEventKind::ScrollDown, 0, Mode::Press, Encoding::Sgr).unwrap(), b"\x1b[<65;1;2M");
        assert_eq!(sent(down, 250, Mode::PressRelease, Encoding::Sgr), None, "beside the pane");
    }
}
