//! What was swapped so far, told when it moved.

use crate::event::Swapping;

/// The last that was told.
#[derive(Debug, Default)]
pub struct SwappingReader {
    told: Swapping,
}

impl SwappingReader {
    /// What was swapped, if it is not what it was at the last call.
    pub fn moved(&mut self, now: Swapping) -> Option<Box<Swapping>> {
        (std::mem::replace(&mut self.told, now) != now).then(|| Box::new(now))
    }
}
