//! What the screen needs: a terminal, room, colours, and more than ASCII.

use super::{Check, Group, Topic};
use crate::doctor::{
    facts::Machine,
    remedy::{commands, see, words},
};

/// The smallest screen, in columns and rows.
const SMALLEST: (u16, u16) = (60, 16);

pub(super) fn checks(m: &Machine) -> Vec<Check> {
    vec![terminal(m), size(m), colours(m), utf8(m)]
}

fn is_dumb(m: &Machine) -> bool {
    matches!(m.terminal.term.as_deref(), None | Some("" | "dumb"))
}

fn terminal(m: &Machine) -> Check {
    let topic = Topic::new(Group::Terminal, "terminal", "the screen; without one, sandtop runs headless");
    let term = m.terminal.term.as_deref().unwrap_or_default();
    match (m.terminal.tty, is_dumb(m)) {
        (false, _) => topic.partial("standard output is no terminal", words("run sandtop in a terminal")),
        (true, true) => {
            let found = if term.is_empty() { "TERM is not set".into() } else { format!("TERM is {term}") };
            topic.partial(found, commands("name the terminal", ["export TERM=xterm-256color".into()]))
        }
        (true, false) => topic.ok(format!("standard output is a terminal ({term})")),
    }
}

fn size(m: &Machine) -> Check {
    let topic = Topic::new(Group::Terminal, "size", "the screen: 60 columns and 16 rows at least");
    match m.terminal.size {
        None if m.terminal.tty => {
            topic.partial("not known: the terminal does not tell", commands("tell it", ["stty cols 80 rows 24".into()]))
        }
        None => topic.partial("not known", see("terminal")),
        Some((cols, rows)) if cols >= SMALLEST.0 && rows >= SMALLEST.1 => topic.ok(format!("{cols}×{rows}")),
        Some((cols, rows)) => topic.partial(format!("{cols}×{rows}"), words("make the window larger")),
    }
}

fn colours(m: &Machine) -> Check {
    let topic = Topic::new(Group::Terminal, "colours", "telling things apart faster; signs say the same");
    let term = m.terminal.term.as_deref().unwrap_or_default();
    let many = m.terminal.colorterm.as_deref().filter(|value| !value.is_empty());
    if m.terminal.no_color {
        return topic.ok("off, as NO_COLOR asks");
    }
    if is_dumb(m) {
        let found = if term.is_empty() { "none: TERM is not set".into() } else { format!("none: TERM is {term}") };
        return topic.partial(found, commands("name the terminal", ["export TERM=xterm-256color".into()]));
    }
    topic.ok(match many {
        Some(value) => format!("sixteen are used (COLORTERM is {value})"),
        None => format!("sixteen are used (TERM is {term})"),
    })
}

fn utf8(m: &Machine) -> Check {
    let topic = Topic::new(Group::Terminal, "utf8", "the chart, its rules and signs");
    let locale = m.terminal.locale.as_deref().unwrap_or("C");
    let plain: String = locale.to_ascii_lowercase().chars().filter(|c| *c != '-').collect();
    if plain.contains("utf8") {
        return topic.ok(format!("the locale is {locale}"));
    }
    topic.partial(
        format!("the locale is {locale}, which is plain ASCII or another set"),
        commands("if the terminal shows signs wrongly", ["export LC_ALL=C.UTF-8".into()]),
    )
}
