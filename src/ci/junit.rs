//! JUnit XML, as CI systems read it: a suite for each run, with one test case.
//!
//! A kill by the OOM killer is a failure even where the command passed: a worker that vanished is what such a report is for. What sandtop itself
//! failed at is an error, not a failure. Text is cut down to what XML 1.0 can hold.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    error::EXIT_FAILED,
    event::OomPolicy,
    result::{Document, RunDocument},
    sentences::Language,
    session::outcome::Outcome,
    text::{escaped, html, shortened, visible},
};

/// How much of the command names the test, in characters.
const NAME: usize = 200;

/// How much of an event is told, in characters.
const EVENT: usize = 1000;

/// How a run counts.
enum Judged {
    Passed,
    /// The kind.
    Failed(&'static str),
    /// sandtop's own.
    Error(&'static str),
}

/// The document as a JUnit report.
pub fn xml(document: &Document) -> String {
    let runs: Vec<&RunDocument> = document.earlier_runs.iter().chain([&document.run]).collect();
    let remedy = document.error.as_ref().and_then(|error| error.remedy.as_deref());
    let seconds = runs.iter().filter_map(|run| run.wall_seconds).fold(0.0, |sum, more| sum + more);
    let sum = |which: fn(&Judged) -> bool| runs.iter().filter(|run| which(&judged(run))).count();
    let counts = counts(runs.len(), sum(is_failure), sum(is_error), seconds);
    let suites: String = runs.iter().map(|run| suite(run, remedy)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"sandtop\" {counts}>\n{suites}</testsuites>\n"
    )
}

fn judged(run: &RunDocument) -> Judged {
    match (run.outcome, run.sandtop_exit_code) {
        (Some(Outcome::SandboxLost), _) => Judged::Error("sandbox_lost"),
        (Some(Outcome::FailedToStart), Some(EXIT_FAILED)) => Judged::Error("failed_to_start"),
        (Some(Outcome::FailedToStart), _) => Judged::Failed("failed_to_start"),
        (Some(Outcome::OomKilled), _) => Judged::Failed("oom_killed"),
        (Some(Outcome::OomSurvived), _) => Judged::Failed("oom_survived"),
        (Some(Outcome::TimedOut), _) => Judged::Failed("timed_out"),
        (Some(Outcome::StoppedByUser), _) => Judged::Failed("stopped_by_user"),
        (Some(Outcome::Signalled), _) => Judged::Failed("signalled"),
        (Some(Outcome::Exited), _) if run.exit_code != Some(0) => Judged::Failed("exited"),
        (Some(Outcome::Exited), _) if run.over_budget == Some(true) => Judged::Failed("over_budget"),
        _ => Judged::Passed,
    }
}

fn is_failure(judged: &Judged) -> bool {
    matches!(judged, Judged::Failed(_))
}

fn is_error(judged: &Judged) -> bool {
    matches!(judged, Judged::Error(_))
}

fn counts(tests: usize, failures: usize, errors: usize, seconds: f64) -> String {
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" time=\"{seconds:.3}\"")
}

fn suite(run: &RunDocument, remedy: Option<&str>) -> String {
    let judged = judged(run);
    let seconds = run.wall_seconds.unwrap_or(0.0);
    let counts = counts(1, usize::from(is_failure(&judged)), usize::from(is_error(&judged)), seconds);
    // Schemas want it without its zone.
    let start = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(run.started_ms)).to_string();
    let start = start.trim_end_matches('Z');
    let mut text = format!("  <testsuite name=\"sandtop\" {counts} timestamp=\"{start}\">\n    <properties>\n");
    for (name, value) in properties(run) {
        let _ = writeln!(text, "      <property name=\"{name}\" value=\"{}\"/>", escaped(&value));
    }
    let name = html(&shortened(&run.command.join(" "), NAME));
    let _ =
        writeln!(text, "    </properties>\n    <testcase classname=\"sandtop\" name=\"{name}\" time=\"{seconds:.3}\">");
    let verdict = run.verdict.as_deref().unwrap_or("it has not ended");
    let element = match judged {
        Judged::Passed => None,
        Judged::Failed(kind) => Some(("failure", kind)),
        Judged::Error(kind) => Some(("error", kind)),
    };
    if let Some((element, kind)) = element {
        let message = html(verdict);
        let told = escaped(&told(run, verdict, remedy));
        let _ = writeln!(text, "      <{element} type=\"{kind}\" message=\"{message}\">{told}</{element}>");
    }
    let out = escaped(&(visible(verdict) + "\n" + &events(run)));
    let _ = writeln!(text, "      <system-out>{out}</system-out>\n    </testcase>\n  </testsuite>");
    text
}

/// The numbers; what does not apply, or this kernel does not tell, is not there. Sizes are bytes.
fn properties(run: &RunDocument) -> Vec<(&'static str, String)> {
    let number = |value: Option<u64>| value.map(|n| n.to_string());
    let limit = run.run.map(|_| run.limit_bytes.map_or_else(|| "max".to_string(), |n| n.to_string()));
    let paused = run.oom_policy == Some(OomPolicy::Pause) || !run.pauses.is_empty() || run.pauses_averted > 0;
    let all = [
        ("ended_by", run.ended_by.map(|by| by.word().to_string())),
        ("limit_bytes", limit),
        ("budget_bytes", number(run.budget_bytes)),
        ("peak_bytes", number(run.peak_bytes)),
        ("highest_bytes", number(run.highest_bytes)),
        ("highest_from", run.highest_from.map(|from| from.word().to_string())),
        ("unreclaimable_peak_bytes", number(run.unreclaimable_peak_bytes)),
        ("unreclaimable_peak_bound_bytes", number(run.unreclaimable_peak_bound_bytes)),
        ("budget_proven", run.budget.map(|judged| judged.proven.to_string())),
        ("swap_peak_bytes", number(run.swapping.peak_bytes)),
        ("limit_hits", number(run.limit_hits)),
        ("oom_kills", number(run.oom_kills)),
        ("oom_kills_repeated", number(Some(run.oom_kills_repeated).filter(|n| *n > 0))),
        ("pids_refused", number(run.other_limits.pids_refused)),
        ("cpu_throttled", number(run.other_limits.cpu_throttled)),
        ("soft_limit_hits", number(run.other_limits.soft_limit_hits)),
        ("pauses", paused.then(|| run.pauses.len().to_string())),
        ("pauses_averted", paused.then(|| run.pauses_averted.to_string())),
        ("pauses_averted_seconds", paused.then(|| run.pauses_averted_seconds.to_string())),
        ("exit_code", run.exit_code.map(|n| n.to_string())),
        ("signal", run.signal.map(|n| n.to_string())),
        ("sandtop_exit_code", run.sandtop_exit_code.map(|n| n.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The verdict, what would help, and the story of the kills.
fn told(run: &RunDocument, verdict: &str, remedy: Option<&str>) -> String {
    let lines = [verdict].into_iter().map(String::from).chain(remedy.map(String::from));
    lines.chain(Language::English.story(run)).map(|line| visible(&line) + "\n").collect()
}

fn events(run: &RunDocument) -> String {
    run.events.iter().map(|event| shortened(&visible(&Language::English.told_event(event)), EVENT) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::tests::document;

    #[test]
    fn a_run_that_passed_is_a_test_case_without_a_failure() {
        let text = xml(&document(|_| {}));
        assert!(text.contains("tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\" time=\"1.250\""), "{text}");
        assert!(text.contains("timestamp=\"2026-01-02T03:04:05\""), "{text}");
        assert!(text.contains("<testcase classname=\"sandtop\" name=\"make test\" time=\"1.250\">"), "{text}");
        assert!(text.contains("<property name=\"peak_bytes\" value=\"97517568\"/>"), "{text}");
        assert!(!text.contains("<failure") && !text.contains("<error"), "{text}");
    }

    #[test]
    fn what_reclaims_averted_is_told_where_a_run_is_paused_at_its_limit() {
        assert!(!xml(&document(|_| {})).contains("pauses"));
        let text = xml(&document(|run| (run.pauses_averted, run.pauses_averted_seconds) = (8, 0.125)));
        assert!(text.contains("<property name=\"pauses\" value=\"0\"/>"), "{text}");
        assert!(text.contains("<property name=\"pauses_averted\" value=\"8\"/>"), "{text}");
        assert!(text.contains("<property name=\"pauses_averted_seconds\" value=\"0.125\"/>"), "{text}");
    }

    #[test]
    fn each_way_to_fail_is_told_as_what_it_is() {
        let kind = |change: fn(&mut RunDocument)| {
            let text = xml(&document(change));
            let element = text.lines().find(|line| line.contains("<failure ") || line.contains("<error "))?;
            let (element, rest) = element.trim_start().trim_start_matches('<').split_once(" type=\"")?;
            Some(format!("{element} {}", rest.split('"').next()?))
        };
        assert_eq!(kind(|run| run.exit_code = Some(3)).as_deref(), Some("failure exited"));
        assert_eq!(kind(|run| run.over_budget = Some(true)).as_deref(), Some("failure over_budget"));
        assert_eq!(kind(|run| run.outcome = Some(Outcome::OomKilled)).as_deref(), Some("failure oom_killed"));
        assert_eq!(kind(|run| run.outcome = Some(Outcome::OomSurvived)).as_deref(), Some("failure oom_survived"));
        assert_eq!(kind(|run| run.outcome = Some(Outcome::TimedOut)).as_deref(), Some("failure timed_out"));
        assert_eq!(kind(|run| run.outcome = Some(Outcome::FailedToStart)).as_deref(), Some("failure failed_to_start"));
        let own = |run: &mut RunDocument| {
            run.outcome = Some(Outcome::FailedToStart);
            run.sandtop_exit_code = Some(EXIT_FAILED);
        };
        assert_eq!(kind(own).as_deref(), Some("error failed_to_start"));
        assert_eq!(kind(|run| run.outcome = Some(Outcome::SandboxLost)).as_deref(), Some("error sandbox_lost"));
    }

    #[test]
    fn nothing_that_a_command_is_called_breaks_the_xml() {
        let hostile = "a\u{0}\u{1b}[31m<b>&\"'\u{ffff}]]>\u{202e}\u{85}ü";
        let text = xml(&document(|run| {
            run.command = vec!["a\u{0}\u{1b}[31m<b>&\"'\u{ffff}]]>\u{202e}\u{85}ü".into()];
            run.verdict = Some("a\n\u{0}<".into());
            run.exit_code = Some(1);
        }));
        assert!(
            text.contains("name=\"a\u{fffd}\u{fffd}[31m&lt;b&gt;&amp;&quot;&#39;\u{fffd}]]&gt;\u{fffd}\u{fffd}ü\""),
            "{text} of {hostile}"
        );
        assert!(text.contains("message=\"a↵\u{fffd}&lt;\""), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
}
