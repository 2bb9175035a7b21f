//! What is open, focused and scrolled: the screen's own state, and how actions change it. Pure: wishes come out as [`Effect`]s.

use tui_input::{Input, backend::crossterm::EventHandler};

use super::input::Action;
use crate::{event::Command, session::Session, units::Limit};

/// A region that can be focused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// The process table.
    #[default]
    Processes,
    /// The log.
    Events,
    /// The workload's terminal: typing goes to it while the workload lives.
    Output,
}

/// What lies over the screen; one thing at a time.
#[derive(Clone, Debug, Default)]
pub enum Popup {
    /// Nothing.
    #[default]
    None,
    /// The list of keys.
    Help,
    /// The line for an exact limit.
    Limit(Input),
    /// Whether to end a workload that lives, and quit.
    ConfirmQuit,
    /// Whether to end a workload that lives, and run it again.
    ConfirmRerun,
}

/// A wish that goes beyond the screen's own state.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// For the supervisor.
    Command(Command),
    /// Type this key to the workload.
    Type(crossterm::event::KeyEvent),
    /// Paste this to the workload.
    Paste(String),
    /// Stop sandtop, back to the shell.
    Suspend,
    /// The end.
    Quit,
}

/// The screen's own state.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// What lies over the screen.
    pub popup: Popup,
    /// The focused region.
    pub focus: Focus,
    /// Whether a workload lives: only then is there something to type to.
    pub alive: bool,
    /// The first process row that is shown.
    pub processes_top: usize,
    /// The first log entry that is shown, the newest being 0.
    pub events_top: usize,
    /// The first line of the help that is shown.
    pub help_top: usize,
    /// The limit that was asked for last and is not written yet: keys come faster than the kernel answers.
    pub aimed: Option<Limit>,
    /// Run again as soon as the workload has ended.
    pub rerun_at_end: bool,
}

impl App {
    /// Takes note of what the session has become; a wish that waited for it.
    pub fn observe(&mut self, session: &Session) -> Option<Effect> {
        self.alive = session.is_alive();
        if self.alive {
            return None;
        }
        std::mem::take(&mut self.rerun_at_end).then_some(Effect::Command(Command::Rerun))
    }

    /// Does what the user wants, as far as it is the screen's; the rest comes out.
    pub fn update(&mut self, session: &Session, action: Action) -> Vec<Effect> {
        match action {
            Action::Quit if session.is_alive() => self.popup = Popup::ConfirmQuit,
            Action::Quit => return vec![Effect::Quit],
            Action::LimitUp => return self.nudge(session, true),
            Action::LimitDown => return self.nudge(session, false),
            Action::LimitExact => self.popup = Popup::Limit(Input::default()),
            Action::Rerun if session.is_alive() => self.popup = Popup::ConfirmRerun,
            Action::Rerun => return vec![Effect::Command(Command::Rerun)],
            Action::Kill if session.is_alive() => return vec![Effect::Command(Command::Stop(nix::libc::SIGKILL))],
            Action::Start if session.is_held() => return vec![Effect::Command(Command::Go)],
            Action::Kill | Action::Start => {}
            Action::Help => (self.popup, self.help_top) = (Popup::Help, 0),
            Action::FocusNext => self.focus = self.focus.next(),
            Action::FocusPrevious => self.focus = self.focus.next().next(),
            Action::FocusOutput => self.focus = Focus::Output,
            Action::Scroll(by) => self.scroll(by),
            Action::Suspend => return vec![Effect::Suspend],
            Action::Cancel => self.popup = Popup::None,
            Action::Confirm => return self.confirm(session),
            Action::Edit(key) => {
                if let Popup::Limit(input) = &mut self.popup {
                    input.handle_event(&crossterm::event::Event::Key(key));
                }
            }
            Action::Type(key) => return vec![Effect::Type(key)],
            Action::Paste(text) => return self.paste(text),
        }
        Vec::new()
    }

    fn nudge(&mut self, session: &Session, up: bool) -> Vec<Effect> {
        let target = self.aimed.or_else(|| session.limit()).and_then(|limit| limit.nudged(up));
        target.map(|limit| self.set_limit(limit)).into_iter().collect()
    }

    fn set_limit(&mut self, limit: Limit) -> Effect {
        self.aimed = Some(limit);
        Effect::Command(Command::SetLimit(limit))
    }

    fn confirm(&mut self, session: &Session) -> Vec<Effect> {
        match std::mem::take(&mut self.popup) {
            Popup::ConfirmQuit => vec![Effect::Quit],
            Popup::ConfirmRerun if !session.is_alive() => vec![Effect::Command(Command::Rerun)],
            Popup::ConfirmRerun => {
                self.rerun_at_end = true;
                vec![Effect::Command(Command::Stop(nix::libc::SIGKILL))]
            }
            Popup::Limit(input) => match self.limit_typed(session, input.value()) {
                Ok(limit) => vec![self.set_limit(limit)],
                Err(_) => {
                    self.popup = Popup::Limit(input); // what is wrong is said below the line
                    Vec::new()
                }
            },
            Popup::None | Popup::Help => Vec::new(),
        }
    }

    /// The limit that a typed text means now.
    ///
    /// # Errors
    /// One sentence that says what was wrong and what is accepted.
    pub fn limit_typed(&self, session: &Session, text: &str) -> Result<Limit, String> {
        Limit::parse_edit(text, self.aimed.or_else(|| session.limit()).unwrap_or(Limit::Max))
    }

    /// Takes note that an edit was answered.
    pub fn limit_done(&mut self, target: Limit) {
        if self.aimed == Some(target) {
            self.aimed = None;
        }
    }

    fn paste(&mut self, text: String) -> Vec<Effect> {
        match &mut self.popup {
            Popup::Limit(input) => {
                for c in text.chars().filter(|c| !c.is_control()) {
                    input.handle(tui_input::InputRequest::InsertChar(c));
                }
                Vec::new()
            }
            Popup::None if self.focus == Focus::Output && self.alive => vec![Effect::Paste(text)],
            _ => Vec::new(),
        }
    }

    fn scroll(&mut self, by: i32) {
        let top = match (&self.popup, self.focus) {
            (Popup::Help, _) => &mut self.help_top,
            (_, Focus::Processes) => &mut self.processes_top,
            (_, Focus::Events) => &mut self.events_top,
            (_, Focus::Output) => return,
        };
        *top = top.saturating_add_signed(by as isize).min(1_000_000);
    }
}

impl Focus {
    fn next(self) -> Focus {
        match self {
            Focus::Processes => Focus::Events,
            Focus::Events => Focus::Output,
            Focus::Output => Focus::Processes,
        }
    }
}
