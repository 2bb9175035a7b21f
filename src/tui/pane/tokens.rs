//! Output of a program, taken apart: text, control characters and whole escape sequences. What was begun is kept until the rest comes. Pure.

/// The most that is kept of `ESC [ …`; a longer one is nothing that a program means.
const LONGEST_CONTROL: usize = 256;

/// The most that is kept of `ESC ] …`.
const LONGEST_TEXT: usize = 4096;

/// A whole piece of output.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Characters that are printed.
    Text(&'a str),
    /// A control character.
    Control(u8),
    /// `ESC`, bytes between, and the last one.
    Escape(&'a [u8], u8),
    /// `ESC [ …`.
    Csi(Csi<'a>),
    /// `ESC ] …`, without its end.
    Osc(&'a [u8]),
}

/// `ESC [`, perhaps a private sign, numbers, perhaps another byte, and the letter that says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Csi<'a> {
    /// `?`, `>`, `=` or `<`.
    pub private: Option<u8>,
    /// The numbers, as they were written.
    pub numbers: &'a str,
    /// A byte before the last.
    pub between: Option<u8>,
    /// The last byte.
    pub last: u8,
}

impl<'a> Csi<'a> {
    /// The sequence after `ESC [`; none where it is not well formed.
    fn new(body: &'a [u8], last: u8) -> Option<Csi<'a>> {
        let text = str::from_utf8(body).ok()?;
        let private = body.first().copied().filter(|b| (b'<'..=b'?').contains(b));
        let rest = &text[usize::from(private.is_some())..];
        let (numbers, between) = match rest.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':')) {
            None => (rest, None),
            Some(at) => match rest.as_bytes()[at..] {
                [b @ 0x20..=0x2f] => (&rest[..at], Some(b)),
                _ => return None,
            },
        };
        Some(Csi { private, numbers, between, last })
    }

    /// The numbers that stand for themselves; what is missing is 0.
    pub fn each(&self) -> impl Iterator<Item = u16> + use<'a> {
        let number = |text: &str| match text.is_empty() {
            true => 0,
            false => text.split(':').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(u32::MAX).min(65535) as u16,
        };
        self.numbers.split(';').map(number)
    }

    /// The first number.
    pub fn first(&self) -> u16 {
        self.each().next().unwrap_or(0)
    }
}

/// The numbers of a style without those of the colour of underlines (`58;5;N`, `58;2;R;G;B`), which would be taken for styles of their own.
pub fn known_styles(numbers: &str) -> Option<String> {
    let mut all = numbers.split(';');
    let mut known = Vec::new();
    while let Some(number) = all.next() {
        match number {
            "58" => match all.next() {
                Some("5") => drop(all.next()),
                Some("2") => drop(all.nth(2)),
                _ => {}
            },
            number if number.starts_with("58:") => {}
            number => known.push(number),
        }
    }
    // With none it would be a reset.
    (numbers.is_empty() || !known.is_empty()).then(|| known.join(";"))
}

/// Takes output apart.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    state: State,
    /// The sequence, or the character, as far as it has come.
    kept: Vec<u8>,
}

/// What the output so far ends in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing: what comes next begins something.
    #[default]
    Ground,
    /// A character of several bytes.
    Character,
    /// `ESC`.
    Escape,
    /// `ESC [`.
    Control,
    /// `ESC ]`.
    Text,
    /// Another string, of which nothing is kept.
    Device,
}

impl Tokens {
    /// Takes in output, and hands on what is whole.
    pub fn feed(&mut self, mut output: &[u8], mut to: impl FnMut(Token)) {
        while let Some(&byte) = output.first() {
            let used = match self.state {
                State::Ground => self.ground(output, &mut to),
                State::Character => self.character(byte, &mut to),
                State::Device => self.device(output),
                State::Escape | State::Control | State::Text => self.within(byte, &mut to),
            };
            output = &output[used..];
        }
    }

    /// Text up to the next control character, or one such; how much was used.
    fn ground(&mut self, output: &[u8], to: &mut impl FnMut(Token)) -> usize {
        match output[0] {
            0x1b => self.begin(State::Escape),
            byte @ (..0x20 | 0x7f) => to(Token::Control(byte)),
            _ => {
                let end = output.iter().position(|b| *b < 0x20 || *b == 0x7f);
                self.text(&output[..end.unwrap_or(output.len())], end.is_none(), to);
                return end.unwrap_or(output.len());
            }
        }
        1
    }

    /// The characters in it; what is none is left out, unless the rest may be still to come.
    fn text(&mut self, mut run: &[u8], open: bool, to: &mut impl FnMut(Token)) {
        while !run.is_empty() {
            let (valid, skip) = match str::from_utf8(run) {
                Ok(text) => return to(Token::Text(text)),
                Err(e) => (e.valid_up_to(), e.error_len()),
            };
            if let Some(text) = str::from_utf8(&run[..valid]).ok().filter(|text| !text.is_empty()) {
                to(Token::Text(text));
            }
            match skip {
                Some(bytes) => run = &run[valid + bytes..],
                None if open => {
                    self.begin(State::Character);
                    self.kept.extend_from_slice(&run[valid..]);
                    return;
                }
                None => return,
            }
        }
    }

    fn character(&mut self, byte: u8, to: &mut impl FnMut(Token)) -> usize {
        self.kept.push(byte);
        match str::from_utf8(&self.kept) {
            Ok(text) => to(Token::Text(text)),
            Err(e) if e.error_len().is_none() => return 1,
            Err(_) => {
                self.state = State::Ground;
                return 0; // it begins something else
            }
        }
        self.state = State::Ground;
        1
    }

    fn device(&mut self, output: &[u8]) -> usize {
        let end = output.iter().position(|b| matches!(b, 0x18 | 0x1a | 0x1b));
        match end.map(|at| output[at]) {
            Some(0x1b) => self.begin(State::Escape),
            Some(_) => self.state = State::Ground,
            None => {}
        }
        end.map_or(output.len(), |at| at + 1)
    }

    fn within(&mut self, byte: u8, to: &mut impl FnMut(Token)) -> usize {
        match (self.state, byte) {
            (_, 0x18 | 0x1a) => self.state = State::Ground, // cancelled
            (State::Text, 0x07 | 0x1b) => {
                if self.kept.len() < LONGEST_TEXT {
                    to(Token::Osc(&self.kept));
                }
                self.state = State::Ground;
                if byte == 0x1b {
                    self.begin(State::Escape);
                }
            }
            (_, 0x1b) => self.begin(State::Escape),
            (State::Text, 0x20..) => self.keep(byte, LONGEST_TEXT),
            (State::Text, _) => {}
            (_, ..0x20) => to(Token::Control(byte)), // as if it had come before
            (State::Escape, _) => return self.escape(byte, to),
            (_, 0x40..=0x7e) => {
                if let Some(csi) = Csi::new(&self.kept, byte).filter(|_| self.kept.len() < LONGEST_CONTROL) {
                    to(Token::Csi(csi));
                }
                self.state = State::Ground;
            }
            (_, 0x20..=0x3f) => self.keep(byte, LONGEST_CONTROL),
            _ => {}
        }
        1
    }

    fn escape(&mut self, byte: u8, to: &mut impl FnMut(Token)) -> usize {
        match byte {
            b'[' if self.kept.is_empty() => self.begin(State::Control),
            b']' if self.kept.is_empty() => self.begin(State::Text),
            b'P' | b'X' | b'^' | b'_' if self.kept.is_empty() => self.begin(State::Device),
            0x20..=0x2f => self.keep(byte, LONGEST_CONTROL),
            0x30..=0x7e => {
                to(Token::Escape(&self.kept, byte));
                self.state = State::Ground;
            }
            0x7f => {}
            _ => {
                self.state = State::Ground;
                return 0; // a character
            }
        }
        1
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.kept.clear();
    }

    fn keep(&mut self, byte: u8, most: usize) {
        if self.kept.len() < most {
            self.kept.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(parts: &[&[u8]]) -> Vec<String> {
        let mut tokens = Tokens::default();
        let mut all: Vec<String> = Vec::new();
        for part in parts {
            tokens.feed(part, |token| match (token, all.last_mut()) {
                // Where text was cut says nothing.
                (Token::Text(text), Some(last)) if last.starts_with('"') => last.insert_str(last.len() - 1, text),
                (Token::Text(text), _) => all.push(format!("\"{text}\"")),
                (token, _) => all.push(format!("{token:?}")),
            });
        }
        all
    }

    #[test]
    fn output_is_taken_apart_into_what_it_means() {
        let csi =
            |private, numbers, between, last| format!("{:?}", Token::Csi(Csi { private, numbers, between, last }));
        for (output, meant) in [
            (&b"ab\r\n"[..], vec!["\"ab\"".to_string(), "Control(13)".into(), "Control(10)".into()]),
            (b"\x1b[31mred", vec![csi(None, "31", None, b'm'), "\"red\"".into()]),
            (b"\x1b[?2026$p", vec![csi(Some(b'?'), "2026", Some(b'$'), b'p')]),
            (b"\x1b[1;\n2H", vec!["Control(10)".into(), csi(None, "1;2", None, b'H')]),
            (b"\x1b[1?2Hx", vec!["\"x\"".into()]),
            (b"\x1b]0;title\x07x", vec![format!("{:?}", Token::Osc(b"0;title")), "\"x\"".into()]),
            (b"\x1b]2;t\x1b\\x", vec![format!("{:?}", Token::Osc(b"2;t")), "Escape([], 92)".into(), "\"x\"".into()]),
            (b"\x1bPq\x07sixel\x1b\\x", vec!["Escape([], 92)".into(), "\"x\"".into()]),
            (b"\x1b_app\x18x", vec!["\"x\"".into()]),
            (b"\x1b(0\x1b7", vec!["Escape([40], 48)".into(), "Escape([], 55)".into()]),
            (b"a\xff\xc3b\xc3\xa9", vec!["\"abé\"".into()]),
            (b"\x1b[\x1b[Hx", vec![csi(None, "", None, b'H'), "\"x\"".into()]),
        ] {
            assert_eq!(tokens(&[output]), meant, "{:?}", String::from_utf8_lossy(output));
        }
        let styles = |numbers| known_styles(numbers).unwrap_or("none".into());
        assert_eq!(
            ["", "1;58;5;4;7", "58;2;4;4;4", "58:5:4;3", "38;5;4"].map(styles),
            ["", "1;7", "none", "3", "38;5;4"]
        );
        assert_eq!(Csi::new(b"3;;70000;4:3", b'm').unwrap().each().collect::<Vec<_>>(), [3, 0, 65535, 4]);
    }

    proptest! {
        #[test]
        fn where_output_is_cut_changes_nothing(bytes in proptest::collection::vec(prop_oneof![
            any::<u8>(), Just(0x1b), Just(b'['), Just(b']'), Just(b';'), Just(7), Just(0xe4), Just(0xb8), Just(0x96), 0x20u8..0x7f,
        ], 0..80), at in 0usize..80) {
            let at = at.min(bytes.len());
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(tokens(&[&bytes]), tokens(&[&bytes[..at], &bytes[at..]]));
            prop_assert_eq!(tokens(&[&bytes]), tokens(&single));
        }
    }
}
