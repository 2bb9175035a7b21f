//! How the screen looks and is used, as far as options and configuration say.

use std::rc::Rc;

use crossterm::event::Event as TerminalEvent;

use super::{glyphs::Glyphs, keys::KeyMap, measure, theme::Theme};
use crate::{error::Result, units::Step};

/// What a screen is started with.
#[derive(Clone, Debug)]
pub struct Looks {
    /// The styles.
    pub theme: Theme,
    /// Which characters are drawn; `None` asks the terminal.
    pub glyphs: Option<Glyphs>,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// Which key means what.
    pub keys: Rc<KeyMap>,
    /// How far one key moves the limit.
    pub step: Step,
}

impl Looks {
    /// Theme and keys as this terminal draws them, which may be asked; and what is typed meanwhile. The terminal has to be ours, and
    /// nobody else to read from it.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn settle(&self) -> Result<(Theme, Rc<KeyMap>, Vec<TerminalEvent>)> {
        let (glyphs, typed) = match self.glyphs {
            Some(glyphs) => (glyphs, Vec::new()),
            None => {
                let measured = measure::ask()?;
                (if measured.wide { Glyphs::Narrow } else { Glyphs::All }, measured.typed)
            }
        };
        let keys = if glyphs == Glyphs::All { self.keys.clone() } else { self.keys.in_words() };
        Ok((Theme { glyphs, ..self.theme }, keys, typed))
    }
}
