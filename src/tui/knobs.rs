//! The settings panel: which row is chosen, what is typed for it, and what that means. Pure: a wish comes out as a [`Step`].

use tui_input::Input;

use crate::{
    event::{Change, Command, Controller, OomPolicy},
    session::{Knob, Session, Value},
    units::{Limit, Quota},
};

/// What is open of the panel.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The chosen row.
    pub chosen: usize,
    /// The line for a value, where one is being typed.
    pub line: Option<Input>,
}

/// What Enter leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing more.
    Stay,
    /// The limit has a dialog of its own.
    LimitDialog,
    /// This is to be done.
    Do(Command),
}

impl Panel {
    /// The chosen setting.
    pub fn knob(&self) -> Knob {
        Knob::ALL[self.chosen.min(Knob::ALL.len() - 1)]
    }

    /// Chooses another row.
    pub fn choose(&mut self, by: i32) {
        self.chosen = self.chosen.saturating_add_signed(by as isize).min(Knob::ALL.len() - 1);
    }

    /// Enter: opens the line, or takes what is in it; what is chosen from a few is moved on by one.
    pub fn enter(&mut self, session: &Session) -> Step {
        let knob = self.knob();
        if let Some(line) = &self.line {
            return match typed(knob, line.value(), session) {
                Ok(change) => {
                    self.line = None;
                    Step::Do(Command::Change(change))
                }
                Err(_) => Step::Stay, // what is wrong is said below the line
            };
        }
        let Some(standing) = session.knob(knob).filter(|standing| standing.lack.is_none()) else { return Step::Stay };
        let aimed = standing.then.or(standing.now);
        match (knob, aimed) {
            (Knob::Limit, _) => Step::LimitDialog,
            (Knob::Oom, Some(Value::Policy(policy))) => Step::Do(Command::Change(Change::Oom(next(policy)))),
            (Knob::Freeze, aimed) => Step::Do(Command::Freeze(aimed != Some(Value::Frozen(true)))),
            (Knob::Counters, _) => Step::Do(Command::ResetCounters),
            (Knob::Reclaim, _) if controller(session) == Controller::V1 => {
                Step::Do(Command::Change(Change::Reclaim(Limit::Max))) // it knows only all
            }
            (Knob::Reclaim, _) => self.open("max".into()),
            (_, aimed) => self.open(aimed.map_or(String::new(), typable)),
        }
    }

    fn open(&mut self, text: String) -> Step {
        self.line = Some(Input::new(text));
        Step::Stay
    }
}

fn controller(session: &Session) -> Controller {
    session.run().map_or(Controller::V2, |run| run.started.controller)
}

fn next(policy: OomPolicy) -> OomPolicy {
    match policy {
        OomPolicy::Kill => OomPolicy::Group,
        OomPolicy::Group => OomPolicy::Pause,
        OomPolicy::Pause => OomPolicy::Kill,
    }
}

/// A value as it can be typed again.
fn typable(value: Value) -> String {
    match value {
        Value::Size(Limit::Bytes(0)) => "none".into(),
        Value::Size(limit) => limit.typed(),
        Value::Number(n) => n.to_string(),
        Value::Count(quota) => quota.number().map_or_else(|| "max".into(), |n| n.to_string()),
        Value::Cpus(quota) => quota.number().map_or_else(|| "max".into(), |n| (n as f64 / 1000.0).to_string()),
        Value::Policy(_) | Value::Frozen(_) | Value::Since(_) => String::new(),
    }
}

/// The change that a typed text means, in the units of the options at launch.
///
/// # Errors
/// One sentence that says what was wrong and what is accepted.
pub fn typed(knob: Knob, text: &str, session: &Session) -> Result<Change, String> {
    let text = text.trim();
    let total = session.run().map_or(0, |run| run.started.mem_total);
    match knob {
        Knob::Swap if matches!(text, "none" | "0") => Ok(Change::Swap(Limit::Bytes(0))),
        Knob::Swap => Limit::parse(text, total).map(Change::Swap),
        Knob::SoftLimit => Limit::parse(text, total).map(Change::SoftLimit),
        Knob::Reservation => Limit::parse(text, total).map(Change::Reservation),
        Knob::Swappiness => match text.parse() {
            Ok(n @ 0..=200) => Ok(Change::Swappiness(n)),
            _ => Err(format!("'{text}' is no swappiness; it is 0 to 200")),
        },
        Knob::Pids => Quota::parse_pids(text).map(Change::Pids),
        Knob::Cpus => Quota::parse_cpus(text).map(Change::Cpus),
        Knob::Reclaim => Limit::parse(text, total).map(Change::Reclaim),
        Knob::Limit | Knob::Oom | Knob::Freeze | Knob::Counters => Err("nothing is typed for that".into()),
    }
}
