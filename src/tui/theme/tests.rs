//! The themes in the program, and what is said of a user's own.

use super::*;

/// The style of a colour and a weight, and nothing else.
fn exact(fg: Color, weight: Modifier) -> Style {
    Style::new().fg(fg).remove_modifier(WEIGHTS).add_modifier(weight)
}

fn said(text: &str) -> String {
    parse(&Document::new(Path::new("my.toml"), text)).unwrap_err().to_string()
}

#[test]
fn every_theme_in_the_program_is_read_and_sets_every_style() {
    for (name, text) in BUILT_IN {
        let document = Document::new(Path::new(name), text);
        parse(&document).unwrap_or_else(|e| panic!("{e}"));
        let entries = document.entries().unwrap();
        for style in STYLES {
            assert!(entries.iter().any(|e| e.table == "styles" && e.key == *style), "{name}: {style}");
        }
    }
}

#[test]
fn each_meaning_has_its_style() {
    let Theme { colour, held, anon, shmem, kernel, cache, limit, soft, peak, cursor, before, .. } = Theme::new(true);
    let Theme { danger, warning, act, good, dim, strong, key, focus, .. } = Theme::new(true);
    let (none, bold) = (Modifier::empty(), Modifier::BOLD);
    let fg = |colour| exact(colour, none);
    let own = |weight| exact(Color::Reset, weight);
    assert!(colour);
    assert_eq!([held, anon, shmem, kernel], [Color::LightBlue, Color::LightBlue, Color::Cyan, Color::Magenta].map(fg));
    assert_eq!([cache, soft, before], [Color::Green, Color::Red, Color::Magenta].map(fg));
    assert_eq!([warning, act, good], [Color::Red, Color::LightMagenta, Color::Green].map(fg));
    assert_eq!([limit, cursor, strong, key], [own(bold); 4]);
    assert_eq!([danger, focus], [Color::LightRed, Color::LightBlue].map(|c| exact(c, bold)));
    assert_eq!([peak, dim], [own(none), own(Modifier::DIM)]);
}

#[test]
fn without_colours_what_must_stand_out_does_by_weight() {
    let theme = Theme::new(false);
    assert!(!theme.colour);
    let own = |weight| exact(Color::Reset, weight);
    assert_eq!(theme.danger, own(Modifier::BOLD | Modifier::REVERSED));
    assert_eq!(theme.act, own(Modifier::UNDERLINED));
    assert_eq!(theme.limit, own(Modifier::BOLD));
    let mut theme = theme;
    for name in STYLES {
        assert_eq!(theme.style(name).unwrap().fg, Some(Color::Reset), "{name}");
    }
}

#[test]
fn no_theme_sets_a_background() {
    for (name, _) in BUILT_IN {
        let mut theme = built_in(name).unwrap();
        assert!(STYLES.iter().all(|style| theme.style(style).unwrap().bg.is_none()), "{name}");
    }
}

#[test]
fn a_theme_of_ones_own_says_only_what_is_different() {
    let text = "base = \"truecolor\"\n[styles]\nlimit = \"208 italic\"\n";
    let theme = parse(&Document::new(Path::new("my.toml"), text)).unwrap();
    assert_eq!(theme.limit, exact(Color::Indexed(208), Modifier::ITALIC));
    assert_eq!(theme.held, built_in("truecolor").unwrap().held);
    let theme = parse(&Document::new(Path::new("my.toml"), "[styles]\nact = \"bright-black\"\n")).unwrap();
    assert_eq!((theme.act, theme.held), (exact(Color::DarkGray, Modifier::empty()), Theme::new(true).held));
}

#[test]
fn what_is_wrong_with_a_theme_is_told_with_its_line() {
    for (text, place, word) in [
        ("[styles]\nlimt = \"red\"\n", "my.toml:2: ", "limit"),
        ("[styles]\n\nlimit = \"crimson\"\n", "my.toml:3: ", "bright-"),
        ("[styles]\nlimit = \"#12345\"\n", "my.toml:2: ", "#rrggbb"),
        ("[styles]\nlimit = \"256\"\n", "my.toml:2: ", "0 to 255"),
        ("[styles]\nlimit = 3\n", "my.toml:2: ", "not a number"),
        ("colour = \"no\"\n", "my.toml:1: ", "true or false"),
        ("base = \"mine\"\n", "my.toml:1: ", "colour-blind"),
        ("limit = \"red\"\n", "my.toml:1: ", "[styles]"),
    ] {
        let said = said(text);
        assert!(said.starts_with(place) && said.contains(word) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_theme_is_found_by_name_and_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    std::fs::write(&file, "[styles]\nlimit = \"red\"\n").unwrap();
    let red = Some(Color::Red);
    assert_eq!(Theme::load("mine", Some(dir.path())).unwrap().limit.fg, red);
    assert_eq!(Theme::load(file.to_str().unwrap(), None).unwrap().limit.fg, red);
    assert_eq!(Theme::load("default", Some(dir.path())).unwrap(), Theme::new(true));
    let said = Theme::load("nobodys", Some(dir.path())).unwrap_err().to_string();
    assert!(said.contains("colour-blind") && said.contains("nobodys"), "{said}");
    assert!(Theme::load("/no/such.toml", None).unwrap_err().to_string().contains("No such file"));
}
