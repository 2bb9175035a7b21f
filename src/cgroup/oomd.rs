//! The mark that systemd-oomd leaves on a group whose processes it killed: an extended attribute, which needs no right to read a journal.

use std::path::Path;

/// systemd-oomd counts in `user.…` (src/oom/oomd-util.c of systemd), the oomd that it came from in `trusted.…` as well. `oomd_ooms` is set before it kills,
/// `oomd_kill` after.
const MARKS: [&str; 4] = ["user.oomd_ooms", "user.oomd_kill", "trusted.oomd_ooms", "trusted.oomd_kill"];

/// Whether one of these groups has it.
pub fn marked(groups: &[&Path]) -> bool {
    let has = |group: &&Path| MARKS.iter().any(|mark| rustix::fs::getxattr(*group, *mark, &mut [0u8; 64][..]).is_ok());
    groups.iter().any(has)
}
