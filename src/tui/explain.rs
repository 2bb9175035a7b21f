//! What the numbers mean: the texts of `assets/explain.toml`, and which of them is looked at.

use std::sync::OnceLock;

use serde::Deserialize;
use unicode_width::UnicodeWidthStr;

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

/// How far a number may stand from its word, in columns.
const NEAR: usize = 12;

/// The words by which the screen names its numbers.
const WORDS: [(&str, &str); 26] = [
    ("usage", "usage"),
    ("headroom", "headroom"),
    ("full in", "full-in"),
    ("full within", "full-in"),
    ("peak", "peak"),
    ("interval peak", "interval-peak"),
    ("limit hits", "limit-hits"),
    ("hit", "limit-hits"),
    ("OOM kill", "oom-kills"),
    ("waiting", "waiting"),
    ("since", "since"),
    ("anon", "anon"),
    ("file", "file"),
    ("cache", "file"),
    ("shmem", "shmem"),
    ("kernel", "kernel"),
    ("swapped out", "swapped-out"),
    ("soft limit", "soft-limit"),
    ("limit", "limit"),
    ("PID", "pid"),
    ("CPU%", "cpu"),
    ("RSS", "rss"),
    ("SHARE", "share"),
    ("BADNESS", "badness"),
    ("NEXT", "next"),
    ("sandtop ", "own-cost"),
];

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

    /// Of the number that a line of the screen names nearest to this column, if it names one.
    pub fn named(line: &str, column: usize) -> Option<Page> {
        let spans = WORDS.iter().flat_map(|(word, id)| line.match_indices(word).map(move |(at, _)| (at, *word, *id)));
        let distance = |at: usize, word: &str| {
            let (from, to) = (line[..at].width(), line[..at].width() + word.width());
            if column < from { from - column } else { (column + 1).saturating_sub(to) }
        };
        // Of words that are as near the longer one: "limit hits" before "limit".
        let nearest = spans.min_by_key(|(at, word, _)| (distance(*at, word), std::cmp::Reverse(word.len())));
        let (_, _, id) = nearest.filter(|(at, word, _)| distance(*at, word) <= NEAR)?;
        let number = texts().number.iter().position(|number| number.id == id)?;
        Some(Page { number, dashboards: false })
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
    fn a_number_is_found_by_the_word_beside_it() {
        let id =
            |line: &str, column: usize| Page::named(line, column).map(|page| texts().number[page.number].id.clone());
        let line = " usage   79.9M of 80M  ▕███▏  99%    79.2M anon   30.3M file";
        assert_eq!(id(line, 10).as_deref(), Some("usage"));
        assert_eq!(id(line, 40).as_deref(), Some("anon"));
        assert_eq!(id(line, 53).as_deref(), Some("file"));
        assert_eq!(id(" peak 100M   limit hits 144   OOM kills 2", 16).as_deref(), Some("limit-hits"));
        assert_eq!(id("   PID  CPU%     RSS  SHARE", 9).as_deref(), Some("cpu"));
        assert_eq!(id("stress: info: nothing", 3), None);
        for (word, id) in WORDS {
            assert!(texts().number.iter().any(|number| number.id == id), "{word}");
        }
    }

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
