//! The group's other settings, in a result.

use serde::Serialize;

use super::LimitValue;
use crate::{
    event::{Abilities, Settings},
    session::Run,
};

/// The group's other settings. A limit that is none is the word `max`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SettingsDocument {
    /// Above it allocations are slowed down: bytes, or `max`.
    pub high: Option<LimitValue>,
    /// Up to it the group is spared when the machine is short.
    pub low: Option<LimitValue>,
    /// Above it the group is taken from first when the machine is short.
    pub soft_limit: Option<LimitValue>,
    /// How much may be swapped out.
    pub swap_limit: Option<LimitValue>,
    /// Whether an OOM kill takes all processes.
    pub oom_group: Option<bool>,
    /// How readily the group is swapped out.
    pub swappiness: Option<u64>,
    /// Whether the processes are frozen.
    pub frozen: Option<bool>,
    /// How many processes and threads there may be.
    pub pids_limit: Option<String>,
    /// CPU time per period, in microseconds.
    pub cpu: Option<String>,
    /// What this kernel can do to the group; null where the run was too short for it to be read.
    pub can: Option<Abilities>,
}

pub(super) fn settings(run: &Run) -> SettingsDocument {
    let s = &run.settings;
    SettingsDocument {
        high: s.high.map(LimitValue::from),
        low: s.low.map(LimitValue::from),
        soft_limit: s.soft_limit.map(LimitValue::from),
        swap_limit: s.swap_limit.map(LimitValue::from),
        oom_group: s.oom_group,
        swappiness: s.swappiness,
        frozen: s.frozen,
        pids_limit: s.pids_limit.clone(),
        cpu: s.cpu.clone(),
        can: (*s != Settings::default()).then_some(s.can), // no kernel lacks all of them
    }
}
