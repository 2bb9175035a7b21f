//! Stories told in events, and what they add up to.

use std::time::Duration;

use super::{living::DEAD_KEPT, outcome::*, *};
use crate::event::*;

mod stories;

const M: u64 = 1 << 20;

/// Tells a session event by event.
struct Story {
    session: Session,
    at: Duration,
}

impl Story {
    fn new() -> Story {
        let mut story = Story { session: Session::default(), at: Duration::ZERO };
        story.start(1);
        story
    }

    fn start(&mut self, run: u32) {
        let plain = Started::plain(Controller::V1);
        let started = Started { run, argv: vec!["stress".into()], limit_is_default: true, ..plain };
        self.then(0, Event::Started(Box::new(started)));
        self.then(1, Event::Running { pid: 2, host_pid: Some(500) });
    }

    fn then(&mut self, ms: u64, event: Event) -> &mut Story {
        self.at += Duration::from_millis(ms);
        self.session.apply(&Stamped { at: self.at, event });
        self
    }

    fn sample(&mut self, usage: u64, hits: u64, kills: u64) -> &mut Story {
        let sample =
            Sample { usage, peak: Some(usage), limit_hits: Some(hits), oom_kills: Some(kills), ..Sample::default() };
        self.then(5, Event::Sample(sample))
    }

    fn killed(&mut self, host_pid: i32) -> &mut Story {
        self.then(
            0,
            Event::Victim(Victim { host_pid, pid: Some(3), name: "stress".into(), held: 99 * M, ..Victim::default() }),
        )
    }

    fn end(&mut self, status: Status, stopped: Option<Stopped>) -> Outcome {
        self.then(1, Event::Ended(Ended { status, stopped, sent: None, left_behind: 0, wall: None }));
        self.run().outcome().unwrap()
    }

    fn run(&self) -> &Run {
        self.session.run().unwrap()
    }

    fn kills_told(&self) -> Vec<(u64, Option<i32>)> {
        let kills = self.session.log.iter().filter_map(|entry| match &entry.what {
            What::OomKill { count, victim, .. } => Some((*count, victim.as_ref().map(|v| v.host_pid))),
            _ => None,
        });
        kills.collect()
    }
}

#[test]
fn a_child_is_killed_and_its_parent_lives_to_say_so() {
    let mut story = Story::new();
    story.sample(50 * M, 0, 0).sample(100 * M, 90, 0).sample(M, 126, 1).killed(501);
    assert_eq!(story.end(Status::Exited(1), None), Outcome::OomSurvived);
    assert_eq!(story.kills_told(), [(1, Some(501))]);
    assert_eq!(story.run().peak, 100 * M);
}

#[test]
fn the_main_process_is_the_victim_by_name() {
    let mut story = Story::new();
    story.killed(500).sample(M, 126, 1);
    assert_eq!(story.end(Status::Signalled(9), None), Outcome::OomKilled);
    assert_eq!(story.kills_told(), [(1, Some(500))]);
}

#[test]
fn the_main_process_is_the_victim_by_the_moment_where_the_kernel_is_silent() {
    let mut story = Story::new();
    story.sample(M, 126, 1);
    assert_eq!(story.end(Status::Signalled(9), None), Outcome::OomKilled);
}

#[test]
fn a_kill_from_outside_is_no_oom_kill_even_after_one() {
    let mut story = Story::new();
    assert_eq!(story.end(Status::Signalled(9), None), Outcome::Signalled);
    let mut story = Story::new();
    story.sample(M, 126, 1).killed(501);
    assert_eq!(story.end(Status::Signalled(9), None), Outcome::Signalled);
}

#[test]
fn limit_hits_alone_are_no_kills() {
    let mut story = Story::new();
    story.sample(100 * M, 40_000, 0);
    assert_eq!(story.end(Status::Exited(0), None), Outcome::Exited);
    assert_eq!(story.kills_told(), []);
    assert!(story.session.log.iter().any(|e| matches!(e.what, What::FirstHit { .. })));
}

#[test]
fn why_we_ended_it_comes_first() {
    for (stopped, outcome, code) in [
        (Stopped::Timeout, Outcome::TimedOut, 124),
        (Stopped::Signal(15), Outcome::StoppedByUser, 143),
        (Stopped::User, Outcome::StoppedByUser, 137),
    ] {
        let mut story = Story::new();
        assert_eq!(story.end(Status::Signalled(9), Some(stopped)), outcome);
        assert_eq!(exit_code(&story.run().ended.as_ref().unwrap().1), code);
    }
}

#[test]
fn exit_codes_are_those_of_shells() {
    let code = |status| exit_code(&Ended { status, stopped: None, sent: None, left_behind: 0, wall: None });
    let failed = |step, errno| Status::FailedToStart(StartFailure { step, what: "x".into(), errno });
    assert_eq!(code(Status::Exited(3)), 3);
    assert_eq!(code(Status::Signalled(9)), 137);
    assert_eq!(code(failed(Step::Exec, 2)), 127);
    assert_eq!(code(failed(Step::Exec, 13)), 126);
    assert_eq!(code(failed(Step::Mount, 2)), 125);
    assert_eq!(code(Status::SandboxLost), 125);
}

#[test]
fn a_victims_pid_is_another_processs_later() {
    let process = Process {
        host_pid: 501,
        pid: Some(3),
        parent: 500,
        name: "x".into(),
        command: String::new(),
        heap_options: None,
        usage: ProcessUsage::default(),
    };
    let born = || Event::Processes(ProcessChanges { born: vec![process.clone()], ..ProcessChanges::default() });
    let victim = || Event::Victim(Victim { host_pid: 501, name: "x".into(), ..Victim::default() });
    for (after_ms, killed) in [(50, true), (20_000, false)] {
        let mut story = Story::new();
        story.then(1, victim());
        story.then(after_ms, born());
        assert_eq!(story.run().processes[&501].oom_killed, killed, "{after_ms} ms later");
    }
}

#[test]
fn a_process_that_only_takes_another_name_is_the_same_program() {
    let mut story = Story::new();
    let process = |name: &str, command: &str, cpu_ms| Process {
        host_pid: 501,
        pid: Some(3),
        parent: 500,
        name: name.into(),
        command: command.into(),
        heap_options: None,
        usage: ProcessUsage { rss: M, cpu_ms, ..ProcessUsage::default() },
    };
    let born = |process| Event::Processes(ProcessChanges { born: vec![process], ..ProcessChanges::default() });
    let row = |story: &Story| story.run().processes[&501].clone();
    story.then(1, born(process("java", "java -XX:MaxRAMPercentage=50 -jar a.jar", 0)));
    let first = row(&story);
    let heap = first.heap.clone().expect("it has decided on one");
    // The limit moves, and half of a core's time later it names itself.
    let (target, by) = (Limit::Bytes(800 * M), Author::User);
    story.then(1, Event::LimitDone { target, by, outcome: LimitOutcome::Applied { now: target } });
    story.then(999, born(process("indexer", "java -XX:MaxRAMPercentage=50 -jar a.jar", 500)));
    let renamed = row(&story);
    assert_eq!((renamed.process.name.as_str(), renamed.process.usage.cpu_ms), ("indexer", 500));
    assert_eq!((renamed.since, renamed.heap, renamed.cpu), (first.since, Some(heap), 50.0));
    // Another command line is another program, and so is who comes after one that died.
    story.then(500, born(process("java", "java -jar b.jar", 600)));
    let other = row(&story);
    assert_eq!((other.since, other.cpu), (story.at, 0.0));
    story.then(1, Event::Processes(ProcessChanges { died: vec![501], ..ProcessChanges::default() }));
    story.then(1, born(process("java", "java -jar b.jar", 0)));
    assert_eq!((row(&story).since, row(&story).died), (story.at, None));
}

#[test]
fn kills_in_quick_succession_are_one_counted_line() {
    let mut story = Story::new();
    for n in 1..=16 {
        story.sample(100 * M, n, n).killed(500 + n as i32);
    }
    assert_eq!(story.kills_told(), [(16, Some(516))]);
    story.then(5000, Event::Note(Note::Thinned { dropped: 1 })).sample(100 * M, 17, 17);
    assert_eq!(story.kills_told().len(), 2);
}

#[test]
fn the_limit_follows_what_the_kernel_says() {
    let mut story = Story::new();
    let target = Limit::Bytes(80 * M);
    let by = Author::User;
    let done = |outcome| Event::LimitDone { target, by, outcome };
    story.then(1, Event::LimitRequested { target, by });
    assert_eq!(story.run().moves.ordered_last(), Some(target));
    assert!(story.run().limit_is_default);
    story.then(1, done(LimitOutcome::Applied { now: target }));
    assert_eq!((story.run().limit, story.run().moves.ordered_last()), (target, None));
    assert!(!story.run().limit_is_default, "a limit that was moved was chosen");
    story.then(1, done(LimitOutcome::Busy { usage: 90 * M, kept: Limit::Bytes(95 * M) }));
    assert_eq!(story.run().limit, Limit::Bytes(95 * M));
}

#[test]
fn a_limit_chosen_after_the_end_is_the_next_runs() {
    let mut story = Story::new();
    story.end(Status::Exited(0), None);
    let target = Limit::Bytes(300 * M);
    story.then(1, Event::LimitDone { target, by: Author::User, outcome: LimitOutcome::NextRun });
    assert_eq!(story.session.limit(), Some(target));
    assert_eq!(story.run().limit, Limit::Bytes(100 * M));
    story.start(2);
    assert_eq!(story.session.runs.len(), 2);
    assert!(story.session.is_alive());
}

#[test]
fn the_dead_stay_to_be_seen_and_do_not_pile_up() {
    let mut story = Story::new();
    for pid in 1000..1100 {
        let process = Process {
            host_pid: pid,
            pid: None,
            parent: 1,
            name: "x".into(),
            command: String::new(),
            heap_options: None,
            usage: ProcessUsage::default(),
        };
        story.then(1, Event::Processes(ProcessChanges { born: vec![process], ..Default::default() }));
        if pid == 1000 {
            story.killed(1000);
        }
        story.then(1, Event::Processes(ProcessChanges { died: vec![pid], ..Default::default() }));
    }
    let rows = &story.run().processes;
    assert_eq!(rows.len(), DEAD_KEPT);
    assert!(rows[&1000].oom_killed && rows.contains_key(&1099));
}

#[test]
fn cpu_is_measured_over_at_least_half_a_second() {
    let mut story = Story::new();
    let usage = |cpu_ms| ProcessUsage { cpu_ms, ..Default::default() };
    let process = Process {
        host_pid: 7,
        pid: None,
        parent: 1,
        name: "x".into(),
        command: String::new(),
        heap_options: None,
        usage: usage(0),
    };
    story.then(1, Event::Processes(ProcessChanges { born: vec![process], ..Default::default() }));
    let change = |cpu_ms| Event::Processes(ProcessChanges { changed: vec![(7, usage(cpu_ms))], ..Default::default() });
    story.then(100, change(100));
    assert_eq!(story.run().processes[&7].cpu, 0.0);
    story.then(900, change(500));
    assert_eq!(story.run().processes[&7].cpu, 50.0);
    // One that stops is told of no more: it is idle, and not for ever as busy as it was.
    let shown = |after| story.run().cpu(&story.run().processes[&7], story.session.now + Duration::from_secs(after));
    assert_eq!((shown(1), shown(10)), (50.0, 0.0));
}

#[test]
fn a_key_that_is_held_against_a_refusal_is_one_refusal() {
    let mut story = Story::new();
    for n in (40..90).rev() {
        let outcome = LimitOutcome::Busy { usage: 91 * M, kept: Limit::Bytes(100 * M) };
        story.then(30, Event::LimitDone { target: Limit::Bytes(n * M), by: Author::User, outcome });
    }
    let refusals: Vec<&What> =
        story.session.log.iter().map(|e| &e.what).filter(|w| matches!(w, What::LimitBusy { .. })).collect();
    assert_eq!(refusals.len(), 1);
    assert!(
        matches!(refusals[0], What::LimitBusy { target: Limit::Bytes(n), .. } if *n == 40 * M),
        "the last one stays"
    );
}

#[test]
fn on_v2_a_kill_during_a_write_is_the_new_limits_and_stands_after_it() {
    let mut story = Story::new();
    story.session.runs[0].started.controller = Controller::V2;
    story.then(5, Event::LimitRequested { target: Limit::Bytes(20 * M), by: Author::User });
    story.sample(60 * M, 1, 1);
    let now = Limit::Bytes(20 * M);
    story.then(5, Event::LimitDone { target: now, by: Author::User, outcome: LimitOutcome::Applied { now } });
    let told: Vec<&What> = story.session.log.iter().map(|entry| &entry.what).collect();
    assert!(told.iter().any(|w| matches!(w, What::OomKill { limit, count: 1, .. } if *limit == now)), "{told:?}");
    let moved = told.iter().position(|what| matches!(what, What::LimitMoved { .. })).unwrap();
    let killed = told.iter().position(|what| matches!(what, What::OomKill { .. })).unwrap();
    assert!(moved < killed, "{told:?}");
    assert_eq!(story.session.runs[0].history.points().last().map(|p| p.limit), Some(now));
}

#[test]
fn a_main_process_that_was_alone_is_the_victim_however_late_its_end_is_seen() {
    // Without the kernel's log: one kill, nobody else has died, and half a second until init has told.
    let mut story = Story::new();
    story.sample(90 * M, 3, 1);
    story.then(500, Event::Processes(ProcessChanges { died: vec![500], ..ProcessChanges::default() }));
    assert_eq!(story.end(Status::Signalled(9), None), Outcome::OomKilled);
    // Somebody else has died: that was it, and the signal came from elsewhere.
    let mut story = Story::new();
    story.sample(90 * M, 3, 1);
    story.then(500, Event::Processes(ProcessChanges { died: vec![501, 500], ..ProcessChanges::default() }));
    assert_eq!(story.end(Status::Signalled(9), None), Outcome::Signalled);
}

#[test]
fn a_main_process_that_alone_was_large_is_the_victim_though_small_ones_died_before() {
    // Without the kernel's log: a script that ran a few programs has become the one that is killed.
    let of_size = |host_pid, anon| Process {
        host_pid,
        pid: None,
        parent: 1,
        name: "x".into(),
        command: String::new(),
        heap_options: None,
        usage: ProcessUsage { anon, rss: anon, ..ProcessUsage::default() },
    };
    for (child, outcome) in [(M, Outcome::OomKilled), (50 * M, Outcome::Signalled)] {
        let mut story = Story::new();
        let born = vec![of_size(500, 60 * M), of_size(501, child)];
        story.then(1, Event::Processes(ProcessChanges { born, ..ProcessChanges::default() }));
        story.sample(90 * M, 3, 0).sample(90 * M, 3, 1);
        story.then(100, Event::Processes(ProcessChanges { died: vec![501], ..ProcessChanges::default() }));
        story.then(145, Event::Processes(ProcessChanges { died: vec![500], ..ProcessChanges::default() }));
        assert_eq!(story.end(Status::Signalled(9), None), outcome);
    }
}

/// A run with a schedule.
fn scheduled(text: &str) -> Story {
    let mut story = Story::new();
    let mut started = story.run().started.clone();
    started.schedule = crate::schedule::Schedule::parse(text, 0).unwrap();
    started.limit = started.schedule.at_start().unwrap_or(started.limit);
    started.run = 2;
    story.then(0, Event::Started(Box::new(started)));
    story.then(1, Event::Running { pid: 2, host_pid: Some(500) });
    story
}

#[test]
fn a_ramp_is_one_entry_and_one_mark_and_every_move_is_kept() {
    let mut story = scheduled("0s=200M,1s..2s=200M..80M");
    let moves: Vec<_> = story.run().moves.planned.iter().map(|planned| planned.planned).collect();
    for (number, planned) in moves.iter().enumerate().skip(1) {
        let (by, target) = (Author::Schedule { number }, planned.to);
        story.then(99, Event::LimitRequested { target, by });
        story.then(1, Event::LimitDone { target, by, outcome: LimitOutcome::Applied { now: target } });
    }
    let told: Vec<&What> = story
        .session
        .log
        .iter()
        .map(|entry| &entry.what)
        .filter(|what| matches!(what, What::LimitMoved { .. }))
        .collect();
    assert!(
        matches!(told[..], [What::LimitMoved { from: Limit::Bytes(from), to: Limit::Bytes(to), .. }] if (*from, *to) == (200 * M, 80 * M)),
        "{told:?}"
    );
    assert_eq!(story.run().marks.len(), 1);
    assert_eq!(story.run().moves.made.len(), 10, "the first is where it was");
    // Somebody's own edit in between is an entry of its own, and what comes after it too.
    let by = Author::User;
    let target = Limit::Bytes(90 * M);
    story.then(1, Event::LimitDone { target, by, outcome: LimitOutcome::Applied { now: target } });
    let target = Limit::Bytes(80 * M);
    let by = Author::Schedule { number: 11 };
    story.then(1, Event::LimitDone { target, by, outcome: LimitOutcome::Applied { now: target } });
    assert_eq!(story.session.log.iter().filter(|entry| matches!(entry.what, What::LimitMoved { .. })).count(), 3);
}

#[test]
fn with_a_schedule_the_next_run_starts_as_this_one_did() {
    let mut story = scheduled("0s=200M,1s=80M");
    let (target, by) = (Limit::Bytes(80 * M), Author::Schedule { number: 1 });
    story.then(1000, Event::LimitDone { target, by, outcome: LimitOutcome::Applied { now: target } });
    assert_eq!(story.session.limit(), Some(target));
    let ended = Ended { status: Status::Exited(0), stopped: None, sent: None, left_behind: 0, wall: None };
    story.then(1, Event::Ended(ended));
    assert_eq!(story.session.limit(), Some(Limit::Bytes(200 * M)));
}
