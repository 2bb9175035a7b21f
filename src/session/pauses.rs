//! When a run was paused because its memory was about to run out, and how it stood: a part of its fold.

use std::time::Duration;

use super::What;
use crate::event::{Pause, Reclaimed, Resume};

/// How many pauses a run keeps.
const KEPT: usize = 256;

/// One pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    /// When it began.
    pub at: Duration,
    /// How it stood, as told last.
    pub how: Pause,
    /// When it was over, and why; `None` while it lasts, and where the run ended in it.
    pub over: Option<(Duration, Resume)>,
}

/// The pauses of a run, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    list: Vec<Paused>,
    /// How often a reclaim made room, so that no pause was needed.
    averted: u64,
    /// How long the processes stood still for those, in all.
    stood: Duration,
}

impl Pauses {
    /// All of them that are kept: the newest.
    pub fn list(&self) -> &[Paused] {
        &self.list
    }

    /// The one that lasts.
    pub fn now(&self) -> Option<&Paused> {
        self.list.last().filter(|pause| pause.over.is_none())
    }

    /// How often a reclaim made room, so that no pause was needed, and how long the processes stood still for it in all.
    pub fn averted(&self) -> (u64, Duration) {
        (self.averted, self.stood)
    }

    pub(super) fn reclaimed(&mut self, reclaimed: &Reclaimed) {
        self.averted = self.averted.saturating_add(reclaimed.times);
        self.stood = self.stood.saturating_add(Duration::from_micros(reclaimed.stood_us));
    }

    pub(super) fn paused(&mut self, at: Duration, pause: Pause) -> What {
        let worse = self.now().is_some();
        match self.list.last_mut() {
            Some(last) if worse => last.how = pause,
            _ => {
                if self.list.len() == KEPT {
                    self.list.remove(0);
                }
                self.list.push(Paused { at, how: pause, over: None });
            }
        }
        What::Paused { pause, worse }
    }

    pub(super) fn resumed(&mut self, at: Duration, by: Resume) -> Option<What> {
        let last = self.list.last_mut().filter(|pause| pause.over.is_none())?;
        last.over = Some((at, by));
        Some(What::Resumed { by })
    }
}
