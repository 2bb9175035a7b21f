//! Files that are made for the user: under sudo they are the caller's, and what was there before keeps its owner, a device most of all.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, AtFlags},
    sys::signal::{SigSet, Signal},
    unistd::{Gid, Uid, fchownat},
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::error::{Error, Result};

/// Who files that we make belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// The caller under sudo, else ourselves.
    pub fn new() -> Owner {
        let caller = crate::resolve::sudo_user();
        Owner(caller.map(|user| (Uid::from_raw(user.uid), Gid::from_raw(user.gid))))
    }

    /// Hands a file that we made over to its owner.
    pub fn hand_over(self, path: &Path) {
        if let Some((uid, gid)) = self.0 {
            let _ = fchownat(AT_FDCWD, path, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW);
        }
    }
}

impl Default for Owner {
    fn default() -> Owner {
        Owner::new()
    }
}

/// Opens a file to be written, empty or (`appends`) with what is in it. One that is made has this mode, less the umask.
///
/// # Errors
/// When it cannot be made, or not be written.
pub fn open(path: &Path, appends: bool, mode: u32) -> Result<File> {
    let mut options = OpenOptions::new();
    // A pipe that nobody reads is refused at once, instead of waited for without a word.
    options.append(appends).write(true).mode(mode).custom_flags(nix::libc::O_NONBLOCK);
    let file = match options.clone().create_new(true).open(path) {
        Ok(file) => {
            Owner::new().hand_over(path);
            file
        }
        Err(_) => options.create(true).truncate(!appends).open(path).map_err(|e| refused(path, e))?,
    };
    let flags = fcntl_getfl(&file).map_err(|e| Error::io("write", path, e))?;
    fcntl_setfl(&file, flags.difference(OFlags::NONBLOCK)).map_err(|e| Error::io("write", path, e))?;
    Ok(file)
}

fn refused(path: &Path, e: std::io::Error) -> Error {
    match e.raw_os_error() {
        Some(nix::libc::ENXIO) => {
            Error::new(format!("cannot write {}: it is a pipe that nobody reads", path.display()))
        }
        _ => Error::io("write", path, e),
    }
}

/// That there is a standard output. Rust's start-up opens /dev/null in place of one that is closed.
///
/// # Errors
/// When it was closed when sandtop was started.
pub fn stdout_is_open() -> Result<()> {
    match crate::sandbox::stdout_was_closed() {
        true => Err(Error::new("cannot write to standard output: it is closed")),
        false => Ok(()),
    }
}

/// Opens a file to be read. One that is no file (a pipe could be waited for without an end) is refused.
///
/// # Errors
/// When it cannot be read.
pub fn open_to_read(what: &str, path: &Path) -> Result<File> {
    let options = || OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).clone();
    let file = options().open(path).map_err(|e| Error::io(what, path, e))?;
    match file.metadata() {
        Ok(about) if !about.is_file() => Err(Error::new(format!("cannot {what} {}: it is no file", path.display()))),
        _ => Ok(file),
    }
}

/// That no two options name the same file: each would destroy what the other writes. Devices and pipes take what comes.
///
/// # Errors
/// Names both options.
pub fn are_distinct(named: &[(&str, Option<&Path>)]) -> Result<()> {
    let named: Vec<(&str, &Path)> = named.iter().filter_map(|(option, path)| Some((*option, (*path)?))).collect();
    for (n, (option, path)) in named.iter().enumerate() {
        if let Some((other, _)) = named[..n].iter().find(|(_, before)| are_one(before, path)) {
            return Err(Error::new(format!(
                "{other} and {option} both name {}; each needs a file of its own",
                path.display()
            )));
        }
    }
    Ok(())
}

fn are_one(a: &Path, b: &Path) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(one), Ok(other)) => one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        // Not there yet: the same name in the same directory.
        (Err(_), Err(_)) => a.file_name() == b.file_name() && directory(a) == directory(b),
        _ => false,
    }
}

fn directory(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().ok()
}

/// A file that grows past RLIMIT_FSIZE is an error like a full disk from now on, and no signal that ends us: in this thread, and in what it starts.
pub fn limits_are_errors() {
    let _ = SigSet::from_iter([Signal::SIGXFSZ]).thread_block();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_options_for_one_file_are_refused_however_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (a, again, b) = (dir.path().join("a"), dir.path().join("./a"), dir.path().join("b"));
        let both =
            |one: &Path, other: &Path| are_distinct(&[("--json", Some(one)), ("-x", None), ("--junit", Some(other))]);
        assert!(both(&a, &b).is_ok());
        assert!(both(&a, &again).is_err_and(|e| e.to_string().starts_with("--json and --junit both name ")));
        std::fs::write(&a, "").unwrap();
        std::os::unix::fs::symlink(&a, &b).unwrap();
        assert!(both(&a, &b).is_err());
        assert!(both(Path::new("/dev/null"), Path::new("/dev/null")).is_ok());
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&path, false, 0o600).is_err_and(|e| e.to_string().contains("nobody reads")));
        assert!(crate::report::write::write(&path, b"x").is_err_and(|e| e.to_string().contains("nobody reads")));
        assert!(open_to_read("read the theme", &path).is_err_and(|e| e.to_string().contains("it is no file")));
    }
}
