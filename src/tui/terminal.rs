//! The user's terminal: taken, and given back on every way out that can be caught.

use std::{
    io::{self, Write, stdout},
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::{
    cursor,
    event::{DisableBracketedPaste, EnableBracketedPaste},
    queue,
    style::Print,
    terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

use crate::{
    error::{Error, Result},
    event::terminal_size,
};

/// Mouse: presses, releases, drags and the wheel (1002), with coordinates of any size (1006). Motion without a button is not asked for: over a slow
/// line it would be a flood.
const MOUSE_ON: &str = "\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l";

/// Whether the mouse is asked for.
static MOUSE: AtomicBool = AtomicBool::new(true);

/// Whether the terminal is ours now; giving it back twice would undo what the shell has done since.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, ours until this is dropped.
pub struct Screen {
    /// What ratatui draws on.
    pub terminal: Terminal<CrosstermBackend<Whole>>,
}

impl Screen {
    /// Takes the terminal, with the mouse if it is to be ours.
    ///
    /// # Errors
    /// When it is none, or is gone.
    pub fn take(mouse: bool) -> Result<Screen> {
        MOUSE.store(mouse, Ordering::SeqCst);
        let failed = |e: io::Error| Error::sys("set up the terminal", e);
        enter().map_err(failed)?;
        // Of a size of our own: ratatui would follow the terminal to any.
        let made = size().and_then(|area| {
            let options = TerminalOptions { viewport: Viewport::Fixed(area) };
            Terminal::with_options(CrosstermBackend::new(Whole::default()), options)
        });
        match made {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(e) => {
                give_back();
                Err(failed(e))
            }
        }
    }

    /// Gives the terminal back, stops this process until the shell brings it back, and takes it again.
    ///
    /// # Errors
    /// When the terminal is gone by then.
    pub fn suspend(&mut self) -> Result<()> {
        give_back();
        // Not SIGTSTP: the kernel drops that in an orphaned process group, and the screen would be lost for nothing.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
        enter().map_err(|e| Error::sys("take the terminal back", e))?;
        self.repaint()
    }

    /// Makes the next frame paint every cell. (`Terminal::clear` of ratatui 0.30 asks the terminal for its cursor and waits for the answer.)
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn repaint(&mut self) -> Result<()> {
        let failed = |e: io::Error| Error::sys("draw", e);
        let area = size().map_err(failed)?;
        queue!(self.terminal.backend_mut(), terminal::Clear(terminal::ClearType::All)).map_err(failed)?;
        self.terminal.resize(area).map_err(failed)
    }
}

/// What a frame that paints every cell begins with: the terminal has forgotten the last one, or is another size.
const CLEAR: &[u8] = b"\x1b[2J";

/// Frames that reach the terminal whole: in one write, and as one update for terminals that know of such (DEC private
/// mode 2026; others ignore it). Half a frame is never seen, nor half a sentence. A frame that says again what the last one said is not written:
/// all in it is absolute, so that it would change nothing.
#[derive(Default)]
pub struct Whole {
    frame: Vec<u8>,
    last: Vec<u8>,
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.frame.is_empty() {
            queue!(self.frame, BeginSynchronizedUpdate)?;
        }
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        // What is given back is not written to. (ratatui 0.30 shows the cursor when it is dropped, and panics where that and stderr are gone.)
        if !TAKEN.load(Ordering::SeqCst) {
            self.frame.clear();
            return Ok(());
        }
        queue!(self.frame, EndSynchronizedUpdate)?;
        let again = self.frame == self.last && !self.frame.windows(CLEAR.len()).any(|bytes| bytes == CLEAR);
        let written = match again {
            true => Ok(()),
            false => stdout().write_all(&self.frame).and_then(|()| stdout().flush()),
        };
        std::mem::swap(&mut self.frame, &mut self.last);
        self.frame.clear();
        written
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// What is drawn on: no more than a screen can be.
fn size() -> io::Result<Rect> {
    let (cols, rows) = terminal::size()?;
    let (rows, cols) = terminal_size(rows, cols);
    Ok(Rect::new(0, 0, cols, rows))
}

fn enter() -> io::Result<()> {
    let mut bytes = Vec::new();
    leave(&mut bytes)?;
    let _ = crate::sandbox::give_terminal_back_on_crash(&TAKEN, bytes); // without it a crash leaves it raw
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut out = stdout();
    let mouse = if MOUSE.load(Ordering::SeqCst) { MOUSE_ON } else { "" };
    queue!(out, EnterAlternateScreen, EnableBracketedPaste, Print(mouse), cursor::Hide)
        .and_then(|()| out.flush())
        .inspect_err(|_| give_back())
}

/// What undoes [`enter`].
fn leave(to: &mut impl Write) -> io::Result<()> {
    queue!(to, EndSynchronizedUpdate, Print(MOUSE_OFF), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show)
}

/// Gives the terminal back while another thread may be stuck in writing to it: past stdout's lock, and without waiting for
/// a terminal that takes nothing.
pub fn wrest_back() {
    use std::os::unix::fs::OpenOptionsExt;
    if TAKEN.swap(false, Ordering::SeqCst) {
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
        if let Ok(mut tty) = std::fs::File::options().write(true).custom_flags(flags).open("/dev/tty") {
            let _ = leave(&mut tty);
        }
        let _ = terminal::disable_raw_mode();
    }
}

/// Gives the terminal back, from any thread, at most once for each time it was taken.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = stdout();
        let _ = leave(&mut out);
        let _ = out.flush();
        let _ = terminal::disable_raw_mode();
    }
}
