//! The v2 back-end on directories of real kernel files.

use super::{super::fixture::lay_out, *};
use crate::event::{Abilities, LimitOutcome};

const M: u64 = 1 << 20;

fn open(kernel: &str) -> (tempfile::TempDir, PathBuf, V2) {
    let (root, dir) = lay_out(kernel);
    let group = V2::open(root.path(), &dir, 2).unwrap();
    (root, dir, group)
}

#[test]
fn a_sample_takes_every_number_from_its_own_file_on_every_kernel() {
    for kernel in ["v2 5.10", "v2 6.1", "v2 6.12", "v2 7.3"] {
        let (_root, dir, mut group) = open(kernel);
        let say = |name: &str| files::read(&dir.join(name)).unwrap();
        let sample = group.sample(Detail::Full).unwrap();
        assert_eq!(sample.usage, say("memory.current").trim().parse::<u64>().unwrap(), "{kernel}");
        // 64 MiB under 30 MiB were tried, then 12 MiB; one kill, whatever `oom` says.
        assert!((12 * M..16 * M).contains(&sample.usage), "{kernel}: {}", sample.usage);
        assert_eq!(sample.oom_kills, Some(1), "{kernel}");
        assert_eq!(sample.limit_hits, files::value_of(&say("memory.events.local"), "max"), "{kernel}");
        assert!(sample.limit_hits > Some(0), "{kernel}");
        assert_eq!(sample.swap, Some(0), "{kernel}");
        assert!(sample.pressure.is_some_and(|p| p.some_us > 0), "{kernel}");
        let stat = sample.stat.unwrap();
        assert!((12 * M..14 * M).contains(&stat.anon), "{kernel}: {stat:?}");
        assert_eq!(stat.file + stat.shmem, files::value_of(&say("leaf/memory.stat"), "file").unwrap(), "{kernel}");
        // 5.10 gathers its kernel numbers so lazily that it said 0 here.
        assert!(stat.kernel.is_some_and(|k| k < 2 * M && (k > 0 || kernel == "v2 5.10")), "{kernel}: {stat:?}");
        assert_eq!((stat.major_faults, stat.refaults), (Some(0), Some(0)), "{kernel}");
        assert_eq!(group.path(), "/sandtop/1-2-3");
    }
}

#[test]
fn refaults_are_those_of_files_and_of_anonymous_memory_or_what_an_older_kernel_has_of_both() {
    let (_root, dir, mut group) = open("v2 6.12");
    let path = dir.join("leaf/memory.stat");
    let text = files::read(&path).unwrap();
    let mut counts = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let stat = group.sample(Detail::Stat).unwrap().stat.unwrap();
        (stat.refaults, stat.refaults_anon, stat.major_faults)
    };
    let counted = text
        .replace("workingset_refault_file 0", "workingset_refault_file 93210")
        .replace("workingset_refault_anon 0", "workingset_refault_anon 7")
        .replace("pgmajfault 0", "pgmajfault 170");
    assert_eq!(counts(&counted), (Some(93_217), Some(7), Some(170)));
    let without = |text: &str| -> String {
        text.split_inclusive('\n')
            .filter(|l| !l.starts_with("workingset_refault") && !l.starts_with("pgmajfault"))
            .collect()
    };
    assert_eq!(counts(&(without(&text) + "workingset_refault 5\n")), (Some(5), None, None));
    assert_eq!(counts(&without(&text)), (None, None, None));
}

#[test]
fn what_a_kernel_lacks_is_none_and_not_zero() {
    for (kernel, can) in [
        ("v2 5.10", Abilities { freeze: true, pressure: true, ..Abilities::default() }),
        ("v2 6.1", Abilities { peak: true, peak_reset: true, freeze: true, kill: true, reclaim: true, pressure: true }),
        ("v2 7.3", Abilities { peak: true, peak_reset: true, freeze: true, kill: true, reclaim: true, pressure: true }),
    ] {
        let (_root, _dir, mut group) = open(kernel); // a plain file takes the reset that only 6.12 takes
        let settings = group.settings();
        assert_eq!(settings.can, can, "{kernel}");
        assert_eq!(group.sample(Detail::Quick).unwrap().peak.is_some(), can.peak, "{kernel}");
        assert_eq!((settings.high, settings.swap_limit), (Some(Limit::Max), Some(Limit::Bytes(0))), "{kernel}");
        assert_eq!((settings.oom_group, settings.frozen), (Some(false), Some(false)), "{kernel}");
        assert_eq!(settings.pids_limit.as_deref(), Some("max"), "{kernel}");
        assert_eq!(settings.cpu.as_deref(), Some("max 100000"), "{kernel}");
        assert_eq!(settings.swappiness, None, "{kernel}");
    }
    let (root, dir) = lay_out("v2 6.12");
    for name in [
        "memory.peak",
        "memory.pressure",
        "memory.swap.current",
        "memory.swap.max",
        "memory.events.local",
        "cpu.max",
        "pids.max",
        "cgroup.events",
    ] {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    let mut group = V2::open(root.path(), &dir, 2).unwrap();
    let sample = group.sample(Detail::Full).unwrap();
    assert_eq!((sample.peak, sample.swap, sample.pressure), (None, None, None));
    assert!(sample.limit_hits > Some(0), "memory.events tells them where there is no memory.events.local");
    let settings = group.settings();
    assert_eq!((settings.swap_limit, settings.cpu, settings.pids_limit, settings.frozen), (None, None, None, None));
}

#[test]
fn a_peak_that_cannot_be_reset_tells_only_new_highs() {
    let (_root, dir) = lay_out("v2 6.1");
    let mut peak = Peak { file: Kept::open(&dir, "memory.peak").unwrap(), resets: false, highest: 0 };
    let mark = files::read(&dir.join("memory.peak")).unwrap().trim().parse().unwrap();
    assert_eq!((peak.take(), peak.take()), (Some(mark), None));
    std::fs::write(dir.join("memory.peak"), format!("{}\n", mark + 4096)).unwrap();
    assert_eq!((peak.take(), peak.take()), (Some(mark + 4096), None));
}

#[test]
fn oom_announces_and_only_oom_kill_counts() {
    let (_root, dir, mut group) = open("v2 6.12");
    let said = |text: &str| std::fs::write(dir.join("memory.events"), text).unwrap();
    group.oom_seen();
    said("low 0\nhigh 0\nmax 99\noom 1\noom_kill 1\noom_group_kill 0\n");
    assert!(!group.oom_seen(), "a limit hit is no lack of memory");
    said("low 0\nhigh 0\nmax 99\noom 11934\noom_kill 1\n");
    assert!(group.oom_seen());
    assert_eq!(group.sample(Detail::Quick).unwrap().oom_kills, Some(1));
}

#[test]
fn limits_are_read_and_written_as_this_kernel_says_them() {
    let (_root, dir, group) = open("v2 6.1");
    let now = group.limits().unwrap();
    assert_eq!((now.limit, now.mirror), (Limit::Bytes(30 * M), Limit::Bytes(30 * M + mirror_margin(2))));
    assert_eq!(now.mirror, now.mirror_expected);
    for name in ["memory.max", "leaf/memory.max"] {
        std::fs::write(dir.join(name), "max").unwrap(); // a plain file keeps what a shorter write leaves
    }
    let mut writer = group.writer().unwrap();
    assert_eq!(writer.limit(Limit::Bytes(200 * M)).unwrap(), LimitOutcome::Applied { now: Limit::Bytes(200 * M) });
    assert_eq!(files::read(&dir.join("leaf/memory.max")).unwrap(), (200 * M + mirror_margin(2)).to_string());
    // What the kernel of 6.1 makes of 99999999999999999999, and what 7.3 does: no limit that anybody meant, and none.
    assert_eq!(parse_limit("max\n"), Some(Limit::Max));
    assert_eq!(parse_limit("9223372036854771712"), Some(Limit::Max));
    for odd in ["", "many", "-1", "1.5"] {
        assert_eq!(parse_limit(odd), None, "{odd}");
    }
}

#[test]
fn every_error_names_its_file() {
    for missing in
        ["memory.current", "memory.events", "memory.max", "leaf/memory.stat", "leaf/memory.max", "leaf/cgroup.procs"]
    {
        let (root, dir) = lay_out("v2 6.12");
        std::fs::remove_file(dir.join(missing)).unwrap();
        let said = V2::open(root.path(), &dir, 2).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(said.contains(missing), "{missing}: {said}");
    }
    for broken in ["memory.current", "memory.events.local", "memory.events"] {
        let (root, dir) = lay_out("v2 6.12");
        std::fs::write(dir.join(broken), "many\n").unwrap();
        let said = V2::open(root.path(), &dir, 2).unwrap().sample(Detail::Quick).unwrap_err().to_string();
        assert!(said.contains(broken) && said.contains("many"), "{broken}: {said}");
    }
}
