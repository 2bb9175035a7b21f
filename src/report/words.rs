//! The words of a report: verdicts, the names of numbers, what a machine was. Pure functions of data; the run's own sentences are `sentences.rs`'s.

use std::time::{Duration, SystemTime};

use crate::text::{shell_line, visible};
use crate::{
    event::{Controller, Isolation},
    record::format::Header,
    result::{EventDocument, RunDocument},
    sentences::{Language, Weight, Word, duration},
    session::{
        HighestFrom, Run,
        outcome::{EndedBy, Outcome},
    },
    units::size,
};

/// The sign of a warning, as a letter and not as a picture. An arrow upwards is a limit that was raised.
const WARNING: &str = "⚠\u{fe0e}";

/// How a run ended: its sign, what kind of end that is (`good`, `act`, `warning`, `danger`), and the sentence.
pub fn verdict(run: &Run) -> (&'static str, &'static str, String) {
    let Some(outcome) = run.outcome() else {
        let usage = size(run.usage());
        return (
            "●",
            "act",
            match run.last {
                Some(_) => {
                    format!(
                        "the run has not ended here: it uses {usage}, peak {} of {}",
                        Language::English.highest(run.peak, run.highest_from()),
                        run.limit
                    )
                }
                None => format!("the run has not ended here: {}; limit {}", Language::English.unsampled(), run.limit),
            },
        );
    };
    let (sign, class) = match Language::English.ended(run).1 {
        Weight::Danger => ("✖", "danger"),
        Weight::Warning => (WARNING, "warning"),
        Weight::Act => ("■", "act"),
        Weight::Plain if outcome == Outcome::Exited && run.exit_code() == Some(0) => ("✔", "good"),
        Weight::Plain => (WARNING, "warning"),
    };
    (sign, class, Language::English.summary(run))
}

/// The sign of an event's weight.
pub fn sign(event: &EventDocument) -> &'static str {
    match (event.kind, event.weight) {
        ("oom_kill", _) => "✖",
        ("limit_moved", _) => "↕",
        (_, "danger") => "✖",
        (_, "warning") => WARNING,
        (_, "act") => "■",
        _ => "·",
    }
}

/// A number of a run, with its name and the kernel's file behind it.
pub struct Number {
    /// What it is called.
    pub name: &'static str,
    /// The kernel's file, where there is one.
    pub file: Option<&'static str>,
    /// Its name in the JSON.
    pub field: &'static str,
    /// The value as JSON has it; `None` where it does not apply, or this kernel does not tell.
    pub value: Option<String>,
    /// The value for people.
    pub text: String,
}

/// The numbers that matter, in the order in which they are read.
pub fn numbers(run: &RunDocument) -> Vec<Number> {
    let file = |word| Some(Language::English.file(run.controller?, word));
    let bytes = |name, word: Option<Word>, field, value: Option<u64>, none: &str| Number {
        name,
        file: word.and_then(file),
        field,
        value: value.map(|n| n.to_string()),
        text: value.map_or_else(|| none.to_string(), size),
    };
    let count = |name, word, field, value: Option<u64>| Number {
        name,
        file: file(word),
        field,
        value: value.map(|n| n.to_string()),
        text: value.map_or_else(|| "–".to_string(), |n| n.to_string()),
    };
    let time = |name, word: Option<Word>, field, value: Option<String>, seconds: Option<f64>| Number {
        name,
        file: word.and_then(file),
        field,
        value,
        text: seconds
            .map_or_else(|| "–".to_string(), |s| duration(Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX))),
    };
    let (swapping, met) = (&run.swapping, &run.other_limits);
    let swapped = |name, field, value: Option<u64>| bytes(name, None, field, value, "–");
    let waited = run.pressure.map(|pressure| pressure.some_us);
    let exit = run.sandtop_exit_code.map(u64::from);
    let of = if run.highest_from == Some(HighestFrom::Samples) { Word::Usage } else { Word::Peak };
    let mut peak = bytes("peak", Some(of), "highest_bytes", run.highest_bytes, "–");
    if let Some((bytes, from)) = run.highest_bytes.zip(run.highest_from) {
        peak.text = Language::English.highest(bytes, from);
    }
    let mut kills = count("OOM kills", Word::OomKills, "oom_kills", run.oom_kills);
    if let Some(counted) = run.oom_kills {
        kills.text = Language::English.kills_counted(counted, run.oom_kills_repeated);
    }
    let mut all = vec![
        peak,
        bytes("limit", Some(Word::Limit), "limit_bytes", run.limit_bytes, "none"),
        count("limit hits", Word::LimitHits, "limit_hits", run.limit_hits),
        kills,
        bytes("usage at the end", Some(Word::Usage), "usage_bytes", run.usage_bytes, "–"),
        bytes("of it file cache", Some(Word::Cache), "reclaimable_bytes", run.reclaimable_bytes, "–"),
        bytes("swapped out", Some(Word::Swap), "swap_bytes", run.swap_bytes, "–"),
        bytes("unreclaimable peak", None, "unreclaimable_peak_bytes", run.unreclaimable_peak_bytes, "–"),
        bytes("at most", None, "unreclaimable_peak_bound_bytes", run.unreclaimable_peak_bound_bytes, "–"),
        swapped("most in swap", "swapping.peak_bytes", swapping.peak_bytes),
        swapped("memory and swap together", "swapping.peak_with_memory_bytes", swapping.peak_with_memory_bytes),
        swapped("read back from swap", "swapping.read_bytes", swapping.read_bytes),
        swapped("written to swap", "swapping.written_bytes", swapping.written_bytes),
        bytes("swap allowed", None, "swap_allowed_bytes", run.swap_allowed_bytes, "any amount"),
        time(
            "waiting",
            Some(Word::Waiting),
            "pressure.some_us",
            waited.map(|n| n.to_string()),
            waited.map(|us| us as f64 / 1e6),
        ),
        count("forks refused", Word::Pids, "other_limits.pids_refused", met.pids_refused),
        count("CPU throttled", Word::Cpu, "other_limits.cpu_throttled", met.cpu_throttled),
        count("soft limit hits", Word::SoftLimitHits, "other_limits.soft_limit_hits", met.soft_limit_hits),
        Number {
            name: "pauses averted",
            file: None,
            field: "pauses_averted",
            value: (run.pauses_averted > 0).then(|| run.pauses_averted.to_string()),
            text: run.pauses_averted.to_string(),
        },
        time(
            "stalled",
            None,
            "stalled_seconds",
            run.stalled_seconds.and_then(|s| serde_json::to_string(&s).ok()),
            run.stalled_seconds,
        ),
        time(
            "time",
            None,
            "wall_seconds",
            run.wall_seconds.and_then(|s| serde_json::to_string(&s).ok()),
            run.wall_seconds,
        ),
        Number {
            name: "exit code",
            file: None,
            field: "sandtop_exit_code",
            value: exit.map(|n| n.to_string()),
            text: exit.map_or_else(|| "–".to_string(), |n| n.to_string()),
        },
    ];
    // What did not happen is noise.
    let swapped_any = swapping.peak_bytes.is_some_and(|most| most > 0);
    all.retain(|number| match number.field.split_once('.') {
        Some(("swapping", _)) => swapped_any && number.value.is_some(),
        Some(("other_limits", _)) => number.value.as_ref().is_some_and(|value| value != "0"),
        _ => number.field != "pauses_averted" || number.value.is_some(),
    });
    if run.limit_at_start_bytes != run.limit_bytes {
        all.insert(2, bytes("limit at the start", None, "limit_at_start_bytes", run.limit_at_start_bytes, "none"));
    }
    if let Some(by) = run.ended_by.filter(|by| *by != EndedBy::Itself) {
        let (value, text) = (Some(format!("\"{}\"", by.word())), by.word().to_string());
        all.push(Number { name: "ended by", file: None, field: "ended_by", value, text });
    }
    if run.budget_bytes.is_some() {
        all.insert(2, bytes("budget", None, "budget_bytes", run.budget_bytes, "–"));
    }
    all
}

/// The command of a run as one would type it.
pub fn command(run: &Run) -> String {
    visible(&shell_line(&run.started.argv))
}

/// When a run was started, in UTC; `None` where the recording does not say.
pub fn when(run: &Run) -> Option<String> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(run.started.wall_ms))?;
    // What is no date of our time is none: the format reaches no further than the year 9999.
    (1..=253_402_300_799_000).contains(&run.started.wall_ms).then(|| humantime::format_rfc3339_seconds(at).to_string())
}

/// The machine and the sandbox.
pub fn machine(header: &Header, run: &Run) -> Vec<String> {
    let started = &run.started;
    let mut parts = vec![
        match started.controller {
            Controller::V1 => "cgroup v1".to_string(),
            Controller::V2 => "cgroup v2".to_string(),
        },
        format!("{} CPUs", started.cpus),
        format!("{} of memory", size(started.mem_total)),
    ];
    let kernel = [header.kernel.as_str(), header.arch.as_str()].join(" ");
    if !header.kernel.is_empty() {
        parts.insert(0, format!("Linux {}", kernel.trim()));
    }
    match started.isolation {
        Isolation::Root => {}
        Isolation::User { .. } => parts.push("in a user namespace".into()),
        Isolation::LimitOnly => parts.push("the limit alone, no namespaces".into()),
    }
    if started.widened {
        parts.push("sandbox widened: the limit held only against accidents".into());
    }
    parts.push(format!("sandtop {}", header.sandtop));
    parts
}
