//! What is open, focused and scrolled: the screen's own state, and how actions change it. Pure: wishes come out as [`Effect`]s.

use std::{rc::Rc, time::Duration};

use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::{Input, backend::crossterm::EventHandler};

use super::{
    explain::Page,
    input::{Action, Play},
    keys::KeyMap,
    knobs::{self, Panel},
    menu::{Menu, Stage},
    rows::{self, Cursor, Order},
    undo::{Kind, Undo},
    viewport::Viewport,
};
pub use popup::{Card, Line, Popup};

use crate::{
    event::Command,
    sentences::Language,
    session::Session,
    units::{Limit, Step},
};

mod limit;
pub mod paused;
mod popup;
mod regions;

/// A region that can be focused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// The process table.
    #[default]
    Processes,
    /// The log.
    Events,
    /// The workload's terminal.
    Output,
    /// The chart.
    Memory,
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
    /// For the player of a recording.
    Play(Play),
    /// Stop sandtop, back to the shell.
    Suspend,
    /// The end.
    Quit,
}

/// So many characters of what is pasted into a line are taken: a size or a name is shorter.
const PASTED: usize = 256;

/// Who gets what is typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Typing {
    /// The workload while its program draws on the whole terminal, else sandtop: the user has not said.
    #[default]
    Unsaid,
    /// The workload, by the user's word.
    Workload,
    /// sandtop, by the user's word.
    Sandtop,
}

/// The screen's own state.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// What lies over the screen.
    pub popup: Popup,
    /// The focused region.
    pub focus: Focus,
    /// Whether the focused region fills the screen.
    pub enlarged: bool,
    /// Who gets what is typed.
    pub typing: Typing,
    /// Whether the workload's program draws on the whole of its terminal.
    pub full_screen: bool,
    /// How many lines the workload's terminal is scrolled back.
    pub scrolled_back: usize,
    /// Where the limit's line is held, while it is.
    pub drag: Option<Limit>,
    /// Which stretch of the run the chart shows, and its cursor.
    pub viewport: Viewport,
    /// The language of sentences that are searched.
    pub words: Language,
    /// Which key means what.
    pub keys: Rc<KeyMap>,
    /// Whether a workload lives: only then is there something to type to.
    pub alive: bool,
    /// Whether this is a replay: there is no workload, and nothing to ask before the end.
    pub replaying: bool,
    /// In a replay, the end of what was recorded.
    pub recorded_until: Option<Duration>,
    /// The process row that the user stands on, once he stepped onto one.
    pub cursor: Option<Cursor>,
    /// How the processes are listed.
    pub order: Order,
    /// The entry of the log that the user stands on, once he stepped onto one.
    pub entry: Option<usize>,
    /// Only entries of the log that have this in their sentence; empty for all.
    pub events_filter: String,
    /// The first line of the help that is shown.
    pub help_top: usize,
    /// The limit that was asked for last and is not written yet: keys come faster than the kernel answers.
    pub aimed: Option<Limit>,
    /// How far one key moves the limit.
    pub step: Step,
    /// What stood in the line that is being typed when it was opened, until a key changes that: the first character takes its place.
    pub offered: Option<String>,
    /// The way back.
    pub undo: Undo,
    /// When processes' shares of memory were asked for last.
    pub measured: Option<Duration>,
    /// Whether the workload was asked to end, and sandtop is left when it has.
    pub quitting: bool,
    /// Run again as soon as the workload has ended.
    pub rerun_at_end: bool,
    /// The pause that the panel was opened for by itself.
    pub pause_seen: Option<paused::Seen>,
}

impl App {
    /// Takes note of what the session has become; a wish that waited for it.
    pub fn observe(&mut self, session: &Session) -> Option<Effect> {
        match (std::mem::replace(&mut self.alive, session.is_alive()), self.alive) {
            (true, false) => self.forget_unanswered(),
            // A schedule starts where it did: what was before the edits of the run before is nothing to go back to.
            (false, true) if session.run().is_some_and(|run| !run.started.schedule.is_empty()) => {
                self.undo = Undo::default()
            }
            _ => {}
        }
        if !self.alive || !matches!(self.popup, Popup::None) {
            self.drag = None;
        }
        if !self.alive {
            self.typing = Typing::Unsaid;
        }
        if let Popup::Detail(host_pid) = self.popup
            && session.run().is_none_or(|run| !run.processes.contains_key(&host_pid))
        {
            self.popup = Popup::None; // it is forgotten
        }
        self.notice_pause(session);
        if self.alive {
            return self.measure(session);
        }
        std::mem::take(&mut self.rerun_at_end).then_some(Effect::Command(Command::Rerun))
    }

    /// Does what the user wants, as far as it is the screen's; the rest comes out.
    pub fn update(&mut self, session: &Session, action: Action) -> Vec<Effect> {
        let typed = self.line().is_some();
        let effects = self.act(session, action);
        if !typed {
            self.offered = self.line().map(|line| line.value().to_string()).filter(|text| !text.is_empty());
        }
        effects
    }

    fn act(&mut self, session: &Session, action: Action) -> Vec<Effect> {
        match action {
            Action::Quit if self.runs(session) => self.popup = Popup::ConfirmQuit,
            Action::Quit => return vec![Effect::Quit],
            Action::LimitUp => return self.nudge(session, true),
            Action::LimitDown => return self.nudge(session, false),
            Action::LimitExact => self.popup = Popup::Limit(Line::default()),
            Action::Undo => return self.step_to(session, self.undo.back(), Kind::Undo),
            Action::Redo => return self.step_to(session, self.undo.forward(), Kind::Redo),
            Action::Rerun if session.is_alive() => self.popup = Popup::ConfirmRerun,
            Action::Rerun => return vec![Effect::Command(Command::Rerun)],
            Action::Kill if session.is_alive() => self.popup = Popup::ConfirmKill,
            Action::Open if session.is_held() => return vec![Effect::Command(Command::Go)],
            Action::Open => {
                return self.open(session).map(|action| self.update(session, action)).unwrap_or_default();
            }
            // A press: whatever was held before is not any more, wherever it was let go.
            Action::Focus(region) => (self.focus, self.typing, self.drag) = (region, Typing::Sandtop, None),
            Action::ScrollIn(region, by) => self.scroll_region(session, region, by),
            Action::ChooseRow(row) => {
                let rows = session.run().map(|run| rows::listed(run, session.now, &self.order)).unwrap_or_default();
                self.cursor = rows::Cursor::onto(row, &rows).or(self.cursor);
            }
            Action::ChooseEntry(entry) => self.entry = Some(entry),
            Action::Drag(limit) => self.drag = Some(limit),
            Action::Drop => return self.let_go(session),
            Action::Explain => self.popup = Popup::Explain(Page::of(self.focus)),
            Action::ExplainThat(page) => self.popup = Popup::Explain(page),
            Action::Filter => self.popup = Popup::Filter(Input::new(self.filter_now().to_string())),
            Action::Order { forward } => {
                (self.focus, self.cursor) = (Focus::Processes, None);
                self.order.turn(forward);
            }
            Action::Reverse => self.order.reversed = !self.order.reversed,
            Action::Tree => self.order.flat = !self.order.flat,
            Action::ShowPause => self.show_pause(session),
            Action::Story if !session.stories().is_empty() => self.popup = Popup::Story(Card::default()),
            Action::Story => {}
            Action::TurnStory { older } => {
                if let Popup::Story(card) = &mut self.popup {
                    card.turn(older, session.stories().len());
                }
            }
            Action::RaiseAndGoOn => return self.raise_and_go_on(session),
            Action::LetItBeKilled => return self.let_it_be_killed(),
            Action::Freeze if session.run().is_some_and(|run| run.is_paused()) => self.show_pause(session),
            Action::Freeze if session.is_held() => {} // it does not run yet
            Action::Freeze if session.is_alive() => {
                let frozen = session.run().is_some_and(|run| run.settings.frozen == Some(true));
                return vec![Effect::Command(Command::Freeze(!frozen))];
            }
            Action::Kill | Action::Freeze => {}
            Action::Help => (self.popup, self.help_top) = (Popup::Help, 0),
            Action::FocusNext if matches!(self.popup, Popup::Explain(_)) => {
                if let Popup::Explain(page) = &mut self.popup {
                    page.turn();
                }
            }
            Action::FocusNext => self.focus = self.focus.next(),
            Action::FocusPrevious => self.focus = self.focus.next().next().next(),
            Action::TypeOn if self.alive => self.type_to(true),
            Action::TypeOn => {}
            Action::TypeOrNot => self.type_to(!self.is_typing()),
            Action::Enlarge => self.enlarged = !self.enlarged,
            Action::Scroll(by) => self.scroll(session, by),
            Action::Knobs => self.popup = Popup::Knobs(Panel::default()),
            Action::Process => self.open_menu(session, Menu::new),
            Action::ProcessAdj => {
                let line_alone = !matches!(self.popup, Popup::Process(_));
                self.open_menu(session, |pid| Menu { line_alone, ..Menu::adj(pid, session) });
            }
            Action::Everyone => {
                if let Popup::Process(menu) = &mut self.popup {
                    menu.all = !menu.all;
                }
            }
            Action::Zoom { closer } => self.look(session, |viewport, whole| viewport.zoom(whole, closer)),
            Action::Pan(hundredths) => {
                self.focus = Focus::Memory;
                self.look(session, |viewport, whole| viewport.pan(whole, hundredths));
            }
            Action::LookAt(moment) => self.look(session, |viewport, whole| viewport.go(whole, moment)),
            Action::Suspend => {
                self.drag = None; // its end will not be told
                return vec![Effect::Suspend];
            }
            Action::Cancel if matches!(self.popup, Popup::None) => self.step_back(session),
            Action::Cancel => self.cancel(),
            Action::Confirm => return self.confirm(session),
            Action::Edit(key) => {
                let inserts = matches!(key.code, KeyCode::Char(_)) && (key.modifiers - KeyModifiers::SHIFT).is_empty();
                self.take_the_place(inserts);
                if let Some(input) = self.line()
                    && input.handle_event(&crossterm::event::Event::Key(key)).is_some_and(|did| did.value)
                {
                    self.edited();
                }
            }
            Action::Type(key) => {
                self.scrolled_back = 0;
                return vec![Effect::Type(key)];
            }
            Action::Paste(text) => return self.paste(text),
            Action::Play(wish) => return vec![Effect::Play(wish)],
        }
        Vec::new()
    }

    /// Whether there is a workload to be ended; in the first moments nothing was heard of it.
    fn runs(&self, session: &Session) -> bool {
        !self.replaying && (session.is_alive() || session.run().is_none())
    }

    fn confirm(&mut self, session: &Session) -> Vec<Effect> {
        match std::mem::take(&mut self.popup) {
            Popup::ConfirmQuit => {
                if self.runs(session) {
                    (self.quitting, self.popup) = (true, Popup::ConfirmQuit); // who says yes again does not wait
                }
                vec![Effect::Quit]
            }
            Popup::ConfirmKill if !session.is_alive() => Vec::new(),
            Popup::ConfirmKill => vec![Effect::Command(Command::Stop(nix::libc::SIGKILL))],
            Popup::ConfirmRerun if !session.is_alive() => vec![Effect::Command(Command::Rerun)],
            Popup::ConfirmRerun => {
                self.rerun_at_end = true;
                vec![Effect::Command(Command::Stop(nix::libc::SIGKILL))]
            }
            Popup::Limit(line) => match self.limit_typed(session, line.input.value()) {
                Ok(limit) => self.set_limit(session, limit, line),
                Err(_) => {
                    self.popup = Popup::Limit(line); // what is wrong is said below the line
                    Vec::new()
                }
            },
            Popup::Knobs(panel) => self.turn(session, panel),
            Popup::Process(mut menu) => {
                let command = menu.enter(session);
                if command.is_none() {
                    self.popup = Popup::Process(menu);
                }
                command.into_iter().map(Effect::Command).collect()
            }
            Popup::None
            | Popup::Help
            | Popup::Paused
            | Popup::Story(_)
            | Popup::Explain(_)
            | Popup::Detail(_)
            | Popup::Filter(_) => Vec::new(),
        }
    }

    /// Enter on the panel. It stays open, and shows what comes of it.
    fn turn(&mut self, session: &Session, mut panel: Panel) -> Vec<Effect> {
        if self.replaying {
            self.popup = Popup::Knobs(panel); // to be looked at
            return Vec::new();
        }
        let step = panel.enter(session);
        self.popup = Popup::Knobs(panel);
        match step {
            knobs::Step::Stay => Vec::new(),
            knobs::Step::LimitDialog => self.update(session, Action::LimitExact),
            knobs::Step::Do(command) => vec![Effect::Command(command)],
        }
    }

    /// One step back: from a line or a question to the list, from there to the screen.
    fn cancel(&mut self) {
        self.popup = match std::mem::take(&mut self.popup) {
            Popup::Filter(_) => {
                self.filter(String::new());
                Popup::None
            }
            Popup::Knobs(Panel { chosen, line: Some(_) }) => Popup::Knobs(Panel { chosen, line: None }),
            Popup::Process(menu) if !matches!(menu.stage, Stage::Choose) && !menu.line_alone => {
                Popup::Process(Menu { stage: Stage::Choose, ..menu })
            }
            _ => Popup::None,
        };
    }

    /// A menu for the process that the user stands on, or else for the first that lives.
    fn open_menu(&mut self, session: &Session, menu: impl FnOnce(i32) -> Menu) {
        if session.is_alive()
            && let Some(host_pid) = self.chosen(session)
        {
            self.popup = Popup::Process(menu(host_pid));
        }
    }

    /// Takes note that what is typed is another text than it was.
    fn edited(&mut self) {
        match &mut self.popup {
            Popup::Limit(line) => line.edited(),
            Popup::Filter(input) => {
                let text = input.value().to_string();
                self.filter(text);
            }
            _ => {}
        }
    }

    /// The line that is being typed.
    fn line(&mut self) -> Option<&mut Input> {
        match &mut self.popup {
            Popup::Limit(line) => Some(&mut line.input),
            Popup::Filter(input) => Some(input),
            Popup::Knobs(panel) => panel.line.as_mut(),
            Popup::Process(Menu { stage: Stage::Adj(input), .. }) => Some(input),
            _ => None,
        }
    }

    /// What was offered gives way to the first character; any other key keeps it.
    fn take_the_place(&mut self, inserts: bool) {
        if self.offered.take().is_some()
            && inserts
            && let Some(input) = self.line()
        {
            input.reset();
        }
    }

    fn paste(&mut self, text: String) -> Vec<Effect> {
        self.take_the_place(true);
        if let Some(input) = self.line() {
            for c in text.chars().filter(|c| !c.is_control()).take(PASTED) {
                input.handle(tui_input::InputRequest::InsertChar(c));
            }
            self.edited();
            return Vec::new();
        }
        match &self.popup {
            Popup::None if self.is_typing() => vec![Effect::Paste(text)],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
