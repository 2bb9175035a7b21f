//! The memory controller of cgroup v1.
//!
//! On P: limit, usage, limit hits, high-water mark, the OOM eventfd. Over the whole subtree: `oom_kill`, which v1 counts where the
//! victim lived. L mirrors P's limit one charge batch higher, so that programs inside can read it while hits stay on P.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
};

use nix::sys::{
    epoll::EpollFlags,
    eventfd::{EfdFlags, EventFd},
};

mod make;
mod write;
use make::{explain_refusal, make_beside, prepare, undo};
use write::V1Writer;

use super::{
    CACHE_LEFT, Cgroup, Detail, InitFiles, LimitsNow, MachineSwap, NO_SWAP, Wanted, WriteSettings, above,
    beside::{self, Beside, Kind},
    brink::{self, Closeness, Lists, Threshold},
    files,
    files::Kept,
    mirror_of, name,
    other_limits::OtherLimitsReader,
    rising::{Rising, Sum},
    swapping::SwappingReader,
    tree,
    tree::LEAF,
    unified::{Twin, Unified},
    unreclaimable::{Reading, UnreclaimableReader},
};
use crate::{
    error::{Error, Result},
    event::{Above, MemoryStat, Sample, Settings, Swapping},
    units::{Limit, kernel_max, mirror_margin},
};

/// A sandbox's group on v1.
pub struct V1 {
    root: PathBuf,
    dir: PathBuf,
    leaf: PathBuf,
    mirror_margin: u64,
    usage: Kept,
    hits: Kept,
    hits_so_far: Rising,
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
    /// Where usage is to be told of, for a workload that is paused at the brink.
    threshold: Option<Threshold>,
    /// How much may be swapped out beside the limit.
    swap: Limit,
    machine_swap: MachineSwap,
    swap_peak: Option<Kept>,
    swapping: SwappingReader,
    unreclaimable: UnreclaimableReader,
    vmstat: Option<Kept>,
    /// The group in the v2 hierarchy, where there is one beside v1.
    twin: Option<Twin>,
    /// Groups in other v1 hierarchies.
    beside: Vec<Beside>,
    other_limits: OtherLimitsReader,
    removed: bool,
    /// `oom_kill` of the groups below L when last seen (P has no tasks): a group's count outlives the group.
    elsewhere: Sum,
}

impl V1 {
    /// Makes P and L below the parent. `ready` is called with L's `cgroup.procs` (and those of the groups beside it) and with the freezer's
    /// state, if there is one, as soon as the limit stands, before the files that only watch are opened.
    ///
    /// # Errors
    /// When a step fails; what was made until then is removed again, if nothing runs in it.
    pub fn create(wanted: &Wanted, ready: impl FnOnce(&InitFiles)) -> Result<V1> {
        let folder = wanted.parent.join(name::FOLDER);
        let dir = tree::make_group(&folder, wanted.owner, |_| Ok(())).map_err(explain_refusal)?;
        let make = || -> Result<V1> {
            prepare(&dir, wanted).map_err(explain_refusal)?;
            let join = Kept::open_rw(&dir.join(LEAF), "cgroup.procs")?;
            let twin = wanted.hierarchy.twin.as_deref().and_then(|root| Twin::create(root, wanted.owner).ok());
            let beside = make_beside(wanted, twin.is_some())?;
            if !wanted.changes.is_empty() {
                V1Writer::open(&dir, wanted.swap, wanted.margin(), &beside)?.all(wanted.changes)?;
            }
            ready(&init_files(&join, twin.as_ref(), &beside));
            let twin = twin.map(Twin::watch);
            let other_limits = OtherLimitsReader::of(group_of(&beside, Kind::Pids), group_of(&beside, Kind::Cpu));
            Ok(V1 {
                twin,
                beside,
                other_limits,
                swap: wanted.swap,
                ..V1::open_with(&wanted.hierarchy.root, &dir, wanted.cpus, join)?
            })
        };
        make().inspect_err(|_| undo(&dir))
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
            mirror_margin: mirror_margin(cpus),
            usage: Kept::open(dir, "memory.usage_in_bytes")?,
            hits: Kept::open(dir, "memory.failcnt")?,
            hits_so_far: Rising::default(),
            peak: Kept::open_rw(dir, "memory.max_usage_in_bytes")?,
            limit: Kept::open_rw(dir, "memory.limit_in_bytes")?,
            stat: Kept::open(&leaf, "memory.stat")?,
            kernel: Kept::open(dir, "memory.kmem.usage_in_bytes").ok(),
            leaf_limit: Kept::open_rw(&leaf, "memory.limit_in_bytes")?,
            leaf_oom: Kept::open(&leaf, "memory.oom_control")?,
            join,
            oom: listen_for_oom(dir).ok(),
            threshold: Threshold::new().ok(),
            swap: NO_SWAP,
            machine_swap: MachineSwap::default(),
            swap_peak: Kept::open(dir, MEMSW_PEAK).ok(),
            swapping: SwappingReader::default(),
            unreclaimable: UnreclaimableReader::new(cpus),
            vmstat: Kept::open(Path::new("/proc"), "vmstat").ok(),
            twin: None,
            beside: Vec::new(),
            other_limits: OtherLimitsReader::default(),
            removed: false,
            leaf,
            elsewhere: Sum::default(),
        })
    }

    fn beside(&self, kind: Kind) -> Option<&Path> {
        group_of(&self.beside, kind)
    }

    fn unified(&self) -> Option<&Unified> {
        self.twin.as_ref().and_then(Twin::unified)
    }

    fn oom_kills(&mut self, detail: Detail) -> Result<u64> {
        if detail == Detail::Full {
            let groups = files::groups_below(&self.leaf).split_off(1);
            let kills = |group: &Path| Kept::open(group, "memory.oom_control").and_then(|f| f.keyed("oom_kill")).ok();
            self.elsewhere.look(groups, kills);
        }
        Ok(self.leaf_oom.keyed("oom_kill")? + self.elsewhere.total())
    }

    /// How much more can be swapped out, in bytes.
    fn swap_room(&self) -> u64 {
        let number = |name: &str| Kept::open(&self.dir, name).and_then(|file| file.number()).ok();
        match brink::free_swap() {
            0 => 0,
            _ if number("memory.swappiness").is_none_or(|n| n == 0) => 0,
            free => {
                number(MEMSW).zip(number(MEMSW_USAGE)).map_or(free, |(most, used)| most.saturating_sub(used).min(free))
            }
        }
    }

    fn swapping_moved(&mut self) -> Option<Box<Swapping>> {
        let peak_with_memory = self.swap_peak.as_ref().and_then(|file| file.number().ok());
        self.swapping.moved(Swapping { peak_with_memory, ..Swapping::default() })
    }

    /// What the usage consists of, what is swapped out, where that is counted, and what can be reclaimed.
    fn memory_stat(&self) -> Result<(MemoryStat, Option<u64>, Lists)> {
        let mut buffer = [0; 4096];
        let text = self.stat.text(&mut buffer)?;
        let swap = files::value_of(text, "total_swap");
        let get = |key| files::value_of(text, key).unwrap_or(0);
        let (cache, shmem) = (get("total_cache"), get("total_shmem"));
        let file = cache.saturating_sub(shmem); // v1 counts shared memory and tmpfs as cache
        let lists = ["total_active_file", "total_inactive_file"].map(|key| files::value_of(text, key));
        let stat = MemoryStat {
            anon: get("total_rss"),
            file,
            shmem,
            kernel: self.kernel.as_ref().and_then(|file| file.number().ok()),
            unwritten: get("total_dirty") + get("total_writeback"),
            evictable: files::evictable(lists, file),
            inactive_file: lists[1],
            locked: get("total_unevictable"),
            slab_reclaimable: None,
            major_faults: files::value_of(text, "total_pgmajfault"),
            refaults: files::refaults(text, "total_"),
            refaults_anon: files::value_of(text, "total_workingset_refault_anon"),
        };
        Ok((stat, swap, Lists::read(text, "total_")))
    }
}

/// The group of this controller.
fn group_of(groups: &[Beside], kind: Kind) -> Option<&Path> {
    groups.iter().find(|group| group.kind == kind).map(Beside::dir)
}

/// How many pages of files were reclaimed so far on the whole machine (`pgsteal_file` in `/proc/vmstat`, 5.8): v1 does not count a group's, which were no
/// more than that. Unlike `pgsteal_direct` it counts what a group reclaims at its own limit (`shrink_inactive_list` in mm/vmscan.c).
fn reclaimed_of_the_machine(vmstat: &Kept) -> Option<u64> {
    files::value_of(vmstat.text(&mut [0; 16384]).ok()?, "pgsteal_file")
}

/// The highest that memory and swap were together.
const MEMSW_PEAK: &str = "memory.memsw.max_usage_in_bytes";

/// v1's count of memory and swap together.
const MEMSW_USAGE: &str = "memory.memsw.usage_in_bytes";

/// v1's limit of TCP buffers, which it counts beside memory.
const TCP_LIMIT: &str = "memory.kmem.tcp.limit_in_bytes";

/// v1's limit of memory and swap together. It can never be below the limit of memory alone (`EINVAL`).
const MEMSW: &str = "memory.memsw.limit_in_bytes";

/// What that limit has to be; `None` where it is left alone: with it equal to the limit the kernel counts no limit hits, so that swap is
/// kept off by swappiness instead.
fn memory_and_swap(limit: Limit, swap: Limit) -> Option<Limit> {
    match (limit, swap) {
        (_, NO_SWAP | Limit::Max) => None,
        (Limit::Bytes(limit), Limit::Bytes(swap)) => Some(Limit::Bytes(limit.saturating_add(swap).min(kernel_max()))),
        (Limit::Max, Limit::Bytes(_)) => Some(Limit::Max),
    }
}

/// The limit as v1 reads it; `-1` is its word for none.
fn kernel_text(limit: Limit) -> String {
    match limit {
        Limit::Bytes(n) => n.to_string(),
        Limit::Max => "-1".into(),
    }
}

fn read_limit(file: &Kept) -> Result<Limit> {
    file.number().map(limit_of)
}

fn limit_of(bytes: u64) -> Limit {
    if bytes >= kernel_max() { Limit::Max } else { Limit::Bytes(bytes) }
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

/// Removes a group tree of ours in which nothing runs.
///
/// Much cache is dropped first: pages stay with the group that read them, so that the next run would read the same files for nothing and look smaller, and
/// they keep the dead group in the kernel. A little, which is mostly programs and their libraries, is left: dropping it costs this run
/// milliseconds, and every later one the time to read it again.
///
/// # Errors
/// When a directory stays.
pub fn remove_group(dir: &Path) -> Result<()> {
    tree::remove(dir, |group| {
        let cached = files::read(&group.join("memory.stat")).ok().and_then(|text| files::value_of(&text, "cache"));
        if group != dir && cached.is_some_and(|bytes| bytes > CACHE_LEFT) {
            let _ = files::write(&group.join("memory.force_empty"), "0");
        }
    })
}

fn init_files<'a>(join: &'a Kept, twin: Option<&'a Twin>, beside: &'a [Beside]) -> InitFiles<'a> {
    let joins = [join.file()].into_iter().chain(twin.map(Twin::join_file));
    InitFiles {
        joins: joins.chain(beside.iter().map(Beside::join_file)).collect(),
        freezer: beside.iter().find_map(Beside::freezer_state),
        quota: beside.iter().find_map(Beside::quota),
    }
}

impl Cgroup for V1 {
    fn path(&self) -> String {
        super::below(&self.root, &self.dir)
    }

    fn leaf(&self) -> &Path {
        &self.leaf
    }

    fn init_files(&self) -> InitFiles<'_> {
        init_files(&self.join, self.twin.as_ref(), &self.beside)
    }

    /// By the twin where it can, else with nobody running meanwhile who could start others.
    fn kill(&self) {
        if self.twin.as_ref().is_some_and(Twin::kill) {
            return;
        }
        let freezer = self.beside(Kind::Freezer);
        freezer.map(|freezer| beside::freeze(freezer, true));
        tree::kill_once(&self.leaf);
        freezer.map(|freezer| beside::freeze(freezer, false));
    }

    fn oom_event(&self) -> Option<(BorrowedFd<'_>, EpollFlags)> {
        self.oom.as_ref().map(|event| (event.as_fd(), EpollFlags::EPOLLIN))
    }

    /// The eventfd is signalled at every OOM and by nothing else, before the kill is counted.
    fn oom_seen(&mut self) -> bool {
        self.oom.as_ref().is_some_and(|event| event.read().is_ok())
    }

    fn sample(&mut self, detail: Detail) -> Result<Sample> {
        // Peak before usage: after the reset the kernel's mark is at least the usage that is read next.
        let peak = self.peak.number()?;
        self.peak.write("0")?;
        let usage = self.usage.number()?;
        let whole = (detail != Detail::Quick).then(|| self.memory_stat()).transpose()?;
        let highest = Some(peak.max(usage));
        let hits = self.hits_so_far.with(self.hits.number()?);
        let unreclaimable = match whole {
            Some((stat, _, lists)) => {
                let unknown = stat.kernel.unwrap_or(0);
                let reclaimed = self.vmstat.as_ref().and_then(reclaimed_of_the_machine);
                self.unreclaimable.read(Reading { usage, highest, lists, reclaimed, hits, unknown })
            }
            None => {
                self.unreclaimable.mark(highest);
                None
            }
        };
        Ok(Sample {
            usage,
            peak: highest,
            limit_hits: Some(hits),
            oom_kills: Some(self.oom_kills(detail)?),
            stat: whole.map(|(stat, ..)| stat),
            swap: whole.and_then(|(_, swap, _)| swap),
            unreclaimable,
            pressure: self.unified().filter(|_| detail != Detail::Quick).and_then(Unified::pressure),
            swap_free: if detail == Detail::Full { self.machine_swap.moved() } else { None },
            swapping: if detail == Detail::Full { self.swapping_moved() } else { None },
            other_limits: if detail == Detail::Full { self.other_limits.moved(None).map(Box::new) } else { None },
            code: None,
        })
    }

    fn freeze(&self, on: bool) -> Result<()> {
        match (self.unified(), self.beside(Kind::Freezer)) {
            (Some(unified), _) => unified.freeze(on),
            (None, Some(freezer)) => beside::freeze(freezer, on),
            (None, None) => Err(Error::new(
                "the sandbox cannot be frozen here: that needs a cgroup v2 hierarchy beside v1, or v1's freezer",
            )),
        }
    }

    fn let_die(&self) {
        if let Some(freezer) = self.beside(Kind::Freezer).filter(|_| self.unified().is_none()) {
            let _ = beside::freeze(freezer, false);
        }
    }

    fn lift_quota(&self) -> bool {
        self.beside(Kind::Cpu).is_some_and(beside::lift_cpu)
    }

    fn lift_pause(&self) {
        for group in [&self.leaf, &self.dir] {
            let _ = files::write(&group.join("memory.oom_control"), "0");
        }
    }

    fn freezer_state(&self) -> Option<&File> {
        self.beside.iter().find_map(Beside::freezer_state)
    }

    fn closeness(&self) -> Result<Closeness> {
        let mut buffer = [0; 4096];
        let usage = self.usage.number()?;
        let lists = Lists::read(self.stat.text(&mut buffer)?, "total_");
        let room = self.swap_room();
        Ok(Closeness {
            usage,
            unreclaimable: lists.unreclaimable(usage, room),
            certain: lists.certain(usage, room),
            at_limit: self.leaf_oom.keyed("under_oom").unwrap_or(0) > 0,
        })
    }

    fn warn_at(&mut self, bytes: Option<u64>) -> Result<()> {
        self.threshold.as_mut().map_or(Ok(()), |threshold| threshold.set(&self.dir, bytes))
    }

    fn warning(&self) -> Option<BorrowedFd<'_>> {
        self.threshold.as_ref().map(Threshold::fd)
    }

    fn warned(&self) {
        if let Some(threshold) = &self.threshold {
            threshold.take();
        }
    }

    /// No swap is kept by swappiness, which needs no accounting.
    fn swap_is_limited(&self) -> bool {
        matches!(self.swap, NO_SWAP | Limit::Max) || self.dir.join(MEMSW).exists()
    }

    fn settings(&self) -> Settings {
        let number = |name: &str| Kept::open(&self.dir, name).and_then(|file| file.number()).ok();
        let limit = |name: &str| number(name).map(limit_of);
        let mut settings = Settings {
            swappiness: number("memory.swappiness"),
            soft_limit: limit("memory.soft_limit_in_bytes"),
            swap_limit: limit(MEMSW).zip(limit("memory.limit_in_bytes")).map(|(both, limit)| both.less(limit)),
            pids_limit: self.beside(Kind::Pids).and_then(|dir| files::read(&dir.join("pids.max")).ok()),
            cpu: self.beside(Kind::Cpu).and_then(beside::read_cpu),
            frozen: self.beside(Kind::Freezer).and_then(beside::is_frozen),
            above: self.above(),
            ..Settings::default()
        };
        settings.pids_limit = settings.pids_limit.map(|text| text.trim().to_string());
        settings.can.freeze = self.beside(Kind::Freezer).is_some();
        settings.can.peak = true;
        settings.can.peak_reset = true;
        settings.can.reclaim = true;
        if let Some(unified) = self.unified() {
            unified.describe(&mut settings);
        }
        settings
    }

    fn above(&self) -> Option<Above> {
        let own = read_limit(&self.limit).unwrap_or(Limit::Max);
        let parse = |text: &str| text.parse().ok().map(limit_of);
        let all =
            self.stat.text(&mut [0; 4096]).ok().and_then(|text| files::value_of(text, "hierarchical_memory_limit"));
        above::tightest(&self.root, &self.dir, "memory.limit_in_bytes", parse, own, all)
    }

    fn pids(&mut self, pids: &mut Vec<i32>) -> Result<()> {
        files::pids(&self.leaf, pids)?;
        for group in self.elsewhere.groups() {
            let _ = files::pids(group, pids); // it may be gone
        }
        Ok(())
    }

    fn limits(&self) -> Result<LimitsNow> {
        let limit = read_limit(&self.limit)?;
        let mirror_expected = mirror_of(limit, self.mirror_margin);
        Ok(LimitsNow { limit, mirror: read_limit(&self.leaf_limit)?, mirror_expected })
    }

    fn take_back(&self, _held: Limit) {} // v1 makes room first: until it has, the limit is what it was

    fn writer(&self) -> Result<Box<dyn WriteSettings>> {
        Ok(Box::new(V1Writer::open(&self.dir, self.swap, self.mirror_margin, &self.beside)?))
    }

    fn remove(&mut self) -> Result<()> {
        self.threshold = None;
        self.oom = None; // its descriptor would be signalled by the removal itself
        if std::mem::replace(&mut self.removed, true) {
            return Ok(());
        }
        let twin = self.twin.as_ref().map_or(Ok(()), Twin::remove);
        let beside = self.beside.iter().try_for_each(Beside::remove);
        remove_group(&self.dir).and(twin).and(beside)
    }
}

#[cfg(test)]
mod tests;
