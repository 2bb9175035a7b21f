//! What the values of options are made of, and what is accepted where they are not. Refuses: sizes, which `units.rs` reads.

use std::time::Duration;

use crate::units::time;

/// A duration: `500ms`, `1.5s`, `2m`, or a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || "a time is 30, 500ms, 1.5s or 2m".to_string();
    let parsed = time(text).ok_or_else(refuse)?;
    if parsed.is_zero() || parsed > Duration::from_secs(100 * 365 * 86400) { Err(refuse()) } else { Ok(parsed) }
}

/// How often to sample.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let refuse = "an interval is 1ms to 10s".to_string();
    match duration(text) {
        Ok(d) if (Duration::from_millis(1)..=Duration::from_secs(10)).contains(&d) => Ok(d),
        _ => Err(refuse),
    }
}

/// How readily the OOM killer takes somebody (`OOM_SCORE_ADJ_MIN` and `_MAX`, include/uapi/linux/oom.h).
pub(super) fn oom_score_adj(text: &str) -> Result<i32, String> {
    let parsed = text.trim().parse().ok().filter(|n| (-1000..=1000).contains(n));
    parsed.ok_or_else(|| "it is a whole number from -1000 (never) to 1000 (first)".into())
}

/// A capability that can be given back.
pub(super) fn capability(name: &str) -> Result<u64, String> {
    crate::sandbox::privileges::capability(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_people_type() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "-1", "0", "nan", "inf", "1e300", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
