//! What of the command's file bears on a failure of it, and whether a server of its runs outside.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::{
    hints::failure::{Rights, names_x, server_of},
    sandbox::{candidates, privileges::Privileges, spec::Namespaces},
};

/// So much of a file is looked at for the names of libraries, in bytes.
const LOOKED_AT: u64 = 4 << 20;

/// The rights of a command.
pub fn rights(
    command: &[OsString],
    env: &[OsString],
    uid: u32,
    privileges: &Privileges,
    namespaces: Namespaces,
) -> Rights {
    let file = command.first().into_iter().flat_map(|name| candidates(name, env)).find(|file| file.is_file());
    Rights {
        uid,
        file_raises: file.as_deref().is_some_and(raises),
        may_raise: privileges.allow_new,
        added: privileges.added,
        is_x_client: std::env::var_os("DISPLAY").is_some() && file.as_deref().is_some_and(talks_to_x),
        fresh_ipc: namespaces.ipc,
    }
}

/// Whether who runs a file gets more rights by it.
fn raises(file: &Path) -> bool {
    let set_id = fs::metadata(file).is_ok_and(|m| m.mode() & 0o6000 != 0);
    set_id || rustix::fs::getxattr(file, "security.capability", &mut [0u8; 64][..]).is_ok()
}

fn talks_to_x(file: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut bytes));
    read.is_ok() && names_x(&bytes)
}

/// What to say of a server that runs outside and does this command's work.
pub fn server_outside(shown: &[String]) -> Option<String> {
    let (marker, said) = server_of(shown)?;
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    let me = std::process::id().to_string();
    let others = processes.filter(|path| path.file_name().is_none_or(|name| *name != *me));
    // A server is known by its name, or by the class or the archive that it runs: a word that merely has the name in it is a file's.
    let is_it = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let ours = line.contains("sandtop"); // ourselves name it too, and whoever started us
        !ours && line.split('\0').any(|word| word.ends_with(marker))
            || fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == marker)
    };
    others.into_iter().any(|path| is_it(&path)).then_some(said)
}
