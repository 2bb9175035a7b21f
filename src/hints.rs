//! What to say about a command that cannot do here what its user thinks: from its name and arguments alone.
//!
//! Pure; looks at nothing but the words. Refuses: guessing about programs that are not named here.

pub mod failure;

use std::path::Path;

use crate::{
    event::{Status, Step},
    heap::{self, Heap},
    sandbox::descriptors::Refused,
};

/// Programs that start their work in another process tree, which no limit of ours reaches, and what to use instead.
const ELSEWHERE: [(&str, &str); 8] = [
    ("docker", "docker run -m SIZE …"),
    ("podman", "podman run -m SIZE …"),
    ("nerdctl", "nerdctl run -m SIZE …"),
    ("kubectl", "resources.limits.memory in the pod's spec"),
    ("systemctl", "systemctl set-property UNIT MemoryMax=SIZE"),
    ("systemd-run", "systemd-run -p MemoryMax=SIZE …"),
    ("machinectl", "systemctl set-property machine-NAME.scope MemoryMax=SIZE"),
    ("at", "sandtop run … inside the job itself"),
];

/// What to say before the command starts.
pub fn before(argv: &[String]) -> Vec<String> {
    let name = name(argv);
    // podman's own options stand before its command; what follows may be the container's.
    let own = argv.iter().skip(1).take_while(|word| word.starts_with('-'));
    if name == "podman" && !own.into_iter().any(|word| ["--remote", "--remote=true", "-r"].contains(&word.as_str())) {
        return Vec::new(); // without a daemon its containers are its own children
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(n, _)| *n == name) {
        return vec![format!(
            "{name} starts its work elsewhere, outside this sandbox and its limit; use instead: {instead}"
        )];
    }
    Vec::new()
}

/// What to say of descriptors that are not handed on, where the command names them.
pub fn closed(argv: &[String], refused: &[Refused]) -> Vec<String> {
    let names = |fd: i32| {
        let number = fd.to_string();
        argv.iter().any(|word| {
            let tail = word.rsplit(['/', '=']).next().unwrap_or(word);
            tail == number && (word == tail || word.contains("fd"))
        })
    };
    let said = |(fd, what): &Refused| {
        format!("descriptor {fd} is not handed on: it is {what}, through which the command could reach past its limit")
    };
    refused.iter().filter(|(fd, _)| names(*fd)).map(said).collect()
}

/// What to say of a lower limit to a program that sized its heap at its start, by its name and command line: it will not collect more for it.
pub fn sized_at_start(name: &str, command: &str) -> Option<String> {
    let program = heap::program(name, command)?;
    let by = match program {
        "java" => "by the limit, or by -Xmx",
        _ => "by the limit, or by --max-old-space-size",
    };
    Some(format!("{program} sized its heap at its start ({by}): a lower limit will not make it collect"))
}

/// What to say about an end that surprises.
pub fn at_end(argv: &[String], status: &Status) -> Option<String> {
    match status {
        Status::Exited(0) => after(argv),
        Status::FailedToStart(failure) if failure.step == Step::Exec && failure.errno == nix::libc::ENOENT => {
            not_found(argv)
        }
        _ => None,
    }
}

/// How a program stood to the ceiling of its own heap.
#[derive(Clone, Copy, Debug)]
pub enum OwnHeap<'a> {
    /// It had about as much as fits.
    Full(&'a Heap),
    /// It had less.
    Roomy,
    /// Nothing says where that is of this program ([`heap::program`]), and it had enough to have
    /// met one.
    Unknown(&'static str),
}

/// What to say about an end for want of memory, where the command sized itself by something else than the limit. `killed`: by the OOM killer.
pub fn sized_by_itself(argv: &[String], status: &Status, killed: bool, heap: OwnHeap) -> Option<String> {
    let buffer = |word: &String| word.starts_with("-S") || word.starts_with("--buffer-size");
    match (name(argv).as_str(), status, heap) {
        ("sort", ..) if killed && !argv.iter().any(buffer) => {
            Some("sort takes a buffer by the machine's memory, and not by the limit: sort -S SIZE says how much".into())
        }
        // The main process, or one that a script or a package manager started.
        (_, Status::Exited(1..) | Status::Signalled(6), OwnHeap::Full(heap)) if !killed => Some(heap.was_full()),
        (_, Status::Exited(1..), OwnHeap::Unknown("java")) if !killed => Some(
            "java's heap has a ceiling of its own, set at its start by the limit that it saw (-XX:MaxRAMPercentage, -Xmx): it can be full before the limit is met"
                .into(),
        ),
        // V8 ends itself by SIGABRT where its heap is full; a shell gives that on as 134.
        (_, Status::Signalled(6) | Status::Exited(134), OwnHeap::Unknown("node")) if !killed => Some(
            "node's heap has a ceiling of its own, set at its start: by default half of the limit that it saw, at least 256M and at most 2G, or 4G from 15G on (--max-old-space-size): it can be full before the limit is met"
                .into(),
        ),
        _ => None,
    }
}

/// What to say when the command ended well and yet did nothing.
fn after(argv: &[String]) -> Option<String> {
    let has = |short: &str, long: &str| {
        argv.iter()
            .any(|w| w == long || w.starts_with(&format!("{long}=")) || (w.starts_with(short) && !w.starts_with("--")))
    };
    let tuned = |option: &str| argv.iter().any(|w| w == option || w.starts_with(&format!("{option}=")));
    match name(argv).as_str() {
        "stress" if !has("-m", "--vm") && (tuned("--vm-bytes") || tuned("--vm-keep") || tuned("--vm-hang")) => {
            Some("stress started no worker: --vm-bytes says how much each of them takes, -m N says how many there are; add -m 1".into())
        }
        "stress-ng" if !has("-m", "--vm") && (tuned("--vm-bytes") || tuned("--vm-keep")) => {
            Some("stress-ng started no vm worker: --vm-bytes says how much they take, --vm N says how many there are; add --vm 1".into())
        }
        _ => None,
    }
}

/// What to say when a command was not found.
fn not_found(argv: &[String]) -> Option<String> {
    match name(argv).as_str() {
        "stress" => Some(
            "install it (apt install stress, dnf install stress), or see the same story without it: sandtop demo"
                .into(),
        ),
        "stress-ng" => Some("install it: apt install stress-ng, dnf install stress-ng".into()),
        _ if is_a_line(argv) => Some("a whole line is for a shell: sandtop run -- sh -c 'LINE'".into()),
        name => {
            meant(name).map(|meant| format!("sandtop has a command of its own that is called {meant}: sandtop {meant}"))
        }
    }
}

/// sandtop's own commands.
const COMMANDS: [&str; 9] = ["run", "demo", "replay", "report", "doctor", "config", "clean", "completions", "man"];

/// The command of sandtop's own that was meant by a word like it.
fn meant(word: &str) -> Option<&'static str> {
    let near = |name: &str| distance(word, name) <= if name.len() > 4 { 2 } else { 1 };
    COMMANDS.into_iter().filter(|name| name.len() > 3 && near(name)).min_by_key(|name| distance(word, name))
}

/// How many letters have to be changed, left out, added, or exchanged with the next one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Whether the only word is a line of several, as a shell takes it: `cat /etc/passwd`.
fn is_a_line(argv: &[String]) -> bool {
    let [line] = argv else { return false };
    // A program whose path has a space in it is named by its path.
    line.split_once(' ').is_some_and(|(first, _)| !first.contains('/') || Path::new(first).is_file())
}

fn name(argv: &[String]) -> String {
    let first = argv.first().map(Path::new).and_then(Path::file_name);
    first.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn commands_that_work_elsewhere_are_told_what_to_use() {
        for line in [
            "docker run x",
            "/usr/bin/docker ps",
            "podman --remote run x",
            "kubectl get pods",
            "systemctl start x",
            "systemd-run x",
        ] {
            let said = before(&argv(line));
            assert!(said.len() == 1 && said[0].contains("use instead"), "{line}: {said:?}");
        }
        assert_eq!(before(&argv("podman run x")), Vec::<String>::new());
        assert_eq!(before(&argv("podman run alpine ls -r")), Vec::<String>::new());
        assert_eq!(before(&argv("stress -m 1")), Vec::<String>::new());
    }

    #[test]
    fn a_descriptor_that_is_closed_is_told_where_the_command_names_it() {
        let refused = [(7, "the directory /x".to_string())];
        for line in ["cat /dev/fd/7", "flock 7", "gpg --passphrase-fd 7", "x --fd=7", "cat /proc/self/fd/7"] {
            assert_eq!(closed(&argv(line), &refused).len(), 1, "{line}");
        }
        for line in ["cat /dev/fd/77", "ls /etc/7", "ls", "make -j7"] {
            assert_eq!(closed(&argv(line), &refused).len(), 0, "{line}");
        }
    }

    #[test]
    fn programs_that_sized_their_heap_at_the_start_are_known() {
        for (name, command) in [
            ("java", "java -jar x.jar"),
            ("node", "/usr/bin/node server.js"),
            ("MainThread", "node server.js"),
            ("node-MainThread", "node server.js"),
        ] {
            assert!(sized_at_start(name, command).unwrap().contains("will not make it collect"), "{command}");
        }
        assert_eq!(sized_at_start("python3", "python3 node.py"), None);
        // A shell only names the variable; the program that reads it does not show it.
        assert_eq!(sized_at_start("sh", "sh -c GOMEMLIMIT=50MiB ./server"), None);
        assert_eq!(sized_at_start("MainThread", "something else"), None);
    }

    #[test]
    fn a_whole_line_is_known_whatever_its_words_are() {
        let said = |line: &str| not_found(&[line.to_string()]);
        for line in ["ls -l", "cat /etc/passwd", "/bin/sh -c true"] {
            assert!(said(line).is_some_and(|text| text.starts_with("a whole line")), "{line}");
        }
        for line in ["/opt/My Program/run", "no-such-program"] {
            assert_eq!(said(line), None, "{line}");
        }
    }

    #[test]
    fn a_command_of_sandtops_own_that_was_mistyped_is_known() {
        for (word, command) in [("dmeo", "demo"), ("reprot", "report"), ("doctr", "doctor"), ("cleen", "clean")] {
            assert_eq!(meant(word), Some(command), "{word}");
        }
        for word in ["stress", "mem", "rum", "deno", "x", "completely"] {
            assert!(!matches!(meant(word), Some("demo" | "man" | "run")) || word == "deno", "{word}");
        }
        assert_eq!(meant("no-such-command"), None);
    }

    #[test]
    fn stress_without_workers_is_told_what_is_missing() {
        assert!(after(&argv("stress --vm-bytes 200m")).unwrap().contains("-m 1"));
        for line in [
            "stress --vm-bytes 200m -m 1",
            "stress --vm 1 --vm-bytes 200m",
            "stress -m1 --vm-keep",
            "stress -c 1",
            "ls --vm-bytes",
        ] {
            assert_eq!(after(&argv(line)), None, "{line}");
        }
    }

    #[test]
    fn a_heap_is_blamed_where_it_was_full_and_not_for_whatever_else_went_wrong() {
        let heap = heap::ceiling("node", "node --max-old-space-size=100 x.js", None, crate::units::Limit::Max).unwrap();
        let said = |line: &str, status, killed, heap| sized_by_itself(&argv(line), &status, killed, heap);
        // V8 ends itself by SIGABRT.
        let full = said("node --max-old-space-size=100 x.js", Status::Signalled(6), false, OwnHeap::Full(&heap));
        assert!(full.is_some_and(|text| text.starts_with("node's heap ends at 100M (--max-old-space-size=100)")));
        assert!(said("java Fill", Status::Exited(1), false, OwnHeap::Unknown("java")).is_some());
        assert!(said("sh build.sh", Status::Exited(1), false, OwnHeap::Unknown("java")).is_some(), "a child's");
        for (line, status) in [("node x.js", Status::Signalled(6)), ("sh -c 'node x.js'", Status::Exited(134))] {
            let text = said(line, status, false, OwnHeap::Unknown("node")).expect("a hint");
            assert!(text.starts_with("node's heap has a ceiling of its own"), "{text}");
        }
        assert!(said("sh -c x", Status::Exited(134), false, OwnHeap::Full(&heap)).is_some(), "a child's");
        assert!(said("npm test", Status::Exited(1), false, OwnHeap::Full(&heap)).is_some(), "a child's");
        for (line, status, killed, heap) in [
            ("java Fill", Status::Exited(1), false, OwnHeap::Roomy),
            ("java Fill", Status::Exited(0), false, OwnHeap::Full(&heap)),
            ("java Fill", Status::Signalled(9), true, OwnHeap::Full(&heap)),
            ("java Fill", Status::Signalled(9), true, OwnHeap::Unknown("java")),
            ("node x.js", Status::Exited(1), false, OwnHeap::Unknown("node")),
            ("node x.js", Status::Signalled(6), true, OwnHeap::Unknown("node")),
        ] {
            assert_eq!(said(line, status, killed, heap), None, "{line}");
        }
    }
}
