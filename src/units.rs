//! Sizes and limits: parsing what people type, printing what people read.
//!
//! Binary throughout (`200m` is 209 715 200 bytes), as docker, systemd and the kernel read sizes.
//! Refuses: any I/O, and any sentinel: "no limit" is [`Limit::Max`], never a number.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

mod step;
pub use step::Step;

/// What every message about a bad size says is accepted.
pub const ACCEPTED_SIZES: &str = "64m, 64M, 64MiB, 1.5G, 50% or max";

/// The largest number of bytes that the kernel's page counters hold (`PAGE_COUNTER_MAX`, in bytes,
/// `include/linux/page_counter.h`): what cgroup v1 prints for "no limit".
pub fn kernel_max() -> u64 {
    let page = page_size();
    i64::MAX as u64 / page * page
}

/// The page size of every machine this was built for, in bytes; the kernel rounds limits down to it.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// What the kernel charges a group ahead for each CPU at most, in bytes: 64 pages (`MEMCG_CHARGE_BATCH`, include/linux/memcontrol.h).
pub const CHARGE_BATCH: u64 = 256 * 1024;

/// What is charged at once at most, in bytes, with pages of 4 KiB: a huge page, or a folio of the cache of that size
/// (`MAX_PAGECACHE_ORDER`, include/linux/pagemap.h).
const LARGEST_FOLIO: u64 = 2 << 20;

/// How far the limit that a workload finds in its own group stands above the one that counts, in bytes. A charge is tried on the workload's own
/// group first, and one that it refused would be counted and handled there, past what the sandbox's group is set to do. So it has to have room for
/// whatever that may refuse: the batches that it was charged ahead, and one folio.
pub fn mirror_margin(cpus: u32) -> u64 {
    LARGEST_FOLIO + CHARGE_BATCH * u64::from(cpus)
}

/// What the workload finds as the limit of its own group under this one, with such a margin.
pub fn mirror_of(limit: Limit, margin: u64) -> Limit {
    match limit {
        Limit::Bytes(n) if n < kernel_max().saturating_sub(margin) => Limit::Bytes(n + margin),
        _ => Limit::Max,
    }
}

/// A memory limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// So many bytes, a whole number of pages.
    Bytes(u64),
    /// No limit.
    #[default]
    Max,
}

/// How many of something there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quota {
    /// So many.
    Of(u64),
    /// Any number.
    Max,
}

impl Quota {
    /// The number, `None` where any will do.
    pub fn number(self) -> Option<u64> {
        match self {
            Quota::Of(n) => Some(n),
            Quota::Max => None,
        }
    }

    /// A number of processes as typed: `max`, or docker's `-1` and `0`, are no limit.
    ///
    /// # Errors
    /// One sentence that says what was wrong with it and what is accepted.
    pub fn parse_pids(text: &str) -> Result<Quota, String> {
        match text.trim() {
            "max" | "-1" | "0" => Ok(Quota::Max),
            n => match n.parse() {
                Ok(n) if n <= PIDS_MOST => Ok(Quota::Of(n)),
                _ => Err(format!("'{text}' is no number of processes; it is 1 to {PIDS_MOST}, or max")),
            },
        }
    }

    /// A number of CPUs as typed (`1.5`), in thousandths.
    ///
    /// # Errors
    /// One sentence that says what was wrong with it and what is accepted.
    pub fn parse_cpus(text: &str) -> Result<Quota, String> {
        match text.trim() {
            "max" | "-1" | "0" => Ok(Quota::Max),
            n => match n.parse::<f64>() {
                Ok(n) if (0.01..=10_000.0).contains(&n) => Ok(Quota::Of((n * 1000.0).round() as u64)),
                _ => Err(format!("'{text}' is no number of CPUs; it is 0.01 to 10000 (1.5), or max")),
            },
        }
    }
}

/// The most processes that a Linux machine can have (`PID_MAX_LIMIT`, include/linux/threads.h).
const PIDS_MOST: u64 = 4_194_304;

impl Limit {
    /// The limit in bytes, `None` where there is none.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Limit::Bytes(n) => Some(n),
            Limit::Max => None,
        }
    }

    /// The limit that the kernel will store for `bytes`: whole pages, at least one.
    fn rounded(bytes: u64) -> Result<Limit, String> {
        let page = page_size();
        if bytes < page {
            return Err(format!("is below one page ({page} bytes), as if its unit were missing"));
        }
        if bytes > kernel_max() {
            return Err("is more than the kernel can count".into());
        }
        Ok(if bytes == kernel_max() { Limit::Max } else { Limit::Bytes(bytes / page * page) })
    }

    /// A quarter more, in whole pages.
    pub fn and_a_quarter(self) -> Limit {
        self.and_one_in(4)
    }

    /// Half as much again.
    pub fn and_a_half(self) -> Limit {
        self.and_one_in(2)
    }

    fn and_one_in(self, share: u64) -> Limit {
        let more = self.bytes().map(|n| Limit::rounded(n.saturating_add(n / share)));
        more.and_then(Result::ok).unwrap_or(Limit::Max)
    }

    /// Reads a limit as typed on the command line. `total` is what a percentage is of, in bytes.
    ///
    /// # Errors
    /// One sentence that says what was wrong with it and what is accepted.
    pub fn parse(text: &str, total: u64) -> Result<Limit, String> {
        parse_absolute(text.trim(), total).map_err(|why| format!("'{text}' {why}; a size is {ACCEPTED_SIZES}"))
    }

    /// Reads an edit of the limit `current`: all that [`Limit::parse`] takes (a percentage is then of
    /// `current`), and `+10%`, `-16M`.
    ///
    /// # Errors
    /// One sentence that says what was wrong with it and what is accepted.
    pub fn parse_edit(text: &str, current: Limit) -> Result<Limit, String> {
        let typed = text.trim();
        let accepted = "80M, 1.5G, +10%, -16M, 50% or max";
        let explain = |why: String| format!("'{typed}' {why}; try {accepted}");
        let (sign, rest) = match typed.as_bytes().first() {
            Some(b'+') => (1, &typed[1..]),
            // docker's word for no limit, which here would be one byte less: neither is guessed.
            Some(b'-') if typed == "-1" => return Err(explain("is no edit; no limit is max".into())),
            Some(b'-') => (-1, &typed[1..]),
            _ => (0, typed),
        };
        let base = current.bytes();
        if sign == 0 && !rest.ends_with('%') {
            return parse_absolute(rest, 0).map_err(explain);
        }
        let base = base.ok_or_else(|| explain("is relative, and there is no limit now".into()))?;
        let step = match percent(rest) {
            Some(share) => share.map(|p| (base as f64 * p / 100.0) as u64),
            None => plain_size(rest),
        }
        .map_err(explain)?;
        if step < page_size() {
            return Err(explain(format!("is less than a page ({} bytes)", page_size())));
        }
        let target = match sign {
            1 => base.saturating_add(step),
            -1 if base.saturating_sub(step) < page_size() => {
                return Err(explain(format!("leaves nothing of {}", size(base))));
            }
            -1 => base - step,
            _ => step,
        };
        Limit::rounded(target).map_err(explain)
    }
}

impl Limit {
    /// The limit as it can be typed, so that it reads back as the very same.
    pub fn typed(self) -> String {
        let short = self.to_string();
        match self {
            Limit::Bytes(bytes) if parse_absolute(&short, 0) != Ok(self) => bytes.to_string(),
            _ => short,
        }
    }
}

impl Limit {
    /// What is left of it above another limit.
    pub fn less(self, other: Limit) -> Limit {
        match (self, other) {
            (Limit::Bytes(all), Limit::Bytes(part)) => Limit::Bytes(all.saturating_sub(part)),
            (Limit::Bytes(_), Limit::Max) => Limit::Bytes(0),
            (Limit::Max, _) => Limit::Max,
        }
    }
}

/// Whether a move from one limit to another is downwards.
pub fn is_lower(from: Limit, to: Limit) -> bool {
    to.bytes().is_some_and(|to| from.bytes().is_none_or(|from| to < from))
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Bytes(n) => f.pad(&size(*n)),
            Limit::Max => f.pad("max"),
        }
    }
}

fn parse_absolute(text: &str, total: u64) -> Result<Limit, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if matches!(text.to_ascii_lowercase().as_str(), "max" | "unlimited" | "infinity" | "-1") {
        return Ok(Limit::Max);
    }
    match percent(text) {
        Some(share) => share.and_then(|p| Limit::rounded((total as f64 * p / 100.0) as u64)),
        None => plain_size(text).and_then(Limit::rounded),
    }
}

/// `50%` as 50.0; `None` when the text is no percentage at all.
fn percent(text: &str) -> Option<Result<f64, String>> {
    let number = text.strip_suffix('%')?;
    if number.starts_with(['+', '-']) {
        return Some(Err("is relative".into()));
    }
    Some(match number.trim().parse::<f64>() {
        Ok(p) if p > 0.0 && p <= 100_000.0 => Ok(p),
        _ => Err("is not a usable percentage".into()),
    })
}

fn plain_size(text: &str) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err("is negative".into());
    }
    if text.starts_with('+') {
        return Err("is relative".into()); // only an edit can be, and that has taken its sign off
    }
    match parse_size::Config::new().with_binary().parse_size(text) {
        Ok(0) => Err("is no memory at all".into()),
        Ok(n) => Ok(n),
        Err(parse_size::Error::PosOverflow) => Err("is more than the kernel can count".into()),
        Err(_) => Err("is not a size".into()),
    }
}

/// A part in whole percent of all, rounded down; of nothing it is as of one byte.
pub fn percent_of(part: u64, all: u64) -> u64 {
    (u128::from(part) * 100 / u128::from(all.max(1))).try_into().unwrap_or(u64::MAX)
}

/// A time as typed: `500ms`, `1.5s`, `2m`, `1m30s`, or a bare number of seconds; `None` for what is none.
pub fn time(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => fraction(text).or_else(|| humantime::parse_duration(text).ok()),
    }
}

/// `1.5s`: humantime knows whole numbers only.
fn fraction(text: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    units.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    })
}

const UNITS: [char; 6] = ['B', 'K', 'M', 'G', 'T', 'P'];

/// A size for people: exact where it is exact (`200M`), else three significant digits (`79.9M`).
pub fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut scale = 1u64;
    while unit + 1 < UNITS.len() && bytes / scale >= 1024 {
        scale *= 1024;
        unit += 1;
    }
    let suffix = UNITS[unit];
    if bytes.is_multiple_of(scale) {
        return format!("{}{suffix}", bytes / scale);
    }
    let value = bytes as f64 / scale as f64;
    match value {
        v if v < 9.995 => format!("{v:.2}{suffix}"),
        v if v < 99.95 => format!("{v:.1}{suffix}"),
        v if v < 1023.5 || unit + 1 == UNITS.len() => format!("{v:.0}{suffix}"),
        v => format!("{:.2}{}", v / 1024.0, UNITS[unit + 1]),
    }
}

/// A size in a column: always one decimal and a unit, so that digits keep their places.
pub fn size_column(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while unit + 1 < UNITS.len() && (value >= 999.5 || unit == 0) {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1}{}", UNITS[unit])
}

#[cfg(test)]
mod tests;
