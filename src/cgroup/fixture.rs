//! Groups of real kernel files, for tests: `tests/data/cgroup/*.txt` hold what a sandbox's two groups said on five kernels.

use std::path::{Path, PathBuf};

/// What P and L said, by kernel.
pub const KERNELS: [(&str, &str); 5] = [
    ("v1 6.18", include_str!("../../tests/data/cgroup/v1-6.18.txt")),
    ("v2 5.10", include_str!("../../tests/data/cgroup/v2-5.10.txt")),
    ("v2 6.1", include_str!("../../tests/data/cgroup/v2-6.1.txt")),
    ("v2 6.12", include_str!("../../tests/data/cgroup/v2-6.12.txt")),
    ("v2 7.3", include_str!("../../tests/data/cgroup/v2-7.3.txt")),
];

/// Lays a kernel's files out below a temporary root; the root and P.
pub fn lay_out(kernel: &str) -> (tempfile::TempDir, PathBuf) {
    let (_, text) = KERNELS.iter().find(|(name, _)| *name == kernel).expect("a kernel that was recorded");
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("sandtop/1-2-3");
    std::fs::create_dir_all(dir.join("leaf")).unwrap();
    for file in text.split("== ").filter(|file| !file.is_empty()) {
        let (name, content) = file.split_once('\n').unwrap_or((file, ""));
        std::fs::write(dir.join(name), content).unwrap();
    }
    (root, dir)
}

/// Every file of a group and of its leaf.
pub fn files_of(dir: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()).collect::<Vec<_>>();
    list(dir).into_iter().chain(list(&dir.join("leaf"))).filter(|path| path.is_file()).collect()
}
