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

use crate::error::{Error, Result};

/// One read, and so one output event, is at most this long, in bytes.
const READ: usize = 64 * 1024;

/// What is typed ahead of a workload that does not read is kept up to this, in bytes.
const TYPED_AHEAD: usize = 64 * 1024;

/// Our end of the terminal, and (until the run is over) the workload's.
pub struct Terminal {
    ours: OwnedFd,
    theirs: Option<OwnedFd>,
    typed: VecDeque<u8>,
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
        let terminal = Terminal { ours, theirs: Some(theirs), typed: VecDeque::new(), buffer: vec![0; READ] };
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

    /// Types; what the workload does not take now waits. Whether something waits.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let room = TYPED_AHEAD - self.typed.len().min(TYPED_AHEAD);
        self.typed.extend(&bytes[..bytes.len().min(room)]);
        while !self.typed.is_empty() {
            let (first, _) = self.typed.as_slices();
            match rustix::io::write(&self.ours, first) {
                Ok(n) if n > 0 => drop(self.typed.drain(..n)),
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        !self.typed.is_empty()
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
