//! The workload's own terminal.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::{Color, Modifier, Style},
};

use super::{View, rule};
use crate::tui::app::{Focus, Popup};

/// Draws the terminal, and its cursor where typing goes to it.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let focused = view.app.focus == Focus::Output;
    let hint = match (focused, view.app.alive) {
        (true, true) => "typing goes to the workload · Ctrl-] comes back",
        (true, false) => "the workload has ended",
        _ => "",
    };
    rule(frame, area, "output", hint, view.theme, focused);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let screen = view.pane.screen();
    let (rows, cols) = screen.size();
    let buffer = frame.buffer_mut();
    for row in 0..rows.get().min(body.height) {
        for col in 0..cols.get().min(body.width) {
            let Some(cell) = screen.cell(row, col) else { continue };
            if cell.is_wide_continuation() {
                continue;
            }
            let symbol = if cell.has_contents() { cell.contents() } else { " " };
            if symbol != " " || cell.bgcolor() != vt100::Color::Default || cell.inverse() {
                buffer[(body.x + col, body.y + row)].set_symbol(symbol).set_style(style(cell, view.theme.colour));
            }
        }
    }
    let (row, col) = screen.cursor_position();
    let inside = row < body.height && col < body.width;
    if focused && view.app.alive && inside && !screen.hide_cursor() && matches!(view.app.popup, Popup::None) {
        frame.set_cursor_position(Position::new(body.x + col, body.y + row));
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
