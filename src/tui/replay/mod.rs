//! `sandtop replay`: the same screen on a recording. A source of the same events; there is no supervisor, and no privilege is needed.

mod player;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded, never, select};
use crossterm::event::{Event as TerminalEvent, KeyEventKind};

use super::{
    FRAME, Looks,
    app::{App, Effect},
    input, mouse, read_keys,
    terminal::{self, Screen},
    theme::Theme,
    view::{self, View},
    view_of,
};
use crate::{
    error::{Error, Result, panic_if_asked},
    event::{Event, Note, Stamped},
    headless::tell,
    record::{self, Recording},
    sentences::Language,
    session::Session,
    supervisor::signals::{PATIENCE, is_ending, taken},
};
pub use player::Player;

/// The size of the workload's terminal, where the recording does not tell it: rows and columns.
const USUAL: (u16, u16) = (24, 80);

/// What the views know of a replay.
pub struct Replay {
    /// The recording that is played.
    pub player: Player,
    /// Its name, as the user gave it.
    pub name: String,
    /// What it is compared with.
    pub before: Option<Before>,
}

/// A recording that lies under the one that is played.
pub struct Before {
    /// What all of it adds up to.
    pub session: Session,
    /// Its name.
    pub name: String,
}

/// Plays a recording on a screen that looks like this, over another one if there are two; the exit code.
///
/// # Errors
/// When one cannot be read, or the terminal is lost.
pub fn run(file: &Path, before: Option<&Path>, looks: &Looks) -> Result<u8> {
    panic_if_asked("replay");
    // One after the other: what the first one adds up to is small, and its events go before the others come.
    let before = before.map(|path| Ok(before_of(path, record::read_run(path)?))).transpose()?;
    let recording = record::read_run(file)?;
    let cautions: Vec<String> = said(&recording).map(|said| format!("{} {said}", file.display())).collect();
    let (rows, cols) = USUAL;
    let mut player = Player::new(events(recording), rows, cols);
    if let (Some(before), Some(run)) = (&before, player.whole.run())
        && let Some(theirs) = before.session.run()
    {
        let length = theirs.ended.as_ref().map_or(before.session.now, |(at, _)| *at).saturating_sub(theirs.origin());
        player.reach(run.origin() + length);
    }
    let replay = Replay { player, name: name(file), before };
    let ended = Ui::new(replay, looks)?.run();
    cautions.iter().for_each(|caution| tell(caution));
    ended
}

/// What has to be known of a recording, after its name.
fn said(recording: &Recording) -> impl Iterator<Item = String> + use<> {
    recording.cautions().into_iter().map(|caution| {
        let (what, text) = Language::English.caution(&caution);
        format!("{what}: {text}")
    })
}

/// Its events, and as the last of them what has to be known of the file.
fn events(recording: Recording) -> Vec<Stamped> {
    let at = recording.events.last().map_or(Duration::ZERO, |stamped| stamped.at);
    let said = said(&recording);
    let mut events = recording.events;
    events.extend(said.map(|said| {
        let text = format!("the recording {said}");
        Stamped { at, event: Event::Note(Note::Hint { text }) }
    }));
    events
}

fn before_of(path: &Path, recording: Recording) -> Before {
    let mut session = Session::default();
    events(recording).iter().for_each(|stamped| session.apply(stamped));
    Before { session, name: name(path) }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

struct Ui {
    screen: Screen,
    keys: Receiver<TerminalEvent>,
    signals: Receiver<i32>,
    app: App,
    theme: Theme,
    replay: Replay,
    /// When the player was last told how much time has passed.
    told: Instant,
    drawn: Option<Instant>,
    dirty: bool,
}

impl Ui {
    fn new(replay: Replay, looks: &Looks) -> Result<Ui> {
        crossterm::style::force_color_output(true); // as the live screen does
        let signals = signals()?; // blocked here, before there are other threads
        let until = replay.player.times().2;
        let screen = Screen::take(looks.mouse)?;
        let (theme, keys, typed) = looks.settle()?;
        Ok(Ui {
            screen,
            keys: read_keys(typed)?,
            signals,
            app: App { replaying: true, recorded_until: Some(until), keys, ..App::default() },
            theme,
            replay,
            told: Instant::now(),
            drawn: None,
            dirty: true,
        })
    }

    fn run(&mut self) -> Result<u8> {
        loop {
            self.replay.player.pass(std::mem::replace(&mut self.told, Instant::now()).elapsed());
            self.dirty |= self.replay.player.playing;
            if self.dirty && self.drawn.is_none_or(|at| at.elapsed() >= FRAME) {
                self.draw()?;
            }
            if let Some(code) = self.wait()? {
                return Ok(code);
            }
        }
    }

    /// Waits for a key, a signal, or the next frame; the exit code, if it is over.
    fn wait(&mut self) -> Result<Option<u8>> {
        let next = match self.dirty || self.replay.player.playing {
            true => crossbeam_channel::after(FRAME.saturating_sub(self.drawn.map_or(FRAME, |at| at.elapsed()))),
            false => never(), // nothing changes by itself
        };
        select! {
            recv(self.keys) -> event => self.input(event.map_err(|_| Error::new("the terminal is gone"))?),
            recv(self.signals) -> signal => match signal {
                Ok(nix::libc::SIGTSTP) => self.apply(Effect::Suspend),
                Ok(signal) => Ok(Some((128 + signal) as u8)),
                Err(_) => Err(Error::new("the thread for signals is gone")),
            },
            recv(next) -> _ => Ok(None),
        }
    }

    fn input(&mut self, event: TerminalEvent) -> Result<Option<u8>> {
        self.dirty = true;
        let actions = match event {
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => {
                input::action(&self.app, key).into_iter().collect()
            }
            TerminalEvent::Mouse(event) => {
                let now = self.replay.player.times().0;
                let shown = view_of(self.replay.player.shown(), &self.app, &self.theme, now);
                mouse::actions(&View { replay: Some(&self.replay), ..shown }, super::size()?, event)
            }
            TerminalEvent::Resize(..) => {
                self.screen.repaint()?;
                Vec::new()
            }
            _ => Vec::new(),
        };
        for action in actions {
            for effect in self.app.update(&self.replay.player.shown().session, action) {
                if let Some(code) = self.apply(effect)? {
                    return Ok(Some(code));
                }
            }
        }
        Ok(None)
    }

    fn apply(&mut self, effect: Effect) -> Result<Option<u8>> {
        match effect {
            Effect::Play(wish) => self.replay.player.obey(wish),
            Effect::Suspend => {
                self.screen.suspend()?;
                self.told = Instant::now(); // the time away is not played
                self.dirty = true;
            }
            Effect::Quit => return Ok(Some(0)),
            Effect::Command(_) | Effect::Type(_) | Effect::Paste(_) => {} // there is nobody to tell
        }
        Ok(None)
    }

    fn draw(&mut self) -> Result<()> {
        let now = self.replay.player.times().0;
        let view =
            View { replay: Some(&self.replay), ..view_of(self.replay.player.shown(), &self.app, &self.theme, now) };
        let drawn = self.screen.terminal.draw(|frame| view::render(frame, &view));
        drawn.map_err(|e| Error::sys("draw", e))?;
        self.drawn = Some(Instant::now());
        self.dirty = false;
        Ok(())
    }
}

/// A thread that waits for the signals that a screen takes, so that the terminal is given back before it goes.
fn signals() -> Result<Receiver<i32>> {
    let wanted = taken(true);
    wanted.thread_block().map_err(|e| Error::sys("block signals", e))?;
    let (to, signals) = bounded(4);
    let work = move || {
        while let Ok(signal) = wanted.wait() {
            let signal = signal as i32;
            if !is_ending(signal) && signal != nix::libc::SIGTSTP {
                continue; // there is no workload to pass it on to
            }
            if to.send(signal).is_ok() && is_ending(signal) {
                std::thread::sleep(PATIENCE);
                terminal::wrest_back();
                std::process::exit(128 + signal);
            }
        }
    };
    let thread = std::thread::Builder::new().name("sandtop-signals".into()).spawn(work);
    thread.map(|_| signals).map_err(|e| Error::sys("start the thread for signals", e))
}

/// The rows that a replay takes at the bottom.
pub fn rows(replay: Option<&Replay>) -> u16 {
    replay.map_or(0, |replay| 1 + u16::from(replay.before.is_some()))
}
