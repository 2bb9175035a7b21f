//! The workload's own terminal.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::{Color, Modifier, Style},
};

use unicode_width::UnicodeWidthStr;

use super::{View, events::wrap, fit, put, rule, span};
use crate::{
    text::{has_hidden, visible_only},
    tui::{
        app::{Focus, Popup},
        input::{self, Action},
    },
};

/// Draws the terminal, and its cursor where typing goes to it.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let focused = view.app.focus == Focus::Output;
    let key = |action| input::key_of(view.app, &action);
    let hint = match (focused, view.app.alive) {
        _ if view.app.scrolled_back > 0 => format!("{} lines back", view.app.scrolled_back),
        (true, true) if view.app.is_typing() => {
            format!("typing goes to the workload · {} comes back", key(Action::TypeOrNot))
        }
        (true, true) => format!("{} types to the workload", key(Action::TypeOn)),
        (true, false) if !view.app.replaying => "the workload has ended".into(),
        _ => String::new(),
    };
    rule(frame, area, &title(view, area.width, &hint), &hint, view.theme, focused);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if view.replay.is_some_and(|replay| !replay.player.has_terminal) {
        let lines = wrap(view.words.no_output(), usize::from(body.width).saturating_sub(1));
        for (y, line) in (body.y..body.bottom()).zip(lines) {
            put(frame, Rect { y, height: 1, ..body }, vec![span(format!(" {line}"), view.theme.dim)]);
        }
        return;
    }
    let screen = view.pane.screen();
    let (rows, cols) = screen.size();
    let (cursor_row, cursor_col) = screen.cursor_position();
    // A recorded terminal may have more rows than there is room for: those around its cursor are shown.
    let most = rows.get().saturating_sub(body.height);
    let above = (cursor_row + 1).saturating_sub(body.height).min(most);
    let buffer = frame.buffer_mut();
    for row in 0..(rows.get() - above).min(body.height) {
        for col in 0..cols.get().min(body.width) {
            let Some(cell) = screen.cell(above + row, col) else { continue };
            if cell.is_wide_continuation() {
                continue;
            }
            if cell.is_wide() && col + 2 > body.width {
                continue; // half of it would lie beside
            }
            let symbol = if cell.has_contents() { cell.contents() } else { " " };
            // What turns the direction of writing takes no cell of its own, and would turn the rest of the screen.
            let seen: String;
            let symbol = match has_hidden(symbol) {
                true => {
                    seen = visible_only(symbol);
                    &seen
                }
                false => symbol,
            };
            // What is wider than the cells that it stands in would move the rest of its line.
            let most = 1 + usize::from(cell.is_wide());
            let symbol = match symbol.is_ascii() || symbol.width() <= most {
                true => symbol,
                false => symbol.char_indices().nth(1).map_or(" ", |(at, _)| &symbol[..at]),
            };
            if symbol != " " || cell.bgcolor() != vt100::Color::Default || cell.inverse() {
                buffer[(body.x + col, body.y + row)].set_symbol(symbol).set_style(style(cell, view.theme.colour));
            }
        }
    }
    let (row, col) = (cursor_row.saturating_sub(above), cursor_col);
    let inside = row < body.height && col < body.width;
    if view.app.is_typing()
        && inside
        && view.app.scrolled_back == 0
        && !screen.hide_cursor()
        && matches!(view.app.popup, Popup::None)
    {
        frame.set_cursor_position(Position::new(body.x + col, body.y + row));
    }
}

/// The region's name, and what its program calls its window as far as there is room.
fn title(view: &View, cols: u16, hint: &str) -> String {
    let room = usize::from(cols).saturating_sub(hint.width() + 20);
    match view.pane.title().filter(|_| room >= 8) {
        Some(title) => format!("output · {}", fit(title, room.min(60))),
        None => "output".into(),
    }
}

fn style(cell: &vt100::Cell, coloured: bool) -> Style {
    let colour = |c: vt100::Color| match c {
        _ if !coloured => None,
        vt100::Color::Default => None,
        vt100::Color::Idx(n) => Some(Color::Indexed(n)),
        vt100::Color::Rgb(r, g, b) => Some(Color::Rgb(r, g, b)),
    };
    let mut style = Style { fg: colour(cell.fgcolor()), bg: colour(cell.bgcolor()), ..Style::new() };
    let modifiers = [
        (cell.bold(), Modifier::BOLD),
        (cell.dim(), Modifier::DIM),
        (cell.italic(), Modifier::ITALIC),
        (cell.underline(), Modifier::UNDERLINED),
        (cell.inverse(), Modifier::REVERSED),
    ];
    for (on, modifier) in modifiers {
        if on {
            style = style.add_modifier(modifier);
        }
    }
    style
}
