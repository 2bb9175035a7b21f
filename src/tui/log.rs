//! The entries of the log that are listed, and the one that the user stands on. Pure.
//!
//! An entry is called by how many came before it in the whole session: the log keeps the newest.

use crate::{sentences::Language, session::Session};

/// Where an entry is in the log, while it is kept.
pub fn place(session: &Session, entry: usize) -> Option<usize> {
    entry.checked_sub(session.dropped)
}

/// The listed entries, the newest first.
pub fn listed<'a>(session: &'a Session, filter: &str, words: Language) -> impl Iterator<Item = usize> + use<'a> {
    let filter = filter.to_lowercase();
    let has =
        move |n: &usize| filter.is_empty() || words.entry(&session.log[*n], session).0.to_lowercase().contains(&filter);
    (0..session.log.len()).rev().filter(has).map(|n| n + session.dropped)
}

/// So many entries on from this one; the first step of all is onto the newest, or the oldest.
pub fn moved(from: Option<usize>, by: i32, listed: &[usize]) -> Option<usize> {
    let last = listed.len().checked_sub(1)?;
    // Newest first: their numbers fall. One that is not listed any more is where its next older neighbour is.
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
    use super::*;
    use crate::event::{Event, Note, Stamped};
    use std::time::Duration;

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

    #[test]
    fn an_entry_keeps_its_name_while_older_ones_are_dropped() {
        let mut session = Session::default();
        let tell = |session: &mut Session, n: u64| {
            let event = Event::Note(Note::Hint { text: format!("hint {n}") });
            session.apply(&Stamped { at: Duration::from_millis(n), event });
        };
        (0..2000).for_each(|n| tell(&mut session, n));
        let stood_on = listed(&session, "hint 1500", Language::English).next().unwrap();
        (2000..2100).for_each(|n| tell(&mut session, n));
        let entry = &session.log[place(&session, stood_on).unwrap()];
        assert_eq!(entry.at, Duration::from_millis(1500));
        assert_eq!(place(&session, 99), None, "it is dropped");
        assert_eq!(listed(&session, "", Language::English).count(), session.log.len());
    }
}
