//! The rows of the process table: which, in what order, and the one that the user stands on. Pure.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::{
    event::Process,
    session::{Row, Run},
};

/// A workload that respawns what is killed would fill the table with the dead: only the newest stay.
const KILLED_SHOWN: usize = 4;

/// A process that ended by itself is shown this long.
const FADE: Duration = Duration::from_secs(2);

/// What the table is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// The pid inside, else that outside: the order in which they came.
    #[default]
    Pid,
    /// Its share of a CPU.
    Cpu,
    /// What it has in memory.
    Rss,
    /// What of it is swapped out.
    Swap,
    /// How many threads it has.
    Threads,
    /// What it does: those that run first, those that wait for a disk next.
    State,
    /// Its share of the memory: what is its own, and not a file's.
    Share,
    /// Its place in line for the OOM killer.
    Next,
    /// Its command.
    Command,
}

/// The columns in their order on the screen.
const COLUMNS: [Column; 9] = [
    Column::Pid,
    Column::Cpu,
    Column::Rss,
    Column::Swap,
    Column::Threads,
    Column::State,
    Column::Share,
    Column::Next,
    Column::Command,
];

/// States in the order in which they matter (proc(5)); what else there is comes last.
const STATES: &str = "RDTtZSI";

/// How the table is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// A list, and not a tree.
    pub flat: bool,
    /// What it is ordered by; in a tree, those of one parent.
    pub by: Column,
    /// The other way round.
    pub reversed: bool,
    /// Only those that have this in their pid or command; empty for all.
    pub filter: String,
}

impl Order {
    /// The next column (`true`), or the one before. Who orders by a size wants to see the largest: of all, not of each parent's.
    pub fn turn(&mut self, forward: bool) {
        let here = COLUMNS.iter().position(|column| *column == self.by).unwrap_or(0);
        let by = if forward { 1 } else { COLUMNS.len() - 1 };
        self.by = COLUMNS[(here + by) % COLUMNS.len()];
        self.flat = self.by != Column::Pid;
        self.reversed = false;
    }

    /// Whether a row is listed.
    fn matches(&self, row: &Row) -> bool {
        let process = &row.process;
        let has = |text: &str| text.to_lowercase().contains(&self.filter.to_lowercase());
        self.filter.is_empty()
            || has(&process.command)
            || has(&process.name)
            || process.pid.is_some_and(|pid| pid.to_string() == self.filter)
            || process.host_pid.to_string() == self.filter
    }

    /// The largest of a number first, the first of a name or pid.
    fn compare(&self, a: &Row, b: &Row, cpu: impl Fn(&Row) -> f64, places: &HashMap<i32, usize>) -> Ordering {
        let (p, q) = (&a.process, &b.process);
        let state = |of: &Process| STATES.find(of.usage.state).unwrap_or(usize::MAX);
        let place = |row: &Row| places.get(&row.process.host_pid).copied().unwrap_or(usize::MAX);
        let ordering = match self.by {
            Column::Pid => Ordering::Equal,
            Column::Cpu => cpu(b).total_cmp(&cpu(a)),
            Column::Rss => q.usage.rss.cmp(&p.usage.rss),
            Column::Swap => q.usage.swap.cmp(&p.usage.swap),
            Column::Threads => q.usage.threads.cmp(&p.usage.threads),
            Column::State => state(p).cmp(&state(q)),
            Column::Share => q.usage.anon.cmp(&p.usage.anon),
            Column::Next => place(a).cmp(&place(b)),
            Column::Command => p.command.cmp(&q.command).then_with(|| p.name.cmp(&q.name)),
        };
        // Equals keep their places while they change in nothing.
        let ordering = ordering.then(p.host_pid.cmp(&q.host_pid));
        if self.reversed { ordering.reverse() } else { ordering }
    }
}

/// The row that the user stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its process, by its pid outside: it stays with that one while rows come and go.
    pub host_pid: i32,
    /// Where it was: when its process is gone, the way goes on from there.
    pub row: usize,
}

impl Cursor {
    /// Which of these rows it is on.
    pub fn place(self, rows: &[(usize, &Row)]) -> Option<usize> {
        let is_it = |row: usize| rows.get(row).is_some_and(|(_, row)| row.process.host_pid == self.host_pid);
        if is_it(self.row) {
            return Some(self.row);
        }
        rows.iter().position(|(_, row)| row.process.host_pid == self.host_pid)
    }

    /// So many rows on; the first step of all is onto the first row.
    pub fn moved(from: Option<Cursor>, by: i32, rows: &[(usize, &Row)]) -> Option<Cursor> {
        let last = rows.len().checked_sub(1)?;
        let row = match from {
            None if by == i32::MAX => last,
            None => 0,
            Some(cursor) => cursor.place(rows).unwrap_or(cursor.row).saturating_add_signed(by as isize).min(last),
        };
        Some(Cursor { host_pid: rows[row].1.process.host_pid, row })
    }

    /// Onto this row, if there is one.
    pub fn onto(row: usize, rows: &[(usize, &Row)]) -> Option<Cursor> {
        rows.get(row).map(|(_, of)| Cursor { host_pid: of.process.host_pid, row })
    }
}

/// The rows in their order, with their depth in the tree. One whose parent is not listed is a root.
pub fn listed<'a>(run: &'a Run, now: Duration, order: &Order) -> Vec<(usize, &'a Row)> {
    let mut rows = shown(run, now);
    rows.retain(|row| order.matches(row));
    let mut places = HashMap::new();
    if order.by == Column::Next {
        let line = run.line();
        places.extend(line.iter().enumerate().map(|(place, of)| (of.row.process.host_pid, place)));
    }
    if order.by != Column::Pid || order.reversed {
        rows.sort_by(|a, b| order.compare(a, b, |row| run.cpu(row, now), &places));
    }
    if order.flat || !order.filter.is_empty() {
        return rows.into_iter().map(|row| (0, row)).collect();
    }
    as_tree(rows)
}

/// Who lives, and those of the dead that are still shown, by their pids outside.
fn shown(run: &Run, now: Duration) -> Vec<&Row> {
    let mut killed: Vec<Duration> =
        run.processes.values().filter(|row| row.oom_killed).filter_map(|row| row.died).collect();
    killed.sort_unstable();
    let oldest_shown = killed.len().checked_sub(KILLED_SHOWN).map_or(Duration::ZERO, |n| killed[n]);
    let shown = |row: &Row| match row.died {
        Some(at) if row.oom_killed => at >= oldest_shown,
        Some(at) => run.ended.is_some() || now.saturating_sub(at) <= FADE,
        None => true,
    };
    run.processes.values().filter(|row| shown(row)).collect()
}

/// Children below their parents, each in the order that it comes in.
fn as_tree(rows: Vec<&Row>) -> Vec<(usize, &Row)> {
    let listed: HashSet<i32> = rows.iter().map(|row| row.process.host_pid).collect();
    let mut children: HashMap<i32, Vec<&Row>> = HashMap::new();
    let mut stack = Vec::new();
    for row in rows.iter().rev() {
        let parent = row.process.parent;
        match listed.contains(&parent) && parent != row.process.host_pid {
            true => children.entry(parent).or_default().push(row),
            false => stack.push((0, *row)),
        }
    }
    let mut ordered = Vec::with_capacity(rows.len());
    while let Some((depth, row)) = stack.pop() {
        ordered.push((depth, row));
        // Taken away, so that a recording in which somebody is his own grandparent ends.
        let below = children.remove(&row.process.host_pid).unwrap_or_default();
        stack.extend(below.into_iter().map(|child| (depth + 1, child)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Controller, Event, Process, ProcessChanges, ProcessUsage, Stamped, Started},
        session::Session,
    };

    /// A run with these processes: pid outside, parent, resident size, command.
    fn session(rows: &[(i32, i32, u64, &str)]) -> Session {
        let mut session = Session::default();
        let tell = |session: &mut Session, event| session.apply(&Stamped { at: Duration::ZERO, event });
        tell(&mut session, Event::Started(Started::plain(Controller::V1).into()));
        let process = |(host_pid, parent, rss, command): &(i32, i32, u64, &str)| Process {
            host_pid: *host_pid,
            pid: Some(host_pid - 100),
            parent: *parent,
            name: (*command).into(),
            command: (*command).into(),
            heap_options: None,
            usage: ProcessUsage { rss: *rss, state: 'S', ..Default::default() },
        };
        let born = rows.iter().map(process).collect();
        tell(&mut session, Event::Processes(ProcessChanges { born, ..Default::default() }));
        session
    }

    fn names(session: &Session, order: &Order) -> Vec<String> {
        let rows = listed(session.run().unwrap(), Duration::ZERO, order);
        rows.iter().map(|(depth, row)| format!("{}{}", " ".repeat(*depth), row.process.command)).collect()
    }

    #[test]
    fn a_tree_is_ordered_below_each_parent_and_a_list_as_a_whole() {
        let of = session(&[
            (102, 1, 5, "sh"),
            (103, 102, 7, "make"),
            (104, 103, 90, "cc"),
            (105, 103, 95, "ld"),
            (106, 102, 99, "tail"),
        ]);
        assert_eq!(names(&of, &Order::default()), ["sh", " make", "  cc", "  ld", " tail"]);
        let by_size = Order { by: Column::Rss, ..Order::default() };
        assert_eq!(names(&of, &by_size), ["sh", " tail", " make", "  ld", "  cc"]);
        assert_eq!(names(&of, &Order { flat: true, ..by_size.clone() }), ["tail", "ld", "cc", "make", "sh"]);
        assert_eq!(names(&of, &Order { flat: true, reversed: true, ..by_size }), ["sh", "make", "cc", "ld", "tail"]);
        let by_name = Order { by: Column::Command, flat: true, ..Order::default() };
        assert_eq!(names(&of, &by_name), ["cc", "ld", "make", "sh", "tail"]);
    }

    #[test]
    fn a_filter_finds_a_command_or_a_pid() {
        let of = session(&[(102, 1, 5, "sh"), (103, 102, 7, "Make all"), (1021, 103, 90, "cc")]);
        let filtered = |text: &str| names(&of, &Order { filter: text.into(), ..Order::default() });
        assert_eq!(filtered("make"), ["Make all"]);
        assert_eq!(filtered("102"), ["sh"]);
        assert_eq!(filtered("921"), ["cc"]);
        assert!(filtered("nobody").is_empty());
    }

    #[test]
    fn who_is_his_own_grandparent_does_not_hang_it() {
        let of = session(&[(102, 103, 5, "a"), (103, 102, 7, "b"), (104, 104, 1, "c")]);
        assert_eq!(names(&of, &Order::default()), ["c"]);
    }

    #[test]
    fn who_runs_comes_before_who_sleeps_and_a_share_is_of_what_is_ones_own() {
        let mut of = session(&[(102, 1, 5, "sleeps"), (103, 1, 7, "runs"), (104, 1, 6, "waits")]);
        for (pid, state, anon) in [(102, 'S', 3), (103, 'R', 1), (104, 'D', 2)] {
            let usage = &mut of.runs[0].processes.get_mut(&pid).expect("a row").process.usage;
            (usage.state, usage.anon) = (state, anon << 20);
        }
        let by = |by| names(&of, &Order { by, flat: true, ..Order::default() });
        assert_eq!(by(Column::State), ["runs", "waits", "sleeps"]);
        assert_eq!(by(Column::Share), ["sleeps", "waits", "runs"]);
    }

    #[test]
    fn columns_go_round_and_a_size_is_looked_at_in_a_list() {
        let mut order = Order::default();
        order.turn(true);
        assert_eq!((order.by, order.flat), (Column::Cpu, true));
        order.turn(false);
        assert_eq!((order.by, order.flat), (Column::Pid, false));
        order.turn(false);
        assert_eq!(order.by, Column::Command);
    }
}
