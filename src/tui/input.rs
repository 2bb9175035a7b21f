//! Keys become words before any logic sees them. Which key is which word stands in `keys.rs`.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    app::{App, Focus, Popup},
    explain::Page,
    keys::{self, Table},
    knobs::Panel,
    menu::{Menu, Stage},
};
use crate::units::Limit;

/// What a user can want.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// End, or ask whether to.
    Quit,
    /// The limit a step up.
    LimitUp,
    /// The limit a step down.
    LimitDown,
    /// Back to the limit before.
    Undo,
    /// Forward again.
    Redo,
    /// Ask for a limit.
    LimitExact,
    /// Run the command again.
    Rerun,
    /// The settings.
    Knobs,
    /// What can be done to the process that the user stands on.
    Process,
    /// How readily the OOM killer takes it.
    ProcessAdj,
    /// The process, or the whole workload.
    Everyone,
    /// Kill the workload.
    Kill,
    /// Freeze the workload, or let it go on.
    Freeze,
    /// What can be done about a paused workload.
    ShowPause,
    /// The story of the newest kill.
    Story,
    /// The story of the kill before, or after, the one that is shown.
    TurnStory {
        /// Before.
        older: bool,
    },
    /// Raise the limit of a paused workload by a quarter.
    RaiseAndGoOn,
    /// Let a paused workload go on, and be killed at its limit.
    LetItBeKilled,
    /// The list of keys.
    Help,
    /// The next region.
    FocusNext,
    /// The region before.
    FocusPrevious,
    /// Typing goes to the workload.
    TypeOn,
    /// Typing goes to the workload, or not any more.
    TypeOrNot,
    /// The focused region fills the screen, or not any more.
    Enlarge,
    /// The default key of what is focused: start a held command, type, …
    Open,
    /// Scroll by so many lines; negative is up.
    Scroll(i32),
    /// The chart shows less time, in more detail, or more.
    Zoom {
        /// Less.
        closer: bool,
    },
    /// The chart's cursor goes by so many hundredths of what is shown.
    Pan(i32),
    /// The chart's cursor goes to this moment.
    LookAt(Duration),
    /// This region is focused; what is typed is sandtop's.
    Focus(Focus),
    /// Scroll this region, whichever is focused.
    ScrollIn(Focus, i32),
    /// Stand on this row of the processes.
    ChooseRow(usize),
    /// Stand on this entry of the log.
    ChooseEntry(usize),
    /// The limit's line is held, and is here now.
    Drag(Limit),
    /// It is let go there.
    Drop,
    /// What the numbers mean.
    Explain,
    /// The same, from this one on.
    ExplainThat(Page),
    /// Ask what the list is filtered by.
    Filter,
    /// The processes are ordered by the next column, or the one before.
    Order {
        /// The next.
        forward: bool,
    },
    /// The other way round.
    Reverse,
    /// A tree, or a list.
    Tree,
    /// Stop sandtop, back to the shell.
    Suspend,
    /// Yes, to what was asked.
    Confirm,
    /// No, or close what is open.
    Cancel,
    /// A key for the line that is being edited.
    Edit(KeyEvent),
    /// A key for the workload.
    Type(KeyEvent),
    /// Pasted text.
    Paste(String),
    /// Something about a recording that is being played.
    Play(Play),
}

/// What can be wanted of a recording that is being played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// Stop there, or go on; at the end, from the start.
    Pause,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// Forward, or back, by so many percent of the whole.
    By(i32),
    /// To so many percent of the whole.
    To(u8),
    /// To this moment.
    At(Duration),
    /// To the next event (`true`), or the last one.
    Event(bool),
    /// To the next sample (`true`), or the last one.
    Sample(bool),
}

/// The keys that are in force.
pub fn bindings(app: &App) -> &Table {
    if app.replaying { &app.keys.replay } else { &app.keys.live }
}

/// The first key for an action, as the user reads it; empty where it has none.
pub fn key_of(app: &App, action: &Action) -> String {
    bindings(app).iter().find(|bound| bound.binding.action == *action).map(keys::Bound::first).unwrap_or_default()
}

/// Whether a key is this one with Ctrl.
fn ctrl(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// What a key means now.
pub fn action(app: &App, key: KeyEvent) -> Option<Action> {
    match &app.popup {
        Popup::Limit(_) | Popup::Filter(_) => Some(typing(key)),
        Popup::Detail(_) => match bound(app, key) {
            Some(Action::Process | Action::ProcessAdj | Action::Scroll(_)) => bound(app, key),
            _ => Some(Action::Cancel),
        },
        Popup::Knobs(Panel { line: Some(_), .. }) | Popup::Process(Menu { stage: Stage::Adj(_), .. }) => {
            Some(typing(key))
        }
        Popup::Process(Menu { stage: Stage::Sure, .. }) => match key.code {
            KeyCode::Enter | KeyCode::Char('y' | 'Y') => Some(Action::Confirm),
            KeyCode::Esc | KeyCode::Char('n' | 'N' | 'q') => Some(Action::Cancel),
            _ => ctrl(key, 'c').then_some(Action::Cancel),
        },
        Popup::Knobs(_) | Popup::Process(_) => match key.code {
            KeyCode::Enter => Some(Action::Confirm),
            KeyCode::Esc | KeyCode::Char('q' | 's') => Some(Action::Cancel),
            KeyCode::Tab | KeyCode::Char('a') => Some(Action::Everyone),
            KeyCode::Char('o') if matches!(app.popup, Popup::Process(_)) => Some(Action::ProcessAdj),
            _ if ctrl(key, 'c') => Some(Action::Cancel),
            _ if is_scroll(app, key) => bound(app, key),
            _ => None,
        },
        Popup::ConfirmQuit | Popup::ConfirmRerun | Popup::ConfirmKill => match key.code {
            KeyCode::Enter | KeyCode::Char('y' | 'Y') => Some(Action::Confirm),
            KeyCode::Esc | KeyCode::Char('n' | 'N') => Some(Action::Cancel),
            // Who presses the key again means it.
            KeyCode::Char('K') if matches!(app.popup, Popup::ConfirmKill) => Some(Action::Confirm),
            KeyCode::Char('q') if matches!(app.popup, Popup::ConfirmQuit) => Some(Action::Confirm),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Confirm),
            _ => None,
        },
        Popup::Paused => {
            keys::meant(&app.keys.paused, key).or_else(|| bound(app, key)) // the screen goes on behind it
        }
        Popup::Story(_) => match key.code {
            KeyCode::Left | KeyCode::Char('h') => Some(Action::TurnStory { older: true }),
            KeyCode::Right | KeyCode::Char('l') => Some(Action::TurnStory { older: false }),
            _ if is_scroll(app, key) => bound(app, key),
            _ => Some(Action::Cancel),
        },
        Popup::Explain(_) => match bound(app, key) {
            Some(Action::Scroll(_)) => bound(app, key),
            _ if key.code == KeyCode::Tab => Some(Action::FocusNext),
            _ => Some(Action::Cancel),
        },
        Popup::Help => Some(if is_scroll(app, key) { bound(app, key)? } else { Action::Cancel }),
        Popup::None if app.is_typing() => match bound(app, key) {
            Some(Action::TypeOrNot) => Some(Action::TypeOrNot),
            _ => Some(Action::Type(key)),
        },
        Popup::None => bound(app, key),
    }
}

/// What a key means to a line that is being typed.
fn typing(key: KeyEvent) -> Action {
    match key.code {
        KeyCode::Enter => Action::Confirm,
        KeyCode::Esc => Action::Cancel,
        _ if ctrl(key, 'c') => Action::Cancel,
        _ => Action::Edit(key),
    }
}

fn is_scroll(app: &App, key: KeyEvent) -> bool {
    matches!(bound(app, key), Some(Action::Scroll(_)))
}

fn bound(app: &App, key: KeyEvent) -> Option<Action> {
    keys::meant(bindings(app), key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keys::KeyMap;

    #[test]
    fn no_key_has_two_meanings() {
        let map = KeyMap::default();
        for table in [&map.live, &map.replay, &map.paused] {
            let mut keys: Vec<String> = table.iter().flat_map(|bound| &bound.keys).map(|key| key.to_string()).collect();
            let all = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), all);
        }
    }

    #[test]
    fn a_key_that_is_given_to_an_action_is_taken_from_the_one_that_had_it() {
        let remap = |id: &str, keys: &[&str]| [(id.to_string(), keys.iter().map(|k| k.to_string()).collect())].into();
        let app = App { keys: KeyMap::new(&remap("rerun", &["q", "F5"])).unwrap(), ..App::default() };
        let meaning = |code| action(&app, KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(meaning(KeyCode::Char('q')), Some(Action::Rerun));
        assert_eq!(meaning(KeyCode::F(5)), Some(Action::Rerun));
        assert_eq!(meaning(KeyCode::Char('r')), None);
        assert_eq!(meaning(KeyCode::Char('Q')), Some(Action::Quit));
        assert!(KeyMap::new(&remap("quit", &[])).unwrap_err().contains("quit needs a key"));
        assert!(KeyMap::new(&remap("kill", &["Ctrl-]"])).unwrap_err().contains("typing needs a key"));
        assert!(KeyMap::new(&remap("fly", &["f"])).unwrap_err().contains("no action \"fly\""));
        assert!(KeyMap::new(&remap("quit", &["Hyper-q"])).unwrap_err().contains("no key is called"));
        assert!(KeyMap::new(&remap("quit", &["x", "x"])).unwrap_err().contains("given to both"));
    }
}
