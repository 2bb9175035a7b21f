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

    /// How often it was paused, as far as they are kept, and how long it stood for that until now in all.
    pub fn total(&self, now: Duration) -> (u64, Duration) {
        let stood = self.list.iter().map(|pause| pause.over.map_or(now, |(at, _)| at).saturating_sub(pause.at));
        (self.list.len() as u64, stood.fold(Duration::ZERO, Duration::saturating_add))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sentences::Language, units::Limit};

    #[test]
    fn a_pause_that_lasts_to_the_end_is_in_the_line() {
        let at = Duration::from_secs;
        let pause = Pause {
            limit: Limit::Bytes(20 << 20),
            usage: 16 << 20,
            unreclaimable: 16 << 20,
            at_limit: false,
            frozen: true,
        };
        let mut pauses = Pauses::default();
        let said = |pauses: &Pauses, now| Language::English.stood_paused(pauses.total(at(now)));
        assert_eq!(said(&pauses, 9), None);
        pauses.paused(at(2), pause);
        assert_eq!(said(&pauses, 9).as_deref(), Some("paused once, for 7.00 s"));
        pauses.resumed(at(3), Resume::Room);
        pauses.paused(at(5), pause);
        assert_eq!(said(&pauses, 9).as_deref(), Some("paused 2 times, for 5.00 s"));
        // Where the group was full nobody can promise that no call has failed.
        let (brink, _) = Language::English.paused(&pause, false);
        let (full, _) = Language::English.paused(&Pause { usage: 20 << 20, ..pause }, false);
        assert!(brink.contains("nothing has failed") && !full.contains("nothing has failed"), "{brink}; {full}");
    }
}
