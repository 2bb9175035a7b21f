//! What one sample adds to a run: its numbers, a point of the picture, and what it tells.

use std::time::Duration;

use super::{
    super::{What, history::Point, verdict},
    HighestFrom, Mark, Run,
};
use crate::{event::Sample, units::Limit};

impl Run {
    pub(super) fn sample(&mut self, at: Duration, sample: &Sample) -> Vec<What> {
        let mut told = Vec::new();
        let limit = self.limit_in_force();
        let hits_before = self.limit_hits().unwrap_or(0);
        let kills_before = self.oom_kills().unwrap_or(0);
        if hits_before == 0 && sample.limit_hits.unwrap_or(0) > 0 {
            told.push(What::FirstHit { limit });
        }
        let kills = sample.oom_kills.unwrap_or(0).saturating_sub(kills_before);
        self.kills_counted(at, sample);
        if kills > 0 {
            self.mark(at, Mark::Kill);
            self.last_kill = Some(at);
            let named = self.victims.last().filter(|_| self.named > kills_before);
            let scope = self.stories.scope();
            told.push(What::OomKill { count: kills, victim: named.cloned(), limit, scope });
        }
        if let Some(rate) = per_second(&mut self.hits_second_ago, at, sample.limit_hits.unwrap_or(0)) {
            self.hit_rate = rate;
        }
        if let Some(rate) = sample.pressure.and_then(|p| per_second(&mut self.waits_second_ago, at, p.some_us)) {
            self.stalled = (rate / 1e6).min(1.0);
        }
        if let Some(stat) = sample.stat {
            self.idle = verdict::idle(sample.usage, stat, self.started.cpus);
        }
        told.extend(self.other_limits(sample));
        self.stat = sample.stat.or(self.stat);
        self.swap_free = sample.swap_free.or(self.swap_free);
        self.edits.killed(kills);
        self.swapped(sample);
        self.unreclaimable = sample.unreclaimable.as_deref().copied().or(self.unreclaimable);
        self.pressure = sample.pressure.or(self.pressure);
        self.peak_is_kernels |= sample.peak.is_some();
        let peak = sample.peak.unwrap_or(sample.usage);
        self.peak = self.peak.max(peak);
        self.since.peak = self.since.peak.map(|before| before.max(peak));
        let reclaimable = self.stat.map_or(0, |stat| stat.file).min(sample.usage);
        let (shmem, kernel) = self.stat.map_or((0, 0), |stat| (stat.shmem, stat.kernel.unwrap_or(0)));
        let soft = self.settings.high.or(self.settings.soft_limit).unwrap_or(Limit::Max);
        match sample.stat {
            Some(_) => self.history.settle(std::mem::take(&mut self.unread), reclaimable, shmem, kernel),
            None => self.unread += 1,
        }
        let hits = sample.limit_hits.unwrap_or(0).saturating_sub(hits_before);
        let usage = sample.usage;
        self.history.push(Point { at, usage, peak, reclaimable, shmem, kernel, limit, soft, hits });
        self.last = Some(sample.clone());
        if sample.stat.is_some() {
            self.grew(at);
        }
        let stall = self.stalls.sample(at, sample, limit, kills);
        if matches!(stall, Some(What::Stalled { .. })) {
            self.mark(at, Mark::Stall);
        }
        told.extend(stall);
        told
    }
}

impl Run {
    fn swapped(&mut self, sample: &Sample) {
        self.swap = sample.swap.or(self.swap);
        if let Some(now) = sample.swapping.as_deref() {
            self.swapping = *now;
        }
        let seen = self.swap_peak.map(|(most, _)| most).max(sample.swap);
        // The kernel's own mark is no lower than what was seen, but for what its batches keep back.
        self.swap_peak = match self.swapping.peak {
            Some(kept) => Some((kept.max(seen.unwrap_or(0)), HighestFrom::Kernel)),
            None => seen.map(|most| (most, HighestFrom::Samples)),
        };
    }
}

/// How fast a counter rises, once about a second has passed since it was last measured.
fn per_second(base: &mut Option<(Duration, u64)>, at: Duration, now: u64) -> Option<f64> {
    let (since, before) = *base.get_or_insert((at, now));
    let seconds = at.saturating_sub(since).as_secs_f64();
    (seconds >= 1.0).then(|| {
        *base = Some((at, now));
        now.saturating_sub(before) as f64 / seconds
    })
}
