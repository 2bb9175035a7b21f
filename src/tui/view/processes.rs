//! The processes as a tree: who holds how much. The killed stay, struck.

use std::collections::{BTreeMap, HashSet};

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
};

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
    put(frame, line(0), vec![span("   PID  CPU%     RSS  SHARE  COMMAND", view.theme.dim)]);
    let rows = tree(run);
    let room = usize::from(area.height.saturating_sub(2));
    let top = view.app.processes_top.min(rows.len().saturating_sub(room));
    for (n, (depth, row)) in rows.into_iter().skip(top).take(room).enumerate() {
        let (text, style) = process(view, run, depth, row);
        put(frame, line(n as u16 + 1), vec![span(fit(&text, usize::from(area.width)), style)]);
    }
}

fn process(view: &View, run: &Run, depth: usize, row: &Row) -> (String, Style) {
    let process = &row.process;
    let pid = process.pid.map_or_else(|| format!("({})", process.host_pid), |pid| pid.to_string());
    let rss = size_column(process.usage.rss);
    let command = if process.command.is_empty() { &process.name } else { &process.command };
    let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "  ".repeat((depth - 1).min(8))) };
    if let Some(died) = row.died {
        let at = moment(died.saturating_sub(run.at));
        let (sign, how) = if row.oom_killed { ("✖", "OOM killed") } else { ("·", "ended") };
        let text = format!("{pid:>6} {sign:>4} {rss:>8}         {branch}{command}  {how} {at}");
        let style = if row.oom_killed { view.theme.danger } else { view.theme.dim };
        return (text, style.add_modifier(Modifier::CROSSED_OUT));
    }
    let share = match run.usage() {
        0 => String::new(),
        usage => format!("{}%", (process.usage.rss * 100 / usage).min(999)),
    };
    (format!("{pid:>6} {:>5.1} {rss:>8} {share:>6}  {branch}{command}", row.cpu), Style::new())
}

/// The rows in tree order, with their depth. One whose parent is not in the sandbox any more is a root.
fn tree(run: &Run) -> Vec<(usize, &Row)> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (pid, row) in &run.processes {
        let parent = row.process.parent;
        match run.processes.contains_key(&parent) && parent != *pid {
            true => children.entry(parent).or_default().push(*pid),
            false => roots.push(*pid),
        }
    }
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    let mut stack: Vec<(usize, i32)> = roots.into_iter().rev().map(|pid| (0, pid)).collect();
    while let Some((depth, pid)) = stack.pop() {
        if seen.insert(pid)
            && let Some(row) = run.processes.get(&pid)
        {
            rows.push((depth, row));
            let below = children.get(&pid).into_iter().flatten().rev();
            stack.extend(below.map(|child| (depth + 1, *child)));
        }
    }
    rows
}
