//! Kernel files: read, write and take apart, with the path in every error.
//!
//! Files that are read at every sample are kept open: a `pread` of a kept descriptor costs a tenth of open, read and close.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// A kernel file that stays open.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    file: File,
}

impl Kept {
    /// Opens a file for reading.
    pub fn open(dir: &Path, name: &str) -> Result<Kept> {
        Kept::with(dir, name, OpenOptions::new().read(true))
    }

    /// Opens a file for reading and writing.
    pub fn open_rw(dir: &Path, name: &str) -> Result<Kept> {
        Kept::with(dir, name, OpenOptions::new().read(true).write(true))
    }

    /// Opens a file for writing. A plain user may write to more files of a group of his than he may open for both.
    pub fn open_w(dir: &Path, name: &str) -> Result<Kept> {
        Kept::with(dir, name, OpenOptions::new().write(true))
    }

    fn with(dir: &Path, name: &str, options: &OpenOptions) -> Result<Kept> {
        let path = dir.join(name);
        let file = options.open(&path).map_err(|e| Error::io("open", &path, e))?;
        Ok(Kept { path, file })
    }

    /// Reads the whole file into `buffer` and gives it as text.
    pub fn text<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a str> {
        let n = self.file.read_at(buffer, 0).map_err(|e| Error::io("read", &self.path, e))?;
        std::str::from_utf8(&buffer[..n]).map_err(|_| Error::new(format!("{} is not text", self.path.display())))
    }

    /// Reads a file that holds one number.
    pub fn number(&self) -> Result<u64> {
        let mut buffer = [0; 32];
        let text = self.text(&mut buffer)?;
        text.trim().parse().map_err(|_| unexpected(&self.path, text))
    }

    /// Reads one number out of a file of `key value` lines.
    pub fn keyed(&self, key: &str) -> Result<u64> {
        let mut buffer = [0; 256];
        let text = self.text(&mut buffer)?;
        value_of(text, key).ok_or_else(|| unexpected(&self.path, text))
    }

    /// Writes a value, in one write from the start of the file. One that a signal breaks off is not begun again: `EINTR`.
    pub fn write(&self, value: &str) -> Result<()> {
        let written = self.file.write_at(value.as_bytes(), 0); // the kernel takes all of it, or nothing
        written.map(drop).map_err(|e| Error::io(&format!("write {value} to"), &self.path, e))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// A file that says something else than every kernel known to us.
pub fn unexpected(path: &Path, text: &str) -> Error {
    Error::new(format!("{} says {:?}, which sandtop does not understand", path.display(), text.trim()))
}

/// The number after `key` in `key value` lines. Unknown lines are passed over.
pub fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// What reclaim can take without swap, given what the two lists of file pages hold; `None` where that is all of the file cache, but for what the
/// kernel's batches keep back (31 pages a CPU: `FOLIO_BATCH_SIZE`, include/linux/folio_batch.h).
pub fn evictable(lists: [Option<u64>; 2], file: u64) -> Option<u64> {
    const BATCHED: u64 = 256 * 1024;
    let [active, inactive] = lists;
    let listed = active?.saturating_add(inactive?);
    (listed.abs_diff(file) > BATCHED).then_some(listed)
}

/// How many pages came back soon after they were reclaimed (`workingset_refault_*` in `memory.stat`). Kernels before 5.9 have one sum of
/// anonymous and file pages.
pub fn refaults(text: &str, prefix: &str) -> Option<u64> {
    let get = |key: &str| value_of(text, &format!("{prefix}workingset_refault{key}"));
    let parts = ["_file", "_anon"].map(get);
    parts.into_iter().flatten().reduce(u64::saturating_add).or_else(|| get(""))
}

/// Writes a value to a file that is not kept open. A write that a signal breaks off is not begun again: `EINTR`.
pub fn write(path: &Path, value: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_CLOEXEC)
        .open(path)
        .and_then(|mut file| file.write(value.as_bytes()).map(drop))
        .map_err(|e| Error::io(&format!("write {value} to"), path, e))
}

/// Reads a file that is not kept open.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))
}

/// Makes a directory; one that is there already is an error only to the caller who says so.
pub fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(|e| Error::io("make", path, e))
}

/// Removes a group's directory; one that is gone already is fine.
pub fn remove_dir(path: &Path) -> Result<()> {
    match std::fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// The directories below `dir`, itself first, parents before children. What vanishes meanwhile is left out.
///
/// A directory has two links and one for every directory in it: those without any are not read, since reading a group's directory makes the
/// kernel build an inode for each of its fifty files.
pub fn groups_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_path_buf()];
    let mut next = 0;
    while next < found.len() {
        if std::fs::metadata(&found[next]).is_ok_and(|m| m.nlink() == 2) {
            next += 1;
            continue;
        }
        if let Ok(entries) = std::fs::read_dir(&found[next]) {
            let dirs = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            let mut dirs: Vec<PathBuf> = dirs.map(|e| e.path()).collect();
            dirs.sort();
            found.append(&mut dirs);
        }
        next += 1;
    }
    found
}

/// Reads the pids of a `cgroup.procs` into `pids`. Opened anew each time on purpose: on v1 a kept descriptor goes on
/// showing the list of its first read (`cgroup_pidlist_start` in kernel/cgroup/cgroup-v1.c).
pub fn pids(dir: &Path, pids: &mut Vec<i32>) -> Result<()> {
    let text = read(&dir.join("cgroup.procs"))?;
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    Ok(())
}
