//! The rows of the process table in their order, and the one that the user stands on.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use crate::session::{Row, Run};

/// A workload that respawns what is killed would fill the table with the dead: only the newest stay.
const KILLED_SHOWN: usize = 4;

/// A process that ended by itself is shown this long.
const FADE: Duration = Duration::from_secs(2);

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
}

/// The rows in tree order, with their depth. One whose parent is not in the sandbox any more is a root.
pub fn listed(run: &Run, now: Duration) -> Vec<(usize, &Row)> {
    let mut killed: Vec<Duration> =
        run.processes.values().filter(|row| row.oom_killed).filter_map(|row| row.died).collect();
    killed.sort_unstable();
    let oldest_shown = killed.len().checked_sub(KILLED_SHOWN).map_or(Duration::ZERO, |n| killed[n]);
    let shown = |row: &Row| match row.died {
        Some(at) if row.oom_killed => at >= oldest_shown,
        Some(at) => run.ended.is_some() || now.saturating_sub(at) <= FADE,
        None => true,
    };
    let rows: BTreeMap<i32, &Row> =
        run.processes.iter().filter(|(_, row)| shown(row)).map(|(pid, row)| (*pid, row)).collect();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (pid, row) in &rows {
        let parent = row.process.parent;
        match rows.contains_key(&parent) && parent != *pid {
            true => children.entry(parent).or_default().push(*pid),
            false => roots.push(*pid),
        }
    }
    let mut ordered = Vec::new();
    let mut seen = HashSet::new();
    let mut stack: Vec<(usize, i32)> = roots.into_iter().rev().map(|pid| (0, pid)).collect();
    while let Some((depth, pid)) = stack.pop() {
        if seen.insert(pid)
            && let Some(row) = rows.get(&pid)
        {
            ordered.push((depth, *row));
            let below = children.get(&pid).into_iter().flatten().rev();
            stack.extend(below.map(|child| (depth + 1, *child)));
        }
    }
    ordered
}
