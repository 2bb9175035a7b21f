//! The workload's own terminal: a pty whose other end the workload leads a session on.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    pty::OpenptFlags,
    termios::{InputModes, OptionalActions, Winsize},
};

use crate::{
    error::{Error, Result},
    event::Note,
    units::size,
};

/// One read, and so one output event, is at most this long, in bytes.
const READ: usize = 64 * 1024;

/// What is typed ahead of a workload that does not read is kept up to this, in bytes; a paste that is longer only where nothing waits before it.
const TYPED_AHEAD: usize = 64 * 1024;

/// Our end of the terminal, and (until the run is over) the workload's.
pub struct Terminal {
    ours: OwnedFd,
    theirs: Option<OwnedFd>,
    typed: VecDeque<u8>,
    /// Whether something was refused since the workload has taken all that was typed.
    refused: bool,
    buffer: Vec<u8>,
}

/// What a read gave.
pub enum Read {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    Closed,
}

impl Terminal {
    /// Opens a terminal of this size. `owner` is the user that the workload runs as: its own terminal must be its own.
    ///
    /// # Errors
    /// When there is no pty to be had.
    pub fn open(rows: u16, cols: u16, owner: Option<(u32, u32)>) -> Result<Terminal> {
        let failed = |e: Errno| Error::sys("open a terminal for the workload (is /dev/pts mounted?)", e);
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).map_err(failed)?;
        rustix::pty::unlockpt(&ours).map_err(failed)?;
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).map_err(failed)?;
        if let Ok(mut modes) = rustix::termios::tcgetattr(&theirs) {
            modes.input_modes |= InputModes::IUTF8; // so that erasing takes whole characters
            let _ = rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes);
        }
        if let Some((uid, gid)) = owner {
            use rustix::fs::{Gid, Uid, fchown};
            fchown(&theirs, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(failed)?;
        }
        let nonblocking = rustix::fs::fcntl_getfl(&ours).map_err(failed)? | rustix::fs::OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(&ours, nonblocking).map_err(failed)?;
        let (typed, buffer) = (VecDeque::new(), vec![0; READ]);
        let terminal = Terminal { ours, theirs: Some(theirs), typed, refused: false, buffer };
        terminal.resize(rows, cols);
        Ok(terminal)
    }

    /// Our end, for the epoll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }

    /// The workload's end. It stays open here until [`Terminal::last_words`]: a terminal that nobody has open reads as closed.
    pub fn workload_end(&self) -> Option<&OwnedFd> {
        self.theirs.as_ref()
    }

    /// Tells the workload its terminal's size (it gets SIGWINCH).
    pub fn resize(&self, rows: u16, cols: u16) {
        let size = Winsize { ws_row: rows.max(1), ws_col: cols.max(1), ws_xpixel: 0, ws_ypixel: 0 };
        let _ = rustix::termios::tcsetwinsize(&self.ours, size);
    }

    /// Reads once.
    pub fn read(&mut self) -> Read {
        match rustix::io::read(&self.ours, &mut self.buffer[..]) {
            Ok(0) => Read::Closed,
            Ok(n) => Read::Bytes(self.buffer[..n].to_vec()),
            Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
            Err(_) => Read::Closed, // EIO: the other end is closed
        }
    }

    /// Types. What the workload does not take now waits, where it fits; else all of it is refused: half a paste would leave a program waiting for
    /// the end of it. What the user is to be told then, once until the workload has taken what waits.
    pub fn write(&mut self, bytes: &[u8]) -> Option<Note> {
        let waits = self.flush();
        if waits && self.typed.len().saturating_add(bytes.len()) > TYPED_AHEAD {
            let (typed, ahead) = (size(bytes.len() as u64), size(self.typed.len() as u64));
            let text =
                format!("what was typed last ({typed}) is left out: the workload has not read the {ahead} before it");
            return (!std::mem::replace(&mut self.refused, true)).then_some(Note::Hint { text });
        }
        self.typed.extend(bytes);
        self.flush();
        None
    }

    /// Types what waits, as far as the workload takes it. Whether something still waits.
    pub fn flush(&mut self) -> bool {
        while !self.typed.is_empty() {
            let (first, _) = self.typed.as_slices();
            match rustix::io::write(&self.ours, first) {
                Ok(n) if n > 0 => drop(self.typed.drain(..n)),
                Err(Errno::INTR) => {}
                _ => return true,
            }
        }
        self.refused = false;
        false
    }

    /// After the run: closes the workload's end and reads what is still in the terminal.
    pub fn last_words(&mut self) -> Vec<Vec<u8>> {
        self.theirs = None;
        let mut words = Vec::new();
        while let Read::Bytes(bytes) = self.read() {
            words.push(bytes);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use rustix::{
        fs::{OFlags, fcntl_setfl},
        io::read,
    };

    use super::*;

    /// A terminal whose workload takes every byte as it comes.
    fn raw() -> Terminal {
        let terminal = Terminal::open(24, 80, None).unwrap();
        let theirs = terminal.workload_end().unwrap();
        let mut modes = rustix::termios::tcgetattr(theirs).unwrap();
        modes.make_raw();
        rustix::termios::tcsetattr(theirs, OptionalActions::Now, &modes).unwrap();
        fcntl_setfl(theirs, OFlags::NONBLOCK).unwrap();
        terminal
    }

    /// What the workload reads when it reads this many bytes.
    fn taken(terminal: &mut Terminal, many: usize) -> Vec<u8> {
        let (mut all, mut buffer, until) = (Vec::new(), [0; 4096], Instant::now() + Duration::from_secs(20));
        while all.len() < many && Instant::now() < until {
            terminal.flush();
            let theirs = terminal.workload_end().unwrap();
            let _ = poll(&mut [PollFd::new(theirs.as_fd(), PollFlags::POLLIN)], PollTimeout::from(1000u16));
            if let Ok(n) = read(theirs, &mut buffer) {
                all.extend_from_slice(&buffer[..n]);
            }
        }
        all
    }

    #[test]
    fn a_paste_arrives_whole_however_long_it_is() {
        let mut terminal = raw();
        let paste = [b"\x1b[200~", &[b'a'; 200 * 1024][..], b"\x1b[201~"].concat();
        assert!(terminal.write(&paste).is_none());
        assert!(taken(&mut terminal, paste.len()) == paste, "the end of the paste is lost");
    }

    #[test]
    fn what_a_workload_that_does_not_read_has_no_room_for_is_refused_whole_and_told_once() {
        let mut terminal = raw();
        let paste = vec![b'a'; 4 * TYPED_AHEAD];
        assert!(terminal.write(&paste).is_none());
        let told = terminal.write(&[b'b'; 70 * 1024]);
        assert!(matches!(&told, Some(Note::Hint { text }) if text.contains("(70K)")), "{told:?}");
        assert!(terminal.write(b"c").is_none(), "told again");
        assert!(taken(&mut terminal, paste.len()) == paste);
        // It reads again: what is typed now follows, and there is nothing in between.
        assert!(terminal.write(b"d").is_none());
        assert_eq!(taken(&mut terminal, 1), b"d");
        assert!(terminal.write(&paste).is_none());
        assert!(terminal.write(b"e").is_some(), "it is another time");
    }
}
