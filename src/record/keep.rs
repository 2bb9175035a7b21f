//! Where the last runs are kept: `$XDG_STATE_HOME/sandtop`, one file per run, `last.jsonl.gz` a link to the newest.
//!
//! Bounded: the newest ten runs, and 64 MiB. Under sudo all of it is the caller's. Refuses: to remove anything that is not a run of ours.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    error::{Error, Result},
    files::{self, Owner},
};

/// How many runs are kept …
const RUNS: usize = 10;

/// … and how many bytes of them.
const BYTES: u64 = 64 << 20;

/// The link to the newest.
pub const LAST: &str = "last.jsonl.gz";

/// The directory; `None` where nobody has a home.
pub fn dir() -> Option<PathBuf> {
    let caller = crate::resolve::sudo_user();
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    // A home that is not there is not made: nobody would look for anything in it.
    let home = |home: PathBuf| home.is_dir().then(|| home.join(".local/state"));
    let state = match caller {
        Some(user) => home(user.home), // the variables are root's
        None => absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").and_then(home)),
    };
    state.map(|dir| dir.join("sandtop"))
}

/// The newest of the kept runs, or, from 2 on, one before it.
///
/// # Errors
/// When there is none.
pub fn last(number: u32) -> Result<PathBuf> {
    let none = || Error::new("no run was kept yet; a run is kept when it starts, unless --no-keep is given");
    let dir = dir().ok_or_else(none)?;
    let path = dir.join(LAST);
    if !path.exists() {
        return Err(none());
    }
    match number {
        0 | 1 => Ok(path),
        _ => nth(&dir, number as usize),
    }
}

fn nth(dir: &Path, number: usize) -> Result<PathBuf> {
    let runs = kept(dir);
    let run = runs.get(number - 1).ok_or_else(|| {
        let which = if runs.len() == 1 { "only --last".into() } else { format!("--last to --last={}", runs.len()) };
        Error::new(format!("--last={number}: so many runs are not kept in {}; there is {which}", dir.display()))
    })?;
    Ok(dir.join(&run.0))
}

/// The kept runs, the newest first, and their sizes in bytes.
fn kept(dir: &Path) -> Vec<(String, u64)> {
    let mut runs: Vec<(String, u64)> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
        .filter_map(|e| Some((e.file_name().into_string().ok()?, e.metadata().ok()?.len())))
        .filter(|(name, _)| is_run(name))
        .collect();
    // The names start with the time.
    runs.sort_by_key(|(name, _)| std::cmp::Reverse(wall_of(name)));
    runs
}

/// Makes the file for a run that starts now, has `last` point to it, and removes what is too much.
///
/// # Errors
/// When it cannot be made.
pub fn file_for(dir: &Path, wall_ms: u64) -> Result<(PathBuf, File)> {
    let owner = Owner::new();
    let missing: Vec<&Path> = dir.ancestors().take_while(|d| !d.exists()).collect();
    fs::create_dir_all(dir).map_err(|e| Error::io("make", dir, e))?;
    missing.into_iter().for_each(|made| owner.hand_over(made));
    let name = format!("{wall_ms}-{}.jsonl.gz", std::process::id());
    let path = dir.join(&name);
    let file = files::open(&path, false, 0o600)?;
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive); // held until the run is over: see `prune`
    // A link of the same name is replaced at once: whoever looks finds the old run or the new one.
    let link = dir.join(format!(".last-{}", std::process::id()));
    let _ = fs::remove_file(&link);
    if symlink(&name, &link).is_ok() {
        owner.hand_over(&link);
        let _ = fs::rename(&link, dir.join(LAST));
    }
    prune(dir, &name);
    Ok((path, file))
}

/// Makes a file for a recording that was asked for, which only its owner can read. A recording is replaced, another file is not.
///
/// # Errors
/// When it cannot be made, or is no recording.
pub fn create(path: &Path) -> Result<File> {
    if path == Path::new("-") {
        return Err(Error::new(
            "--record: - would be standard output, which is the command's; give it a file (./- is one of that name)",
        ));
    }
    if is_something_else(path) {
        return Err(Error::new(format!("--record: {} is there, and is no recording", path.display()))
            .remedy("it would be overwritten: give another name, or remove it first"));
    }
    let file = files::open(path, false, 0o600)?;
    if file.metadata().is_ok_and(|about| about.is_file()) {
        let _ = file.set_permissions(Permissions::from_mode(0o600)); // it may have been there before
    }
    Ok(file)
}

/// Whether there is a file, not empty, that does not begin like a recording.
fn is_something_else(path: &Path) -> bool {
    if !path.metadata().is_ok_and(|about| about.is_file()) {
        return false;
    }
    let mut start = [0; 12];
    let Ok(n) = File::open(path).and_then(|file| file.read_at(&mut start, 0)) else { return false };
    n > 0 && !start.starts_with(&[0x1f, 0x8b]) && !start.starts_with(br#"{"recording""#)
}

/// Removes the oldest runs, but none that is still going on: its recorder holds a lock.
fn prune(dir: &Path, newest: &str) {
    let mut sum = 0;
    for (n, (name, size)) in kept(dir).iter().enumerate() {
        sum += size;
        let goes_on = || File::open(dir.join(name)).is_ok_and(|file| flock(&file, FREE).is_err());
        if (n >= RUNS || sum > BYTES) && name != newest && !goes_on() {
            let _ = fs::remove_file(dir.join(name));
        }
    }
}

/// What succeeds on a file that nobody locked.
const FREE: FlockOperation = FlockOperation::NonBlockingLockExclusive;

fn is_run(name: &str) -> bool {
    let Some((wall, pid)) = name.strip_suffix(".jsonl.gz").and_then(|rest| rest.split_once('-')) else { return false };
    [wall, pid].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn wall_of(name: &str) -> u64 {
    name.split('-').next().and_then(|wall| wall.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_runs_are_kept_the_link_points_to_the_newest_and_strangers_stay() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state/sandtop");
        for n in 1..=15 {
            file_for(&dir, 1000 + n).unwrap();
            fs::write(dir.join("notes.txt"), "mine").unwrap();
        }
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(&dir).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names().iter().filter(|n| is_run(n)).count(), RUNS);
        assert!(names().contains(&"notes.txt".to_string()));
        assert!(fs::read_link(dir.join(LAST)).unwrap().to_str().unwrap().starts_with("1015-"));
        assert_eq!(fs::metadata(dir.join(LAST)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(nth(&dir, 3).unwrap().file_name().unwrap().to_str().unwrap().starts_with("1013-"));
        assert!(nth(&dir, 11).unwrap_err().to_string().contains("--last to --last=10"));
    }

    #[test]
    fn a_run_that_goes_on_is_not_pushed_out() {
        let home = tempfile::tempdir().unwrap();
        let (long, file) = file_for(home.path(), 1).unwrap();
        for n in 2..=20 {
            file_for(home.path(), n).unwrap();
        }
        assert!(long.exists());
        drop(file);
        file_for(home.path(), 21).unwrap();
        assert!(!long.exists(), "it is over, and the oldest");
    }

    #[test]
    fn only_a_recording_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("make");
        fs::write(&path, "all: x").unwrap();
        assert!(create(&path).is_err_and(|e| e.to_string().contains("is no recording")));
        assert_eq!(fs::read_to_string(&path).unwrap(), "all: x");
        for old in ["", "{\"recording\":{}}\n"] {
            fs::write(&path, old).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            let file = create(&path).unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(create(Path::new("-")).is_err_and(|e| e.to_string().contains("./-")));
    }

    #[test]
    fn many_bytes_push_out_the_old_ones() {
        let home = tempfile::tempdir().unwrap();
        for n in 1..=4 {
            let (_, file) = file_for(home.path(), n).unwrap();
            file.set_len(BYTES / 2 + 1).unwrap();
        }
        let (path, _) = file_for(home.path(), 5).unwrap();
        let runs = fs::read_dir(home.path()).unwrap().flatten().filter(|e| is_run(&e.file_name().to_string_lossy()));
        assert_eq!(runs.count(), 2, "the new one, and one of the old");
        assert!(path.exists());
    }
}
