//! The v1 back-end on a directory of real kernel files.

use super::*;
use crate::event::LimitOutcome;

const M: u64 = 1 << 20;

/// A directory of real kernel files, as read from a 6.18 kernel.
fn fixture() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("sandtop/1-2-3");
    for group in [dir.clone(), dir.join(LEAF)] {
        std::fs::create_dir_all(&group).unwrap();
        for (name, text) in [
            ("memory.usage_in_bytes", "73400320\n"),
            ("memory.failcnt", "126\n"),
            ("memory.max_usage_in_bytes", "104857600\n"),
            ("memory.limit_in_bytes", "104857600\n"),
            ("memory.stat", include_str!("../../../tests/data/v1-memory.stat")),
            ("memory.kmem.usage_in_bytes", "421888\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            ("cgroup.procs", "77\n0\n78\n"),
        ] {
            std::fs::write(group.join(name), text).unwrap();
        }
    }
    (root, dir)
}

#[test]
fn a_sample_takes_every_number_from_its_own_file() {
    let (root, dir) = fixture();
    let mut group = V1::open(root.path(), &dir, 2).unwrap();
    let sample = group.sample(Detail::Stat).unwrap();
    assert_eq!(sample.usage, 70 * M);
    assert_eq!(sample.peak, Some(100 * M));
    assert_eq!(sample.limit_hits, Some(126));
    assert_eq!(sample.oom_kills, Some(1));
    let stat = sample.stat.unwrap();
    assert_eq!((stat.anon, stat.file, stat.shmem), (62914560, 4194304, 8388608));
    assert_eq!(stat.kernel, Some(421888));
    assert_eq!((stat.major_faults, stat.refaults), (Some(0), Some(0)));
    assert_eq!(group.path(), "/sandtop/1-2-3");
    let peak = std::fs::read_to_string(dir.join("memory.max_usage_in_bytes")).unwrap();
    assert!(peak.starts_with('0'), "the interval peak was not reset: {peak}");
}

#[test]
fn faults_and_refaults_are_those_of_the_whole_subtree() {
    let (root, dir) = fixture();
    let path = dir.join("leaf/memory.stat");
    let text = files::read(&path).unwrap();
    let text = text.replace("total_workingset_refault_file 0", "total_workingset_refault_file 93210");
    let text = text.replace("total_workingset_refault_anon 0", "total_workingset_refault_anon 7");
    std::fs::write(&path, text.replace("total_pgmajfault 0", "total_pgmajfault 170")).unwrap();
    let stat = V1::open(root.path(), &dir, 2).unwrap().sample(Detail::Stat).unwrap().stat.unwrap();
    assert_eq!((stat.major_faults, stat.refaults), (Some(170), Some(93_217)));
    assert_eq!(stat.refaults_anon, Some(7));
}

#[test]
fn a_count_that_somebody_sets_back_goes_on() {
    let (root, dir) = fixture();
    let mut group = V1::open(root.path(), &dir, 2).unwrap();
    let mut hits = |text: &str| {
        std::fs::write(dir.join("memory.failcnt"), text).unwrap();
        group.sample(Detail::Quick).unwrap().limit_hits
    };
    assert_eq!(["126", "130", "0", "4", "4", "1"].map(&mut hits), [126, 130, 130, 134, 134, 135].map(Some));
}

#[test]
fn kills_are_summed_over_the_subtree_and_outlive_their_group() {
    let (root, dir) = fixture();
    let inner = dir.join("leaf/inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("memory.oom_control"), "oom_kill 4\n").unwrap();
    let mut group = V1::open(root.path(), &dir, 2).unwrap();
    assert_eq!(group.sample(Detail::Full).unwrap().oom_kills, Some(5)); // L 1, inner 4
    std::fs::remove_dir_all(&inner).unwrap();
    assert_eq!(group.sample(Detail::Full).unwrap().oom_kills, Some(5));
}

#[test]
fn a_group_that_is_made_again_counts_from_its_own_beginning_and_those_that_are_gone_are_forgotten() {
    let (root, dir) = fixture();
    let mut group = V1::open(root.path(), &dir, 2).unwrap();
    let mut kills = |name: &str, text: &str| {
        // Made beside the one before, as in the kernel, where no two directories are ever the same.
        let (inner, next) = (dir.join("leaf").join(name), root.path().join("next"));
        std::fs::create_dir(&next).unwrap();
        std::fs::write(next.join("memory.oom_control"), text).unwrap();
        let _ = std::fs::remove_dir_all(&inner);
        std::fs::rename(&next, &inner).unwrap();
        let kills = group.sample(Detail::Full).unwrap().oom_kills.unwrap();
        (kills, group.elsewhere.groups().count())
    };
    assert_eq!(kills("job", "oom_kill 4\n"), (5, 1)); // L 1
    assert_eq!(kills("job", "oom_kill 0\n"), (5, 1));
    assert_eq!(kills("job", "oom_kill 6\n"), (11, 1));
    assert_eq!(kills("other", "oom_kill 2\n"), (13, 2));
    std::fs::write(dir.join("leaf/job/memory.oom_control"), "oom_kill 7\n").unwrap();
    std::fs::remove_dir_all(dir.join("leaf/other")).unwrap();
    assert_eq!(group.sample(Detail::Full).unwrap().oom_kills, Some(14));
    assert_eq!(group.elsewhere.groups().count(), 1, "one is gone");
}

#[test]
fn the_mirror_stands_one_folio_and_a_batch_per_cpu_above_the_limit() {
    assert_eq!(mirror_of(Limit::Bytes(100 * M), mirror_margin(2)), Limit::Bytes(102 * M + 512 * 1024));
    assert_eq!(mirror_of(Limit::Max, mirror_margin(1)), Limit::Max);
    let (root, dir) = fixture();
    let now = V1::open(root.path(), &dir, 2).unwrap().limits().unwrap();
    assert_eq!(now.limit, Limit::Bytes(100 * M));
    assert_eq!(now.mirror_expected, Limit::Bytes(102 * M + 512 * 1024));
}

#[test]
fn a_written_limit_is_read_back() {
    let (root, dir) = fixture();
    for name in ["memory.limit_in_bytes", "leaf/memory.limit_in_bytes"] {
        std::fs::write(dir.join(name), "").unwrap(); // a plain file keeps what a shorter write leaves
    }
    std::fs::write(dir.join("memory.limit_in_bytes"), "104857600").unwrap();
    let mut writer = V1::open(root.path(), &dir, 2).unwrap().writer().unwrap();
    assert_eq!(writer.limit(Limit::Bytes(209715200)).unwrap(), LimitOutcome::Applied { now: Limit::Bytes(200 * M) });
    assert_eq!(
        files::read(&dir.join("leaf/memory.limit_in_bytes")).unwrap(),
        (209715200 + mirror_margin(2)).to_string()
    );
}

#[test]
fn every_error_names_its_file() {
    for missing in
        ["memory.usage_in_bytes", "memory.failcnt", "leaf/memory.stat", "leaf/memory.oom_control", "leaf/cgroup.procs"]
    {
        let (root, dir) = fixture();
        std::fs::remove_file(dir.join(missing)).unwrap();
        let said = V1::open(root.path(), &dir, 2).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(said.contains(missing), "{missing}: {said}");
    }
    let (root, dir) = fixture();
    std::fs::write(dir.join("memory.failcnt"), "many\n").unwrap();
    let said = V1::open(root.path(), &dir, 2).unwrap().sample(Detail::Quick).unwrap_err().to_string();
    assert!(said.contains("memory.failcnt") && said.contains("many"), "{said}");
}

#[test]
fn pids_outside_our_namespace_show_as_zero_and_are_left_out() {
    let (root, dir) = fixture();
    let mut pids = Vec::new();
    V1::open(root.path(), &dir, 2).unwrap().pids(&mut pids).unwrap();
    assert_eq!(pids, [77, 78]);
}
