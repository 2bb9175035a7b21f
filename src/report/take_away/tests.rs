//! The same limits in four systems' words, held to what each of them reads.

use super::*;
use crate::{
    event::{Event, Sample, Stamped},
    report::tests::{ended, story},
};
use std::time::Duration;

const M: u64 = 1 << 20;

fn all(session: &Session) -> Vec<String> {
    System::ALL.map(|system| take_away(system, session)).to_vec()
}

#[test]
fn each_system_gets_its_own_units() {
    let mut session = story(|_| {});
    ended(&mut session, 90 * M, 0, 0, 0);
    let [docker, compose, kubernetes, systemd] = all(&session).try_into().unwrap();
    assert!(docker.starts_with("docker run -m 100m --memory-swap 100m IMAGE stress"), "{docker}");
    assert!(compose.contains("    mem_limit: 100m\n") && compose.contains("    memswap_limit: 100m\n"), "{compose}");
    assert_eq!(kubernetes.matches("    memory: \"100Mi\"\n").count(), 2, "{kubernetes}");
    assert!(systemd.contains("[Service]\nMemoryMax=100M\nMemorySwapMax=0\nOOMPolicy=continue\n"), "{systemd}");
    assert!(!all(&session).concat().contains("CAUTION"));
}

#[test]
fn a_limit_that_is_no_whole_mebibyte_stays_exact() {
    for (bytes, docker, kubernetes, systemd) in [
        (100 * M + 4096, "102404k", "102404Ki", "102404K"),
        (2 << 30, "2g", "2Gi", "2G"),
        (1537 * M, "1537m", "1537Mi", "1537M"),
    ] {
        assert_eq!(docker_size(bytes), docker);
        assert_eq!(kubernetes_size(bytes), kubernetes);
        assert_eq!(systemd_size(bytes), systemd);
    }
}

#[test]
fn swap_is_counted_as_each_system_counts_it() {
    let mut session = story(|started| started.swap = Some(Limit::Bytes(28 * M)));
    ended(&mut session, 90 * M, 0, 0, 0);
    let [docker, compose, _, systemd] = all(&session).try_into().unwrap();
    assert!(docker.contains("-m 100m --memory-swap 128m "), "{docker}");
    assert!(compose.contains("memswap_limit: 128m\n"), "{compose}");
    assert!(systemd.contains("MemorySwapMax=28M\n"), "{systemd}");
    let mut session = story(|started| started.swap = Some(Limit::Max));
    ended(&mut session, 90 * M, 0, 0, 0);
    let [docker, _, _, systemd] = all(&session).try_into().unwrap();
    assert!(docker.contains("--memory-swap -1 ") && systemd.contains("MemorySwapMax=infinity\n"), "{docker}{systemd}");
}

#[test]
fn a_limit_that_killed_is_never_given_silently() {
    let mut session = story(|_| {});
    ended(&mut session, 100 * M, 30, 1, 1);
    for text in all(&session) {
        assert!(text.starts_with("# CAUTION: under 100M this workload was killed: 1 OOM kill; peak 100M."), "{text}");
    }
    let kubernetes = take_away(System::Kubernetes, &session);
    assert!(kubernetes.contains("the main process lived; there the container would end"), "{kubernetes}");
}

#[test]
fn kills_under_lower_limits_are_told_as_such() {
    let mut session = story(|_| {});
    let at = Duration::from_millis(50);
    let sample = Sample { usage: 100 * M, limit_hits: Some(3), oom_kills: Some(1), ..Sample::default() };
    session.apply(&Stamped { at, event: Event::Sample(sample) });
    let now = Limit::Bytes(300 * M);
    let outcome = crate::event::LimitOutcome::Applied { now };
    session.apply(&Stamped { at, event: Event::LimitDone { target: now, by: crate::event::Author::User, outcome } });
    ended(&mut session, 210 * M, 3, 1, 0);
    let docker = take_away(System::Docker, &session);
    assert!(
        docker.starts_with("# 1 OOM kill happened under lower limits, up to 100M; under the last one, 300M, none did."),
        "{docker}"
    );
    assert!(docker.contains("-m 300m --memory-swap 300m"), "{docker}");
}

#[test]
fn what_else_was_limited_comes_along() {
    let mut session = story(|_| {});
    session.runs[0].settings.pids_limit = Some("64".into());
    session.runs[0].settings.cpu = Some("150000 100000".into());
    session.runs[0].oom = OomPolicy::Group; // on v1 nothing of the kernel's says so
    ended(&mut session, 50 * M, 0, 0, 0);
    let [docker, compose, kubernetes, systemd] = all(&session).try_into().unwrap();
    assert!(docker.contains("--pids-limit 64 --cpus 1.5 IMAGE") && docker.contains("memory.oom.group"), "{docker}");
    assert!(compose.contains("    pids_limit: 64\n    cpus: 1.5\n"), "{compose}");
    assert!(kubernetes.contains("cpu: \"1.5\"") && kubernetes.contains("podPidsLimit"), "{kubernetes}");
    assert!(systemd.contains("OOMPolicy=kill\nTasksMax=64\nCPUQuota=150%\n"), "{systemd}");
}

#[test]
fn soft_limits_and_scores_come_along_where_there_are_words_for_them() {
    let mut session = story(|started| {
        started.controller = Controller::V1;
        started.oom_score_adj = Some(300);
    });
    session.runs[0].settings.soft_limit = Some(Limit::Bytes(48 * M));
    ended(&mut session, 50 * M, 0, 0, 0);
    let [docker, compose, kubernetes, systemd] = all(&session).try_into().unwrap();
    assert!(docker.contains("--memory-reservation 48m --oom-score-adj 300 IMAGE"), "{docker}");
    assert!(docker.contains("on cgroup v2 it becomes memory.low"), "{docker}");
    assert!(compose.contains("    mem_reservation: 48m\n    oom_score_adj: 300\n"), "{compose}");
    assert!(kubernetes.contains("# The reservation of 48M has no word") && kubernetes.contains("adj 300 has no word"));
    assert!(systemd.contains("OOMScoreAdjust=300\n") && !systemd.contains("\nMemoryHigh="), "{systemd}");
    // memory.high is another thing than docker's reservation.
    session.runs[0].settings.soft_limit = None;
    session.runs[0].started.controller = Controller::V2;
    session.runs[0].settings.high = Some(Limit::Bytes(48 * M));
    let [docker, _, _, systemd] = all(&session).try_into().unwrap();
    assert!(!docker.contains("--memory-reservation") && docker.contains("memory.high"), "{docker}");
    assert!(systemd.contains("MemoryHigh=48M\n"), "{systemd}");
    session.runs[0].settings.low = Some(Limit::Bytes(32 * M));
    let [docker, compose, _, systemd] = all(&session).try_into().unwrap();
    assert!(docker.contains("--memory-reservation 32m ") && compose.contains("mem_reservation: 32m\n"), "{docker}");
    assert!(systemd.contains("MemoryLow=32M\n"), "{systemd}");
}

#[test]
fn no_limit_is_none_elsewhere_too() {
    let mut session = story(|started| started.limit = Limit::Max);
    session.runs[0].limit = Limit::Max;
    ended(&mut session, 50 * M, 0, 0, 0);
    let [docker, compose, kubernetes, systemd] = all(&session).try_into().unwrap();
    assert!(docker.starts_with("docker run IMAGE stress") && !compose.contains("mem_limit"), "{docker}{compose}");
    assert!(
        kubernetes.starts_with("resources: {}") && systemd.contains("MemoryMax=infinity\n"),
        "{kubernetes}{systemd}"
    );
}

#[test]
fn systemd_run_is_told_which_dollars_are_the_commands_own() {
    let mut session = story(|_| {});
    session.runs[0].started.argv = ["sh", "-c", "echo $$ ${HOME}"].map(String::from).to_vec();
    ended(&mut session, 50 * M, 0, 0, 0);
    let [docker, _, _, systemd] = all(&session).try_into().unwrap();
    assert!(docker.contains("sh -c 'echo $$ ${HOME}'"), "{docker}");
    assert!(systemd.contains("sh -c 'echo $$$$ $${HOME}'"), "{systemd}");
}

#[test]
fn a_run_that_stalled_or_was_broken_off_is_no_recommendation() {
    let stalled = |limit: u64| {
        let mut session = story(|_| {});
        let what = crate::session::What::Stalled { limit: Limit::Bytes(limit), refaults: 1000 };
        session.log.push(crate::session::Entry { at: Duration::from_millis(50), run: 1, what });
        ended(&mut session, 90 * M, 0, 0, 0);
        take_away(System::Kubernetes, &session)
    };
    assert!(stalled(100 * M).starts_with("# CAUTION: under 100M it stalled for "), "{}", stalled(100 * M));
    assert!(stalled(50 * M).contains("under lower limits, up to 50M; under the last one, 100M, it did not."));
    let mut session = story(|_| {});
    ended(&mut session, 90 * M, 0, 0, 0);
    if let Some((_, ended)) = &mut session.runs[0].ended {
        ended.stopped = Some(crate::event::Stopped::Timeout);
    }
    let docker = take_away(System::Docker, &session);
    assert!(
        docker.starts_with("# CAUTION: the run was ended before it was done; its peak until then was 90M"),
        "{docker}"
    );
}

#[test]
fn a_pause_at_the_brink_is_no_soft_limit_and_is_said_to_be_had_nowhere_else() {
    let mut session = story(|started| started.controller = Controller::V2);
    session.runs[0].oom = OomPolicy::Pause;
    session.runs[0].settings.high = Some(Limit::Bytes(84 * M));
    ended(&mut session, 80 * M, 0, 0, 0);
    for text in all(&session) {
        assert!(text.contains("nothing else does that") && !text.contains("84"), "{text}");
    }
}

#[test]
fn a_quota_of_cpu_time_is_the_one_that_was_given() {
    for (quota, percent) in [("110000 100000", 110), ("7000 100000", 7), ("55000 100000", 55), ("220000 100000", 220)] {
        let mut session = story(|_| {});
        session.runs[0].settings.cpu = Some(quota.into());
        ended(&mut session, 80 * M, 0, 0, 0);
        let systemd = take_away(System::Systemd, &session);
        assert!(systemd.contains(&format!("CPUQuota={percent}%\n")), "{systemd}");
    }
}

#[test]
fn hits_under_another_limit_are_told_apart() {
    let mut session = story(|_| {});
    let at = Duration::from_millis(50);
    let sample = Sample { usage: 100 * M, limit_hits: Some(7), oom_kills: Some(0), ..Sample::default() };
    session.apply(&Stamped { at, event: Event::Sample(sample) });
    let now = Limit::Bytes(300 * M);
    let outcome = crate::event::LimitOutcome::Applied { now };
    session.apply(&Stamped { at, event: Event::LimitDone { target: now, by: crate::event::Author::User, outcome } });
    ended(&mut session, 210 * M, 9, 0, 0);
    let docker = take_away(System::Docker, &session);
    assert!(docker.contains("9 limit hits (7 of them under other limits): "), "{docker}");
}
