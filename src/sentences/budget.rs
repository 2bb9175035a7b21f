//! What is said of `--budget`.

use super::Language;
use crate::{
    session::Run,
    units::{Limit, size},
};

impl Language {
    /// The peak against the budget: `peak 93M, over the budget of 80M`; `None` without a budget.
    pub fn budget(self, run: &Run) -> Option<String> {
        let budget = size(run.started.budget?);
        if run.last.is_none() {
            return Some(format!("{}, so the budget of {budget} was not judged", self.unsampled()));
        }
        let peak = self.highest(run.peak, run.highest_from());
        let how = if run.over_budget() { "over" } else { "within" };
        Some(format!("peak {peak}, {how} the budget of {budget}"))
    }

    /// What to say of a budget that no run can exceed.
    pub fn pointless_budget(self, budget: u64, limit: Limit) -> Option<String> {
        let limit = limit.bytes().filter(|limit| budget >= *limit)?;
        Some(format!(
            "a budget of {} fails no run under a limit of {}: usage is kept below it; -m sets a higher limit",
            size(budget),
            size(limit)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Stamped},
        session::Session,
    };

    /// A recorded run under 50M that filled them with cache, as if it had had a budget, on a kernel that keeps the highest usage or does not.
    fn recorded(budget: u64, kernel_keeps_peak: bool) -> String {
        let mut session = Session::default();
        for line in include_str!("../../tests/data/dd-cache.jsonl").lines() {
            let mut stamped: Stamped = serde_json::from_str(line).unwrap();
            match &mut stamped.event {
                Event::Started(started) => started.budget = Some(budget),
                Event::Sample(sample) if !kernel_keeps_peak => sample.peak = None,
                _ => {}
            }
            session.apply(&stamped);
        }
        Language::English.summary(session.run().unwrap())
    }

    #[test]
    fn the_line_at_the_end_says_the_peak_against_the_budget() {
        let m = 1 << 20;
        let said = recorded(80 * m, true);
        assert!(
            said.ends_with("; peak 49.9M, within the budget of 80M; limit 50M, 2 limit hits; exit code 0"),
            "{said}"
        );
        let said = recorded(40 * m, true);
        assert!(said.contains("M, over the budget of 40M; limit 50M, ") && said.ends_with("exit code 123"), "{said}");
        let said = recorded(40 * m, false);
        assert!(said.contains("; peak ≥ 49.") && said.contains("M (sampled), over the budget of 40M"), "{said}");
    }

    #[test]
    fn a_budget_that_cannot_be_exceeded_is_said_to_be_pointless() {
        let m = 1 << 20;
        let said = |budget, limit| Language::English.pointless_budget(budget, limit);
        assert!(said(200 * m, Limit::Bytes(100 * m)).unwrap().contains("200M fails no run under a limit of 100M"));
        assert!(said(100 * m, Limit::Bytes(100 * m)).is_some());
        assert_eq!(said(80 * m, Limit::Bytes(100 * m)), None);
        assert_eq!(said(80 * m, Limit::Max), None);
    }
}
