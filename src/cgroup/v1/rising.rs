//! `memory.failcnt` can be set back by anybody who may write it; a count of a run never falls.

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
