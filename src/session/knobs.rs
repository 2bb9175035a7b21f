//! The settings of a run as a user moves them: what each of them is, what it is to be, why it cannot be had, and whether somebody else moved it.
//!
//! What the kernel has is told by [`Settings`]; what we asked of it is known too. What is found and was never asked for was somebody else.
//! Refuses: to guess a value that the kernel did not tell.

use std::time::Duration;

use super::{Run, Session, What};
use crate::{
    event::{Change, Controller, OomPolicy, Settings, Started},
    units::{Limit, Quota},
};

/// A setting that can be moved, or something that can be done to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// The memory limit.
    Limit,
    /// How much may be swapped out beside it.
    Swap,
    /// Above it the group is slowed down (v2).
    SoftLimit,
    /// Up to it the group is spared (v2), or above it taken from first (v1), when the machine is short.
    Reservation,
    /// How readily the group is swapped out (v1).
    Swappiness,
    /// What happens when memory runs out.
    Oom,
    /// How many processes and threads there may be.
    Pids,
    /// How much CPU time they get.
    Cpus,
    /// Stopping all processes at once.
    Freeze,
    /// Giving memory back now.
    Reclaim,
    /// Counting from here.
    Counters,
}

/// What a knob is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number of bytes, or any amount.
    Size(Limit),
    /// A plain number.
    Number(u64),
    /// A policy.
    Policy(OomPolicy),
    /// A number of processes.
    Count(Quota),
    /// CPU time, in thousandths of a CPU.
    Cpus(Quota),
    /// Whether the processes are stopped.
    Frozen(bool),
    /// When counting began, within the run; `None` for its start.
    Since(Option<Duration>),
}

/// Why a knob cannot be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// There is nothing that it could be done to.
    NothingRuns,
    /// The settings were not read yet.
    Unread,
    /// This kernel, or this group, has no such file.
    Kernel,
    /// cgroup v2 has no such setting.
    NotOnV2,
    /// cgroup v1 has no such setting.
    NotOnV1,
    /// v1 has it in a hierarchy of its own, which this run has not joined.
    NotJoined,
    /// v2 has it, and the group above did not pass its controller on.
    NotPassedOn,
}

/// How a knob stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is now, or was at the end of the last run.
    pub now: Option<Value>,
    /// What it is about to be: it is being written, or holds from the next run on.
    pub then: Option<Value>,
    /// Why it cannot be moved, where it cannot.
    pub lack: Option<Lack>,
}

/// For so long after an edit what hangs on it may move: the settings are read once a second.
const IN_THE_WAKE: Duration = Duration::from_secs(2);

impl Knob {
    /// All of them, in the order of the panel.
    pub const ALL: [Knob; 11] = [
        Knob::Limit,
        Knob::Swap,
        Knob::SoftLimit,
        Knob::Reservation,
        Knob::Swappiness,
        Knob::Oom,
        Knob::Pids,
        Knob::Cpus,
        Knob::Freeze,
        Knob::Reclaim,
        Knob::Counters,
    ];

    /// What the kernel has. `None` where it does not tell.
    pub fn read(self, controller: Controller, settings: &Settings) -> Option<Value> {
        match self {
            // v1 keeps swap off by swappiness, and leaves its limit alone then.
            Knob::Swap if controller == Controller::V1 => {
                let limit = settings.swap_limit.unwrap_or(Limit::Max);
                settings.swappiness.map(|n| Value::Size(if n == 0 { Limit::Bytes(0) } else { limit }))
            }
            Knob::Swap => settings.swap_limit.map(Value::Size),
            Knob::SoftLimit => settings.high.map(Value::Size),
            Knob::Reservation => settings.low.or(settings.soft_limit).map(Value::Size),
            Knob::Swappiness => settings.swappiness.map(Value::Number),
            Knob::Oom => {
                settings.oom_group.map(|group| Value::Policy(if group { OomPolicy::Group } else { OomPolicy::Kill }))
            }
            Knob::Pids => settings.pids_limit.as_deref().and_then(pids_limit).map(Value::Count),
            Knob::Cpus => settings.cpu.as_deref().and_then(cpu_quota).map(Value::Cpus),
            Knob::Freeze => settings.frozen.map(Value::Frozen),
            Knob::Limit | Knob::Reclaim | Knob::Counters => None,
        }
    }

    /// The knob that a change moves, and to what. `None` for what is done once, or to one process.
    pub fn of(change: Change) -> Option<(Knob, Value)> {
        Some(match change {
            Change::Swap(limit) => (Knob::Swap, Value::Size(limit)),
            Change::SoftLimit(limit) => (Knob::SoftLimit, Value::Size(limit)),
            Change::Reservation(limit) => (Knob::Reservation, Value::Size(limit)),
            Change::Swappiness(n) => (Knob::Swappiness, Value::Number(n)),
            Change::Oom(policy) => (Knob::Oom, Value::Policy(policy)),
            Change::Pids(most) => (Knob::Pids, Value::Count(most)),
            Change::Cpus(cpus) => (Knob::Cpus, Value::Cpus(cpus)),
            Change::Freeze(on) => (Knob::Freeze, Value::Frozen(on)),
            Change::Reclaim(_) | Change::OomScoreAdj { .. } => return None,
        })
    }

    /// Why it cannot be moved while a run lives.
    fn lack(self, controller: Controller, settings: &Settings) -> Option<Lack> {
        let can = settings.can;
        match (self, controller) {
            (Knob::Limit | Knob::Counters, _) | (Knob::Oom, Controller::V1) => None,
            (Knob::Swappiness, Controller::V2) => Some(Lack::NotOnV2),
            (Knob::SoftLimit, Controller::V1) => Some(Lack::NotOnV1),
            _ if *settings == Settings::default() => Some(Lack::Unread),
            (Knob::Freeze, _) => (!can.freeze).then_some(Lack::Kernel),
            (Knob::Reclaim, _) => (!can.reclaim).then_some(Lack::Kernel),
            _ if self.read(controller, settings).is_some() => None,
            (Knob::Pids | Knob::Cpus, Controller::V1) => Some(Lack::NotJoined),
            (Knob::Pids | Knob::Cpus, Controller::V2) => Some(Lack::NotPassedOn),
            _ => Some(Lack::Kernel),
        }
    }

    /// The same where nothing runs: the next run is made with what this one had not.
    fn lack_for_next(self, controller: Controller, settings: &Settings) -> Option<Lack> {
        match self {
            Knob::Freeze | Knob::Reclaim | Knob::Counters => Some(Lack::NothingRuns),
            _ => self.lack(controller, settings).filter(|lack| !matches!(lack, Lack::NotJoined | Lack::Unread)),
        }
    }
}

/// How many processes there may be as `pids.max` has it: there 0 is none, and not any number.
fn pids_limit(text: &str) -> Option<Quota> {
    match text.trim() {
        "max" => Some(Quota::Max),
        n => n.parse().ok().map(Quota::Of),
    }
}

/// A CPU quota as `cpu.max` has it, in thousandths of a CPU: `150000 100000` is 1500.
pub fn cpu_quota(text: &str) -> Option<Quota> {
    let (quota, period) = text.split_once(' ')?;
    if quota == "max" {
        return Some(Quota::Max);
    }
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    quota.checked_mul(1000)?.checked_div(period).map(Quota::Of)
}

/// What was asked of a run's settings.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    values: Vec<(Knob, Value)>,
    /// When swap, swappiness or the limit was moved last: on v1 each of them moves what is read of the others.
    swap_moved: Option<Duration>,
    /// When it was last said what happens when memory runs out: a pause moves the soft limit and freezes.
    policy_moved: Option<Duration>,
}

impl Asked {
    /// At a run's start.
    pub(super) fn at_start(started: &Started) -> Asked {
        let mut asked = Asked::default();
        let swap = Change::Swap(started.swap.unwrap_or(Limit::Bytes(0)));
        for (knob, value) in started.changes.iter().copied().chain([swap]).filter_map(Knob::of) {
            asked.set(knob, value);
        }
        asked
    }

    /// A change was made.
    pub(super) fn made(&mut self, at: Duration, change: Change) {
        if let Some((knob, value)) = Knob::of(change) {
            self.set(knob, value);
            match knob {
                Knob::Swap | Knob::Swappiness => self.limit_moved(at),
                Knob::Oom => self.policy_moved = Some(at),
                _ => {}
            }
        }
    }

    /// The limit was moved, by whomever.
    pub(super) fn limit_moved(&mut self, at: Duration) {
        self.swap_moved = Some(at);
    }

    /// What was asked of a knob.
    pub fn value(&self, knob: Knob) -> Option<Value> {
        self.values.iter().find(|(of, _)| *of == knob).map(|(_, value)| *value)
    }

    fn set(&mut self, knob: Knob, value: Value) {
        // What sandtop pauses the kernel is to kill as ever.
        let value = if value == Value::Policy(OomPolicy::Pause) { Value::Policy(OomPolicy::Kill) } else { value };
        self.values.retain(|(of, _)| *of != knob);
        self.values.push((knob, value));
    }
}

impl Run {
    /// Takes in what the settings are now; what of it was somebody else.
    pub(super) fn settings_found(&mut self, at: Duration, settings: &Settings) -> Vec<What> {
        let before = std::mem::replace(&mut self.settings, settings.clone());
        let controller = self.started.controller;
        let moved = |knob: &Knob| {
            let (was, now) = (knob.read(controller, &before)?, knob.read(controller, settings)?);
            (was != now).then_some((*knob, now))
        };
        let moved: Vec<(Knob, Value)> = Knob::ALL.iter().filter_map(moved).collect();
        let mut told = Vec::new();
        if self.above != settings.above {
            self.above = settings.above.clone();
            told.extend(self.tighter_above());
        }
        for (knob, now) in &moved {
            // On v1 no swappiness is no swap: one thing is told once.
            let told_already = *knob == Knob::Swap && moved.iter().any(|(other, _)| *other == Knob::Swappiness);
            if let Some(kept) = self.swap_kept(at, *knob, *now) {
                told.push(What::SwapKept { now: kept });
            } else if !told_already && !self.explains(at, *knob, *now) {
                self.follow(*knob, *now);
                told.push(What::ChangedElsewhere { knob: *knob, now: *now });
            }
        }
        told
    }

    /// Whether what is read now is what we did, or do.
    fn explains(&self, at: Duration, knob: Knob, now: Value) -> bool {
        let being_made = self.changing.iter().filter_map(|change| Knob::of(*change)).any(|(of, _)| of == knob);
        let policy_moved = self.asked.policy_moved.is_some_and(|then| at.saturating_sub(then) < IN_THE_WAKE);
        let pauses = (self.oom == OomPolicy::Pause || policy_moved) && matches!(knob, Knob::SoftLimit | Knob::Freeze);
        let hangs_on_it = matches!(knob, Knob::Swap | Knob::Swappiness) && self.in_the_wake(at);
        being_made || pauses || hangs_on_it || self.asked.value(knob) == Some(now)
    }

    /// What a knob is set to: as the kernel was found to have it, or, where a run was over before that was read, as it was asked for.
    pub fn setting(&self, knob: Knob) -> Option<Value> {
        knob.read(self.started.controller, &self.settings).or_else(|| self.asked.value(knob))
    }

    /// What a knob was asked to be set to, if it was.
    pub fn wanted(&self, knob: Knob) -> Option<Value> {
        self.asked.value(knob)
    }

    fn in_the_wake(&self, at: Duration) -> bool {
        self.moves.ordered_last().is_some()
            || self.asked.swap_moved.is_some_and(|then| at.saturating_sub(then) < IN_THE_WAKE)
    }

    /// v1 limits memory and swap together. Where more is swapped out than a lower limit leaves room for, that limit stays, and more may be swapped
    /// out than was asked for.
    fn swap_kept(&self, at: Duration, knob: Knob, now: Value) -> Option<Limit> {
        let follows = knob == Knob::Swap
            && self.limit != Limit::Max
            && self.moves.ordered_last().is_none()
            && self.in_the_wake(at);
        match (self.asked.value(knob).filter(|_| follows)?, now) {
            (Value::Size(Limit::Bytes(asked @ 1..)), Value::Size(Limit::Bytes(now))) if now > asked => {
                Some(Limit::Bytes(now))
            }
            _ => None,
        }
    }

    /// What somebody else set holds.
    fn follow(&mut self, knob: Knob, now: Value) {
        self.asked.set(knob, now);
        match now {
            Value::Size(limit) if knob == Knob::Swap => self.swap_limit = limit,
            Value::Policy(policy) if policy == OomPolicy::Group || self.oom == OomPolicy::Group => self.oom = policy,
            _ => {}
        }
    }
}

impl Session {
    /// How a knob stands; `None` before the first run.
    pub fn knob(&self, knob: Knob) -> Option<Standing> {
        let run = self.run()?;
        let (controller, settings) = (run.started.controller, &run.settings);
        let now = match knob {
            Knob::Limit => Some(Value::Size(run.limit)),
            Knob::Oom => Some(Value::Policy(run.oom)),
            Knob::Counters => Some(Value::Since(run.since.at.map(|at| at.saturating_sub(run.origin())))),
            Knob::Freeze if !self.is_alive() => None,
            _ => knob.read(controller, settings),
        };
        let being_made = run.changing.iter().rev().filter_map(|change| Knob::of(*change));
        let then = match (knob, self.is_alive()) {
            (Knob::Limit, true) => run.moves.ordered_last().map(Value::Size),
            (Knob::Limit, false) => self.next_limit.map(Value::Size),
            (_, true) => being_made.into_iter().find(|(of, _)| *of == knob).map(|(_, value)| value),
            (_, false) => self.next.iter().find(|(of, _)| *of == knob).map(|(_, value)| *value),
        };
        let lack = match self.is_alive() {
            true => knob.lack(controller, settings),
            false => knob.lack_for_next(controller, settings),
        };
        Some(Standing { now, then, lack })
    }

    /// Whether memory is being given back on demand now.
    pub fn is_reclaiming(&self) -> bool {
        self.run().is_some_and(|run| run.changing.iter().any(|change| matches!(change, Change::Reclaim(_))))
    }
}

#[cfg(test)]
mod tests;
