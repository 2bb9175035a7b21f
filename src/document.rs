//! A TOML file that a user wrote, as a flat list of what it sets: each value with the line on which it stands, so that whoever
//! refuses one can say where. Refuses: to know what any of it means.

use std::{ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result, printable};

/// What a user wrote.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    name: String,
    text: &'a str,
}

/// One value of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its table; empty for those at the top.
    pub table: String,
    /// Its key.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// The line, from 1.
    pub line: usize,
}

/// A value, as far as we have a use for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A list of strings.
    List(Vec<String>),
    /// Anything else.
    Other(&'static str),
}

impl Value {
    /// What it is called in an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Flag(_) => "true or false",
            Value::List(_) => "a list of strings",
            Value::Other(kind) => kind,
        }
    }
}

impl<'a> Document<'a> {
    /// The text of a file.
    pub fn new(path: &Path, text: &'a str) -> Document<'a> {
        Document { name: printable(&path.display().to_string()), text }
    }

    /// An error on a line of it.
    pub fn error(&self, line: usize, what: &str) -> Error {
        Error::new(format!("{}:{line}: {}", self.name, printable(what)))
    }

    /// Where a line of it is.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    /// All that it sets, in its own order.
    ///
    /// # Errors
    /// When it is no TOML, or has tables in tables.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let root = DeTable::parse(self.text).map_err(|e| {
            let line = e.span().map_or(1, |span| self.line(&span));
            self.error(line, &format!("this is no TOML: {}", e.message().trim().replace('\n', "; ")))
        })?;
        let mut entries = Vec::new();
        for (key, value) in root.get_ref() {
            let line = self.line(&key.span());
            match value.get_ref() {
                DeValue::Table(table) => {
                    entries.extend(table.iter().map(|(inner, value)| Entry {
                        table: key.get_ref().to_string(),
                        key: inner.get_ref().to_string(),
                        value: taken(value.get_ref()),
                        line: self.line(&inner.span()),
                    }));
                }
                value => {
                    let (table, key) = (String::new(), key.get_ref().to_string());
                    entries.push(Entry { table, key, value: taken(value), line });
                }
            }
        }
        entries.sort_by_key(|entry| entry.line);
        Ok(entries)
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

fn taken(value: &DeValue) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(String::from));
            texts.collect::<Option<Vec<String>>>().map_or(Value::Other("a list"), Value::List)
        }
        DeValue::Integer(_) | DeValue::Float(_) => Value::Other("a number"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_line() {
        let text = "a = \"x\"\n\n[keys]\nq = [\"Q\",\n \"Ctrl-C\"]\nn = 1\nt = { u = 1 }\n";
        let entries = Document::new(Path::new("c.toml"), text).entries().unwrap();
        let said: Vec<_> = entries.iter().map(|e| (e.table.as_str(), e.key.as_str(), e.value.kind(), e.line)).collect();
        assert_eq!(
            said,
            [
                ("", "a", "a string", 1),
                ("keys", "q", "a list of strings", 4),
                ("keys", "n", "a number", 6),
                ("keys", "t", "a table", 7)
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_told_in_one_line() {
        for (text, place) in [("a = 1\nb =\n", "c.toml:2: "), ("a = 1\na = 2\n", "c.toml:2: "), ("[x\n", "c.toml:1: ")]
        {
            let said = Document::new(Path::new("c.toml"), text).entries().unwrap_err().to_string();
            assert!(said.starts_with(place) && said.lines().count() == 1, "{said}");
        }
    }
}
