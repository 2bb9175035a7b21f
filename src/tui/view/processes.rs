//! The processes as a tree: who holds how much. The killed stay, struck.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::Span,
};
use unicode_width::UnicodeWidthStr;

use super::{View, fit, put, rule, span};
use crate::{
    sentences::moment,
    session::{Row, Run},
    tui::app::Focus,
    units::size_column,
};

/// Draws the table.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let area = Rect { width: area.width.saturating_sub(1), ..area };
    let focused = view.app.focus == Focus::Processes;
    let Some(run) = view.session.run() else {
        return rule(frame, area, "processes", "", view.theme, focused);
    };
    let alive = run.processes.values().filter(|row| row.died.is_none()).count();
    rule(frame, area, &format!("processes {alive}"), "", view.theme, focused);
    let line = |n: u16| Rect { y: area.y + 1 + n, height: 1, ..area };
    let wide = area.width >= WIDE;
    let share = if wide { "  SHARE" } else { "" };
    put(frame, line(0), vec![span(format!("   PID  CPU%     RSS{share}  COMMAND"), view.theme.dim)]);
    let rows = tree(view, run);
    let room = usize::from(area.height.saturating_sub(2));
    let top = view.app.processes_top.min(rows.len().saturating_sub(room));
    for (n, (depth, row)) in rows.into_iter().skip(top).take(room).enumerate() {
        put(frame, line(n as u16 + 1), process(view, run, depth, row, usize::from(area.width)));
    }
}

/// With fewer columns than this the share gives way to the command.
const WIDE: u16 = 46;

/// A workload that respawns what is killed would fill the table with the dead: only the newest stay.
const KILLED_SHOWN: usize = 4;

/// A process that ended by itself is shown this long.
const FADE: Duration = Duration::from_secs(2);

fn process(view: &View, run: &Run, depth: usize, row: &Row, width: usize) -> Vec<Span<'static>> {
    let process = &row.process;
    let pid = process.pid.map_or_else(|| format!("({})", process.host_pid), |pid| pid.to_string());
    let rss = size_column(process.usage.rss);
    let command = if process.command.is_empty() { &process.name } else { &process.command };
    let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "  ".repeat((depth - 1).min(8))) };
    let share = match (run.usage(), row.died) {
        (1.., None) => format!("{}%", (process.usage.anon * 100 / run.usage()).min(100)),
        _ => String::new(),
    };
    let share = if width >= usize::from(WIDE) { format!(" {share:>6}") } else { String::new() };
    let Some(died) = row.died else {
        let text = format!("{pid:>6} {:>5.1} {rss:>8}{share}  {branch}{command}", row.cpu);
        return vec![span(fit(&text, width), Style::new())];
    };
    let (sign, how, style) = match row.oom_killed {
        true => ("✖", " OOM killed", view.theme.danger),
        false => ("·", " ended", view.theme.dim),
    };
    let start = format!("{pid:>6} {sign:>5} {rss:>8}{share}  {branch}");
    let at = format!(" {}", moment(died.saturating_sub(run.origin())));
    // The command comes first; how and when it ended, as far as there is room for them.
    let room = width.saturating_sub(start.width());
    let least = command.width().min(12);
    let mut end = String::new();
    for part in [how, at.as_str()] {
        if end.width() + part.width() + least <= room {
            end += part;
        }
    }
    let command = fit(command, room.saturating_sub(end.width()));
    vec![span(start, style), span(command, style.add_modifier(Modifier::CROSSED_OUT)), span(end, style)]
}

/// The rows in tree order, with their depth. One whose parent is not in the sandbox any more is a root.
fn tree<'a>(view: &View, run: &'a Run) -> Vec<(usize, &'a Row)> {
    let mut killed: Vec<Duration> =
        run.processes.values().filter(|row| row.oom_killed).filter_map(|row| row.died).collect();
    killed.sort_unstable();
    let oldest_shown = killed.len().checked_sub(KILLED_SHOWN).map_or(Duration::ZERO, |n| killed[n]);
    let shown = |row: &Row| match row.died {
        Some(at) if row.oom_killed => at >= oldest_shown,
        Some(at) => run.ended.is_some() || view.now.saturating_sub(at) <= FADE,
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
