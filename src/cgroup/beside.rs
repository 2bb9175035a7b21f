//! Groups in the v1 hierarchies beside memory: pids, cpu and freezer, each made only where it is needed, joined before exec, removed with
//! the first.
//!
//! A process can be moved into one later, but only by its pid, which may be another's by then: what was not there at the start is not had.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{files, files::Kept, name, place::own_dir, tree};
use crate::{
    error::{Error, Result},
    mountinfo::Mount,
    units::Quota,
};

/// A v1 controller that a sandbox may need beside memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How many processes there may be.
    Pids,
    /// How much CPU time they get.
    Cpu,
    /// Stopping them all at once. It holds even those that are killed, until they are thawed.
    Freezer,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Pids, Kind::Cpu, Kind::Freezer];

    /// The controller's name in the mount table.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pids => "pids",
            Kind::Cpu => "cpu",
            Kind::Freezer => "freezer",
        }
    }
}

/// Our own groups in such hierarchies: a group elsewhere would leave the limits of ours.
pub fn find(mounts: &[Mount]) -> Vec<(Kind, PathBuf)> {
    let own = |kind: Kind, m: &Mount| own_dir(Some(kind.name()), &m.point, &m.root).unwrap_or_else(|| m.point.clone());
    let place = |kind: Kind| mounts.iter().find(|m| m.controls(kind.name())).map(|m| (kind, own(kind, m)));
    Kind::ALL.into_iter().filter_map(place).collect()
}

/// A group in one of them. Dropping it removes it.
pub struct Beside {
    /// Which.
    pub kind: Kind,
    dir: PathBuf,
    join: Kept,
    /// What holds those back who are to die, for init: a freezer's state, a quota.
    release: Option<Kept>,
}

impl Beside {
    /// Makes a group below our folder in the hierarchy.
    ///
    /// # Errors
    /// When this machine has no such hierarchy, or no group can be made in it.
    pub fn create(places: &[(Kind, PathBuf)], kind: Kind, owner: &name::Owner) -> Result<Beside> {
        let root = places.iter().find(|(k, _)| *k == kind).map(|(_, root)| root);
        let root = root.ok_or_else(|| Error::new(format!("there is no {} controller here", kind.name())))?;
        let dir = tree::make_group(&root.join(name::FOLDER), owner, |_| Ok(()))?;
        let file = match kind {
            Kind::Freezer => Some(FREEZER_STATE),
            Kind::Cpu => Some(CPU_QUOTA),
            Kind::Pids => None,
        };
        let release = file.and_then(|file| Kept::open_rw(&dir, file).ok());
        match Kept::open_rw(&dir, "cgroup.procs") {
            Ok(join) => Ok(Beside { kind, join, dir, release }),
            Err(e) => {
                let _ = files::remove_dir(&dir);
                Err(e)
            }
        }
    }

    /// Its `cgroup.procs`.
    pub fn join_file(&self) -> &File {
        self.join.file()
    }

    /// The open `freezer.state`, of a freezer.
    pub fn freezer_state(&self) -> Option<&File> {
        self.release.as_ref().filter(|_| self.kind == Kind::Freezer).map(Kept::file)
    }

    /// The open quota, of a CPU group.
    pub fn quota(&self) -> Option<&File> {
        self.release.as_ref().filter(|_| self.kind == Kind::Cpu).map(Kept::file)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes it.
    ///
    /// # Errors
    /// When it stays.
    pub fn remove(&self) -> Result<()> {
        if self.dir.exists() { tree::remove(&self.dir, |_| {}) } else { Ok(()) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// The period of a CPU quota in microseconds: the kernel's own, and docker's.
const PERIOD_US: u64 = 100_000;

/// A CPU quota in microseconds per period, `None` for any.
pub fn cpu_quota_us(cpus: Quota) -> Option<u64> {
    cpus.number().map(|thousandths| thousandths.saturating_mul(PERIOD_US) / 1000)
}

/// The same as v2's `cpu.max` takes it, period and all: somebody else may have set another.
pub fn cpu_max(cpus: Quota) -> String {
    let quota = cpu_quota_us(cpus).map_or_else(|| "max".to_string(), |n| n.to_string());
    format!("{quota} {PERIOD_US}")
}

/// Writes how many processes there may be to `pids.max`, the same on v1 and v2.
///
/// # Errors
/// When it is refused.
pub fn write_pids(dir: &Path, most: Quota) -> Result<()> {
    let text = most.number().map_or_else(|| "max".to_string(), |n| n.to_string());
    files::write(&dir.join("pids.max"), &text)
}

/// Writes a CPU quota to a v1 group.
///
/// # Errors
/// When it is refused.
pub fn write_cpu(dir: &Path, cpus: Quota) -> Result<()> {
    files::write(&dir.join("cpu.cfs_period_us"), &PERIOD_US.to_string())?;
    let text = cpu_quota_us(cpus).map_or_else(|| "-1".to_string(), |n| n.to_string());
    files::write(&dir.join(CPU_QUOTA), &text)
}

/// Lifts a v1 group's quota; whether there was one.
pub fn lift_cpu(dir: &Path) -> bool {
    let limited = files::read(&dir.join(CPU_QUOTA)).is_ok_and(|text| !text.starts_with('-'));
    limited && files::write(&dir.join(CPU_QUOTA), "-1").is_ok()
}

/// Reads a v1 group's quota, as v2 prints it.
pub fn read_cpu(dir: &Path) -> Option<String> {
    let read = |name: &str| files::read(&dir.join(name)).ok().map(|text| text.trim().to_string());
    let (quota, period) = (read(CPU_QUOTA)?, read("cpu.cfs_period_us")?);
    Some(if quota.starts_with('-') { format!("max {period}") } else { format!("{quota} {period}") })
}

/// v1's CPU quota.
pub const CPU_QUOTA: &str = "cpu.cfs_quota_us";

/// What a freezer group is, and is to be.
pub const FREEZER_STATE: &str = "freezer.state";

/// The word for letting the processes of a freezer group go on.
pub const THAWED: &str = "THAWED";

/// Stops all processes of a freezer group, or lets them go on. A frozen process cannot be killed until it is thawed.
///
/// # Errors
/// When the file cannot be written.
pub fn freeze(dir: &Path, on: bool) -> Result<()> {
    files::write(&dir.join(FREEZER_STATE), if on { "FROZEN" } else { THAWED })
}

/// Whether all processes of a freezer group are stopped.
pub fn is_frozen(dir: &Path) -> Option<bool> {
    files::read(&dir.join(FREEZER_STATE)).ok().map(|text| text.trim() == "FROZEN")
}
