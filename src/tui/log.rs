//! The entries of the log that are listed, and the one that the user stands on. Pure.

use crate::{sentences::Language, session::Session};

/// The listed entries' places in the log, the newest first.
pub fn listed(session: &Session, filter: &str, words: Language) -> Vec<usize> {
    let newest_first = (0..session.log.len()).rev();
    if filter.is_empty() {
        return newest_first.collect();
    }
    let filter = filter.to_lowercase();
    let has = |n: &usize| words.entry(&session.log[*n], session).0.to_lowercase().contains(&filter);
    newest_first.filter(has).collect()
}

/// So many entries on from this one; the first step of all is onto the newest, or the oldest.
pub fn moved(from: Option<usize>, by: i32, listed: &[usize]) -> Option<usize> {
    let last = listed.len().checked_sub(1)?;
    // Newest first: their places fall. One that is not listed any more is where its next older neighbour is.
    let here = from.map(|entry| listed.partition_point(|n| *n > entry).min(last));
    let to = match here {
        None if by == i32::MAX => last,
        None => 0,
        Some(here) => here.saturating_add_signed(by as isize).min(last),
    };
    Some(listed[to])
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn steps_go_from_the_newest_to_the_oldest_and_stay_there() {
        let listed = [9, 6, 3];
        assert_eq!(moved(None, 1, &listed), Some(9));
        assert_eq!(moved(Some(9), 1, &listed), Some(6));
        assert_eq!(moved(Some(6), 5, &listed), Some(3));
        assert_eq!(moved(Some(3), i32::MIN, &listed), Some(9));
        assert_eq!(moved(Some(7), 1, &listed), Some(3), "7 is not listed any more: 6 is in its place");
        assert_eq!(moved(Some(3), 1, &[]), None);
    }
}
