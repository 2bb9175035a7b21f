//! What a program in the pane finds in its environment about its terminal.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

/// What the pane can do, as terminfo calls it.
const TERM: &str = "TERM=xterm-256color";

/// The environment for the pane: what it would say of the user's terminal is said of the pane, or not at all. What the user chose (`-e`), and so
/// is not what sandtop itself has, stays.
pub fn environment(env: Vec<OsString>, ours: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let chosen = |name: &str, entry: &OsString| {
        let value = entry.as_bytes().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.map(|value| ours(name).as_deref() != Some(OsStr::from_bytes(value)))
    };
    let inherited =
        |entry: &OsString| ["TERM", "LINES", "COLUMNS"].iter().any(|name| chosen(name, entry) == Some(false));
    let mut env: Vec<OsString> = env.into_iter().filter(|entry| !inherited(entry)).collect();
    if env.iter().all(|entry| chosen("TERM", entry).is_none()) {
        env.push(TERM.into());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_the_pane_is_told_of_the_pane() {
        let ours = |name: &str| match name {
            "TERM" => Some("linux".into()),
            "LINES" => Some("50".into()),
            _ => None,
        };
        let made = |env: &[&str]| environment(env.iter().map(OsString::from).collect(), ours);
        assert_eq!(made(&["A=1", "TERM=linux", "LINES=50"]), ["A=1", TERM]);
        assert_eq!(made(&["TERM=dumb", "LINES=10", "TERMINFO=/x"]), ["TERM=dumb", "LINES=10", "TERMINFO=/x"]);
        assert_eq!(made(&[]), [TERM]);
    }
}
