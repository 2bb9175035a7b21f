//! `sandtop run`: the same without a screen. Streams are the workload's; ours is one line on stderr at the end, and the JSON.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    event::{Event, Note, Status, Step},
    hints,
    plan::Plan,
    sentences::Language,
    session::{
        Run, Session, What,
        outcome::{Outcome, exit_code},
    },
    supervisor::{News, Service, Supervisor, internal_error},
};

/// How `run` reports.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Where the JSON goes; `-` is standard output.
    pub json: Option<PathBuf>,
    /// No line at the end.
    pub quiet: bool,
}

/// The result, as one JSON object. Fields are only ever added; `null` is "does not apply".
#[derive(Debug, Serialize)]
pub struct Outcomes {
    outcome: Outcome,
    exit_code: Option<i32>,
    signal: Option<i32>,
    oom_kills: Option<u64>,
    limit_hits: Option<u64>,
    peak_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    limit_is_default: bool,
    wall_seconds: Option<f64>,
}

/// Runs the plan to its end; the exit code.
///
/// # Errors
/// When it cannot be started, or the JSON cannot be written.
pub fn run(plan: Plan, report: &Report) -> Result<u8> {
    let json = report.json.as_deref().map(open).transpose()?;
    let _foreground = Foreground::now();
    let argv = plan.argv.clone();
    let supervisor = Supervisor::start(plan, Service { terminal: None, give_back: || {} })?;
    let session = follow(&supervisor)?;
    supervisor.leave();
    let (Some(run), Some(outcome)) = (session.run(), session.run().and_then(Run::outcome)) else {
        return Err(internal_error("the run ended without an end"));
    };
    if let Some(json) = json {
        write_json(json, report.json.as_deref().unwrap_or(Path::new("-")), &result(run, outcome))?;
    }
    let failed = matches!(outcome, Outcome::FailedToStart | Outcome::SandboxLost);
    if !report.quiet || failed {
        tell(&Language::English.summary(run));
        if let Some(hint) = hints_after(run, &argv) {
            tell(&hint);
        }
    }
    Ok(run.ended.as_ref().map_or(crate::error::EXIT_FAILED, |(_, ended)| exit_code(ended)))
}

/// What the command's own words say about an end that surprises.
pub fn hints_after(run: &Run, argv: &[OsString]) -> Option<String> {
    match &run.ended.as_ref()?.1.status {
        Status::Exited(0) => hints::after(argv),
        Status::FailedToStart(failure) if failure.step == Step::Exec && failure.errno == nix::libc::ENOENT => {
            hints::not_found(argv)
        }
        _ => None,
    }
}

fn follow(supervisor: &Supervisor) -> Result<Session> {
    let mut session = Session::default();
    loop {
        match supervisor.news().recv() {
            Ok(News::Batch(batch)) => {
                supervisor.took(&batch);
                for stamped in &batch {
                    session.apply(stamped);
                    if matches!(&stamped.event, Event::Started(started) if started.held) {
                        tell(&format!("held; to start it: kill -USR1 {}", std::process::id()));
                    }
                    if let Event::Note(note @ (Note::Hint { .. } | Note::Leftover { .. })) = &stamped.event {
                        let entry = crate::session::Entry { at: stamped.at, run: 0, what: What::Note(note.clone()) };
                        tell(&Language::English.entry(&entry, &session).0);
                    }
                }
                if session.run().is_some_and(|run| run.ended.is_some()) {
                    return Ok(session);
                }
            }
            Ok(News::Signal(_)) => {}
            Ok(News::Fatal(text)) => return Err(internal_error(&text)),
            Err(_) => return Err(internal_error("the supervisor is gone")),
        }
    }
}

/// A message; a stderr that is closed is no reason to fail.
pub fn tell(text: &str) {
    // What users typed may be in it: no escape sequence of theirs reaches the terminal.
    let text = text.replace(|c: char| c.is_control() && c != '\n', "?");
    let _ = writeln!(io::stderr(), "sandtop: {text}");
}

fn result(run: &Run, outcome: Outcome) -> Outcomes {
    let (exit_code, signal) = match run.ended.as_ref().map(|(_, ended)| &ended.status) {
        Some(Status::Exited(code)) => (Some(*code), None),
        Some(Status::Signalled(n)) => (None, Some(*n)),
        _ => (None, None),
    };
    let started = run.running.is_some() && outcome != Outcome::FailedToStart;
    Outcomes {
        outcome,
        exit_code,
        signal,
        oom_kills: run.oom_kills(),
        limit_hits: run.limit_hits(),
        peak_bytes: run.last.as_ref().map(|_| run.peak),
        limit_bytes: run.limit.bytes(),
        limit_is_default: run.limit_is_default,
        wall_seconds: started.then(|| run.elapsed(run.at).as_secs_f64()),
    }
}

/// Opens the file before the run, so that a bad path costs no run. Under sudo it is the caller's.
fn open(path: &Path) -> Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let new = File::create_new(path);
    let made = new.is_ok();
    let file = new.or_else(|_| File::create(path)).map_err(|e| Error::io("write", path, e))?;
    // Only what we made: what was there keeps its owner, a device most of all.
    if let Some(uid) = crate::resolve::sudo_caller().filter(|_| made) {
        let gid = std::env::var("SUDO_GID").ok().and_then(|g| g.parse().ok()).map(nix::unistd::Gid::from_raw);
        nix::unistd::fchown(&file, Some(uid), gid).map_err(|e| Error::io("hand over", path, e))?;
    }
    Ok(Box::new(file))
}

fn write_json(mut to: Box<dyn Write>, path: &Path, result: &Outcomes) -> Result<()> {
    let text = serde_json::to_string(result).map_err(|e| internal_error(&e.to_string()))?;
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()), // the reader has what it wanted
        other => other.map_err(|e| match path == Path::new("-") {
            true => Error::sys("write to standard output", e),
            false => Error::io("write", path, e),
        }),
    }
}

/// Whether the terminal was ours. An interactive shell inside makes itself the foreground, and cannot give the
/// terminal back: our process group does not exist in its pid namespace.
struct Foreground(Option<i32>);

impl Foreground {
    fn now() -> Foreground {
        let stdin = io::stdin();
        let ours = stdin.is_terminal() && nix::unistd::tcgetpgrp(&stdin) == Ok(nix::unistd::getpgrp());
        Foreground(ours.then(|| nix::unistd::getpgrp().as_raw()))
    }

    fn take_back(&self) {
        let Some(group) = self.0 else { return };
        let stdin = io::stdin();
        if nix::unistd::tcgetpgrp(&stdin).is_ok_and(|now| now.as_raw() != group) {
            // From the background this asks for SIGTTOU, unless that is blocked.
            let set = SigSet::from_iter([Signal::SIGTTOU]);
            let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
            let _ = nix::unistd::tcsetpgrp(&stdin, nix::unistd::Pid::from_raw(group));
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.take_back();
    }
}
