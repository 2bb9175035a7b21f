//! What can be done on this machine, and what to type first. Pure.

use serde::Serialize;

use super::{
    checks::{self, Check, State},
    facts::Machine,
    remedy::shell_word,
};

/// How much of sandtop works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Can {
    /// The limit and the sandbox.
    Everything,
    /// A limit, without namespaces.
    LimitOnly,
    /// Not even a limit.
    Nothing,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How much works.
    pub can: Can,
    /// The same, as a sentence.
    pub text: String,
    /// The one thing to do first.
    pub first: First,
}

/// What to do first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum First {
    /// A command, or several as one.
    Command(String),
    /// A sentence, where no command does it.
    Words(String),
}

impl Verdict {
    /// From everything that was found.
    pub fn of(m: &Machine, checks: &[Check]) -> Verdict {
        if let Some(check) = checks::blocker(m, checks) {
            let remedy = check.remedy.clone().unwrap_or_default();
            let first = match remedy.commands.is_empty() {
                true => First::Words(remedy.words),
                false => First::Command(remedy.commands.join(" && ")),
            };
            let text = format!("sandtop cannot set a limit here: {}", check.found);
            return Verdict { can: Can::Nothing, text, first };
        }
        let state = |name: &str| checks.iter().find(|check| check.name == name).map(|check| check.state);
        let first = First::Command(format!("{} demo", shell_word(&m.exe)));
        if state("namespaces") != Some(State::Ok) {
            let text = "limit only: a limit can be set here, but without namespaces a workload could lift it; see namespaces, above";
            return Verdict { can: Can::LimitOnly, text: text.into(), first };
        }
        let lacking = checks.iter().filter(|check| check.state != State::Ok).count();
        let rest = match lacking {
            0 => "everything that it can use is there".into(),
            1 => "a limit and a sandbox; the one line above that is not ok costs only what it says".into(),
            n => format!("a limit and a sandbox; the {n} lines above that are not ok cost only what they say"),
        };
        Verdict { can: Can::Everything, text: format!("sandtop works here: {rest}"), first }
    }

    /// Its sign.
    pub fn state(&self) -> State {
        match self.can {
            Can::Everything => State::Ok,
            Can::LimitOnly => State::Partial,
            Can::Nothing => State::Missing,
        }
    }
}
