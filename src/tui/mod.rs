//! The screen: a consumer of the supervisor's events, and the source of its commands.
//!
//! The main thread owns session, app and terminal, and does one thing in a circle: wait, drain, update, draw once. A third thread reads keys.

mod app;
mod encode;
mod explain;
pub mod glyphs;
mod input;
mod key;
pub mod keys;
mod knobs;
mod log;
mod looks;
mod measure;
mod menu;
mod mouse;
mod own;
pub(crate) mod pane;
pub mod picture;
pub mod replay;
mod rows;
mod shown;
mod terminal;
pub mod theme;
mod undo;
mod view;
mod viewport;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, select, unbounded};
use crossterm::event::{Event as TerminalEvent, KeyEventKind};
use ratatui::layout::Rect;

use crate::{
    error::{EXIT_FAILED, Error, Result, panic_if_asked},
    event::{Author, Command, Event, Note, Stamped, terminal_size},
    headless::{is_recording_lost, tell},
    plan::Plan,
    sentences::Language,
    session::What,
    supervisor::{News, Service, Supervisor, internal_error},
};
use app::{App, Effect};
use input::Action;
pub use looks::Looks;
use own::Meter;
use shown::Shown;
use terminal::Screen;
use theme::Theme;
use view::{Regions, View};

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(33);

/// How often a picture that only time changes is drawn.
const IDLE: Duration = Duration::from_millis(500);

/// How long after a key what is printed is taken for its echo.
const ECHO: Duration = Duration::from_millis(50);

/// Keys that come so soon after a program that had them gave them back by itself were meant for it: they are no commands.
const GRACE: Duration = Duration::from_millis(500);

/// The most time that events are taken in for before the keys are looked at again.
const TURN: Duration = Duration::from_millis(8);

/// Runs the plan on a screen that looks like this, until the user has seen enough; the exit code.
///
/// # Errors
/// When the run cannot be started, or the terminal is lost.
pub fn run(mut plan: Plan, looks: Looks) -> Result<u8> {
    // crossterm 0.29 turns every style into a reset under NO_COLOR; the theme without colours does what is meant.
    crossterm::style::force_color_output(true);
    let size = size()?;
    let mut app = App { alive: true, step: looks.step, ..App::default() };
    let (rows, cols) = Regions::new(size, &app, 0).pane_size();
    plan.env = pane::environment(plan.env, |name| std::env::var_os(name));
    let service = Service { front: None, terminal: Some((rows, cols)), give_back: terminal::wrest_back };
    let recorded = plan.recording.is_asked_for();
    let supervisor = Supervisor::start(plan, service)?;
    let screen = Screen::take(looks.mouse)?;
    let (theme, keys, typed) = looks.settle()?;
    app.keys = keys;
    let mut ui = Ui {
        screen,
        keys: read_keys(typed)?,
        shown: Shown::live(rows, cols),
        app,
        pane_size: (rows, cols),
        theme,
        clock: Instant::now(),
        offset: Duration::ZERO,
        waiting: VecDeque::new(),
        drawn: None,
        dirty: true,
        pressed: false,
        let_go: None,
        typed: None,
        quitting: 0,
        meter: Meter::new(),
        supervisor,
    };
    let code = ui.run()?;
    let Ui { screen, shown: Shown { mut session, .. }, supervisor, waiting, .. } = ui;
    drop(screen); // the terminal is the shell's again
    waiting.iter().chain(&supervisor.finish()).for_each(|stamped| session.apply(stamped));
    // The screen is gone; how it ended stays.
    if let Some(run) = session.run().filter(|run| run.ended.is_some()) {
        tell(&Language::English.summary(run));
    }
    for entry in session.log.iter().filter(|e| matches!(e.what, What::Note(Note::RecordingLost { .. }))) {
        tell(&Language::English.entry(entry, &session).0);
    }
    Ok(if recorded && code == 0 && is_recording_lost(&session) { EXIT_FAILED } else { code })
}

fn size() -> Result<Rect> {
    let (cols, rows) = crossterm::terminal::size().map_err(|e| Error::sys("learn the terminal's size", e))?;
    let (rows, cols) = terminal_size(rows, cols); // some say that they are as large as can be said
    Ok(Rect::new(0, 0, cols, rows))
}

/// The input thread: it blocks in the terminal, and is left behind at the end. What was typed before comes first.
fn read_keys(typed: Vec<TerminalEvent>) -> Result<Receiver<TerminalEvent>> {
    let (to, keys) = unbounded();
    typed.into_iter().for_each(|event| drop(to.send(event)));
    let work = move || {
        while let Ok(event) = crossterm::event::read() {
            if to.send(event).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("sandtop-keys".into()).spawn(work);
    thread.map(|_| keys).map_err(|e| Error::sys("start the input thread", e))
}

struct Ui {
    // Dropped in this order: the terminal is given back before the sandbox is taken down.
    screen: Screen,
    keys: Receiver<TerminalEvent>,
    shown: Shown,
    app: App,
    pane_size: (u16, u16),
    theme: Theme,
    clock: Instant,
    /// The session's time at `clock`.
    offset: Duration,
    /// Events that came and are not taken in yet.
    waiting: VecDeque<Stamped>,
    drawn: Option<Instant>,
    dirty: bool,
    /// A key came since: what it did is shown at once.
    pressed: bool,
    /// When the program that had the keys gave them back by itself.
    let_go: Option<Instant>,
    /// When a key was last typed to the workload: what it prints soon after is shown at once too.
    typed: Option<Instant>,
    /// How often the user said to leave; the workload is ending.
    quitting: u8,
    meter: Meter,
    supervisor: Supervisor,
}

/// What the views see.
fn view_of<'a>(shown: &'a Shown, app: &'a App, theme: &'a Theme, now: Duration) -> View<'a> {
    let words = Language::English;
    View { session: &shown.session, app, pane: &shown.pane, now, theme, words, own: None, replay: None }
}

/// Why the loop goes on, or not.
enum Next {
    Go,
    End(u8),
}

impl Ui {
    fn run(&mut self) -> Result<u8> {
        loop {
            match self.turn() {
                Ok(Next::Go) => {}
                Ok(Next::End(code)) => return Ok(code),
                // Where the terminal is gone we get a signal too, which says why.
                Err(e) => return self.signalled().map_or(Err(e), |signal| Ok((128 + signal) as u8)),
            }
        }
    }

    /// Draws, if there is something to be seen, and waits.
    fn turn(&mut self) -> Result<Next> {
        if self.dirty && (self.pressed || self.drawn.is_none_or(|at| at.elapsed() >= FRAME)) {
            self.draw()?;
        }
        self.wait()
    }

    /// The signal that ends us, if one comes soon.
    fn signalled(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_millis(200);
        loop {
            match self.supervisor.news().recv_deadline(deadline).ok()? {
                News::Signal(signal) if signal != nix::libc::SIGTSTP => return Some(signal),
                News::Batch(batch) => self.waiting.extend(batch),
                _ => {}
            }
        }
    }

    /// Waits for a key, for news, or for the next frame. Keys come first.
    fn wait(&mut self) -> Result<Next> {
        if let Ok(event) = self.keys.try_recv() {
            return self.keys_first(event);
        }
        if !self.waiting.is_empty() {
            return self.take_in();
        }
        let since = self.drawn.map_or(FRAME, |at| at.elapsed());
        // After the end nothing changes by itself: the picture stands until a key comes.
        let until = match (self.dirty, self.shown.session.is_alive()) {
            (true, _) => FRAME.saturating_sub(since),
            (false, true) => IDLE.saturating_sub(since),
            (false, false) => Duration::from_secs(3600),
        };
        select! {
            recv(self.keys) -> event => match event {
                Ok(event) => self.keys_first(event),
                Err(_) => Err(Error::new("the terminal is gone")),
            },
            recv(self.supervisor.news()) -> news => match news {
                Ok(news) => self.news(news),
                Err(_) => Err(internal_error("the supervisor is gone")),
            },
            default(until.max(Duration::from_millis(1))) => {
                self.dirty |= self.shown.session.is_alive() && since >= IDLE;
                Ok(Next::Go)
            }
        }
    }

    /// Does what a key asks for, and those that came with it: they share a frame.
    fn keys_first(&mut self, event: TerminalEvent) -> Result<Next> {
        self.pressed = true;
        let mut next = self.input(event)?;
        while let (Next::Go, Ok(event)) = (&next, self.keys.try_recv()) {
            next = self.input(event)?;
        }
        Ok(next)
    }

    fn news(&mut self, news: News) -> Result<Next> {
        match news {
            News::Batch(batch) => {
                self.waiting.extend(shown::pieces(batch));
                self.take_in()
            }
            News::Signal(nix::libc::SIGTSTP) => self.apply(Effect::Suspend),
            News::Signal(n) => Ok(Next::End((128 + n) as u8)),
            News::Fatal(text) => Err(internal_error(&text)),
        }
    }

    /// Takes in the events that wait, or as many as there is time for: a few bytes of output can be much work.
    fn take_in(&mut self) -> Result<Next> {
        let begun = Instant::now();
        while let Some(stamped) = self.waiting.pop_front() {
            self.take(&stamped);
            self.supervisor.took(&[stamped]);
            if begun.elapsed() >= TURN {
                break;
            }
        }
        if self.quitting > 0 && !self.shown.session.is_alive() {
            return Ok(Next::End(self.exit_code()));
        }
        match self.app.observe(&self.shown.session) {
            Some(effect) => self.apply(effect),
            None => Ok(Next::Go),
        }
    }

    fn take(&mut self, stamped: &Stamped) {
        if matches!(stamped.event, Event::Sample(_)) {
            panic_if_asked("screen");
        }
        self.dirty |= self.is_news(stamped);
        if matches!(stamped.event, Event::Output(_)) {
            self.pressed |= self.typed.is_some_and(|at| at.elapsed() < ECHO);
        }
        if stamped.at > self.now() {
            (self.clock, self.offset) = (Instant::now(), stamped.at);
        }
        if let Event::LimitDone { target, by: Author::User, outcome } = &stamped.event {
            self.app.limit_done(*target, outcome);
        }
        let answers = self.shown.take(stamped);
        self.app.scrolled_back = self.shown.pane.scrolled_back(); // further, where lines came: the place stays
        let typing = self.app.is_typing();
        self.app.observe_terminal(self.shown.pane.screen().alternate_screen());
        if typing && !self.app.is_typing() && self.shown.session.is_alive() {
            self.let_go = Some(Instant::now());
        }
        self.shown.pane.scroll_back(self.app.scrolled_back);
        if !answers.is_empty() {
            self.supervisor.command(Command::Input(answers));
        }
    }

    /// Whether an event changes what can be seen: a sample that says what the last one said does not.
    fn is_news(&self, stamped: &Stamped) -> bool {
        let last = self.shown.session.run().and_then(|run| run.last.as_ref());
        match (&stamped.event, last) {
            (Event::Sample(new), Some(old)) => {
                (new.usage, new.limit_hits, new.oom_kills) != (old.usage, old.limit_hits, old.oom_kills)
            }
            _ => true,
        }
    }

    fn input(&mut self, event: TerminalEvent) -> Result<Next> {
        self.let_go = self.let_go.filter(|at| at.elapsed() < GRACE && self.shown.session.is_alive());
        let actions = match event {
            TerminalEvent::Key(_) if self.let_go.is_some() => Vec::new(), // it was meant for the program
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => {
                input::action(&self.app, key).into_iter().collect()
            }
            TerminalEvent::Paste(text) => vec![Action::Paste(text)],
            TerminalEvent::Mouse(event) if self.app.is_typing() && self.forward(event)? => Vec::new(),
            TerminalEvent::Mouse(event) => {
                mouse::actions(&view_of(&self.shown, &self.app, &self.theme, self.now()), size()?, event)
            }
            TerminalEvent::Resize(..) => {
                self.screen.repaint()?;
                self.app.drag = None; // the rows are others now
                self.fit_pane()?;
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.dirty = true;
        let typed = self.app.is_typing();
        let mut effects = Vec::new();
        for action in actions {
            effects.extend(self.app.update(&self.shown.session, action));
        }
        self.app.scrolled_back = self.shown.pane.scroll_back(self.app.scrolled_back);
        if typed != self.app.is_typing() && self.shown.pane.wants_focus_events() {
            self.supervisor.command(Command::Input(encode::focus(!typed)));
        }
        self.fit_pane()?; // the focus may have moved
        for effect in effects {
            if let Next::End(code) = self.apply(effect)? {
                return Ok(Next::End(code));
            }
        }
        Ok(Next::Go)
    }

    /// Tells the program in the pane of the mouse, if it wants to know.
    fn forward(&mut self, event: crossterm::event::MouseEvent) -> Result<bool> {
        let region = Regions::new(size()?, &self.app, 0).output;
        let body = Rect { y: region.y + 1, height: region.height.saturating_sub(1), ..region };
        let bytes = encode::mouse(event, body, self.shown.pane.mouse_mode());
        Ok(bytes.map(|bytes| self.supervisor.command(Command::Input(bytes))).is_some())
    }

    fn apply(&mut self, effect: Effect) -> Result<Next> {
        match effect {
            Effect::Command(command) => self.supervisor.command(command),
            Effect::Type(key) => {
                let bytes = encode::key(key, self.shown.pane.screen().application_cursor());
                self.typed = Some(Instant::now());
                self.supervisor.command(Command::Input(bytes));
            }
            Effect::Paste(text) => {
                let bytes = encode::paste(&text, self.shown.pane.screen().bracketed_paste());
                self.supervisor.command(Command::Input(bytes));
            }
            Effect::Play(_) => {} // nothing is played here
            Effect::Suspend => {
                self.screen.suspend()?;
                self.fit_pane()?;
                self.dirty = true;
            }
            Effect::Quit if !self.lives() => return Ok(Next::End(self.exit_code())),
            // Asked, then killed; who asks a third time does not wait for the end to be told.
            Effect::Quit => {
                let signal = match self.quitting {
                    0 => nix::libc::SIGTERM,
                    1 => nix::libc::SIGKILL,
                    _ => return Ok(Next::End(self.exit_code())),
                };
                self.quitting += 1;
                self.supervisor.command(Command::Stop(signal));
            }
        }
        Ok(Next::Go)
    }

    /// Whether a run lives; the first does before anything was heard of it.
    fn lives(&self) -> bool {
        self.shown.session.is_alive() || self.shown.session.run().is_none()
    }

    /// The exit code of the newest run; one that is still alive is killed now.
    fn exit_code(&self) -> u8 {
        match self.shown.session.run().and_then(|run| run.exit_code()) {
            Some(code) => code,
            None if self.lives() => (128 + nix::libc::SIGKILL) as u8,
            None => EXIT_FAILED,
        }
    }

    /// Gives the workload's terminal the size of its pane. One that is not to be seen keeps it.
    fn fit_pane(&mut self) -> Result<()> {
        let regions = Regions::new(size()?, &self.app, 0);
        let size = regions.pane_size();
        // What has ended prints nothing again: its last screen stays whole, and a screen that is too small for anything is not its size.
        let small = regions.is_too_small();
        if size != self.pane_size && regions.output.height > 0 && !small && self.shown.session.is_alive() {
            self.pane_size = size;
            let (rows, cols) = size;
            self.shown.pane.resize(rows, cols);
            self.supervisor.command(Command::Resize { rows, cols });
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.offset + self.clock.elapsed()
    }

    fn draw(&mut self) -> Result<()> {
        self.meter.look();
        self.fit_pane()?; // a program that begins to draw on all of its terminal gets more of ours
        let view = View { own: self.meter.own, ..view_of(&self.shown, &self.app, &self.theme, self.now()) };
        let drawn = self.screen.terminal.draw(|frame| view::render(frame, &view));
        drawn.map_err(|e| Error::sys("draw", e))?;
        self.drawn = Some(Instant::now());
        (self.dirty, self.pressed) = (false, false);
        Ok(())
    }
}
