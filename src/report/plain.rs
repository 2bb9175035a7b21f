//! A report for the eye, on standard output: how it ended, the numbers, and what happened.

use super::{
    Source,
    text::visible,
    words::{self, numbers},
};
use crate::{
    result,
    sentences::{Language, moment_at},
};

/// A few lines on each run, the newest last: that is where a terminal stands.
pub fn plain(source: &Source) -> String {
    let Some(document) = result::document(source.session) else { return String::new() };
    let mut out = String::new();
    if let Some(said) = Language::English.forgotten(document.forgotten_runs) {
        out += &format!("{said}\n\n");
    }
    let documents = document.earlier_runs.iter().chain([&document.run]);
    for (n, (run, told)) in source.session.runs.iter().zip(documents).enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let (sign, _, verdict) = words::verdict(run);
        if source.session.runs.len() > 1 {
            out += &format!("run {}: ", told.run.unwrap_or_default());
        }
        out += &format!("{}\n{sign} {}\n", words::command(run), visible(&verdict));
        let about: Vec<String> = words::when(run).into_iter().chain(words::machine(source.header, run)).collect();
        out += &format!("  {}\n", visible(&about.join(" · ")));
        let shown: Vec<String> = numbers(told)
            .iter()
            .filter(|number| number.value.is_some() && !["exit code", "time"].contains(&number.name))
            .map(|number| format!("{} {}", number.name, number.text))
            .collect();
        out += &format!("  {}\n", shown.join(" · "));
        if let Some(story) = told.stories.last() {
            out += "  why the last one was killed\n";
            for (about, fact) in story
                .text
                .iter()
                .filter_map(|line| line.split_once(": "))
                .filter(|(about, _)| !about.starts_with("OOM"))
            {
                out += &format!("    {about:<14} {}\n", visible(fact));
            }
        }
        for event in told.events.iter().filter(|event| event.kind != "started") {
            out += &format!("{:>12}  {} {}\n", moment_at(event.at_seconds), words::sign(event), visible(&event.text));
        }
    }
    out
}
