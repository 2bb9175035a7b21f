//! Limits and quotas as JSON has them: a number, or the word `max`.

use serde::Serialize;

use crate::units::{Limit, Quota};

/// A limit as a number of bytes, or the word `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LimitValue {
    /// So many bytes.
    Bytes(u64),
    /// None.
    Max(Max),
}

/// The word `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Max {
    /// No limit.
    Max,
}

/// A number, or the word `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// A whole number.
    Whole(u64),
    /// One with a fraction.
    Real(f64),
    /// Any.
    Max(Max),
}

impl LimitValue {
    /// As it can be typed.
    pub fn typed(self) -> String {
        match self {
            LimitValue::Bytes(n) => Limit::Bytes(n).typed(),
            LimitValue::Max(_) => Limit::Max.typed(),
        }
    }
}

impl From<Limit> for LimitValue {
    fn from(limit: Limit) -> LimitValue {
        limit.bytes().map_or(LimitValue::Max(Max::Max), LimitValue::Bytes)
    }
}

impl Amount {
    /// A number of processes.
    pub fn whole(quota: Quota) -> Amount {
        quota.number().map_or(Amount::Max(Max::Max), Amount::Whole)
    }

    /// A number of CPUs.
    pub fn cpus(quota: Quota) -> Amount {
        match quota {
            Quota::Max => Amount::Max(Max::Max),
            Quota::Of(n) if n.is_multiple_of(1000) => Amount::Whole(n / 1000),
            Quota::Of(n) => Amount::Real(n as f64 / 1000.0),
        }
    }

    /// As it can be typed.
    pub fn typed(self) -> String {
        match self {
            Amount::Whole(n) => n.to_string(),
            Amount::Real(n) => n.to_string(),
            Amount::Max(_) => "max".into(),
        }
    }
}
