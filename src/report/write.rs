//! Writes a report so that a full disk never leaves half a file over a good one: beside the file first, then in its place.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    files::{self, Owner},
};

/// Writes a file. One that was there is replaced as a whole, and keeps its mode and its owner; a device or a pipe is written to.
///
/// # Errors
/// When it cannot be written; what was there is as it was, then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: io::Error| Error::io("write", path, e);
    // Through a link to the file itself: the link stays one.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let before = fs::metadata(&place).ok();
    if before.as_ref().is_some_and(|about| !about.is_file()) {
        let mut device = files::open(&place, true, 0o600)?;
        return device.write_all(bytes).map_err(failed);
    }
    let beside = beside(&place).ok_or_else(|| failed(io::Error::from_raw_os_error(nix::libc::EISDIR)))?;
    let done = fill(&beside, bytes, before.as_ref()).and_then(|()| fs::rename(&beside, &place));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done.map_err(failed)?;
    if before.is_none() {
        Owner::new().hand_over(&place);
    }
    Ok(())
}

fn beside(place: &Path) -> Option<PathBuf> {
    let name = place.file_name()?.to_string_lossy();
    let short: String = name.chars().take(40).collect(); // a name has at most 255 bytes
    Some(place.with_file_name(format!(".{short}.sandtop-{}", std::process::id())))
}

fn fill(beside: &Path, bytes: &[u8], before: Option<&fs::Metadata>) -> io::Result<()> {
    let _ = fs::remove_file(beside); // of an earlier process with our pid
    let mut file = File::create_new(beside)?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        let _ = chown(beside, Some(before.uid()), Some(before.gid()));
        file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o7777))?;
    }
    file.sync_all() // some file systems tell only now that there is no room
}
