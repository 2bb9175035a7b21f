//! The panel of a paused workload: when it opens by itself, and what its keys do. Pure, as the rest of the screen's state.

use super::{App, Effect, Kind, Line, Popup};
use crate::{
    event::{Change, Command, OomPolicy},
    session::Session,
};

/// The pause that the panel was opened for, by itself or by a key: the number of the run, and when it began.
pub type Seen = (u32, std::time::Duration);

impl App {
    /// Opens the panel once for each pause, and closes it with the pause. Not over something else that is open, and not where somebody types to
    /// the workload: the next key would be an answer.
    pub(super) fn notice_pause(&mut self, session: &Session) {
        let run = session.run().filter(|run| run.is_paused());
        let now = run.and_then(|run| Some((run.started.run, run.pauses.now()?.at)));
        match now {
            None if matches!(self.popup, Popup::Paused) => self.popup = Popup::None,
            None => {}
            Some(_) if !matches!(self.popup, Popup::None) || self.is_typing() => {}
            Some(pause) if self.pause_seen != Some(pause) => {
                (self.popup, self.pause_seen) = (Popup::Paused, Some(pause));
            }
            Some(_) => {}
        }
    }

    /// Opens the panel again.
    pub(super) fn show_pause(&mut self, session: &Session) {
        if session.run().is_some_and(|run| run.is_paused()) {
            self.popup = Popup::Paused;
        }
    }

    /// A quarter more: the workload goes on by itself when that is room enough.
    pub(super) fn raise_and_go_on(&mut self, session: &Session) -> Vec<Effect> {
        let Some(target) = self.limit_now(session).map(|limit| limit.and_a_quarter()) else { return Vec::new() };
        let line = Line { kind: Kind::New, ..Line::new(target.typed()) };
        self.set_limit(session, target, line)
    }

    /// No pause any more: what happens at the limit is the kernel's.
    pub(super) fn let_it_be_killed(&mut self) -> Vec<Effect> {
        vec![Effect::Command(Command::Change(Change::Oom(OomPolicy::Kill)))]
    }
}
