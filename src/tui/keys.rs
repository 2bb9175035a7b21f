//! The key tables: which key is which word, live and in a replay. The help and the footer are made from them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::input::{Action, Play};

/// A line of the key table.
pub struct Binding {
    /// The keys, as the user reads them.
    pub keys: &'static str,
    /// What they do, in the help; `{step}` stands for how far the limit moves.
    pub help: &'static str,
    /// What they do, in the footer; empty for those that are not there.
    pub footer: &'static str,
    /// Whether a key is one of them.
    pub matches: fn(KeyEvent) -> bool,
    /// What is then wanted.
    pub action: Action,
}

fn plain(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

/// Whether a key is this one with Ctrl.
pub fn ctrl(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn shifted(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::SHIFT)
}

const FOCUS: Binding = Binding {
    keys: "Tab",
    help: "next region: processes, events, output (typing goes there)",
    footer: "focus",
    matches: |k| k.code == KeyCode::Tab,
    action: Action::FocusNext,
};

/// In a replay there is nobody to type to.
const FOCUS_REPLAYED: Binding = Binding { help: "next region: processes, events, output", ..FOCUS };

const FOCUS_BACK: Binding = Binding {
    keys: "Shift-Tab",
    help: "region before",
    footer: "",
    matches: |k| k.code == KeyCode::BackTab,
    action: Action::FocusPrevious,
};

const UP: Binding = Binding {
    keys: "↑ k",
    help: "up: a process, or a line",
    footer: "",
    matches: |k| k.code == KeyCode::Up || plain(k, 'k'),
    action: Action::Scroll(-1),
};

const DOWN: Binding = Binding {
    keys: "↓ j",
    help: "down: a process, or a line",
    footer: "",
    matches: |k| k.code == KeyCode::Down || plain(k, 'j'),
    action: Action::Scroll(1),
};

const PAGE_UP: Binding = Binding {
    keys: "PgUp",
    help: "scroll up ten",
    footer: "",
    matches: |k| k.code == KeyCode::PageUp,
    action: Action::Scroll(-10),
};

const PAGE_DOWN: Binding = Binding {
    keys: "PgDn",
    help: "scroll down ten",
    footer: "",
    matches: |k| k.code == KeyCode::PageDown,
    action: Action::Scroll(10),
};

const HELP: Binding = Binding {
    keys: "?",
    help: "this list",
    footer: "help",
    matches: |k| plain(k, '?') || k.code == KeyCode::F(1),
    action: Action::Help,
};

const STORY: Binding = Binding {
    keys: "w",
    help: "why: the story of the last OOM kill; ← → show others",
    footer: "why killed",
    matches: |k| plain(k, 'w'),
    action: Action::Story,
};

const KNOBS: Binding = Binding {
    keys: "s",
    help: "settings: swap, soft limit, out of memory, pids, CPU, reclaim",
    footer: "settings",
    matches: |k| plain(k, 's'),
    action: Action::Knobs,
};

const SUSPEND: Binding = Binding {
    keys: "Ctrl-Z",
    help: "suspend sandtop; fg brings it back",
    footer: "",
    matches: |k| ctrl(k, 'z'),
    action: Action::Suspend,
};

const CLOSE: Binding = Binding {
    keys: "Esc",
    help: "close what is open",
    footer: "",
    matches: |k| k.code == KeyCode::Esc,
    action: Action::Cancel,
};

/// The keys of the live screen, in the order of the footer.
pub const LIVE: [Binding; 27] = [
    Binding {
        keys: "-",
        help: "limit {step} down",
        footer: "",
        matches: |k| plain(k, '-') || plain(k, '_'),
        action: Action::LimitDown,
    },
    Binding { keys: "+", help: "limit {step} up", footer: "", matches: |k| plain(k, '+'), action: Action::LimitUp },
    Binding {
        keys: "=",
        help: "set an exact limit: 80M, +10%, -16M, 50%, max",
        footer: "exact",
        matches: |k| plain(k, '='),
        action: Action::LimitExact,
    },
    Binding {
        keys: "u",
        help: "undo: back to the limit before",
        footer: "undo",
        matches: |k| plain(k, 'u'),
        action: Action::Undo,
    },
    Binding {
        keys: "Ctrl-R",
        help: "redo: forward again",
        footer: "",
        matches: |k| ctrl(k, 'r'),
        action: Action::Redo,
    },
    Binding {
        keys: "r",
        help: "run the command again, under the limit shown",
        footer: "run again",
        matches: |k| plain(k, 'r'),
        action: Action::Rerun,
    },
    Binding { keys: "K", help: "kill the workload", footer: "kill", matches: |k| plain(k, 'K'), action: Action::Kill },
    STORY,
    KNOBS,
    Binding {
        keys: "x",
        help: "send a signal to the chosen process, or to all",
        footer: "",
        matches: |k| plain(k, 'x'),
        action: Action::Process,
    },
    Binding {
        keys: "o",
        help: "how readily the OOM killer takes the chosen process",
        footer: "",
        matches: |k| plain(k, 'o'),
        action: Action::ProcessAdj,
    },
    Binding {
        keys: "f",
        help: "freeze the workload, or let it go on",
        footer: "",
        matches: |k| plain(k, 'f'),
        action: Action::Freeze,
    },
    Binding {
        keys: "p",
        help: "what can be done while it is paused at its limit (--oom pause)",
        footer: "",
        matches: |k| plain(k, 'p'),
        action: Action::ShowPause,
    },
    Binding {
        keys: "Enter",
        help: "start a held command",
        footer: "",
        matches: |k| k.code == KeyCode::Enter,
        action: Action::Start,
    },
    FOCUS,
    FOCUS_BACK,
    Binding {
        keys: "i",
        help: "type to the workload; Ctrl-] comes back",
        footer: "type",
        matches: |k| plain(k, 'i'),
        action: Action::FocusOutput,
    },
    UP,
    DOWN,
    PAGE_UP,
    PAGE_DOWN,
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
    HELP,
    SUSPEND,
    Binding {
        keys: "q",
        help: "end (asks while the workload lives)",
        footer: "quit",
        matches: |k| plain(k, 'q') || plain(k, 'Q') || ctrl(k, 'c'),
        action: Action::Quit,
    },
    CLOSE,
];

/// The keys of the panel of a paused workload; `{more}` stands for the limit that it offers. Enter is none of them: somebody may be typing.
pub const PAUSED: [Binding; 4] = [
    Binding {
        keys: "+",
        help: "raise the limit to {more}, and go on",
        footer: "",
        matches: |k| plain(k, '+'),
        action: Action::RaiseAndGoOn,
    },
    Binding {
        keys: "L",
        help: "let it go on as it is, and be killed at the limit",
        footer: "",
        matches: |k| plain(k, 'L'),
        action: Action::LetItBeKilled,
    },
    Binding { keys: "K", help: "kill it now", footer: "", matches: |k| plain(k, 'K'), action: Action::Kill },
    Binding {
        keys: "Esc",
        help: "hide this, and look around; p shows it again",
        footer: "",
        matches: |k| k.code == KeyCode::Esc,
        action: Action::Cancel,
    },
];

/// The keys of a replay, in the order of the footer.
pub const REPLAY: [Binding; 25] = [
    Binding {
        keys: "Space",
        help: "stop there, or go on; at the end, from the start",
        footer: "play",
        matches: |k| plain(k, ' '),
        action: Action::Play(Play::Pause),
    },
    Binding {
        keys: "← h",
        help: "back by 2 %",
        footer: "",
        matches: |k| k.code == KeyCode::Left && !shifted(k) || plain(k, 'h'),
        action: Action::Play(Play::By(-2)),
    },
    Binding {
        keys: "→ l",
        help: "forward by 2 %",
        footer: "",
        matches: |k| k.code == KeyCode::Right && !shifted(k) || plain(k, 'l'),
        action: Action::Play(Play::By(2)),
    },
    Binding {
        keys: "Shift-←",
        help: "back by 10 %",
        footer: "",
        matches: |k| k.code == KeyCode::Left && shifted(k),
        action: Action::Play(Play::By(-10)),
    },
    Binding {
        keys: "Shift-→",
        help: "forward by 10 %",
        footer: "",
        matches: |k| k.code == KeyCode::Right && shifted(k),
        action: Action::Play(Play::By(10)),
    },
    Binding {
        keys: "n",
        help: "to the next event: a kill, an edit, an end",
        footer: "next event",
        matches: |k| plain(k, 'n'),
        action: Action::Play(Play::Event(true)),
    },
    Binding {
        keys: "p N",
        help: "to the event before",
        footer: "",
        matches: |k| plain(k, 'p') || plain(k, 'N'),
        action: Action::Play(Play::Event(false)),
    },
    Binding {
        keys: ".",
        help: "one sample forward",
        footer: "",
        matches: |k| plain(k, '.'),
        action: Action::Play(Play::Sample(true)),
    },
    Binding {
        keys: ",",
        help: "one sample back",
        footer: "",
        matches: |k| plain(k, ','),
        action: Action::Play(Play::Sample(false)),
    },
    Binding {
        keys: "- <",
        help: "half as fast, down to 1/64",
        footer: "",
        matches: |k| plain(k, '-') || plain(k, '<'),
        action: Action::Play(Play::Slower),
    },
    Binding {
        keys: "+ >",
        help: "twice as fast, up to 64",
        footer: "",
        matches: |k| plain(k, '+') || plain(k, '=') || plain(k, '>'),
        action: Action::Play(Play::Faster),
    },
    Binding {
        keys: "Home g 0",
        help: "to the start",
        footer: "",
        matches: |k| k.code == KeyCode::Home || plain(k, 'g') || plain(k, '0'),
        action: Action::Play(Play::To(0)),
    },
    Binding {
        keys: "End G",
        help: "to the end",
        footer: "",
        matches: |k| k.code == KeyCode::End || plain(k, 'G'),
        action: Action::Play(Play::To(100)),
    },
    STORY,
    KNOBS,
    FOCUS_REPLAYED,
    FOCUS_BACK,
    UP,
    DOWN,
    PAGE_UP,
    PAGE_DOWN,
    HELP,
    SUSPEND,
    Binding {
        keys: "q",
        help: "leave the replay",
        footer: "quit",
        matches: |k| plain(k, 'q') || plain(k, 'Q') || ctrl(k, 'c'),
        action: Action::Quit,
    },
    CLOSE,
];
