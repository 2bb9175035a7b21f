//! Play, pause, speed and jumps: where the cursor of a replay goes. Pure: time that passes is told to it.

use std::time::Duration;

use super::super::{input::Play, shown::Shown};
use crate::{
    event::{Event, Stamped},
    replay::Tape,
    session::Session,
};

/// The slowest and the fastest, as powers of two: 1/64 and 64 times.
const SPEEDS: std::ops::RangeInclusive<i32> = -6..=6;

/// A run that would be over in a blink is played slower, so that it lasts about this long.
const WATCHABLE: Duration = Duration::from_secs(6);

/// A recording that is being played.
pub struct Player {
    tape: Tape<Shown>,
    /// What all of it adds up to.
    pub whole: Session,
    /// Whether the workload had a terminal of its own: under `sandtop run` its streams are elsewhere.
    pub has_terminal: bool,
    /// Whether it plays.
    pub playing: bool,
    /// How fast, as a power of two.
    speed: i32,
    /// Where it starts: when the first run's main process was let go.
    start: Duration,
    /// Where it ends, which a longer recording beside it may put off.
    end: Duration,
}

impl Player {
    /// A recording, at its start and playing.
    pub fn new(events: Vec<Stamped>, rows: u16, cols: u16) -> Player {
        let of_terminal = |event: &Event| matches!(event, Event::Output(_) | Event::Resized { .. });
        let has_terminal = events.iter().any(|stamped| of_terminal(&stamped.event));
        let (mut tape, whole) = Tape::new(events, Shown::new(rows, cols));
        let end = tape.end();
        let start = whole.session.runs.first().map_or(tape.start(), |run| run.origin()).min(end);
        tape.seek(start);
        let length = end.saturating_sub(start);
        let speed = SPEEDS.filter(|speed| *speed <= 0).rfind(|speed| length.mul_f64(factor(-speed)) >= WATCHABLE);
        let (whole, speed) = (whole.session, speed.unwrap_or(-6));
        let mut player = Player { tape, whole, has_terminal, playing: true, speed, start, end };
        player.skip_waiting();
        player
    }

    /// Goes on until this moment, though nothing happens any more.
    pub fn reach(&mut self, end: Duration) {
        self.end = self.end.max(end);
    }

    /// What is shown now.
    pub fn shown(&self) -> &Shown {
        self.tape.state()
    }

    /// The cursor, the start and the end.
    pub fn times(&self) -> (Duration, Duration, Duration) {
        (self.tape.at(), self.start, self.end)
    }

    /// How fast: `1×`, `16×`, `1/4×`.
    pub fn speed(&self) -> String {
        match self.speed {
            n @ 0.. => format!("{}×", 1 << n),
            n => format!("1/{}×", 1 << -n),
        }
    }

    /// So much time has passed.
    pub fn pass(&mut self, time: Duration) {
        if !self.playing {
            return;
        }
        self.go(self.tape.at() + time.mul_f64(factor(self.speed)));
        self.skip_waiting();
        self.playing = self.tape.at() < self.end;
    }

    /// Nothing runs, and the next run is to come: nobody wants to wait for it.
    fn skip_waiting(&mut self) {
        let session = &self.tape.state().session;
        if self.playing
            && !session.is_alive()
            && let Some(next) = self.tape.next(|_| true)
        {
            self.go(next);
        }
    }

    /// Does what the user wants.
    pub fn obey(&mut self, wish: Play) {
        let (at, start, end) = self.times();
        let length = end.saturating_sub(start);
        match wish {
            Play::Pause if at >= end => {
                self.go(start);
                self.playing = true;
            }
            Play::Pause => self.playing = !self.playing,
            Play::Faster => self.speed = (self.speed + 1).min(*SPEEDS.end()),
            Play::Slower => self.speed = (self.speed - 1).max(*SPEEDS.start()),
            Play::By(percent) => {
                let by = length.mul_f64(f64::from(percent.unsigned_abs()) / 100.0);
                self.go(if percent < 0 { at.saturating_sub(by) } else { at + by });
            }
            Play::At(moment) => self.go_if(Some(moment)),
            Play::To(percent) => self.go(start + length.mul_f64(f64::from(percent) / 100.0)),
            // Where a line of the log came to be. The line itself may name an earlier moment: an end is told when all of it was read.
            Play::Event(true) => self.go_if(self.tape.next_told()),
            Play::Event(false) => self.go_if(self.tape.previous_told()),
            Play::Sample(forward) => {
                let there = match forward {
                    true => self.tape.next(|event| matches!(event, Event::Sample(_))),
                    false => self.tape.previous(|event| matches!(event, Event::Sample(_))),
                };
                self.go_if(there);
            }
        }
    }

    /// Jumps there, and stays: who looks for a moment wants to look at it.
    fn go_if(&mut self, there: Option<Duration>) {
        if let Some(there) = there {
            self.playing = false;
            self.go(there);
        }
    }

    fn go(&mut self, there: Duration) {
        self.tape.seek(there.clamp(self.start, self.end));
    }
}

fn factor(speed: i32) -> f64 {
    match speed {
        n @ 0.. => f64::from(1 << n),
        n => 1.0 / f64::from(1 << -n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two runs of `stress`, 0.1 s each, with seconds between them.
    fn player() -> Player {
        let lines = include_str!("../../../tests/data/stress-refused.jsonl").lines();
        Player::new(lines.map(|line| serde_json::from_str(line).expect("an event")).collect(), 10, 80)
    }

    #[test]
    fn a_short_run_is_played_slowly_and_to_its_end() {
        let mut player = player();
        assert!(player.playing);
        for _ in 0..100_000 {
            player.pass(Duration::from_millis(33));
            if !player.playing {
                break;
            }
        }
        let (at, _, end) = player.times();
        assert_eq!(at, end);
        assert_eq!(player.shown().session.log, player.whole.log);
        player.obey(Play::Pause); // again, from the start
        assert!(player.playing && player.times().0 < end);
    }

    #[test]
    fn jumps_go_from_event_to_event_and_stay_there() {
        let mut player = player();
        let mut visited = Vec::new();
        loop {
            player.obey(Play::Event(true));
            if visited.last() == Some(&player.times().0) {
                break;
            }
            visited.push(player.times().0);
        }
        assert!(visited.len() >= 5 && !player.playing, "{visited:?}");
        for place in visited.iter().rev().skip(1) {
            player.obey(Play::Event(false));
            assert_eq!(player.times().0, *place);
        }
        player.obey(Play::To(0));
        player.obey(Play::Sample(true));
        let one = player.times().0;
        player.obey(Play::Sample(true));
        assert!(player.times().0 > one);
        player.obey(Play::Sample(false));
        assert_eq!(player.times().0, one);
    }

    #[test]
    fn the_next_event_is_a_kill_whose_victim_has_a_name() {
        use crate::session::What;
        let lines = include_str!("../../../tests/data/kills.jsonl").lines();
        let mut events: Vec<Stamped> = lines.map(|line| serde_json::from_str(line).expect("an event")).collect();
        // As where the kernel's log is read a little later than the counter.
        let mut later = Duration::ZERO;
        for stamped in &mut events {
            later += Duration::from_millis(if matches!(stamped.event, Event::Victim(_)) { 5 } else { 0 });
            stamped.at += later;
        }
        let mut player = Player::new(events, 10, 80);
        let mut kills = 0;
        loop {
            let before = player.times().0;
            player.obey(Play::Event(true));
            if player.times().0 == before {
                break;
            }
            if let Some(What::OomKill { victim, .. }) = player.shown().session.log.last().map(|entry| &entry.what) {
                assert!(victim.is_some(), "at {:?} nobody is named", player.times().0);
                kills += 1;
            }
        }
        assert!(kills > 0);
    }

    #[test]
    fn the_next_event_goes_to_the_very_end_and_the_one_before_all_the_way_back() {
        // The main process ended before that was told: the last line of the log names an earlier moment than the event has.
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");
        let events = crate::record::read(std::path::Path::new(file)).unwrap().events;
        let mut player = Player::new(events, 10, 80);
        assert!(player.whole.log.last().unwrap().at < player.times().2);
        player.obey(Play::To(0));
        let mut visited = vec![player.times().0];
        loop {
            player.obey(Play::Event(true));
            if visited.last() == Some(&player.times().0) {
                break;
            }
            visited.push(player.times().0);
        }
        assert!(visited.len() > 2 && !player.playing);
        assert_eq!(player.shown().session.log, player.whole.log);
        assert!(!player.shown().session.is_alive(), "the end is shown");
        for place in visited.iter().rev().skip(1) {
            player.obey(Play::Event(false));
            assert_eq!(player.times().0, *place);
        }
        assert!(player.shown().session.is_alive());
    }

    #[test]
    fn a_run_whose_streams_were_elsewhere_is_known_by_that() {
        let whole = player();
        assert!(whole.has_terminal);
        let events = include_str!("../../../tests/data/stress-refused.jsonl").lines();
        let events = events.map(|line| serde_json::from_str::<Stamped>(line).expect("an event"));
        let silent = events.filter(|stamped| !matches!(stamped.event, Event::Output(_) | Event::Resized { .. }));
        assert!(!Player::new(silent.collect(), 10, 80).has_terminal);
    }

    #[test]
    fn speeds_have_ends() {
        let mut player = player();
        for _ in 0..20 {
            player.obey(Play::Faster);
        }
        assert_eq!(player.speed(), "64×");
        for _ in 0..20 {
            player.obey(Play::Slower);
        }
        assert_eq!(player.speed(), "1/64×");
    }
}
