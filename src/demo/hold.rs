//! A workload that holds an exact mixture of memory: anonymous, shared, file cache that is on the disk as well, and cache that is not yet.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
};

use nix::sys::mman::{MlockAllFlags, mlockall};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{bytes, fill, say};
use crate::error::{Error, Result};

/// What is held.
#[derive(Debug, clap::Args)]
pub struct Mixture {
    /// Anonymous memory
    #[arg(long, value_parser = bytes, default_value = "4K")]
    pub anon: u64,
    /// Shared memory
    #[arg(long, value_parser = bytes)]
    pub shmem: Option<u64>,
    /// File cache that is on the disk as well, of a file without a name in the working directory
    #[arg(long, value_parser = bytes)]
    pub cache: Option<u64>,
    /// File cache that is not on the disk yet, in the same way
    #[arg(long, value_parser = bytes)]
    pub dirty: Option<u64>,
    /// Lock what is mapped into memory
    #[arg(long)]
    pub lock: bool,
}

/// Makes the mixture, says so, and holds it for ever.
///
/// # Errors
/// When a part cannot be made.
pub fn hold(mixture: &Mixture) -> Result<u8> {
    if mixture.lock {
        let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
        mlockall(all).map_err(|e| Error::sys("lock memory", e))?;
    }
    let anon = fill(mixture.anon, None, false);
    let files = files(mixture).map_err(|e| Error::sys("hold memory", e))?;
    say("holding");
    loop {
        std::hint::black_box((&anon, &files));
        std::thread::park();
    }
}

fn files(mixture: &Mixture) -> io::Result<Vec<File>> {
    let mut held = Vec::new();
    if let Some(size) = mixture.shmem {
        held.push(written(memfd_create("held", MemfdFlags::CLOEXEC)?.into(), size)?);
    }
    if let Some(size) = mixture.cache {
        let file = written(nameless(0)?, size)?;
        file.sync_all()?;
        held.push(file);
    }
    if let Some(size) = mixture.dirty {
        held.push(written(nameless(1)?, size)?);
    }
    Ok(held)
}

/// A file of this process alone, that is gone with it.
fn nameless(number: u32) -> io::Result<File> {
    let name = format!(".sandtop-held-{}-{number}", std::process::id());
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&name)?;
    std::fs::remove_file(&name)?;
    Ok(file)
}

fn written(mut file: File, size: u64) -> io::Result<File> {
    let chunk = [1; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let n = left.min(chunk.len() as u64);
        file.write_all(&chunk[..n as usize])?;
        left -= n;
    }
    Ok(file)
}
