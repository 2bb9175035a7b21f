//! Keys become words before any logic sees them. One table says which key is which word; the help and the footer are made from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Focus, Popup};

/// What a user can want.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// End, or ask whether to.
    Quit,
    /// The limit a tenth up.
    LimitUp,
    /// The limit a tenth down.
    LimitDown,
    /// Ask for a limit.
    LimitExact,
    /// Run the command again.
    Rerun,
    /// Kill the workload.
    Kill,
    /// Start a held command.
    Start,
    /// The list of keys.
    Help,
    /// The next region.
    FocusNext,
    /// The region before.
    FocusPrevious,
    /// Typing goes to the workload.
    FocusOutput,
    /// Scroll by so many lines; negative is up.
    Scroll(i32),
    /// Stop sandtop, back to the shell.
    Suspend,
    /// Yes, to what was asked.
    Confirm,
    /// No, or close what is open.
    Cancel,
    /// A key for the line that is being edited.
    Edit(KeyEvent),
    /// A key for the workload.
    Type(KeyEvent),
    /// Pasted text.
    Paste(String),
}

/// A line of the key table.
pub struct Binding {
    /// The keys, as the user reads them.
    pub keys: &'static str,
    /// What they do, in the help.
    pub help: &'static str,
    /// What they do, in the footer; empty for those that are not there.
    pub footer: &'static str,
    matches: fn(KeyEvent) -> bool,
    action: Action,
}

fn plain(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

fn ctrl(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// The keys of the main screen, in the order of the footer.
pub const BINDINGS: [Binding; 19] = [
    Binding {
        keys: "-",
        help: "limit 10 % down",
        footer: "",
        matches: |k| plain(k, '-') || plain(k, '_'),
        action: Action::LimitDown,
    },
    Binding { keys: "+", help: "limit 10 % up", footer: "", matches: |k| plain(k, '+'), action: Action::LimitUp },
    Binding {
        keys: "=",
        help: "set an exact limit: 80M, +10%, -16M, 50%, max",
        footer: "exact",
        matches: |k| plain(k, '='),
        action: Action::LimitExact,
    },
    Binding {
        keys: "r",
        help: "run the command again, under the limit shown",
        footer: "run again",
        matches: |k| plain(k, 'r'),
        action: Action::Rerun,
    },
    Binding { keys: "K", help: "kill the workload", footer: "kill", matches: |k| plain(k, 'K'), action: Action::Kill },
    Binding {
        keys: "Enter",
        help: "start a held command",
        footer: "",
        matches: |k| k.code == KeyCode::Enter,
        action: Action::Start,
    },
    Binding {
        keys: "Tab",
        help: "next region: processes, events, output (typing goes there)",
        footer: "focus",
        matches: |k| k.code == KeyCode::Tab,
        action: Action::FocusNext,
    },
    Binding {
        keys: "Shift-Tab",
        help: "region before",
        footer: "",
        matches: |k| k.code == KeyCode::BackTab,
        action: Action::FocusPrevious,
    },
    Binding {
        keys: "i",
        help: "type to the workload; Ctrl-] comes back",
        footer: "type",
        matches: |k| plain(k, 'i'),
        action: Action::FocusOutput,
    },
    Binding {
        keys: "↑ k",
        help: "scroll up",
        footer: "",
        matches: |k| k.code == KeyCode::Up || plain(k, 'k'),
        action: Action::Scroll(-1),
    },
    Binding {
        keys: "↓ j",
        help: "scroll down",
        footer: "",
        matches: |k| k.code == KeyCode::Down || plain(k, 'j'),
        action: Action::Scroll(1),
    },
    Binding {
        keys: "PgUp",
        help: "scroll up ten",
        footer: "",
        matches: |k| k.code == KeyCode::PageUp,
        action: Action::Scroll(-10),
    },
    Binding {
        keys: "PgDn",
        help: "scroll down ten",
        footer: "",
        matches: |k| k.code == KeyCode::PageDown,
        action: Action::Scroll(10),
    },
    Binding {
        keys: "Home g",
        help: "to the top",
        footer: "",
        matches: |k| k.code == KeyCode::Home || plain(k, 'g'),
        action: Action::Scroll(i32::MIN),
    },
    Binding {
        keys: "End G",
        help: "to the bottom",
        footer: "",
        matches: |k| k.code == KeyCode::End || plain(k, 'G'),
        action: Action::Scroll(i32::MAX),
    },
    Binding {
        keys: "?",
        help: "this list",
        footer: "help",
        matches: |k| plain(k, '?') || k.code == KeyCode::F(1),
        action: Action::Help,
    },
    Binding {
        keys: "Ctrl-Z",
        help: "suspend sandtop; fg brings it back",
        footer: "",
        matches: |k| ctrl(k, 'z'),
        action: Action::Suspend,
    },
    Binding {
        keys: "q",
        help: "end (asks while the workload lives)",
        footer: "quit",
        matches: |k| plain(k, 'q') || plain(k, 'Q') || ctrl(k, 'c'),
        action: Action::Quit,
    },
    Binding {
        keys: "Esc",
        help: "close what is open",
        footer: "",
        matches: |k| k.code == KeyCode::Esc,
        action: Action::Cancel,
    },
];

/// The key that brings the focus back from the workload's terminal: tmux, screen, vim and shells own the usual ones.
pub fn is_way_back(key: KeyEvent) -> bool {
    // Terminals send 0x1d for it; crossterm calls that Ctrl-5.
    ctrl(key, ']') || ctrl(key, '5')
}

/// What a key means now.
pub fn action(app: &App, key: KeyEvent) -> Option<Action> {
    match &app.popup {
        Popup::Limit(_) => Some(match key.code {
            KeyCode::Enter => Action::Confirm,
            KeyCode::Esc => Action::Cancel,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Action::Cancel,
            _ => Action::Edit(key),
        }),
        Popup::ConfirmQuit | Popup::ConfirmRerun => match key.code {
            KeyCode::Enter | KeyCode::Char('y' | 'Y') => Some(Action::Confirm),
            KeyCode::Esc | KeyCode::Char('n' | 'N') => Some(Action::Cancel),
            // Who presses q or Ctrl-C again means it.
            KeyCode::Char('q') if matches!(app.popup, Popup::ConfirmQuit) => Some(Action::Confirm),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Confirm),
            _ => None,
        },
        Popup::Help => Some(if is_scroll(key) { bound(key)? } else { Action::Cancel }),
        Popup::None if app.focus == Focus::Output && app.alive => {
            Some(if is_way_back(key) { Action::FocusNext } else { Action::Type(key) })
        }
        Popup::None => bound(key),
    }
}

fn is_scroll(key: KeyEvent) -> bool {
    matches!(bound(key), Some(Action::Scroll(_)))
}

fn bound(key: KeyEvent) -> Option<Action> {
    BINDINGS.iter().find(|b| (b.matches)(key)).map(|b| b.action.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings() {
        let chars = (' '..='~').map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        for key in chars {
            assert!(BINDINGS.iter().filter(|b| (b.matches)(key)).count() <= 1, "{key:?}");
        }
    }

    #[test]
    fn the_way_back_is_known_as_terminals_send_it() {
        assert!(is_way_back(KeyEvent::new(KeyCode::Char('5'), KeyModifiers::CONTROL)));
        assert!(!is_way_back(KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL)));
    }
}
