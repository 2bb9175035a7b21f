//! What the numbers mean: the texts of `assets/explain.toml`, and which of them is looked at.

use std::sync::OnceLock;

use serde::Deserialize;

use super::app::Focus;

const TEXTS: &str = include_str!("../../assets/explain.toml");

/// A number on the screen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// Its name for the program.
    pub id: String,
    /// As the screen calls it.
    pub title: String,
    /// What it belongs to.
    pub group: String,
    /// The kernel's file on cgroup v1; empty for none.
    pub v1: String,
    /// The same on v2.
    pub v2: String,
    /// Its unit.
    pub unit: String,
    /// How what is shown comes from what the file says.
    pub formula: String,
    /// What people get wrong about it.
    pub trap: String,
    /// What it tells.
    pub means: String,
}

/// A number that another program shows for the same memory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its name for this program.
    pub id: String,
    /// The other program.
    pub title: String,
    /// How it comes to its number on cgroup v1.
    pub v1: String,
    /// The same on v2.
    pub v2: String,
    /// Why that is not what the limit counts.
    pub trap: String,
    /// Whether it is the one that counts.
    #[serde(default)]
    pub counts: bool,
}

/// All texts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// Of the numbers.
    pub number: Vec<Number>,
    /// Of other programs.
    pub dashboard: Vec<Dashboard>,
}

/// The texts, read once.
pub fn texts() -> &'static Texts {
    static READ: OnceLock<Texts> = OnceLock::new();
    READ.get_or_init(|| toml::from_str(TEXTS).unwrap_or_default())
}

/// What is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Which number.
    pub number: usize,
    /// Whether it is about other programs instead.
    pub dashboards: bool,
}

impl Page {
    /// Where somebody starts who looks at this region.
    pub fn of(focus: Focus) -> Page {
        let id = match focus {
            Focus::Processes => "rss",
            Focus::Events => "oom-kills",
            Focus::Memory => "chart",
            Focus::Output => "usage",
        };
        Page { number: texts().number.iter().position(|number| number.id == id).unwrap_or(0), dashboards: false }
    }

    /// To the other page, and back.
    pub fn turn(&mut self) {
        self.dashboards = !self.dashboards;
    }

    /// Another number.
    pub fn choose(&mut self, by: i32) {
        let last = texts().number.len().saturating_sub(1);
        self.number = self.number.saturating_add_signed(by as isize).min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_whole_and_short() {
        let read: Texts = toml::from_str(TEXTS).expect("the texts");
        let mut ids: Vec<&str> = read.number.iter().map(|number| number.id.as_str()).collect();
        for number in &read.number {
            for text in [&number.unit, &number.formula, &number.trap, &number.means] {
                assert!((5..=240).contains(&text.chars().count()), "{}: {text}", number.id);
            }
            assert!(number.title.len() <= 18, "{}", number.title);
        }
        assert_eq!(
            read.dashboard.iter().filter(|of| of.counts).map(|of| of.id.as_str()).collect::<Vec<_>>(),
            ["kernel"]
        );
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        for focus in [Focus::Processes, Focus::Events, Focus::Memory] {
            assert!(Page::of(focus).number > 0, "{focus:?}");
        }
    }
}
