//! Themes: what each meaning looks like. A meaning has one style, and a sign or a word says the same without it. Themes are TOML files;
//! those in `assets/themes` are in the program, and a user may have others. None sets a background: that is the terminal's.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ratatui::style::{Color, Modifier, Style};

use super::glyphs::Glyphs;
use crate::{
    document::{Document, Entry, Value},
    error::{Error, Result},
    sentences::Weight,
};

/// The themes that are in the program, by name.
pub const BUILT_IN: [(&str, &str); 4] = [
    (DEFAULT, include_str!("../../assets/themes/default.toml")),
    ("truecolor", include_str!("../../assets/themes/truecolor.toml")),
    ("colour-blind", include_str!("../../assets/themes/colour-blind.toml")),
    (MONOCHROME, include_str!("../../assets/themes/monochrome.toml")),
];

/// The theme of whoever has not chosen one.
pub const DEFAULT: &str = "default";

/// The theme without colours.
pub const MONOCHROME: &str = "monochrome";

/// A theme's file is a few lines; more than this many bytes of one are not read.
const MOST: u64 = 64 << 10;

macro_rules! theme {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The styles of the screen.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Theme {
            /// Whether there are colours; if not, the workload's are left out as well.
            pub colour: bool,
            /// With which characters they are drawn; the terminal's matter, and in no theme's file.
            pub glyphs: Glyphs,
            $($(#[$doc])* pub $name: Style,)*
        }

        /// What the styles are called in a file.
        pub const STYLES: &[&str] = &[$(stringify!($name)),*];

        impl Theme {
            fn style(&mut self, name: &str) -> Option<&mut Style> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

theme! {
    /// Memory that cannot be given back, where its parts are not told apart.
    held,
    /// Of it: anonymous memory.
    anon,
    /// Of it: shared memory, and what lies in /dev/shm.
    shmem,
    /// Of it: the kernel's own.
    kernel,
    /// Memory that can be given back: file cache.
    cache,
    /// The limit.
    limit,
    /// The soft limit.
    soft,
    /// The interval peak.
    peak,
    /// The chart's cursor.
    cursor,
    /// The recording that a replay is compared with.
    before,
    /// Something was killed, refused, or failed.
    danger,
    /// Worth a look.
    warning,
    /// The user's own act.
    act,
    /// All is well.
    good,
    /// What is said beside: files, axes, rules.
    dim,
    /// Titles and the numbers that matter.
    strong,
    /// Keys in the footer.
    key,
    /// The rule above the focused region.
    focus,
}

impl Theme {
    /// The default, or the one without colours.
    pub fn new(colour: bool) -> Theme {
        static MADE: OnceLock<[Theme; 2]> = OnceLock::new();
        let made = MADE.get_or_init(|| [MONOCHROME, DEFAULT].map(|name| built_in(name).unwrap_or_default()));
        made[usize::from(colour)]
    }

    /// A theme by its name, or by the path of its file. A name that is not built in is that of a file in this folder.
    ///
    /// # Errors
    /// When there is no such theme, or its file says something that no theme says.
    pub fn load(wanted: &str, folder: Option<&Path>) -> Result<Theme> {
        if let Some(theme) = built_in(wanted) {
            return Ok(theme);
        }
        let is_path = wanted.contains('/') || wanted.ends_with(".toml");
        let inside = folder.map(|folder| folder.join(format!("{wanted}.toml"))).filter(|path| path.exists());
        let path = if is_path { Some(PathBuf::from(wanted)) } else { inside };
        let Some(path) = path else {
            let names = BUILT_IN.map(|(name, _)| name).join(", ");
            let beside = folder.map_or(String::new(), |folder| format!(", or that of a file in {}", folder.display()));
            return Err(Error::new(format!(
                "there is no theme {wanted:?}; a theme is {names}, the path of a file{beside}"
            )));
        };
        let mut text = String::new();
        let file = crate::files::open_to_read("read the theme", &path)?;
        file.take(MOST).read_to_string(&mut text).map_err(|e| Error::io("read the theme", &path, e))?;
        parse(&Document::new(&path, &text))
    }

    /// The style that goes with a sentence's weight.
    pub fn weight(&self, weight: Weight) -> Style {
        match weight {
            Weight::Plain => Style::new(),
            Weight::Act => self.act,
            Weight::Warning => self.warning,
            Weight::Danger => self.danger,
        }
    }
}

fn built_in(name: &str) -> Option<Theme> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    parse(&Document::new(Path::new(name), text)).ok()
}

/// Reads a theme. What it leaves out is as in the theme that it is based on.
fn parse(document: &Document) -> Result<Theme> {
    let entries = document.entries()?;
    let mut theme = base(document, &entries)?;
    for entry in &entries {
        let wrong = |what: &str| document.error(entry.line, what);
        match (entry.table.as_str(), entry.key.as_str(), &entry.value) {
            ("", "base", _) => {}
            ("", "colour" | "color", Value::Flag(colour)) => theme.colour = *colour,
            ("", key @ ("colour" | "color"), other) => {
                return Err(wrong(&format!("{key} is true or false, not {}", other.kind())));
            }
            ("styles", name, value) => {
                let slot = theme.style(name).ok_or_else(|| {
                    wrong(&format!("there is no style {name:?}; those that are: {}", STYLES.join(", ")))
                })?;
                *slot = match value {
                    Value::Text(words) => style(words).map_err(|e| wrong(&e))?,
                    other => return Err(wrong(&format!("a style is a string, not {}", other.kind()))),
                };
            }
            _ => return Err(wrong("a theme has base, colour and a table [styles], and nothing else")),
        }
    }
    Ok(theme)
}

fn base(document: &Document, entries: &[Entry]) -> Result<Theme> {
    let Some(entry) = entries.iter().find(|entry| entry.table.is_empty() && entry.key == "base") else {
        let complete = STYLES.iter().all(|name| entries.iter().any(|e| e.table == "styles" && e.key == *name));
        let colour = true;
        return Ok(if complete { Theme { colour, ..Theme::default() } } else { Theme::new(true) });
    };
    match &entry.value {
        Value::Text(name) => built_in(name),
        _ => None,
    }
    .ok_or_else(|| {
        let names = BUILT_IN.map(|(name, _)| name).join(", ");
        document.error(entry.line, &format!("base is one of {names}"))
    })
}

/// Reads a style: `bright-red bold`, `#3f8ed8`, nothing. One without a colour has the terminal's own, whatever it is drawn over.
fn style(words: &str) -> Result<Style, String> {
    let mut style = Style::new().fg(Color::Reset);
    for word in words.split_whitespace() {
        style = match modifier(word) {
            Some(modifier) => style.add_modifier(modifier),
            None => style.fg(colour(word).ok_or_else(|| {
                format!(
                    "there is no colour or weight {word:?}: a style is of black, red, green, yellow, blue, magenta, cyan, white, bright- before one of these, 0 to 255, #rrggbb, bold, dim, italic, underlined, reversed"
                )
            })?),
        };
    }
    style.sub_modifier = WEIGHTS.difference(style.add_modifier);
    Ok(style)
}

/// A style has those weights that it names, and no other, whatever it is drawn over.
const WEIGHTS: Modifier =
    Modifier::BOLD.union(Modifier::DIM).union(Modifier::ITALIC).union(Modifier::UNDERLINED).union(Modifier::REVERSED);

fn modifier(word: &str) -> Option<Modifier> {
    Some(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underlined" => Modifier::UNDERLINED,
        "reversed" => Modifier::REVERSED,
        _ => return None,
    })
}

/// The eight names, as terminals number them.
const NAMES: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

const DARK: [Color; 8] =
    [Color::Black, Color::Red, Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::Cyan, Color::Gray];

const BRIGHT: [Color; 8] = [
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

fn colour(word: &str) -> Option<Color> {
    if let Some(hex) = word.strip_prefix('#') {
        let plain = hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(hex, 16).ok().filter(|_| plain)?;
        let [_, r, g, b] = number.to_be_bytes();
        return Some(Color::Rgb(r, g, b));
    }
    if word.bytes().all(|b| b.is_ascii_digit()) {
        return word.parse().ok().map(Color::Indexed);
    }
    let (name, table) = word.strip_prefix("bright-").map_or((word, DARK), |name| (name, BRIGHT));
    NAMES.iter().position(|known| *known == name).map(|n| table[n])
}

#[cfg(test)]
mod sight;
#[cfg(test)]
mod tests;
