//! Limits beside the memory limit that were met: a fold of the group's counts. Refuses: to call a limit ours that may be one above.

use super::{Knob, Run, Value, What};
use crate::{
    event::{Change, OtherLimits, Sample},
    units::{CHARGE_BATCH, Limit, Quota},
};

/// The share of time spent waiting for memory from which on a workload at its soft limit is said to be slowed down.
const MOSTLY: f64 = 0.5;

/// How often each was met so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsMet {
    /// The counts as they were last read.
    pub counts: OtherLimits,
    /// Forks and threads that the sandbox's own limit of processes refused.
    pub pids_refused: u64,
    /// That limit, when it last did.
    pub pids_limit: Option<u64>,
    /// The limit of processes as it stands, and the most processes that there had been when it was first found so: a peak of before says nothing of it.
    pids_since: Option<(u64, u64)>,
    /// Forks and threads that a limit of processes refused which may be one above the sandbox.
    pub pids_refused_elsewhere: u64,
    /// Charges above the soft limit (v2 `memory.high`) that the user set: a pause at the brink writes the same file, and is not counted.
    pub soft_limit_hits: u64,
    /// The soft limit, when it was last met.
    pub soft_limit: Option<u64>,
    /// Time that some process waited for memory while usage stood at the soft limit, in microseconds; `None` where the kernel does not tell.
    pub soft_limit_waited_us: Option<u64>,
}

impl Run {
    /// Takes in what a sample says of limits beside the memory limit; what is new in it.
    pub(super) fn other_limits(&mut self, sample: &Sample) -> Vec<What> {
        let soft = self.soft_limit_in_force();
        self.wait_at_soft_limit(sample, soft);
        let Some(now) = sample.other_limits.as_deref().copied() else { return Vec::new() };
        let before = std::mem::replace(&mut self.limits_met.counts, now);
        let met = &mut self.limits_met;
        let first = *met;
        let rise = |of: fn(&OtherLimits) -> Option<u64>| of(&now).unwrap_or(0).saturating_sub(of(&before).unwrap_or(0));

        let refused = rise(|counts| counts.pids_refused);
        let limit = match self.asked.value(Knob::Pids) {
            Some(Value::Count(Quota::Of(limit))) => Some(limit),
            _ => None,
        };
        // A limit above refuses as well, and may be counted here. Ours can only have been met where so many stood here since it is what it is.
        let peak = now.pids_peak.unwrap_or(0);
        met.pids_since = match (limit, met.pids_since) {
            (Some(limit), Some((since, most))) if limit == since => Some((limit, most)),
            (Some(limit), Some(_)) => Some((limit, peak)),
            (Some(limit), None) if self.started.changes.contains(&Change::Pids(Quota::Of(limit))) => Some((limit, 0)),
            (Some(limit), None) => Some((limit, peak)),
            (None, _) => None,
        };
        let is_met = |(limit, most): &(u64, u64)| {
            let stood = [before.pids_current, now.pids_current].into_iter().flatten().max();
            stood.is_some_and(|stood| stood >= *limit) || peak >= *limit && most < limit
        };
        match met.pids_since.filter(is_met).map(|(limit, _)| limit) {
            Some(limit) if refused > 0 => {
                met.pids_refused = met.pids_refused.saturating_add(refused);
                met.pids_limit = Some(limit);
            }
            _ => met.pids_refused_elsewhere = met.pids_refused_elsewhere.saturating_add(refused),
        }
        if let Some(soft) = soft {
            let hits = rise(|counts| counts.high);
            met.soft_limit_hits = met.soft_limit_hits.saturating_add(hits);
            met.soft_limit = if hits > 0 { Some(soft) } else { met.soft_limit };
        }

        let mut told = Vec::new();
        let (refusals, refusals_before) = (met.pids_refusals(), first.pids_refusals());
        if refusals > 0 && refusals_before == 0 {
            told.push(What::PidsLimitMet { limit: met.pids_limit });
        }
        if met.soft_limit_hits > 0 && first.soft_limit_hits == 0 {
            told.extend(soft.map(|soft| What::SoftLimitMet { limit: Limit::Bytes(soft) }));
        }
        told
    }

    /// The soft limit that the user set, where the kernel acts on it whenever usage is above (v2): not the mark that a pause needs.
    fn soft_limit_in_force(&self) -> Option<u64> {
        let wanted = match self.asked.value(Knob::SoftLimit)? {
            Value::Size(limit) => limit.bytes()?,
            _ => return None,
        };
        match self.settings.high {
            Some(high) => (high == Limit::Bytes(wanted)).then_some(wanted),
            None => Some(wanted), // not read yet
        }
    }

    /// Whether it stands at the soft limit that the user set, and spends most of its time waiting there.
    pub fn is_slowed_down(&self) -> bool {
        let soft = self.soft_limit_in_force();
        self.ended.is_none()
            && self.stalled >= MOSTLY
            && soft.is_some_and(|soft| self.is_at_soft_limit(self.usage(), soft))
    }

    fn is_at_soft_limit(&self, usage: u64, soft: u64) -> bool {
        usage.saturating_add(CHARGE_BATCH.saturating_mul(u64::from(self.started.cpus))) >= soft
    }

    fn wait_at_soft_limit(&mut self, sample: &Sample, soft: Option<u64>) {
        let (Some(pressure), Some(before)) = (sample.pressure, self.pressure) else { return };
        if soft.is_some_and(|soft| self.is_at_soft_limit(sample.usage, soft)) {
            let waited_us = pressure.some_us.saturating_sub(before.some_us);
            let so_far = self.limits_met.soft_limit_waited_us.unwrap_or(0);
            self.limits_met.soft_limit_waited_us = Some(so_far.saturating_add(waited_us));
        }
    }
}

impl LimitsMet {
    /// Refusals by any limit of processes.
    pub fn pids_refusals(&self) -> u64 {
        self.pids_refused.saturating_add(self.pids_refused_elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{ChangeOutcome, Controller, Event, Stamped, Started},
        session::Session,
    };

    /// A run under a limit of 30 processes: what comes of it, as refusals that are surely ours and others.
    fn refusals(events: Vec<Event>) -> (u64, u64) {
        let started = Started { changes: vec![Change::Pids(Quota::Of(30))], ..Started::plain(Controller::V1) };
        let mut session = Session::default();
        for (n, event) in [Event::Started(Box::new(started))].into_iter().chain(events).enumerate() {
            session.apply(&Stamped { at: Duration::from_millis(n as u64), event });
        }
        let met = session.run().unwrap().limits_met;
        (met.pids_refused, met.pids_refused_elsewhere)
    }

    fn counted(refused: u64, peak: u64, current: u64) -> Event {
        let limits = OtherLimits {
            pids_refused: Some(refused),
            pids_peak: Some(peak),
            pids_current: Some(current),
            ..OtherLimits::default()
        };
        Event::Sample(Sample { other_limits: Some(Box::new(limits)), ..Sample::default() })
    }

    fn limited_to(most: u64) -> Event {
        Event::ChangeDone { change: Change::Pids(Quota::Of(most)), outcome: ChangeOutcome::Done }
    }

    #[test]
    fn a_refusal_is_ours_only_where_the_limit_was_met_since_it_is_what_it_is() {
        // It stood there, and is gone when it is looked at.
        assert_eq!(refusals(vec![counted(0, 5, 5), counted(3, 30, 8)]), (3, 0));
        assert_eq!(refusals(vec![counted(0, 5, 5), counted(3, 29, 8)]), (0, 3), "one above");
        // Lowered below what had stood there before: that peak says nothing of it.
        assert_eq!(refusals(vec![counted(0, 25, 5), limited_to(20), counted(3, 25, 6)]), (0, 3));
        assert_eq!(refusals(vec![counted(0, 25, 5), limited_to(20), counted(0, 25, 6), counted(3, 25, 6)]), (0, 3));
        assert_eq!(refusals(vec![counted(0, 25, 5), limited_to(20), counted(3, 25, 20)]), (3, 0), "it stands there");
        assert_eq!(refusals(vec![counted(0, 25, 5), limited_to(20), counted(0, 25, 20), counted(3, 25, 7)]), (3, 0));
        // Raised: a peak above it is of since then.
        assert_eq!(refusals(vec![counted(0, 25, 5), limited_to(40), counted(0, 25, 5), counted(3, 40, 7)]), (3, 0));
    }
}
