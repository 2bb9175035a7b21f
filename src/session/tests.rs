//! Stories told in events, and what they add up to.

use std::time::Duration;

use super::{living::DEAD_KEPT, outcome::*, *};
use crate::event::*;

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

/// A run whose kernel's log is read.
fn logged() -> Story {
    let mut story = Story { session: Session::default(), at: Duration::ZERO };
    let plain = Started::plain(Controller::V2);
    let started = Started { argv: vec!["sh".into()], kernel_log: true, limit: Limit::Bytes(60 * M), ..plain };
    story.then(0, Event::Started(Box::new(started)));
    story.then(1, Event::Running { pid: 2, host_pid: Some(500) });
    story
}

fn victim(host_pid: i32, name: &str, killed_with: Option<i32>) -> Event {
    let held = 40 * M;
    Event::Victim(Victim { host_pid, name: name.into(), held, killed_with, ..Victim::default() })
}

fn process(host_pid: i32, parent: i32, name: &str, anon: u64) -> Process {
    let usage = ProcessUsage { rss: anon, anon, counted: Some(anon), page_tables: Some(0), ..ProcessUsage::default() };
    Process {
        host_pid,
        pid: Some(host_pid - 498),
        parent,
        name: name.into(),
        command: name.into(),
        heap_options: None,
        usage,
    }
}

fn born(processes: Vec<Process>) -> Event {
    Event::Processes(ProcessChanges { born: processes, ..ProcessChanges::default() })
}

#[test]
fn a_group_kill_is_one_story_whenever_it_is_counted() {
    // The kernel kills, prints and counts the chosen one twice.
    let named = [("fill", 501, None), ("sh", 500, Some(501)), ("fill", 501, Some(501)), ("sleep", 502, Some(501))];
    let names = |story: &mut Story| {
        for (name, host_pid, with) in named {
            story.then(1, victim(host_pid, name, with));
        }
    };
    let counted_last = |story: &mut Story| {
        names(story);
        story.sample(M, 3, 4);
    };
    let counted_first = |story: &mut Story| {
        story.sample(M, 3, 4);
        names(story);
    };
    let between = |story: &mut Story| {
        story.sample(M, 3, 2);
        names(story);
        story.sample(M, 3, 4);
    };
    let by_setting = |story: &mut Story| {
        story.then(0, Event::Settings(Box::new(Settings { oom_group: Some(true), ..Settings::default() })));
        story.sample(M, 3, 2);
        story.sample(M, 3, 4);
        names(story);
    };
    let orders: [&dyn Fn(&mut Story); 4] = [&counted_last, &counted_first, &between, &by_setting];
    for (n, order) in orders.into_iter().enumerate() {
        let mut story = logged();
        story.sample(60 * M, 1, 0);
        order(&mut story);
        story.end(Status::Signalled(9), None);
        let stories = &story.run().stories;
        let [told] = stories.told() else { panic!("{n}: {:#?}", stories.told()) };
        assert_eq!((told.kills, told.repeated, told.processes(), stories.forgotten()), (4, 1, 3, 0), "{n}");
        assert!(told.is_of_chosen(501) && told.is_of(500) && told.is_of(502), "{n}: {told:?}");
        assert_eq!(told.group_kill, Some(GroupKill::Kernel), "{n}");
        assert_eq!(story.run().victims.len(), 3, "{n}: nobody is named twice");
        let said = crate::sentences::Language::English.told(told, story.run());
        assert!(said.head.contains("fill") && said.head.contains("and 2 other processes"), "{n}: {said:?}");
        let with = said.facts.iter().find(|(about, _)| *about == "killed with it").expect("a fact");
        assert!(
            with.1.contains("sh (") && with.1.contains("sleep (") && with.1.contains("memory.oom.group"),
            "{with:?}"
        );
    }
}

#[test]
fn whom_sandtop_kills_for_oom_group_is_part_of_the_story() {
    let mut story = logged();
    let started = Started { kernel_log: true, oom: OomPolicy::Group, ..Started::plain(Controller::V1) };
    story.then(0, Event::Started(Box::new(Started { run: 2, ..started })));
    story.then(1, Event::Running { pid: 2, host_pid: Some(500) });
    story.then(
        1,
        born(vec![process(500, 1, "sh", M), process(501, 500, "fill", 40 * M), process(502, 500, "sleep", M)]),
    );
    story.sample(60 * M, 1, 1);
    story.then(1, victim(501, "fill", None));
    story.end(Status::Signalled(9), Some(Stopped::OomGroup));
    let [told] = story.run().stories.told() else { panic!("one story") };
    assert_eq!((told.group_kill, told.processes(), told.kills), (Some(GroupKill::Sandtop), 3, 1));
    assert!(told.is_of(500) && told.is_of(502));
}

#[test]
fn who_is_dying_already_is_no_bystander() {
    let mut story = logged();
    let exiting = Process {
        usage: ProcessUsage { exiting: true, ..process(503, 500, "x", 35 * M).usage },
        ..process(503, 500, "late", 35 * M)
    };
    story.then(1, born(vec![process(501, 500, "vm", 50 * M), process(502, 500, "vm", 30 * M), exiting]));
    story.sample(60 * M, 1, 1);
    story.then(0, victim(501, "vm", None));
    story.sample(60 * M, 2, 2);
    story.then(0, victim(502, "vm", None));
    let run = story.run();
    let [first, second] = run.stories.told() else { panic!("two stories") };
    let passed = |told: &super::Story| {
        let mut all: Vec<_> = told.line.0.iter().map(|of| (of.host_pid, of.passed_over)).collect();
        all.sort_unstable_by_key(|(pid, _)| *pid);
        all
    };
    let (killed, exiting) = (Some(PassedOver::KilledBefore), Some(PassedOver::Exiting));
    assert_eq!(passed(first), [(501, None), (502, None), (503, exiting)]);
    assert_eq!(passed(second), [(501, killed), (502, None), (503, exiting)]);
    let said = crate::sentences::Language::English.told(second, run);
    let why = &said.facts.iter().find(|(about, _)| *about == "why that one").expect("a reason").1;
    assert!(why.starts_with("the largest badness of those that the kernel could take: 30M (30M resident)"), "{why}");
    assert!(why.contains("50M (killed a moment before)") && why.contains("35M (exiting)"), "{why}");
    // And neither is next.
    assert_eq!(run.next_victim().map(|next| next.row.process.host_pid), None);
}

#[test]
fn a_badness_is_told_part_by_part_and_the_parts_add_up() {
    let mut story = logged();
    let row = |host_pid, rss, swap, oom_score_adj| Tabled {
        host_pid,
        pid: None,
        name: "fill".into(),
        rss,
        page_tables: 128 << 10,
        swap,
        oom_score_adj,
        exiting: false,
    };
    let dump = OomDump {
        host_pid: 501,
        scope: Scope::Own,
        asker: None,
        usage: Some(60 * M),
        limit: Some(60 * M),
        limit_hits: None,
        table: vec![row(501, 56 * M, 30 * M, 0), row(502, M, 0, -100)],
        left_out: 0,
        charged: None,
    };
    story.then(1, Event::OomDump(Box::new(dump)));
    story.then(1, victim(501, "fill", None));
    story.sample(M, 1, 1);
    let [told] = story.run().stories.told() else { panic!("one story") };
    for of in &told.line.0 {
        let parts = of.parts;
        let held = (parts.resident + parts.swapped + parts.page_tables) as i64;
        assert_eq!(of.badness, held + parts.adjusted + parts.growth, "{of:?}");
    }
    let said = crate::sentences::Language::English.told(told, story.run());
    let why = &said.facts.iter().find(|(about, _)| *about == "why that one").expect("a reason").1;
    assert!(why.contains("86.1M (56M resident, 30M swapped out, 128K page tables)"), "{why}");
    assert!(!why.contains("charged"), "{why}");
}

#[test]
fn what_the_kill_gave_back_is_not_said_to_be_kept() {
    for (left, said_of_it) in [(0, None), (50 * M, Some("50M of shared memory or files in tmpfs"))] {
        let mut story = logged();
        let sample = |usage, shmem, kernel, kills| {
            Event::Sample(Sample {
                usage,
                peak: Some(60 * M),
                limit_hits: Some(1),
                oom_kills: Some(kills),
                stat: Some(MemoryStat { shmem, kernel: Some(kernel), anon: 4 * M, ..MemoryStat::default() }),
                ..Sample::default()
            })
        };
        story.then(5, sample(60 * M, 50 * M, 6 * M, 0));
        story.then(5, sample(60 * M, 50 * M, 6 * M, 1));
        story.then(1, victim(501, "fill", None));
        story.then(5, sample(left + 2 * M, left, M, 1));
        let [told] = story.run().stories.told() else { panic!("one story") };
        let said = crate::sentences::Language::English.told(told, story.run());
        let fact = |name: &str| said.facts.iter().find(|(about, _)| *about == name).map(|(_, fact)| fact.as_str());
        assert_eq!(told.shmem_left(), Some(left));
        assert_eq!(fact("not freed").is_some(), said_of_it.is_some(), "{said:?}");
        assert!(said_of_it.is_none_or(|part| fact("not freed").unwrap().starts_with(part)), "{said:?}");
        let used = fact("in use by").expect("where the limit went");
        let freed = if left == 0 { ", freed by the kill" } else { "" };
        assert!(used.contains(&format!("shared memory and tmpfs 50M{freed}; ")), "{used}");
        assert!(used.contains("the kernel 6M, 5M of it freed by the kill"), "{used}");
    }
}

#[test]
fn kills_of_the_same_program_by_the_same_parent_are_one_story_in_a_report() {
    let mut story = logged();
    story.then(1, born(vec![process(500, 1, "sh", M)]));
    for n in 1..=20 {
        story.then(1000, born(vec![process(500 + n, 500, "worker", 50 * M)]));
        story.sample(60 * M, n as u64, n as u64);
        story.then(0, victim(500 + n, "worker", None));
        story.then(1, Event::Processes(ProcessChanges { died: vec![500 + n], ..ProcessChanges::default() }));
    }
    story.then(1, born(vec![process(600, 500, "other", 50 * M)]));
    story.sample(60 * M, 21, 21);
    story.then(0, victim(600, "other", None));
    let document = crate::result::run_document(story.run(), &story.session);
    let series = crate::result::series(&document.stories);
    assert_eq!(series.iter().map(|same| same.len()).collect::<Vec<_>>(), [20, 1]);
    let head = crate::sentences::Language::English.series(series[0]);
    assert!(head.starts_with("20 OOM kills of worker, started by sh (pid 2), from "), "{head}");
}

/// A victim that the kernel printed at this moment of its own.
fn printed(host_pid: i32, printed_us: u64, by_count: bool) -> Event {
    let printed_us = Some(printed_us);
    Event::Victim(Victim { host_pid, name: "x".into(), held: M, printed_us, by_count, ..Victim::default() })
}

fn in_stories(story: &Story) -> Vec<i32> {
    let told = story.run().stories.told();
    told.iter().map(|told| told.who.as_ref().map_or(0, |(who, _)| who.host_pid)).collect()
}

#[test]
fn kills_stand_in_the_order_in_which_the_kernel_printed_them() {
    // Of two the later one is named first: nobody had seen the earlier one, which is claimed late.
    for counted in [&[2][..], &[1, 2]] {
        let mut story = logged();
        for kills in counted {
            story.sample(60 * M, *kills, *kills);
        }
        story.then(1, printed(502, 9000, false)).then(30, printed(501, 8000, true));
        assert_eq!(in_stories(&story), [501, 502], "{counted:?}");
        let at: Vec<Duration> = story.run().stories.told().iter().map(|told| told.at).collect();
        assert!(at.is_sorted(), "{at:?}");
    }
    // One without a name stands between.
    let mut story = logged();
    for kills in 1..=4 {
        story.sample(60 * M, kills, kills);
    }
    story.then(1, printed(503, 9000, false)).then(1, printed(504, 9500, false)).then(1, printed(501, 7000, true));
    assert_eq!(in_stories(&story).into_iter().filter(|pid| *pid != 0).collect::<Vec<_>>(), [501, 503, 504]);
}

#[test]
fn a_victim_that_was_ours_by_the_count_alone_gives_way_to_one_that_is_ours() {
    let mut story = logged();
    story.sample(60 * M, 1, 1).then(1, printed(901, 8000, true));
    assert_eq!(in_stories(&story), [901]);
    story.then(1, printed(501, 9000, false));
    assert_eq!(in_stories(&story), [501], "one story for one kill");
    let victims: Vec<i32> = story.run().victims.iter().map(|victim| victim.host_pid).collect();
    assert_eq!(victims, [501]);
    // The next kill has its own.
    story.sample(60 * M, 2, 2).then(1, printed(502, 9900, false));
    assert_eq!(in_stories(&story), [501, 502]);
    assert_eq!(story.run().stories.forgotten(), 0);
}

#[test]
fn what_a_kill_freed_is_not_told_where_no_sample_saw_it() {
    let mut story = logged();
    story.sample(60 * M, 1, 1).then(0, victim(501, "x", None)).sample(60 * M, 2, 1);
    story.sample(60 * M, 3, 2).then(0, victim(502, "x", None)).sample(20 * M, 3, 2);
    let [first, second] = story.run().stories.told() else { panic!("two stories") };
    assert_eq!((first.after, first.charged_after), (None, None));
    assert_eq!(second.after.map(|after| after.usage), Some(20 * M));
    let said = crate::sentences::Language::English.told(first, story.run());
    let fact = said.facts.iter().find(|(about, _)| *about == "before, after").expect("a fact");
    assert!(fact.1.ends_with("memory ran out again before a sample saw what the kill freed"), "{fact:?}");
    // A victim that does not get the CPU dies late: what it gave back is seen then.
    let mut story = logged();
    story.sample(60 * M, 1, 1).then(0, victim(501, "x", None)).sample(60 * M, 2, 1);
    story.then(800, Event::Note(Note::Thinned { dropped: 1 })).sample(5 * M, 2, 1);
    assert_eq!(story.run().stories.told()[0].after.map(|after| after.usage), Some(5 * M));
    // Where it is dead for long, that nothing was freed is what is known.
    let mut story = logged();
    story.then(1, born(vec![process(501, 500, "x", 50 * M)])).sample(60 * M, 1, 1).then(0, victim(501, "x", None));
    story.then(1, Event::Processes(ProcessChanges { died: vec![501], ..ProcessChanges::default() }));
    story.then(200, Event::Note(Note::Thinned { dropped: 1 })).sample(60 * M, 2, 1).sample(60 * M, 3, 2);
    assert_eq!(story.run().stories.told()[0].after.map(|after| after.usage), Some(60 * M));
}

#[test]
fn a_process_that_the_kernel_counts_twice_is_one_wherever_kills_are_told() {
    let mut story = logged();
    story.sample(60 * M, 1, 0).sample(M, 3, 3);
    story.then(1, victim(501, "fill", None)).then(1, victim(500, "sh", Some(501)));
    story.then(1, victim(501, "fill", Some(501)));
    story.end(Status::Signalled(9), None);
    let (run, session) = (story.run(), &story.session);
    assert_eq!((run.oom_kills(), run.processes_killed(), run.oom_kills_shown()), (Some(3), Some(2), Some(2)));
    assert_eq!(story.kills_told().iter().map(|(count, _)| count).sum::<u64>(), 2);
    let words = crate::sentences::Language::English;
    let (line, _) = words.ended(run);
    assert!(line.contains("the OOM killer took 2 processes"), "{line}");
    let evidence = words.evidence(run);
    let counted = "3 OOM kills, 1 of them of a process that was counted before";
    assert!(evidence.iter().any(|(fact, _)| fact == counted), "{evidence:?}");
    let document = crate::result::run_document(run, session);
    assert_eq!((document.oom_kills, document.oom_kills_repeated, document.processes_killed()), (Some(3), 1, Some(2)));
}
