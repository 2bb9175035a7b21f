//! The recording format: JSON Lines, one header and then the events as they happened. `assets/recording.md` documents it.
//!
//! Unknown fields and unknown events are passed over, missing fields are `None`: old recordings stay readable, and so do newer ones.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    event::{Event, Stamped, words},
    units::Limit,
};

/// The version of the format that this sandtop writes. It rises when an old reader would misunderstand, not when something is added.
pub const SCHEMA: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub schema: u32,
    /// The version of sandtop that wrote it.
    pub sandtop: String,
    /// The kernel's release.
    #[serde(default)]
    pub kernel: String,
    /// The machine's architecture.
    #[serde(default)]
    pub arch: String,
    /// Wall clock when sandtop started, in milliseconds since 1970.
    #[serde(default)]
    pub wall_ms: u64,
    /// The command and its arguments.
    #[serde(default, deserialize_with = "words::deserialize")]
    pub command: Vec<String>,
    /// The limit of the first run.
    #[serde(default)]
    pub limit: Option<Limit>,
}

impl Header {
    /// The header of a recording that starts now.
    pub fn new(command: Vec<String>, limit: Limit, wall_ms: u64) -> Header {
        let uname = rustix::system::uname();
        Header {
            schema: SCHEMA,
            sandtop: env!("CARGO_PKG_VERSION").into(),
            kernel: uname.release().to_string_lossy().into_owned(),
            arch: uname.machine().to_string_lossy().into_owned(),
            wall_ms,
            command,
            limit: Some(limit),
        }
    }
}

/// A line of a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first.
    Header(Header),
    /// Something that happened.
    Event(Stamped),
    /// Something that a newer sandtop recorded.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct HeaderLine<T> {
    recording: T,
}

#[derive(Serialize, Deserialize)]
struct EventLine<T> {
    /// Microseconds since sandtop started.
    us: u64,
    event: T,
}

/// The first line, with its end.
pub fn header_line(header: &Header) -> Vec<u8> {
    ended(serde_json::to_vec(&HeaderLine { recording: header }))
}

/// An event's line, with its end.
pub fn event_line(stamped: &Stamped) -> Vec<u8> {
    ended(serde_json::to_vec(&EventLine { us: stamped.at.as_micros() as u64, event: &stamped.event }))
}

fn ended(line: serde_json::Result<Vec<u8>>) -> Vec<u8> {
    let mut line = line.unwrap_or_default(); // plain data: it cannot fail
    line.push(b'\n');
    line
}

/// What a line has, whatever that is: nothing of it is kept, so that a hostile line costs no memory.
#[derive(Deserialize)]
struct Shape {
    recording: Option<IgnoredAny>,
    event: Option<IgnoredAny>,
}

/// The time of an event that is not known.
#[derive(Deserialize)]
struct Time {
    #[serde(rename = "us")]
    _us: u64,
}

/// Reads one line, without its end.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn read_line(line: &[u8]) -> Result<Line, String> {
    // Nearly every line is an event that is known: the long way is for the others.
    let wrong = match serde_json::from_slice::<EventLine<Event>>(line) {
        Ok(EventLine { us, event }) => return Ok(Line::Event(Stamped { at: Duration::from_micros(us), event })),
        Err(e) => e,
    };
    serde_json::from_slice::<IgnoredAny>(line).map_err(|_| "is no JSON".to_string())?;
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err("is no object".into());
    }
    let shape = serde_json::from_slice::<Shape>(line).map_err(|e| format!("is no event: {}", why(&e)))?;
    if shape.recording.is_some() {
        let header = serde_json::from_slice::<HeaderLine<Header>>(line);
        let header = header.map_err(|e| format!("is no header: {}", why(&e)))?.recording;
        return match header.schema {
            0 => Err("has no schema version".into()),
            n if n > SCHEMA => Err(format!(
                "is of format {n}; this sandtop reads formats up to {SCHEMA}: a newer sandtop can replay it"
            )),
            _ => Ok(Line::Header(header)),
        };
    }
    serde_json::from_slice::<Time>(line).map_err(|_| "has no time")?;
    shape.event.ok_or("has no event")?;
    match why(&wrong) {
        why if why.starts_with("unknown variant") => Ok(Line::Unknown),
        why => Err(format!("holds an event that is none: {why}")),
    }
}

/// What the parser says, without its place, and not all of what it quotes.
fn why(e: &serde_json::Error) -> String {
    let said = e.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    said.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_line_is_said_in_a_few_words() {
        let wrong = |line: &str| read_line(line.as_bytes()).unwrap_err();
        assert_eq!(wrong("{\"us\":1"), "is no JSON");
        assert_eq!(wrong("[1]"), "is no object");
        assert_eq!(wrong("{\"us\":-1,\"event\":\"x\"}"), "has no time");
        assert_eq!(wrong("{\"us\":1}"), "has no event");
        assert!(wrong("{\"us\":1,\"event\":{\"sample\":{}}}").ends_with("none: missing field `usage`"));
        assert!(wrong("{\"recording\":{\"schema\":9,\"sandtop\":\"\"}}").contains("format 9"));
        let long = format!("{{\"us\":1,\"event\":{{\"sample\":{{\"usage\":\"{}\"}}}}}}", "x".repeat(1 << 20));
        assert!(wrong(&long).len() < 300);
        assert_eq!(read_line(b"{\"us\":1,\"event\":{\"not_known_yet\":[1,{}]}}"), Ok(Line::Unknown));
    }

    #[test]
    fn output_is_text_and_was_a_list_of_numbers() {
        for line in ["{\"us\":1,\"event\":{\"output\":\"a\u{e9}\"}}", "{\"us\":1,\"event\":{\"output\":[97,233]}}"] {
            let Ok(Line::Event(stamped)) = read_line(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(stamped.event, Event::Output(vec![97, 233]));
        }
        assert!(read_line("{\"us\":1,\"event\":{\"output\":\"\u{20ac}\"}}".as_bytes()).is_err());
    }
}
