//! How much memory a session takes, roughly: what lays down states of it has to know.

use super::{Entry, Row, Run, Session, What};
use crate::event::{Note, Started};

impl Session {
    /// In bytes, with what belongs to its runs. Short texts in the log are not counted letter by letter.
    pub fn memory(&self) -> usize {
        let log: usize = self.log.iter().map(entry).sum();
        size_of::<Session>() + log + self.runs.iter().map(Run::memory).sum::<usize>()
    }
}

impl Run {
    fn memory(&self) -> usize {
        let Started { argv, options, group, .. } = &self.started;
        let words: usize = argv.iter().chain(options).map(|word| size_of::<String>() + 16 + word.len()).sum();
        let row = |row: &Row| size_of::<Row>() + 80 + row.process.name.len() + row.process.command.len();
        let rows: usize = self.processes.values().map(row).sum();
        let named: usize = self.victims.iter().map(|victim| size_of_val(victim) + victim.name.len()).sum();
        let lists = size_of_val(self.history.points()) + size_of_val(&self.marks[..]) + size_of_val(&self.changing[..]);
        let lists = lists + size_of_val(self.edits.all()) + self.growth.memory();
        let lists = lists + size_of_val(&self.moves.planned[..]) + size_of_val(&self.moves.made[..]);
        size_of::<Run>() + words + group.len() + rows + named + lists + self.stories.memory()
    }
}

fn entry(entry: &Entry) -> usize {
    let text = match &entry.what {
        What::LimitFailed { reason, .. } | What::ChangeFailed { reason, .. } => reason.len(),
        What::Note(Note::Hint { text: reason } | Note::Leftover { reason } | Note::RecordingLost { reason }) => {
            reason.len()
        }
        _ => 32,
    };
    size_of::<Entry>() + text
}
