//! The reader: trusts nothing that a file says. A damaged recording is read up to the damage, and the damage is told.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::Duration,
};

use super::{
    bounds::{self, Bounds},
    format::{self, Header, Line},
    thin::{Kept, Thinned},
    unpack::{MAGIC, Members, Trailing},
};
use crate::{
    error::{Error, Result},
    event::{Event, Stamped},
};

/// The longest line, in bytes: the birth of ten thousand processes.
const LONGEST_LINE: u64 = 16 << 20;

/// A line without its end.
const CUT: &str = "is cut (the file ends in it; it may still be being written)";

/// The most that a recording may unpack to, in bytes: a busy week. It bounds the time that a bomb takes, and no memory.
const MOST: u64 = 8 << 30;

/// A compressed one unpacks to so many times its size (a workload that sleeps: 60 times), and …
const RATIO: u64 = 200;

/// … this much, in bytes, is never too much.
const ALWAYS: u64 = 64 << 20;

/// More events than this that we do not know are no later version's recording.
const UNKNOWN: usize = 100_000;

/// After so many lines they have to be …
const SHORT_LINES: usize = 1_000_000;

/// … so long on the average, in bytes: a sample has five hundred.
const SHORTEST_ON_AVERAGE: usize = 64;

/// What is said of a recording that holds no run.
pub const NO_RUN: &str = "there is no run in it";

/// A recording in memory.
#[derive(Debug)]
pub struct Recording {
    /// Its header.
    pub header: Header,
    /// What happened, in order.
    pub events: Vec<Stamped>,
    /// What is wrong with the file, where something is.
    pub damage: Option<Damage>,
    /// Whether it stops before the end of its last run, with nothing wrong: it is still being written, or its sandtop was killed.
    pub unfinished: bool,
    /// What was dropped because it is long.
    pub thinned: Thinned,
}

/// Where a recording ends before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} {}; what comes before it is shown", self.line, self.what)
    }
}

/// Something that whoever looks at a recording has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caution {
    /// It is damaged.
    Damaged(Damage),
    /// It has no end.
    Unfinished,
    /// It is long, and was thinned.
    Thinned(Thinned),
}

impl Recording {
    /// What has to be known of it; nothing, for most.
    pub fn cautions(&self) -> Vec<Caution> {
        let damaged = self.damage.clone().map(Caution::Damaged);
        let unfinished = (self.unfinished && self.damage.is_none()).then_some(Caution::Unfinished);
        let thinned = (self.thinned != Thinned::default()).then_some(Caution::Thinned(self.thinned));
        damaged.into_iter().chain(unfinished).chain(thinned).collect()
    }

    /// Whether there is a run in it.
    pub fn has_run(&self) -> bool {
        self.events.iter().any(|stamped| matches!(stamped.event, Event::Started(_)))
    }
}

/// Reads a recording.
///
/// # Errors
/// When the file cannot be read, or is no recording from its first line.
pub fn read(path: &Path) -> Result<Recording> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Error::new(format!(
            "{} is a directory; a recording is a .jsonl or .jsonl.gz file",
            path.display()
        )));
    }
    let most =
        file.metadata().map_or(MOST, |m| if m.is_file() { m.len().saturating_mul(RATIO).max(ALWAYS) } else { MOST });
    from(BufReader::with_capacity(64 << 10, file), most.min(MOST))
        .map_err(|what| Error::new(format!("{} is no recording of sandtop's: {what}", path.display())))
}

/// Reads a recording that is to be shown.
///
/// # Errors
/// When it cannot be read, or there is no run in it.
pub fn read_run(path: &Path) -> Result<Recording> {
    let recording = read(path)?;
    let damage = recording.damage.as_ref().map_or(String::new(), |damage| format!(": {damage}"));
    match recording.has_run() {
        true => Ok(recording),
        false => Err(Error::new(format!("{}: {NO_RUN}{damage}", path.display()))),
    }
}

/// Reads a recording from its bytes, compressed or not: its first two bytes tell.
///
/// # Errors
/// What is wrong with the first line.
fn from(mut file: impl BufRead, most: u64) -> std::result::Result<Recording, String> {
    match file.fill_buf().is_ok_and(|bytes| bytes.starts_with(&MAGIC)) {
        true => lines(BufReader::with_capacity(64 << 10, Members::new(file)), most),
        false => lines(file, MOST),
    }
}

/// How the lines go on.
enum Next {
    /// There is one.
    Line,
    /// The file ends.
    End,
    /// The compressed file stops between two lines, as it does wherever it was flushed.
    Stop,
}

fn lines(file: impl BufRead, most: u64) -> std::result::Result<Recording, String> {
    let mut file = file.take(most);
    let mut line = Vec::new();
    let header = match next_line(&mut file, &mut line) {
        Ok(Next::Line) => match format::read_line(&line) {
            Ok(Line::Header(header)) => bounds::header(header),
            Ok(_) => return Err("it does not start with a header".into()),
            Err(what) => return Err(format!("its first line {what}")),
        },
        Ok(Next::End | Next::Stop) => return Err("it is empty".into()),
        Err(what) => return Err(format!("its first line {what}")),
    };
    let (mut kept, mut bounds) = (Kept::default(), Bounds::default());
    let (mut alive, mut at) = (true, Duration::ZERO);
    let (mut damage, mut stopped) = (None, false);
    let (mut unknown, mut bytes) = (0, 0);
    for number in 2.. {
        let read = match next_line(&mut file, &mut line) {
            Ok(Next::Line) => format::read_line(&line),
            Ok(Next::End) => break,
            Ok(Next::Stop) => {
                stopped = true;
                break;
            }
            Err(what) => Err(what),
        };
        bytes += line.len();
        let what = match read {
            _ if unknown > UNKNOWN => format!("is one of more than {UNKNOWN} events that this version does not know"),
            _ if number > SHORT_LINES && bytes < number * SHORTEST_ON_AVERAGE => {
                format!("is one of more than {SHORT_LINES} that say next to nothing")
            }
            Ok(Line::Event(mut stamped)) => {
                at = at.max(stamped.at); // time never goes back
                stamped.at = at;
                bounds.keep(&mut stamped.event);
                alive = lives(alive, &stamped.event);
                kept.push(stamped);
                continue;
            }
            Ok(Line::Unknown) => {
                unknown += 1;
                continue;
            }
            Ok(Line::Header(_)) => "is a second header".into(),
            Err(what) => what,
        };
        damage = Some(Damage { line: number, what });
        break;
    }
    let mut thinned = kept.thinned;
    thinned.left_out += bounds.left_out;
    let unfinished = damage.is_none() && (alive || stopped);
    Ok(Recording { header, events: kept.into_events(), damage, unfinished, thinned })
}

/// Whether a run is going on, or to come, after this.
fn lives(alive: bool, event: &Event) -> bool {
    match event {
        Event::Started(_) => true,
        Event::Ended(_) => false,
        _ => alive,
    }
}

/// Reads the next line, without its end. A last line without an end was cut.
fn next_line(file: &mut io::Take<impl BufRead>, line: &mut Vec<u8>) -> std::result::Result<Next, String> {
    line.clear();
    const TOO_MUCH: &str = "and all after it unpack to more than a recording of this size can hold, and are not read";
    if file.limit() == 0 {
        return Err(TOO_MUCH.into());
    }
    match file.by_ref().take(LONGEST_LINE).read_until(b'\n', line) {
        Ok(0) => Ok(Next::End),
        Ok(_) if line.last() == Some(&b'\n') => {
            line.pop();
            Ok(Next::Line)
        }
        Ok(n) if n as u64 == LONGEST_LINE => Err("has no end".into()),
        Ok(_) if file.limit() == 0 => Err(TOO_MUCH.into()),
        Ok(_) => Err(CUT.into()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && line.is_empty() => Ok(Next::Stop),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(CUT.into()),
        Err(e) if e.get_ref().is_some_and(|e| e.is::<Trailing>()) => Err(format!("is none of it: {e}")),
        Err(e) => Err(format!("cannot be unpacked: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const RECORDED: &str = include_str!("../../tests/data/recording-1.jsonl");

    fn packed(text: &str) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    /// A compressed recording as it is on disk while it is written: flushed, and not ended.
    fn flushed(text: &str) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.flush().unwrap();
        out.get_ref().clone()
    }

    fn said(bytes: &[u8]) -> String {
        let cautions = from(bytes, MOST).unwrap().cautions();
        cautions
            .iter()
            .map(|caution| crate::sentences::Language::English.caution(caution))
            .fold(String::new(), |all, (what, text)| all + what + ": " + &text)
    }

    #[test]
    fn what_ends_between_two_lines_has_no_end_and_is_not_damaged() {
        let lines: Vec<&str> = RECORDED.lines().collect();
        let half = lines[..lines.len() / 2].join("\n") + "\n";
        for bytes in [half.clone().into_bytes(), packed(&half), flushed(&half)] {
            assert_eq!(said(&bytes), "has no end: it is still being written, or sandtop was killed");
        }
        // A run that is over is whole, while the file may still grow.
        assert_eq!(said(RECORDED.as_bytes()) + &said(&packed(RECORDED)), "");
        assert_eq!(said(&flushed(RECORDED)), "has no end: it is still being written, or sandtop was killed");
        let cut = &half[..half.len() - 9];
        for bytes in [cut.as_bytes().to_vec(), packed(cut), flushed(cut)] {
            assert!(
                said(&bytes).starts_with(&format!("is damaged: line {} is cut", lines.len() / 2)),
                "{}",
                said(&bytes)
            );
        }
    }

    #[test]
    fn what_follows_a_compressed_recording_is_said() {
        let next = RECORDED.lines().count() + 1;
        let twice = [packed(RECORDED), packed(RECORDED)].concat();
        assert!(said(&twice).starts_with(&format!("is damaged: line {next} is a second header")), "{}", said(&twice));
        assert_eq!(from(&twice[..], MOST).unwrap().events.len(), next - 2);
        for rest in [&b"garbage"[..], b"g", b"\0\0\0\0\0\0\0\0\0\0\0\0"] {
            let bytes = [&packed(RECORDED)[..], rest].concat();
            assert!(said(&bytes).contains("something else follows the compressed recording"), "{}", said(&bytes));
        }
        // One recording in two members is one recording.
        let (start, rest) = RECORDED.split_at(RECORDED.len() / 2);
        assert_eq!(said(&[packed(start), packed(rest)].concat()), "");
    }

    #[test]
    fn a_small_file_that_unpacks_to_millions_of_lines_is_not_read_to_its_end() {
        let start = RECORDED.lines().take(3).collect::<Vec<_>>().join("\n") + "\n";
        let many = |line: &str, n: usize| start.clone() + &format!("{line}\n").repeat(n);
        let unknown = many("{\"us\":9,\"event\":\"not_known\"}", 300_000);
        assert!(said(&packed(&unknown)).contains("events that this version does not know"));
        let short = many("{\"us\":9,\"event\":{\"resumed\":{\"by\":\"room\"}}}", 1_200_000);
        assert!(said(&packed(&short)).contains("that say next to nothing"), "{}", said(&packed(&short)));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            packed(&many(&format!("{{\"us\":9,\"event\":{{\"x\":\"{}\"}}}}", "A".repeat(1 << 20)), 80)),
        )
        .unwrap();
        let damage = read(file.path()).unwrap().damage.unwrap();
        assert!(damage.what.contains("unpack to more"), "{damage}");
    }

    #[test]
    fn hostile_lines_take_no_more_memory_than_they_may() {
        let header = RECORDED.lines().next().unwrap();
        let start = RECORDED.lines().nth(1).unwrap();
        let words = format!("\"argv\":[{}]", vec!["\"\""; 1_000_000].join(","));
        let (before, rest) = start.split_once("\"argv\":").unwrap();
        let argv = format!("{before}{words}{}", rest.split_once(']').unwrap().1);
        let numbers = format!("{{\"us\":1,\"event\":{{\"not_known\":[{}]}}}}", vec!["1"; 1_000_000].join(","));
        let note = format!("{{\"us\":1,\"event\":{{\"note\":{{\"hint\":{{\"text\":\"{}\"}}}}}}}}", "A".repeat(1 << 20));
        let text = [header, &argv, &numbers, &note, &note, &note].join("\n") + "\n";
        let recording = from(text.as_bytes(), MOST).unwrap();
        assert_eq!((recording.damage.clone(), recording.events.len()), (None, 4));
        let memory: usize = recording.events.iter().map(bounds::memory).sum();
        assert!(memory < 5 << 20, "{memory}");
        let Event::Started(started) = &recording.events[0].event else { panic!("no start") };
        assert!(started.argv.last().is_some_and(|word| word.ends_with("more)")), "what is cut is marked");
    }
}
