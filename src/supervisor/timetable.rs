//! The schedule of one run, going off: which move of the limit is due when. A pure rule over instants.

use std::time::Instant;

use crate::schedule::{Move, Schedule};

/// The moves that are still to come.
#[derive(Debug)]
pub struct Timetable {
    moves: Vec<Move>,
    next: usize,
    started: Option<Instant>,
}

impl Timetable {
    /// Of a run that has not started. What the schedule has it start with is no move: the group is made so.
    pub fn new(schedule: &Schedule) -> Timetable {
        let next = usize::from(schedule.at_start().is_some());
        Timetable { moves: schedule.moves(), next, started: None }
    }

    /// The main process was let go: times count from now.
    pub fn start(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// The run is being ended: nothing is due any more.
    pub fn end(&mut self) {
        self.started = None;
    }

    fn at(&self, number: usize) -> Option<Instant> {
        self.started?.checked_add(self.moves.get(number)?.at)
    }

    /// When the next move is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.at(self.next)
    }

    /// Takes the move that is due, with its number. Of several that have become due only the last is made; while one is still being written
    /// (`writing`), those on the way of a ramp are left out.
    pub fn due(&mut self, now: Instant, writing: bool) -> Option<(usize, Move)> {
        let mut due = None;
        while self.at(self.next).is_some_and(|at| now >= at) {
            due = Some((self.next, self.moves[self.next]));
            self.next += 1;
        }
        due.filter(|(_, planned)| !(writing && planned.on_the_way))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn numbers(table: &mut Timetable, start: Instant, ms: &[u64], writing: bool) -> Vec<Option<usize>> {
        let at = |ms: &u64| table.due(start + Duration::from_millis(*ms), writing).map(|(number, _)| number);
        ms.iter().map(at).collect()
    }

    #[test]
    fn nothing_is_due_before_the_run_starts_and_each_move_once() {
        let start = Instant::now();
        let schedule = Schedule::parse("0s=200M,1s=120M,2s=60M", 0).unwrap();
        let mut table = Timetable::new(&schedule);
        assert_eq!((table.deadline(), table.due(start + Duration::from_secs(9), false)), (None, None));
        table.start(start);
        assert_eq!(table.deadline(), Some(start + Duration::from_secs(1)));
        assert_eq!(
            numbers(&mut table, start, &[999, 1000, 1001, 2000, 9000], false),
            [None, Some(1), None, Some(2), None]
        );
        assert_eq!(table.deadline(), None);
    }

    #[test]
    fn what_is_late_is_left_out_but_for_the_last() {
        let start = Instant::now();
        let schedule = Schedule::parse("1s=120M,2s=60M,3s..4s=60M..50M", 0).unwrap();
        let mut table = Timetable::new(&schedule);
        table.start(start);
        assert_eq!(numbers(&mut table, start, &[2500], false), [Some(1)]);
        // A ramp waits for no write, and its end is always written.
        assert_eq!(numbers(&mut table, start, &[3100, 3200, 4000], true), [None, None, Some(12)]);
    }
}
