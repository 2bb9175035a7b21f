//! A command line as it is read from a recording: no longer than one can be, whatever the recording says.

use std::fmt;

use serde::{
    Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

/// The most memory that a command line takes, in bytes: twice what the kernel passes on to a program by default (execve(2), `ARG_MAX`).
const MOST: usize = 4 << 20;

/// What a word takes beside its letters, roughly, in bytes: its place in the list, and the allocator's own.
const PER_WORD: usize = size_of::<String>() + 16;

/// Reads the words, and says with a last one of its own how many were left out.
///
/// # Errors
/// When it is no list of texts.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_seq(Words)
}

struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of words")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let (mut words, mut memory, mut more) = (Vec::new(), 0, 0u64);
        while memory < MOST {
            let Some(word) = list.next_element::<String>()? else { return Ok(words) };
            memory += word.len() + PER_WORD;
            match memory <= MOST {
                true => words.push(word),
                false => more = 1,
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        if more > 0 {
            words.push(format!("… ({more} more)"));
        }
        words.shrink_to_fit();
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read_up_to_what_one_can_be_and_the_rest_is_counted() {
        let read = |text: &str| deserialize(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read(r#"["sh","-c","a b"]"#).unwrap(), ["sh", "-c", "a b"]);
        let many = format!("[{}]", vec!["\"\""; 1_000_000].join(","));
        let words = read(&many).unwrap();
        assert!(words.len() * PER_WORD <= MOST + PER_WORD && words.capacity() < 2 * words.len());
        assert_eq!(words.last().unwrap(), &format!("… ({} more)", 1_000_000 - (words.len() - 1)));
        let long = format!("[\"{}\",\"b\"]", "a".repeat(MOST));
        assert_eq!(read(&long).unwrap(), ["… (2 more)"]);
        assert!(read("[1]").is_err() && read("{}").is_err());
    }
}
