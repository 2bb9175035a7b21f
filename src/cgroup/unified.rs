//! What every group of the v2 hierarchy has, whether the memory controller is there or not: pressure, freeze, and the processes in it.
//!
//! On a hybrid machine memory is on v1, and a twin group in the otherwise empty v2 hierarchy gives what v1 lacks.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{files, files::Kept, name, tree};
use crate::{
    error::Result,
    event::{Abilities, Pressure, Settings},
};

/// A v2 group's common files.
pub struct Unified {
    dir: PathBuf,
    pressure: Option<Kept>,
    events: Option<Kept>,
}

impl Unified {
    /// Opens the files that this kernel has.
    pub fn open(dir: &Path) -> Unified {
        Unified {
            dir: dir.into(),
            // Without PSI (`psi=0`, or not built in) the file is there and cannot be opened or read.
            pressure: Kept::open(dir, "memory.pressure").ok().filter(|file| read_pressure(file).is_some()),
            events: Kept::open(dir, "cgroup.events").ok(),
        }
    }

    /// Time lost to waiting for memory so far.
    pub fn pressure(&self) -> Option<Pressure> {
        read_pressure(self.pressure.as_ref()?)
    }

    /// Stops all processes of the group at once, or lets them go on. Killing works either way.
    ///
    /// # Errors
    /// When this kernel cannot (before 5.2), or the file cannot be written.
    pub fn freeze(&self, on: bool) -> Result<()> {
        files::write(&self.dir.join("cgroup.freeze"), if on { "1" } else { "0" })
    }

    /// Adds what is known here to the settings.
    pub fn describe(&self, settings: &mut Settings) {
        settings.frozen = self.events.as_ref().and_then(|file| file.keyed("frozen").ok()).map(|n| n == 1);
        let can = Abilities {
            freeze: self.dir.join("cgroup.freeze").exists(),
            kill: self.dir.join("cgroup.kill").exists(),
            pressure: self.pressure.is_some(),
            ..settings.can
        };
        settings.can = can;
    }
}

fn read_pressure(file: &Kept) -> Option<Pressure> {
    let mut buffer = [0; 256];
    parse_pressure(file.text(&mut buffer).ok()?)
}

/// Reads `memory.pressure`. Kernels differ in what else they print; what counts are the two totals.
fn parse_pressure(text: &str) -> Option<Pressure> {
    let total = |which: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(which))?;
        line.split(' ').find_map(|part| part.strip_prefix("total=")?.parse().ok())
    };
    Some(Pressure { some_us: total("some")?, full_us: total("full")? })
}

/// A group in the v2 hierarchy of a machine whose memory controller is on v1.
pub struct Twin {
    dir: PathBuf,
    join: Kept,
    /// Its common files, once they are watched.
    unified: Option<Unified>,
}

impl Twin {
    /// Makes a group below our folder in the hierarchy mounted at `root`.
    ///
    /// # Errors
    /// When it cannot be made: the sandbox does without.
    pub fn create(root: &Path, owner: &name::Owner) -> Result<Twin> {
        let dir = tree::make_group(&root.join(name::FOLDER), owner, |_| Ok(()))?;
        match Kept::open_rw(&dir, "cgroup.procs") {
            Ok(join) => Ok(Twin { unified: None, join, dir }),
            Err(e) => {
                let _ = files::remove_dir(&dir);
                Err(e)
            }
        }
    }

    /// Opens what is watched: after the command was let go, which does not wait for it.
    pub fn watch(mut self) -> Twin {
        self.unified = Some(Unified::open(&self.dir));
        self
    }

    /// Its common files.
    pub fn unified(&self) -> Option<&Unified> {
        self.unified.as_ref()
    }

    /// Kills all that is in it at once; whether this kernel can (5.14).
    pub fn kill(&self) -> bool {
        files::write(&self.dir.join("cgroup.kill"), "1").is_ok()
    }

    /// Its `cgroup.procs`.
    pub fn join_file(&self) -> &File {
        self.join.file()
    }

    /// Removes it.
    ///
    /// # Errors
    /// When it stays.
    pub fn remove(&self) -> Result<()> {
        if self.dir.exists() { tree::remove(&self.dir, |_| {}) } else { Ok(()) }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_from_its_totals_and_nothing_else() {
        let text =
            "some avg10=31.43 avg60=6.11 avg300=1.29 total=4964168\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(parse_pressure(text), Some(Pressure { some_us: 4964168, full_us: 7 }));
        for odd in ["", "some\nfull\n", "some total=x\nfull total=1\n", "some avg10=0.00 total=1\n"] {
            assert_eq!(parse_pressure(odd), None, "{odd}");
        }
    }
}
