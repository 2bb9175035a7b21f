//! What one event of a recording may hold, and how much memory it takes. What is longer is cut, with a mark: nothing real is.

use std::collections::HashSet;

use super::format::Header;
use crate::event::{
    Above, ChangeOutcome, Ended, Event, LimitOutcome, Note, OomDump, Process, ProcessChanges, Scope, Stamped, Started,
    Status, terminal_size,
};

/// The longest sentence, path or command line of a process, in bytes (`procs` cuts one at 256).
const SENTENCE: usize = 4096;

/// The longest name, in bytes: the kernel's names of processes have 15 at most.
/// How many words of an environment are kept.
const HEAP_OPTIONS: usize = 64;

const NAME: usize = 256;

/// The most processes that live at once; a machine with `kernel.pid_max` at its usual 32768 has fewer.
const LIVING: usize = 100_000;

/// What holds over events: how many processes live.
#[derive(Default)]
pub struct Bounds {
    living: HashSet<i32>,
    /// Entries of lists that were left out.
    pub left_out: u64,
}

impl Bounds {
    /// Cuts what is too long.
    pub fn keep(&mut self, event: &mut Event) {
        match event {
            Event::Started(started) => self.started(started),
            Event::Processes(changes) => self.processes(changes),
            Event::Settings(settings) => {
                settings.pids_limit.iter_mut().chain(&mut settings.cpu).for_each(|text| cut(text, NAME));
                settings
                    .above
                    .iter_mut()
                    .filter_map(|above| above.group.as_mut())
                    .for_each(|group| cut(group, SENTENCE));
            }
            Event::Output(bytes) => bytes.shrink_to_fit(),
            Event::Resized { rows, cols } => (*rows, *cols) = terminal_size(*rows, *cols),
            Event::LimitDone { outcome: LimitOutcome::Failed { reason }, .. }
            | Event::ChangeDone { outcome: ChangeOutcome::Failed { reason }, .. }
            | Event::Note(Note::RecordingLost { reason } | Note::Leftover { reason } | Note::Hint { text: reason }) => {
                cut(reason, SENTENCE)
            }
            Event::Victim(victim) => cut(&mut victim.name, NAME),
            Event::Note(Note::SignalSent { name, .. }) => cut(name, NAME),
            Event::Shares(shares) => self.left_out += shorten(shares, SENTENCE),
            Event::OomDump(dump) => self.dump(dump),
            Event::Ended(ended) => {
                if let Status::FailedToStart(failure) = &mut ended.status {
                    cut(&mut failure.what, SENTENCE);
                }
            }
            _ => {}
        }
    }

    fn dump(&mut self, dump: &mut OomDump) {
        if let Scope::Inside { group } | Scope::Above { group } | Scope::Cpuset { cpuset: group } = &mut dump.scope {
            cut(group, SENTENCE);
        }
        if let Some(asker) = &mut dump.asker {
            cut(&mut asker.name, NAME);
        }
        self.left_out += shorten(&mut dump.table, NAME);
        dump.table.iter_mut().for_each(|row| cut(&mut row.name, NAME));
    }

    fn started(&mut self, started: &mut Started) {
        self.living.clear();
        cut(&mut started.group, SENTENCE);
        if let Some(group) = started.above.as_mut().and_then(|above| above.group.as_mut()) {
            cut(group, SENTENCE);
        }
        self.left_out += shorten(&mut started.changes, SENTENCE) + shorten(&mut started.options, SENTENCE);
        started.options.iter_mut().for_each(|word| cut(word, SENTENCE));
        self.left_out += started.schedule.keep_sound() as u64;
    }

    fn processes(&mut self, changes: &mut ProcessChanges) {
        let before = changes.born.len();
        changes.born.retain(|process| {
            let room = self.living.len() < LIVING || self.living.contains(&process.host_pid);
            if room {
                self.living.insert(process.host_pid);
            }
            room
        });
        self.left_out += (before - changes.born.len()) as u64;
        for process in &mut changes.born {
            cut(&mut process.name, NAME);
            cut(&mut process.command, SENTENCE);
            if let Some(options) = &mut process.heap_options {
                options.truncate(HEAP_OPTIONS);
                options.iter_mut().for_each(|option| cut(option, NAME));
            }
        }
        self.left_out += shorten(&mut changes.changed, LIVING) + shorten(&mut changes.died, LIVING);
        changes.born.shrink_to_fit();
        for pid in &changes.died {
            self.living.remove(pid);
        }
    }
}

/// The header with nothing in it that is too long.
pub fn header(mut header: Header) -> Header {
    [&mut header.sandtop, &mut header.kernel, &mut header.arch].into_iter().for_each(|text| cut(text, NAME));
    header
}

/// Cuts a text, and marks that.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate((0..=most).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0));
        text.push('…');
    }
    text.shrink_to_fit();
}

/// Shortens a list; how many of it are gone.
fn shorten<T>(list: &mut Vec<T>, most: usize) -> u64 {
    let gone = list.len().saturating_sub(most);
    list.truncate(most);
    list.shrink_to_fit();
    gone as u64
}

/// How much memory an event takes, in bytes, with what the allocator adds to each piece.
pub fn memory(stamped: &Stamped) -> usize {
    let more = match &stamped.event {
        Event::Started(started) => {
            let words: usize = started.argv.iter().chain(&started.options).map(text).sum();
            let words = words + piece(size_of_val(&started.argv[..])) + piece(size_of_val(&started.options[..]));
            let lists = piece(size_of_val(&started.changes[..])) + piece(size_of_val(&started.schedule.steps[..]));
            piece(size_of::<Started>()) + words + lists + text(&started.group) + above(started.above.as_ref())
        }
        Event::Settings(settings) => {
            let texts: usize = settings.pids_limit.iter().chain(&settings.cpu).map(text).sum();
            piece(size_of_val(&**settings)) + texts + above(settings.above.as_ref())
        }
        Event::Processes(ProcessChanges { born, changed, died }) => {
            let texts = |process: &Process| text(&process.name) + text(&process.command);
            let lists = [size_of_val(&born[..]), size_of_val(&changed[..]), size_of_val(&died[..])];
            lists.into_iter().map(piece).sum::<usize>() + born.iter().map(texts).sum::<usize>()
        }
        Event::Output(bytes) => piece(bytes.len()),
        Event::Shares(shares) => piece(size_of_val(&shares[..])),
        Event::LimitDone { outcome: LimitOutcome::Failed { reason }, .. }
        | Event::ChangeDone { outcome: ChangeOutcome::Failed { reason }, .. }
        | Event::Note(Note::RecordingLost { reason } | Note::Leftover { reason } | Note::Hint { text: reason }) => {
            text(reason)
        }
        Event::Victim(victim) => text(&victim.name),
        Event::Note(Note::SignalSent { name, .. }) => text(name),
        Event::Ended(Ended { status: Status::FailedToStart(failure), .. }) => text(&failure.what),
        Event::OomDump(dump) => {
            let names: usize = dump.table.iter().map(|row| text(&row.name)).sum();
            piece(size_of_val(&**dump)) + piece(size_of_val(&dump.table[..])) + names + SENTENCE
        }
        _ => 0,
    };
    size_of::<Stamped>() + more
}

fn above(above: Option<&Above>) -> usize {
    above.and_then(|above| above.group.as_ref()).map_or(0, text)
}

fn text(text: impl AsRef<str>) -> usize {
    piece(text.as_ref().len())
}

/// What the allocator takes for a piece of memory: 16 bytes more, and never less than 32.
fn piece(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        n => (n + 16).max(32),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{Controller, ProcessUsage, Reclaimed},
        schedule::{Ramp, Step},
        units::Limit,
    };

    fn process(host_pid: i32) -> Process {
        let usage = ProcessUsage::default();
        Process {
            host_pid,
            pid: None,
            parent: 1,
            name: "x".repeat(300),
            command: String::new(),
            heap_options: None,
            usage,
        }
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark() {
        let mut bounds = Bounds::default();
        let mut hint = Event::Note(Note::Hint { text: "é".repeat(1 << 20) });
        bounds.keep(&mut hint);
        let Event::Note(Note::Hint { text }) = &hint else { panic!() };
        assert!(text.len() <= SENTENCE + 3 && text.ends_with("é…"), "{}", text.len());
        assert!(memory(&Stamped { at: Duration::ZERO, event: hint }) < 2 * SENTENCE);
        let name = "n".repeat(1 << 20);
        let mut sent = Event::Note(Note::SignalSent { signal: 9, host_pid: 1, pid: None, name });
        bounds.keep(&mut sent);
        let Event::Note(Note::SignalSent { name, .. }) = &sent else { panic!() };
        assert!(name.len() <= NAME + 3 && name.ends_with('…'));
        let limit = Limit::Max;
        let reclaimed = Reclaimed { limit, before: 1, after: 0, stood_us: u64::MAX, times: u64::MAX };
        let reclaimed = Stamped { at: Duration::ZERO, event: Event::Reclaimed(reclaimed) };
        assert_eq!(memory(&reclaimed), size_of::<Stamped>(), "has nothing that could be too long");
        let mut size = Event::Resized { rows: 0, cols: u16::MAX };
        bounds.keep(&mut size);
        assert_eq!(size, Event::Resized { rows: 1, cols: 1000 });
    }

    #[test]
    fn a_start_holds_no_more_than_one_can_and_all_of_it_is_counted() {
        let mut started = Started::plain(Controller::V2);
        let takes = |started: &Started| {
            memory(&Stamped { at: Duration::ZERO, event: Event::Started(Box::new(started.clone())) })
        };
        let plain = takes(&started);
        let ramp = |n| Step {
            at_ms: n,
            limit: Limit::Bytes(1 << 20),
            ramp: Some(Ramp { until_ms: n + 1, limit: Limit::Bytes(8 << 20) }),
        };
        started.schedule.steps = (0..220_000).map(ramp).collect();
        started.options = vec!["o".repeat(2 * SENTENCE); 5000];
        let whole = takes(&started);
        assert!(whole > plain + 220_000 * size_of::<Step>() + 5000 * 2 * SENTENCE, "{whole}");
        let mut bounds = Bounds::default();
        let mut event = Event::Started(Box::new(started));
        bounds.keep(&mut event);
        let Event::Started(started) = &event else { panic!() };
        assert_eq!((started.schedule.steps.len(), started.options.len()), (1000, SENTENCE));
        assert!(started.options.iter().all(|word| word.len() <= SENTENCE + 3 && word.ends_with('…')));
        assert_eq!(bounds.left_out, 219_000 + 5000 - SENTENCE as u64);
        assert!(started.schedule.moves().len() <= 101_000);
        let above = Some(Above { limit: 1, group: Some("g".repeat(SENTENCE)) });
        assert!(takes(&Started { above, ..(**started).clone() }) >= takes(started) + SENTENCE);
    }

    #[test]
    fn no_more_processes_live_than_a_machine_has_room_for() {
        let mut bounds = Bounds::default();
        let born = |pids: std::ops::Range<i32>| {
            Event::Processes(ProcessChanges { born: pids.map(process).collect(), ..ProcessChanges::default() })
        };
        let mut kept = 0;
        for n in 0..30 {
            let mut event = born(n * 5000..(n + 1) * 5000);
            bounds.keep(&mut event);
            let Event::Processes(changes) = &event else { panic!() };
            assert!(changes.born.iter().all(|process| process.name.len() <= NAME + 3));
            kept += changes.born.len();
        }
        assert_eq!((kept, bounds.left_out), (LIVING, 50_000));
        // Who dies makes room, and who becomes another program needs none.
        bounds.keep(&mut Event::Processes(ProcessChanges { died: vec![7], ..ProcessChanges::default() }));
        for (pids, kept) in [(1..2, 1), (200_000..200_002, 1)] {
            let mut event = born(pids);
            bounds.keep(&mut event);
            assert!(matches!(event, Event::Processes(changes) if changes.born.len() == kept));
        }
    }
}
