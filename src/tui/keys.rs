//! The key tables: which key is which word, live and in a replay. The help and the footer are made from them, and `[keys]` in the
//! configuration changes them.

use std::{collections::BTreeMap, rc::Rc};

use crossterm::event::KeyEvent;

use super::{
    input::{Action, Play},
    key::Key,
};

/// A line of the key table.
pub struct Binding {
    /// What the configuration calls it.
    pub id: &'static str,
    /// The keys, as the configuration writes them.
    pub keys: &'static [&'static str],
    /// What they do, in the help; `{step}` stands for how far the limit moves.
    pub help: &'static str,
    /// What they do, in the footer; empty for those that are not there.
    pub footer: &'static str,
    /// What is then wanted.
    pub action: Action,
}

/// A line of the key table as it is in force.
#[derive(Clone)]
pub struct Bound {
    /// The line.
    pub binding: &'static Binding,
    /// Its keys; none where another line has taken them.
    pub keys: Vec<Key>,
    /// Whether arrow keys are called by their names: where a terminal has no arrows, "<" would be another key.
    pub words: bool,
}

impl Bound {
    /// All its keys, as the user reads them.
    pub fn shown(&self) -> String {
        self.keys.iter().map(|key| self.name(key)).collect::<Vec<_>>().join(" ")
    }

    /// All its keys, as the configuration writes them.
    pub fn written(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.written()).collect()
    }

    /// The first of them.
    pub fn first(&self) -> String {
        self.keys.first().map(|key| self.name(key)).unwrap_or_default()
    }

    fn name(&self, key: &Key) -> String {
        if self.words { key.written() } else { key.to_string() }
    }
}

/// A table as it is in force.
pub type Table = Vec<Bound>;

/// The three tables as they are in force.
#[derive(Clone)]
pub struct KeyMap {
    /// Of the live screen.
    pub live: Table,
    /// Of a replay.
    pub replay: Table,
    /// Of the panel of a paused workload.
    pub paused: Table,
}

/// What the configuration changes: keys by the ids of the lines.
pub type Remap = BTreeMap<String, Vec<String>>;

impl KeyMap {
    /// The tables, changed like this. A key that is given to a line is taken from the one that had it.
    ///
    /// # Errors
    /// One sentence: there is no such line or key, or a key was given to two lines.
    pub fn new(remap: &Remap) -> Result<Rc<KeyMap>, String> {
        let known = |id: &str| [LIVE, REPLAY, PAUSED].iter().any(|table| table.iter().any(|b| b.id == id));
        if let Some(id) = remap.keys().find(|id| !known(id)) {
            let mut ids: Vec<&str> = [LIVE, REPLAY, PAUSED].iter().flat_map(|t| t.iter()).map(|b| b.id).collect();
            ids.sort_unstable();
            ids.dedup();
            return Err(format!("there is no action {id:?}; those that have keys: {}", ids.join(", ")));
        }
        let [live, replay, paused] = [LIVE, REPLAY, PAUSED].map(|table| bind(table, remap));
        Ok(Rc::new(KeyMap { live: live?, replay: replay?, paused: paused? }))
    }
}

impl KeyMap {
    /// The same, with the arrow keys called by their names.
    pub fn in_words(&self) -> Rc<KeyMap> {
        let mut map = self.clone();
        let tables = [&mut map.live, &mut map.replay, &mut map.paused];
        tables.into_iter().flatten().for_each(|bound| bound.words = true);
        Rc::new(map)
    }
}

impl Default for KeyMap {
    fn default() -> KeyMap {
        let plain = |table| bind(table, &Remap::new()).unwrap_or_default();
        KeyMap { live: plain(LIVE), replay: plain(REPLAY), paused: plain(PAUSED) }
    }
}

impl std::fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.live.iter().map(|bound| (bound.binding.id, bound.shown()))).finish()
    }
}

fn bind(table: &'static [Binding], remap: &Remap) -> Result<Table, String> {
    let parse = |texts: &[&str]| texts.iter().map(|text| Key::parse(text)).collect::<Result<Vec<Key>, String>>();
    let mut given: Vec<(Key, &str)> = Vec::new();
    for binding in table {
        for text in remap.get(binding.id).into_iter().flatten() {
            let key = Key::parse(text)?;
            if let Some((_, other)) = given.iter().find(|(taken, _)| *taken == key) {
                return Err(format!("{key} is given to both {other} and {}", binding.id));
            }
            given.push((key, binding.id));
        }
    }
    let bound = |binding: &'static Binding| {
        let keys = match remap.get(binding.id) {
            Some(texts) => parse(&texts.iter().map(String::as_str).collect::<Vec<_>>())?,
            None => {
                let mut keys = parse(binding.keys)?;
                keys.retain(|key| given.iter().all(|(taken, _)| taken != key));
                keys
            }
        };
        Ok(Bound { binding, keys, words: false })
    };
    table.iter().map(bound).collect()
}

/// What a key means in a table.
pub fn meant(table: &Table, key: KeyEvent) -> Option<Action> {
    table.iter().find(|bound| bound.keys.iter().any(|k| k.is(key))).map(|bound| bound.binding.action.clone())
}

const FOCUS: Binding = Binding {
    id: "focus-next",
    keys: &["Tab"],
    help: "next region: processes, events, output, memory",
    footer: "focus",
    action: Action::FocusNext,
};

const FOCUS_BACK: Binding = Binding {
    id: "focus-previous",
    keys: &["Shift-Tab"],
    help: "region before",
    footer: "",
    action: Action::FocusPrevious,
};

const UP: Binding =
    Binding { id: "up", keys: &["Up", "k"], help: "up: a process, or a line", footer: "", action: Action::Scroll(-1) };

const DOWN: Binding = Binding {
    id: "down",
    keys: &["Down", "j"],
    help: "down: a process, or a line",
    footer: "",
    action: Action::Scroll(1),
};

const PAGE_UP: Binding =
    Binding { id: "page-up", keys: &["PgUp"], help: "scroll up ten", footer: "", action: Action::Scroll(-10) };

const PAGE_DOWN: Binding =
    Binding { id: "page-down", keys: &["PgDn"], help: "scroll down ten", footer: "", action: Action::Scroll(10) };

const HELP: Binding =
    Binding { id: "help", keys: &["?", "F1"], help: "this list", footer: "help", action: Action::Help };

const STORY: Binding = Binding {
    id: "why",
    keys: &["w"],
    help: "why: the story of the last OOM kill; ← → show others",
    footer: "why killed",
    action: Action::Story,
};

const KNOBS: Binding = Binding {
    id: "settings",
    keys: &["s"],
    help: "settings: swap, soft limit, out of memory, pids, CPU, reclaim",
    footer: "settings",
    action: Action::Knobs,
};

const SUSPEND: Binding = Binding {
    id: "suspend",
    keys: &["Ctrl-Z"],
    help: "suspend sandtop; fg brings it back",
    footer: "",
    action: Action::Suspend,
};

const ENLARGE: Binding = Binding {
    id: "enlarge",
    keys: &["m"],
    help: "the focused region fills the screen, or not any more",
    footer: "",
    action: Action::Enlarge,
};

const ZOOM_IN: Binding = Binding {
    id: "zoom-in",
    keys: &["z"],
    help: "chart: less time, in more detail",
    footer: "",
    action: Action::Zoom { closer: true },
};

const ZOOM_OUT: Binding = Binding {
    id: "zoom-out",
    keys: &["Z"],
    help: "chart: more time, up to the whole run",
    footer: "",
    action: Action::Zoom { closer: false },
};

const FILTER: Binding = Binding {
    id: "filter",
    keys: &["/"],
    help: "filter the processes, or the events where they are focused",
    footer: "",
    action: Action::Filter,
};

const ORDER: Binding = Binding {
    id: "order-next",
    keys: &[">"],
    help: "processes: order by the next column",
    footer: "",
    action: Action::Order { forward: true },
};

const ORDER_BACK: Binding = Binding {
    id: "order-previous",
    keys: &["<"],
    help: "processes: order by the column before",
    footer: "",
    action: Action::Order { forward: false },
};

const REVERSE: Binding = Binding {
    id: "order-reverse",
    keys: &["I"],
    help: "processes: the other way round",
    footer: "",
    action: Action::Reverse,
};

const TREE: Binding =
    Binding { id: "tree", keys: &["t"], help: "processes: a tree, or a list", footer: "", action: Action::Tree };

const OPEN: Binding = Binding {
    id: "open",
    keys: &["Enter"],
    help: "start a held command; on a process or an event: more of it",
    footer: "",
    action: Action::Open,
};

const EXPLAIN: Binding = Binding {
    id: "explain",
    keys: &["e"],
    help: "what a number means, and what other tools would show",
    footer: "explain",
    action: Action::Explain,
};

const CLOSE: Binding = Binding {
    id: "close",
    keys: &["Esc"],
    help: "close what is open; else one step back to the usual view",
    footer: "",
    action: Action::Cancel,
};

/// The keys of the live screen, in the order of the footer.
pub static LIVE: &[Binding] = &[
    Binding { id: "limit-down", keys: &["-", "_"], help: "limit {step} down", footer: "", action: Action::LimitDown },
    Binding { id: "limit-up", keys: &["+"], help: "limit {step} up", footer: "", action: Action::LimitUp },
    Binding {
        id: "limit-exact",
        keys: &["="],
        help: "set an exact limit: 80M, +10%, -16M, 50%, max",
        footer: "exact",
        action: Action::LimitExact,
    },
    Binding { id: "undo", keys: &["u"], help: "undo: back to the limit before", footer: "undo", action: Action::Undo },
    Binding { id: "redo", keys: &["Ctrl-R"], help: "redo: forward again", footer: "", action: Action::Redo },
    Binding {
        id: "rerun",
        keys: &["r"],
        help: "run the command again, under the limit shown",
        footer: "run again",
        action: Action::Rerun,
    },
    Binding { id: "kill", keys: &["K"], help: "kill the workload", footer: "kill", action: Action::Kill },
    STORY,
    KNOBS,
    Binding {
        id: "signal",
        keys: &["x"],
        help: "send a signal to the chosen process, or to all",
        footer: "",
        action: Action::Process,
    },
    Binding {
        id: "oom-score-adj",
        keys: &["o"],
        help: "how readily the OOM killer takes the chosen process",
        footer: "",
        action: Action::ProcessAdj,
    },
    Binding {
        id: "freeze",
        keys: &["f"],
        help: "freeze the workload, or let it go on",
        footer: "",
        action: Action::Freeze,
    },
    Binding {
        id: "paused",
        keys: &["p"],
        help: "what can be done while it is paused at its limit (--oom pause)",
        footer: "",
        action: Action::ShowPause,
    },
    OPEN,
    FOCUS,
    FOCUS_BACK,
    Binding { id: "type", keys: &["i"], help: "type to the workload", footer: "type", action: Action::TypeOn },
    Binding {
        id: "typing",
        keys: &["Ctrl-]"],
        help: "typing goes to the workload, or comes back to sandtop",
        footer: "",
        action: Action::TypeOrNot,
    },
    Binding {
        id: "cursor-back",
        keys: &["Left", "h"],
        help: "chart: the cursor back, which reads out what was then",
        footer: "look back",
        action: Action::Pan(-2),
    },
    Binding {
        id: "cursor-on",
        keys: &["Right", "l"],
        help: "chart: the cursor on, up to now",
        footer: "",
        action: Action::Pan(2),
    },
    Binding {
        id: "cursor-far-back",
        keys: &["Shift-Left"],
        help: "chart: the cursor far back",
        footer: "",
        action: Action::Pan(-20),
    },
    Binding {
        id: "cursor-far-on",
        keys: &["Shift-Right"],
        help: "chart: the cursor far on",
        footer: "",
        action: Action::Pan(20),
    },
    ZOOM_IN,
    ZOOM_OUT,
    FILTER,
    ORDER,
    ORDER_BACK,
    REVERSE,
    TREE,
    ENLARGE,
    UP,
    DOWN,
    PAGE_UP,
    PAGE_DOWN,
    Binding {
        id: "top",
        keys: &["Home", "g"],
        help: "to the top; of the chart, to the start",
        footer: "",
        action: Action::Scroll(i32::MIN),
    },
    Binding {
        id: "bottom",
        keys: &["End", "G"],
        help: "to the bottom; of the chart, to now",
        footer: "",
        action: Action::Scroll(i32::MAX),
    },
    EXPLAIN,
    HELP,
    SUSPEND,
    Binding {
        id: "quit",
        keys: &["q", "Q", "Ctrl-C"],
        help: "end (asks while the workload lives)",
        footer: "quit",
        action: Action::Quit,
    },
    CLOSE,
];

/// The keys of the panel of a paused workload; `{more}` stands for the limit that it offers. Enter is none of them: somebody may be typing.
pub static PAUSED: &[Binding] = &[
    Binding {
        id: "paused-raise",
        keys: &["+"],
        help: "raise the limit to {more}, and go on",
        footer: "",
        action: Action::RaiseAndGoOn,
    },
    Binding {
        id: "paused-let-go",
        keys: &["L"],
        help: "let it go on as it is, and be killed at the limit",
        footer: "",
        action: Action::LetItBeKilled,
    },
    Binding { id: "kill", keys: &["K"], help: "kill it now", footer: "", action: Action::Kill },
    Binding {
        id: "close",
        keys: &["Esc"],
        help: "hide this, and look around; p shows it again",
        footer: "",
        action: Action::Cancel,
    },
];

/// The keys of a replay, in the order of the footer.
pub static REPLAY: &[Binding] = &[
    Binding {
        id: "play",
        keys: &["Space"],
        help: "stop there, or go on; at the end, from the start",
        footer: "play",
        action: Action::Play(Play::Pause),
    },
    Binding { id: "back", keys: &["Left", "h"], help: "back by 2 %", footer: "", action: Action::Play(Play::By(-2)) },
    Binding {
        id: "forward",
        keys: &["Right", "l"],
        help: "forward by 2 %",
        footer: "",
        action: Action::Play(Play::By(2)),
    },
    Binding {
        id: "far-back",
        keys: &["Shift-Left"],
        help: "back by 10 %",
        footer: "",
        action: Action::Play(Play::By(-10)),
    },
    Binding {
        id: "far-forward",
        keys: &["Shift-Right"],
        help: "forward by 10 %",
        footer: "",
        action: Action::Play(Play::By(10)),
    },
    Binding {
        id: "next-event",
        keys: &["n"],
        help: "to the next event: a kill, an edit, an end",
        footer: "next event",
        action: Action::Play(Play::Event(true)),
    },
    Binding {
        id: "previous-event",
        keys: &["p", "N"],
        help: "to the event before",
        footer: "",
        action: Action::Play(Play::Event(false)),
    },
    Binding {
        id: "next-sample",
        keys: &["."],
        help: "one sample forward",
        footer: "",
        action: Action::Play(Play::Sample(true)),
    },
    Binding {
        id: "previous-sample",
        keys: &[","],
        help: "one sample back",
        footer: "",
        action: Action::Play(Play::Sample(false)),
    },
    Binding {
        id: "slower",
        keys: &["-"],
        help: "half as fast, down to 1/64",
        footer: "",
        action: Action::Play(Play::Slower),
    },
    Binding {
        id: "faster",
        keys: &["+", "="],
        help: "twice as fast, up to 64",
        footer: "",
        action: Action::Play(Play::Faster),
    },
    Binding {
        id: "to-start",
        keys: &["Home", "g", "0"],
        help: "to the start",
        footer: "",
        action: Action::Play(Play::To(0)),
    },
    Binding { id: "to-end", keys: &["End", "G"], help: "to the end", footer: "", action: Action::Play(Play::To(100)) },
    STORY,
    KNOBS,
    OPEN,
    FOCUS,
    FOCUS_BACK,
    ZOOM_IN,
    ZOOM_OUT,
    FILTER,
    ORDER,
    ORDER_BACK,
    REVERSE,
    TREE,
    ENLARGE,
    UP,
    DOWN,
    PAGE_UP,
    PAGE_DOWN,
    EXPLAIN,
    HELP,
    SUSPEND,
    Binding { id: "quit", keys: &["q", "Q", "Ctrl-C"], help: "leave the replay", footer: "quit", action: Action::Quit },
    CLOSE,
];
