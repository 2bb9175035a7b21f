//! The way back: which limits were left behind, and which were come back from. Pure.
//!
//! Keys come faster than the kernel answers, so an edit counts as soon as it is asked for; one that is then refused is taken out again.

use std::collections::VecDeque;

use crate::{event::LimitOutcome, units::Limit};

/// What kind of edit it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A new one: what was undone before it is forgotten.
    #[default]
    New,
    /// Back to the limit before.
    Undo,
    /// Forward again.
    Redo,
}

/// The two stacks.
#[derive(Clone, Debug, Default)]
pub struct Undo {
    past: Vec<Limit>,
    future: Vec<Limit>,
    /// Edits that are not answered yet, and the stacks as they were before each.
    asked: VecDeque<(Limit, Vec<Limit>, Vec<Limit>)>,
}

/// How many steps back there are at most.
const KEPT: usize = 100;

impl Undo {
    /// The limit to go back to.
    pub fn back(&self) -> Option<Limit> {
        self.past.last().copied()
    }

    /// The limit to go forward to again.
    pub fn forward(&self) -> Option<Limit> {
        self.future.last().copied()
    }

    /// An edit is asked for.
    pub fn asked(&mut self, kind: Kind, from: Limit, to: Limit) {
        self.asked.push_back((to, self.past.clone(), self.future.clone()));
        match kind {
            Kind::New => {
                self.past.push(from);
                self.future.clear();
            }
            Kind::Undo => {
                self.past.pop();
                self.future.push(from);
            }
            Kind::Redo => {
                self.future.pop();
                self.past.push(from);
            }
        }
        if self.past.len() > KEPT {
            self.past.remove(0);
        }
    }

    /// An edit was answered. One of somebody else's is not known here.
    pub fn answered(&mut self, target: Limit, outcome: &LimitOutcome) {
        if self.asked.front().is_none_or(|(asked, ..)| *asked != target) {
            return;
        }
        let Some((_, past, future)) = self.asked.pop_front() else { return };
        let taken = matches!(outcome, LimitOutcome::Applied { .. } | LimitOutcome::NextRun);
        if !taken && self.asked.is_empty() {
            (self.past, self.future) = (past, future);
        }
    }

    /// Edits that nobody answers any more never happened.
    pub fn forget_unanswered(&mut self) {
        if let Some((_, past, future)) = self.asked.drain(..).next() {
            (self.past, self.future) = (past, future);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn m(n: u64) -> Limit {
        Limit::Bytes(n << 20)
    }

    fn done(undo: &mut Undo, kind: Kind, from: u64, to: u64) {
        undo.asked(kind, m(from), m(to));
        undo.answered(m(to), &LimitOutcome::Applied { now: m(to) });
    }

    #[test]
    fn back_and_forward_again_until_a_new_edit() {
        let mut undo = Undo::default();
        assert_eq!((undo.back(), undo.forward()), (None, None));
        done(&mut undo, Kind::New, 100, 90);
        done(&mut undo, Kind::New, 90, 80);
        assert_eq!(undo.back(), Some(m(90)));
        done(&mut undo, Kind::Undo, 80, 90);
        assert_eq!((undo.back(), undo.forward()), (Some(m(100)), Some(m(80))));
        done(&mut undo, Kind::Redo, 90, 80);
        assert_eq!((undo.back(), undo.forward()), (Some(m(90)), None));
        done(&mut undo, Kind::Undo, 80, 90);
        done(&mut undo, Kind::New, 90, 70);
        assert_eq!((undo.back(), undo.forward()), (Some(m(90)), None));
    }

    #[test]
    fn what_was_refused_never_happened() {
        let mut undo = Undo::default();
        done(&mut undo, Kind::New, 100, 90);
        done(&mut undo, Kind::Undo, 90, 100);
        undo.asked(Kind::New, m(100), m(10));
        undo.answered(m(10), &LimitOutcome::Busy { usage: 1, kept: m(100) });
        assert_eq!((undo.back(), undo.forward()), (None, Some(m(90))));
        undo.answered(m(50), &LimitOutcome::Applied { now: m(50) });
        assert_eq!((undo.back(), undo.forward()), (None, Some(m(90))));
    }
}
