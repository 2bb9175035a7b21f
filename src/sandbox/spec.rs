//! What to launch: the one value that the re-exec'd init is given, and how it travels.
//!
//! It travels in a memfd: a small JSON header, then the strings, each ended by a NUL, exactly as `execve` will take them.

use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{Read, Seek, Write},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use serde::{Deserialize, Serialize};

use super::{mounts::MountPlan, privileges::Privileges};
use crate::{
    error::{Error, Result},
    event::Isolation,
};

/// Namespaces that the user can choose; pid, mount and cgroup are always fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Host name.
    pub uts: bool,
    /// System V IPC, POSIX message queues, and with them /dev/shm.
    pub ipc: bool,
    /// Network: with it there is only a loopback device.
    pub net: bool,
}

/// Where the workload's three streams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streams {
    /// To where sandtop's own go.
    Inherited,
    /// To a terminal of its own, open as this descriptor; the workload leads a session on it.
    Terminal(i32),
}

/// What to launch and how. Strings are without NULs (`OsString`s from the command line cannot hold one).
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// Everything that is no command.
    pub setup: Setup,
    /// The command and its arguments; never empty.
    pub argv: Vec<OsString>,
    /// Its environment, as `NAME=value`.
    pub env: Vec<OsString>,
}

/// The part of a [`Spec`] that is not strings for `execve`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Whether there are namespaces at all, and by whose right.
    pub isolation: Isolation,
    /// Which of them are fresh beside pid, mount and cgroup.
    pub namespaces: Namespaces,
    /// The host name inside, where it is to be another.
    pub hostname: Option<String>,
    /// The file systems of the sandbox.
    pub mounts: MountPlan,
    /// The user, and what is taken away.
    pub privileges: Privileges,
    /// The file to execute, where it is not the one that `argv[0]` names.
    pub program: Option<OsString>,
    /// The directory to start in. The current one is entered before the user changes (as sudo does), a chosen one after.
    pub workdir: OsString,
    /// Whether that directory was chosen.
    pub workdir_chosen: bool,
    /// The soft limit of open files that the workload gets: sandtop raises its own.
    pub open_files: u64,
    /// The workload's streams.
    pub streams: Streams,
    /// Whether its standard input is sandtop's own all the same: a pipe or a file.
    pub keep_stdin: bool,
    /// Descriptors above 2 that it gets, by these numbers.
    pub descriptors: Vec<i32>,
    /// Whether SIGCHLD was ignored when sandtop was started; the workload gets it back so.
    pub sigchld_ignored: bool,
    /// How readily the OOM killer takes the workload; `None` leaves it as it is.
    pub oom_score_adj: Option<i32>,
}

impl Spec {
    /// Writes the spec to a fresh memfd, positioned at its start.
    pub fn to_file(&self) -> Result<File> {
        let mut bytes = serde_json::to_vec(&(&self.setup, self.argv.len()))
            .map_err(|e| Error::new(format!("cannot write the launch spec: {e}")))?;
        bytes.push(0);
        for text in self.argv.iter().chain(&self.env) {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        let fd = rustix::fs::memfd_create("sandtop-spec", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|e| Error::sys("make a memfd", e))?;
        let mut file = File::from(fd);
        file.write_all(&bytes).and_then(|()| file.rewind()).map_err(|e| Error::sys("write the launch spec", e))?;
        Ok(file)
    }

    /// Reads a spec back.
    pub fn from_file(mut file: File) -> Result<Spec> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| Error::sys("read the launch spec", e))?;
        let broken = || Error::new("the launch spec is damaged");
        let mut parts = bytes.split(|b| *b == 0);
        let header = parts.next().and_then(|json| serde_json::from_slice(json).ok());
        let (setup, arguments): (Setup, usize) = header.ok_or_else(broken)?;
        let mut strings: Vec<OsString> = parts.map(|part| OsString::from_vec(part.to_vec())).collect();
        strings.pop(); // what follows the last NUL: nothing
        if arguments == 0 || arguments > strings.len() {
            return Err(broken());
        }
        let env = strings.split_off(arguments);
        Ok(Spec { setup, argv: strings, env })
    }
}

/// A string for a system call.
pub fn c_string(text: &OsStr) -> CString {
    let bytes: Vec<u8> = text.as_bytes().iter().copied().take_while(|b| *b != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_survives_the_way_to_init_byte_for_byte() {
        let spec = Spec {
            setup: Setup {
                isolation: Isolation::User { uid: 0, gid: 100 },
                namespaces: Namespaces { uts: true, ipc: true, net: false },
                hostname: Some("box".into()),
                mounts: MountPlan::default(),
                privileges: Privileges::default(),
                program: None,
                workdir: "/tmp/a b".into(),
                workdir_chosen: true,
                open_files: 1024,
                streams: Streams::Terminal(7),
                keep_stdin: true,
                descriptors: vec![63],
                sigchld_ignored: false,
                oom_score_adj: Some(-5),
            },
            argv: vec!["sh".into(), "".into(), OsString::from_vec(vec![0xff, b'\n', b' '])],
            env: vec!["A=1".into(), "EMPTY=".into()],
        };
        let back = Spec::from_file(spec.to_file().unwrap()).unwrap();
        assert_eq!(back, spec);
    }
}
