//! The memory controller of cgroup v2.
//!
//! On P: limit, usage, limit hits, high-water mark, and the kills of the whole subtree (`memory.events` counts those below too). L mirrors
//! P's limit a little higher, as on v1 and for the same reason. A file that this kernel lacks is `None`.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use nix::{errno::Errno, sys::epoll::EpollFlags};

mod write;
use write::{High, V2Writer};

use super::{
    Cgroup, Closeness, Detail, InitFiles, LimitsNow, MachineSwap, Wanted, WriteSettings, above,
    brink::{self, Lists},
    files,
    files::Kept,
    mirror_of, name,
    other_limits::OtherLimitsReader,
    swapping::SwappingReader,
    tree,
    tree::LEAF,
    unified::Unified,
    unreclaimable::{Reading, UnreclaimableReader},
};
use crate::{
    error::{Error, Result},
    event::{Above, MemoryStat, OtherLimits, Sample, Settings, Swapping},
    units::{Limit, is_lower, kernel_max, mirror_margin, page_size},
};

/// Controllers that a sandbox's group gets where they are to be had; memory it must have.
pub const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// A sandbox's group on v2.
pub struct V2 {
    root: PathBuf,
    dir: PathBuf,
    leaf: PathBuf,
    mirror_margin: u64,
    usage: Kept,
    peak: Option<Peak>,
    events: Kept,
    /// P's own events, without those of L (5.2).
    own_events: Option<Kept>,
    leaf_events: Option<Kept>,
    limit: Kept,
    /// L's, as on v1: a reader of the group that is charged is never left with old numbers.
    stat: Kept,
    swap: Option<Kept>,
    swap_peak: Option<Kept>,
    swapping: SwappingReader,
    unreclaimable: UnreclaimableReader,
    machine_swap: MachineSwap,
    leaf_limit: Kept,
    unified: Unified,
    other_limits: OtherLimitsReader,
    join: Kept,
    /// For init.
    quota: Option<Kept>,
    /// What `memory.high` was at the start.
    high: High,
    /// `oom` and `oom_kill` when last looked at.
    ooms: (u64, u64),
    removed: bool,
}

impl V2 {
    /// Makes P and L below the parent (a group that gives its children the memory controller, see `place.rs`). `ready` is called with L's
    /// `cgroup.procs` as soon as the limit stands.
    ///
    /// # Errors
    /// When a step fails; what was made until then is removed again, if nothing runs in it.
    pub fn create(wanted: &Wanted, ready: impl FnOnce(&InitFiles)) -> Result<V2> {
        let folder = wanted.parent.join(name::FOLDER);
        let dir = tree::make_group(&folder, wanted.owner, pass_on).map_err(explain_refusal)?;
        let make = || -> Result<V2> {
            prepare(&dir, wanted).map_err(explain_refusal)?;
            if !wanted.changes.is_empty() {
                V2Writer::open(&dir, wanted.margin(), High::of(&[]))?.all(wanted.changes)?;
            }
            let join = Kept::open_w(&dir.join(LEAF), "cgroup.procs")?;
            let quota = Kept::open_w(&dir, CPU_MAX).ok();
            ready(&init_files(&join, quota.as_ref()));
            let high = High::of(wanted.changes);
            Ok(V2 { high, quota, ..V2::open_with(&wanted.hierarchy.root, &dir, wanted.cpus, join)? })
        };
        make().inspect_err(|_| undo(&dir))
    }

    /// Opens P and L that are there, with all files that a sample needs.
    ///
    /// # Errors
    /// When a file that every v2 kernel has is missing.
    pub fn open(root: &Path, dir: &Path, cpus: u32) -> Result<V2> {
        V2::open_with(root, dir, cpus, Kept::open_w(&dir.join(LEAF), "cgroup.procs")?)
    }

    fn open_with(root: &Path, dir: &Path, cpus: u32, join: Kept) -> Result<V2> {
        let leaf = dir.join(LEAF);
        Ok(V2 {
            root: root.into(),
            dir: dir.into(),
            mirror_margin: mirror_margin(cpus),
            usage: Kept::open(dir, "memory.current")?,
            peak: Peak::open(dir),
            events: Kept::open(dir, "memory.events")?,
            own_events: Kept::open(dir, "memory.events.local").ok(),
            leaf_events: Kept::open(&leaf, "memory.events").ok(),
            limit: Kept::open_rw(dir, "memory.max")?,
            stat: Kept::open(&leaf, "memory.stat")?,
            swap: Kept::open(dir, "memory.swap.current").ok(),
            swap_peak: Kept::open(dir, "memory.swap.peak").ok(),
            swapping: SwappingReader::default(),
            unreclaimable: UnreclaimableReader::new(cpus),
            machine_swap: MachineSwap::default(),
            high: High::of(&[]),
            leaf_limit: Kept::open_rw(&leaf, "memory.max")?,
            unified: Unified::open(dir),
            other_limits: OtherLimitsReader::of(Some(dir), Some(dir)),
            join,
            quota: None,
            ooms: (0, 0),
            removed: false,
            leaf,
        })
    }

    /// P's file counts the whole subtree, unless the hierarchy was mounted with `memory_localevents`: then L's does for L.
    fn oom_kills(&self) -> Result<u64> {
        match (self.events.keyed("oom_kill")?, &self.leaf_events) {
            (0, Some(leaf)) => leaf.keyed("oom_kill"),
            (n, _) => Ok(n),
        }
    }

    /// How much more can be swapped out, in bytes.
    fn swap_room(&self) -> u64 {
        let most = || Kept::open(&self.dir, "memory.swap.max").and_then(|file| read_limit(&file)).ok();
        let used = || self.swap.as_ref().and_then(|file| file.number().ok());
        match brink::free_swap() {
            0 => 0,
            free => most()
                .zip(used())
                .map_or(0, |(most, used)| most.bytes().map_or(free, |most| most.saturating_sub(used).min(free))),
        }
    }

    fn swapping_moved(&mut self) -> Option<Box<Swapping>> {
        let mut buffer = [0; 8192];
        let text = self.stat.text(&mut buffer).unwrap_or("");
        let bytes = |key| files::value_of(text, key).map(|pages| pages.saturating_mul(page_size()));
        let peak = self.swap_peak.as_ref().and_then(|file| file.number().ok());
        self.swapping.moved(Swapping { peak, peak_with_memory: None, read: bytes("pswpin"), written: bytes("pswpout") })
    }

    fn other_limits_moved(&mut self) -> Option<OtherLimits> {
        let high = self.own_events.as_ref().unwrap_or(&self.events).keyed("high").ok();
        self.other_limits.moved(high)
    }

    /// What the usage consists of, what can be reclaimed, and how many pages were so far.
    fn memory_stat(&self) -> Result<(MemoryStat, Lists, Option<u64>)> {
        let mut buffer = [0; 8192];
        let text = self.stat.text(&mut buffer)?;
        let get = |key| files::value_of(text, key);
        let (file, shmem) = (get("file").unwrap_or(0), get("shmem").unwrap_or(0));
        // `kernel` is 5.18; before, its parts were told and not their sum.
        let parts = ["kernel_stack", "slab", "percpu", "pagetables"].map(get);
        let parts = parts.iter().flatten().copied().reduce(u64::saturating_add);
        let file = file.saturating_sub(shmem); // shared memory and tmpfs are counted as file cache, too
        let stat = MemoryStat {
            anon: get("anon").unwrap_or(0),
            file,
            shmem,
            kernel: get("kernel").or(parts),
            unwritten: get("file_dirty").unwrap_or(0) + get("file_writeback").unwrap_or(0),
            evictable: files::evictable(["active_file", "inactive_file"].map(get), file),
            inactive_file: get("inactive_file"),
            locked: get("unevictable").unwrap_or(0),
            slab_reclaimable: get("slab_reclaimable"),
            major_faults: get("pgmajfault"),
            refaults: files::refaults(text, ""),
            refaults_anon: get("workingset_refault_anon"),
        };
        Ok((stat, Lists::read(text, ""), get("pgsteal")))
    }
}

/// Whether a group has the memory controller, so that it can be passed on.
pub fn has_memory(dir: &Path) -> bool {
    files::read(&dir.join("cgroup.controllers")).is_ok_and(|text| text.split_whitespace().any(|c| c == "memory"))
}

/// Whether the children of a group have the memory controller.
pub fn passes_memory_on(dir: &Path) -> bool {
    files::read(&dir.join("cgroup.subtree_control")).is_ok_and(|text| text.split_whitespace().any(|c| c == "memory"))
}

/// Gives the children of a group of ours the controllers that it has itself.
///
/// # Errors
/// When it has no memory controller, or cannot pass it on.
pub fn pass_on(dir: &Path) -> Result<()> {
    let has = files::read(&dir.join("cgroup.controllers"))?;
    let passes = files::read(&dir.join("cgroup.subtree_control"))?;
    let listed = |text: &str, name: &str| text.split_whitespace().any(|c| c == name);
    if !listed(&has, "memory") {
        return Err(Error::new(format!("{} has no memory controller to pass on", dir.display())));
    }
    for name in CONTROLLERS.iter().filter(|name| listed(&has, name) && !listed(&passes, name)) {
        let written = files::write(&dir.join("cgroup.subtree_control"), &format!("+{name}"));
        if *name == "memory" {
            written?;
        }
    }
    Ok(())
}

/// Takes back what was made of a group. The command may run in it already.
fn undo(dir: &Path) {
    let _ = tree::kill_all(dir).and_then(|()| remove_group(dir));
}

fn explain_refusal(error: Error) -> Error {
    if error.is(Errno::EROFS) {
        return error
            .remedy("cgroups are read-only here, as inside a container or another sandtop; run it on the host");
    }
    if error.is(Errno::EACCES) || error.is(Errno::EPERM) {
        return error.remedy("that group is not ours to write; sandtop doctor tells where one can be made");
    }
    if error.is(Errno::ENOMEM) {
        return error.remedy("the limit is too small even for an empty group; most programs need 1M or more");
    }
    if error.is(Errno::EAGAIN) {
        return error.remedy("the number of groups is limited here (cgroup.max.descendants or cgroup.max.depth above)");
    }
    error
}

fn prepare(dir: &Path, wanted: &Wanted) -> Result<()> {
    let leaf = dir.join(LEAF);
    let limit = wanted.limit;
    let swap = |group: &Path| match files::write(&group.join("memory.swap.max"), &kernel_text(wanted.swap)) {
        Err(e) if e.is(Errno::ENOENT) => Ok(()), // swap is not counted here, or there is none
        other => other,
    };
    swap(dir)?;
    files::write(&dir.join("memory.max"), &kernel_text(limit))?;
    pass_on(dir)?;
    files::make_dir(&leaf)?;
    swap(&leaf)?;
    files::write(&leaf.join("memory.max"), &kernel_text(mirror_of(limit, wanted.margin())))?;
    // A limit that was taken and does not stand would be the worst of all answers.
    let stands = parse_limit(&files::read(&dir.join("memory.max"))?);
    if stands != Some(limit) {
        return Err(Error::new(format!("{} was given {limit} and says {stands:?}", dir.join("memory.max").display())));
    }
    Ok(())
}

/// The limit as v2 reads it.
fn kernel_text(limit: Limit) -> String {
    match limit {
        Limit::Bytes(n) => n.to_string(),
        Limit::Max => "max".into(),
    }
}

fn read_limit(file: &Kept) -> Result<Limit> {
    let mut buffer = [0; 32];
    let text = file.text(&mut buffer)?.trim();
    parse_limit(text).ok_or_else(|| files::unexpected(file.path(), text))
}

fn parse_limit(text: &str) -> Option<Limit> {
    match text.trim() {
        "max" => Some(Limit::Max),
        n => n.parse().ok().map(|n| if n >= kernel_max() { Limit::Max } else { Limit::Bytes(n) }),
    }
}

/// The high-water mark.
struct Peak {
    file: Kept,
    /// Whether a write resets it, for this descriptor alone (6.12).
    resets: bool,
    /// The highest seen, where it cannot be reset.
    highest: u64,
}

impl Peak {
    fn open(dir: &Path) -> Option<Peak> {
        let writable = Kept::open_rw(dir, "memory.peak").ok().filter(|file| file.write("0").is_ok());
        let resets = writable.is_some();
        let file = writable.or_else(|| Kept::open(dir, "memory.peak").ok())?;
        Some(Peak { file, resets, highest: 0 })
    }

    /// The highest usage since the last call, as far as the kernel tells: a mark that cannot be reset tells only new highs.
    fn take(&mut self) -> Option<u64> {
        let mark = self.file.number().ok()?;
        if self.resets {
            let _ = self.file.write("0"); // any text does
            return Some(mark);
        }
        let risen = mark > self.highest;
        self.highest = self.highest.max(mark);
        risen.then_some(mark)
    }
}

fn init_files<'a>(join: &'a Kept, quota: Option<&'a Kept>) -> InitFiles<'a> {
    InitFiles { joins: vec![join.file()], freezer: None, quota: quota.map(Kept::file) }
}

/// v2's CPU quota and its period.
const CPU_MAX: &str = "cpu.max";

impl Cgroup for V2 {
    fn path(&self) -> String {
        super::below(&self.root, &self.dir)
    }

    fn leaf(&self) -> &Path {
        &self.leaf
    }

    fn init_files(&self) -> InitFiles<'_> {
        init_files(&self.join, self.quota.as_ref())
    }

    fn oom_event(&self) -> Option<(BorrowedFd<'_>, EpollFlags)> {
        Some((self.events.file().as_fd(), EpollFlags::EPOLLPRI))
    }

    /// Any event of the group wakes us, a limit hit too. `oom` is no count, but it moves when memory has run out, before the kill is counted.
    fn oom_seen(&mut self) -> bool {
        let read = |key| self.events.keyed(key).unwrap_or(0);
        let now = (read("oom"), read("oom_kill"));
        std::mem::replace(&mut self.ooms, now) != now
    }

    fn sample(&mut self, detail: Detail) -> Result<Sample> {
        // Peak before usage: after the reset the kernel's mark is at least the usage that is read next.
        let peak = self.peak.as_mut().and_then(Peak::take);
        let usage = self.usage.number()?;
        let whole = detail != Detail::Quick;
        let stat = whole.then(|| self.memory_stat()).transpose()?;
        let limit_hits = self.own_events.as_ref().unwrap_or(&self.events).keyed("max")?;
        // A mark that cannot be reset bounds every usage until now.
        let highest = self.peak.as_ref().and_then(|kept| peak.or((kept.highest > 0).then_some(kept.highest)));
        let unreclaimable = match stat {
            Some((_, lists, reclaimed)) => {
                let hits = limit_hits;
                self.unreclaimable.read(Reading { usage, highest, lists, reclaimed, hits, unknown: 0 })
            }
            None => {
                self.unreclaimable.mark(highest);
                None
            }
        };
        Ok(Sample {
            usage,
            peak: peak.map(|peak| peak.max(usage)),
            limit_hits: Some(limit_hits),
            oom_kills: Some(self.oom_kills()?),
            stat: stat.map(|(stat, ..)| stat),
            unreclaimable,
            swap: self.swap.as_ref().filter(|_| whole).and_then(|file| file.number().ok()),
            pressure: if whole { self.unified.pressure() } else { None },
            swap_free: if detail == Detail::Full { self.machine_swap.moved() } else { None },
            swapping: if detail == Detail::Full { self.swapping_moved() } else { None },
            other_limits: if detail == Detail::Full { self.other_limits_moved().map(Box::new) } else { None },
            code: None,
        })
    }

    fn freeze(&self, on: bool) -> Result<()> {
        self.unified.freeze(on)
    }

    fn lift_quota(&self) -> bool {
        let file = self.dir.join(CPU_MAX);
        let limited = files::read(&file).is_ok_and(|text| !text.starts_with("max"));
        limited && files::write(&file, "max").is_ok()
    }

    fn lift_pause(&self) {
        let _ = files::write(&self.dir.join("memory.high"), "max");
    }

    fn closeness(&self) -> Result<Closeness> {
        let mut buffer = [0; 8192];
        let usage = self.usage.number()?;
        let lists = Lists::read(self.stat.text(&mut buffer)?, "");
        let room = self.swap_room();
        let (unreclaimable, certain) = (lists.unreclaimable(usage, room), lists.certain(usage, room));
        Ok(Closeness { usage, unreclaimable, certain, at_limit: false })
    }

    fn swap_is_limited(&self) -> bool {
        self.swap.is_some()
    }

    fn settings(&self) -> Settings {
        let text = |name: &str| files::read(&self.dir.join(name)).ok().map(|text| text.trim().to_string());
        let mut settings = Settings {
            high: text("memory.high").and_then(|t| parse_limit(&t)),
            low: text("memory.low").and_then(|t| parse_limit(&t)),
            swap_limit: text("memory.swap.max").and_then(|t| parse_limit(&t)),
            oom_group: text("memory.oom.group").and_then(|t| t.parse::<u8>().ok()).map(|n| n != 0),
            pids_limit: text("pids.max"),
            cpu: text("cpu.max"),
            above: self.above(),
            ..Settings::default()
        };
        settings.can.peak = self.peak.is_some();
        settings.can.peak_reset = self.peak.as_ref().is_some_and(|peak| peak.resets);
        settings.can.reclaim = self.dir.join("memory.reclaim").exists();
        self.unified.describe(&mut settings);
        settings
    }

    fn above(&self) -> Option<Above> {
        let own = read_limit(&self.limit).unwrap_or(Limit::Max);
        above::tightest(&self.root, &self.dir, "memory.max", parse_limit, own, None)
    }

    fn pids(&mut self, pids: &mut Vec<i32>) -> Result<()> {
        files::pids(&self.leaf, pids)?;
        for group in files::groups_below(&self.leaf).iter().skip(1) {
            let _ = files::pids(group, pids); // it may be gone
        }
        Ok(())
    }

    fn limits(&self) -> Result<LimitsNow> {
        let limit = read_limit(&self.limit)?;
        let mirror_expected = mirror_of(limit, self.mirror_margin);
        Ok(LimitsNow { limit, mirror: read_limit(&self.leaf_limit)?, mirror_expected })
    }

    fn take_back(&self, held: Limit) {
        // Upwards it does not block. Through a file of its own: a write holds the one that it goes through.
        if read_limit(&self.limit).is_ok_and(|now| is_lower(held, now)) {
            let _ = self.limit.write(&kernel_text(held));
        }
    }

    fn writer(&self) -> Result<Box<dyn WriteSettings>> {
        Ok(Box::new(V2Writer::open(&self.dir, self.mirror_margin, self.high)?))
    }

    fn remove(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.removed, true) { Ok(()) } else { remove_group(&self.dir) }
    }
}

/// Removes a group tree of ours in which nothing runs. Much cache is given back first, for the reasons told in `v1.rs`.
///
/// # Errors
/// When a directory stays.
pub fn remove_group(dir: &Path) -> Result<()> {
    let cached = files::read(&dir.join("memory.stat")).ok().and_then(|text| files::value_of(&text, "file"));
    if let Some(bytes) = cached.filter(|bytes| *bytes > super::CACHE_LEFT) {
        let _ = files::write(&dir.join("memory.reclaim"), &bytes.to_string()); // EAGAIN when not all could go
    }
    tree::remove(dir, |_| {})
}

#[cfg(test)]
mod tests;
