//! Edits of the limit, by key, by line and by mouse: all go one way, and one that would kill is asked about.

use super::{App, Effect, Line, Popup};
use crate::{
    event::{Command, LimitOutcome},
    session::Session,
    tui::undo::Kind,
    units::Limit,
};

impl App {
    pub(super) fn nudge(&mut self, session: &Session, up: bool) -> Vec<Effect> {
        if self.limit_now(session) == Some(Limit::Max) && !up {
            self.popup = Popup::Limit(Line::default()); // a step down from none is anybody's guess: which one is asked
            return Vec::new();
        }
        let target = self.limit_now(session).and_then(|limit| limit.nudged(up, self.step));
        self.step_to(session, target, Kind::New)
    }

    /// An edit by one key. Where it would kill, what it would do is shown first, and Enter does it.
    pub(super) fn step_to(&mut self, session: &Session, target: Option<Limit>, kind: Kind) -> Vec<Effect> {
        let Some(target) = target else { return Vec::new() };
        let line = Line { kind, ..Line::new(target.typed()) };
        self.set_limit(session, target, line)
    }

    /// Every edit goes through here: one that would kill is asked about, and done when it is asked for again.
    pub(super) fn set_limit(&mut self, session: &Session, target: Limit, line: Line) -> Vec<Effect> {
        let kills = session.verdict(target).is_some_and(|verdict| verdict.kills());
        if kills && line.sure != Some(target) {
            self.popup = Popup::Limit(Line { sure: Some(target), ..line });
            return Vec::new();
        }
        if let Some(from) = self.limit_now(session) {
            self.undo.asked(line.kind, from, target);
        }
        self.aimed = Some(target);
        vec![Effect::Command(Command::SetLimit(target))]
    }

    /// The limit's line is let go: where it has moved, that is an edit like any other.
    pub(super) fn let_go(&mut self, session: &Session) -> Vec<Effect> {
        let target = self.drag.take().filter(|limit| Some(*limit) != self.limit_now(session));
        if let Some(limit) = target.filter(|limit| session.verdict(*limit).is_some_and(|of| of.is_refused())) {
            // A hand that slipped: what was said meanwhile is said again, and Enter tries it all the same.
            self.popup = Popup::Limit(Line::new(limit.typed()));
            return Vec::new();
        }
        self.step_to(session, target, Kind::New)
    }

    /// The limit that the next edit starts from.
    pub(in crate::tui) fn limit_now(&self, session: &Session) -> Option<Limit> {
        self.aimed.or_else(|| session.limit())
    }

    /// The limit that a typed text means now.
    ///
    /// # Errors
    /// One sentence that says what was wrong and what is accepted.
    pub fn limit_typed(&self, session: &Session, text: &str) -> Result<Limit, String> {
        Limit::parse_edit(text, self.limit_now(session).unwrap_or(Limit::Max))
    }

    /// Takes note that an edit was answered.
    pub fn limit_done(&mut self, target: Limit, outcome: &LimitOutcome) {
        self.undo.answered(target, outcome);
        if self.aimed == Some(target) {
            self.aimed = None;
        }
    }

    /// A run has ended: an edit of it that is not answered by now never is. The next starts from the limit that holds.
    pub(super) fn forget_unanswered(&mut self) {
        self.undo.forget_unanswered();
        self.aimed = None;
    }
}
