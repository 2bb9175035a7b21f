//! Limits of the groups that sandtop itself is in: what a workload in a group elsewhere would escape.

use std::path::Path;

use super::files;
use crate::{
    error::Error,
    units::{kernel_max, size},
};

/// A limit of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Its file, and what that says.
    file: &'static str,
    value: String,
    /// The number of processes, where that is all that is limited.
    pub tasks: Option<u64>,
}

/// A limit of a v2 group, that of the number of processes last; `None` where nothing is limited. The
/// hierarchy's root has none of the files.
pub(super) fn of_v2(dir: &Path) -> Option<Limit> {
    let read = |file: &str| files::read(&dir.join(file)).ok().map(|text| text.trim().to_string());
    let amounts = ["memory.max", "memory.high", "memory.swap.max", "cpu.max"];
    let limited = |file: &'static str| {
        let value = read(file).filter(|value| !value.starts_with("max"))?;
        Some(Limit { file, value, tasks: None })
    };
    // What a group may use, and what the group above it may.
    let narrower = |file: &'static str| {
        let (value, above) = (read(file)?, files::read(&dir.parent()?.join(file)).ok()?);
        (value != above.trim()).then_some(Limit { file, value, tasks: None })
    };
    let tasks = || {
        let value = read("pids.max").filter(|value| value != "max")?;
        let tasks = value.parse().ok();
        Some(Limit { file: "pids.max", value, tasks })
    };
    let sets = ["cpuset.cpus.effective", "cpuset.mems.effective"];
    amounts.into_iter().find_map(limited).or_else(|| sets.into_iter().find_map(narrower)).or_else(tasks)
}

/// The memory limit of a v1 group.
pub(super) fn of_v1(dir: &Path) -> Option<Limit> {
    let file = "memory.limit_in_bytes";
    let bytes: u64 = files::read(&dir.join(file)).ok()?.trim().parse().ok()?;
    (bytes < kernel_max()).then(|| Limit { file, value: bytes.to_string(), tasks: None })
}

/// That a limit would not hold what runs in a group of ours, and what helps.
pub(super) fn left_behind(dir: &Path, limit: &Limit, why: &str) -> Error {
    let value = match limit.value.parse() {
        Ok(bytes) if limit.file.starts_with("memory.") => size(bytes),
        _ => limit.value.clone(),
    };
    Error::new(format!(
        "{} is limited ({} {value}), and the command would not be held by that: {why}",
        dir.display(),
        limit.file
    ))
    .remedy("start sandtop as the only process of that group (exec sandtop …; in a unit of systemd also Delegate=yes); or leave that limit on purpose: --cgroup-parent /")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_of_a_group_is_seen_and_a_number_of_processes_alone_is_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a");
        std::fs::create_dir(&dir).unwrap();
        let put = |dir: &Path, file: &str, text: &str| std::fs::write(dir.join(file), text).unwrap();
        let of = || of_v2(&dir).map(|limit| (limit.file, limit.tasks));
        assert_eq!(of(), None, "a group without controllers");
        for file in ["memory.max", "memory.high", "memory.swap.max", "pids.max"] {
            put(&dir, file, "max\n");
        }
        put(&dir, "cpu.max", "max 100000\n");
        put(&dir, "cpuset.cpus.effective", "0-3\n");
        put(root.path(), "cpuset.cpus.effective", "0-3\n");
        assert_eq!(of(), None);
        put(&dir, "pids.max", "100\n");
        assert_eq!(of(), Some(("pids.max", Some(100))));
        put(&dir, "cpuset.cpus.effective", "0-1\n");
        assert_eq!(of(), Some(("cpuset.cpus.effective", None)));
        put(&dir, "cpu.max", "50000 100000\n");
        assert_eq!(of(), Some(("cpu.max", None)));
        put(&dir, "memory.max", "104857600\n");
        let said = left_behind(&dir, &of_v2(&dir).unwrap(), "why").to_string();
        assert!(said.contains("memory.max 100M") && said.contains("--cgroup-parent /"), "{said}");
    }
}
