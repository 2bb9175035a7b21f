//! A report as Markdown, for an issue, a pull request or a README.

use std::fmt::Write as _;

use super::{
    Source, again, screen,
    series::{Series, Sign},
    take_away::{self, System, take_away},
    text::{markdown, markdown_block},
    words::{self, numbers},
};
use crate::{
    result::{self, RunDocument, series},
    sentences::{Language, moment, moment_at},
    session::{Run, Session},
};

/// How many lines of the workload's output.
const OUTPUT_LINES: usize = 20;

/// How many kills before the last are named.
const STORIES: usize = 10;

/// How many letters the small chart is wide.
const WIDTH: usize = 60;

/// All runs, the newest first.
pub fn page(source: &Source) -> String {
    let Some(document) = result::document(source.session) else { return String::new() };
    let mut out = String::new();
    for caution in source.cautions {
        let (what, text) = Language::English.caution(caution);
        let _ = writeln!(out, "> **The recording {what}:** {}.\n", markdown(&text));
    }
    let newest = std::iter::once(&document.run);
    let documents = newest.chain(document.earlier_runs.iter().rev());
    for (run, told) in source.session.runs.iter().rev().zip(documents) {
        section(&mut out, source, run, told);
    }
    if let Some(said) = Language::English.forgotten(document.forgotten_runs) {
        let _ = writeln!(out, "{said}\n");
    }
    let _ = writeln!(out, "## {}\n", take_away::heading(Language::English));
    for system in System::ALL {
        let text = take_away(system, source.session);
        let _ = writeln!(
            out,
            "<details><summary>{}</summary>\n\n{}\n</details>\n",
            system.name(),
            markdown_block(system.language(), &text)
        );
    }
    out
}

fn section(out: &mut String, source: &Source, run: &Run, told: &RunDocument) {
    let (sign, _, verdict) = words::verdict(run);
    let number =
        if source.session.runs.len() > 1 { format!("run {}: ", told.run.unwrap_or_default()) } else { String::new() };
    let name = run.started.argv.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
    let _ = writeln!(out, "## {number}{} under {}\n", markdown(name), run.started.limit);
    let _ = writeln!(out, "{sign} **{}**\n", markdown(&verdict));
    let about: Vec<String> = words::when(run).into_iter().chain(words::machine(source.header, run)).collect();
    let _ = writeln!(out, "{}\n", markdown(&about.join(" · ")));
    out.push_str(&markdown_block("", &small_chart(run, source.session)));
    out.push_str("\n| | | kernel's file |\n|---|---:|---|\n");
    for number in numbers(told).iter().filter(|number| number.value.is_some() || number.name == "limit") {
        let file = number.file.map_or(String::new(), |file| format!("`{file}`"));
        let _ = writeln!(out, "| {} | {} | {file} |", number.name, number.text);
    }
    stories(out, told);
    out.push_str("\n| time | |\n|---:|---|\n");
    for event in &told.events {
        let _ = writeln!(out, "| {} | {} {} |", moment_at(event.at_seconds), words::sign(event), markdown(&event.text));
    }
    out.push_str("\nRun it again:\n\n");
    let lines: Vec<String> =
        again::lines(told).into_iter().map(|line| format!("# {}\n{}", line.what, line.line)).collect();
    out.push_str(&markdown_block("sh", &crate::text::visible_lines(&lines.join("\n"))));
    if let Some(doubt) = again::doubt(told) {
        let _ = writeln!(out, "\n{doubt}");
    }
    if let Some(screen) = screen::last(source.events, told.run.unwrap_or_default()) {
        let lines: Vec<&str> = screen.lines().collect();
        let tail = lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n");
        let _ = writeln!(out, "\nThe end of its output:\n\n{}", markdown_block("", &tail));
    }
    out.push('\n');
}

/// The kills: the last whole, the others by who and when.
fn stories(out: &mut String, told: &RunDocument) {
    let all = series(&told.stories);
    let Some((last, before)) = all.split_last() else { return };
    let (hidden, before) = before.split_at(before.len().saturating_sub(STORIES));
    let more = hidden.iter().flat_map(|same| same.iter()).map(|story| story.kills).sum();
    out.push('\n');
    if more > 0 {
        let _ = writeln!(out, "- {}", Language::English.more_kills(more));
    }
    for same in before {
        let _ = writeln!(out, "- {}", markdown(&Language::English.series(same)));
    }
    let _ = writeln!(out, "- {}", markdown(&Language::English.series(last)));
    for line in last.last().into_iter().flat_map(|story| story.text.iter().skip(1)) {
        let _ = writeln!(out, "  - {}", markdown(line));
    }
}

/// Usage over time in eighths of a line, against the limit, with the marks below.
fn small_chart(run: &Run, session: &Session) -> String {
    let series = Series::new(run, session, usize::MAX);
    let most = series.dots.iter().map(|dot| dot.usage).max().unwrap_or(0).max(run.peak).max(1);
    let limit = series.highest_limit().filter(|limit| limit / 16 <= most);
    let full = limit.unwrap_or(most).max(most) as f64;
    let column = |at: f64| ((at / series.span * WIDTH as f64) as usize).min(WIDTH - 1);
    let mut columns: Vec<Option<u64>> = vec![None; WIDTH];
    for dot in &series.dots {
        let slot = &mut columns[column(dot.at)];
        *slot = Some(slot.unwrap_or(0).max(dot.usage));
    }
    let mut held = 0;
    let last = columns.iter().rposition(Option::is_some).unwrap_or(0);
    let bar: String = columns
        .iter()
        .enumerate()
        .map(|(n, usage)| {
            held = usage.unwrap_or(held);
            let level = (held as f64 / full * 8.0).round() as usize;
            if n > last { ' ' } else { ['▁', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][level.min(8)] }
        })
        .collect();
    let mut marks = [' '; WIDTH];
    for mark in &series.marks {
        marks[column(mark.at)] = match mark.sign {
            Sign::Kill => '✖',
            Sign::Raised => '▲',
            Sign::Lowered => '▼',
            Sign::Refused => '◇',
            Sign::Paused => '‖',
            Sign::FirstHit if marks[column(mark.at)] == ' ' => '◆',
            Sign::FirstHit => continue,
        };
    }
    let marks: String = marks.iter().collect();
    let top = if limit.is_some() { "the highest limit" } else { "the peak" };
    let end = moment(std::time::Duration::try_from_secs_f64(series.span).unwrap_or_default());
    format!(
        "{bar}\n{}\n0{end:>width$}\nfull height: {top}, {}; ◆ first limit hit ✖ OOM kill ▲▼ limit moved",
        marks.trim_end(),
        crate::units::size(full as u64),
        width = WIDTH - 1
    )
}
