//! `sandtop run`: the same without a screen. Streams are the workload's; ours is one line on stderr at the end. What else is written of a run is `ci`'s.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal, sigprocmask},
    termios::{SetArg, Termios, tcgetattr, tcsetattr},
};

use crate::{
    error::{Error, Result},
    event::{Author, Event, LimitOutcome, Note, Status},
    front::Front,
    plan::Plan,
    sentences::{Language, Word},
    session::{
        Run, Session, Story, What,
        outcome::{EndedBy, Outcome},
    },
    supervisor::{News, Service, Supervisor, internal_error},
    text::{visible, visible_lines},
};

/// How many kills are told whole at the end; a recording and the JSON have all.
const STORIES: usize = 2;

/// Runs the plan to its end, with or without the line at the end; the exit code. `front`: the process that the shell waits for, where that is
/// another one. What was learned is in `session`, also when it fails.
///
/// # Errors
/// When it cannot be started, or is lost.
pub fn run(plan: Plan, quiet: bool, front: Option<Front>, session: &mut Session) -> Result<u8> {
    let mut foreground = Foreground::now();
    let announced = front.as_ref().map_or_else(std::process::id, Front::pid);
    let hierarchy = plan.hierarchy.root.clone();
    let recorded = plan.recording.is_asked_for();
    let supervisor = Supervisor::start(plan, Service { front, terminal: None, give_back: || {} })?;
    follow(&supervisor, session, &hierarchy, announced)?;
    supervisor.leave();
    let (Some(run), Some(outcome)) = (session.run(), session.run().and_then(Run::outcome)) else {
        return Err(internal_error("the run ended without an end"));
    };
    foreground.modes_are_meant = matches!(run.ended.as_ref().map(|(_, ended)| &ended.status), Some(Status::Exited(_)));
    let failed = outcome == Outcome::FailedToStart || run.ended_by() == Some(EndedBy::Lost);
    if !quiet || failed {
        tell_stories(run);
        run.hint().iter().for_each(|hint| tell(hint));
        tell(&visible(&Language::English.summary(run))); // the last line is what scripts take
    }
    let code = run.exit_code().unwrap_or(crate::error::EXIT_FAILED);
    Ok(if recorded && code == 0 && is_recording_lost(session) { crate::error::EXIT_FAILED } else { code })
}

/// Whether a recording was given up.
pub fn is_recording_lost(session: &Session) -> bool {
    session.log.iter().any(|entry| matches!(entry.what, What::Note(Note::RecordingLost { .. })))
}

fn follow(supervisor: &Supervisor, session: &mut Session, hierarchy: &Path, announced: u32) -> Result<()> {
    loop {
        match supervisor.news().recv() {
            Ok(News::Batch(batch)) => {
                supervisor.took(&batch);
                for stamped in &batch {
                    let stalled = session.run().is_some_and(Run::is_stalled);
                    let (before, gone) = (session.log.len(), session.dropped);
                    session.apply(stamped);
                    let new = before.saturating_sub(session.dropped - gone).min(session.log.len());
                    for entry in session.log[new..].iter().filter(|e| matches!(e.what, What::TighterAbove { .. })) {
                        tell(&Language::English.entry(entry, session).0);
                    }
                    if !stalled && session.run().is_some_and(Run::is_stalled) {
                        tell_stalled(session, hierarchy, announced);
                    }
                    if matches!(&stamped.event, Event::Started(started) if started.held) {
                        tell(&format!("held; to start it: kill -USR1 {announced}"));
                    }
                    match stamped.event {
                        Event::Paused(_) => tell_paused(session, hierarchy, announced),
                        Event::Resumed { by } => tell(&Language::English.resumed(by).0),
                        Event::LimitDone {
                            by: Author::Schedule { .. },
                            outcome: LimitOutcome::Busy { .. } | LimitOutcome::Failed { .. },
                            ..
                        } => {
                            if let Some(entry) = session.log.last() {
                                tell(&Language::English.entry(entry, session).0);
                            }
                        }
                        _ => {}
                    }
                    if let Event::Note(
                        note @ (Note::Hint { .. }
                        | Note::Leftover { .. }
                        | Note::RecordingLost { .. }
                        | Note::LimitChangedElsewhere { .. }
                        | Note::MirrorChanged { .. }),
                    ) = &stamped.event
                    {
                        let entry = crate::session::Entry { at: stamped.at, run: 0, what: What::Note(note.clone()) };
                        tell(&Language::English.entry(&entry, session).0);
                    }
                }
                if session.run().is_some_and(|run| run.ended.is_some()) {
                    return Ok(());
                }
            }
            Ok(News::Signal(_)) => {}
            Ok(News::Fatal(text)) => return Err(internal_error(&text)),
            Err(_) => return Err(internal_error("the supervisor is gone")),
        }
    }
}

/// Why the OOM killer came: the last kills, and how many there were before.
fn tell_stories(run: &Run) {
    let words = Language::English;
    let told = run.stories.told();
    // Of kills that are one story, the same program's by the same parent, the last one is told.
    let all: Vec<&[Story]> = told.chunk_by(|before, next| next.is_like(before)).collect();
    let shown: Vec<&Story> = all[all.len().saturating_sub(STORIES)..].iter().filter_map(|same| same.last()).collect();
    let kills = |stories: &[&Story]| stories.iter().map(|story| story.kills).sum::<u64>();
    let before = run.stories.forgotten() + kills(&told.iter().collect::<Vec<_>>()) - kills(&shown);
    if before > 0 && !shown.is_empty() {
        tell(&words.more_kills(before));
    }
    for story in shown {
        let told = words.told(story, run);
        tell(&visible(&told.head));
        told.facts.iter().for_each(|(about, fact)| {
            tell(&visible(&format!("  {about:<14} {}", shortened(fact, LONGEST_FACT))));
        });
    }
}

/// That the workload lives and gets nowhere, and what would help without a screen.
fn tell_stalled(session: &Session, hierarchy: &Path, announced: u32) {
    let words = Language::English;
    let stalled = session.log.iter().rev().find(|entry| matches!(entry.what, What::Stalled { .. }));
    let (Some(entry), Some(run)) = (stalled, session.run()) else { return };
    tell(&words.entry(entry, session).0);
    tell(&words.how_to_get_on(announced, &limit_file(run, hierarchy)));
}

/// The file with the run's limit.
fn limit_file(run: &Run, hierarchy: &Path) -> String {
    let group = hierarchy.join(run.started.group.trim_start_matches('/'));
    group.join(Language::English.file(run.started.controller, Word::Limit)).display().to_string()
}

/// That the workload is paused, and how to go on without a screen.
fn tell_paused(session: &Session, hierarchy: &Path, announced: u32) {
    let words = Language::English;
    let (Some(entry), Some(run)) = (session.log.last(), session.run()) else { return };
    tell(&words.entry(entry, session).0);
    if matches!(entry.what, What::Paused { worse: false, .. }) {
        tell(&words.how_to_go_on(announced, &limit_file(run, hierarchy)));
    }
}

/// Data on standard output. A reader that has what it wanted is no error.
///
/// # Errors
/// When it cannot be written.
pub fn print(bytes: &[u8]) -> Result<()> {
    crate::files::stdout_is_open()?;
    let mut out = io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::sys("write to standard output", e)),
        _ => Ok(()),
    }
}

/// A message; a stderr that is closed is no reason to fail.
pub fn tell(text: &str) {
    // What users typed, and what processes are called, may be in it: none of it reaches the terminal as anything but text.
    let text = visible_lines(text);
    let lines: Vec<String> = text.split('\n').map(|line| shortened(line, LONGEST_LINE)).collect();
    let _ = writeln!(io::stderr(), "sandtop: {}", lines.join("\n"));
}

/// The longest line of a message, in characters.
const LONGEST_LINE: usize = 2000;

/// The longest line about a kill: a command may have twenty thousand words.
const LONGEST_FACT: usize = 400;

/// A line that can be read: of a longer one, what a bad value or a command line may make of it, the middle is left out.
fn shortened(line: &str, longest: usize) -> String {
    let length = line.chars().count();
    if length <= longest {
        return line.into();
    }
    let kept = longest / 3;
    let head: String = line.chars().take(kept).collect();
    let tail: String = line.chars().skip(length - kept).collect();
    format!("{head} … ({} characters) … {tail}", length - 2 * kept)
}

/// The terminal, where it was ours. An interactive shell inside makes itself the foreground, and cannot give the terminal back: our process group does
/// not exist in its pid namespace. Nor can who is killed put back how it had set the line.
pub struct Foreground {
    ours: Option<(i32, Termios)>,
    /// Whether the command ended by itself, and left the line as it wants it (`stty -echo`).
    pub modes_are_meant: bool,
}

impl Foreground {
    /// As it is now; dropping it puts it back.
    pub fn now() -> Foreground {
        let stdin = io::stdin();
        let group = nix::unistd::getpgrp();
        let is_ours = stdin.is_terminal() && nix::unistd::tcgetpgrp(&stdin) == Ok(group);
        let modes = if is_ours { tcgetattr(&stdin).ok() } else { None };
        Foreground { ours: modes.map(|modes| (group.as_raw(), modes)), modes_are_meant: false }
    }

    fn take_back(&self) {
        let Some((group, modes)) = &self.ours else { return };
        let stdin = io::stdin();
        let is_others = nix::unistd::tcgetpgrp(&stdin).is_ok_and(|now| now.as_raw() != *group);
        let is_changed = !self.modes_are_meant && tcgetattr(&stdin).is_ok_and(|now| now != *modes);
        if is_others || is_changed {
            // From the background both ask for SIGTTOU, unless that is blocked.
            let set = SigSet::from_iter([Signal::SIGTTOU]);
            let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
        }
        if is_others {
            let _ = nix::unistd::tcsetpgrp(&stdin, nix::unistd::Pid::from_raw(*group));
        }
        if is_changed {
            let _ = tcsetattr(&stdin, SetArg::TCSANOW, modes);
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.take_back();
    }
}
