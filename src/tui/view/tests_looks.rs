//! The same pictures in ASCII, where some characters are two cells wide, and without colours.

use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

use super::{
    tests::{DD, STRESS, themed},
    *,
};
use crate::tui::{app::Card, glyphs::Glyphs};

const SIZE: (u16, u16) = (120, 40);

const PICTURES: [(&str, &str); 2] = [("oom", STRESS), ("dd", DD)];

fn never(_: &Session) -> bool {
    false
}

/// The weight of each cell: bold, dim, underlined, reversed, struck; two of them as a capital.
fn weights(buffer: &ratatui::buffer::Buffer) -> String {
    let letter = |modifier: Modifier| match modifier {
        m if m.is_empty() => '.',
        m if m.contains(Modifier::CROSSED_OUT) => 's',
        m if m == Modifier::BOLD | Modifier::REVERSED => 'R',
        Modifier::BOLD => 'b',
        Modifier::DIM => 'd',
        Modifier::UNDERLINED => 'u',
        Modifier::REVERSED => 'r',
        _ => '?',
    };
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    let line = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| letter(cell.modifier)).collect::<String>();
    rows.map(line).collect::<Vec<String>>().join("\n")
}

#[test]
fn pictures_in_ascii() {
    for (name, recording) in PICTURES {
        let theme = Theme { glyphs: Glyphs::Ascii, ..Theme::new(true) };
        let terminal = themed(recording, never, App::default(), SIZE, theme);
        assert!(terminal.backend().buffer().content().iter().all(|cell| cell.symbol().is_ascii()));
        insta::assert_snapshot!(format!("ascii_{name}_120x40"), terminal.backend());
    }
}

#[test]
fn pictures_without_colours() {
    for (name, recording) in PICTURES {
        let terminal = themed(recording, never, App::default(), SIZE, Theme::new(false));
        let buffer = terminal.backend().buffer();
        assert!(buffer.content().iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
        insta::assert_snapshot!(format!("mono_{name}_120x40"), format!("{}\n{}", terminal.backend(), weights(buffer)));
    }
}

#[test]
fn nothing_of_ambiguous_width_is_drawn_where_it_would_be_wide_whatever_is_open() {
    let theme = Theme { glyphs: Glyphs::Narrow, ..Theme::new(true) };
    for recording in [STRESS, DD, include_str!("../../../tests/data/kills.jsonl")] {
        // What a program writes comes through the same pass.
        let spoken = recording.replace("\"output\":\"", "\"output\":\"日本 é я → █ ");
        for popup in [Popup::None, Popup::Help, Popup::Story(Card::default()), Popup::ConfirmQuit] {
            for size in [(50, 10), (60, 16), (80, 24), (200, 60)] {
                let app = App { popup: popup.clone(), ..App::default() };
                let terminal = themed(&spoken, never, app, size, theme);
                let wide =
                    terminal.backend().buffer().content().iter().find(|c| c.symbol().width() != c.symbol().width_cjk());
                assert_eq!(wide.map(|cell| cell.symbol()), None, "{size:?}");
            }
        }
    }
}

#[test]
fn arrow_keys_are_called_by_their_names_where_there_are_no_arrows() {
    let theme = Theme { glyphs: Glyphs::Ascii, ..Theme::new(true) };
    let keys = crate::tui::keys::KeyMap::default().in_words();
    let help = App { popup: Popup::Help, replaying: true, keys, ..App::default() };
    let text = themed(DD, never, help, (120, 50), theme).backend().to_string();
    for said in ["Left h ", "Shift-Right ", "Up k ", "Left Right show others", "Left Right seek"] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
}

#[test]
fn the_legend_is_drawn_with_the_signs_that_it_explains() {
    let theme = Theme { glyphs: Glyphs::Ascii, ..Theme::new(true) };
    let text = themed(STRESS, never, App::default(), SIZE, theme).backend().to_string();
    let legend = text.lines().find(|line| line.contains("- memory")).expect("a legend");
    for sign in ["# anon", ": cache", "= limit", "x OOM kill"] {
        assert!(legend.contains(sign), "{legend}");
    }
    let rest: String = text.lines().filter(|line| !line.contains("- memory")).collect();
    assert!(rest.contains("####") && rest.contains("====") && rest.contains('x'));
}
