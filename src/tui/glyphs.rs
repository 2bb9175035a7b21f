//! Which characters are drawn: one pass over the finished picture, for terminals that lack some, or draw them two cells wide. Pure.
//!
//! Each stand-in takes the cells of what it stands for, so that nothing moves; and what has to be told apart in one place (held from
//! cache, the limit from usage, a kill from an edit and from a peak) has stand-ins that differ.

use ratatui::buffer::Buffer;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The characters that the terminal can be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// All.
    #[default]
    All,
    /// Those that take as many cells everywhere: none of ambiguous width, which Chinese, Japanese and Korean terminals draw wide.
    Narrow,
    /// ASCII.
    Ascii,
}

impl Glyphs {
    /// Whether a cell's content has to be replaced.
    fn refuses(self, symbol: &str) -> bool {
        match self {
            Glyphs::All => false,
            Glyphs::Narrow => symbol.chars().next().is_some_and(is_ambiguous) || symbol.width_cjk() != symbol.width(),
            Glyphs::Ascii => !symbol.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        }
    }

    /// What is drawn for a cell's content; `None` where that stays.
    pub fn stand_in(self, symbol: &str) -> Option<char> {
        if !self.refuses(symbol) {
            return None;
        }
        let base = symbol.chars().next().unwrap_or(' ');
        match base {
            ' '..='~' => Some(base), // with something combined
            _ => Some(ascii(base)),
        }
    }
}

/// Whether a character has the East Asian Width "ambiguous". unicode-width leaves letters and modifiers out of that, which terminals do not.
fn is_ambiguous(c: char) -> bool {
    let letter = matches!(
        c,
        '\u{a8}' | '\u{aa}' | '\u{b4}' | '\u{b8}' | '\u{ba}' | '\u{c6}'
        | '\u{d0}' | '\u{d8}' | '\u{de}'..='\u{e1}' | '\u{e6}' | '\u{e8}'..='\u{ea}' | '\u{ec}'..='\u{ed}'
        | '\u{f0}' | '\u{f2}'..='\u{f3}' | '\u{f8}'..='\u{fa}' | '\u{fc}' | '\u{fe}' | '\u{101}'
        | '\u{111}' | '\u{113}' | '\u{11b}' | '\u{126}'..='\u{127}' | '\u{12b}' | '\u{131}'..='\u{133}'
        | '\u{138}' | '\u{13f}'..='\u{142}' | '\u{144}' | '\u{148}'..='\u{14b}' | '\u{14d}' | '\u{152}'..='\u{153}'
        | '\u{166}'..='\u{167}' | '\u{16b}' | '\u{1ce}' | '\u{1d0}' | '\u{1d2}' | '\u{1d4}'
        | '\u{1d6}' | '\u{1d8}' | '\u{1da}' | '\u{1dc}' | '\u{251}' | '\u{261}'
        | '\u{2c4}' | '\u{2c7}' | '\u{2c9}'..='\u{2cb}' | '\u{2cd}' | '\u{2d0}' | '\u{2d8}'..='\u{2db}'
        | '\u{2dd}' | '\u{2df}' | '\u{391}'..='\u{3a1}' | '\u{3a3}'..='\u{3a9}' | '\u{3b1}'..='\u{3c1}' | '\u{3c3}'..='\u{3c9}'
        | '\u{401}' | '\u{410}'..='\u{44f}' | '\u{451}' | '\u{207f}' | '\u{2113}' | '\u{2126}'
        | '\u{212b}'
    );
    letter || c.width() != c.width_cjk()
}

/// Replaces what the terminal cannot be given.
pub fn apply(buffer: &mut Buffer, glyphs: Glyphs) {
    if glyphs == Glyphs::All {
        return;
    }
    let width = usize::from(buffer.area.width);
    for n in 0..buffer.content.len() {
        let Some(stand_in) = glyphs.stand_in(buffer.content[n].symbol()) else { continue };
        let was_wide = buffer.content[n].symbol().width() > 1;
        let style = buffer.content[n].style();
        buffer.content[n].set_char(stand_in);
        // The second cell of a wide character was never drawn on its own.
        if was_wide && (n + 1) % width != 0 {
            buffer.content[n + 1].set_symbol(" ").set_style(style);
        }
    }
}

/// The ASCII character that stands for another.
fn ascii(c: char) -> char {
    match c {
        '─'..='╿' => lines(c),
        '▀'..='▟' => blocks(c),
        '⠀'..='⣿' => braille(c),
        '■'..='◿' | '☠' | '★' | '☆' | '⚠' | '✓' | '✔' | '✕'..='✘' => signs(c),
        '←'..='⇿' => arrows(c),
        c if (c as u32) < 0x250 => latin(c),
        _ => other(c),
    }
}

/// Thick lines are the limit, thin ones usage and axes, dashed ones a limit that is compared with.
fn lines(c: char) -> char {
    match c {
        '━' | '═' | '╸' | '╺' | '╼' | '╾' => '=',
        '─' | '╴' | '╶' => '-',
        '┄' | '┅' | '┈' | '┉' | '╌' | '╍' => '~',
        '│' | '┃' | '┆' | '┇' | '┊' | '┋' | '║' | '╎' | '╏' | '╵' | '╷' | '╹' | '╻' | '╽' | '╿' => {
            '|'
        }
        '╱' => '/',
        '╲' => '\\',
        '╳' => 'X',
        _ => '+',
    }
}

/// Full is held, shaded is cache; the top of a column is low, middling or high.
fn blocks(c: char) -> char {
    match c {
        '▁' | '▂' => '_',
        '▃' | '▄' => '.',
        '▅'..='▇' => 'o',
        '▒' => ':',
        '░' | '▔' => '\'',
        '▓' => '%',
        '▏' | '▎' | '▍' | '▌' | '▐' | '▕' => '|',
        '▚' | '▞' => '&',
        '▖' | '▗' => '.',
        '▘' | '▝' | '▀' => '\'',
        _ => '#',
    }
}

fn braille(c: char) -> char {
    match (c as u32 & 0xff).count_ones() {
        0 => ' ',
        1 | 2 => '.',
        3 | 4 => ':',
        _ => '#',
    }
}

fn signs(c: char) -> char {
    match c {
        '✕'..='✘' => 'x',
        '▲' | '△' | '▴' | '▵' => '^',
        '▼' | '▽' | '▾' | '▿' => 'v',
        '▶' | '▷' | '▸' | '▹' | '►' | '▻' => '>',
        '◀' | '◁' | '◂' | '◃' | '◄' | '◅' => '<',
        '●' => 'O',
        '○' | '◌' | '◯' | '◦' => 'o',
        '■' | '□' | '▬' | '▭' | '▮' | '▯' => '#',
        '☠' | '⚠' => '!',
        '✓' | '✔' => '+',
        _ => '*',
    }
}

fn arrows(c: char) -> char {
    match c {
        '←' | '⇐' | '↤' | '⇦' => '<',
        '↑' | '⇑' | '↥' | '⇧' => '^',
        '→' | '⇒' | '↦' | '⇨' => '>',
        '↓' | '⇓' | '↧' | '⇩' => 'v',
        '↵' => ';', // the end of a line within a command
        _ => '~',
    }
}

fn latin(c: char) -> char {
    match c {
        '\u{a0}' | '\u{ad}' => ' ',
        '·' | '¸' => '.',
        '×' => 'x',
        '±' => '+',
        '°' | 'º' => 'o',
        'µ' => 'u',
        '«' => '<',
        '»' => '>',
        '¡' | '¦' => '!',
        '¯' => '-',
        '´' => '\'',
        '÷' => '/',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' | 'Æ' => 'A',
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'æ' | 'ª' => 'a',
        'Ç' | 'Ć' | 'Č' | '©' => 'C',
        'ç' | 'ć' | 'č' => 'c',
        'È'..='Ë' | 'Ē' | 'Ę' | 'Ě' => 'E',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'Ì'..='Ï' | 'Ī' => 'I',
        'ì'..='ï' | 'ī' | 'ı' => 'i',
        'Ð' | 'Đ' => 'D',
        'ð' | 'đ' => 'd',
        'Ł' => 'L',
        'ł' => 'l',
        'Ñ' | 'Ń' | 'Ň' => 'N',
        'ñ' | 'ń' | 'ň' => 'n',
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ő' | 'Œ' => 'O',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' | 'œ' => 'o',
        'Š' | 'Ś' | '§' => 'S',
        'š' | 'ś' | 'ß' => 's',
        'Ù'..='Ü' | 'Ū' | 'Ů' | 'Ű' => 'U',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
        'Ý' | '¥' => 'Y',
        'ý' | 'ÿ' => 'y',
        'Ž' | 'Ź' | 'Ż' => 'Z',
        'ž' | 'ź' | 'ż' => 'z',
        '®' => 'R',
        'Þ' | '¶' => 'P',
        'þ' => 'p',
        _ => '?',
    }
}

fn other(c: char) -> char {
    match c {
        _ if c.width().unwrap_or(0) == 0 => ' ',
        '•' | '∙' | '⋅' => '*', // the interval peak
        '‖' => 'H',             // paused
        '≋' | '∼' | '≈' => '~', // stalled
        '…' | '‥' => '.',
        '‐'..='―' | '−' => '-',
        '‘' | '’' | '′' => '\'',
        '“' | '”' | '″' => '"',
        '›' | '≥' | '⟩' => '>',
        '‹' | '≤' | '⟨' => '<',
        '⏎' => ';',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use ratatui::{
        layout::Rect,
        style::{Color, Style},
    };

    /// Every sign of every picture that the tests keep; what programs are called is not ours.
    fn drawn() -> BTreeSet<char> {
        let sign =
            |c: &char| !c.is_ascii() && !c.is_alphabetic() && c.width() == Some(1) && *c != char::REPLACEMENT_CHARACTER;
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui/view/snapshots");
        let files = fs::read_dir(dir).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        files.flat_map(|text| text.chars().collect::<Vec<char>>()).filter(sign).collect()
    }

    #[test]
    fn every_sign_on_every_picture_has_a_stand_in_of_its_width() {
        let drawn = drawn();
        assert!(drawn.len() > 30, "{drawn:?}");
        for c in drawn {
            let stand_in = Glyphs::Ascii.stand_in(&c.to_string()).unwrap();
            assert!(stand_in.is_ascii_graphic() && stand_in != '?', "{c} → {stand_in}");
            assert_eq!(c.width(), stand_in.width(), "{c}");
        }
    }

    #[test]
    fn a_narrow_picture_has_nothing_of_ambiguous_width_and_keeps_the_rest() {
        for c in drawn() {
            let stand_in = Glyphs::Narrow.stand_in(&c.to_string());
            let shown = stand_in.unwrap_or(c);
            assert!(!is_ambiguous(shown), "{c} → {shown}");
            assert_eq!(stand_in.is_none(), !is_ambiguous(c), "{c}");
        }
        for (symbol, wanted) in [("日", None), ("✖", None), ("é", Some('e')), ("я", Some('?')), ("e\u{301}", None)]
        {
            assert_eq!(Glyphs::Narrow.stand_in(symbol), wanted, "{symbol}");
        }
    }

    #[test]
    fn what_has_to_be_told_apart_still_is() {
        let ascii = |symbols: &str| symbols.chars().map(ascii).collect::<Vec<char>>();
        for together in ["█▒━─╌•✖▲▼", "█▒┃✖▸", "━●─✖▼▲", "●○‖≋✖", "▪✖▸‖≋■▼▲·"]
        {
            let stand_ins = ascii(together);
            let mut different = stand_ins.clone();
            different.sort_unstable();
            different.dedup();
            assert_eq!(different.len(), stand_ins.len(), "{together} → {stand_ins:?}");
        }
    }

    #[test]
    fn a_wide_character_keeps_its_two_cells() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
        buffer.set_string(0, 0, "a日b→é", Style::new().bg(Color::Blue));
        let mut narrow = buffer.clone();
        apply(&mut narrow, Glyphs::Narrow);
        assert_eq!(narrow[(1, 0)].symbol(), "日");
        apply(&mut buffer, Glyphs::Ascii);
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert_eq!(text, "a? b>e");
        assert_eq!(buffer[(2, 0)].bg, Color::Blue);
    }
}
