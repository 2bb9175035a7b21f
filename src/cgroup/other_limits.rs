//! Limits beside the memory limit: how often each was met. Files of the group that has the limit; what is not there is not told.

use std::path::{Path, PathBuf};

use super::{files, files::Kept, rising::Sum};
use crate::event::OtherLimits;

/// Refusals of a limit of processes.
struct PidsLimit {
    dir: PathBuf,
    current: Kept,
    peak: Option<Kept>,
    /// The group's own count, where the kernel counts there (6.12 on v2, which has `pids.events.local` as well).
    events: Option<Kept>,
    /// Else the counts of the groups in which the tasks are.
    refused: Sum,
    most: u64,
}

impl PidsLimit {
    /// Of the group in `dir`, which has the limit; `None` where it has no pids controller.
    fn open(dir: &Path) -> Option<PidsLimit> {
        let counts_here = dir.join("pids.events.local").exists();
        Some(PidsLimit {
            dir: dir.into(),
            current: Kept::open(dir, "pids.current").ok()?,
            peak: Kept::open(dir, "pids.peak").ok(),
            events: Kept::open(dir, "pids.events").ok().filter(|_| counts_here),
            refused: Sum::default(),
            most: 0,
        })
    }

    fn read(&mut self, limits: &mut OtherLimits) {
        limits.pids_current = self.current.number().ok();
        let peak = self.peak.as_ref().and_then(|peak| peak.number().ok());
        self.most = self.most.max(peak.or(limits.pids_current).unwrap_or(0));
        limits.pids_peak = Some(self.most);
        limits.pids_refused = match &self.events {
            Some(events) => events.keyed("max").ok(),
            None => {
                let refused = |group: &Path| {
                    let text = files::read(&group.join("pids.events")).ok()?;
                    files::value_of(&text, "max")
                };
                self.refused.look(files::groups_below(&self.dir), refused);
                Some(self.refused.total())
            }
        };
    }
}

/// How often a quota of CPU time was used up.
struct CpuThrottling(Kept);

impl CpuThrottling {
    /// Of the group in `dir`, which has the quota; `None` where it has no cpu controller.
    fn open(dir: &Path) -> Option<CpuThrottling> {
        let file = Kept::open(dir, "cpu.stat").ok()?;
        file.keyed("nr_throttled").is_ok().then_some(CpuThrottling(file))
    }

    fn read(&self, limits: &mut OtherLimits) {
        limits.cpu_throttled = self.0.keyed("nr_throttled").ok();
        let microseconds = self.0.keyed("throttled_usec").ok();
        limits.cpu_throttled_us = microseconds.or_else(|| Some(self.0.keyed("throttled_time").ok()? / 1000));
    }
}

/// Reads all of them, and tells when they moved.
#[derive(Default)]
pub struct OtherLimitsReader {
    pids: Option<PidsLimit>,
    cpu: Option<CpuThrottling>,
    told: OtherLimits,
}

impl OtherLimitsReader {
    /// Of the groups that have the limit of processes and the quota of CPU time: on v2 the same.
    pub fn of(pids: Option<&Path>, cpu: Option<&Path>) -> OtherLimitsReader {
        let (pids, cpu) = (pids.and_then(PidsLimit::open), cpu.and_then(CpuThrottling::open));
        OtherLimitsReader { pids, cpu, told: OtherLimits::default() }
    }

    /// The counts, if they are not what they were at the last call. `high` is read by the caller, who has the file open.
    pub fn moved(&mut self, high: Option<u64>) -> Option<OtherLimits> {
        let mut now = OtherLimits { high, ..OtherLimits::default() };
        if let Some(pids) = &mut self.pids {
            pids.read(&mut now);
        }
        if let Some(cpu) = &self.cpu {
            cpu.read(&mut now);
        }
        // How many there are moves all the time, and says nothing without a refusal.
        let told = OtherLimits { pids_current: now.pids_current, ..std::mem::replace(&mut self.told, now) };
        (told != now).then_some(now)
    }
}
