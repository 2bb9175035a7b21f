//! What events show: what they add up to, and the workload's terminal. Two folds of the same stream, live and in a replay.

use super::pane::Pane;
use crate::{
    event::{Event, Stamped},
    replay::Fold,
    session::Session,
};

/// The most output that is taken in before something else can be, in bytes: each may stand for a screen that is cleared.
const PIECE: usize = 4096;

/// Events, and output in pieces, so that who takes them in can stop in between.
pub fn pieces(batch: Vec<Stamped>) -> impl Iterator<Item = Stamped> {
    batch.into_iter().flat_map(|stamped| match stamped {
        Stamped { at, event: Event::Output(bytes) } => {
            bytes.chunks(PIECE).map(|piece| Stamped { at, event: Event::Output(piece.to_vec()) }).collect()
        }
        other => vec![other],
    })
}

/// The two folds.
#[derive(Clone)]
pub struct Shown {
    /// What is known.
    pub session: Session,
    /// The workload's terminal.
    pub pane: Pane,
}

impl Shown {
    /// Nothing yet, on a terminal of this size.
    pub fn new(rows: u16, cols: u16) -> Shown {
        Shown { session: Session::default(), pane: Pane::new(rows, cols) }
    }

    /// The same, with a terminal that can be scrolled back.
    pub fn live(rows: u16, cols: u16) -> Shown {
        Shown { session: Session::default(), pane: Pane::with_history(rows, cols) }
    }

    /// Takes in an event; what the workload's terminal answers to questions in it is to be typed back.
    pub fn take(&mut self, stamped: &Stamped) -> Vec<u8> {
        let answers = match &stamped.event {
            Event::Output(bytes) => self.pane.take(bytes),
            Event::Started(started) if started.run > 1 => {
                self.pane.next_run();
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.session.apply(stamped);
        answers
    }
}

impl Fold for Shown {
    /// In a replay nobody answers, and the terminal has the size that it had.
    fn apply(&mut self, stamped: &Stamped) {
        if let Event::Resized { rows, cols } = stamped.event {
            self.pane.resize(rows, cols);
        }
        self.take(stamped);
    }

    fn memory(&self) -> usize {
        self.session.memory() + self.pane.memory()
    }

    fn told(&self) -> u64 {
        self.session.told
    }
}
