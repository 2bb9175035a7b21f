//! The processes as a tree: who holds how much. The killed stay, struck.

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
    text::visible,
    tui::{app::Focus, rows},
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
    let rows = rows::listed(run, view.now);
    let room = usize::from(area.height.saturating_sub(2));
    let here = view.app.cursor.and_then(|cursor| cursor.place(&rows));
    let top = here.map_or(0, |row| (row + 1).saturating_sub(room));
    for (n, (depth, row)) in rows.into_iter().enumerate().skip(top).take(room) {
        let mut spans = process(view, run, depth, row, usize::from(area.width));
        if Some(n) == here {
            spans.iter_mut().for_each(|span| span.style = span.style.add_modifier(Modifier::REVERSED));
            mark(&mut spans);
        }
        put(frame, line((n - top) as u16 + 1), spans);
    }
}

/// With fewer columns than this the share gives way to the command.
const WIDE: u16 = 46;

/// The row that the user stands on is told by a sign as well.
fn mark(spans: &mut [Span<'static>]) {
    if let Some(span) = spans.first_mut()
        && let Some(rest) = span.content.strip_prefix(' ')
    {
        span.content = format!("▸{rest}").into();
    }
}

fn process(view: &View, run: &Run, depth: usize, row: &Row, width: usize) -> Vec<Span<'static>> {
    let process = &row.process;
    let pid = process.pid.map_or_else(|| format!("({})", process.host_pid), |pid| pid.to_string());
    let rss = size_column(process.usage.rss);
    let command = &visible(if process.command.is_empty() { &process.name } else { &process.command });
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
