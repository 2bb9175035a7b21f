//! The recorder: a thread of its own behind a bounded queue.
//!
//! A slow disk loses events, which is counted and told; a full one ends the recording, which is told too; neither is felt by the run. What was
//! written a second ago can be read back, whatever happens to sandtop.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flate2::{Compression, write::GzEncoder};

use super::format::{self, Header};
use crate::{
    error::{Error, Result, reason},
    event::{Event, Note, Stamped},
    tap::Tap,
};

/// How many events may wait for the disk …
const WAITING: usize = 16 * 1024;

/// … and how many bytes of workload output in them.
const OUTPUT_WAITING: usize = 2 << 20;

/// Workload output is recorded up to here, in bytes; after that the newest is kept.
const OUTPUT_CAP: usize = 16 << 20;

/// How much of the newest output is kept past the cap, in bytes.
const OUTPUT_NEWEST: usize = 1 << 20;

/// … and in how many pieces: one byte that a program printed alone is an event of its own, which takes some hundred bytes of memory.
const NEWEST_PIECES: usize = 16 * 1024;

/// How long the end waits for a file that takes nothing: a pipe that nobody reads, a network file system that hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was written is out of our hands after this.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Where a recording goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The file; `.gz` at its end compresses it.
    pub path: PathBuf,
}

/// The supervisor's side of the recorder. Dropping it writes what waits and closes the file.
pub struct Recorder {
    /// Boxed: the queue is made whole at the start, and as events lie in it it would be megabytes.
    to: Option<Sender<Box<Stamped>>>,
    shared: Arc<Shared>,
    told: bool,
    thread: Option<JoinHandle<()>>,
    /// Hangs up when the thread has ended.
    ended: Receiver<()>,
}

#[derive(Default)]
struct Shared {
    lost: AtomicU64,
    output_waiting: AtomicUsize,
    failure: Mutex<Option<String>>,
    /// Its file, once that is there.
    path: OnceLock<PathBuf>,
}

impl Recorder {
    /// Starts recording to the file that `open` comes to in the recorder's thread: the run does not wait for that. It is told as lost where it fails.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(open: impl FnOnce() -> Result<(PathBuf, File)> + Send + 'static, header: Header) -> Result<Recorder> {
        let (to, inbox) = bounded(WAITING);
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let (alive, ended) = bounded::<()>(0);
        let work = move || {
            let _alive = alive;
            crate::files::limits_are_errors();
            let written = open().map_err(|e| e.to_string()).and_then(|(path, file)| {
                let path = theirs.path.get_or_init(|| path);
                write_all(&inbox, file, path, &header, &theirs)
                    .map_err(|e| format!("cannot write {}: {}", path.display(), reason(&e)))
            });
            if let (Err(why), Ok(mut failure)) = (written, theirs.failure.lock()) {
                *failure = Some(why);
            }
        };
        let thread = std::thread::Builder::new().name("sandtop-record".into()).spawn(work);
        let thread = Some(thread.map_err(|e| Error::sys("start the recorder's thread", e))?);
        Ok(Recorder { to: Some(to), shared, told: false, thread, ended })
    }
}

impl Tap for Recorder {
    fn take(&mut self, stamped: &Stamped) {
        let Some(to) = &self.to else { return };
        let output = if let Event::Output(bytes) = &stamped.event { bytes.len() } else { 0 };
        let waiting = self.shared.output_waiting.fetch_add(output, Ordering::Relaxed);
        if (output > 0 && waiting > OUTPUT_WAITING) || to.try_send(Box::new(stamped.clone())).is_err() {
            self.shared.output_waiting.fetch_sub(output, Ordering::Relaxed); // what is lost waits for nothing
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn trouble(&mut self) -> Option<Note> {
        let reason = self.shared.failure.lock().ok()?.clone().filter(|_| !self.told)?;
        self.told = true;
        Some(Note::RecordingLost { reason })
    }

    /// Writes what waits, and closes the file. One that takes nothing is left.
    fn finish(&mut self) -> Option<Note> {
        self.to = None;
        let thread = self.thread.take()?;
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            self.told = true;
            let path = self.shared.path.get().map_or("the recording".into(), |path| path.display().to_string());
            let reason = format!("{path} took nothing for {} s: its end is missing", PATIENCE.as_secs());
            return Some(Note::RecordingLost { reason });
        }
        let _ = thread.join();
        self.trouble()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The file behind its compression, if it has one.
enum Out {
    Plain(BufWriter<File>),
    Compressed(Box<GzEncoder<File>>),
}

impl Out {
    fn new(file: File, compressed: bool) -> Out {
        match compressed {
            true => Out::Compressed(Box::new(GzEncoder::new(file, Compression::new(5)))),
            false => Out::Plain(BufWriter::new(file)),
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Out::Plain(out) => out.write_all(line),
            Out::Compressed(out) => out.write_all(line),
        }
    }

    /// Everything so far can be read back after this. A file that was removed takes it all, and nobody will ever read it.
    fn flush(&mut self) -> io::Result<()> {
        let file = match self {
            Out::Plain(out) => {
                out.flush()?;
                out.get_ref()
            }
            Out::Compressed(out) => {
                out.flush()?;
                out.get_ref()
            }
        };
        let about = file.metadata()?;
        if about.is_file() && about.nlink() == 0 {
            return Err(io::Error::other("the file was removed"));
        }
        Ok(())
    }

    fn close(mut self) -> io::Result<()> {
        self.flush()?;
        match self {
            Out::Plain(_) => Ok(()),
            Out::Compressed(out) => out.finish().map(drop),
        }
    }
}

/// The thread: until the supervisor hangs up.
fn write_all(
    inbox: &Receiver<Box<Stamped>>,
    file: File,
    path: &std::path::Path,
    header: &Header,
    shared: &Shared,
) -> io::Result<()> {
    let mut out = Out::new(file, path.extension().is_some_and(|e| e == "gz"));
    let mut output = OutputCap::default();
    out.write(&format::header_line(header))?;
    out.flush()?;
    let mut flushed = Instant::now();
    let mut dirty = false;
    loop {
        let wait = if dirty { FLUSH_EVERY.saturating_sub(flushed.elapsed()) } else { Duration::from_secs(1) };
        let taken = inbox.recv_timeout(wait);
        let lost = shared.lost.swap(0, Ordering::Relaxed);
        match taken {
            Ok(stamped) => {
                if lost > 0 {
                    let note = Event::Note(Note::Unrecorded { events: lost });
                    out.write(&format::event_line(&Stamped { at: stamped.at, event: note }))?;
                }
                if let Event::Output(bytes) = &stamped.event {
                    shared.output_waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                }
                if let Some(stamped) = output.pass(*stamped) {
                    out.write(&format::event_line(&stamped))?;
                }
                dirty = true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                for stamped in output.rest() {
                    out.write(&format::event_line(&stamped))?;
                }
                return out.close();
            }
        }
        if dirty && flushed.elapsed() >= FLUSH_EVERY {
            out.flush()?;
            (flushed, dirty) = (Instant::now(), false);
        }
    }
}

/// The cap on workload output: what comes first is written, of what comes later the newest is kept for the end.
#[derive(Default)]
struct OutputCap {
    written: usize,
    newest: VecDeque<Stamped>,
    kept: usize,
    dropped: u64,
}

impl OutputCap {
    fn pass(&mut self, stamped: Stamped) -> Option<Stamped> {
        let Event::Output(bytes) = &stamped.event else { return Some(stamped) };
        if self.written + bytes.len() <= OUTPUT_CAP {
            self.written += bytes.len();
            return Some(stamped);
        }
        self.kept += bytes.len();
        self.newest.push_back(stamped);
        while self.kept > OUTPUT_NEWEST || self.newest.len() > NEWEST_PIECES {
            let Some(Stamped { event: Event::Output(bytes), .. }) = self.newest.pop_front() else { break };
            self.kept -= bytes.len();
            self.dropped += bytes.len() as u64;
        }
        None
    }

    /// The gap, and the newest.
    fn rest(self) -> Vec<Stamped> {
        let Some(at) = self.newest.front().map(|s| s.at) else { return Vec::new() };
        let gap = Stamped { at, event: Event::Note(Note::OutputGap { bytes: self.dropped }) };
        [gap].into_iter().chain(self.newest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_a_stalled_disk_loses_does_not_wait_for_it_for_ever() {
        let (to, inbox) = bounded(2);
        let shared = Arc::new(Shared::default());
        let ended = bounded::<()>(0).1;
        let mut recorder = Recorder { to: Some(to), shared: shared.clone(), told: false, thread: None, ended };
        let piece = Stamped { at: Duration::ZERO, event: Event::Output(vec![b'x'; 64 << 10]) };
        // The disk takes nothing while four times as much is printed as may wait.
        (0..128).for_each(|_| recorder.take(&piece));
        assert_eq!(shared.lost.load(Ordering::Relaxed), 126);
        assert_eq!(shared.output_waiting.load(Ordering::Relaxed), 2 * (64 << 10));
        // It has recovered, and the thread has taken what waited.
        for Stamped { event, .. } in inbox.try_iter().map(|stamped| *stamped) {
            let Event::Output(bytes) = event else { panic!("{event:?}") };
            shared.output_waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        recorder.take(&piece);
        assert_eq!((inbox.len(), shared.lost.load(Ordering::Relaxed)), (1, 126));
    }

    #[test]
    fn past_the_cap_the_newest_output_is_kept_and_the_gap_is_said() {
        let mut cap = OutputCap::default();
        let chunk = |n: u64| Stamped { at: Duration::from_secs(n), event: Event::Output(vec![b'x'; 64 << 10]) };
        let passed = (0..512).filter_map(|n| cap.pass(chunk(n))).count();
        assert_eq!(passed, OUTPUT_CAP / (64 << 10));
        let rest = cap.rest();
        assert_eq!(rest.len(), 1 + OUTPUT_NEWEST / (64 << 10));
        let gap = (512 - passed - OUTPUT_NEWEST / (64 << 10)) * (64 << 10);
        assert_eq!(rest[0].event, Event::Note(Note::OutputGap { bytes: gap as u64 }));
        assert_eq!(rest.last().map(|s| s.at), Some(Duration::from_secs(511)));
    }

    #[test]
    fn a_program_that_prints_a_byte_at_a_time_past_the_cap_keeps_no_event_for_each() {
        let mut cap = OutputCap { written: OUTPUT_CAP, ..OutputCap::default() };
        for n in 0..200_000 {
            assert_eq!(cap.pass(Stamped { at: Duration::from_micros(n), event: Event::Output(vec![b'/']) }), None);
            assert!(cap.newest.len() <= NEWEST_PIECES);
        }
        let rest = cap.rest();
        assert_eq!(rest[0].event, Event::Note(Note::OutputGap { bytes: 200_000 - NEWEST_PIECES as u64 }));
        assert_eq!(rest.last().map(|s| s.at), Some(Duration::from_micros(199_999)));
    }
}
