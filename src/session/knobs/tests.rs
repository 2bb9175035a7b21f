//! Stories of settings that move, and who moved them.

use super::*;
use crate::{
    event::{Abilities, Author, ChangeOutcome, Event, LimitOutcome, Note, Stamped},
    units::Quota,
};

const M: u64 = 1 << 20;

/// What a hybrid machine's group says of itself.
fn on_v1() -> Settings {
    Settings {
        soft_limit: Some(Limit::Max),
        swap_limit: Some(Limit::Max),
        swappiness: Some(0),
        frozen: Some(false),
        pids_limit: Some("64".into()),
        can: Abilities { freeze: true, reclaim: true, kill: true, ..Abilities::default() },
        ..Settings::default()
    }
}

struct Story {
    session: Session,
    at: Duration,
    settings: Settings,
}

impl Story {
    fn new(controller: &str, settings: Settings) -> Story {
        let json = format!(
            r#"{{"started":{{"run":1,"argv":["x"],"limit":{{"bytes":104857600}},"limit_is_default":false,"controller":"{controller}","group":"/x","cpus":2,"mem_total":1073741824,"held":false,"widened":false,"wall_ms":0,"changes":[{{"pids":{{"of":64}}}}]}}}}"#
        );
        let mut story = Story { session: Session::default(), at: Duration::ZERO, settings };
        story.then(serde_json::from_str(&json).expect("an event"));
        story.read(|_| {});
        story
    }

    fn then(&mut self, event: Event) -> &mut Story {
        self.at += Duration::from_millis(10);
        self.session.apply(&Stamped { at: self.at, event });
        self
    }

    /// A change that is asked for; the kernel takes it, and the settings are read.
    fn made(&mut self, change: Change, effect: impl FnOnce(&mut Settings)) -> &mut Story {
        self.then(Event::ChangeRequested { change });
        self.then(Event::ChangeDone { change, outcome: ChangeOutcome::Done });
        self.read(effect)
    }

    fn read(&mut self, effect: impl FnOnce(&mut Settings)) -> &mut Story {
        effect(&mut self.settings);
        let settings = Box::new(self.settings.clone());
        self.then(Event::Settings(settings))
    }

    fn later(&mut self) -> &mut Story {
        self.at += Duration::from_secs(10);
        self
    }

    /// What somebody else was told to have done.
    fn elsewhere(&self) -> Vec<(Knob, Value)> {
        let told = self.session.log.iter().filter_map(|entry| match entry.what {
            What::ChangedElsewhere { knob, now } => Some((knob, now)),
            _ => None,
        });
        told.collect()
    }

    fn standing(&self, knob: Knob) -> Standing {
        self.session.knob(knob).expect("a run")
    }
}

#[test]
fn what_we_changed_is_ours_and_what_differs_later_is_somebody_elses() {
    let mut story = Story::new("v1", on_v1());
    story.made(Change::Pids(Quota::Of(32)), |s| s.pids_limit = Some("32".into()));
    assert_eq!(story.elsewhere(), []);
    story.read(|s| s.pids_limit = Some("7".into()));
    assert_eq!(story.elsewhere(), [(Knob::Pids, Value::Count(Quota::Of(7)))]);
    // Set back to what it was, it is another change.
    story.read(|s| s.pids_limit = Some("32".into()));
    assert_eq!(story.elsewhere().len(), 2);
    story.read(|s| s.soft_limit = Some(Limit::Bytes(5 * M)));
    assert_eq!(story.elsewhere()[2], (Knob::Reservation, Value::Size(Limit::Bytes(5 * M))));
}

#[test]
fn what_is_half_way_is_nobody_elses() {
    let mut story = Story::new("v1", on_v1());
    // As recordings from before the reservation call it.
    let change = Change::SoftLimit(Limit::Bytes(M));
    story.then(Event::ChangeRequested { change });
    assert_eq!(story.standing(Knob::Reservation).then, Some(Value::Size(Limit::Bytes(M))));
    story.read(|s| s.soft_limit = Some(Limit::Bytes(M)));
    story.then(Event::ChangeDone { change, outcome: ChangeOutcome::Done });
    assert_eq!(story.elsewhere(), []);
    let standing = story.standing(Knob::Reservation);
    assert_eq!((standing.now, standing.then), (Some(Value::Size(Limit::Bytes(M))), None));
}

#[test]
fn a_freeze_that_is_seen_late_is_ours_and_a_thaw_that_nobody_of_us_did_is_not() {
    let mut story = Story::new("v1", on_v1());
    story.made(Change::Freeze(true), |_| {});
    story.later().read(|s| s.frozen = Some(true));
    assert_eq!(story.elsewhere(), []);
    story.later().read(|s| s.frozen = Some(false));
    assert_eq!(story.elsewhere(), [(Knob::Freeze, Value::Frozen(false))]);
}

#[test]
fn on_v1_swap_hangs_on_the_limit_and_on_swappiness() {
    let mut story = Story::new("v1", on_v1());
    assert_eq!(story.standing(Knob::Swap).now, Some(Value::Size(Limit::Bytes(0))), "no swappiness is no swap");
    story.made(Change::Swap(Limit::Bytes(50 * M)), |s| {
        (s.swap_limit, s.swappiness) = (Some(Limit::Bytes(50 * M)), Some(60));
    });
    assert_eq!(story.standing(Knob::Swap).now, Some(Value::Size(Limit::Bytes(50 * M))));
    // The limit goes down; the sum of both cannot follow, and is then above what was asked for.
    let target = Limit::Bytes(60 * M);
    story.then(Event::LimitRequested { target, by: Author::User });
    story.read(|s| s.swap_limit = Some(Limit::Bytes(90 * M)));
    story.then(Event::LimitDone { target, by: Author::User, outcome: LimitOutcome::Applied { now: target } });
    assert!(story.elsewhere().is_empty());
    story.read(|s| s.swap_limit = Some(Limit::Bytes(85 * M)));
    assert!(story.session.log.iter().any(|e| e.what == What::SwapKept { now: Limit::Bytes(85 * M) }));
    assert!(story.elsewhere().is_empty());
    // Somebody else moves the limit, and with it what is left for swap.
    story.later().then(Event::Note(Note::LimitChangedElsewhere { now: Limit::Bytes(70 * M) }));
    story.read(|s| s.swap_limit = Some(Limit::Bytes(40 * M)));
    assert!(story.elsewhere().is_empty());
    story.later().read(|s| s.swappiness = Some(0));
    assert_eq!(story.elsewhere(), [(Knob::Swappiness, Value::Number(0))], "one thing is told once");
}

#[test]
fn what_cannot_be_moved_says_why() {
    let mut story = Story::new("v1", on_v1());
    assert_eq!(story.standing(Knob::Pids).lack, None);
    assert_eq!(story.standing(Knob::Cpus).lack, Some(Lack::NotJoined));
    story.then(
        serde_json::from_str(
            r#"{"ended":{"status":{"exited":0},"stopped":null,"left_behind":0,"wall":{"secs":1,"nanos":0}}}"#,
        )
        .expect("an event"),
    );
    assert_eq!(story.standing(Knob::Cpus).lack, None, "the next run is made with it");
    assert_eq!(story.standing(Knob::Reclaim).lack, Some(Lack::NothingRuns));
    let change = Change::Cpus(Quota::Of(500));
    story.then(Event::ChangeDone { change, outcome: ChangeOutcome::NextRun });
    assert_eq!(story.standing(Knob::Cpus).then, Some(Value::Cpus(Quota::Of(500))));
    let story = Story::new("v2", Settings { pids_limit: Some("max".into()), ..Settings::default() });
    for (knob, lack) in [
        (Knob::Swappiness, Some(Lack::NotOnV2)),
        (Knob::Pids, None),
        (Knob::Cpus, Some(Lack::NotPassedOn)),
        (Knob::Swap, Some(Lack::Kernel)),
        (Knob::Freeze, Some(Lack::Kernel)),
    ] {
        assert_eq!(story.standing(knob).lack, lack, "{knob:?}");
    }
    assert_eq!(Story::new("v2", Settings::default()).standing(Knob::Swap).lack, Some(Lack::Unread));
}

#[test]
fn a_quota_is_read_as_the_kernel_prints_it() {
    assert_eq!(cpu_quota("150000 100000"), Some(Quota::Of(1500)));
    assert_eq!(cpu_quota("max 100000"), Some(Quota::Max));
    for odd in ["", "100000", "1 0", "x 1"] {
        assert_eq!(cpu_quota(odd), None, "{odd}");
    }
}
