//! How far one key moves the limit.

use std::fmt;

use super::{Limit, page_size, percent, plain_size};

/// How far `-` and `+` move the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many thousandths of the limit.
    Share(u64),
    /// So many bytes.
    Bytes(u64),
}

impl Default for Step {
    /// A tenth.
    fn default() -> Step {
        Step::Share(100)
    }
}

impl Step {
    /// Reads a step as typed: `10%` or `16M`.
    ///
    /// # Errors
    /// One sentence that says what was wrong with it and what is accepted.
    pub fn parse(text: &str) -> Result<Step, String> {
        let explain = |why: &str| format!("'{text}' {why}; a step is 10%, or a size as 16M");
        let typed = text.trim();
        match percent(typed) {
            Some(Ok(share)) if (0.1..100.0).contains(&share) => Ok(Step::Share((share * 10.0).round() as u64)),
            Some(_) => Err(explain("is no usable percentage (0.1% to 99.9%)")),
            None => match plain_size(typed).map_err(|why| explain(&why))? {
                bytes if bytes < page_size() => Err(explain("is less than a page, as if its unit were missing")),
                bytes => Ok(Step::Bytes(bytes)),
            },
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Share(share) => write!(f, "{} %", *share as f64 / 10.0),
            Step::Bytes(bytes) => f.pad(&super::size(*bytes)),
        }
    }
}

/// Steps go no further up than this, in bytes: no machine has so much, and what the kernel shows for no limit is not far.
const LARGEST: u64 = 1 << 50;

impl Limit {
    /// One step more (`up`) or less; `None` where there is no limit to move, or nothing would be left of it.
    pub fn nudged(self, up: bool, step: Step) -> Option<Limit> {
        let now = self.bytes()?;
        let step = match step {
            Step::Share(share) => (u128::from(now) * u128::from(share) / 1000) as u64,
            Step::Bytes(bytes) => bytes,
        };
        let step = step.max(page_size());
        let target = if up { now.saturating_add(step).min(LARGEST.max(now)) } else { now.saturating_sub(step) };
        Limit::rounded(target).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    #[test]
    fn a_step_is_a_share_or_a_size() {
        assert_eq!(Step::parse("10%"), Ok(Step::default()));
        assert_eq!(Step::parse(" 2.5% "), Ok(Step::Share(25)));
        assert_eq!(Step::parse("16M"), Ok(Step::Bytes(16 * M)));
        for bad in ["", "0%", "100%", "5", "-10%", "+16M", "max", "x"] {
            assert!(Step::parse(bad).is_err_and(|why| why.contains("16M") && why.lines().count() == 1), "{bad}");
        }
        assert_eq!((Step::Share(100).to_string(), Step::Share(25).to_string()), ("10 %".into(), "2.5 %".into()));
    }

    #[test]
    fn a_nudge_is_a_step_and_never_reaches_nothing() {
        let tenth = Step::default();
        assert_eq!(Limit::Bytes(100 * M).nudged(true, tenth), Some(Limit::Bytes(110 * M)));
        assert_eq!(Limit::Bytes(100 * M).nudged(false, tenth), Some(Limit::Bytes(90 * M)));
        assert_eq!(Limit::Bytes(100 * M).nudged(false, Step::Bytes(16 * M)), Some(Limit::Bytes(84 * M)));
        assert_eq!(Limit::Bytes(10 * M).nudged(false, Step::Bytes(16 * M)), None);
        assert_eq!(Limit::Max.nudged(true, tenth), None);
        assert_eq!(Limit::Bytes(4096).nudged(false, tenth), None);
    }
}
