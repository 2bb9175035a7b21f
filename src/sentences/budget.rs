//! What is said of `--budget`.

use super::Language;
use crate::{
    event::{BudgetOf, Unreclaimable},
    session::{Judged, Run},
    units::{Limit, size},
};

/// The two ends of an interval that are closer than this, in bytes, are told as one.
const NOT_WORTH_A_WORD: u64 = 1 << 20;

impl Language {
    /// How the run stands to its budget: `peak 93M, 90M of it unreclaimable, over the budget of 80M`; `None` without a budget.
    pub fn budget(self, run: &Run) -> Option<String> {
        let budget = size(run.started.budget?);
        if run.last.is_none() {
            return Some(format!("{}, so the budget of {budget} was not judged", self.unsampled()));
        }
        let peak = self.highest(run.peak, run.highest_from());
        let part = match (run.budget_of(), run.unreclaimable) {
            (BudgetOf::Unreclaimable, Some(seen)) => format!(", {}", self.unreclaimable(&seen)),
            _ => String::new(),
        };
        let judged = match run.budget() {
            Some(Judged::Over) => format!("over the budget of {budget}"),
            Some(Judged::Within) => format!("within the budget of {budget}"),
            Some(Judged::WithinAsFarAsSeen(Some(most))) => {
                format!("within the budget of {budget} as far as seen: it may have reached {}", size(most))
            }
            Some(Judged::WithinAsFarAsSeen(None)) | None => format!("within the budget of {budget} as far as seen"),
        };
        Some(format!("peak {peak}{part}, {judged}"))
    }

    /// The highest unreclaimable usage: `8.2M to 14M of it unreclaimable`, after the peak.
    pub fn unreclaimable(self, seen: &Unreclaimable) -> String {
        let Unreclaimable { least, most, unknown } = *seen;
        let kernel = match most {
            Some(most) if unknown >= NOT_WORTH_A_WORD && unknown > most.saturating_sub(least) / 2 => {
                format!(" (with {} of kernel memory, reclaimable or not unknown)", size(unknown.min(most)))
            }
            _ => String::new(),
        };
        format!("{} of it unreclaimable{kernel}", self.between(least, most))
    }

    /// An amount that is known as an interval: `8.2M to 14M`.
    pub fn between(self, least: u64, most: Option<u64>) -> String {
        match most {
            None => format!("at least {}", size(least)),
            Some(most) if least == 0 && most > 0 => format!("at most {}", size(most)),
            Some(most) if most.saturating_sub(least) < NOT_WORTH_A_WORD => size(least),
            Some(most) => format!("{} to {}", size(least), size(most)),
        }
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
        let said = recorded(80 * m, false);
        assert!(said.contains("M (sampled), within the budget of 80M as far as seen; limit 50M"), "{said}");
    }

    /// The end of a run with a budget of 20M whose unreclaimable usage was this.
    fn judged(seen: Unreclaimable, of: BudgetOf) -> (String, Option<u8>) {
        let mut session = Session::default();
        for line in include_str!("../../tests/data/dd-cache.jsonl").lines() {
            let mut stamped: Stamped = serde_json::from_str(line).unwrap();
            match &mut stamped.event {
                Event::Started(started) => (started.budget, started.budget_of) = (Some(20 << 20), of),
                Event::Sample(sample) => sample.unreclaimable = Some(Box::new(seen)),
                _ => {}
            }
            session.apply(&stamped);
        }
        let run = session.run().unwrap();
        (Language::English.summary(run), run.exit_code())
    }

    #[test]
    fn a_budget_is_for_what_is_unreclaimable_and_is_judged_by_both_ends_of_the_interval() {
        let m = 1 << 20;
        let seen = |least, most: u64| Unreclaimable { least: least * m, most: Some(most * m), unknown: 0 };
        for (seen, of, code, expected) in [
            (
                seen(3, 14),
                BudgetOf::Unreclaimable,
                0,
                "peak 49.9M, 3M to 14M of it unreclaimable, within the budget of 20M; ",
            ),
            (
                seen(3, 30),
                BudgetOf::Unreclaimable,
                0,
                "3M to 30M of it unreclaimable, within the budget of 20M as far as seen: it may have reached 30M; ",
            ),
            (seen(21, 30), BudgetOf::Unreclaimable, 123, "21M to 30M of it unreclaimable, over the budget of 20M; "),
            (seen(3, 14), BudgetOf::Peak, 123, "peak 49.9M, over the budget of 20M; "),
            (
                Unreclaimable { least: 3 * m, most: None, unknown: 0 },
                BudgetOf::Unreclaimable,
                0,
                "at least 3M of it unreclaimable, within the budget of 20M as far as seen; ",
            ),
            (
                Unreclaimable { least: 3 * m, most: Some(15 * m), unknown: 12 * m },
                BudgetOf::Unreclaimable,
                0,
                "3M to 15M of it unreclaimable (with 12M of kernel memory, reclaimable or not unknown), within the budget",
            ),
        ] {
            let (said, got) = judged(seen, of);
            assert!(said.contains(expected) && got == Some(code), "{got:?} {said}");
        }
    }

    #[test]
    fn what_may_have_been_in_use_is_not_said_to_have_been_nothing() {
        let said = |least, most| Language::English.between(least, most);
        assert_eq!(said(0, Some(500 << 10)), "at most 500K");
        assert_eq!((said(0, Some(0)), said(5 << 20, Some(9 << 20))), ("0B".into(), "5M to 9M".into()));
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
