//! What a program asks its terminal, and the answers: who asks and is not answered hangs, or waits and goes on without.
//!
//! Silence is kept about colours (nobody knows those of the user's terminal; who asks also asks what it is, and takes that as the answer), about
//! the title (it would be typed), and about what only some terminals can do.

use super::{Pane, tokens::Csi};

impl Pane {
    /// Answers a question; other sequences are none that is known.
    pub(super) fn asked(&mut self, csi: Csi) {
        match (csi.private, csi.between, csi.last, csi.first()) {
            (None, None, b'n', 5) => self.answer("\x1b[0n"),
            (sign @ (None | Some(b'?')), None, b'n', 6) => {
                self.flush();
                let (row, col) = self.emulator.cursor();
                let sign = if sign.is_some() { "?" } else { "" };
                self.answer(format!("\x1b[{sign}{};{}R", row + 1, col + 1));
            }
            (None, None, b'c', 0) => self.answer("\x1b[?62;22c"), // a VT220 with colour
            (Some(b'>'), None, b'c', 0) => self.answer("\x1b[>0;0;0c"),
            (Some(b'='), None, b'c', 0) => self.answer("\x1bP!|00000000\x1b\\"),
            (Some(b'>'), None, b'q', 0) => self.answer(concat!("\x1bP>|sandtop ", env!("CARGO_PKG_VERSION"), "\x1b\\")),
            (None, None, b't', 18) => {
                let (rows, cols) = self.emulator.size();
                self.answer(format!("\x1b[8;{rows};{cols}t"));
            }
            (Some(b'?'), Some(b'$'), b'p', mode) => {
                self.flush();
                let state = self.state_of(mode).map_or(0, |on| if on { 1 } else { 2 });
                self.answer(format!("\x1b[?{mode};{state}$y"));
            }
            (None, Some(b'$'), b'p', mode) => {
                let state = if mode != 4 { 0 } else { 2 - u8::from(self.modes.insert) };
                self.answer(format!("\x1b[{mode};{state}$y"));
            }
            _ => {}
        }
    }

    /// Whether a private mode is on; none where there is no such mode here.
    fn state_of(&self, mode: u16) -> Option<bool> {
        use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mouse};
        let screen = self.screen();
        let mouse = |mode| screen.mouse_protocol_mode() == mode;
        let encoding = |encoding| screen.mouse_protocol_encoding() == encoding;
        Some(match mode {
            1 => screen.application_cursor(),
            7 => true,
            9 => mouse(Mouse::Press),
            25 => !screen.hide_cursor(),
            47 | 1047 | 1049 => screen.alternate_screen(),
            1000 => mouse(Mouse::PressRelease),
            1002 => mouse(Mouse::ButtonMotion),
            1003 => mouse(Mouse::AnyMotion),
            1004 => self.modes.focus_events,
            1005 => encoding(Encoding::Utf8),
            1006 => encoding(Encoding::Sgr),
            2004 => screen.bracketed_paste(),
            _ => return None,
        })
    }

    fn answer(&mut self, text: impl AsRef<str>) {
        self.answers.extend_from_slice(text.as_ref().as_bytes());
    }
}
