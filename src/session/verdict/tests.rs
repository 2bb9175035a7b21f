//! What is foretold of one and the same mixture, for limits around its edges.

use std::time::Duration;

use super::*;
use crate::{
    event::{
        Controller::{V1, V2},
        *,
    },
    session::Session,
};

const M: u64 = 1 << 20;

/// 60M anonymous, 20M file cache, half a MiB for nobody; two processes, of which the second is the larger.
pub(crate) fn session(
    controller: Controller,
    change: impl FnOnce(&mut Started, &mut Sample, &mut Settings),
) -> Session {
    let usage = |anon, oom_score_adj| ProcessUsage {
        rss: anon + M,
        anon,
        threads: 1,
        oom_score_adj,
        ..ProcessUsage::default()
    };
    let process = |host_pid, name: &str, usage| Process {
        host_pid,
        pid: Some(host_pid - 498),
        parent: 1,
        name: name.into(),
        command: String::new(),
        heap_options: None,
        usage,
    };
    let mut started = Started::plain(controller);
    let stat = MemoryStat {
        anon: 60 * M,
        file: 20 * M,
        kernel: Some(M / 4),
        slab_reclaimable: (controller == V2).then_some(0),
        ..MemoryStat::default()
    };
    let mut sample = Sample { usage: 80 * M + M / 4 + M / 2, stat: Some(stat), ..Sample::default() };
    let mut settings = Settings { swappiness: (controller == V1).then_some(0), ..Settings::default() };
    change(&mut started, &mut sample, &mut settings);
    let born = vec![process(500, "small", usage(20 * M, 0)), process(501, "large", usage(40 * M, 0))];
    let events = [
        Event::Started(Box::new(started)),
        Event::Running { pid: 2, host_pid: Some(500) },
        Event::Settings(Box::new(settings)),
        Event::Processes(ProcessChanges { born, ..ProcessChanges::default() }),
        Event::Sample(sample),
    ];
    let mut session = Session::default();
    for (n, event) in events.into_iter().enumerate() {
        session.apply(&Stamped { at: Duration::from_millis(n as u64), event });
    }
    session
}

/// The same without swap, as it is by default.
pub(crate) fn plain(controller: Controller) -> Session {
    session(controller, |_, _, _| ())
}

fn at(session: &Session, bytes: u64) -> Verdict {
    session.verdict(Limit::Bytes(bytes)).expect("something runs")
}

#[test]
fn usage_is_divided_into_what_is_held_what_can_go_and_what_is_nobodys() {
    let parts = plain(V2).run().unwrap().parts();
    let expected = Parts { held: 60 * M + M / 4, cache: 20 * M, idle: M / 2, swappable: 0, ..Parts::default() };
    assert_eq!(parts, expected);
}

#[test]
fn what_fits_tells_what_is_left_and_what_nobody_holds_is_in_nobodys_way() {
    for controller in [V1, V2] {
        let session = plain(controller);
        let usage = session.run().unwrap().usage();
        assert_eq!(session.verdict(Limit::Max), Some(Verdict::Fits { headroom: None }));
        assert_eq!(at(&session, 100 * M), Verdict::Fits { headroom: Some(100 * M - usage) });
        assert_eq!(at(&session, usage), Verdict::Fits { headroom: Some(0) });
        assert_eq!(at(&session, usage - M / 2), Verdict::Fits { headroom: Some(0) });
    }
}

#[test]
fn cache_goes_and_what_is_not_on_the_disk_is_written_first() {
    let session = session(V2, |_, sample, _| sample.stat.as_mut().unwrap().unwritten = 15 * M);
    let top = session.run().unwrap().usage() - M / 2;
    assert_eq!(at(&session, top - 4 * M), Verdict::Reclaims { bytes: 4 * M, cache: 20 * M, unwritten: 0 });
    assert_eq!(at(&session, top - 8 * M), Verdict::Reclaims { bytes: 8 * M, cache: 20 * M, unwritten: 3 * M });
}

#[test]
fn below_what_is_held_v1_refuses_and_v2_kills_the_largest() {
    let held = 60 * M + M / 4;
    let (one, two) = (plain(V1), plain(V2));
    for (session, controller) in [(&one, V1), (&two, V2)] {
        let edge = held + slack(controller, 2);
        assert!(matches!(at(session, edge), Verdict::Reclaims { .. }));
        assert!(matches!(at(session, edge - 4096), Verdict::Refused { .. } | Verdict::Kills { .. }));
    }
    assert_eq!(at(&one, held - M), Verdict::Refused { held, cache: 20 * M });
    let whom = |more| Whom::First { name: "large".into(), pid: 3, more };
    assert_eq!(at(&two, held - M), Verdict::Kills { held, whom: whom(false), brink: false });
    assert_eq!(at(&two, 10 * M), Verdict::Kills { held, whom: whom(true), brink: false });
    assert!(matches!(at(&two, held + 4096), Verdict::Kills { brink: true, .. }));
    assert!(at(&two, 10 * M).kills() && !at(&one, 10 * M).kills());
}

#[test]
fn swap_takes_what_is_not_locked_as_far_as_there_is_swap() {
    let swapping = |free, limit, locked| {
        move |started: &mut Started, sample: &mut Sample, settings: &mut Settings| {
            started.swap = Some(limit);
            sample.swap_free = Some(free);
            sample.stat.as_mut().unwrap().locked = locked;
            settings.swappiness = settings.swappiness.map(|_| 60);
        }
    };
    for controller in [V1, V2] {
        let free = session(controller, swapping(1 << 30, Limit::Max, 0));
        assert!(matches!(at(&free, 50 * M), Verdict::SwapsOut { bytes, .. } if bytes / M == 10), "{controller:?}");
        for (free, limit, locked) in [(5 * M, Limit::Max, 0), (1 << 30, Limit::Max, 55 * M)] {
            let session = session(controller, swapping(free, limit, locked));
            assert!(!matches!(at(&session, 50 * M), Verdict::SwapsOut { .. }), "{controller:?} {free} {locked}");
        }
    }
    // v2 limits swap by itself; v1 limits the sum, which swapping out does not move.
    let limited = |controller| at(&session(controller, swapping(1 << 30, Limit::Bytes(5 * M), 0)), 50 * M);
    assert!(limited(V2).kills());
    assert!(matches!(limited(V1), Verdict::SwapsOut { .. }));
    // On v1 it is the swappiness that keeps it off.
    let off = session(V1, |started, sample, _| (started.swap, sample.swap_free) = (Some(Limit::Max), Some(1 << 30)));
    assert!(matches!(at(&off, 50 * M), Verdict::Refused { .. }));
}

#[test]
fn a_group_that_is_killed_whole_is_said_to_be() {
    let session = session(V2, |_, _, settings| settings.oom_group = Some(true));
    assert!(matches!(at(&session, 10 * M), Verdict::Kills { whom: Whom::All, .. }));
}

#[test]
fn v1_tells_kernel_memory_as_one_sum_of_which_what_the_processes_need_stays() {
    // Half a MiB of buffer heads for 20M of cache that was written.
    let written = session(V1, |_, sample, _| {
        sample.usage += M / 2;
        sample.stat.as_mut().unwrap().kernel = Some(M * 3 / 4);
    });
    let held = |session: &Session| session.run().unwrap().parts().held;
    assert!(held(&written) < held(&plain(V1)) + M / 8, "{} {}", held(&written), held(&plain(V1)));
}

#[test]
fn on_v1_kernel_memory_that_may_go_is_not_called_unreclaimable() {
    // 20M of dentries and inodes.
    let change = |sample: &mut Sample, slab: Option<u64>| {
        sample.usage += 20 * M;
        let stat = sample.stat.as_mut().unwrap();
        (stat.kernel, stat.slab_reclaimable) = (Some(20 * M + M / 4), slab);
    };
    let v1 = session(V1, |_, sample, _| change(sample, None));
    let Some(Verdict::Unsure { certain, unknown }) = v1.run().unwrap().verdict(Limit::Bytes(70 * M)) else {
        panic!("{:?}", at(&v1, 70 * M))
    };
    assert!(certain < 62 * M && unknown > 17 * M, "{certain} {unknown}");
    assert!(matches!(at(&v1, 50 * M), Verdict::Refused { .. }), "the heap does not fit");
    // Neither is counted where a line is drawn of what fills the limit.
    let v2 = session(V2, |_, sample, _| change(sample, Some(20 * M)));
    for session in [&v1, &v2] {
        let run = session.run().unwrap();
        assert!(run.parts().unreclaimable() < 62 * M, "{:?}", run.parts());
    }
}

#[test]
fn before_the_first_sample_nothing_is_foretold() {
    assert_eq!(Session::default().verdict(Limit::Bytes(M)), None);
}
