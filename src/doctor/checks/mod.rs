//! What each fact means: ok, missing or partial, what it is needed for, and what to do. Pure; one group of checks, one file.
//!
//! Names are stable: scripts read them.

mod environment;
mod limit;
mod namespaces;
mod terminal;
mod watching;

use serde::{Serialize, Serializer};

use super::{
    facts::{Has, Machine},
    remedy::{Remedy, see, words},
};

/// A heading of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// What setting a limit takes.
    Limit,
    /// What the sandbox is made of.
    Namespaces,
    /// What can be seen, and done beside the limit.
    Watching,
    /// The screen.
    Terminal,
    /// The place that this is.
    Environment,
}

impl Group {
    /// As the table has it.
    pub fn title(self) -> &'static str {
        match self {
            Group::Limit => "limit",
            Group::Namespaces => "namespaces",
            Group::Watching => "watching",
            Group::Terminal => "terminal",
            Group::Environment => "environment",
        }
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All is well.
    Ok,
    /// It is not there.
    Missing,
    /// Some of it is there, or it is not known.
    Partial,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its heading.
    pub group: Group,
    /// Its stable name.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What of sandtop needs it.
    pub needed_for: &'static str,
    /// What to do; always there unless all is well.
    #[serde(serialize_with = "as_text")]
    pub remedy: Option<Remedy>,
}

fn as_text<S: Serializer>(remedy: &Option<Remedy>, serializer: S) -> Result<S::Ok, S::Error> {
    remedy.as_ref().map(ToString::to_string).serialize(serializer)
}

/// A check whose outcome is still to be said.
#[derive(Clone, Copy)]
struct Topic {
    group: Group,
    name: &'static str,
    needed_for: &'static str,
}

impl Topic {
    fn new(group: Group, name: &'static str, needed_for: &'static str) -> Topic {
        Topic { group, name, needed_for }
    }

    fn say(self, state: State, found: impl Into<String>, remedy: Option<Remedy>) -> Check {
        let Topic { group, name, needed_for } = self;
        Check { group, name, state, found: found.into(), needed_for, remedy }
    }

    fn ok(self, found: impl Into<String>) -> Check {
        self.say(State::Ok, found, None)
    }

    fn missing(self, found: impl Into<String>, remedy: Remedy) -> Check {
        self.say(State::Missing, found, Some(remedy))
    }

    fn partial(self, found: impl Into<String>, remedy: Remedy) -> Check {
        self.say(State::Partial, found, Some(remedy))
    }

    /// A file could not be read; its path is in the reason.
    fn not_known(self, m: &Machine, reason: &str) -> Check {
        let again = words("look why that cannot be read, or ask again as root");
        self.partial(format!("not known: {reason}"), if m.proc.is_err() { see("proc") } else { again })
    }

    /// There is no controller that this could be a part of.
    fn without_memory(self) -> Check {
        self.missing("nothing without the memory controller", see("memory"))
    }
}

/// Everything that doctor has to say, in the order of the table.
pub fn all(m: &Machine) -> Vec<Check> {
    [limit::checks(m), namespaces::checks(m), watching::checks(m), terminal::checks(m), environment::checks(m)].concat()
}

/// How a feature was found, where it was not seen.
fn source(has: Has, m: &Machine) -> String {
    match (has, m.kernel.version()) {
        (Has::ByVersion(_), Some((major, minor))) => format!(" (by the version of this kernel, {major}.{minor})"),
        _ => String::new(),
    }
}

/// What keeps the main job from running here: the first check that it cannot do without.
pub fn blocker<'a>(m: &Machine, checks: &'a [Check]) -> Option<&'a Check> {
    // A plain user without namespaces still gets a limit; root without them gets nothing.
    let vital = ["proc", "kernel", "memory", "group"].into_iter().chain(m.me.is_root().then_some("namespaces"));
    let missing = |name: &str| checks.iter().find(|check| check.name == name && check.state == State::Missing);
    vital.into_iter().find_map(missing)
}
