//! `memory.failcnt` can be set back by anybody who may write it, and a group's kills go with the group; a count of a run never falls.

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A count that anybody may set back (a write to `memory.failcnt` makes it 0), and that goes on all the same.
#[derive(Default)]
pub struct Rising {
    read: u64,
    before: u64,
}

impl Rising {
    /// The whole count, with what was read just now.
    pub fn with(&mut self, read: u64) -> u64 {
        if read < self.read {
            self.before += self.read;
        }
        self.read = read;
        self.before + read
    }
}

/// Counts of groups that come and go, added up.
#[derive(Default)]
pub struct Sum {
    total: u64,
    /// Each group that is there: which directory it is, and its count when last read. One that is made again under the same path is another.
    groups: HashMap<PathBuf, (u64, u64)>,
}

impl Sum {
    /// Looks at these groups; one whose count cannot be read now stays as it was.
    pub fn look(&mut self, groups: Vec<PathBuf>, read: impl Fn(&Path) -> Option<u64>) {
        for group in groups {
            let inode = std::fs::metadata(&group).map(|of| of.ino());
            if let (Ok(inode), Some(count)) = (inode, read(&group)) {
                let (was, before) = self.groups.insert(group, (inode, count)).unwrap_or_default();
                self.total += count.saturating_sub(if was == inode { before } else { 0 });
            }
        }
        // Not those that were not listed: a list that cannot be read (no descriptor left, say) tells of nobody's end.
        self.groups.retain(|group, _| group.exists());
    }

    /// What they have counted together, those too that are gone.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The groups that are there.
    pub fn groups(&self) -> impl Iterator<Item = &Path> {
        self.groups.keys().map(PathBuf::as_path)
    }
}
