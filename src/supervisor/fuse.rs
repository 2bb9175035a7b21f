//! Frees who waits for a FUSE file system that the sandbox itself mounted: the server was killed while it holds its own connection open, or waits
//! for itself, and who waits for an answer cannot be killed. Aborting the connection answers them all (Documentation/filesystems/fuse.rst).
//!
//! Refuses: any connection whose file system is mounted outside of the sandbox.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Where the connections are by convention: a directory for each, by the minor number of its device.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// Aborts the connections of those file systems that are mounted in the mount namespaces of these processes, and not in ours.
pub fn abort_own(pids: &[i32]) {
    let ours = connections("self");
    let mut seen = HashSet::new();
    let namespaces = pids.iter().filter(|pid| {
        let namespace = fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|m| m.ino());
        namespace.map_or(true, |inode| seen.insert(inode))
    });
    let own: HashSet<u32> =
        namespaces.flat_map(|pid| connections(&pid.to_string())).filter(|n| !ours.contains(n)).collect();
    if own.is_empty() || abort(Path::new(CONNECTIONS), &own) {
        return;
    }
    // Not mounted: then in a mount namespace that only this thread has.
    let thread = std::thread::Builder::new().name("sandtop-fuse".into()).spawn(move || {
        let none = None::<&str>;
        let mounted = unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
            .and_then(|()| mount(Some("fusectl"), CONNECTIONS, Some("fusectl"), MsFlags::empty(), none));
        if mounted.is_ok() {
            abort(Path::new(CONNECTIONS), &own);
        }
    });
    let _ = thread.map(std::thread::JoinHandle::join);
}

/// Whether the file system with the connections is there.
fn abort(dir: &Path, connections: &HashSet<u32>) -> bool {
    let file = |n: &u32| -> PathBuf { dir.join(n.to_string()).join("abort") };
    let there = connections.iter().any(|n| file(n).exists());
    connections.iter().for_each(|n| drop(fs::write(file(n), "1")));
    there
}

/// The connections of the FUSE file systems that a process sees mounted.
fn connections(pid: &str) -> HashSet<u32> {
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    table.lines().filter_map(connection).collect()
}

fn connection(line: &str) -> Option<u32> {
    let (front, back) = line.split_once(" - ")?;
    let kind = back.split(' ').next()?;
    let is_fuse = kind == "fuse" || kind == "fuseblk" || kind.starts_with("fuse.");
    let device = front.split(' ').nth(2)?;
    device.split_once(':').and_then(|(_, minor)| minor.parse().ok()).filter(|_| is_fuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_the_minor_number_of_its_device() {
        let of = |kind: &str| connection(&format!("36 35 0:47 / /mnt rw,nosuid shared:1 - {kind} x rw,user_id=0"));
        assert_eq!((of("fuse"), of("fuse.sshfs"), of("fuseblk")), (Some(47), Some(47), Some(47)));
        assert_eq!((of("ext4"), of("fusectl"), connection("")), (None, None, None));
    }
}
