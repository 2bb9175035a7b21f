//! The edits of the limit of one run, and what became of each.

use std::time::Duration;

use crate::{event::LimitOutcome, units::Limit};

/// How many are kept; of more, the newest.
const KEPT: usize = 200;

/// An edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Its number in this run, from 1.
    pub number: u32,
    /// When it was asked for.
    pub at: Duration,
    /// The limit before it.
    pub from: Limit,
    /// The limit that was asked for.
    pub to: Limit,
    /// What became of it.
    pub fate: Fate,
    /// How many the OOM killer took while it was made, and until the sample after it.
    pub kills: u64,
}

/// What became of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is being written.
    Pending,
    /// The kernel took it.
    Done,
    /// The kernel refused it.
    Refused,
    /// It could not be written.
    Failed,
}

/// Edits, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    asked: u32,
    /// Whether a sample came since the newest one that is done.
    seen: bool,
}

impl Edits {
    /// All of them that are kept.
    pub fn all(&self) -> &[Edit] {
        &self.edits
    }

    /// An edit was asked for. One that `goes_on` with the one before it, as the moves of a ramp do, is the same edit.
    pub(super) fn asked(&mut self, at: Duration, from: Limit, to: Limit, goes_on: bool) {
        if let Some(edit) = self.edits.last_mut().filter(|_| goes_on) {
            (edit.to, edit.fate) = (to, Fate::Pending);
            return;
        }
        self.asked += 1;
        if self.edits.len() == KEPT {
            self.edits.remove(0);
        }
        self.edits.push(Edit { number: self.asked, at, from, to, fate: Fate::Pending, kills: 0 });
    }

    pub(super) fn answered(&mut self, target: Limit, outcome: &LimitOutcome) {
        let pending = self.edits.iter_mut().find(|edit| edit.fate == Fate::Pending && edit.to == target);
        if let Some(edit) = pending {
            edit.fate = match outcome {
                LimitOutcome::Applied { .. } | LimitOutcome::NextRun => Fate::Done,
                LimitOutcome::Busy { .. } => Fate::Refused,
                LimitOutcome::Failed { .. } => Fate::Failed,
            };
            self.seen = false;
        }
    }

    /// A sample came, and with it so many kills.
    pub(super) fn killed(&mut self, kills: u64) {
        let seen = std::mem::replace(&mut self.seen, true);
        let newest = self.edits.iter().rposition(|edit| edit.fate != Fate::Pending).filter(|_| !seen);
        let under_way = self.edits.iter().position(|edit| edit.fate == Fate::Pending);
        if let Some(edit) = under_way.or(newest).and_then(|n| self.edits.get_mut(n)) {
            edit.kills = edit.kills.saturating_add(kills);
        }
    }
}
