//! Keys that mean the same on the live screen and in a replay.

use super::{Action, Binding};

pub(super) const FOCUS: Binding = Binding {
    id: "focus-next",
    keys: &["Tab"],
    help: "next region: processes, events, output, memory",
    footer: "focus",
    action: Action::FocusNext,
};

pub(super) const FOCUS_BACK: Binding = Binding {
    id: "focus-previous",
    keys: &["Shift-Tab"],
    help: "region before",
    footer: "",
    action: Action::FocusPrevious,
};

pub(super) const UP: Binding =
    Binding { id: "up", keys: &["Up", "k"], help: "up: a process, or a line", footer: "", action: Action::Scroll(-1) };

pub(super) const DOWN: Binding = Binding {
    id: "down",
    keys: &["Down", "j"],
    help: "down: a process, or a line",
    footer: "",
    action: Action::Scroll(1),
};

pub(super) const PAGE_UP: Binding =
    Binding { id: "page-up", keys: &["PgUp"], help: "scroll up ten", footer: "", action: Action::Scroll(-10) };

pub(super) const PAGE_DOWN: Binding =
    Binding { id: "page-down", keys: &["PgDn"], help: "scroll down ten", footer: "", action: Action::Scroll(10) };

pub(super) const HELP: Binding =
    Binding { id: "help", keys: &["?", "F1"], help: "this list", footer: "help", action: Action::Help };

pub(super) const STORY: Binding = Binding {
    id: "why",
    keys: &["w"],
    help: "why: the story of the last OOM kill; ← → show others",
    footer: "why killed",
    action: Action::Story,
};

pub(super) const KNOBS: Binding = Binding {
    id: "settings",
    keys: &["s"],
    help: "settings: swap, soft limit, out of memory, pids, CPU, reclaim",
    footer: "settings",
    action: Action::Knobs,
};

pub(super) const SUSPEND: Binding = Binding {
    id: "suspend",
    keys: &["Ctrl-Z"],
    help: "suspend sandtop; fg brings it back",
    footer: "",
    action: Action::Suspend,
};

pub(super) const ENLARGE: Binding = Binding {
    id: "enlarge",
    keys: &["m"],
    help: "the focused region fills the screen, or not any more",
    footer: "",
    action: Action::Enlarge,
};

pub(super) const ZOOM_IN: Binding = Binding {
    id: "zoom-in",
    keys: &["z"],
    help: "chart: less time, in more detail",
    footer: "",
    action: Action::Zoom { closer: true },
};

pub(super) const ZOOM_OUT: Binding = Binding {
    id: "zoom-out",
    keys: &["Z"],
    help: "chart: more time, up to the whole run",
    footer: "",
    action: Action::Zoom { closer: false },
};

pub(super) const FILTER: Binding = Binding {
    id: "filter",
    keys: &["/"],
    help: "filter the processes, or the events where they are focused",
    footer: "",
    action: Action::Filter,
};

pub(super) const ORDER: Binding = Binding {
    id: "order-next",
    keys: &[">"],
    help: "processes: order by the next column",
    footer: "",
    action: Action::Order { forward: true },
};

pub(super) const ORDER_BACK: Binding = Binding {
    id: "order-previous",
    keys: &["<"],
    help: "processes: order by the column before",
    footer: "",
    action: Action::Order { forward: false },
};

pub(super) const REVERSE: Binding = Binding {
    id: "order-reverse",
    keys: &["I"],
    help: "processes: the other way round",
    footer: "",
    action: Action::Reverse,
};

pub(super) const TREE: Binding =
    Binding { id: "tree", keys: &["t"], help: "processes: a tree, or a list", footer: "", action: Action::Tree };

pub(super) const OPEN: Binding = Binding {
    id: "open",
    keys: &["Enter"],
    help: "start a held command; on a process or an event: more of it",
    footer: "",
    action: Action::Open,
};

pub(super) const EXPLAIN: Binding = Binding {
    id: "explain",
    keys: &["e"],
    help: "what a number means, and what other tools would show",
    footer: "explain",
    action: Action::Explain,
};

pub(super) const CLOSE: Binding = Binding {
    id: "close",
    keys: &["Esc"],
    help: "close what is open; else one step back to the usual view",
    footer: "",
    action: Action::Cancel,
};
