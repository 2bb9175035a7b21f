//! `--metrics`: what Prometheus asks of a running sandbox, and the document of `run --json` as it is now.
//!
//! A consumer of the events with its own thread and its own fold (`book`), which answers over HTTP (`server`, `http`) in two formats (`text`) with
//! a closed list of families (`families`). Whoever reaches the address can read; nobody can do anything. Refuses: to hold up the supervisor; events
//! that it cannot take are lost and counted, samples first.

mod book;
mod families;
mod http;
mod server;
mod text;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{
    error::{Error, Result, reason},
    event::{Event, Note, Stamped},
    result::{document, json},
    sentences::Language,
    tap::Tap,
};
use book::{Book, Numbered};
use families::Facts;
use http::{PLAIN, Request, Response};
use server::Server;

/// The port that the documentation uses.
pub const PORT: u16 = 9273;

/// How many events may wait to be folded …
const WAITING: usize = 4096;

/// … how many of them before samples are lost, so that there is room for what is told only once …
const SAMPLES_WAITING: usize = 3072;

/// … and how many before the thread is woken for nothing but them. Below, they wait for the next scrape.
const WAKE_AT: usize = 512;

/// Reads the address of `--metrics`: `127.0.0.1:9273`, `[::1]:9273`, `localhost:9273`, or a port alone for loopback.
///
/// # Errors
/// What is accepted.
pub fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    let loopback = |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let parsed = if digits { loopback(port) } else { text.parse().ok() };
    parsed.ok_or_else(|| {
        format!(
            "an address is {PORT} (only this machine can reach it), 127.0.0.1:{PORT}, 0.0.0.0:{PORT} or [::]:{PORT}"
        )
    })
}

/// Where metrics are served: bound before the run, so that a port that is taken costs no run.
#[derive(Clone, Debug)]
pub struct Endpoint {
    listener: Arc<TcpListener>,
    /// Its address, with the port that the kernel chose where none was.
    pub address: SocketAddr,
}

impl Endpoint {
    /// Binds it.
    ///
    /// # Errors
    /// When somebody else has it, or the machine has no such address.
    pub fn bind(address: SocketAddr) -> Result<Endpoint> {
        let bound = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|e| {
            let why = reason(&e);
            Error::new(format!(
                "--metrics: cannot listen on {address}: {why}; give another port, or 0 for any that is free"
            ))
        })?;
        Ok(Endpoint { listener: Arc::new(listener), address })
    }

    /// Starts serving. Where that cannot be, the tap says so.
    pub fn start(&self) -> Box<dyn Tap> {
        match self.serve() {
            Ok(feed) => Box::new(feed),
            Err(e) => Box::new(Unserved(Some(e.to_string()))),
        }
    }

    fn serve(&self) -> Result<Feed> {
        let sys = |what: &'static str| move |e: std::io::Error| Error::sys(what, e);
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let waker = EventFd::from_flags(flags).map_err(|e| Error::sys("make an eventfd", e))?;
        let listener = self.listener.try_clone().map_err(sys("share a listener"))?;
        let server = Server::new(listener).map_err(sys("serve metrics"))?;
        let (to, inbox) = bounded(WAITING);
        let shared = Arc::new(Shared { waker, lost: AtomicU64::new(0), failure: Mutex::new(None) });
        let theirs = shared.clone();
        let work = move || {
            let served = catch_unwind(AssertUnwindSafe(|| serve(server, &inbox, &theirs)));
            let failure = match served {
                Ok(Ok(())) => return,
                Ok(Err(e)) => reason(&e),
                Err(panic) => crate::supervisor::panic_text(&*panic),
            };
            if let Ok(mut told) = theirs.failure.lock() {
                *told = Some(failure);
            }
        };
        let thread = std::thread::Builder::new().name("sandtop-metrics".into()).spawn(work);
        let thread = Some(thread.map_err(sys("start the metrics thread"))?);
        Ok(Feed { to: Some(to), shared, place: 0, peak: None, thread })
    }
}

/// The supervisor's side. Dropping it ends the serving.
struct Feed {
    to: Option<Sender<Numbered>>,
    shared: Arc<Shared>,
    place: u64,
    /// The highest peak of the samples that were lost since the last that was not.
    peak: Option<u64>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    waker: EventFd,
    lost: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Tap for Feed {
    fn take(&mut self, stamped: &Stamped) {
        self.place += 1;
        let Some(to) = &self.to else { return };
        if matches!(stamped.event, Event::Output(_)) {
            return; // it says nothing of memory
        }
        if matches!(stamped.event, Event::Started(_)) {
            self.peak = None; // that was another run's
        }
        let mut stamped = stamped.clone();
        if let Event::Sample(sample) = &mut stamped.event {
            sample.peak = sample.peak.max(self.peak.take());
            if to.len() >= SAMPLES_WAITING {
                self.peak = sample.peak;
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        if to.try_send(Numbered { place: self.place, stamped }).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        // It grows by one at a time: this is passed whenever it is crossed.
        if to.len() == WAKE_AT {
            let _ = self.shared.waker.write(1);
        }
    }

    fn trouble(&mut self) -> Option<Note> {
        let failure = self.shared.failure.lock().ok()?.take()?;
        self.to = None;
        Some(unserved(&failure))
    }

    fn finish(&mut self) -> Option<Note> {
        self.to = None;
        let _ = self.shared.waker.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.trouble()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What stands where no thread could be made.
struct Unserved(Option<String>);

impl Tap for Unserved {
    fn take(&mut self, _: &Stamped) {}

    fn trouble(&mut self) -> Option<Note> {
        self.0.take().map(|why| unserved(&why))
    }
}

fn unserved(why: &str) -> Note {
    Note::Hint { text: Language::English.unserved(why) }
}

/// The thread: until the supervisor hangs up.
fn serve(mut server: Server, inbox: &Receiver<Numbered>, shared: &Shared) -> std::io::Result<()> {
    let mut desk = Desk { book: Book::default(), scrapes: 0, inbox, shared };
    while desk.catch_up() {
        server.turn(shared.waker.as_fd(), &mut |request| desk.answer(request))?;
        let _ = shared.waker.read();
    }
    Ok(())
}

/// What answers.
struct Desk<'a> {
    book: Book,
    scrapes: u64,
    inbox: &'a Receiver<Numbered>,
    shared: &'a Shared,
}

impl Desk<'_> {
    /// Folds what waits; whether more can come.
    fn catch_up(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(numbered) => self.book.fold(&numbered),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        self.catch_up();
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let answer = match request.path.as_str() {
            "/metrics" => {
                self.scrapes += 1;
                let facts = Facts { book: &self.book, lost, scrapes: self.scrapes };
                Response::ok(request.format.content_type(), families::exposition(&facts, request.format))
            }
            "/result.json" => self.result(),
            "/" => Response::ok(PLAIN, INDEX.into()),
            _ => Response::refused("404 Not Found", "There is nothing here but /metrics and /result.json."),
        };
        // With them an answer can be found again in a recording: so many of its events had been seen.
        let header = format!("X-Sandtop-Events: {}\r\nX-Sandtop-Events-Lost: {lost}", self.book.place);
        Response { header, ..answer }
    }

    fn result(&self) -> Response {
        match document(&self.book.session).map(|document| json(&document)) {
            Some(Ok(json)) => Response::ok("application/json", json),
            _ => Response::refused("503 Service Unavailable", "There is no run yet."),
        }
    }
}

/// What there is.
const INDEX: &str = "sandtop: a workload under a memory limit

/metrics      for Prometheus: OpenMetrics, or its own text format, as asked for
/result.json  the document that sandtop run --json writes, as it is now
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_of_this_machine_unless_told_otherwise() {
        for (text, means) in [
            ("9273", "127.0.0.1:9273"),
            (":9273", "127.0.0.1:9273"),
            ("localhost:0", "127.0.0.1:0"),
            ("127.0.0.1:9273", "127.0.0.1:9273"),
            ("[::1]:9273", "[::1]:9273"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            assert_eq!(address(text).map(|a| a.to_string()).as_deref(), Ok(means), "{text}");
        }
        for bad in
            ["", ":", "65536", "-1", "127.0.0.1", "example.org:9273", "::1:9273", "9273 ", "http://127.0.0.1:9273"]
        {
            assert!(address(bad).is_err_and(|said| said.contains("127.0.0.1:9273")), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_lost_counted_and_never_waited_for() {
        // Nobody takes anything here.
        let (to, inbox) = bounded(WAITING);
        let waker = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
        let shared = Arc::new(Shared { waker, lost: AtomicU64::new(0), failure: Mutex::new(None) });
        let mut feed = Feed { to: Some(to), shared: shared.clone(), place: 0, peak: None, thread: None };
        let sample = |peak| Event::Sample(crate::event::Sample { peak: Some(peak), ..Default::default() });
        let mut take = |event| feed.take(&Stamped { at: std::time::Duration::ZERO, event });
        for n in 0..10_000 {
            take(sample(if n == 9_000 { 77 } else { 1 }));
            take(Event::Output(vec![0; 1000]));
        }
        for _ in 0..2000 {
            take(Event::Note(Note::Thinned { dropped: 1 }));
        }
        assert_eq!(shared.waker.read().ok(), Some(1), "woken once");
        assert_eq!(shared.lost.load(Ordering::Relaxed), (10_000 - 3072) + (2000 - 1024));
        assert_eq!(inbox.len(), WAITING);
        let places: Vec<u64> = inbox.try_iter().map(|numbered| numbered.place).collect();
        assert_eq!((places[0], places[1], places[3072]), (1, 3, 20_001));
        take(sample(2));
        let Event::Sample(next) = inbox.try_recv().unwrap().stamped.event else { panic!("no sample") };
        assert_eq!(next.peak, Some(77), "no peak is lost");
    }
}
