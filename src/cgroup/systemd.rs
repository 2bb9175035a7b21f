//! Asks systemd for a scope of our own: a group that systemd makes, hands over and leaves alone (`Delegate=yes`), and removes when we are gone.
//!
//! One method call over systemd's own socket. The D-Bus crates bring an asynchronous runtime for it, and `systemd-run` would have to start
//! sandtop anew and cannot say in a way that we could tell on why it failed. The wire format is the D-Bus specification's ("Message Protocol").
//!
//! Refuses: any other unit, and any other call.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::place::Scope;
use crate::error::{Error, Result};

/// How long systemd may take to answer, and then to move us.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The machine's, for root.
    System,
    /// This user's own.
    User(u32),
}

/// A socket on which a manager listens: its own, where it is the only peer, or a message bus's.
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    bus: bool,
}

impl Manager {
    /// The sockets that are there, best first: the manager's own needs no message bus.
    fn sockets(self) -> Vec<Socket> {
        let (private, bus) = match self {
            Manager::System => (PathBuf::from("/run/systemd/private"), PathBuf::from("/run/dbus/system_bus_socket")),
            Manager::User(uid) => {
                let dir = runtime_dir(uid);
                (dir.join("systemd/private"), dir.join("bus"))
            }
        };
        let all = [Socket { path: private, bus: false }, Socket { path: bus, bus: true }];
        all.into_iter().filter(|socket| socket.path.exists()).collect()
    }

    /// Whether there is one to talk to.
    pub fn listens(self) -> bool {
        self.first_socket().is_some()
    }

    /// The socket that is tried first.
    pub fn first_socket(self) -> Option<PathBuf> {
        self.sockets().into_iter().next().map(|socket| socket.path)
    }
}

/// Where the user manager's sockets are; also in a shell that was not told (`su`).
fn runtime_dir(uid: u32) -> PathBuf {
    let told =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.join("systemd/private").exists());
    told.unwrap_or_else(|| format!("/run/user/{uid}").into())
}

/// Has systemd move this process into a scope of this name, and waits until it is there.
///
/// # Errors
/// When no socket takes us, or systemd refuses; in its words.
pub fn enter_scope(manager: Manager, unit: &str, wanted: &Scope, there: impl Fn() -> bool) -> Result<()> {
    let mut refused = Error::new("there is no systemd to ask");
    for socket in manager.sockets() {
        match start_scope(&socket, unit, wanted) {
            Ok(()) => {
                let since = Instant::now();
                while !there() {
                    if since.elapsed() > PATIENCE {
                        return Err(Error::new(format!("systemd made {unit}, and did not move sandtop into it")));
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                return Ok(());
            }
            Err(e) => refused = e,
        }
    }
    Err(refused)
}

fn start_scope(socket: &Socket, unit: &str, wanted: &Scope) -> Result<()> {
    let fail = |e: io::Error| Error::io("talk to systemd at", &socket.path, e);
    let mut stream = UnixStream::connect(&socket.path).map_err(fail)?;
    stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).map_err(fail)?;
    let said = || -> io::Result<Option<String>> {
        authenticate(&mut stream)?;
        if socket.bus {
            call(&mut stream, 1, &HELLO, &Body::default())?;
        }
        call(&mut stream, 2, &START, &scope(unit, wanted))
    };
    match { said }() {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => Err(Error::new(format!("systemd refused a scope: {refusal}"))),
        Err(e) => Err(fail(e)),
    }
}

/// By our uid, which the kernel tells the other end (D-Bus specification, "EXTERNAL").
fn authenticate(stream: &mut UnixStream) -> io::Result<()> {
    let uid: String = rustix::process::geteuid().as_raw().to_string().bytes().map(|b| format!("{b:02x}")).collect();
    stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n") && answer.len() < 512 {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"OK ") {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    stream.write_all(b"BEGIN\r\n")
}

/// Whom to call, and how.
struct Method {
    destination: &'static str,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
    signature: &'static str,
}

const HELLO: Method = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
    signature: "",
};

const START: Method = Method {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "StartTransientUnit",
    signature: "ssa(sv)a(sa(sv))",
};

/// A message under way of being written, little-endian; every value starts at a multiple of its size.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, n: u32) {
        self.align(4);
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn long(&mut self, n: u64) {
        self.align(8);
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    /// An array of what `write` writes, whose elements start at multiples of `each`.
    fn array(&mut self, each: usize, write: impl FnOnce(&mut Body)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(each);
        let start = self.0.len();
        write(self);
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// A property: its name, and a value of this signature.
    fn property(&mut self, name: &str, signature: &str, write: impl FnOnce(&mut Body)) {
        self.align(8);
        self.string(name);
        self.signature(signature);
        write(self);
    }
}

/// The arguments of `StartTransientUnit`: this process in a scope of its own, handed over, forgotten when it is over.
fn scope(unit: &str, wanted: &Scope) -> Body {
    let mut body = Body::default();
    body.string(unit);
    body.string("fail");
    body.array(8, |b| {
        b.property("Description", "s", |b| b.string("sandtop and its sandbox"));
        b.property("Delegate", "b", |b| b.number(1));
        b.property("CollectMode", "s", |b| b.string("inactive-or-failed"));
        if let Some(slice) = &wanted.slice {
            b.property("Slice", "s", |b| b.string(slice));
        }
        if let Some(tasks) = wanted.tasks {
            b.property("TasksMax", "t", |b| b.long(tasks));
        }
        // 0 is whoever calls: the kernel tells systemd who that is. A number of ours would be somebody else's where we see other pids than systemd.
        b.property("PIDs", "au", |b| b.array(4, |b| b.number(0)));
    });
    body.array(8, |_| {});
    body
}

fn message(serial: u32, method: &Method, body: &Body) -> Vec<u8> {
    let mut message = Body(vec![b'l', 1, 0, 1]); // little-endian, a method call, no flags, version 1
    message.number(body.0.len() as u32);
    message.number(serial);
    message.array(8, |m| {
        for (code, signature, text) in [
            (1, "o", method.path),
            (2, "s", method.interface),
            (3, "s", method.member),
            (6, "s", method.destination),
            (8, "g", method.signature),
        ] {
            m.align(8);
            m.0.push(code);
            m.signature(signature);
            if signature == "g" { m.signature(text) } else { m.string(text) }
        }
    });
    message.align(8);
    message.0.extend_from_slice(&body.0);
    message.0
}

/// Calls and waits for the answer; an error's text is an answer, too.
fn call(stream: &mut UnixStream, serial: u32, method: &Method, body: &Body) -> io::Result<Option<String>> {
    stream.write_all(&message(serial, method, body))?;
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (body, fields) = (number(4), number(12));
        if head[0] != b'l' || body.max(fields) > 1 << 20 {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        stream.read_exact(&mut rest)?;
        // Signals come in between on a bus; only one call is ever under way, so that the next answer is ours.
        match head[1] {
            2 => return Ok(None),
            3 => return Ok(Some(error_text(&rest[fields.next_multiple_of(8)..]))),
            _ => {}
        }
    }
}

/// An error's body is its text, as a string.
fn error_text(body: &[u8]) -> String {
    let length = body.get(..4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let text = body.get(4..).and_then(|rest| rest.get(..length)).unwrap_or_default();
    crate::error::printable(&String::from_utf8_lossy(text))
}

/// The name of our scope, and whether a group is one.
pub fn unit_name(owner: &super::name::Owner) -> String {
    format!("sandtop-{}-{}.scope", owner.pid, owner.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_laid_out_as_the_specification_says() {
        let hello = message(1, &HELLO, &Body::default());
        assert_eq!(&hello[..8], [b'l', 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(hello.len() % 8, 0);
        // The first field: code 1, signature "o", then the path behind its length at a multiple of 4.
        assert_eq!(&hello[16..24], [1, 1, b'o', 0, 21, 0, 0, 0]);
        assert_eq!(&hello[24..45], b"/org/freedesktop/DBus");
        let body = scope("sandtop-1-2.scope", &Scope::default());
        let start = message(2, &START, &body);
        assert_eq!(u32::from_le_bytes(start[4..8].try_into().unwrap()) as usize, body.0.len());
        assert!(start.ends_with(&body.0));
        // PIDs is an array of one 4-byte number; then the empty array, whose elements would start at a multiple of 8.
        let pids = body.0.windows(4).position(|w| w == *b"PIDs").unwrap() + 4 + 1 + 4; // its end, and the signature "au" in 1 + 2 + 1 bytes
        let value = pids.next_multiple_of(4);
        assert_eq!(body.0[value..value + 8], [4, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(body.0.len() % 8, 0);
    }

    #[test]
    fn an_error_is_told_in_its_own_words_and_a_broken_one_is_none() {
        let body = [&5u32.to_le_bytes()[..], b"no\nno\0"].concat();
        assert_eq!(error_text(&body), "no?no");
        assert_eq!(error_text(&[9, 0]), "");
        assert_eq!(error_text(&[255, 255, 255, 255, 1]), "");
    }
}
