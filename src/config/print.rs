//! `sandtop config`: what is configured, as a file that says the same, with where each value is from beside it.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::{Config, Origin, Setting};
use crate::{
    error::{Error, Result, printable},
    tui::keys::{Bound, KeyMap},
    units::{Limit, Step},
};

/// The column of the comments.
const COLUMN: usize = 34;

impl Config {
    /// Prints it.
    ///
    /// # Errors
    /// When its theme cannot be read.
    pub fn printed(&self) -> Result<String> {
        self.looks()?; // what would be refused is refused here as well
        let file = match &self.path {
            Some(path) if path.exists() => format!("# the file: {}\n", printable(&path.display().to_string())),
            Some(path) => format!("# the file, which is not there: {}\n", printable(&path.display().to_string())),
            None => "# no file\n".to_string(),
        };
        let step = match self.step.value {
            Step::Share(share) => format!("{}%", share as f64 / 10.0),
            Step::Bytes(bytes) => Limit::Bytes(bytes).typed(),
        };
        let interval = humantime::format_duration(self.interval.value).to_string().replace(' ', "");
        let mut lines = vec![
            self.line("theme", quoted(&self.theme.value), &self.theme),
            self.line("color", name(self.color.value), &self.color),
            self.line("ascii", self.ascii.value.to_string(), &self.ascii),
            self.line("ambiguous", name(self.ambiguous.value), &self.ambiguous),
            self.line("mouse", self.mouse.value.to_string(), &self.mouse),
            self.line("step", quoted(&step), &self.step),
            self.line("interval", quoted(&interval), &self.interval),
            self.line("memory", quoted(&self.memory.value), &self.memory),
            String::new(),
            "[keys]".into(),
        ];
        lines.extend(self.key_lines()?);
        Ok(file + &lines.join("\n") + "\n")
    }

    fn line<T>(&self, name: &str, value: String, setting: &Setting<T>) -> String {
        let from = match setting.origin {
            Origin::Default => "default".into(),
            Origin::File(line) => self.place(line),
            Origin::Environment(name) => format!("environment {name}"),
            Origin::Option(name) => format!("option {name}"),
        };
        beside(format!("{name} = {value}"), &from)
    }

    /// Each action once, in the order of the help.
    fn key_lines(&self) -> Result<Vec<String>> {
        let map = KeyMap::new(&self.remap()).map_err(Error::new)?;
        let mut seen = BTreeSet::new();
        let tables = [&map.live, &map.replay, &map.paused];
        let actions = tables.into_iter().flatten().filter(|bound| seen.insert(bound.binding.id));
        Ok(actions.map(|bound| self.key_line(bound, &tables)).collect())
    }

    fn key_line(&self, bound: &Bound, tables: &[&Vec<Bound>]) -> String {
        let id = bound.binding.id;
        if let Some((keys, line)) = self.keys.get(id) {
            return beside(format!("{id} = {}", list(keys)), &self.place(*line));
        }
        // Where other actions have taken a key, a line that names those left would say more than the file does.
        let all: Vec<String> = bound.binding.keys.iter().map(ToString::to_string).collect();
        let left = tables.iter().flat_map(|table| table.iter()).filter(|other| other.binding.id == id);
        match left.map(Bound::written).find(|left| left.len() < all.len()) {
            Some(left) => beside(format!("# {id} = {}", list(&left)), "default, less what other actions have taken"),
            None => beside(format!("{id} = {}", list(&all)), "default"),
        }
    }
}

fn beside(text: String, from: &str) -> String {
    format!("{text:<COLUMN$} # {from}")
}

fn name(value: impl ValueEnum) -> String {
    quoted(value.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default().as_str())
}

fn list(keys: &[String]) -> String {
    match keys {
        [key] => quoted(key),
        keys => format!("[{}]", keys.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ")),
    }
}

/// A string as TOML has it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}
