//! What a scraper does: asks over HTTP, and reads expositions, trusting nothing that the formats do not allow.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What Prometheus says that it reads.
pub const PROMETHEUS_READS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header; "" where there is none.
    pub fn header(&self, name: &str) -> &str {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or("")
    }
}

/// Asks, and reads to the end of the connection.
pub fn ask(address: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let broken = || std::io::Error::other(format!("no whole answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or_else(broken)?;
    Ok(Answer { status, head: head.to_string(), body: body.to_string() })
}

/// GET, with this Accept header.
pub fn get(address: SocketAddr, path: &str, accept: &str) -> std::io::Result<Answer> {
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{accept}\r\n"))
}

/// A whole exposition, read strictly.
#[derive(Debug, Default)]
pub struct Exposition {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    /// The unit of those that have one.
    pub units: BTreeMap<String, String>,
    /// The value of each sample, by its name and its labels as they are written.
    pub samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// The value of a sample.
    pub fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The names of all samples, without their labels.
    pub fn names(&self) -> BTreeSet<String> {
        self.samples.keys().map(|key| key.split('{').next().unwrap_or(key).to_string()).collect()
    }

    /// The counters.
    pub fn totals(&self) -> impl Iterator<Item = (&String, f64)> {
        self.samples.iter().filter(|(name, _)| name.ends_with("_total")).map(|(name, value)| (name, *value))
    }
}

/// Reads an exposition. Panics where the format does not allow what is there: the text is ours.
#[track_caller]
pub fn exposition(text: &str, open_metrics: bool) -> Exposition {
    let mut read = Exposition::default();
    let mut family = String::new();
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n') && !text.contains('\r'), "{text:?}");
    let lines = match open_metrics {
        true => text.strip_suffix("# EOF\n").expect("an end"),
        false => text,
    };
    for line in lines.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(is_name(name) && helped.insert(name.to_string()), "{line}");
                assert!(help.ends_with('.') && help.len() > 10, "no sentence: {line}");
                family = name.to_string();
            }
            ["#", "TYPE", name, kind] => {
                assert!(name == family && read.types.insert(name.into(), kind.into()).is_none(), "{line}");
                let kinds: &[&str] = if open_metrics { &["counter", "gauge", "info"] } else { &["counter", "gauge"] };
                assert!(kinds.contains(&kind), "{line}");
            }
            ["#", "UNIT", name, unit] => {
                assert!(open_metrics && name == family && name.ends_with(&format!("_{unit}")), "{line}");
                read.units.insert(name.into(), unit.into());
            }
            _ => sample(line, &family, open_metrics, &mut read),
        }
    }
    assert_eq!(helped.len(), read.types.len(), "a family without a type");
    read
}

#[track_caller]
fn sample(line: &str, family: &str, open_metrics: bool, into: &mut Exposition) {
    assert!(!line.starts_with('#') && !line.is_empty(), "a comment or an empty line: {line:?}");
    let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let name = key.split('{').next().unwrap_or(key);
    let expected = match (open_metrics, into.types.get(family).map(String::as_str)) {
        (true, Some("counter")) => format!("{family}_total"),
        (true, Some("info")) => format!("{family}_info"),
        (_, Some(_)) => family.to_string(),
        (_, None) => panic!("a sample before its type: {line}"),
    };
    assert_eq!(name, expected, "{line}");
    if key.len() > name.len() {
        labels(&key[name.len()..]);
    }
    let value = match value {
        "+Inf" => f64::INFINITY,
        digits => {
            assert!(digits.bytes().all(|b| b.is_ascii_digit() || b == b'.'), "{line}");
            digits.parse().unwrap_or_else(|_| panic!("no number: {line}"))
        }
    };
    assert!(into.samples.insert(key.into(), value).is_none(), "twice: {line}");
}

/// `{name="value",…}`, with `\\`, `\"` and `\n` as the only escapes.
#[track_caller]
fn labels(text: &str) {
    let mut rest =
        text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or_else(|| panic!("no labels: {text}"));
    let mut names = BTreeSet::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {text}"));
        assert!(is_name(name) && names.insert(name), "{text}");
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{text}"),
                Some((at, '"')) => break at,
                Some(_) => {}
                None => panic!("a label without an end: {text}"),
            }
        };
        match after[end + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return assert!(after[end + 1..].is_empty(), "{text}"),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}
