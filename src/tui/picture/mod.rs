//! The screen as a picture: what the views draw of a recording, without a terminal. `sandtop report --screen` makes SVG of it, and the bench draws it.

mod svg;
#[cfg(test)]
mod tests;

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Rect};

use super::{
    app::App,
    input,
    key::Key,
    shown::Shown,
    theme::Theme,
    view::{self, Regions},
    view_of,
};
use crate::{
    event::{Event, Stamped},
    replay::Fold,
};
use crossterm::event::KeyEvent;

/// The screen after some events, as often as it is wanted.
pub struct Picture {
    shown: Shown,
    app: App,
    theme: Theme,
    now: std::time::Duration,
    terminal: Terminal<TestBackend>,
}

impl Picture {
    /// The screen of this size after these events, and after these keys.
    ///
    /// # Errors
    /// One sentence: a key has no such name, or the screen is too small.
    pub fn new(events: &[Stamped], (cols, rows): (u16, u16), keys: &[String], theme: Theme) -> Result<Picture, String> {
        let keys = keys.iter().map(|key| Key::parse(key)).collect::<Result<Vec<Key>, String>>()?;
        let mut app = App::default();
        let (pane_rows, pane_cols) = Regions::new(Rect::new(0, 0, cols, rows), &app, 0).pane_size();
        let mut shown = Shown::new(pane_rows, pane_cols);
        for stamped in events {
            match stamped.event {
                Event::Resized { .. } => {} // its pane has the size that it has here
                _ => drop(shown.take(stamped)),
            }
        }
        app.observe(&shown.session);
        for key in keys {
            if let Some(action) = input::action(&app, KeyEvent::from(key)) {
                app.update(&shown.session, action);
            }
        }
        let now = shown.session.now;
        let terminal = Terminal::new(TestBackend::new(cols, rows)).map_err(|e| e.to_string())?;
        Ok(Picture { shown, app, theme, now, terminal })
    }

    /// Takes in one more event, as the live screen does.
    pub fn take(&mut self, stamped: &Stamped) {
        self.shown.apply(stamped);
        self.now = self.shown.session.now;
    }

    /// Draws it.
    pub fn draw(&mut self) -> &Buffer {
        let view = view_of(&self.shown, &self.app, &self.theme, self.now);
        let Ok(_) = self.terminal.draw(|frame| view::render(frame, &view)); // a buffer in memory takes everything
        self.terminal.backend().buffer()
    }

    /// It as SVG that needs nothing else.
    pub fn svg(&mut self) -> String {
        svg::svg(self.draw())
    }
}
