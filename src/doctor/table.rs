//! The table, as text of a given width. Pure.
//!
//! Refuses: to tell a state by colour alone, and to break a command so that it could not be pasted.

use unicode_width::UnicodeWidthStr;

use super::{
    checks::{Check, State},
    remedy::Remedy,
    verdict::{First, Verdict},
};
use crate::error::printable;

/// Where what was found begins: sign and name stand before it.
const FOUND: usize = 18;

/// Where commands begin. Far to the left: they should not have to be broken.
const COMMAND: usize = 6;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns that may be used.
    pub width: usize,
    /// Whether colours may be.
    pub colour: bool,
}

/// The whole table.
pub fn table(title: &str, checks: &[Check], verdict: &Verdict, style: Style) -> String {
    let mut out = format!("{}\n", style.paint("1", &printable(title)));
    let mut group = None;
    for (n, check) in checks.iter().enumerate() {
        if group != Some(check.group) {
            group = Some(check.group);
            out += &format!("\n{}\n", style.paint("1", check.group.title()));
        }
        out += &row(check, &checks[..n], style);
    }
    out + "\n" + &end(verdict, style)
}

/// A check: its line, and where not all is well what it is for and what to do. A remedy that one before has had is not told twice.
fn row(check: &Check, before: &[Check], style: Style) -> String {
    let mut out = format!("  {} {:<width$}", style.sign(check.state), spoken(check.name), width = FOUND - 4);
    let see = check.remedy.as_ref().and_then(|remedy| remedy.see);
    let found = printable(&check.found) + &see.map_or(String::new(), |name| format!(": see {}", spoken(name)));
    out += &(under(&found, FOUND, style.width) + "\n");
    let Some(remedy) = check.remedy.as_ref().filter(|_| see.is_none()) else { return out };
    let mut line = |label: &str, text: &str| {
        let text = under(text, FOUND + label.width(), style.width);
        out += &format!("{:FOUND$}{}{text}\n", "", style.paint("2", label));
    };
    line("for: ", check.needed_for);
    let long = !remedy.commands.is_empty();
    if let Some(told) = before.iter().find(|told| told.remedy.as_ref() == Some(remedy)).filter(|_| long) {
        line("fix: ", &format!("as for {}, above", spoken(told.name)));
        return out;
    }
    line("fix: ", &words(remedy));
    for command in &remedy.commands {
        out += &self::command(command, COMMAND, style);
    }
    out
}

/// A check's name as people say it.
fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

fn words(remedy: &Remedy) -> String {
    let end = if remedy.commands.is_empty() || remedy.words.ends_with(':') { "" } else { ":" };
    printable(&remedy.words) + end
}

fn end(verdict: &Verdict, style: Style) -> String {
    let text = under(&printable(&verdict.text), 2, style.width);
    let text = text.lines().map(|line| style.paint("1", line.trim_start())).collect::<Vec<_>>().join("\n  ");
    format!("{} {text}\n{}", style.sign(verdict.state()), first(&verdict.first, style))
}

/// The one thing to do first; a command stands on the same line where it fits there.
fn first(first: &First, style: Style) -> String {
    let label = "  first: ";
    match first {
        First::Words(words) => format!("{label}{}\n", under(&printable(words), label.len(), style.width)),
        First::Command(line) if label.len() + line.width() <= style.width && !line.contains('\n') => {
            format!("{label}{}\n", style.paint("36", &printable(line)))
        }
        First::Command(lines) => format!("{}\n{}", label.trim_end(), command(lines, COMMAND, style)),
    }
}

/// A text by words, its later lines indented so far.
fn under(text: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent).max(16);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => *line += &format!(" {word}"),
            _ => lines.push(word.into()),
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

/// A command, its lines indented; one that is too long goes on in the next line, as a shell reads it.
fn command(text: &str, indent: usize, style: Style) -> String {
    let mut out = String::new();
    for line in text.lines() {
        for (n, part) in broken(line, style.width.saturating_sub(indent)).iter().enumerate() {
            let width = if n == 0 { indent } else { indent + 2 };
            out += &format!("{:width$}{}\n", "", style.paint("36", &printable(part)));
        }
    }
    out
}

/// The parts of a line, all but the last with a backslash at their end. Broken only at spaces outside of quotes.
fn broken(line: &str, room: usize) -> Vec<String> {
    if line.width() <= room {
        return vec![line.to_string()];
    }
    let mut parts: Vec<String> = Vec::new();
    for word in shell_words(line) {
        // Two for the backslash and its space, two for the indent of a later line.
        match parts.last_mut() {
            Some(part) if part.width() + 1 + word.width() + 4 <= room => *part += &format!(" {word}"),
            _ => parts.push(word),
        }
    }
    let last = parts.len().saturating_sub(1);
    parts.iter_mut().take(last).for_each(|part| *part += " \\");
    parts
}

fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
        quote = match (c, quote) {
            ('\'' | '"', None) => Some(c),
            (c, Some(q)) if c == q => None,
            (_, quote) => quote,
        };
    }
    // Spaces at the beginning are an indent, and stay with the first word.
    let indent = words.iter().take_while(|word| word.is_empty()).count();
    let mut words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if let Some(word) = words.first_mut() {
        word.insert_str(0, &" ".repeat(indent));
    }
    words
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    fn sign(self, state: State) -> String {
        let (sign, code) = match state {
            State::Ok => ("✔", "32"),
            State::Missing => ("✖", "31"),
            State::Partial => ("◐", "33"),
        };
        self.paint(code, sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_goes_on_as_a_shell_reads_it() {
        let line = r"printf '[Service]\nDelegate=cpu cpuset io memory pids\n' | sudo tee /etc/systemd/x.conf";
        let parts = broken(line, 60);
        assert_eq!(
            parts,
            [r"printf '[Service]\nDelegate=cpu cpuset io memory pids\n' \", "| sudo tee /etc/systemd/x.conf"]
        );
        assert_eq!(broken("a b", 60), ["a b"]);
        assert_eq!(broken("  'a' \\", 60), ["  'a' \\"]);
    }

    #[test]
    fn words_are_wrapped_and_never_lost() {
        assert_eq!(under("one two three four", 2, 18), "one two three\n  four");
        assert_eq!(under("", 2, 20), "");
        assert_eq!(under("a-word-that-is-longer-than-the-room x", 2, 18), "a-word-that-is-longer-than-the-room\n  x");
    }
}
