//! The system calls that the sandbox denies: those with which a workload could reach its limit, have
//! the kernel work outside, keep memory that no group is charged for, or disturb init and the
//! user's terminal.
//!
//! Everything else is allowed, `unshare -Ur` included. Docker's profile denies most of these too.

use nix::libc;
use rustix::thread::CapabilitySet;

/// What is denied of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The call.
    Always,
    /// The call, as if this kernel had none: C libraries then use the older one.
    NotThere,
    /// The call with any of these bits in its first argument.
    WithFlags(u32),
    /// The call with one of these numbers as its second argument.
    WithRequest(&'static [u32]),
    /// The call about process 1, with a third argument that is not NULL.
    ChangesInit,
}

/// A call that is denied.
struct Denied {
    /// Its number in each of [`ABIS`].
    numbers: [u32; ABIS.len()],
    rule: Rule,
    /// The capability with which it is allowed (`--cap-add`).
    unless: Option<CapabilitySet>,
}

const fn always(numbers: [u32; ABIS.len()]) -> Denied {
    Denied { numbers, rule: Rule::Always, unless: None }
}

const fn denied(numbers: [u32; ABIS.len()], rule: Rule) -> Denied {
    Denied { numbers, rule, unless: None }
}

const fn unless(capability: CapabilitySet, numbers: [u32; ABIS.len()]) -> Denied {
    Denied { numbers, rule: Rule::Always, unless: Some(capability) }
}

/// A fresh cgroup namespace, owned by a fresh user namespace, is the one way in which a workload
/// could mount cgroup file systems writable: those of its own group, and in every hierarchy that
/// sandtop does not use those of the host's very root. From there it could freeze init, move it into
/// the limited group, or leave groups behind on the host.
const IN_CGROUP_NAMESPACE: Rule = Rule::WithFlags(libc::CLONE_NEWCGROUP as u32);

/// TIOCSTI puts input into the terminal that whoever reads it next takes as typed: the user's shell,
/// on a terminal that is shared with it. TIOCLINUX pastes on a console.
const TYPES_INTO_TERMINAL: Rule = Rule::WithRequest(&[0x5412, 0x541c]);

/// The calling conventions that a 64-bit kernel takes, by `AUDIT_ARCH_*`: its own, that of x32 (its
/// own numbers with a bit set, but for some) and the 32-bit one.
#[cfg(target_arch = "x86_64")]
const ABIS: [u32; 3] = [0xc000_003e, 0xc000_003e, 0x4000_0003];

/// The numbers in `arch/x86/entry/syscalls/syscall_64.tbl` and `syscall_32.tbl`.
#[cfg(target_arch = "x86_64")]
const DENIED: [Denied; 12] = [
    denied([272, X32 | 272, 310], IN_CGROUP_NAMESPACE), // unshare
    denied([56, X32 | 56, 120], IN_CGROUP_NAMESPACE),   // clone
    // clone3 has its flags in memory, where no filter can look.
    denied([435, X32 | 435, 435], Rule::NotThere),
    // request_key has the kernel start /sbin/request-key outside; keys are charged to no group.
    always([249, X32 | 249, 287]),
    always([248, X32 | 248, 286]),                     // add_key
    always([250, X32 | 250, 288]),                     // keyctl
    always([163, X32 | 163, 51]),                      // acct: the kernel writes a file for the whole host
    always([153, X32 | 153, 111]),                     // vhangup ends the session on a terminal that is shared
    denied([16, X32 | 514, 54], TYPES_INTO_TERMINAL),  // ioctl
    denied([302, X32 | 302, 340], Rule::ChangesInit),  // prlimit64: a limit of CPU time ends init
    unless(CapabilitySet::BPF, [321, X32 | 321, 357]), // bpf
    // The buffers of perf_event_open are charged to no group, and root may have any number.
    unless(CapabilitySet::PERFMON, [298, X32 | 298, 336]),
];
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

#[cfg(target_arch = "aarch64")]
const ABIS: [u32; 2] = [0xc000_00b7, 0x4000_0028];

/// The numbers in `include/uapi/asm-generic/unistd.h` and `arch/arm/tools/syscall.tbl`; in the same
/// order as those of x86-64.
#[cfg(target_arch = "aarch64")]
const DENIED: [Denied; 12] = [
    denied([97, 337], IN_CGROUP_NAMESPACE),
    denied([220, 120], IN_CGROUP_NAMESPACE),
    denied([435, 435], Rule::NotThere),
    always([218, 310]),
    always([217, 309]),
    always([219, 311]),
    always([89, 51]),
    always([58, 111]),
    denied([29, 54], TYPES_INTO_TERMINAL),
    denied([261, 369], Rule::ChangesInit),
    unless(CapabilitySet::BPF, [280, 386]),
    unless(CapabilitySet::PERFMON, [241, 364]),
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ABIS: [u32; 0] = [];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const DENIED: [Denied; 0] = [];

// Offsets in struct seccomp_data (include/uapi/linux/seccomp.h). Arguments are 64 bits each, and
// little-endian here.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The low half of an argument, all that the kernel itself looks at where it is an int.
const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

const fn high(argument: u32) -> u32 {
    low(argument) + 4
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const HAS_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const NOT_PERMITTED: u32 = 0x0005_0000 | libc::EPERM as u32; // SECCOMP_RET_ERRNO
const NOT_THERE: u32 = 0x0005_0000 | libc::ENOSYS as u32;

const fn op(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

impl Rule {
    /// What decides once the call is known.
    fn body(self) -> Vec<libc::sock_filter> {
        let (deny, allow) = (op(RETURN, NOT_PERMITTED, 0, 0), op(RETURN, ALLOW, 0, 0));
        match self {
            Rule::Always => vec![deny],
            Rule::NotThere => vec![op(RETURN, NOT_THERE, 0, 0)],
            Rule::WithFlags(flags) => vec![op(LOAD, low(0), 0, 0), op(HAS_BIT, flags, 0, 1), deny, allow],
            Rule::WithRequest(numbers) => {
                let denied = numbers.iter().flat_map(|number| [op(EQUAL, *number, 0, 1), deny]);
                [op(LOAD, low(1), 0, 0)].into_iter().chain(denied).chain([allow]).collect()
            }
            Rule::ChangesInit => vec![
                op(LOAD, low(0), 0, 0),
                op(EQUAL, 1, 0, 4),
                op(LOAD, low(2), 0, 0),
                op(EQUAL, 0, 0, 3),
                op(LOAD, high(2), 0, 0),
                op(EQUAL, 0, 0, 1),
                allow,
                deny,
            ],
        }
    }
}

/// The filter as a classic BPF program, for a workload that keeps these capabilities; empty on an
/// architecture whose numbers are not known here.
pub fn program(kept: CapabilitySet) -> Vec<libc::sock_filter> {
    let mut program = Vec::new();
    for (n, abi) in ABIS.iter().enumerate() {
        let mut block = vec![op(LOAD, NUMBER, 0, 0)];
        for denied in DENIED.iter().filter(|denied| denied.unless.is_none_or(|needed| !kept.contains(needed))) {
            let body = denied.rule.body();
            block.push(op(EQUAL, denied.numbers[n], 0, body.len() as u8));
            block.extend(body);
        }
        program.extend([op(LOAD, ARCHITECTURE, 0, 0), op(EQUAL, *abi, 0, block.len() as u8)]);
        program.extend(block); // a call that is not in it goes on to the next block
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
    fn verdict(kept: CapabilitySet, abi: u32, number: u32, arguments: [u64; 3]) -> u32 {
        let program = program(kept);
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let op = &program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { op.jt } else { op.jf });
            match op.code {
                LOAD => {
                    accumulator = match op.k {
                        NUMBER => number,
                        ARCHITECTURE => abi,
                        at => {
                            let argument = arguments[(at as usize - 16) / 8];
                            if at % 8 == 4 { (argument >> 32) as u32 } else { argument as u32 }
                        }
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
    fn what_is_denied_is_denied_whatever_the_calling_convention() {
        let none = CapabilitySet::empty();
        let (cgroup, user) = (libc::CLONE_NEWCGROUP as u64, libc::CLONE_NEWUSER as u64);
        for (n, abi) in ABIS.iter().enumerate() {
            let said = |call: usize, arguments| verdict(none, *abi, DENIED[call].numbers[n], arguments);
            let [unshare, clone, clone3, request_key, ioctl, prlimit] = [0, 1, 2, 3, 8, 9];
            for call in [unshare, clone] {
                assert_eq!(said(call, [cgroup | user, 0, 0]), NOT_PERMITTED);
                assert_eq!(said(call, [user, 0, 0]), ALLOW);
            }
            assert_eq!(said(clone3, [0, 0, 0]), NOT_THERE);
            assert_eq!(said(request_key, [0, 0, 0]), NOT_PERMITTED);
            for (request, expected) in [(0x5412, NOT_PERMITTED), (0x541c, NOT_PERMITTED), (0x5401, ALLOW)] {
                assert_eq!(said(ioctl, [0, request, 0]), expected, "{request:#x}");
                assert_eq!(said(ioctl, [0, request | 1 << 32, 0]), expected, "the kernel takes 32 bits");
            }
            for (pid, limit, expected) in [
                (1, 0, ALLOW),
                (1, 0x7fff, NOT_PERMITTED),
                (1, 1 << 32, NOT_PERMITTED),
                (1 << 32 | 1, 8, NOT_PERMITTED),
                (0, 8, ALLOW),
                (2, 8, ALLOW),
            ] {
                assert_eq!(said(prlimit, [pid, 0, limit]), expected, "{pid} {limit:#x}");
            }
            let number = DENIED[11].numbers[n];
            assert_eq!(verdict(none, *abi, number, [0; 3]), NOT_PERMITTED);
            assert_eq!(verdict(CapabilitySet::PERFMON, *abi, number, [0; 3]), ALLOW);
        }
        assert_eq!(verdict(none, ABIS[0], 2, [cgroup, 0x5412, 1]), ALLOW);
        assert_eq!(verdict(none, 0xdead, DENIED[3].numbers[0], [0; 3]), ALLOW, "another architecture's");
    }
}
