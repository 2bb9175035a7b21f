//! The key tables: which key is which word, live and in a replay. The help and the footer are made from them, and `[keys]` in the
//! configuration changes them.

mod live;
mod replay;
mod shared;

use std::{collections::BTreeMap, rc::Rc};

use crossterm::event::KeyEvent;

use super::{input::Action, key::Key};
pub use live::{LIVE, PAUSED};
pub use replay::REPLAY;

/// A line of the key table.
pub struct Binding {
    /// What the configuration calls it.
    pub id: &'static str,
    /// The keys, as the configuration writes them.
    pub keys: &'static [&'static str],
    /// What they do, in the help; `{step}` stands for how far the limit moves.
    pub help: &'static str,
    /// What they do, in the footer; empty for those that are not there.
    pub footer: &'static str,
    /// What is then wanted.
    pub action: Action,
}

/// A line of the key table as it is in force.
#[derive(Clone)]
pub struct Bound {
    /// The line.
    pub binding: &'static Binding,
    /// Its keys; none where another line has taken them.
    pub keys: Vec<Key>,
    /// Whether arrow keys are called by their names: where a terminal has no arrows, "<" would be another key.
    pub words: bool,
}

impl Bound {
    /// All its keys, as the user reads them.
    pub fn shown(&self) -> String {
        self.keys.iter().map(|key| self.name(key)).collect::<Vec<_>>().join(" ")
    }

    /// All its keys, as the configuration writes them.
    pub fn written(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.written()).collect()
    }

    /// The first of them.
    pub fn first(&self) -> String {
        self.keys.first().map(|key| self.name(key)).unwrap_or_default()
    }

    fn name(&self, key: &Key) -> String {
        if self.words { key.written() } else { key.to_string() }
    }
}

/// A table as it is in force.
pub type Table = Vec<Bound>;

/// The three tables as they are in force.
#[derive(Clone)]
pub struct KeyMap {
    /// Of the live screen.
    pub live: Table,
    /// Of a replay.
    pub replay: Table,
    /// Of the panel of a paused workload.
    pub paused: Table,
}

/// What the configuration changes: keys by the ids of the lines.
pub type Remap = BTreeMap<String, Vec<String>>;

impl KeyMap {
    /// The tables, changed like this. A key that is given to a line is taken from the one that had it.
    ///
    /// # Errors
    /// One sentence: there is no such line or key, or a key was given to two lines.
    pub fn new(remap: &Remap) -> Result<Rc<KeyMap>, String> {
        let known = |id: &str| [LIVE, REPLAY, PAUSED].iter().any(|table| table.iter().any(|b| b.id == id));
        if let Some(id) = remap.keys().find(|id| !known(id)) {
            let mut ids: Vec<&str> = [LIVE, REPLAY, PAUSED].iter().flat_map(|t| t.iter()).map(|b| b.id).collect();
            ids.sort_unstable();
            ids.dedup();
            return Err(format!("there is no action {id:?}; those that have keys: {}", ids.join(", ")));
        }
        let [live, replay, paused] = [LIVE, REPLAY, PAUSED].map(|table| bind(table, remap));
        let map = KeyMap { live: live?, replay: replay?, paused: paused? };
        // Without these there would be no way out, or none back.
        let needed = [(&map.live, &["typing", "quit", "help"][..]), (&map.replay, &["quit", "help"])];
        for (table, ids) in needed {
            let lost = |bound: &&Bound| bound.keys.is_empty() && ids.contains(&bound.binding.id);
            if let Some(bound) = table.iter().find(lost) {
                return Err(format!("{} needs a key", bound.binding.id));
            }
        }
        Ok(Rc::new(map))
    }
}

impl KeyMap {
    /// The same, with the arrow keys called by their names.
    pub fn in_words(&self) -> Rc<KeyMap> {
        let mut map = self.clone();
        let tables = [&mut map.live, &mut map.replay, &mut map.paused];
        tables.into_iter().flatten().for_each(|bound| bound.words = true);
        Rc::new(map)
    }
}

impl Default for KeyMap {
    fn default() -> KeyMap {
        let plain = |table| bind(table, &Remap::new()).unwrap_or_default();
        KeyMap { live: plain(LIVE), replay: plain(REPLAY), paused: plain(PAUSED) }
    }
}

impl std::fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.live.iter().map(|bound| (bound.binding.id, bound.shown()))).finish()
    }
}

fn bind(table: &'static [Binding], remap: &Remap) -> Result<Table, String> {
    let parse = |texts: &[&str]| texts.iter().map(|text| Key::parse(text)).collect::<Result<Vec<Key>, String>>();
    let mut given: Vec<(Key, &str)> = Vec::new();
    for binding in table {
        for text in remap.get(binding.id).into_iter().flatten() {
            let key = Key::parse(text)?;
            if let Some((_, other)) = given.iter().find(|(taken, _)| *taken == key) {
                return Err(format!("{key} is given to both {other} and {}", binding.id));
            }
            given.push((key, binding.id));
        }
    }
    let bound = |binding: &'static Binding| {
        let keys = match remap.get(binding.id) {
            Some(texts) => parse(&texts.iter().map(String::as_str).collect::<Vec<_>>())?,
            None => {
                let mut keys = parse(binding.keys)?;
                keys.retain(|key| given.iter().all(|(taken, _)| taken != key));
                keys
            }
        };
        Ok(Bound { binding, keys, words: false })
    };
    table.iter().map(bound).collect()
}

/// What a key means in a table.
pub fn meant(table: &Table, key: KeyEvent) -> Option<Action> {
    table.iter().find(|bound| bound.keys.iter().any(|k| k.is(key))).map(|bound| bound.binding.action.clone())
}
