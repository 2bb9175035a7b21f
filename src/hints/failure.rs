//! What to say when a command has failed for want of a right that the sandbox takes away. Said after the failure, and never before: the same
//! command may do without.

use std::path::Path;

use rustix::thread::CapabilitySet;

use super::name;
use crate::sandbox::privileges::DROPPED;

/// What of the world and of the sandbox bears on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The uid that the command runs with.
    pub uid: u32,
    /// Whether its file raises rights: set-user-id, or with capabilities.
    pub file_raises: bool,
    /// Whether it may (`--allow-new-privs`).
    pub may_raise: bool,
    /// Capabilities that were given back, as bits.
    pub added: u64,
    /// Whether it talks to an X server, by the libraries that its file names, and there is one.
    pub is_x_client: bool,
    /// Whether IPC is fresh.
    pub fresh_ipc: bool,
}

/// Programs that root uses with a capability that the sandbox drops, by the capability's name.
const NEEDS: [(&str, &[&str]); 10] = [
    (
        "SYS_ADMIN",
        &[
            "mount",
            "umount",
            "unshare",
            "nsenter",
            "bwrap",
            "losetup",
            "swapon",
            "swapoff",
            "podman",
            "buildah",
            "runc",
            "crun",
            "systemd-nspawn",
            "firejail",
            "pivot_root",
            "keyctl",
            "fsck",
            "bpftrace",
        ],
    ),
    ("SYS_NICE", &["chrt", "renice", "ionice", "taskset"]),
    ("NET_ADMIN", &["ip", "iptables", "nft", "tc", "ifconfig", "wg", "brctl"]),
    ("PERFMON", &["perf"]),
    ("SYS_MODULE", &["modprobe", "insmod", "rmmod"]),
    ("SYS_TIME", &["date", "hwclock", "ntpdate", "chronyd"]),
    ("SYS_BOOT", &["reboot", "poweroff", "halt", "kexec"]),
    ("MKNOD", &["mknod"]),
    ("SYSLOG", &["dmesg"]),
    ("SYS_PTRACE", &["gdb", "strace", "ltrace"]),
];

/// What to say if this command fails.
pub fn on_failure(argv: &[String], rights: &Rights) -> Vec<String> {
    let name = name(argv);
    let lacks = |capability: &str| {
        let bits = DROPPED.iter().find(|(n, _)| *n == capability).map_or(0, |(_, set)| set.bits());
        rights.added & bits == 0
    };
    let mut said = Vec::new();
    if rights.file_raises && !rights.may_raise && rights.uid != 0 {
        said.push(format!(
            "{name} takes its rights from its file (set-user-id, or capabilities), which is denied in here (no_new_privs): --allow-new-privs lets it; or start as another user: sandtop -u USER -- COMMAND"
        ));
    }
    let needs = NEEDS.iter().find(|(capability, names)| names.contains(&name.as_str()) && lacks(capability));
    if let Some((capability, _)) = needs.filter(|_| rights.uid == 0) {
        said.push(format!(
            "{name} may have needed CAP_{capability}, which a sandbox has not: --cap-add {capability} gives it back{}",
            price(capability)
        ));
    }
    if rights.is_x_client && rights.fresh_ipc {
        said.push("a client of an X server shares memory with it (MIT-SHM), and the sandbox has an IPC of its own: --unshare uts shares the host's".into());
    }
    said
}

/// What to say of a niceness that was not given, though the command went on without.
pub fn not_nicer(argv: &[String], rights: &Rights) -> Option<String> {
    let is_negative = |word: &str| word.parse::<i32>().is_ok_and(|n| n < 0);
    let asked =
        argv.windows(2).take(3).any(|pair| ["-n", "--adjustment"].contains(&pair[0].as_str()) && is_negative(&pair[1]))
            || argv
                .iter()
                .take(3)
                .filter_map(|word| word.strip_prefix("--adjustment=").or(word.strip_prefix("-n")))
                .any(is_negative);
    let lacks = rights.added & CapabilitySet::SYS_NICE.bits() == 0;
    (name(argv) == "nice" && asked && lacks && rights.uid == 0).then(|| {
        format!(
            "a niceness below 0 takes CAP_SYS_NICE, which a sandbox has not: --cap-add SYS_NICE gives it back{}",
            price("SYS_NICE")
        )
    })
}

/// What it means to give it back.
fn price(capability: &str) -> &'static str {
    match capability {
        "SYS_NICE" => " (the command can then hold back the sandbox's own init)",
        _ => " (the sandbox holds then only against accidents)",
    }
}

/// Whether a file names a library with which programs talk to an X server.
pub fn names_x(file: &[u8]) -> bool {
    const LIBRARIES: [&[u8]; 4] = [b"libX11.so", b"libxcb.so", b"libgtk-", b"libQt"];
    file.starts_with(b"\x7fELF") && LIBRARIES.iter().any(|name| file.windows(name.len()).any(|bytes| bytes == *name))
}

/// A server that runs already, outside of the sandbox, and does what its client asks for; and what starts one inside.
const SERVERS: [(&str, &str, &str); 6] = [
    ("tmux", "tmux: server", "tmux -L sandtop starts one in here"),
    ("screen", "SCREEN", "screen -S NAME -D -m COMMAND starts one in here; what is attached to stays outside"),
    ("gradle", "GradleDaemon", "gradle --no-daemon does the work itself"),
    ("bazel", "A-server.jar", "bazel --batch does the work itself; or first: bazel shutdown"),
    ("sccache", "sccache", "sccache --stop-server before; the compiler itself runs in that server"),
    ("emacsclient", "emacs", "emacs itself edits in here"),
];

/// What marks the server of this command among the commands that run, and what to say if it is there.
pub fn server_of(argv: &[String]) -> Option<(&'static str, String)> {
    let name = name(argv);
    let has_own = argv.iter().any(|word| ["-L", "-S", "--no-daemon", "--batch"].contains(&word.as_str()));
    let (client, marker, instead) = SERVERS.iter().find(|(client, ..)| Path::new(client) == Path::new(&name))?;
    let said = format!(
        "a server of {client} runs already, outside of this sandbox: what it does for {client} is not under the limit; {instead}"
    );
    (!has_own).then_some((marker, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    fn said(line: &str, rights: &Rights) -> String {
        on_failure(&argv(line), rights).join("\n")
    }

    #[test]
    fn what_would_have_helped_is_named_and_only_where_it_was_lacking() {
        let root = Rights { fresh_ipc: true, ..Rights::default() };
        assert!(said("/usr/bin/bwrap --bind / / true", &root).contains("--cap-add SYS_ADMIN"));
        assert!(said("chrt -f 1 true", &root).contains("--cap-add SYS_NICE"));
        assert_eq!(said("false", &root), "");
        let added = Rights { added: CapabilitySet::SYS_ADMIN.bits(), ..root.clone() };
        assert_eq!(said("mount x", &added), "");
        // Root's own su works: its file raises nothing that it had not.
        let su = Rights { file_raises: true, ..root.clone() };
        assert_eq!(said("su nobody -c id", &su), "");
        let nobody = Rights { uid: 65534, ..su };
        assert!(said("ping 127.0.0.1", &nobody).contains("--allow-new-privs"));
        assert_eq!(said("ping x", &Rights { may_raise: true, ..nobody.clone() }), "");
        assert!(said("xterm", &Rights { is_x_client: true, ..root.clone() }).contains("--unshare uts"));
        assert_eq!(said("xterm", &Rights { is_x_client: true, fresh_ipc: false, ..root.clone() }), "");
        for line in ["nice -n -5 true", "nice --adjustment=-5 true", "nice -n-5 true"] {
            assert!(not_nicer(&argv(line), &root).is_some(), "{line}");
        }
        for line in ["nice -n 5 true", "nice true -5", "echo -n -5"] {
            assert_eq!(not_nicer(&argv(line), &root), None, "{line}");
        }
    }

    #[test]
    fn a_server_outside_is_known_by_its_client() {
        assert_eq!(server_of(&argv("/usr/bin/tmux new")).unwrap().0, "tmux: server");
        assert_eq!(server_of(&argv("tmux -L own new")), None);
        assert_eq!(server_of(&argv("gradle --no-daemon build")), None);
        assert_eq!(server_of(&argv("make")), None);
    }

    #[test]
    fn a_program_that_talks_to_x_is_known_by_what_it_is_linked_to() {
        assert!(names_x(b"\x7fELF...libX11.so.6\0libc.so.6"));
        assert!(!names_x(b"\x7fELF...libc.so.6") && !names_x(b"#!/bin/sh libX11.so"));
    }
}
