//! Both back-ends on files that no kernel writes: truncated, empty, huge and garbage. An error with the path or a `None`, never a panic.

use proptest::prelude::*;

use super::{
    Cgroup, Detail,
    fixture::{KERNELS, files_of, lay_out},
    v1::V1,
    v2::V2,
};
use crate::units::Limit;

/// The files that the back-ends read.
const READ: [&str; 18] = [
    "memory.current",
    "memory.peak",
    "memory.events",
    "memory.events.local",
    "memory.max",
    "memory.high",
    "memory.swap.current",
    "memory.swap.max",
    "memory.oom.group",
    "memory.pressure",
    "memory.stat",
    "cgroup.events",
    "cgroup.procs",
    "memory.usage_in_bytes",
    "memory.max_usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.failcnt",
    "memory.oom_control",
];

/// Reads everything that can be read of a group; the errors.
fn read_all(kernel: &str, root: &std::path::Path, dir: &std::path::Path) -> Vec<String> {
    let opened: crate::error::Result<Box<dyn Cgroup>> = match kernel.starts_with("v1") {
        true => V1::open(root, dir, 2).map(|group| Box::new(group) as Box<dyn Cgroup>),
        false => V2::open(root, dir, 2).map(|group| Box::new(group) as Box<dyn Cgroup>),
    };
    let mut group = match opened {
        Ok(group) => group,
        Err(e) => return vec![e.to_string()],
    };
    group.oom_seen();
    let mut pids = Vec::new();
    let samples = [Detail::Quick, Detail::Stat, Detail::Full].map(|detail| group.sample(detail).err());
    let others = [group.pids(&mut pids).err(), group.limits().err()];
    let mut errors: Vec<String> = samples.into_iter().chain(others).flatten().map(|e| e.to_string()).collect();
    let _ = group.settings();
    if let Ok(mut writer) = group.writer() {
        errors.extend(writer.limit(Limit::Bytes(1 << 20)).err().map(|e| e.to_string()));
    }
    errors
}

#[test]
fn real_files_are_read_without_an_error() {
    for (kernel, _) in KERNELS {
        let (root, dir) = lay_out(kernel);
        assert_eq!(read_all(kernel, root.path(), &dir), Vec::<String>::new(), "{kernel}");
    }
}

#[test]
fn odd_files_are_an_error_with_the_path_or_nothing() {
    let huge = "9".repeat(1 << 20);
    let long_line = format!("anon {}\n", "1".repeat(5000));
    for (kernel, _) in KERNELS {
        let (root, dir) = lay_out(kernel);
        let whole: Vec<_> = files_of(&dir).into_iter().map(|f| (f.clone(), std::fs::read(f).unwrap())).collect();
        let whole: Vec<_> =
            whole.into_iter().filter(|(file, _)| READ.iter().any(|name| file.ends_with(name))).collect();
        let restore = || whole.iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
        for (file, bytes) in &whole {
            for odd in ["", "\n", "-1\n", "18446744073709551616\n", "oom_kill\nmax\nanon\n", "\0\0", &huge, &long_line]
            {
                std::fs::write(file, odd).unwrap();
                for error in read_all(kernel, root.path(), &dir) {
                    assert!(error.contains(&*file.to_string_lossy()), "{kernel} {}: {error}", file.display());
                }
                restore();
            }
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap(); // cut anywhere it may still read well
            read_all(kernel, root.path(), &dir);
            restore();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_no_panic(which in 0..KERNELS.len(), file in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (kernel, _) = KERNELS[which];
        let (root, dir) = lay_out(kernel);
        let files = files_of(&dir);
        std::fs::write(file.get(&files), &bytes).unwrap();
        read_all(kernel, root.path(), &dir);
    }
}
