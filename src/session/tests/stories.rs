//! The stories of kills, folded from made-up events.

use super::*;

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

fn tabled(host_pid: i32, rss: u64, swap: u64, oom_score_adj: i32) -> Tabled {
    Tabled {
        host_pid,
        pid: None,
        name: "fill".into(),
        rss,
        page_tables: 128 << 10,
        swap,
        oom_score_adj,
        exiting: false,
    }
}

/// A dump of the victim 501, with these processes in its table.
fn dump_of(scope: Scope, table: Vec<Tabled>) -> Event {
    Event::OomDump(Box::new(OomDump {
        host_pid: 501,
        scope,
        asker: None,
        usage: Some(60 * M),
        limit: Some(60 * M),
        limit_hits: None,
        table,
        left_out: 0,
        charged: None,
    }))
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
    let passed = |told: &crate::session::story::Story| {
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
    let table = vec![tabled(501, 56 * M, 30 * M, 0), tabled(502, M, 0, -100)];
    story.then(1, dump_of(Scope::Own, table));
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

#[test]
fn who_had_ended_before_a_group_kill_was_not_killed_with_the_victim() {
    let mut story = logged();
    let started = Started { kernel_log: true, oom: OomPolicy::Group, ..Started::plain(Controller::V1) };
    story.then(0, Event::Started(Box::new(Started { run: 2, ..started })));
    story.then(1, Event::Running { pid: 2, host_pid: Some(500) });
    let ended = process(503, 500, "sleep", M);
    story.then(1, born(vec![process(500, 1, "sh", M), process(501, 500, "fill", 40 * M), ended]));
    story.sample(60 * M, 1, 1);
    story
        .then(1, dump_of(Scope::Own, [500, 501].map(|pid| tabled(pid, M, 0, 0)).into()))
        .then(1, victim(501, "fill", None));
    // Only now is it seen that the first had ended, as all others did.
    story.then(1, Event::Processes(ProcessChanges { died: vec![500, 501, 503], ..ProcessChanges::default() }));
    story.end(Status::Signalled(9), Some(Stopped::OomGroup));
    let [told] = story.run().stories.told() else { panic!("one story") };
    assert!(told.is_of(500) && told.is_of(501) && !told.is_of(503), "{told:#?}");
    // Who was taken with the main process was not left behind by it.
    let run = story.run();
    let words = crate::sentences::Language::English;
    let left = |n| {
        let mut run = run.clone();
        run.ended.as_mut().expect("an end").1.left_behind = n;
        words.ended(&run).0
    };
    assert!(left(1).contains("all of the workload with it"), "{}", left(1));
    assert_eq!(left(1), left(0));
}

#[test]
fn a_sample_from_before_the_victim_grew_does_not_tell_where_the_limit_went() {
    for (anon, told) in [(39 * M, true), (20 * M, false)] {
        let mut story = logged();
        let stat = Some(MemoryStat { anon, ..MemoryStat::default() });
        let sample = |usage, kills| Sample {
            usage,
            peak: Some(60 * M),
            limit_hits: Some(1),
            oom_kills: Some(kills),
            stat,
            ..Sample::default()
        };
        story.then(1, Event::Sample(sample(anon, 0))).then(1, Event::Sample(sample(M, 1)));
        story.then(1, victim(501, "fill", None));
        let [kill] = story.run().stories.told() else { panic!("one story") };
        assert_eq!(kill.charged_then().is_some(), told, "{kill:#?}");
    }
}

#[test]
fn a_limit_above_that_killed_is_what_a_take_away_cautions_of() {
    let above = || Scope::Above { group: "/jobs".into() };
    let killed_for = |scopes: &[Scope]| {
        let mut story = logged();
        story.then(1, born(vec![process(500, 1, "sh", M), process(501, 500, "fill", 40 * M)]));
        for (n, scope) in scopes.iter().enumerate() {
            story.sample(40 * M, 0, n as u64 + 1).then(1, dump_of(scope.clone(), vec![tabled(501, 40 * M, 0, 0)]));
            story.then(1, victim(501, "fill", None));
            story.then(500, born(vec![process(501, 500, "fill", 40 * M)]));
        }
        story.end(Status::Exited(1), None);
        let said = crate::report::caution::said(story.run(), &story.session).join("\n");
        (story.run().stories.are_for_other_limits(), said)
    };
    let (others, said) = killed_for(&[above()]);
    assert!(others, "{said}");
    assert!(said.contains("(the limit of /jobs above was met): the limit of 60M was not what killed"), "{said}");
    assert!(!said.contains("It needs more than that"), "{said}");
    // One kill for its own limit is enough to say that it needs more.
    let (others, said) = killed_for(&[Scope::Own, above()]);
    assert!(!others && said.contains("It needs more than that"), "{said}");
}
