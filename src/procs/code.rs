//! How much of their own code processes fetch back: executable pages that they lost and have mapped
//! again, from `/proc/PID/maps` and `/proc/PID/pagemap`.
//!
//! Reclaim takes a page out of the page tables before it frees it, so that a page of code that was
//! there at one look, is not at the next and is again at a third has been taken and fetched back. A
//! page that is taken and fetched between two looks is not seen. Both files wait for the lock of the
//! process's memory: read them in a thread of their own.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{Cursor, Read},
    ops::Range,
    os::unix::fs::FileExt,
};

use procfs::FromRead;

use crate::{event::CodeFaults, units::page_size};

/// At most so many processes are read at a look: those with the most major faults since the last.
const MOST: usize = 32;

/// The longest `/proc/PID/maps` that is read, in bytes: the process itself decides how long it is.
const MAPS: u64 = 4 << 20;

/// Pages of code of one process that are looked at (1 GiB where a page has 4 KiB).
const PAGES: u64 = 1 << 18;

/// The bit of a page in `/proc/PID/pagemap` that is mapped
/// (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;

/// A page of code at the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Not mapped so far.
    Absent,
    Mapped,
    /// It was mapped at an earlier look, and is not now.
    Taken,
}

/// An executable mapping of a file.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    addresses: Range<u64>,
    device: Vec<u8>,
    inode: u64,
}

/// What is known of one process.
struct Known {
    major_faults: u64,
    /// Its code; none: it was not read yet.
    code: Vec<(Mapping, Vec<Page>)>,
}

/// The code of a run's processes, from one look to the next.
#[derive(Default)]
pub struct CodePages {
    known: HashMap<i32, Known>,
    counted: CodeFaults,
}

/// Whether this kernel tells which pages are mapped (CONFIG_PROC_PAGE_MONITOR).
pub fn is_readable() -> bool {
    std::path::Path::new("/proc/self/pagemap").exists()
}

impl CodePages {
    /// Looks at these processes again, and counts what was fetched back since the looks before.
    /// `None`: there was something to look at, and nothing of it could be read.
    pub fn look(&mut self, pids: &[i32]) -> Option<CodeFaults> {
        let listed: HashSet<i32> = pids.iter().copied().collect();
        self.known.retain(|pid, _| listed.contains(pid));
        let faults = |pid: i32| Some((pid, major_faults(pid)?));
        let grown = |known: Option<&Known>, now: u64| known.map_or(now, |k| now.saturating_sub(k.major_faults));
        let mut due: Vec<(u64, i32, u64)> = pids
            .iter()
            .filter_map(|pid| faults(*pid))
            .map(|(pid, now)| (grown(self.known.get(&pid), now), pid, now))
            .collect();
        due.sort_unstable_by(|a, b| b.cmp(a));
        due.truncate(MOST);
        let read = due.iter().filter(|(grown, pid, now)| self.read(*pid, *grown, *now).is_some()).count();
        (read > 0 || due.is_empty()).then_some(self.counted)
    }

    /// Reads one process, which had so many major faults since the last look and so many in all.
    fn read(&mut self, pid: i32, grown: u64, now: u64) -> Option<()> {
        let mappings = executable(&maps(pid)?);
        let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok()?;
        let known = self.known.remove(&pid);
        let is_new = known.is_none();
        let mut before = known.map_or_else(Vec::new, |known| known.code);
        let (mut code, mut pages_left) = (Vec::new(), PAGES);
        for mapping in mappings {
            let count = (mapping.addresses.end - mapping.addresses.start) / page_size();
            if count > pages_left {
                continue;
            }
            pages_left -= count;
            let present = present(&pagemap, mapping.addresses.start / page_size(), count as usize)?;
            let same = before.iter().position(|(other, _)| *other == mapping);
            let mut pages = same.map_or_else(Vec::new, |n| before.swap_remove(n).1);
            pages.resize(present.len(), Page::Absent);
            self.counted.fetched += update(&mut pages, &present);
            code.push((mapping, pages));
        }
        if !is_new {
            self.counted.major_faults += grown;
        }
        self.known.insert(pid, Known { major_faults: now, code });
        Some(())
    }
}

/// Takes in which pages are mapped now; how many of those were taken before.
fn update(pages: &mut [Page], present: &[bool]) -> u64 {
    let mut fetched = 0;
    for (page, present) in pages.iter_mut().zip(present) {
        fetched += u64::from(*page == Page::Taken && *present);
        *page = match (*page, present) {
            (_, true) => Page::Mapped,
            (Page::Absent, false) => Page::Absent,
            (Page::Mapped | Page::Taken, false) => Page::Taken,
        };
    }
    fetched
}

/// Major faults of a process with all of its threads; `None` when it is gone.
fn major_faults(pid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(procfs::process::Stat::from_read(Cursor::new(stat)).ok()?.majflt)
}

fn maps(pid: i32) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/maps")).ok()?.take(MAPS).read_to_end(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

/// The executable mappings of files. By hand: procfs refuses all of them where one path is not UTF-8.
fn executable(maps: &[u8]) -> Vec<Mapping> {
    let mapping = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_string);
        let (addresses, permissions) = (text(fields.next()?)?, fields.next()?);
        let (_offset, device, inode) = (fields.next()?, fields.next()?, text(fields.next()?)?);
        let (start, end) = addresses.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let (start, end, inode) = (address(start)?, address(end)?, inode.parse().ok()?);
        let is_code = permissions.get(2) == Some(&b'x') && inode != 0 && start < end;
        is_code.then(|| Mapping { addresses: start..end, device: device.to_vec(), inode })
    };
    maps.split(|byte| *byte == b'\n').filter_map(mapping).collect()
}

/// Which of so many pages are mapped, from this one on; `None` where that cannot be read.
fn present(pagemap: &File, first: u64, count: usize) -> Option<Vec<bool>> {
    const ENTRY: usize = size_of::<u64>();
    let mut entries = vec![0; count * ENTRY];
    pagemap.read_exact_at(&mut entries, first * ENTRY as u64).ok()?;
    let entries = entries.as_chunks::<ENTRY>().0;
    Some(entries.iter().map(|entry| u64::from_ne_bytes(*entry) & PRESENT != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_counts_when_it_is_back_after_it_was_taken_and_not_when_it_comes_first() {
        let mut pages = vec![Page::Absent; 3];
        let looks = [[true, false, false], [true, true, false], [false, false, false], [false, true, true], [true; 3]];
        let fetched: Vec<u64> = looks.iter().map(|present| update(&mut pages, present)).collect();
        assert_eq!(fetched, [0, 0, 0, 1, 1]);
        assert_eq!(pages, [Page::Mapped; 3]);
    }

    #[test]
    fn code_is_what_is_executable_and_of_a_file_whatever_its_path_is_made_of() {
        let maps = b"00400000-00402000 r-xp 00000000 fe:00 77    /bin/a b\n\
            00600000-00601000 rw-p 00000000 fe:00 77    /bin/a b\n\
            7f00-7f10 r-xs 00000000 00:01 9 /tmp/\xff\n\
            7f20-7f30 r-xp 00000000 00:00 0 [vdso]\n\
            not a mapping\n";
        let found = executable(maps);
        let inodes: Vec<(u64, u64)> = found.iter().map(|m| (m.addresses.start, m.inode)).collect();
        assert_eq!(inodes, [(0x40_0000, 77), (0x7f00, 9)]);
    }

    #[test]
    fn our_own_code_is_mapped_and_stays() {
        let me = std::process::id() as i32;
        assert!(is_readable());
        let mut pages = CodePages::default();
        assert_eq!(pages.read(me, 1, 1), Some(()));
        let mapped = |pages: &CodePages| {
            let code = &pages.known[&me].code;
            code.iter().flat_map(|(_, pages)| pages).filter(|page| **page == Page::Mapped).count()
        };
        assert!(mapped(&pages) > 0);
        assert_eq!(pages.counted, CodeFaults::default(), "the first look counts nothing");
        assert_eq!(pages.read(me, 2, 3), Some(()));
        assert_eq!(pages.counted.major_faults, 2);
        assert_eq!(pages.look(&[]), Some(pages.counted));
        assert!(pages.known.is_empty(), "who is gone is forgotten");
    }
}
