//! The memory controller of cgroup v1.
//!
//! On P: limit, usage, limit hits, high-water mark, the OOM eventfd. Over the whole subtree: `oom_kill`, which v1 counts where the
//! victim lived. L mirrors P's limit one charge batch higher, so that programs inside can read it while hits stay on P.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::eventfd::{EfdFlags, EventFd},
};

use super::{Cgroup, Detail, LimitsNow, WriteLimit, files, files::Kept, name};
use crate::{
    error::{Error, Result},
    event::{LimitOutcome, MemoryStat, Sample},
    units::{Limit, kernel_max},
};

/// The kernel charges a group in batches of 64 pages per CPU (`MEMCG_CHARGE_BATCH`, include/linux/memcontrol.h).
const CHARGE_BATCH: u64 = 256 * 1024;

const LEAF: &str = "leaf";

/// A sandbox's group on v1.
pub struct V1 {
    root: PathBuf,
    dir: PathBuf,
    leaf: PathBuf,
    mirror_margin: u64,
    usage: Kept,
    hits: Kept,
    peak: Kept,
    limit: Kept,
    /// L's, which holds every page of P's: where the kernel gathers its per-CPU counts upwards, a reader of the upper group can be left with old
    /// numbers for up to two seconds (seen on 6.18: 29 MiB shown of 89; `memcg_rstat_updated` in mm/memcontrol.c stops at a group that is due
    /// already), a reader of the group that is charged cannot.
    stat: Kept,
    kernel: Option<Kept>,
    leaf_limit: Kept,
    leaf_oom: Kept,
    join: Kept,
    oom: Option<EventFd>,
    removed: bool,
    /// `oom_kill` of the groups below L when last seen (P has no tasks): a group's count outlives the group.
    elsewhere: HashMap<PathBuf, u64>,
}

impl V1 {
    /// Makes P and L below `parent` (a directory of the hierarchy mounted at `root`), with this limit and without swap. `ready` is called
    /// with L's `cgroup.procs` as soon as the limit stands, before the files that only watch are opened.
    ///
    /// # Errors
    /// When a step fails; what was made until then is removed again, if nothing runs in it.
    pub fn create(
        root: &Path,
        parent: &Path,
        owner: &name::Owner,
        cpus: u32,
        limit: Limit,
        ready: impl FnOnce(&File),
    ) -> Result<V1> {
        let dir = make_group(&parent.join(name::FOLDER), owner)?;
        let make = || -> Result<V1> {
            prepare(&dir, cpus, limit).map_err(explain_refusal)?;
            let join = Kept::open_rw(&dir.join(LEAF), "cgroup.procs")?;
            ready(join.file());
            V1::open_with(root, &dir, cpus, join)
        };
        make().inspect_err(|_| remove_tree(&dir))
    }

    /// Opens P and L that are there, with all files that a sample needs.
    ///
    /// # Errors
    /// When a file that every v1 kernel has is missing.
    pub fn open(root: &Path, dir: &Path, cpus: u32) -> Result<V1> {
        V1::open_with(root, dir, cpus, Kept::open_rw(&dir.join(LEAF), "cgroup.procs")?)
    }

    fn open_with(root: &Path, dir: &Path, cpus: u32, join: Kept) -> Result<V1> {
        let leaf = dir.join(LEAF);
        Ok(V1 {
            root: root.into(),
            dir: dir.into(),
            mirror_margin: CHARGE_BATCH * u64::from(cpus),
            usage: Kept::open(dir, "memory.usage_in_bytes")?,
            hits: Kept::open(dir, "memory.failcnt")?,
            peak: Kept::open_rw(dir, "memory.max_usage_in_bytes")?,
            limit: Kept::open_rw(dir, "memory.limit_in_bytes")?,
            stat: Kept::open(&leaf, "memory.stat")?,
            kernel: Kept::open(dir, "memory.kmem.usage_in_bytes").ok(),
            leaf_limit: Kept::open_rw(&leaf, "memory.limit_in_bytes")?,
            leaf_oom: Kept::open(&leaf, "memory.oom_control")?,
            join,
            oom: listen_for_oom(dir).ok(),
            removed: false,
            leaf,
            elsewhere: HashMap::new(),
        })
    }

    fn oom_kills(&mut self, detail: Detail) -> Result<u64> {
        if detail == Detail::Full {
            for group in files::groups_below(&self.leaf).into_iter().skip(1) {
                if let Ok(n) = Kept::open(&group, "memory.oom_control").and_then(|f| f.keyed("oom_kill")) {
                    self.elsewhere.insert(group, n);
                }
            }
        }
        Ok(self.leaf_oom.keyed("oom_kill")? + self.elsewhere.values().sum::<u64>())
    }

    fn memory_stat(&self) -> Result<MemoryStat> {
        let mut buffer = [0; 4096];
        let text = self.stat.text(&mut buffer)?;
        let get = |key| files::value_of(text, key).unwrap_or(0);
        let (cache, shmem) = (get("total_cache"), get("total_shmem"));
        Ok(MemoryStat {
            anon: get("total_rss"),
            file: cache.saturating_sub(shmem), // v1 counts shared memory and tmpfs as cache
            shmem,
            kernel: self.kernel.as_ref().and_then(|file| file.number().ok()),
        })
    }
}

/// Makes `folder/<owner's name>`. The folder may vanish in between: another sandtop removes it when it is empty.
fn make_group(folder: &Path, owner: &name::Owner) -> Result<PathBuf> {
    let (mut n, mut tries) = (0, 0);
    loop {
        match files::make_dir(folder) {
            Err(e) if !e.is(Errno::EEXIST) => return Err(explain_refusal(e)),
            _ => {}
        }
        let dir = folder.join(owner.group(n));
        match files::make_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) if e.is(Errno::EEXIST) && n < 1000 => n += 1,
            Err(e) if e.is(Errno::ENOENT) && tries < 1000 => tries += 1,
            Err(e) => return Err(explain_refusal(e)),
        }
    }
}

fn explain_refusal(error: Error) -> Error {
    if error.is(Errno::EACCES) || error.is(Errno::EPERM) {
        return error.remedy("making a memory group on cgroup v1 needs root");
    }
    if error.is(Errno::EROFS) {
        return error
            .remedy("cgroups are read-only here, as inside a container or another sandtop; run it on the host");
    }
    if error.is(Errno::ENOMEM) {
        return error.remedy("the limit is too small even for an empty group; give -m 1M or more");
    }
    if error.is(Errno::ENOENT) {
        return error.remedy("--cgroup-parent must be an existing group of the memory hierarchy, as `mkdir` made it");
    }
    error
}

fn prepare(dir: &Path, cpus: u32, limit: Limit) -> Result<()> {
    // Before 5.11 a limit on P did nothing to L without this; it must be on before L is made.
    let hierarchical = dir.join("memory.use_hierarchy");
    if files::read(&hierarchical).is_ok_and(|text| text.trim() == "0") {
        files::write(&hierarchical, "1")?;
        if files::read(&hierarchical)?.trim() != "1" {
            return Err(Error::new(format!("{} does not take 1: a limit would not hold here", hierarchical.display())));
        }
    }
    files::write(&dir.join("memory.swappiness"), "0")?; // L inherits it at mkdir, and only then
    files::write(&dir.join("memory.limit_in_bytes"), &kernel_text(limit))?;
    let leaf = dir.join(LEAF);
    files::make_dir(&leaf)?;
    let mirror = mirror_of(limit, CHARGE_BATCH * u64::from(cpus));
    files::write(&leaf.join("memory.limit_in_bytes"), &kernel_text(mirror))
}

/// The limit as v1 reads it; `-1` is its word for none.
fn kernel_text(limit: Limit) -> String {
    match limit {
        Limit::Bytes(n) => n.to_string(),
        Limit::Max => "-1".into(),
    }
}

fn mirror_of(limit: Limit, margin: u64) -> Limit {
    match limit {
        Limit::Bytes(n) if n < kernel_max() - margin => Limit::Bytes(n + margin),
        _ => Limit::Max,
    }
}

fn read_limit(file: &Kept) -> Result<Limit> {
    Ok(match file.number()? {
        n if n >= kernel_max() => Limit::Max,
        n => Limit::Bytes(n),
    })
}

/// Asks the kernel to signal an eventfd at every OOM (`cgroup.event_control`, Documentation/admin-guide/cgroup-v1/memory.rst §9).
fn listen_for_oom(dir: &Path) -> Result<EventFd> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|e| Error::sys("make an eventfd", e))?;
    let control = Kept::open(dir, "memory.oom_control")?;
    let order = format!("{} {}", event.as_fd().as_raw_fd(), control.file().as_raw_fd());
    files::write(&dir.join("cgroup.event_control"), &order)?;
    Ok(event)
}

/// A dead group that holds more cache than this gives it up, in bytes.
const CACHE_LEFT: u64 = 16 << 20;

/// Removes a group and all below it, children first.
///
/// Much cache is dropped first: pages stay with the group that read them, so that the next run would read the same files for nothing and look smaller, and
/// they keep the dead group in the kernel. A little, which is mostly programs and their libraries, is left: dropping it costs this run
/// milliseconds, and every later one the time to read it again.
fn remove_tree(dir: &Path) {
    // P holds nothing but L: it need not be searched.
    let mut groups = vec![dir.to_path_buf()];
    groups.extend(files::groups_below(&dir.join(LEAF)));
    for group in groups.iter().rev() {
        let cached = files::read(&group.join("memory.stat")).ok().and_then(|text| files::value_of(&text, "cache"));
        if cached.is_some_and(|bytes| bytes > CACHE_LEFT) {
            let _ = files::write(&group.join("memory.force_empty"), "0");
        }
        let _ = files::remove_dir(group);
    }
    if let Some(folder) = dir.parent() {
        let _ = files::remove_dir(folder); // stays while another sandtop has a group in it
    }
}

/// Removes a group tree of ours in which nothing runs.
///
/// # Errors
/// When a directory stays.
pub fn remove_group(dir: &Path) -> Result<()> {
    remove_tree(dir);
    if dir.exists() { files::remove_dir(dir) } else { Ok(()) }
}

impl Cgroup for V1 {
    fn path(&self) -> String {
        let below = self.dir.strip_prefix(&self.root).unwrap_or(&self.dir);
        format!("/{}", below.display())
    }

    fn join_file(&self) -> &File {
        self.join.file()
    }

    fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        self.oom.as_ref().map(AsFd::as_fd)
    }

    fn oom_seen(&self) {
        if let Some(event) = &self.oom {
            let _ = event.read();
        }
    }

    fn sample(&mut self, detail: Detail) -> Result<Sample> {
        // Peak before usage: after the reset the kernel's mark is at least the usage that is read next.
        let peak = self.peak.number()?;
        self.peak.write("0")?;
        let usage = self.usage.number()?;
        Ok(Sample {
            usage,
            peak: Some(peak.max(usage)),
            limit_hits: Some(self.hits.number()?),
            oom_kills: Some(self.oom_kills(detail)?),
            stat: (detail != Detail::Quick).then(|| self.memory_stat()).transpose()?,
        })
    }

    fn pids(&mut self, pids: &mut Vec<i32>) -> Result<()> {
        files::pids(&self.leaf, pids)?;
        for group in self.elsewhere.keys() {
            let _ = files::pids(group, pids); // it may be gone
        }
        Ok(())
    }

    fn limits(&self) -> Result<LimitsNow> {
        let limit = read_limit(&self.limit)?;
        let mirror_expected = mirror_of(limit, self.mirror_margin);
        Ok(LimitsNow { limit, mirror: read_limit(&self.leaf_limit)?, mirror_expected })
    }

    fn limit_writer(&self) -> Result<Box<dyn WriteLimit>> {
        Ok(Box::new(V1LimitWriter {
            margin: self.mirror_margin,
            limit: Kept::open_rw(&self.dir, "memory.limit_in_bytes")?,
            mirror: Kept::open_rw(&self.leaf, "memory.limit_in_bytes")?,
            usage: Kept::open(&self.dir, "memory.usage_in_bytes")?,
        }))
    }

    fn remove(&mut self) -> Result<()> {
        self.oom = None; // its descriptor would be signalled by the removal itself
        if std::mem::replace(&mut self.removed, true) { Ok(()) } else { remove_group(&self.dir) }
    }
}

struct V1LimitWriter {
    margin: u64,
    limit: Kept,
    mirror: Kept,
    usage: Kept,
}

impl V1LimitWriter {
    fn try_write(&mut self, target: Limit) -> Result<Limit> {
        let before = read_limit(&self.limit)?;
        let mirror = kernel_text(mirror_of(target, self.margin));
        // L's limit is never below P's, on the way up as on the way down: hits would move to L.
        let raising = before.bytes().is_some_and(|now| target.bytes().is_none_or(|then| then > now));
        if raising {
            self.mirror.write(&mirror)?;
        }
        self.limit.write(&kernel_text(target))?;
        if !raising {
            self.mirror.write(&mirror)?;
        }
        read_limit(&self.limit)
    }
}

impl WriteLimit for V1LimitWriter {
    fn write(&mut self, target: Limit) -> LimitOutcome {
        match self.try_write(target) {
            Ok(now) => LimitOutcome::Applied { now },
            Err(e) if e.is(Errno::EBUSY) => match (self.usage.number(), read_limit(&self.limit)) {
                (Ok(usage), Ok(kept)) => LimitOutcome::Busy { usage, kept },
                (Err(e), _) | (_, Err(e)) => LimitOutcome::Failed { reason: e.to_string() },
            },
            Err(e) => LimitOutcome::Failed { reason: e.to_string() },
        }
    }
}

#[cfg(test)]
mod tests;
