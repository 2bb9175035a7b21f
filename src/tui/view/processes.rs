//! The processes as a tree: who holds how much, and who is next in line for the OOM killer. The killed stay, struck.

use std::{collections::HashMap, time::Duration};

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::Span,
};
use unicode_width::UnicodeWidthStr;

use super::{View, fit, put, rule, span};
use crate::{
    event::Process,
    sentences::moment,
    session::{Row, Run, badness::is_spared},
    text::visible,
    tui::{
        app::Focus,
        rows::{self, Column},
    },
    units::{Limit, percent_of, size_column},
};

/// With fewer columns than this the share, and all of the place in line but its sign, give way to the command …
const WIDE: u16 = 46;

/// … and with fewer than this what the kernel counts …
const WIDEST: u16 = 66;

/// … and with fewer than this what is swapped out, threads and the state.
const ROOMY: u16 = 84;

/// Of a place in line so many are told.
const TOLD: usize = 3;

/// What stands before the command, by how much room there is. Where a column is its text stays, whoever is next.
#[derive(Clone, Copy)]
struct Columns {
    width: usize,
    share: bool,
    badness: bool,
    more: bool,
}

/// Where one is in line.
#[derive(Clone, Copy)]
struct Place {
    /// From 0.
    place: usize,
    /// What the kernel counts, in bytes; `None` where it was not read whole.
    counted: Option<i64>,
    /// Whether it grows, and is counted with the room that is left.
    grows: bool,
}

/// Places in line, by outside pid. `None` without a limit, and when all is over.
type Line = Option<HashMap<i32, Place>>;

/// Draws the table.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let area = Rect { width: area.width.saturating_sub(1), ..area };
    let focused = view.app.focus == Focus::Processes;
    let Some(run) = view.session.run() else {
        return rule(frame, area, "processes", "", view.theme, focused);
    };
    let alive = run.processes.values().filter(|row| row.died.is_none()).count();
    let order = &view.app.order;
    let line = |n: u16| Rect { y: area.y + 1 + n, height: 1, ..area };
    let columns = Columns::new(area.width);
    let (head, by) = columns.head(view);
    let title = match order.filter.as_str() {
        "" => format!("processes {alive}{by}"),
        filter => format!("processes /{} of {alive}{by}", visible(filter)),
    };
    let rows = rows::listed(run, view.now, order);
    let room = usize::from(area.height.saturating_sub(2));
    let here = view.app.cursor.and_then(|cursor| cursor.place(&rows));
    let top = first_shown(here, room);
    let next = places(run);
    // Who is next is told even where its row is not in sight.
    let first = next.as_ref().and_then(|next| next.iter().find(|(_, place)| place.place == 0)).map(|(pid, _)| *pid);
    let seen = |pid| rows.iter().skip(top).take(room).any(|(_, row)| row.process.host_pid == pid);
    let unseen = first.filter(|pid| !seen(*pid)).and_then(|pid| run.processes.get(&pid));
    let room_for = columns.width.saturating_sub(title.width() + 10);
    let told = unseen.map(|row| view.words.next(&row.process, room_for));
    let told = told.or_else(|| view.words.odd(run, room_for));
    rule(frame, area, &title, &told.unwrap_or_default(), view.theme, focused);
    put(frame, line(0), head);
    if rows.is_empty() && !order.filter.is_empty() {
        put(frame, line(1), vec![span(" no process matches; Esc clears the filter", view.theme.dim)]);
    }
    for (n, (depth, row)) in rows.into_iter().enumerate().skip(top).take(room) {
        let mut spans = process(view, run, &next, (depth, row), columns);
        if Some(n) == here {
            spans.iter_mut().for_each(|span| span.style = span.style.add_modifier(Modifier::REVERSED));
            mark(&mut spans);
        }
        put(frame, line((n - top) as u16 + 1), spans);
    }
}

/// The first row that is shown: the one that the user stands on is in sight.
fn first_shown(here: Option<usize>, room: usize) -> usize {
    here.map_or(0, |row| (row + 1).saturating_sub(room))
}

/// Which row is at this line of the region; `None` for its rule and head, and below the last.
pub fn row_at(area: Rect, y: u16, view: &View) -> Option<usize> {
    let rows = rows::listed(view.session.run()?, view.now, &view.app.order);
    let here = view.app.cursor.and_then(|cursor| cursor.place(&rows));
    let top = first_shown(here, usize::from(area.height.saturating_sub(2)));
    let row = usize::from(y.checked_sub(area.y + 2)?) + top;
    (row < rows.len()).then_some(row)
}

/// Who is where in line.
fn places(run: &Run) -> Line {
    if run.limit == Limit::Max || run.ended.is_some() {
        return None;
    }
    let place = |(n, candidate): (usize, crate::session::Candidate)| {
        let counted = candidate.is_exact().then(|| candidate.badness_bytes());
        (candidate.row.process.host_pid, Place { place: n, counted, grows: candidate.grows > 0 })
    };
    Some(run.line().into_iter().enumerate().map(place).collect())
}

impl Columns {
    fn new(width: u16) -> Columns {
        let columns = Columns { width: usize::from(width), share: false, badness: false, more: false };
        Columns { share: width >= WIDE, badness: width >= WIDEST, more: width >= ROOMY, ..columns }
    }

    /// The columns' names; the one that the rows are ordered by has a sign. Where there is no room for it, its name comes beside, for the title.
    fn head(self, view: &View) -> (Vec<Span<'static>>, String) {
        let more = if self.more { "    SWAP  THR S" } else { "" };
        let share = if self.share { "  SHARE" } else { "" };
        let badness = if self.badness { "  BADNESS" } else { "" };
        let next = if self.share { "  NEXT" } else { "  " };
        let head = format!("   PID  CPU%     RSS{more}{share}{badness}{next} COMMAND ");
        let order = &view.app.order;
        let (word, falls) = match order.by {
            Column::Pid if !order.reversed && !order.flat => return (vec![span(head, view.theme.dim)], String::new()),
            Column::Pid => ("PID", false),
            Column::Cpu => ("CPU%", true),
            Column::Rss => ("RSS", true),
            Column::Swap => ("SWAP", true),
            Column::Threads => ("THR", true),
            Column::State => ("S", false),
            Column::Share => ("SHARE", true),
            Column::Next => ("NEXT", false),
            Column::Command => ("COMMAND", false),
        };
        let sign = if falls == order.reversed { '▲' } else { '▼' };
        match head.find(&format!(" {word} ")) {
            Some(at) => {
                let spans = vec![
                    span(head[..at].to_string(), view.theme.dim),
                    span(format!("{sign}{word}"), view.theme.strong),
                    span(head[at + 1 + word.len()..].to_string(), view.theme.dim),
                ];
                (spans, String::new())
            }
            None => {
                (vec![span(head, view.theme.dim)], format!(" by {sign}{}", if word == "S" { "STATE" } else { word }))
            }
        }
    }

    /// What is swapped out, threads, and the state.
    fn more(self, row: &Row) -> String {
        let usage = &row.process.usage;
        let swap = usage.swap.map_or("–".into(), size_column);
        if self.more { format!(" {swap:>7} {:>4} {}", usage.threads, usage.state) } else { String::new() }
    }

    /// What stands between a process's size and its command: whether it grows, its share, what the kernel counts, and the place in line.
    fn middle(self, grows: bool, share: &str, badness: &str, next: &str) -> (String, String) {
        let sign = if grows { '↑' } else { ' ' };
        let share = if self.share { format!("{sign}{share:>6}") } else { sign.into() };
        let badness = if self.badness { format!(" {badness:>8}") } else { String::new() };
        let next = match (self.share, next.starts_with('☠')) {
            (true, _) => format!(" {next:<5} "),
            (false, true) => "☠ ".into(),
            (false, false) => "  ".into(),
        };
        (share + &badness, next)
    }
}

/// The row that the user stands on is told by a sign as well.
fn mark(spans: &mut [Span<'static>]) {
    if let Some(span) = spans.first_mut()
        && let Some(rest) = span.content.strip_prefix(' ')
    {
        span.content = format!("▸{rest}").into();
    }
}

fn process(view: &View, run: &Run, next: &Line, (depth, row): (usize, &Row), columns: Columns) -> Vec<Span<'static>> {
    let process = &row.process;
    let pid = process.pid.map_or_else(|| format!("({})", process.host_pid), |pid| pid.to_string());
    let rss = size_column(process.usage.rss);
    let command = &visible(&shown_command(process));
    let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "  ".repeat((depth - 1).min(8))) };
    let share = match (run.usage(), row.died) {
        (1.., None) => format!("{}%", percent_of(process.usage.anon, run.usage()).min(100)),
        _ => String::new(),
    };
    if let Some(died) = row.died {
        return dead(view, run, (&pid, row, &branch, command), died, columns);
    }
    let place = next.as_ref().and_then(|next| next.get(&process.host_pid)).copied();
    let said = match place {
        Some(Place { place, .. }) if place < TOLD => view.words.place(place),
        None if is_spared(row) && next.is_some() => view.words.spared().into(),
        _ => String::new(),
    };
    let counted = place.and_then(|place| place.counted).map(|bytes| signed(bytes, size_column)).unwrap_or_default();
    let (middle, said) = columns.middle(place.is_some_and(|place| place.grows), &share, &counted, &said);
    let style = if place.is_some_and(|place| place.place == 0) { view.theme.warning } else { Style::new() };
    let start = format!("{pid:>6} {:>5.1} {rss:>8}{}{middle}", run.cpu(row, view.now), columns.more(row));
    let room = columns.width.saturating_sub(start.width() + said.width());
    let command = fit(&format!("{branch}{command}"), room);
    vec![span(start, Style::new()), span(said, style), span(command, Style::new())]
}

/// The command as it is listed: without the folder of its program, which would hide the name.
fn shown_command(process: &Process) -> String {
    let (program, rest) = process.command.split_once(' ').unwrap_or((&process.command, ""));
    match program.rsplit_once('/') {
        _ if process.command.is_empty() => process.name.clone(),
        Some((_, name)) if program.starts_with('/') && !name.is_empty() => format!("{name} {rest}").trim_end().into(),
        _ => process.command.clone(),
    }
}

/// One that has died: how, and when.
fn dead(
    view: &View,
    run: &Run,
    (pid, row, branch, command): (&str, &Row, &str, &str),
    died: Duration,
    columns: Columns,
) -> Vec<Span<'static>> {
    let rss = size_column(row.process.usage.rss);
    let (sign, how, style) = match row.oom_killed {
        true => ("✖", " OOM killed", view.theme.danger),
        false => ("·", " ended", view.theme.dim),
    };
    let (middle, next) = columns.middle(false, "", "", "");
    let more = " ".repeat(columns.more(row).width());
    let start = format!("{pid:>6} {sign:>5} {rss:>8}{more}{middle}{next}{branch}");
    let at = format!(" {}", moment(died.saturating_sub(run.origin())));
    // The command comes first; how and when it ended, as far as there is room for them. Of a kill a word is told before the whole command is.
    let room = columns.width.saturating_sub(start.width());
    let mut end = String::new();
    let name = command.split(' ').next().unwrap_or_default().width().min(15);
    for (part, least) in [(how, name), (at.as_str(), name.max(12))] {
        if end.width() + part.width() + command.width().min(least) < room {
            end += part;
        }
    }
    let command = fit(command, room.saturating_sub(end.width()));
    vec![span(start, style), span(command, style.add_modifier(Modifier::CROSSED_OUT)), span(end, style)]
}

/// A size, written so, that may be less than nothing.
pub(super) fn signed(bytes: i64, written: impl Fn(u64) -> String) -> String {
    let size = written(bytes.unsigned_abs());
    if bytes < 0 { format!("-{size}") } else { size }
}
