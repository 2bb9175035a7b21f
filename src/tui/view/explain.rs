//! What a number means: its value now, its file, its formula, its unit and its trap. And on another page what other programs would show at this
//! moment for the same memory, with the one that counts marked.

use std::time::Duration;

use ratatui::{Frame, layout::Rect, style::Style, text::Line};
use unicode_width::UnicodeWidthStr;

use super::{
    View,
    events::wrap,
    fit,
    popup::{self, boxed},
    put, span,
};
use crate::{
    event::Controller,
    sentences::{duration, moment},
    session::Run,
    tui::{
        explain::{Dashboard, Number, Page, texts},
        input::{Action, key_of},
    },
    units::{percent_of, size},
};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 96;

/// A share of memory that was read longer ago is not of this moment.
const FRESH: Duration = Duration::from_secs(3);

/// Columns of the list of numbers.
const LIST: usize = 20;

/// With fewer columns than this there is no list beside the text.
const LISTED: usize = 72;

/// Columns of the words before the texts.
const WORDS: usize = 9;

/// Draws it.
pub fn render(frame: &mut Frame, area: Rect, view: &View, page: &Page) {
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let v2 = view.session.run().is_some_and(|run| run.started.controller == Controller::V2);
    match page.dashboards {
        true => dashboards(frame, area, view, columns, v2),
        false => number(frame, area, view, page, columns, v2),
    }
}

fn keys(view: &View, other: &str) -> Line<'static> {
    let theme = view.theme;
    Line::from(vec![
        span(key_of(view.app, &Action::Scroll(-1)), theme.key),
        span(" ", Style::new()),
        span(key_of(view.app, &Action::Scroll(1)), theme.key),
        span(" another number   ", Style::new()),
        span("Tab", theme.key),
        span(format!(" {other}   "), Style::new()),
        span("Esc", theme.key),
        span(" close", Style::new()),
    ])
}

fn number(frame: &mut Frame, area: Rect, view: &View, page: &Page, columns: usize, v2: bool) {
    let all = &texts().number;
    let Some(chosen) = all.get(page.number) else { return };
    let list = if columns >= LISTED { LIST + 1 } else { 0 };
    let room = columns.saturating_sub(list);
    let mut text = about(view, chosen, room, v2);
    // As tall for all of them: the box does not jump.
    let tallest = all.iter().map(|number| about(view, number, room, v2).len()).max().unwrap_or(0);
    let inner = boxed(
        frame,
        area,
        view,
        &format!("what the numbers mean: {}", if list > 0 { &chosen.group } else { &chosen.title }),
        columns as u16,
        tallest as u16 + 2,
    );
    let rows = usize::from(inner.height).saturating_sub(2);
    let top = page.number.saturating_sub(rows / 2).min(all.len().saturating_sub(rows));
    for (n, number) in all.iter().enumerate().skip(top).take(if list > 0 { rows } else { 0 }) {
        let here = n == page.number;
        let (sign, style) = if here { ("▸", view.theme.focus) } else { (" ", Style::new()) };
        let line = Rect { y: inner.y + (n - top) as u16, height: 1, width: LIST as u16, ..inner };
        put(frame, line, vec![span(format!("{sign}{}", fit(&number.title, LIST - 2)), style)]);
    }
    if text.len() > rows {
        text.truncate(rows.saturating_sub(1));
        text.push(Line::from(span("…", view.theme.dim)));
    }
    popup::fill(frame, Rect { x: inner.x + list as u16, width: room as u16, height: rows as u16, ..inner }, text);
    let last = Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner };
    put(frame, last, keys(view, if list > 0 { "what docker, kubectl and ps would show" } else { "other tools" }).spans);
}

/// A number's texts as lines: on a small screen the last are cut off.
fn about(view: &View, number: &Number, columns: usize, v2: bool) -> Vec<Line<'static>> {
    let theme = view.theme;
    let file = if v2 { &number.v2 } else { &number.v1 };
    let unknown = if number.group == "process" { "each process has its own" } else { "–" };
    let now = view.session.run().and_then(|run| value(view, run, &number.id)).unwrap_or_else(|| unknown.into());
    let file = if file.is_empty() { "no file of its own" } else { file };
    let mut lines = Vec::new();
    for (word, text, style) in [
        ("now", now.as_str(), theme.strong),
        ("means", &number.means, Style::new()),
        ("trap", &number.trap, theme.warning),
        ("formula", &number.formula, Style::new()),
        ("file", file, theme.key),
        ("unit", &number.unit, Style::new()),
    ] {
        lines.extend(popup::told(view, word, WORDS, text, columns, style));
    }
    lines
}

/// What a number is now, where it is one of the whole sandbox.
fn value(view: &View, run: &Run, id: &str) -> Option<String> {
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let stat = run.stat;
    Some(match id {
        "limit" => run.limit.to_string(),
        "soft-limit" => run.settings.high.or(run.settings.soft_limit)?.to_string(),
        "usage" => size(run.usage()),
        "percent" => format!("{}%", percent_of(run.usage(), run.limit.bytes()?)),
        "anon" => size(stat?.anon),
        "shmem" => size(stat?.shmem),
        "file" => size(stat?.file),
        "kernel" => size(stat?.kernel?),
        "swapped-out" => size(run.swap?),
        "headroom" => size(run.limit.bytes()?.saturating_sub(run.usage())),
        "full-in" => view.words.full_in(&run.forecast(view.now)?),
        "peak" => size(run.peak_shown()),
        "interval-peak" => size(run.history.points().last()?.peak),
        "limit-hits" => number(run.limit_hits_shown())?,
        "oom-kills" => number(run.oom_kills_shown())?,
        "since" => moment(run.since.at?.saturating_sub(run.origin())),
        "waiting" => format!("{:.0}%", run.pressure.map(|_| run.stalled * 100.0)?),
        "stalled" => if run.is_stalled() { "yes" } else { "no" }.into(),
        "pids-limit" => run.settings.pids_limit.clone()?,
        "elapsed" => duration(run.elapsed(view.now)),
        "own-cost" => view.own.map(|own| own.to_string())?,
        _ => return None,
    })
}

fn dashboards(frame: &mut Frame, area: Rect, view: &View, columns: usize, v2: bool) {
    let theme = view.theme;
    let first =
        "The same memory at this moment, as others would show it. What counts against the limit is the kernel's.";
    let mut lines: Vec<Line> = wrap(first, columns).into_iter().map(Line::from).collect();
    let values: Vec<(&Dashboard, Option<String>)> = texts()
        .dashboard
        .iter()
        .map(|of| (of, view.session.run().and_then(|run| shown_by(run, &of.id, view.now))))
        .collect();
    // The values first; why they differ, as far as there is room.
    let room = usize::from(area.height).saturating_sub(2 + 2 + lines.len());
    let said = |of: &Dashboard| wrap(&of.trap, columns.saturating_sub(4));
    let whole: usize = values.iter().map(|(of, _)| 1 + said(of).len()).sum();
    for (of, value) in values {
        let (sign, style) = if of.counts { ("▸", theme.limit) } else { (" ", theme.strong) };
        let value = value.unwrap_or_else(|| "–".into());
        let formula = if v2 { &of.v2 } else { &of.v1 };
        let left = format!("{sign} {:<27}{value:>8}   ", of.title);
        let formula = fit(formula, columns.saturating_sub(left.width()));
        lines.push(Line::from(vec![span(left, style), span(formula, theme.key)]));
        if whole <= room {
            lines.extend(said(of).into_iter().map(|text| Line::from(span(format!("    {text}"), theme.dim))));
        }
    }
    lines.push(keys(view, "the numbers of this screen"));
    let inner = boxed(frame, area, view, "what other programs show", columns as u16, lines.len() as u16);
    popup::fill(frame, inner, lines);
}

/// What another program would show for the sandbox, where all that it adds up is known; what is known of it, where some is not.
fn shown_by(run: &Run, id: &str, now: Duration) -> Option<String> {
    let living = || run.processes.values().filter(|row| row.died.is_none());
    let usage = run.last.as_ref()?.usage;
    let bytes = match id {
        "kernel" => usage,
        "ps" => living().map(|row| row.process.usage.rss).fold(0, u64::saturating_add),
        "pss" => {
            // Those of another moment would not add up.
            let fresh = |at: Duration| now.saturating_sub(at) <= FRESH;
            let shares: Vec<u64> =
                living().filter_map(|row| row.share.filter(|(at, _)| fresh(*at)).map(|(_, share)| share.pss)).collect();
            let sum = shares.iter().copied().fold(0, u64::saturating_add);
            return match (shares.len(), living().count()) {
                (0, 1..) => None,
                (known, all) if known < all => Some(format!("≥ {}", size(sum))),
                _ => Some(size(sum)),
            };
        }
        "docker" | "podman" | "kubectl" => usage.saturating_sub(run.stat?.inactive_file?),
        _ => return None,
    };
    Some(size(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Controller, Event, MemoryStat, Process, ProcessChanges, ProcessUsage, Sample, Share, Stamped, Started,
    };

    const M: u64 = 1 << 20;

    #[test]
    fn each_program_shows_its_own_sum_of_the_same_memory() {
        let mut session = crate::session::Session::default();
        let mut tell = |ms, event| session.apply(&Stamped { at: Duration::from_millis(ms), event });
        let process = |host_pid, rss| Process {
            host_pid,
            pid: None,
            parent: 1,
            name: "x".into(),
            command: "x".into(),
            heap_options: None,
            usage: ProcessUsage { rss: rss * M, state: 'S', ..ProcessUsage::default() },
        };
        let born = vec![process(10, 40), process(11, 30)];
        let stat = MemoryStat { anon: 40 * M, file: 50 * M, inactive_file: Some(35 * M), ..MemoryStat::default() };
        tell(0, Event::Started(Started::plain(Controller::V2).into()));
        tell(1, Event::Sample(Sample { usage: 95 * M, stat: Some(stat), ..Sample::default() }));
        tell(2, Event::Processes(ProcessChanges { born, ..ProcessChanges::default() }));
        let share = |host_pid, pss: u64| Share { host_pid, pss: pss * M, swap: None };
        tell(3, Event::Shares(vec![share(10, 25)]));
        let shown = |session: &crate::session::Session, id, ms| {
            shown_by(session.run().unwrap(), id, Duration::from_millis(ms)).unwrap_or_default()
        };
        assert_eq!(shown(&session, "kernel", 4), "95M");
        assert_eq!(shown(&session, "ps", 4), "70M");
        for id in ["docker", "podman", "kubectl"] {
            assert_eq!(shown(&session, id, 4), "60M", "{id}: without the cache that was not used twice");
        }
        assert_eq!(shown(&session, "pss", 4), "≥ 25M", "one of two is known");
        session.apply(&Stamped { at: Duration::from_millis(5), event: Event::Shares(vec![share(11, 15)]) });
        assert_eq!(shown(&session, "pss", 6), "40M");
        assert_eq!(shown(&session, "pss", 9_000), "", "they are of another moment");
        for of in &texts().dashboard {
            assert!(!shown(&session, &of.id, 6).is_empty(), "{}", of.id);
        }
    }
}
