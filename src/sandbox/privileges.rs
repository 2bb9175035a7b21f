//! Who the workload is, and what is taken from it.
//!
//! The capabilities dropped are those that would undo the limit from inside (each was used, or could be used, to reach a cgroup file, a
//! kernel-wide helper or the host's memory). This is no jail: a root workload may still change the host's own files.

use nix::{
    errno::Errno,
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

/// Capabilities by the names that `--cap-add` takes, dropped unless added.
pub const DROPPED: [(&str, CapabilitySet); 17] = [
    ("SYS_ADMIN", CapabilitySet::SYS_ADMIN),             // mount, umount, remount
    ("DAC_READ_SEARCH", CapabilitySet::DAC_READ_SEARCH), // open_by_handle_at finds the root of any hierarchy
    ("MKNOD", CapabilitySet::MKNOD),                     // a node for the host's disk
    ("SYS_PTRACE", CapabilitySet::SYS_PTRACE),           // init, through /proc/1
    ("SYS_RAWIO", CapabilitySet::SYS_RAWIO),             // /dev/mem, /proc/kcore
    ("SYS_MODULE", CapabilitySet::SYS_MODULE),
    ("SYS_BOOT", CapabilitySet::SYS_BOOT), // kexec, reboot
    ("NET_ADMIN", CapabilitySet::NET_ADMIN),
    ("BPF", CapabilitySet::BPF),
    ("PERFMON", CapabilitySet::PERFMON),
    ("SYS_NICE", CapabilitySet::SYS_NICE), // init, held back by sched_setaffinity or SCHED_IDLE
    ("SYSLOG", CapabilitySet::SYSLOG),     // kernel addresses
    ("SYS_TIME", CapabilitySet::SYS_TIME),
    ("CHECKPOINT_RESTORE", CapabilitySet::CHECKPOINT_RESTORE), // links of /proc/PID/map_files
    ("MAC_ADMIN", CapabilitySet::MAC_ADMIN),
    ("MAC_OVERRIDE", CapabilitySet::MAC_OVERRIDE),
    ("AUDIT_CONTROL", CapabilitySet::AUDIT_CONTROL),
];

/// Who the workload is and what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// The user to become; `None` stays who sandtop is.
    pub user: Option<Identity>,
    /// Capabilities kept though they would be dropped, as bits.
    pub added: u64,
    /// Whether set-user-id programs may gain rights.
    pub allow_new: bool,
}

/// A user as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The capability that `--cap-add NAME` means, with or without `CAP_`, in any case.
///
/// # Errors
/// The sentence that says what is accepted.
pub fn capability(name: &str) -> Result<u64, String> {
    let upper = name.to_ascii_uppercase();
    let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if plain == "ALL" {
        return Ok(dropped_mask());
    }
    DROPPED.iter().find(|(n, _)| *n == plain).map(|(_, set)| set.bits()).ok_or_else(|| {
        let names: Vec<&str> = DROPPED.iter().map(|(n, _)| *n).collect();
        format!("'{name}' is not dropped, or unknown; what can be given back is ALL, {}", names.join(", "))
    })
}

/// The name by which capabilities can be given back.
pub fn capability_name(bits: u64) -> String {
    let one = DROPPED.iter().find(|(_, set)| set.bits() == bits);
    one.map_or("ALL", |(name, _)| name).to_string()
}

fn dropped_mask() -> u64 {
    DROPPED.iter().map(|(_, set)| set.bits()).fold(0, |all, bits| all | bits)
}

/// As the main process, first half: the bounding set, while there is still the right to shrink it.
pub fn shrink_bounding_set(privileges: &Privileges) -> Result<(), Errno> {
    for (_, set) in DROPPED.iter().filter(|(_, set)| set.bits() & privileges.added == 0) {
        match rustix::thread::remove_capability_from_bounding_set(*set) {
            Err(rustix::io::Errno::INVAL) => {} // this kernel does not know it
            other => other.map_err(errno)?,
        }
    }
    Ok(())
}

/// Second half: the user. Becoming another user gives up all capabilities.
pub fn become_user(identity: &Identity) -> Result<(), Errno> {
    let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Last: give up what root had, and the way back to it.
pub fn give_up(privileges: &Privileges) -> Result<(), Errno> {
    let now = rustix::thread::capabilities(None).map_err(errno)?;
    let gone = CapabilitySet::from_bits_retain(dropped_mask() & !privileges.added);
    let keep = |set: CapabilitySet| set.difference(gone);
    let _ = rustix::thread::clear_ambient_capability_set();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: keep(now.effective),
            permitted: keep(now.permitted),
            inheritable: CapabilitySet::empty(),
        },
    )
    .map_err(errno)?;
    if !privileges.allow_new {
        rustix::thread::set_no_new_privs(true).map_err(errno)?;
    }
    Ok(())
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_found_by_any_spelling() {
        assert_eq!(capability("cap_sys_admin"), Ok(CapabilitySet::SYS_ADMIN.bits()));
        assert_eq!(capability("SYS_ADMIN"), capability("CAP_SYS_ADMIN"));
        assert_eq!(capability("ALL"), Ok(dropped_mask()));
        let said = capability("CHOWN").unwrap_err();
        assert!(said.contains("SYS_ADMIN"), "{said}");
    }
}
