//! All about one process: who it is, what it holds, and what the OOM killer makes of it.

use ratatui::{Frame, layout::Rect, style::Style, text::Line};

use super::{
    View,
    popup::{self, boxed},
    processes::signed,
    span,
};
use crate::{
    session::{Row, Run},
    text::visible,
    tui::input::{Action, key_of},
    units::size,
};

/// As wide as this where there is room, in columns.
const WIDTH: u16 = 72;

/// Columns of the words.
const WORDS: usize = 18;

/// Draws it.
pub fn render(frame: &mut Frame, area: Rect, view: &View, host_pid: i32) {
    let Some((run, row)) = view.session.run().and_then(|run| Some((run, run.processes.get(&host_pid)?))) else {
        return;
    };
    let columns = usize::from(WIDTH.min(area.width.saturating_sub(4)));
    let mut lines = Vec::new();
    for (word, value) in facts(view, run, row) {
        lines.extend(popup::told(view, word, WORDS, &visible(&value), columns, Style::new()));
    }
    lines.push(Line::default());
    let key = |action| key_of(view.app, &action);
    lines.push(Line::from(match view.session.is_alive() && !view.app.replaying {
        true => vec![
            span(key(Action::Process), view.theme.key),
            span(" sends a signal   ", Style::new()),
            span(key(Action::ProcessAdj), view.theme.key),
            span(" oom_score_adj   ", Style::new()),
            span("Esc", view.theme.key),
            span(" close", Style::new()),
        ],
        false => vec![span("Esc", view.theme.key), span(" close", Style::new())],
    }));
    let title = format!("process {}", visible(&row.process.name));
    let inner = boxed(frame, area, view, &title, columns as u16, lines.len() as u16);
    let last = lines.len().saturating_sub(1);
    // On a small screen the facts give way, not the way out.
    let most = usize::from(inner.height);
    let cut = if lines.len() > most { most.saturating_sub(1)..last } else { 0..0 };
    lines.drain(cut);
    popup::fill(frame, inner, lines);
}

fn facts(view: &View, run: &Run, row: &Row) -> Vec<(&'static str, String)> {
    let (process, usage) = (&row.process, &row.process.usage);
    let known = |bytes: Option<u64>| bytes.map_or("–".into(), size);
    let line = run.line();
    let place = line.iter().position(|of| of.row.process.host_pid == process.host_pid);
    let badness = place.and_then(|place| line.get(place)).map(|of| signed(of.badness_bytes(), size));
    let mut facts = vec![
        ("command", process.command.clone()),
        (
            "pid",
            match process.pid {
                Some(pid) => format!("{pid} inside, {} outside", process.host_pid),
                None => format!("{} outside", process.host_pid),
            },
        ),
        ("parent", format!("{} outside", process.parent)),
        ("in memory (RSS)", format!("{}, of which {} anonymous", size(usage.rss), size(usage.anon))),
    ];
    if let Some((_, share)) = row.share {
        let swapped = share.swap.filter(|swap| *swap > 0);
        let swapped = swapped.map_or(String::new(), |swap| format!(", and {} swapped out", size(swap)));
        facts.push(("its part (PSS)", format!("{}{swapped}", size(share.pss))));
    }
    facts.extend([
        ("swapped out", known(usage.swap)),
        ("page tables", known(usage.page_tables)),
        ("oom_score_adj", usage.oom_score_adj.to_string()),
        ("badness", badness.unwrap_or_else(|| "–".into())),
        ("next to be killed", place.map_or("–".into(), |place| view.words.place(place))),
        ("CPU", format!("{:.1} % now, {} ms in all", run.cpu(row, view.now), usage.cpu_ms)),
        ("threads, state", format!("{}, {}", usage.threads, usage.state)),
    ]);
    if let Some(died) = row.died {
        let at = crate::sentences::moment(died.saturating_sub(run.origin()));
        let how = if row.oom_killed { "OOM killed" } else { "ended" };
        facts.push(("it is gone", format!("{how} at {at}; the numbers are the last that were seen")));
    }
    facts
}
