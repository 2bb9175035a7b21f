//! What has to be said before anyone takes a run's limits elsewhere: that they killed, and what else speaks against them.

use crate::{
    event::{BudgetOf, OomPolicy},
    sentences::{Language, count, duration},
    session::{Run, Session, What, outcome::Outcome},
    units::{is_lower, size},
};

/// What has to be said before anyone uses these limits.
pub fn said(run: &Run, session: &Session) -> Vec<String> {
    let (mut said, words) = (Vec::new(), Language::English);
    let peak = if run.last.is_some() {
        words.highest(run.peak, run.highest_from())
    } else {
        format!("not known ({})", words.unsampled())
    };
    let limit = run.limit;
    let met = session.log.iter().filter(|entry| entry.run == run.started.run).filter_map(|entry| match entry.what {
        What::OomKill { limit, .. } => Some(limit),
        _ => None,
    });
    let killed = run.processes_killed().unwrap_or(0);
    match run.outcome() {
        Some(Outcome::FailedToStart | Outcome::SandboxLost) => {
            said.push("CAUTION: this run did not get as far as to show what it needs; its limit says nothing.".into());
        }
        None => said.push(format!("CAUTION: the run has not ended here; its peak so far is {peak}.")),
        Some(Outcome::TimedOut | Outcome::StoppedByUser | Outcome::Signalled) => said.push(format!(
            "CAUTION: the run was ended before it was done; its peak until then was {peak}, and what it would have needed later it does not show."
        )),
        Some(_) => {}
    }
    // The highest limit that killed is what the next one has to be above.
    let highest = met.reduce(|a, b| if is_lower(a, b) { a } else { b }).unwrap_or(limit);
    if killed > 0 && is_lower(limit, highest) {
        said.push(format!(
            "{} happened under lower limits, up to {highest}; under the last one, {limit}, none did.",
            count(killed, "OOM kill")
        ));
    } else if killed > 0 && run.stories.are_for_other_limits() {
        let whose = words.not_ours(run.stories.scope().as_ref());
        said.push(format!(
            "CAUTION: {}{whose}: the limit of {limit} was not what killed, and this run does not show what is needed; peak {peak}.",
            count(killed, "OOM kill")
        ));
    } else if killed > 0 {
        let whom = if run.outcome() == Some(Outcome::OomKilled) { ", the main process among them" } else { "" };
        said.push(format!(
            "CAUTION: under {highest} this workload was killed: {}{whom}; peak {peak}.",
            count(killed, "OOM kill")
        ));
        said.push(
            "It needs more than that; how much more this run does not show. Raise the limit until a run passes.".into(),
        );
    }
    said.extend(stalled(run, session));
    if let Some(budget) = run.started.budget.filter(|_| run.over_budget()) {
        let used = match (run.budget_of(), run.unreclaimable) {
            (BudgetOf::Unreclaimable, Some(seen)) => format!("its unreclaimable peak of {}", size(seen.least)),
            _ => format!("its peak of {peak}"),
        };
        said.push(format!("CAUTION: {used} is more than its budget of {}.", size(budget)));
    }
    if run.oom == OomPolicy::Pause {
        said.push("Here the workload was to be paused when memory runs out (--oom pause); nothing else does that: it would be killed.".into());
    }
    if run.limit_is_default {
        said.push(format!("{limit} is sandtop's default: nobody chose it. The peak was {peak}."));
    }
    if killed == 0 && run.limit_hits().unwrap_or(0) > 0 {
        let hits = count(run.limit_hits().unwrap_or(0), "limit hit");
        let elsewhere = run.history.points().iter().filter(|point| point.limit != limit);
        let other = elsewhere.fold(0, |sum: u64, point| sum.saturating_add(point.hits));
        let other = if other > 0 { format!(" ({other} of them under other limits)") } else { String::new() };
        said.push(format!(
            "{hits}{other}: the limit held usage down, and the kernel gave memory back for it; peak {peak}."
        ));
    }
    said
}

/// That the run stalled, and whether that speaks against the limit that is to be taken.
fn stalled(run: &Run, session: &Session) -> Option<String> {
    let entries = session.log.iter().filter(|entry| entry.run == run.started.run);
    let limits = entries.filter_map(|entry| match entry.what {
        What::Stalled { limit, .. } => Some(limit),
        _ => None,
    });
    let highest = limits.reduce(|a, b| if is_lower(a, b) { a } else { b })?;
    let lasted = duration(run.stalls.total());
    Some(match is_lower(run.limit, highest) {
        true => format!(
            "It stalled for {lasted} under lower limits, up to {highest}; under the last one, {}, it did not.",
            run.limit
        ),
        false => format!(
            "CAUTION: under {highest} it stalled for {lasted}: it lived, and spent its time fetching back what the limit took away. It needs more than that."
        ),
    })
}
