//! The connections of scrapers, all in one thread that never waits for one of them.
//!
//! Everything is bounded: how many there are, how long each may take, how much of a request is read, how much waits to be sent. Whoever is slow or
//! silent makes room for whoever comes next. Refuses: to know what is asked or answered.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::http::{self, Request, Response};

/// How many connections there may be; for one more the oldest goes.
const CONNECTIONS: usize = 256;

/// How long a connection may take for its one exchange.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one that was answered may take to hang up.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often one connection is read from or written to before it is the others' turn.
const STEPS: usize = 16;

/// How many bytes of answers may wait to be taken; beyond them whoever waits longest goes.
const WAITING: usize = 16 << 20;

/// When no connection can be taken (no descriptor left), the next try comes after this.
const REST: Duration = Duration::from_millis(200);

/// The listener and its connections, the oldest first.
pub struct Server {
    listener: TcpListener,
    loopback: bool,
    connections: Vec<Connection>,
    resting: Option<Instant>,
}

struct Connection {
    stream: TcpStream,
    until: Instant,
    state: State,
}

enum State {
    /// The request so far.
    Asking(Vec<u8>),
    /// The answer, and how much of it was sent.
    Answering(Vec<u8>, usize),
    /// All was sent. What still comes is read, for closing on unread bytes could take the answer back.
    Leaving,
}

impl Server {
    /// Serves on this listener.
    ///
    /// # Errors
    /// When it cannot be made not to wait.
    pub fn new(listener: TcpListener) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let loopback = listener.local_addr()?.ip().is_loopback();
        Ok(Server { listener, loopback, connections: Vec::new(), resting: None })
    }

    /// Waits until there is something to do, and does it. Anything on `waker` ends the wait.
    ///
    /// # Errors
    /// When nothing can be waited for.
    pub fn turn(&mut self, waker: BorrowedFd<'_>, answer: &mut dyn FnMut(&Request) -> Response) -> io::Result<()> {
        let ready = self.wait(waker)?;
        let now = Instant::now();
        self.resting = self.resting.filter(|until| *until > now);
        let mut ready = ready.into_iter();
        let loopback = self.loopback;
        self.connections.retain_mut(|connection| match ready.next().unwrap_or(false) {
            true => connection.go_on(now, loopback, answer),
            false => connection.until > now,
        });
        self.accept(now, answer);
        self.make_room();
        Ok(())
    }

    /// Which connections something can be done for.
    fn wait(&self, waker: BorrowedFd<'_>) -> io::Result<Vec<bool>> {
        let mut fds = vec![PollFd::new(waker, PollFlags::POLLIN)];
        let listening = if self.resting.is_none() { PollFlags::POLLIN } else { PollFlags::empty() };
        fds.push(PollFd::new(self.listener.as_fd(), listening));
        fds.extend(self.connections.iter().map(|c| PollFd::new(c.stream.as_fd(), c.awaits())));
        let next = self.connections.iter().map(|c| c.until).chain(self.resting).min();
        let timeout = next.map_or(PollTimeout::NONE, |at| {
            let wait = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1); // rounded up: not too early
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds[2..].iter().map(|fd| fd.any().unwrap_or(true)).collect()),
            Err(e) => Err(e.into()),
        }
    }

    fn accept(&mut self, now: Instant, answer: &mut dyn FnMut(&Request) -> Response) {
        for _ in 0..CONNECTIONS {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.resting = Some(now + REST);
                    return;
                }
            };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let mut new = Connection { stream, until: now + PATIENCE, state: State::Asking(Vec::new()) };
            // Its request is most likely there already.
            if new.go_on(now, self.loopback, answer) {
                self.connections.push(new);
            }
            if self.connections.len() > CONNECTIONS {
                self.connections.remove(0);
            }
        }
    }

    /// Ends the oldest answers that are not taken, where they are too many.
    fn make_room(&mut self) {
        let waits = |c: &Connection| if let State::Answering(bytes, _) = &c.state { bytes.len() } else { 0 };
        let mut sum: usize = self.connections.iter().map(waits).sum();
        self.connections.retain(|connection| {
            let goes = sum > WAITING && waits(connection) > 0;
            sum -= if goes { waits(connection) } else { 0 };
            !goes
        });
    }
}

impl Connection {
    fn awaits(&self) -> PollFlags {
        match self.state {
            State::Asking(_) | State::Leaving => PollFlags::POLLIN,
            State::Answering(..) => PollFlags::POLLOUT,
        }
    }

    /// Does what can be done without waiting; whether the connection stays.
    fn go_on(&mut self, now: Instant, loopback: bool, answer: &mut dyn FnMut(&Request) -> Response) -> bool {
        if self.until <= now {
            return false;
        }
        for _ in 0..STEPS {
            match self.step(now, loopback, answer) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn step(&mut self, now: Instant, loopback: bool, answer: &mut dyn FnMut(&Request) -> Response) -> io::Result<()> {
        match &mut self.state {
            State::Asking(head) => {
                receive(&mut self.stream, head)?;
                if let Some(asked) = http::parse(head, loopback) {
                    let head_only = head.starts_with(b"HEAD ");
                    let response = asked.map_or_else(|refused| refused, |request| answer(&request));
                    self.state = State::Answering(response.bytes(head_only), 0);
                }
            }
            State::Answering(bytes, sent) => {
                *sent += self.stream.write(&bytes[*sent..])?;
                if *sent == bytes.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    (self.state, self.until) = (State::Leaving, now + FAREWELL);
                }
            }
            State::Leaving => receive(&mut self.stream, &mut Vec::new())?,
        }
        Ok(())
    }
}

/// Reads some of what came. An end is an error: nobody is there any more.
fn receive(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        n => {
            into.extend_from_slice(&buffer[..n]);
            Ok(())
        }
    }
}
