//! Which stretch of a run the chart shows, and where its cursor stands. Pure.
//!
//! Left alone it follows: a run that lives shows its last minute, one that has ended all of it. A cursor holds the picture still until it is
//! taken back to the present.

use std::time::Duration;

use crate::session::Run;

/// Live, the picture shows at most the last minute.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The shortest stretch: the shortest runs are over in this time.
pub const LEAST: Duration = Duration::from_millis(20);

/// Zoomed in no further than this.
const CLOSEST: Duration = Duration::from_millis(2);

/// What of a run is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Viewport {
    /// The run that this is about: the next one is looked at anew.
    run: u32,
    /// How much time is shown, where the user chose that.
    span: Option<Duration>,
    /// Where the picture starts, where it stands still.
    from: Option<Duration>,
    /// The moment that the cursor is on; `None` follows the present.
    cursor: Option<Duration>,
}

/// The moments that a run's picture can show: from its start to its end, or to now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole {
    /// The run's number.
    pub run: u32,
    /// When its main process was let go.
    pub origin: Duration,
    /// Its end, or now.
    pub end: Duration,
    /// Whether it goes on.
    pub alive: bool,
}

impl Whole {
    /// Of a run, now.
    pub fn of(run: &Run, now: Duration) -> Whole {
        let (origin, ended) = (run.origin(), run.ended.as_ref().map(|(at, _)| *at));
        let end = ended.unwrap_or(now).max(origin + LEAST);
        Whole { run: run.started.run, origin, end, alive: ended.is_none() }
    }

    fn length(&self) -> Duration {
        self.end.saturating_sub(self.origin)
    }
}

impl Viewport {
    /// Where the cursor stands; `None` where it follows the present.
    pub fn cursor(&self, run: &Run) -> Option<Duration> {
        self.cursor.filter(|_| self.run == run.started.run)
    }

    /// Whether the user looks at something of his own choice.
    pub fn is_chosen(&self, run: &Run) -> bool {
        self.run == run.started.run && (self.span.is_some() || self.cursor.is_some())
    }

    /// The stretch that the user chose, if he did.
    pub fn chosen_span(&self, run: &Run) -> Option<Duration> {
        self.span.filter(|_| self.run == run.started.run)
    }

    /// The stretch that is shown.
    pub fn window(&self, whole: &Whole) -> (Duration, Duration) {
        let this = self.about(whole);
        let usual = if whole.alive { whole.length().min(WINDOW) } else { whole.length() };
        let span = this.span.unwrap_or(usual).min(whole.length()).max(CLOSEST);
        let latest = whole.end.saturating_sub(span).max(whole.origin);
        let from = this.from.unwrap_or(latest).clamp(whole.origin, latest);
        (from, from + span)
    }

    /// Closer by half, or away by as much, around the cursor or else up to the present.
    pub fn zoom(&mut self, whole: &Whole, closer: bool) {
        *self = self.about(whole);
        let (from, to) = self.window(whole);
        let shown = to.saturating_sub(from);
        let span = if closer { (shown / 2).max(CLOSEST) } else { shown * 2 };
        if span >= whole.length() {
            // All of it, however long it gets.
            (self.span, self.from) = (Some(Duration::MAX), None);
            return;
        }
        self.span = Some(span);
        self.from = self.cursor.map(|cursor| {
            let share = cursor.saturating_sub(from).as_secs_f64() / shown.as_secs_f64();
            cursor.saturating_sub(span.mul_f64(share.clamp(0.0, 1.0)))
        });
    }

    /// Moves the cursor by so many hundredths of what is shown. It starts from the present, and is gone when it is back there.
    pub fn pan(&mut self, whole: &Whole, hundredths: i32) {
        *self = self.about(whole);
        let (from, to) = self.window(whole);
        let step = to.saturating_sub(from).mul_f64(f64::from(hundredths.unsigned_abs()) / 100.0);
        let here = self.cursor.unwrap_or(whole.end);
        match hundredths < 0 {
            true => self.go(whole, here.saturating_sub(step)),
            false if here + step >= whole.end => self.follow(whole),
            false => self.go(whole, here + step),
        }
    }

    /// Puts the cursor on a moment, and the picture where it can be seen.
    pub fn go(&mut self, whole: &Whole, moment: Duration) {
        *self = self.about(whole);
        let (from, to) = self.window(whole);
        let span = to.saturating_sub(from);
        let moment = moment.clamp(whole.origin, whole.end);
        let start = match moment {
            _ if moment < from => moment.saturating_sub(span / 4),
            _ if moment > to => moment.saturating_sub(span * 3 / 4),
            _ => from,
        };
        (self.from, self.cursor) = (Some(start.max(whole.origin)), Some(moment));
        self.span = self.span.or(Some(span)); // it stands still while the run goes on
    }

    /// Back to the present.
    pub fn follow(&mut self, whole: &Whole) {
        *self = Viewport {
            run: whole.run,
            span: self.about(whole).span.filter(|span| *span < WINDOW),
            ..Viewport::default()
        };
    }

    fn about(&self, whole: &Whole) -> Viewport {
        if self.run == whole.run { *self } else { Viewport { run: whole.run, ..Viewport::default() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn whole(end: u64, alive: bool) -> Whole {
        Whole { run: 1, origin: ms(1_000), end: ms(end), alive }
    }

    #[test]
    fn left_alone_it_follows_a_run_that_lives_and_shows_all_of_one_that_ended() {
        let view = Viewport::default();
        assert_eq!(view.window(&whole(11_000, true)), (ms(1_000), ms(11_000)));
        assert_eq!(view.window(&whole(201_000, true)), (ms(141_000), ms(201_000)));
        assert_eq!(view.window(&whole(201_000, false)), (ms(1_000), ms(201_000)));
    }

    #[test]
    fn a_cursor_holds_the_picture_still_until_it_is_back_at_the_present() {
        let mut view = Viewport::default();
        view.pan(&whole(201_000, true), -50);
        assert_eq!((view.cursor, view.window(&whole(201_000, true))), (Some(ms(171_000)), (ms(141_000), ms(201_000))));
        assert_eq!(view.window(&whole(205_000, true)), (ms(141_000), ms(201_000)), "it goes on, the picture does not");
        view.pan(&whole(205_000, true), -100);
        assert_eq!(view.cursor, Some(ms(111_000)));
        let (from, to) = view.window(&whole(205_000, true));
        assert!(from <= ms(111_000) && ms(111_000) <= to);
        view.pan(&whole(205_000, true), 1000);
        assert_eq!((view.cursor, view.window(&whole(205_000, true))), (None, (ms(145_000), ms(205_000))));
    }

    #[test]
    fn zooming_keeps_the_cursor_where_it_is_on_the_picture() {
        let run = whole(101_000, false);
        let mut view = Viewport::default();
        view.go(&run, ms(26_000)); // a quarter of all
        view.zoom(&run, true);
        assert_eq!(view.window(&run), (ms(13_500), ms(63_500)));
        view.zoom(&run, false);
        assert_eq!(view.window(&run), (ms(1_000), ms(101_000)));
        for _ in 0..40 {
            view.zoom(&run, true);
        }
        let (from, to) = view.window(&run);
        assert_eq!(to - from, CLOSEST);
        assert!(from <= ms(26_000) && ms(26_000) <= to);
    }

    #[test]
    fn zoomed_out_it_shows_all_of_a_run_that_goes_on() {
        let mut view = Viewport::default();
        for _ in 0..4 {
            view.zoom(&whole(201_000, true), false);
        }
        assert_eq!(view.window(&whole(401_000, true)), (ms(1_000), ms(401_000)));
        view.follow(&whole(401_000, true));
        assert_eq!(view.window(&whole(401_000, true)), (ms(341_000), ms(401_000)));
    }

    #[test]
    fn the_next_run_is_looked_at_anew() {
        let mut view = Viewport::default();
        view.go(&whole(101_000, false), ms(2_000));
        view.zoom(&whole(101_000, false), true);
        let next = Whole { run: 2, origin: ms(200_000), end: ms(210_000), alive: true };
        assert_eq!(view.window(&next), (ms(200_000), ms(210_000)));
    }
}
