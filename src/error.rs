//! The error type: what was being done, to which file, why it failed, and what would help.
//!
//! Refuses: an error without its path, and a bare errno in front of a user.

use std::{fmt, io, path::Path};

/// What went wrong, as sentences for the user.
#[derive(Debug)]
pub struct Error {
    message: String,
    remedy: Option<String>,
    errno: Option<i32>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit code for "sandtop itself failed", bad usage included (as `timeout`, `env`, docker).
pub const EXIT_FAILED: u8 = 125;

/// The exit code of a run that passed and used more than `--budget` allows.
pub const EXIT_OVER_BUDGET: u8 = 123;

impl Error {
    /// An error told in one sentence.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), remedy: None, errno: None }
    }

    /// A failed system call: `verb` and `path` say what was tried.
    pub fn io(verb: &str, path: &Path, cause: impl Into<io::Error>) -> Error {
        let cause = cause.into();
        let errno = cause.raw_os_error();
        Error { errno, ..Error::new(format!("cannot {verb} {}: {}", path.display(), reason(&cause))) }
    }

    /// A failed system call that concerns no file.
    pub fn sys(verb: &str, cause: impl Into<io::Error>) -> Error {
        let cause = cause.into();
        let errno = cause.raw_os_error();
        Error { errno, ..Error::new(format!("cannot {verb}: {}", reason(&cause))) }
    }

    /// A panic of our own, or something that cannot be.
    pub fn bug(text: &str) -> Error {
        Error::new(format!("internal error: {text}")).remedy("this is a bug in sandtop")
    }

    /// Adds what the user can do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Error {
        self.remedy = Some(remedy.into());
        self
    }

    /// The sentence, and what would help, apart.
    pub fn parts(&self) -> (&str, Option<&str>) {
        (&self.message, self.remedy.as_deref())
    }

    /// Whether the system call failed with this errno.
    pub fn is(&self, errno: nix::errno::Errno) -> bool {
        self.errno == Some(errno as i32)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// An error's own words, without the `(os error 2)` that says nothing to a user.
pub fn reason(cause: &io::Error) -> String {
    match cause.raw_os_error() {
        Some(errno) => errno_text(errno),
        None => cause.to_string(),
    }
}

/// A text that somebody else chose, made safe for a terminal and for one line.
pub fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// What an errno says, in the C library's words.
pub fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// Panics, in a debug build, where the environment asks for it by this place's name: the tests' way to see what a bug of ours would leave behind.
pub fn panic_if_asked(place: &str) {
    if cfg!(debug_assertions) && std::env::var("SANDTOP_PANIC").is_ok_and(|asked| asked == place) {
        panic!("asked to panic in the {place}");
    }
}
