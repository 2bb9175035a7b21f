//! The text of an exposition, in either format that scrapers ask for: OpenMetrics 1.0.0, or Prometheus's own 0.0.4.
//!
//! Written by hand, out of one table for both: the crate for it writes the first format only, which `promtool check metrics` does not read.
//! Refuses: to know what is told; a family without a value is not there.

use std::fmt::{self, Write};

/// What every name begins with.
pub const PREFIX: &str = "sandtop_";

/// Units that a name can end with. A name that does has a line that says so.
const UNITS: [&str; 2] = ["bytes", "seconds"];

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0, which knows units and has an end.
    OpenMetrics,
    /// Prometheus's text format 0.0.4, which everything reads.
    Prometheus,
}

impl Format {
    /// What it is called in HTTP.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever rises while sandtop lives; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Always 1: what it tells is in its labels; its samples end in `_info`.
    Info,
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole one, written exactly.
    Whole(u64),
    /// A fraction, or `+Inf`.
    Real(f64),
}

impl From<u64> for Number {
    fn from(n: u64) -> Number {
        Number::Whole(n)
    }
}

impl From<bool> for Number {
    fn from(yes: bool) -> Number {
        Number::Whole(u64::from(yes))
    }
}

impl From<f64> for Number {
    fn from(n: f64) -> Number {
        Number::Real(n)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(n) => write!(f, "{n}"),
            Number::Real(n) if n.is_infinite() => f.write_str(if *n > 0.0 { "+Inf" } else { "-Inf" }),
            Number::Real(n) => write!(f, "{n}"),
        }
    }
}

/// Names and values, in the order in which they are written.
pub type Labels<'a> = [(&'a str, &'a str)];

/// An exposition under way of being written.
pub struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    /// An empty one.
    pub fn new(format: Format) -> Exposition {
        Exposition { format, text: String::new() }
    }

    /// A gauge, where there is a value.
    pub fn gauge(&mut self, name: &str, help: &str, value: Option<impl Into<Number>>) {
        self.family(Kind::Gauge, name, help, value.map(|n| n.into()).as_slice(), |n| (Vec::new(), *n));
    }

    /// A counter, where there is a value.
    pub fn counter(&mut self, name: &str, help: &str, value: Option<impl Into<Number>>) {
        self.family(Kind::Counter, name, help, value.map(|n| n.into()).as_slice(), |n| (Vec::new(), *n));
    }

    /// What labels tell.
    pub fn info(&mut self, name: &str, help: &str, labels: &Labels) {
        self.family(Kind::Info, name, help, &[labels], |labels| (labels.to_vec(), Number::Whole(1)));
    }

    /// A family with a sample for each of these, or nothing where there is none.
    pub fn family<'a, T>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        of: &[T],
        sample: impl Fn(&T) -> (Vec<(&'a str, &'a str)>, Number),
    ) {
        if of.is_empty() {
            return;
        }
        let suffix = match kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        };
        // The older format names the samples, and knows no info.
        let (family, kind) = match (self.format, kind) {
            (Format::OpenMetrics, kind) => (format!("{PREFIX}{name}"), kind),
            (Format::Prometheus, Kind::Info) => (format!("{PREFIX}{name}{suffix}"), Kind::Gauge),
            (Format::Prometheus, kind) => (format!("{PREFIX}{name}{suffix}"), kind),
        };
        self.line(format_args!("# HELP {family} {}", escaped(help)));
        self.line(format_args!("# TYPE {family} {kind}"));
        let unit = UNITS.iter().find(|unit| name.strip_suffix(**unit).is_some_and(|rest| rest.ends_with('_')));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            self.line(format_args!("# UNIT {family} {unit}"));
        }
        for (labels, value) in of.iter().map(sample) {
            self.line(format_args!("{PREFIX}{name}{suffix}{} {value}", in_braces(&labels)));
        }
    }

    /// The whole text.
    pub fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.line(format_args!("# EOF"));
        }
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}"); // into memory: it cannot fail
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        })
    }
}

fn in_braces(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// As both formats have it inside quotes; harmless outside, where no help of ours has such characters.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.gauge("memory_limit_bytes", "The limit.", Some(f64::INFINITY));
        out.gauge("memory_swap_bytes", "Nobody told.", None::<u64>);
        out.counter("waiting_seconds", "Waited.", Some(1.25));
        out.counter("oom_kills", "Killed.", Some(u64::MAX));
        out.info("run", "The run.", &[("command", "sh -c \"a\\b\"\n"), ("controller", "v1")]);
        out.end()
    }

    #[test]
    fn open_metrics_names_families_says_units_and_has_an_end() {
        let expected = r#"# HELP sandtop_memory_limit_bytes The limit.
# TYPE sandtop_memory_limit_bytes gauge
# UNIT sandtop_memory_limit_bytes bytes
sandtop_memory_limit_bytes +Inf
# HELP sandtop_waiting_seconds Waited.
# TYPE sandtop_waiting_seconds counter
# UNIT sandtop_waiting_seconds seconds
sandtop_waiting_seconds_total 1.25
# HELP sandtop_oom_kills Killed.
# TYPE sandtop_oom_kills counter
sandtop_oom_kills_total 18446744073709551615
# HELP sandtop_run The run.
# TYPE sandtop_run info
sandtop_run_info{command="sh -c \"a\\b\"\n",controller="v1"} 1
# EOF
"#;
        assert_eq!(written(Format::OpenMetrics), expected);
    }

    #[test]
    fn the_older_format_names_samples_and_knows_no_info() {
        let expected = r#"# HELP sandtop_memory_limit_bytes The limit.
# TYPE sandtop_memory_limit_bytes gauge
sandtop_memory_limit_bytes +Inf
# HELP sandtop_waiting_seconds_total Waited.
# TYPE sandtop_waiting_seconds_total counter
sandtop_waiting_seconds_total 1.25
# HELP sandtop_oom_kills_total Killed.
# TYPE sandtop_oom_kills_total counter
sandtop_oom_kills_total 18446744073709551615
# HELP sandtop_run_info The run.
# TYPE sandtop_run_info gauge
sandtop_run_info{command="sh -c \"a\\b\"\n",controller="v1"} 1
"#;
        assert_eq!(written(Format::Prometheus), expected);
    }
}
