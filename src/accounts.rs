//! Users and groups of this machine: `/etc/passwd` and `/etc/group`, then getent(1) and id(1).
//!
//! Not getpwnam(3): in a static binary glibc loads the services of nsswitch.conf from whatever libc is installed, and crashes where that is
//! another one; musl knows the two files alone.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::error::{Error, Result};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The group id of the user's own group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

/// The user with this name.
pub fn user_by_name(name: &str) -> Option<User> {
    let bytes = name.as_bytes();
    entry("/etc/passwd", "passwd", name, |fields| fields.first() == Some(&bytes)).and_then(|line| parse_user(&line))
}

/// The user with this id.
pub fn user_by_id(uid: u32) -> Option<User> {
    let key = uid.to_string();
    entry("/etc/passwd", "passwd", &key, |fields| fields.get(2) == Some(&key.as_bytes()))
        .and_then(|line| parse_user(&line))
}

/// The id of the group with this name.
pub fn group_by_name(name: &str) -> Option<u32> {
    let bytes = name.as_bytes();
    let line = entry("/etc/group", "group", name, |fields| fields.first() == Some(&bytes))?;
    number(line.split(|b| *b == b':').nth(2)?)
}

/// All groups of a user, the own one among them.
///
/// # Errors
/// When id(1) does not tell them: fewer groups than a user has would be another user.
pub fn groups_of(user: &User) -> Result<Vec<u32>> {
    let failed = |why: &str| {
        Error::new(format!(
            "cannot tell the groups of '{0}': id -G {0}: {why}; or give one, as in -u {0}:GROUP",
            user.name
        ))
    };
    let output = Command::new("id").args(["-G", "--", &user.name]).stdin(Stdio::null()).output();
    let output = output.map_err(|e| failed(&e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let groups: Option<Vec<u32>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    match groups.filter(|groups| output.status.success() && !groups.is_empty()) {
        Some(groups) => Ok(groups),
        None => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// A line of the file whose fields fit, else what getent(1) says of the key.
fn entry(file: &str, database: &str, key: &str, fits: impl Fn(&[&[u8]]) -> bool) -> Option<Vec<u8>> {
    let find = |text: &[u8]| {
        let mut lines = text.split(|b| *b == b'\n');
        lines.find(|line| fits(&line.split(|b| *b == b':').collect::<Vec<_>>())).map(<[u8]>::to_vec)
    };
    if let Some(line) = fs::read(file).ok().as_deref().and_then(find) {
        return Some(line);
    }
    let command = Command::new("getent").args([database, "--", key]).stdin(Stdio::null()).output();
    find(&command.ok()?.stdout)
}

/// `NAME:PASSWORD:UID:GID:COMMENT:HOME:SHELL` (passwd(5)).
fn parse_user(line: &[u8]) -> Option<User> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    let name = String::from_utf8(name.to_vec()).ok()?;
    let home = PathBuf::from(OsString::from_vec(home.to_vec()));
    Some(User { name, uid: number(uid)?, gid: number(gid)?, home })
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_id_with_its_groups() {
        let root = user_by_name("root").expect("every machine has one");
        assert_eq!((root.uid, root.gid, root.home.to_str()), (0, 0, Some("/root")));
        assert_eq!(user_by_id(0), Some(root.clone()));
        assert_eq!(group_by_name("root"), Some(0));
        assert_eq!(groups_of(&root).unwrap().first(), Some(&0));
    }

    #[test]
    fn nobody_is_made_up_for_a_name_that_there_is_not() {
        for name in ["no-such-user", "", "--help", "root:x", "a\nb", "4294967294x"] {
            assert_eq!((user_by_name(name), group_by_name(name)), (None, None), "{name:?}");
        }
        assert_eq!(user_by_id(4_123_456_789), None);
        let made_up = User { name: "no-such-user".into(), uid: 7, gid: 7, home: "/".into() };
        let e = groups_of(&made_up).unwrap_err().to_string();
        assert!(e.contains("-u no-such-user:GROUP"), "{e}");
    }

    #[test]
    fn a_line_that_is_no_entry_is_none() {
        assert_eq!(parse_user(b"a:x:1:2::/home/a:/bin/sh").map(|user| user.uid), Some(1));
        for line in ["", "a", "a:x:1:2", "a:x:-1:2::/:", "a:x:1:99999999999::/:", "+::::::"] {
            assert_eq!(parse_user(line.as_bytes()), None, "{line}");
        }
    }
}
