//! systemd: whether it is there, and what its own killer watches. One short question to systemctl, which has a time to answer in.

use std::{
    fs,
    io::Read,
    os::fd::AsFd,
    path::{Component, Path},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    cgroup::{Hierarchy, detect::systemd_booted, foresee, foresee::Home},
    doctor::facts::{Known, Oomd, Systemd, Watched},
    error::{printable, reason},
    event::Controller,
};

/// How long systemctl may take.
const PATIENCE: Duration = Duration::from_millis(600);

pub fn look(memory: Option<&Hierarchy>, home: Option<&Home>) -> Systemd {
    let booted = systemd_booted();
    Systemd {
        booted,
        version: if booted { version() } else { Err("it is not booted".into()) },
        user_socket: foresee::user_socket(),
        oomd: if booted && oomd_runs() { Oomd::Runs(watched(memory, home)) } else { Oomd::Absent },
    }
}

/// From the name of systemd's own library, which every part of it loads: `libsystemd-shared-252.so`. Asking would cost a process.
fn version() -> Known<String> {
    let multiarch = format!("/usr/lib/{}-linux-gnu/systemd", std::env::consts::ARCH);
    let dirs = [multiarch.as_str(), "/usr/lib/systemd", "/usr/lib64/systemd", "/lib/systemd"];
    let files = dirs.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
    let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let version =
        names.find_map(|name| Some(name.strip_prefix("libsystemd-shared-")?.strip_suffix(".so")?.to_string()));
    version.map(|version| printable(&version)).ok_or_else(|| "its library is not where it usually is".into())
}

fn oomd_runs() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter(|e| e.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
    pids.map(|e| fs::read_to_string(e.path().join("comm")))
        .any(|name| name.is_ok_and(|name| name.trim() == "systemd-oomd"))
}

/// The units above our groups that systemd-oomd watches. It knows cgroup v2 only.
fn watched(memory: Option<&Hierarchy>, home: Option<&Home>) -> Known<Vec<Watched>> {
    let (Some(hierarchy), Some(home)) = (memory, home) else { return Ok(Vec::new()) };
    if hierarchy.controller == Controller::V1 {
        return Ok(Vec::new());
    }
    let units = match home {
        Home::Scope { user: None } => units_above("system.slice"),
        Home::Scope { user: Some(uid) } => units_above(&format!("user.slice/user-{uid}.slice/user@{uid}.service")),
        home => units_above(&home.dir().map_or(String::new(), |dir| super::below(hierarchy, dir))),
    };
    let mut question = vec!["show", "-p", "Id", "-p", "ManagedOOMMemoryPressure", "-p", "ManagedOOMSwap", "--"];
    question.extend(units.iter().map(String::as_str));
    ask("systemctl", &question).map(|answer| parse(&answer))
}

/// A group's own unit and those above it, of the machine's systemd: what lies below a user's manager is not its.
fn units_above(group: &str) -> Vec<String> {
    let mut units = vec!["-.slice".to_string()];
    for part in Path::new(group).components() {
        let Component::Normal(name) = part else { continue };
        let name = name.to_string_lossy().into_owned();
        if ![".slice", ".service", ".scope"].iter().any(|kind| name.ends_with(kind)) {
            break;
        }
        let manager = name.starts_with("user@");
        units.push(name);
        if manager {
            break;
        }
    }
    units
}

/// Blocks of `Key=value` lines, one block a unit.
fn parse(answer: &str) -> Vec<Watched> {
    let unit = |block: &str| {
        let mut watched = Watched::default();
        for line in block.lines() {
            match line.split_once('=') {
                Some(("Id", id)) => watched.unit = printable(id),
                Some(("ManagedOOMMemoryPressure", value)) => watched.pressure = value == "kill",
                Some(("ManagedOOMSwap", value)) => watched.swap = value == "kill",
                _ => {}
            }
        }
        watched
    };
    answer.split("\n\n").map(unit).filter(|w| w.pressure || w.swap).collect()
}

/// What a program prints, if it does so in time.
fn ask(program: &str, args: &[&str]) -> Known<String> {
    let failed = |why: &str| format!("{program}: {why}");
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| failed(&reason(&e)))?;
    let text = child.stdout.take().and_then(|mut out| read_in_time(&mut out));
    if text.is_none() {
        let _ = child.kill();
    }
    let ended = child.wait();
    match (text, ended) {
        (None, _) => Err(failed("no answer in time")),
        (Some(text), Ok(status)) if status.success() => Ok(text),
        (Some(_), _) => Err(failed("it failed")),
    }
}

fn read_in_time(out: &mut (impl Read + AsFd)) -> Option<String> {
    let start = Instant::now();
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = PATIENCE.checked_sub(start.elapsed())?;
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::try_from(left).ok()?);
        if ready != Ok(1) {
            continue; // the time is over, which is seen above, or a signal came
        }
        match out.read(&mut buffer).ok()? {
            0 => return Some(String::from_utf8_lossy(&text).into_owned()),
            n if text.len() < 1 << 16 => text.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_above_a_group_end_at_a_users_manager() {
        assert_eq!(
            units_above("user.slice/user-1.slice/user@1.service/app.slice/x.scope"),
            ["-.slice", "user.slice", "user-1.slice", "user@1.service"]
        );
        assert_eq!(units_above("system.slice/ci.service/inner"), ["-.slice", "system.slice", "ci.service"]);
        assert_eq!(units_above(""), ["-.slice"]);
    }

    #[test]
    fn watched_units_are_told_from_the_others() {
        let answer = "Id=-.slice\nManagedOOMSwap=kill\nManagedOOMMemoryPressure=auto\n\nId=user.slice\nManagedOOMSwap=auto\nManagedOOMMemoryPressure=auto\n\nId=user@1.service\nManagedOOMMemoryPressure=kill\nManagedOOMSwap=auto\n";
        assert_eq!(
            parse(answer),
            [
                Watched { unit: "-.slice".into(), pressure: false, swap: true },
                Watched { unit: "user@1.service".into(), pressure: true, swap: false },
            ]
        );
        assert_eq!(parse("garbage\0=\n\n=\n"), []);
    }

    #[test]
    fn a_program_that_does_not_answer_is_not_waited_for() {
        let start = Instant::now();
        assert_eq!(ask("sleep", &["30"]), Err("sleep: no answer in time".into()));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(ask("echo", &["hello"]), Ok("hello\n".into()));
        assert!(ask("/no/such/program", &[]).unwrap_err().contains("/no/such/program"));
    }
}
