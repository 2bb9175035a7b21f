//! What can lie over the screen, and what each of them keeps.

use tui_input::Input;

use crate::{
    session::{Run, Story},
    tui::{explain::Page, knobs::Panel, menu::Menu, undo::Kind},
    units::Limit,
};

/// What lies over the screen; one thing at a time.
#[derive(Clone, Debug, Default)]
pub enum Popup {
    /// Nothing.
    #[default]
    None,
    /// The list of keys.
    Help,
    /// The line for an exact limit, and what it would do.
    Limit(Line),
    /// The settings.
    Knobs(Panel),
    /// What can be done to a process.
    Process(Menu),
    /// What can be done about a workload that is paused at its limit.
    Paused,
    /// The story of a kill.
    Story(Card),
    /// What the numbers mean.
    Explain(Page),
    /// All about a process, by its pid outside.
    Detail(i32),
    /// The line for what the list is filtered by.
    Filter(Input),
    /// Whether to end a workload that lives, and quit.
    ConfirmQuit,
    /// Whether to end a workload that lives, and run it again.
    ConfirmRerun,
    /// Whether to kill it.
    ConfirmKill,
}

/// The card of a kill: which, and how far it is scrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// The newest is 0.
    pub back: usize,
    /// The first line that is shown.
    pub top: usize,
}

impl Card {
    /// The story that it shows.
    pub fn of<'a>(&self, stories: &[(&'a Run, &'a Story)]) -> Option<(&'a Run, &'a Story)> {
        let last = stories.len().checked_sub(1)?;
        Some(stories[last - self.back.min(last)])
    }

    /// An older one (`true`), or a newer one.
    pub(super) fn turn(&mut self, older: bool, stories: usize) {
        let back = if older { self.back.saturating_add(1) } else { self.back.saturating_sub(1) };
        *self = Card { back: back.min(stories.saturating_sub(1)), top: 0 };
    }
}

/// The line for an exact limit.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What is typed.
    pub input: Input,
    /// What kind of edit it is to be; what is typed is a new one.
    pub kind: Kind,
    /// The limit of which it was said that it kills, and asked whether it is meant.
    pub sure: Option<Limit>,
}

impl Line {
    /// With this text in it.
    pub fn new(text: String) -> Line {
        Line { input: Input::new(text), ..Line::default() }
    }

    /// What is typed from here on is another edit.
    pub(super) fn edited(&mut self) {
        (self.kind, self.sure) = (Kind::New, None);
    }
}
