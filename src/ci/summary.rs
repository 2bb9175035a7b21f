//! Markdown, fit for a CI job's step summary: the verdict, the numbers, the story of the kills, all events, and how to see it again.
//!
//! It is appended to what other steps have said. Nothing that a command or a process is called is taken for Markdown or HTML.

use std::{fmt::Write, time::Duration};

use crate::{
    event::Controller,
    report::again,
    result::{Document, RunDocument},
    sentences::{Language, duration},
    session::outcome::{EndedBy, Outcome},
    text::{markdown, markdown_block, shortened, visible},
    units::{Limit, size},
};

/// How much of a command a headline holds, in characters.
const HEADLINE: usize = 80;

/// A longer line that runs it again is left out, in bytes: CI systems take a megabyte of all.
const AGAIN: usize = 8 * 1024;

/// How much of one event is written, in characters, and of all of them, in bytes: a job's summary has 1 MiB at most.
const LONGEST_EVENT: usize = 1000;
const EVENTS: usize = 256 << 10;

/// The document as Markdown. It starts with an empty line: what is there may end without one.
pub fn page(document: &Document) -> String {
    let run = &document.run;
    let mut text = format!("\n### {}\n\n", headline(run));
    let verdict = run.verdict.as_deref().unwrap_or("it has not ended");
    let _ = writeln!(text, "{}\n", markdown(verdict));
    if let Some(remedy) = document.error.as_ref().and_then(|error| error.remedy.as_deref()) {
        let _ = writeln!(text, "{}\n", markdown(remedy));
    }
    text += &table(run);
    let story = Language::English.story(run);
    if !story.is_empty() {
        let lines = story.iter().map(|line| format!("- {}\n", markdown(line)));
        text.extend(lines.chain(["\n".to_string()]));
    }
    text += &events(run);
    let again = again::watched(run);
    if again.len() <= AGAIN {
        let _ = writeln!(text, "To watch it on a screen:\n\n{}", markdown_block("sh", &again));
    }
    text
}

/// `✔ passed: make test`.
fn headline(run: &RunDocument) -> String {
    let (sign, word) = match run.sandtop_exit_code {
        Some(0) if run.oom_kills.unwrap_or(0) > 0 => ("⚠", "passed, with OOM kills"),
        Some(0) => ("✔", "passed"),
        _ if run.over_budget == Some(true) && run.exit_code == Some(0) => ("✖", "over budget"),
        _ if run.outcome == Some(Outcome::FailedToStart) => ("✖", "did not start"),
        _ => ("✖", "failed"),
    };
    let command = run.command.join(" ");
    format!("{sign} {word}: {}", markdown(&shortened(&command, HEADLINE)))
}

fn table(run: &RunDocument) -> String {
    let mut text = String::from("| | |\n|---|---|\n");
    for (name, value) in rows(run) {
        let _ = writeln!(text, "| {name} | {} |", markdown(&value));
    }
    text + "\n"
}

/// What the table says; what does not apply, or this kernel does not tell, is a dash.
fn rows(run: &RunDocument) -> Vec<(&'static str, String)> {
    let words = Language::English;
    let dash = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let limit = run.run.map(|_| run.limit_bytes.map_or(Limit::Max, Limit::Bytes));
    let number = |value: Option<u64>| dash(value.map(|n| n.to_string()));
    let kept = match (run.over_budget, run.budget.map(|judged| judged.proven)) {
        (Some(true), _) => "exceeded",
        (_, Some(false)) => "kept as far as seen",
        _ => "kept",
    };
    let budget = run.budget_bytes.map(|budget| format!("{}, {kept}", size(budget)));
    let code = run.sandtop_exit_code.map(|code| match run.exit_code {
        Some(own) if own != i32::from(code) => format!("{code} (the command's own: {own})"),
        _ => code.to_string(),
    });
    let controller = run.controller.map(|controller| match controller {
        Controller::V1 => "cgroup v1".to_string(),
        Controller::V2 => "cgroup v2".to_string(),
    });
    let seconds = run.wall_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let stood = Duration::try_from_secs_f64(run.pauses_averted_seconds).unwrap_or_default();
    let mut rows = vec![
        ("limit", dash(limit.map(|limit| words.limit(limit, run.limit_is_default)))),
        ("peak", dash(peak(run))),
        ("unreclaimable peak", dash(unreclaimable(run))),
        ("swap", words.swapped(&run.swapping).unwrap_or_default()),
        ("budget", dash(budget)),
        ("limit hits", number(run.limit_hits)),
        ("OOM kills", dash(run.oom_kills.map(|kills| words.kills_counted(kills, run.oom_kills_repeated)))),
        ("other limits", words.other_limits(&run.other_limits).join("; ")),
        ("pauses averted", words.averted((run.pauses_averted, stood)).unwrap_or_default()),
        ("ended by", dash(run.ended_by.map(|by| by.word().to_string()))),
        ("time", dash(seconds.map(duration))),
        ("exit code", dash(code)),
        ("memory controller", dash(controller)),
    ];
    rows.retain(|(name, value)| match *name {
        "budget" => run.budget_bytes.is_some(),
        "unreclaimable peak" => run.unreclaimable_peak_bytes.is_some(),
        "swap" => !value.is_empty(),
        "other limits" | "pauses averted" => !value.is_empty(),
        "ended by" => run.ended_by.is_some_and(|by| by != EndedBy::Itself),
        _ => true,
    });
    rows
}

/// `93M, 93 % of the limit`.
fn peak(run: &RunDocument) -> Option<String> {
    let peak = run.highest_bytes?;
    let highest = Language::English.highest(peak, run.highest_from?);
    let share = run.limit_bytes.filter(|limit| *limit > 0);
    let share =
        share.map_or(String::new(), |limit| format!(", {:.0} % of the limit", peak as f64 * 100.0 / limit as f64));
    Some(format!("{highest}{share}"))
}

/// `8.2M`, or `8.2M to 14M`.
fn unreclaimable(run: &RunDocument) -> Option<String> {
    Some(Language::English.between(run.unreclaimable_peak_bytes?, run.unreclaimable_peak_bound_bytes))
}

/// All events, folded away; where they are too many, the newest.
fn events(run: &RunDocument) -> String {
    let line = |event| visible(&Language::English.told_event(event)).chars().take(LONGEST_EVENT).collect::<String>();
    let mut room = EVENTS;
    let newest: Vec<String> = run
        .events
        .iter()
        .rev()
        .map(line)
        .take_while(|line| {
            let fits = line.len() < room;
            room = room.saturating_sub(line.len() + 1);
            fits
        })
        .collect();
    if newest.is_empty() {
        return String::new();
    }
    let left_out = match run.events.len() - newest.len() {
        0 => String::new(),
        n => format!("{n} before\n"),
    };
    let lines: Vec<String> = newest.into_iter().rev().collect();
    format!(
        "<details>\n<summary>all that happened</summary>\n\n{}\n</details>\n\n",
        markdown_block("text", &(left_out + &lines.join("\n")))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ci::tests::document,
        event::Victim,
        result::{ErrorDocument, EventDocument},
    };

    #[test]
    fn a_run_that_passed_is_a_headline_a_verdict_and_its_numbers() {
        let text = page(&document(|_| {}));
        for line in [
            "### ✔ passed: make test",
            "make exited 0 after 1.25 s; peak 93M of 100M, 0 limit hits; exit code 0",
            "| limit | 100M |",
            "| peak | 93M, 93 % of the limit |",
            "| OOM kills | 0 |",
            "| time | 1.25 s |",
            "sandtop -m 100M -- make test",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.starts_with('\n') && !text.contains("budget") && !text.contains("<details>"), "{text}");
    }

    #[test]
    fn a_kill_is_told_as_a_story_and_all_events_are_folded_away() {
        let event =
            |at_seconds, kind, text: &str| EventDocument { at_seconds, kind, weight: "danger", text: text.into() };
        let text = page(&document(|run| {
            (run.sandtop_exit_code, run.exit_code, run.oom_kills, run.limit_hits) =
                (Some(1), Some(1), Some(2), Some(111));
            run.victims = vec![Victim {
                host_pid: 500,
                pid: Some(3),
                name: "stress".into(),
                held: 99 << 20,
                ..Victim::default()
            }];
            run.events = vec![
                event(-0.004, "started", "run 1: make test under 100M"),
                event(0.05, "first_limit_hit", "usage met the limit of 100M"),
                event(0.06, "oom_kill", "2 OOM kills"),
            ];
        }));
        assert!(text.contains("### ✖ failed: make test"), "{text}");
        let story = "- memory ran out: the OOM killer took 2 processes, after 111 limit hits: stress (pid 3) held 99M; and 1 more.\n\
                     - 0:00.050  usage met the limit of 100M\n- 0:00.060  2 OOM kills\n";
        assert!(text.contains(story), "{text}");
        let folded =
            "<details>\n<summary>all that happened</summary>\n\n```text\n-0:00.004  run 1: make test under 100M\n";
        assert!(text.contains(folded), "{text}");
    }

    #[test]
    fn reclaims_that_averted_pauses_have_a_row_where_there_were_any() {
        assert!(!page(&document(|_| {})).contains("pauses averted"));
        let text = page(&document(|run| (run.pauses_averted, run.pauses_averted_seconds) = (8, 0.125)));
        let row = "| pauses averted | 8 reclaims made room instead of a pause, stood still 0.125 s |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn over_budget_and_what_could_not_start_say_so_in_the_headline() {
        let text = page(&document(|run| {
            (run.sandtop_exit_code, run.budget_bytes, run.over_budget) = (Some(123), Some(80 << 20), Some(true));
        }));
        assert!(text.contains("### ✖ over budget: make test"), "{text}");
        assert!(text.contains("| budget | 80M, exceeded |"), "{text}");
        assert!(text.contains("| exit code | 123 (the command's own: 0) |"), "{text}");
        let mut failed = document(|run| {
            *run = RunDocument {
                command: run.command.clone(),
                outcome: Some(Outcome::FailedToStart),
                sandtop_exit_code: Some(125),
                ..RunDocument::default()
            };
        });
        failed.error = Some(ErrorDocument { message: "root is needed".into(), remedy: Some("sudo sandtop".into()) });
        let text = page(&failed);
        assert!(text.contains("### ✖ did not start: make test") && text.contains("\nsudo sandtop\n"), "{text}");
        assert!(text.contains("| limit | – |") && text.contains("| peak | – |"), "{text}");
    }

    #[test]
    fn nothing_that_a_command_is_called_is_taken_for_markdown() {
        let name = "<img src=x>|`*_[a](http://b)_*`@all\n# x\u{1b}[31m $(rm)";
        let text = page(&document(|run| {
            run.command = vec![name.into(), "```".into()];
            run.verdict = Some(name.into());
        }));
        let (before, again) = text.split_once("To watch it").unwrap();
        let safe =
            "&#60;img src=x&#62;\\|\\`\\*\\_\\[a\\](http&#58;//b)\\_\\*\\`&#64;all↵&#35; x\u{fffd}\\[31m \\$(rm)";
        assert_eq!(before.matches(safe).count(), 2, "{before}");
        assert!(again.contains("\n````sh\nsandtop -m 100M -- ") && again.ends_with("\n````\n\n"), "{again}");
    }

    #[test]
    fn a_long_story_keeps_its_end_and_a_bound() {
        let text = page(&document(|run| {
            let event = |n| EventDocument {
                at_seconds: f64::from(n),
                kind: "note",
                weight: "plain",
                text: format!("{n} {}", "x".repeat(5000)),
            };
            run.events = (0..2000).map(event).collect();
        }));
        assert!(
            text.len() < EVENTS + 4096 && text.contains("  1999 xxx") && text.contains(" before\n"),
            "{}",
            text.len()
        );
    }
}
