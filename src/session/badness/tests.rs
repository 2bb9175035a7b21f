//! The rule held to the kernel's own tables and choices, and the line as a run has it.

use std::time::Duration;

use super::*;
use crate::{
    event::{
        Controller::{V1, V2},
        Event, ProcessChanges, Stamped, Started,
    },
    session::{Session, verdict::tests::session},
};

const M: u64 = 1 << 20;

/// What the kernel printed of kills that it did, its tables of tasks among it.
const DUMPS: &str = include_str!("../../../tests/data/oom-dumps.txt");

/// A task in such a table.
#[derive(Clone, Copy, Debug)]
struct Task {
    pid: i32,
    /// Resident, in pages.
    rss: u64,
    /// What it comes to by our rule.
    points: i64,
}

/// What was printed: of each kill the tasks, and whom the kernel took.
fn dumps() -> Vec<(Vec<Task>, i32)> {
    let number = |text: &str, key: &str| -> u64 {
        let digits = text.split_once(key).unwrap_or_else(|| panic!("{key} in {text}")).1;
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
    };
    let (mut found, mut pages, mut columns, mut tasks) = (Vec::new(), 0, Vec::new(), Vec::new());
    for line in DUMPS.lines() {
        if line.starts_with("memory: usage") {
            pages = number(line, "limit ") / 4;
        } else if let Some(names) = line.strip_prefix("[  pid  ]") {
            columns = names.split_whitespace().collect();
        } else if line.starts_with("oom-kill:") {
            found.push((std::mem::take(&mut tasks), number(line, ",pid=") as i32));
        } else if let Some((pid, row)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let cells: Vec<&str> = row.split_whitespace().collect();
            let of = |name: &str| {
                let at = columns.iter().position(|column| *column == name).expect("a column");
                cells[at].parse::<i64>().expect("a number")
            };
            let (rss, adj) = (of("rss") as u64, of("oom_score_adj") as i32);
            let points = points(rss, of("pgtables_bytes") as u64, of("swapents") as u64, adj, pages);
            let pid = pid.trim().parse().expect("a pid");
            tasks.extend(points.map(|(points, _)| Task { pid, rss, points }));
        }
    }
    found
}

#[test]
fn of_the_kernels_own_table_the_rule_takes_whom_the_kernel_took() {
    let dumps = dumps();
    assert_eq!(dumps.len(), 11);
    for (tasks, taken) in &dumps {
        let first = tasks.iter().max_by_key(|task| task.points).expect("a task"); // of equals the last
        assert_eq!(first.pid, *taken, "{tasks:?}");
    }
    let largest = |tasks: &[Task]| tasks.iter().max_by_key(|task| task.rss).map(|task| task.pid);
    let others = dumps.iter().filter(|(tasks, taken)| largest(tasks) != Some(*taken)).count();
    assert!(others >= 6, "in {others} it was not the largest");
}

#[test]
fn the_rule_is_whole_pages() {
    // Two pages less a byte of page tables are one; a limit of 10,239 pages gives 10 for each point.
    assert_eq!(points(100, 2 * 4096 - 1, 20, 0, 10_239), Some((121, 0)));
    assert_eq!(points(100, 0, 0, 7, 10_239), Some((170, 70)));
    assert_eq!(points(100, 0, 0, -999, 10_239), Some((100 - 9990, -9990)));
    assert_eq!(points(100, 0, 0, -1000, 10_239), None);
    assert_eq!(points(u64::MAX, u64::MAX, u64::MAX, 1000, u64::MAX).map(|(points, _)| points), Some(i64::MAX));
}

/// Changes the numbers of a process, at a time.
fn now(session: &mut Session, ms: u64, host_pid: i32, change: impl FnOnce(&mut ProcessUsage)) {
    let mut usage = session.run().expect("a run").processes[&host_pid].process.usage;
    change(&mut usage);
    let changes = ProcessChanges { changed: vec![(host_pid, usage)], ..ProcessChanges::default() };
    session.apply(&Stamped { at: Duration::from_millis(ms), event: Event::Processes(changes) });
}

fn names(session: &Session) -> Vec<&str> {
    session.run().expect("a run").line().iter().map(|c| c.row.process.name.as_str()).collect()
}

#[test]
fn page_tables_and_swap_and_the_adjustment_count() {
    // Of 20M and 40M under 100M.
    let mut session = session(V1, |_, _, _| {});
    assert_eq!(names(&session), ["large", "small"]);
    now(&mut session, 100, 500, |usage| usage.page_tables = Some(20 * M));
    assert_eq!(names(&session), ["large", "small"]);
    now(&mut session, 101, 501, |usage| usage.page_tables = Some(M / 2));
    assert_eq!(names(&session), ["large", "small"]);
    now(&mut session, 102, 500, |usage| usage.swap = Some(M / 2));
    now(&mut session, 3000, 501, |usage| usage.cpu_ms += 1); // by then nobody grows
    let run = session.run().unwrap();
    let line = run.line();
    // 1M of files, 40M, 0.5M of page tables; 1M of files, 20M, 20M of page tables, 0.5M swapped out: of equals the later.
    assert_eq!(line.iter().map(Candidate::badness_bytes).collect::<Vec<_>>(), [41 * 1048576 + 524288; 2]);
    assert_eq!(names(&session), ["large", "small"]);
    now(&mut session, 3001, 500, |usage| usage.oom_score_adj = 100);
    let run = session.run().unwrap();
    let first = run.next_victim().expect("one");
    assert_eq!((first.row.process.host_pid, first.adj_bytes()), (500, 100 * 25 * 4096));
    assert_eq!(run.badness_of(first.row), Some(first.badness_bytes()));
    now(&mut session, 3002, 500, |usage| usage.oom_score_adj = -1000);
    assert_eq!(names(&session), ["large"]);
    assert_eq!(session.run().unwrap().badness_of(&session.run().unwrap().processes[&500]), None);
}

#[test]
fn what_was_not_read_is_ordered_and_not_told() {
    let session = session(V1, |_, _, _| {});
    let run = session.run().unwrap();
    assert!(run.line().iter().all(|candidate| !candidate.is_exact()));
    assert!(run.processes.values().all(|row| run.badness_of(row).is_none()));
}

#[test]
fn who_grows_is_counted_with_the_room_that_is_left() {
    // 60M of 100M are held, and the small one grows: it will be at 60M when memory runs out.
    let mut session = session(V1, |_, sample, _| {
        let stat = sample.stat.as_mut().expect("a reading");
        (stat.kernel, sample.usage) = (Some(0), stat.anon + stat.file);
    });
    now(&mut session, 10, 500, |usage| (usage.rss, usage.anon) = (22 * M, 21 * M));
    assert_eq!(names(&session), ["small", "large"]);
    let run = session.run().unwrap();
    let first = run.next_victim().expect("one");
    assert_eq!(first.then_bytes() - first.badness_bytes(), 40 << 20);
    assert!(first.badness < run.line()[1].badness);
    // Two that grow share what is left, by how fast they do.
    now(&mut session, 10, 501, |usage| (usage.rss, usage.anon) = (43 * M, 42 * M));
    let grows: Vec<i64> = session.run().unwrap().line().iter().map(|c| c.grows * 4096 / (1 << 20)).collect();
    assert_eq!(grows, [26, 13]);
    assert_eq!(names(&session), ["large", "small"]);
    // After a while in which nobody is told of, nobody grows.
    session.apply(&Stamped { at: Duration::from_secs(3), event: Event::Output(Vec::new()) });
    assert!(session.run().unwrap().line().iter().all(|candidate| candidate.grows == 0));
}

#[test]
fn the_adjustment_counts_in_what_the_group_may_have_with_its_swap() {
    let pages = |change: &dyn Fn(&mut Started, &mut crate::event::Settings), controller, limit| {
        let session = session(controller, |started, _, settings| change(started, settings));
        total_pages(session.run().unwrap(), limit) * page_size() / M
    };
    let limit = Limit::Bytes(100 * M);
    assert_eq!(pages(&|_, _| {}, V1, limit), 100);
    // v1: without swappiness nothing; else what its limit leaves, and no more than there is.
    let v1 = |swappiness, left, there: u64| {
        pages(
            &|started, settings| {
                started.swap_total = Some(there * M);
                (settings.swappiness, settings.swap_limit) = (Some(swappiness), left);
            },
            V1,
            limit,
        )
    };
    assert_eq!(v1(0, Some(Limit::Max), 50), 100);
    assert_eq!(v1(60, Some(Limit::Bytes(20 * M)), 50), 120);
    assert_eq!(v1(60, Some(Limit::Max), 50), 150);
    assert_eq!(v1(60, None, 50), 150, "swap is not counted");
    let v2 =
        |swap, there: u64| pages(&|started, _| (started.swap, started.swap_total) = (swap, Some(there * M)), V2, limit);
    assert_eq!((v2(None, 50), v2(Some(Limit::Bytes(20 * M)), 50), v2(Some(Limit::Max), 50)), (100, 120, 150));
    assert_eq!(pages(&|started, _| started.swap_total = Some(M), V2, Limit::Max), 8193, "the whole machine's");
}

#[test]
fn a_run_that_is_over_and_one_without_a_limit_have_nobody_next() {
    let mut session = session(V1, |started, _, _| started.limit = Limit::Max);
    assert_eq!(session.run().unwrap().next_victim(), None);
    assert_eq!(session.run().unwrap().line().len(), 2);
    let ended = crate::event::Ended {
        status: crate::event::Status::Exited(0),
        stopped: None,
        sent: None,
        left_behind: 0,
        wall: None,
    };
    session.apply(&Stamped { at: Duration::from_secs(1), event: Event::Ended(ended) });
    assert_eq!(session.run().unwrap().line(), []);
}
