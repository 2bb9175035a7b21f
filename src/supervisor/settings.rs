//! The limit and the other settings of a run's group: how they are written, and what they are found to be.
//!
//! An edit's own answer tells what it did; what is found otherwise was somebody else. Refuses: to write anything but the limit.

use std::time::{Duration, Instant};

use super::{
    Waker,
    outbox::Outbox,
    writer::{Order, Writer, Written},
};
use crate::{
    cgroup::Cgroup,
    error::Result,
    event::{Author, Change, ChangeOutcome, Event, LimitOutcome, Note, Settings},
    units::{Limit, is_lower},
};

/// How often the limits are checked against what was last written.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The first time: a run that is shorter than this has no use for it.
const FIRST_CHECK: Duration = Duration::from_millis(50);

/// What a user chose while a run went on, for the next one.
#[derive(Debug)]
pub struct Chosen {
    /// The limit that holds.
    pub limit: Limit,
    /// Changes that were made since this was last asked.
    pub changes: Vec<Change>,
}

/// What is known of them.
pub struct SettingsWatch {
    limit: Limit,
    settings: Settings,
    writer: Option<Writer>,
    /// Edits that were ordered and not answered yet.
    writes: usize,
    due: Instant,
    /// The workload's own limit for itself that was told last.
    mirror: Option<Limit>,
    /// Changes that were made, and not asked for yet.
    made: Vec<Change>,
    /// Whether what slows an end down was lifted for it.
    lifted: bool,
}

impl SettingsWatch {
    /// Of a group that was just made with this limit.
    pub fn new(now: Instant, limit: Limit) -> SettingsWatch {
        let settings = Settings::default();
        SettingsWatch {
            limit,
            settings,
            writer: None,
            writes: 0,
            due: now + FIRST_CHECK,
            mirror: None,
            made: Vec::new(),
            lifted: false,
        }
    }

    /// The limit that holds.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Looks, if it is time to, whether all is as it was written, and tells what is not. While the
    /// workload stands
    /// still for a reclaim it waits for the next time: that is no freeze that anybody set.
    pub fn check(&mut self, now: Instant, reclaims: bool, group: &dyn Cgroup, waker: &Waker, out: &mut Outbox) {
        if now < self.due {
            return;
        }
        self.due = now + CHECK_EVERY;
        let busy = reclaims || self.is_writing(); // an edit may be half way: its own result tells
        let Ok(limits) = group.limits() else { return };
        if limits.limit != self.limit && !busy {
            let raised = is_lower(limits.limit, self.limit);
            self.limit = limits.limit;
            out.push(Event::Note(Note::LimitChangedElsewhere { now: limits.limit }));
            // Who wrote the limit knows nothing of what hangs on it. Upwards that is written at once, before a paused workload goes on; downwards
            // it may block.
            let _ = match raised {
                true => group.writer().and_then(|mut writer| writer.follow_limit()),
                false => self.order(group, Order::Follow, waker),
            };
        } else if limits.mirror != limits.mirror_expected
            && !busy
            && self.mirror.replace(limits.mirror) != Some(limits.mirror)
        {
            out.push(Event::Note(Note::MirrorChanged { now: limits.mirror }));
        }
        if !busy {
            self.tell(group, out); // what is half way is told when it is done
        }
    }

    /// Reads the other settings, and tells them if they are not what they were.
    pub fn tell(&mut self, group: &dyn Cgroup, out: &mut Outbox) {
        let mut settings = group.settings();
        if self.lifted {
            (settings.cpu, settings.high) = (self.settings.cpu.clone(), self.settings.high);
        }
        if settings != self.settings {
            self.settings = settings;
            out.push(Event::Settings(Box::new(self.settings.clone())));
        }
    }

    /// What slows an end down is lifted for it: the settings that are told stay what they were for the run.
    pub fn lifted(&mut self) {
        self.lifted = true;
    }

    /// Queues a change of the limit.
    ///
    /// # Errors
    /// When the writer cannot be started, or the run is being ended.
    pub fn set_limit(
        &mut self,
        group: &dyn Cgroup,
        target: Limit,
        by: Author,
        waker: &Waker,
        out: &mut Outbox,
    ) -> Result<()> {
        self.order(group, Order::Limit(target, by), waker)?;
        out.push(Event::LimitRequested { target, by });
        Ok(())
    }

    /// Whether something was ordered that is not answered yet.
    pub fn is_writing(&self) -> bool {
        self.writes > 0
    }

    /// Queues a change of another setting.
    ///
    /// # Errors
    /// When the writer cannot be started, or the run is being ended.
    pub fn change(&mut self, group: &dyn Cgroup, change: Change, waker: &Waker, out: &mut Outbox) -> Result<()> {
        self.order(group, Order::Change(change), waker)?;
        out.push(Event::ChangeRequested { change });
        Ok(())
    }

    /// Queues a reclaim, until usage is at most so many bytes.
    ///
    /// # Errors
    /// When the writer cannot be started, or the run is being ended.
    pub fn reclaim(&mut self, group: &dyn Cgroup, usage: u64, waker: &Waker) -> Result<()> {
        self.order(group, Order::Reclaim(usage), waker)
    }

    fn order(&mut self, group: &dyn Cgroup, order: Order, waker: &Waker) -> Result<()> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::start(group.writer()?, waker.clone())?,
        };
        let ordered = writer.order(order);
        self.writes += usize::from(ordered.is_ok());
        self.writer = Some(writer);
        ordered
    }

    /// Tells how changes ended.
    pub fn results(&mut self, group: &dyn Cgroup, out: &mut Outbox) {
        let mut answered = false;
        while let Some(written) = self.writer.as_ref().and_then(Writer::result) {
            self.writes = self.writes.saturating_sub(1);
            // A reclaim changes no setting.
            answered |= !matches!(written, Written::Reclaimed);
            match written {
                Written::Limit(target, by, outcome) => {
                    match &outcome {
                        LimitOutcome::Applied { now } => self.limit = *now,
                        LimitOutcome::Busy { kept, .. } => self.limit = *kept,
                        _ => {}
                    }
                    out.push(Event::LimitDone { target, by, outcome });
                }
                Written::Followed | Written::Reclaimed => {}
                Written::Change(change, outcome) => {
                    if outcome == ChangeOutcome::Done {
                        self.made.push(change);
                    }
                    out.push(Event::ChangeDone { change, outcome });
                }
            }
        }
        if answered && self.writes == 0 {
            self.tell(group, out);
        }
    }

    /// What was chosen.
    pub fn chosen(&mut self) -> Chosen {
        Chosen { limit: self.limit, changes: std::mem::take(&mut self.made) }
    }

    /// The run is to end: breaks off what is being written, and takes an edit of the limit back that the kernel acts on already. Who is to die
    /// may need a page for it, and would have to make room for that first.
    pub fn break_off(&self, group: &dyn Cgroup) {
        if let Some(writer) = self.writer.as_ref().filter(|_| self.is_writing()) {
            writer.break_off();
            group.take_back(self.limit);
        }
    }

    /// Waits for the last answer, and tells it.
    pub fn finish(&mut self, group: &dyn Cgroup, out: &mut Outbox) {
        if let Some(writer) = &mut self.writer {
            writer.finish();
        }
        self.results(group, out);
        self.stop();
    }

    /// Ends the writing.
    pub fn stop(&mut self) {
        self.writer = None;
    }
}
