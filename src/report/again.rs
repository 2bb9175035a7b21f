//! The command lines that run a command again, from what is known of a run.

use crate::{
    event::BudgetOf,
    result::{Planning, RunDocument},
    text::{shell_line, shell_one_line},
    units::Limit,
};

/// A line, and what it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// What it does.
    pub what: &'static str,
    /// To be typed to a shell.
    pub line: String,
}

/// What has to be said about these lines, where there is anything: a recording has words as they can be shown.
pub fn doubt(run: &RunDocument) -> Option<&'static str> {
    if run.options.iter().any(|word| word == "-e") {
        return Some("-e NAME passes the variable on as it is there: its value in this run is not recorded.");
    }
    let doubtful = run.command.iter().any(|word| word.contains(['?', char::REPLACEMENT_CHARACTER]));
    doubtful.then_some("A ? may stand for a character that cannot be shown, such as the end of a line: the recording does not say which.")
}

/// The run as it was started, and where its limit was moved under the one that it ended with.
pub fn lines(run: &RunDocument) -> Vec<Line> {
    let mut lines = vec![Line { what: "as it was started", line: line(run, &as_started(run)) }];
    if run.limit_bytes != run.limit_at_start_bytes {
        lines.push(Line { what: "under the limit that it ended with", line: line(run, &limits(run, run.limit_bytes)) });
    }
    lines
}

/// To watch it on the screen, in one line.
pub fn watched(run: &RunDocument) -> String {
    let options = run.run.map_or(String::new(), |_| as_started(run) + " ");
    format!("sandtop {options}-- {}", shell_one_line(&run.command))
}

fn line(run: &RunDocument, limits: &str) -> String {
    let mut options = limits.to_string();
    if let Some(budget) = run.budget_bytes {
        options += &format!(" --budget {}", Limit::Bytes(budget).typed());
        if let Some(of) = run.budget.as_ref().map(|judged| judged.of).filter(|of| *of != BudgetOf::default()) {
            options += &format!(" --budget-of {}", of.word());
        }
    }
    match run.command.last() {
        Some(name) if run.demo => format!("sandtop demo {limits} {name}"), // recorded under its own name; it has no budget
        _ => format!("sandtop run {options} -- {}", shell_line(&run.command)),
    }
}

/// The options for the limit at the start, and for how it was to move.
fn as_started(run: &RunDocument) -> String {
    let limits = limits(run, run.limit_at_start_bytes);
    // At 0s a schedule says what the limit at the start is; where it was another, it was moved before the start.
    let schedule =
        run.schedule.as_ref().filter(|s| s.moves.iter().all(|m| m.at_seconds > 0.0 || m.outcome == Planning::AtStart));
    schedule.map_or(limits.clone(), |schedule| {
        format!("{limits} --schedule {}", shell_line(std::slice::from_ref(&schedule.typed)))
    })
}

/// The options for a limit, for all that was asked for beside it, and those that bear on something else.
fn limits(run: &RunDocument, limit: Option<u64>) -> String {
    let given = run.options.iter().map(|word| shell_one_line(std::slice::from_ref(word)));
    let options = [memory(run, limit)].into_iter().chain(run.settings_asked.options()).chain(given);
    options.collect::<Vec<_>>().join(" ")
}

fn memory(run: &RunDocument, limit: Option<u64>) -> String {
    let memory = format!("-m {}", limit.map_or(Limit::Max, Limit::Bytes).typed());
    match (run.swap_allowed_bytes, limit) {
        (Some(0), _) => memory,
        (Some(swap), Some(limit)) => {
            format!("{memory} --memory-swap {}", Limit::Bytes(limit.saturating_add(swap)).typed())
        }
        _ => format!("{memory} --memory-swap max"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Change, OomPolicy},
        report::tests::story,
        result::document,
        units::Quota,
    };

    fn told(change: impl FnOnce(&mut RunDocument)) -> RunDocument {
        let mut run = document(&story(|_| {})).expect("a run").run;
        change(&mut run);
        run
    }

    #[test]
    fn a_run_is_typed_again_as_it_was() {
        let run = told(|run| {
            run.command = vec!["sh".into(), "-c".into(), "echo 'a b'".into()];
            run.swap_allowed_bytes = Some(20 << 20);
        });
        let lines = lines(&run);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].line, r"sandtop run -m 100M --memory-swap 120M -- sh -c 'echo '\''a b'\'''");
        assert_eq!(watched(&run), r"sandtop -m 100M --memory-swap 120M -- sh -c 'echo '\''a b'\'''");
    }

    #[test]
    fn what_was_given_beside_the_limit_is_given_again() {
        let run = told(|run| run.options = ["-e", "TOKEN", "-w", "a b"].map(String::from).to_vec());
        assert!(lines(&run)[0].line.starts_with("sandtop run -m 100M -e TOKEN -w 'a b' -- "), "{:?}", lines(&run));
        assert!(doubt(&run).is_some_and(|said| said.contains("not recorded")));
    }

    #[test]
    fn what_was_asked_for_is_asked_for_again() {
        let changes = vec![
            Change::SoftLimit(Limit::Bytes(48 << 20)),
            Change::Reservation(Limit::Bytes(32 << 20)),
            Change::Oom(OomPolicy::Group),
            Change::Pids(Quota::Of(30)),
            Change::Cpus(Quota::Of(1500)),
        ];
        let session = story(|started| {
            started.changes = changes;
            started.oom_score_adj = Some(-500);
        });
        let line = lines(&document(&session).expect("a run").run)[0].line.clone();
        let asked = "-m 100M --memory-high 48M --memory-reservation 32M --oom group --pids-limit 30 --cpus 1.5 --oom-score-adj -500 --";
        assert!(line.starts_with(&format!("sandtop run {asked}")), "{line}");
    }

    #[test]
    fn a_demo_is_typed_again_as_a_demo() {
        let run = told(|run| (run.command, run.demo) = (vec!["demo".into(), "oom".into()], true));
        assert_eq!(lines(&run)[0].line, "sandtop demo -m 100M oom");
    }
}
