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

impl Paused {
    /// How long it lasted, or has so far.
    fn stood(&self, now: Duration) -> Duration {
        self.over.map_or(now, |(at, _)| at).saturating_sub(self.at)
    }
}

/// The pauses of a run, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    list: Vec<Paused>,
    /// How many are not kept, and how long the workload stood in those.
    forgotten: (u64, Duration),
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

    /// How often it was paused, and for how long in all until now.
    pub fn total(&self, now: Duration) -> (u64, Duration) {
        let (pauses, stood) = self.forgotten;
        let kept = self.list.iter().map(|pause| pause.stood(now));
        (pauses + self.list.len() as u64, kept.fold(stood, Duration::saturating_add))
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
                    let oldest = self.list.remove(0);
                    let (pauses, stood) = self.forgotten;
                    self.forgotten = (pauses + 1, stood.saturating_add(oldest.stood(at)));
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
        // Those that are not kept count as well.
        pauses.resumed(at(9), Resume::Room);
        for n in 0..KEPT as u64 {
            pauses.paused(at(10 + 2 * n), pause);
            pauses.resumed(at(11 + 2 * n), Resume::Room);
        }
        assert_eq!(pauses.total(at(9999)), (2 + KEPT as u64, at(5 + KEPT as u64)));
        assert_eq!(pauses.list().len(), KEPT);
        // Where the group was full nobody can promise that no call has failed.
        let (brink, _) = Language::English.paused(&pause, false);
        let (full, _) = Language::English.paused(&Pause { usage: 20 << 20, ..pause }, false);
        assert!(brink.contains("nothing has failed") && !full.contains("nothing has failed"), "{brink}; {full}");
    }
}
