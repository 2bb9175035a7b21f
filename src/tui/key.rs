//! A key: as the table and the configuration write it, as the terminal sends it, and as the user reads it. Pure.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Keys that have a name, and the sign that is shown for it.
const NAMED: [(&str, &str, KeyCode); 16] = [
    ("Left", "←", KeyCode::Left),
    ("Right", "→", KeyCode::Right),
    ("Up", "↑", KeyCode::Up),
    ("Down", "↓", KeyCode::Down),
    ("PgUp", "PgUp", KeyCode::PageUp),
    ("PgDn", "PgDn", KeyCode::PageDown),
    ("Home", "Home", KeyCode::Home),
    ("End", "End", KeyCode::End),
    ("Tab", "Tab", KeyCode::Tab),
    ("Enter", "Enter", KeyCode::Enter),
    ("Esc", "Esc", KeyCode::Esc),
    ("Space", "Space", KeyCode::Char(' ')),
    ("Insert", "Ins", KeyCode::Insert),
    ("Delete", "Del", KeyCode::Delete),
    ("Backspace", "Backspace", KeyCode::Backspace),
    ("Plus", "+", KeyCode::Char('+')),
];

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
    alt: bool,
    /// Never with a character: those have it in them.
    shift: bool,
}

impl Key {
    /// Reads `q`, `Ctrl-R`, `Alt-x`, `Shift-Left`, `PgUp`, `F1`.
    ///
    /// # Errors
    /// One sentence that says what is accepted.
    pub fn parse(text: &str) -> Result<Key, String> {
        let wrong = || {
            format!(
                "no key is called {text:?}: a character, F1 to F12, Left, Right, Up, Down, PgUp, PgDn, Home, End, Tab, Enter, Esc, Space, Insert, Delete or Backspace, after Ctrl-, Alt- or Shift- if need be"
            )
        };
        let (mut ctrl, mut alt, mut shift) = (false, false, false);
        let mut rest = text;
        loop {
            let mut take = |prefix: &str, flag: &mut bool| match rest.strip_prefix(prefix) {
                Some(after) if !after.is_empty() => {
                    (rest, *flag) = (after, true);
                    true
                }
                _ => false,
            };
            if !(take("Ctrl-", &mut ctrl) || take("Alt-", &mut alt) || take("Shift-", &mut shift)) {
                break;
            }
        }
        let named = NAMED.iter().find(|(name, ..)| name.eq_ignore_ascii_case(rest)).map(|(.., code)| *code);
        let function = || rest.strip_prefix('F')?.parse().ok().filter(|n| (1..=12).contains(n)).map(KeyCode::F);
        let character = || {
            let mut chars = rest.chars();
            chars.next().filter(|c| chars.next().is_none() && !c.is_control()).map(KeyCode::Char)
        };
        let code = named.or_else(function).or_else(character).ok_or_else(wrong)?;
        match code {
            KeyCode::Char(_) if shift => Err(wrong()),
            KeyCode::Char(c) if ctrl => Ok(Key { code: KeyCode::Char(c.to_ascii_lowercase()), ctrl, alt, shift }),
            code => Ok(Key { code, ctrl, alt, shift }),
        }
    }

    /// As the configuration writes it.
    pub fn written(self) -> String {
        let mut text = String::new();
        for (on, prefix) in [(self.ctrl, "Ctrl-"), (self.alt, "Alt-"), (self.shift, "Shift-")] {
            text.push_str(if on { prefix } else { "" });
        }
        let name = NAMED.iter().find(|(.., code)| *code == self.code).map(|(name, ..)| *name);
        match (self.code, name) {
            (KeyCode::Char(c), _) if c != ' ' => text.push(if self.ctrl { c.to_ascii_uppercase() } else { c }),
            (KeyCode::F(n), _) => text.push_str(&format!("F{n}")),
            (_, name) => text.push_str(name.unwrap_or_default()),
        }
        text
    }

    /// Whether the terminal sent this one.
    pub fn is(self, event: KeyEvent) -> bool {
        Key::of(event) == self
    }

    fn of(event: KeyEvent) -> Key {
        let has = |modifier| event.modifiers.contains(modifier);
        let (ctrl, alt, shift) = (has(KeyModifiers::CONTROL), has(KeyModifiers::ALT), has(KeyModifiers::SHIFT));
        match event.code {
            KeyCode::BackTab => Key { code: KeyCode::Tab, ctrl, alt, shift: true },
            // Terminals send 0x1c to 0x1f for Ctrl with \ ] ^ _; crossterm calls them 4 to 7.
            KeyCode::Char(c @ '4'..='7') if ctrl => {
                let meant = ['\\', ']', '^', '_'][c as usize - '4' as usize];
                Key { code: KeyCode::Char(meant), ctrl, alt, shift: false }
            }
            KeyCode::Char(c) if ctrl => Key { code: KeyCode::Char(c.to_ascii_lowercase()), ctrl, alt, shift: false },
            KeyCode::Char(_) => Key { code: event.code, ctrl, alt, shift: false },
            code => Key { code, ctrl, alt, shift },
        }
    }
}

impl From<Key> for KeyEvent {
    fn from(key: Key) -> KeyEvent {
        let modifiers =
            [(key.ctrl, KeyModifiers::CONTROL), (key.alt, KeyModifiers::ALT), (key.shift, KeyModifiers::SHIFT)];
        let held = modifiers.into_iter().filter(|(held, _)| *held).map(|(_, modifier)| modifier).collect();
        match key.code {
            KeyCode::Tab if key.shift => KeyEvent::new(KeyCode::BackTab, held),
            code => KeyEvent::new(code, held),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (on, prefix) in [(self.ctrl, "Ctrl-"), (self.alt, "Alt-"), (self.shift, "Shift-")] {
            f.write_str(if on { prefix } else { "" })?;
        }
        match (NAMED.iter().find(|(.., code)| *code == self.code), self.code) {
            (Some((_, sign, _)), _) => f.write_str(sign),
            (None, KeyCode::Char(c)) if self.ctrl => write!(f, "{}", c.to_ascii_uppercase()),
            (None, KeyCode::Char(c)) => write!(f, "{c}"),
            (None, KeyCode::F(n)) => write!(f, "F{n}"),
            (None, _) => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    #[test]
    fn keys_are_read_as_they_are_shown_and_known_as_they_are_sent() {
        let (none, ctrl, shift) = (KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::SHIFT);
        for (text, shown, event) in [
            ("q", "q", sent(KeyCode::Char('q'), none)),
            ("K", "K", sent(KeyCode::Char('K'), shift)),
            ("Ctrl-R", "Ctrl-R", sent(KeyCode::Char('r'), ctrl)),
            ("Ctrl-]", "Ctrl-]", sent(KeyCode::Char('5'), ctrl)),
            ("Shift-Left", "Shift-←", sent(KeyCode::Left, shift)),
            ("Shift-Tab", "Shift-Tab", sent(KeyCode::BackTab, shift)),
            ("Space", "Space", sent(KeyCode::Char(' '), none)),
            ("-", "-", sent(KeyCode::Char('-'), none)),
            ("Ctrl--", "Ctrl--", sent(KeyCode::Char('-'), ctrl)),
            ("F12", "F12", sent(KeyCode::F(12), none)),
            ("ü", "ü", sent(KeyCode::Char('ü'), none)),
        ] {
            let key = Key::parse(text).unwrap();
            assert_eq!(key.to_string(), shown);
            assert!(key.is(event), "{text}: {event:?}");
            assert!(key.is(KeyEvent::from(key)), "{text}");
            assert_eq!(key.written(), text);
        }
        assert!(!Key::parse("q").unwrap().is(sent(KeyCode::Char('q'), ctrl)));
        assert!(!Key::parse("Left").unwrap().is(sent(KeyCode::Left, shift)));
    }

    #[test]
    fn what_is_no_key_is_said() {
        for text in ["", "F13", "Shift-a", "ab", "Ctrl-", "\u{7}"] {
            assert!(Key::parse(text).unwrap_err().contains("no key is called"), "{text:?}");
        }
    }
}
