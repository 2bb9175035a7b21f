//! The tightest limit above the sandbox's own: it is met first if it is lower, and no number of the sandbox's says so. Reads, and changes nothing.

use std::path::Path;

use super::files;
use crate::{event::Above, units::Limit};

/// The tightest limit of the groups that `dir` is in, up to the hierarchy's mount; `hierarchical` is the tightest of all as the kernel has it (v1), some
/// of which may lie where we cannot see.
pub fn tightest(
    root: &Path,
    dir: &Path,
    file: &str,
    parse: impl Fn(&str) -> Option<Limit>,
    own: Limit,
    hierarchical: Option<u64>,
) -> Option<Above> {
    let groups = dir.ancestors().skip(1).take_while(|group| group.starts_with(root));
    let limits = groups.filter_map(|group| {
        let limit = parse(files::read(&group.join(file)).ok()?.trim())?.bytes()?;
        Some(Above { limit, group: Some(super::below(root, group)) })
    });
    let seen = limits.min_by_key(|above| above.limit);
    let known = [own.bytes(), seen.as_ref().map(|above| above.limit)].into_iter().flatten().min().unwrap_or(u64::MAX);
    match hierarchical.filter(|limit| *limit < known && *limit < crate::units::kernel_max()) {
        Some(limit) => Some(Above { limit, group: None }),
        None => seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Limit;

    #[test]
    fn the_tightest_group_above_is_found_and_so_is_one_out_of_sight() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b/c");
        std::fs::create_dir_all(&dir).unwrap();
        let put = |group: &str, limit: &str| std::fs::write(root.path().join(group).join("max"), limit).unwrap();
        put("a", "300\n");
        put("a/b", "max\n");
        put("a/b/c", "50\n"); // our own does not count
        let parse = |text: &str| match text {
            "max" => Some(Limit::Max),
            n => n.parse().ok().map(Limit::Bytes),
        };
        let of = |hierarchical| tightest(root.path(), &dir, "max", parse, Limit::Bytes(50), hierarchical);
        assert_eq!(of(None), Some(Above { limit: 300, group: Some("/a".into()) }));
        put("a/b", "200\n");
        assert_eq!(of(Some(50)), Some(Above { limit: 200, group: Some("/a/b".into()) }));
        assert_eq!(of(Some(40)), Some(Above { limit: 40, group: None }));
        put("a", "max\n");
        put("a/b", "max\n");
        assert_eq!(of(None), None);
    }
}
