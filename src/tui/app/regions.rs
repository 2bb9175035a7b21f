//! Which region has the focus, who gets what is typed, and what the keys for looking around do in each region.

use super::{App, Effect, Focus, Popup, Typing};
use std::time::Duration;

use crate::{
    event::Command,
    session::Session,
    tui::{
        input::{Action, Play},
        log,
        pane::SCROLLBACK,
        rows::{self, Cursor},
        viewport::{Viewport, Whole},
    },
};

/// Shares of memory that somebody looks at are read as often as this.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

impl App {
    /// Whether what is typed goes to the workload.
    pub fn is_typing(&self) -> bool {
        if !matches!(self.popup, Popup::None) {
            return false; // it is about what is open
        }
        let wanted = match self.typing {
            Typing::Unsaid => self.full_screen,
            Typing::Workload => true,
            Typing::Sandtop => false,
        };
        wanted && self.alive && !self.replaying && self.focus == Focus::Output
    }

    pub(super) fn type_to(&mut self, workload: bool) {
        self.typing = if workload { Typing::Workload } else { Typing::Sandtop };
        if workload {
            (self.focus, self.scrolled_back) = (Focus::Output, 0);
        }
    }

    /// Takes note of whether the workload's program draws on the whole of its terminal. One that begins to, gets the focus, as long as the user
    /// has not said who gets what is typed.
    pub fn observe_terminal(&mut self, full_screen: bool) {
        if !matches!(self.popup, Popup::None) {
            return; // nothing moves under what is open; this is asked again
        }
        let begins = full_screen && !self.full_screen;
        if self.typing == Typing::Unsaid && begins {
            (self.focus, self.scrolled_back) = (Focus::Output, 0);
        }
        if self.typing == Typing::Unsaid && self.full_screen && !full_screen && self.focus == Focus::Output {
            self.focus = Focus::default();
        }
        self.full_screen = full_screen;
    }

    /// Changes what the chart shows of the newest run; in a replay of all that was recorded of it.
    pub(super) fn look(&mut self, session: &Session, change: impl FnOnce(&mut Viewport, &Whole)) {
        if let Some(run) = session.run() {
            let mut whole = Whole::of(run, session.now);
            if let Some(end) = self.recorded_until {
                (whole.end, whole.alive) = (whole.end.max(end), false);
            }
            change(&mut self.viewport, &whole);
        }
    }

    /// Enter, on what is focused.
    pub(super) fn open(&mut self, session: &Session) -> Option<Action> {
        match self.focus {
            Focus::Processes => {
                self.popup = Popup::Detail(self.chosen(session)?);
                None
            }
            Focus::Output if !self.replaying => Some(Action::TypeOn),
            Focus::Output => None,
            Focus::Events => self.moment_of(session),
            Focus::Memory => None,
        }
    }

    /// While somebody looks at shares of memory, they are read anew each second.
    pub(super) fn measure(&mut self, session: &Session) -> Option<Effect> {
        let pids = match &self.popup {
            Popup::Detail(host_pid) => vec![*host_pid],
            Popup::Explain(page) if page.dashboards => Vec::new(), // of all
            _ => {
                self.measured = None;
                return None;
            }
        };
        let due = self.measured.is_none_or(|at| session.now.saturating_sub(at) >= MEASURED_EVERY);
        due.then(|| {
            self.measured = Some(session.now);
            Effect::Command(Command::Measure(pids))
        })
    }

    /// How to get to the moment of the entry that the user stands on: a replay goes there, and live the chart's cursor does, in the newest run.
    fn moment_of(&self, session: &Session) -> Option<Action> {
        let entry = session.log.get(log::place(session, self.entry?)?)?;
        match self.replaying {
            true => Some(Action::Play(Play::At(entry.at))),
            false => session.run().filter(|run| run.started.run == entry.run).map(|_| Action::LookAt(entry.at)),
        }
    }

    /// The process that the user stands on, or else the first that lives; he stands there from now on.
    pub(super) fn chosen(&mut self, session: &Session) -> Option<i32> {
        let run = session.run()?;
        let rows = rows::listed(run, session.now, &self.order);
        let here = self.cursor.and_then(|cursor| cursor.place(&rows));
        let first = rows.iter().position(|(_, row)| row.died.is_none());
        self.cursor = Cursor::onto(here.or(first)?, &rows);
        self.cursor.map(|cursor| cursor.host_pid)
    }

    /// Up and down, in whatever is open or focused.
    pub(super) fn scroll(&mut self, session: &Session, by: i32) {
        if let Popup::Detail(_) = self.popup {
            // The card is of the process that the user stands on: what is done there is done to that one.
            self.scroll_region(session, Focus::Processes, by);
            self.popup = self.cursor.map_or(Popup::None, |cursor| Popup::Detail(cursor.host_pid));
            return;
        }
        let top = match &mut self.popup {
            Popup::Help => &mut self.help_top,
            Popup::Story(card) => &mut card.top,
            Popup::Knobs(panel) => return panel.choose(by),
            Popup::Explain(page) => return page.choose(by),
            Popup::Process(menu) => return menu.choose(by),
            _ => return self.scroll_region(session, self.focus, by),
        };
        *top = top.saturating_add_signed(by as isize).min(1_000_000);
    }

    /// Up and down in a region.
    pub(super) fn scroll_region(&mut self, session: &Session, region: Focus, by: i32) {
        match region {
            Focus::Processes => {
                let rows = session.run().map(|run| rows::listed(run, session.now, &self.order)).unwrap_or_default();
                self.cursor = Cursor::moved(self.cursor, by, &rows).or(self.cursor);
            }
            Focus::Events => {
                let listed: Vec<usize> = log::listed(session, &self.events_filter, self.words).collect();
                self.entry = log::moved(self.entry, by, &listed);
            }
            Focus::Output if self.replaying => {} // its terminal keeps what it shows
            Focus::Output => {
                let back = self.scrolled_back as i64 - i64::from(by);
                self.scrolled_back = back.clamp(0, SCROLLBACK as i64) as usize;
            }
            Focus::Memory => match by {
                i32::MIN => self.look(session, |viewport, whole| viewport.go(whole, whole.origin)),
                i32::MAX => self.look(session, |viewport, whole| viewport.follow(whole)),
                _ => self.look(session, |viewport, whole| viewport.zoom(whole, by < 0)),
            },
        }
    }

    /// What is typed into the filter holds at once, for the events where those are focused, else for the processes.
    pub(super) fn filter(&mut self, text: String) {
        match self.focus {
            Focus::Events => (self.events_filter, self.entry) = (text, None),
            _ => (self.order.filter, self.focus) = (text, Focus::Processes),
        }
    }

    /// The filter that is in force in the focused region.
    pub(super) fn filter_now(&self) -> &str {
        if self.focus == Focus::Events { &self.events_filter } else { &self.order.filter }
    }

    /// Esc, when nothing is open: back to the usual, one step at a time.
    pub(super) fn step_back(&mut self, session: &Session) {
        let looks_back = session.run().is_some_and(|run| self.viewport.is_chosen(run));
        match () {
            () if self.drag.is_some() => self.drag = None,
            () if self.enlarged => self.enlarged = false,
            () if !self.filter_now().is_empty() => self.filter(String::new()),
            () if self.scrolled_back > 0 => self.scrolled_back = 0,
            () if looks_back => self.viewport = Viewport::default(),
            () => (self.cursor, self.entry) = (None, None),
        }
    }
}

impl Focus {
    /// The next region.
    pub(super) fn next(self) -> Focus {
        match self {
            Focus::Processes => Focus::Events,
            Focus::Events => Focus::Output,
            Focus::Output => Focus::Memory,
            Focus::Memory => Focus::Processes,
        }
    }
}
