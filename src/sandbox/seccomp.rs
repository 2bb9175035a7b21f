//! One system-call rule: no cgroup namespaces inside the sandbox.
//!
//! A fresh cgroup namespace, owned by a fresh user namespace, is the one way in which a workload could mount cgroup file systems writable: L's own,
//! and in every hierarchy that sandtop does not use the host's very root. From there it could freeze init, move init into the limited group, or leave
//! groups behind on the host. Everything else, `unshare -Ur` included, is allowed.
//!
//! `clone3` hides its flags in memory, where a filter cannot look; it answers ENOSYS, as in Docker, and C libraries fall back to `clone`.

use nix::libc;

/// An architecture's numbers: `AUDIT_ARCH_*`, `unshare`, `clone`, `clone3` (the kernel's syscall tables). The first argument of
/// `unshare` and `clone` is the flags on all of these.
struct Arch {
    audit: u32,
    unshare: u32,
    clone: u32,
    clone3: u32,
}

/// A 64-bit kernel also takes 32-bit calls, and x86-64 those of x32, which are its own numbers with a bit set.
#[cfg(target_arch = "x86_64")]
const ARCHES: [Arch; 3] = [
    Arch { audit: 0xc000_003e, unshare: 272, clone: 56, clone3: 435 },
    Arch { audit: 0xc000_003e, unshare: 272 | X32, clone: 56 | X32, clone3: 435 | X32 },
    Arch { audit: 0x4000_0003, unshare: 310, clone: 120, clone3: 435 },
];
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

#[cfg(target_arch = "aarch64")]
const ARCHES: [Arch; 2] = [
    Arch { audit: 0xc000_00b7, unshare: 97, clone: 220, clone3: 435 },
    Arch { audit: 0x4000_0028, unshare: 337, clone: 120, clone3: 435 },
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHES: [Arch; 0] = [];

// Offsets in struct seccomp_data (include/uapi/linux/seccomp.h); arguments are little-endian here, so this is the low half of the first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const HAS_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// The filter as a classic BPF program; empty on an architecture whose numbers are not known here.
pub fn program() -> Vec<libc::sock_filter> {
    let op = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut program = Vec::new();
    for arch in &ARCHES {
        program.extend([
            op(LOAD, ARCHITECTURE, 0, 0),
            op(EQUAL, arch.audit, 0, 8), // another architecture: on to the next block
            op(LOAD, NUMBER, 0, 0),
            op(EQUAL, arch.clone3, 5, 0),
            op(EQUAL, arch.unshare, 1, 0),
            op(EQUAL, arch.clone, 0, 4), // another call: on to the next block
            op(LOAD, FIRST_ARGUMENT, 0, 0),
            op(HAS_BIT, libc::CLONE_NEWCGROUP as u32, 0, 2),
            op(RETURN, ERRNO | libc::EPERM as u32, 0, 0),
            op(RETURN, ERRNO | libc::ENOSYS as u32, 0, 0),
        ]);
    }
    if !program.is_empty() {
        program.push(op(RETURN, ALLOW, 0, 0));
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn verdict(arch: u32, number: u32, argument: u32) -> u32 {
        let program = program();
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let op = &program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { op.jt } else { op.jf });
            match op.code {
                LOAD => {
                    accumulator = match op.k {
                        NUMBER => number,
                        ARCHITECTURE => arch,
                        FIRST_ARGUMENT => argument,
                        other => panic!("offset {other}"),
                    }
                }
                EQUAL => at += jump(accumulator == op.k),
                HAS_BIT => at += jump(accumulator & op.k != 0),
                RETURN => return op.k,
                other => panic!("op {other:#x}"),
            }
        }
    }

    #[test]
    fn only_cgroup_namespaces_are_denied_whatever_the_calling_convention() {
        let cgroup = libc::CLONE_NEWCGROUP as u32;
        let user = libc::CLONE_NEWUSER as u32;
        for arch in &ARCHES {
            assert_eq!(verdict(arch.audit, arch.unshare, cgroup | user), ERRNO | libc::EPERM as u32);
            assert_eq!(verdict(arch.audit, arch.clone, cgroup), ERRNO | libc::EPERM as u32);
            assert_eq!(verdict(arch.audit, arch.unshare, user), ALLOW);
            assert_eq!(verdict(arch.audit, arch.clone, libc::SIGCHLD as u32), ALLOW);
            assert_eq!(verdict(arch.audit, arch.clone3, 0), ERRNO | libc::ENOSYS as u32);
            assert_eq!(verdict(arch.audit, 1, cgroup), ALLOW);
        }
    }
}
