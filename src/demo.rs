//! Workloads built into the binary: what `sandtop demo` runs, with exact sizes and rates, so that a machine without `stress` sees the same
//! story. They run inside the sandbox as `sandtop worker …`; tests use them too.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    units::{Limit, size},
};

mod hold;

/// The demos that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// A worker fills 200M at a visible pace; its parent lives to tell.
    Oom,
}

/// The built-in workloads.
#[derive(Debug, clap::Subcommand)]
pub enum Work {
    /// A parent whose worker fills memory
    Oom,
    /// Fill exactly this much memory, then end, or hold it
    Fill {
        /// How much
        #[arg(value_parser = bytes)]
        size: u64,
        /// How much a second; as fast as can be, if not said
        #[arg(long, value_parser = bytes)]
        rate: Option<u64>,
        /// Keep it for ever
        #[arg(long)]
        hold: bool,
        /// Say how much, every 10M
        #[arg(long)]
        tell: bool,
        /// Write numbers, and at the end read them all back and say their checksum; fail if it is not the right one
        #[arg(long)]
        check: bool,
    },
    /// Hold an exact mixture of memory for ever, and say when it is made
    Hold(hold::Mixture),
    /// Start this many processes that do nothing, and wait
    Idle {
        /// How many
        count: u32,
    },
}

fn bytes(text: &str) -> std::result::Result<u64, String> {
    Limit::parse(text, 0)?.bytes().ok_or_else(|| "a size, not max".into())
}

/// How much the demo's worker fills, and how fast: 100M are reached in under two seconds.
const DEMO_SIZE: &str = "200M";
const DEMO_RATE: &str = "60M";

/// The command of a demo, as its argv.
pub fn argv(name: Name) -> Vec<OsString> {
    match name {
        Name::Oom => ["sandtop", "worker", "oom"].map(OsString::from).to_vec(),
    }
}

/// Does the work; the exit code of the process.
///
/// # Errors
/// When a worker cannot be started.
pub fn work(work: &Work) -> Result<u8> {
    // Started through /proc/self/exe it would be called "exe" in every process list.
    let name = if matches!(work, Work::Oom) { c"demo" } else { c"worker" };
    let _ = rustix::thread::set_name(name);
    match work {
        Work::Oom => oom(),
        Work::Fill { size, rate, hold, tell, check } => {
            let memory = fill(*size, *rate, *tell);
            if *check && !is_whole(&memory) {
                return Ok(1);
            }
            if *hold {
                loop {
                    std::thread::park();
                }
            }
            drop(memory);
            Ok(0)
        }
        Work::Hold(mixture) => hold::hold(mixture),
        Work::Idle { count } => idle(*count),
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}"); // a closed pipe is no reason to stop
}

/// As `stress` does: a child fills and keeps, the parent waits and reports.
fn oom() -> Result<u8> {
    let mut child = start(&["worker", "fill", DEMO_SIZE, "--rate", DEMO_RATE, "--tell"])?;
    say(&format!("demo: worker {} fills {DEMO_SIZE}, {DEMO_RATE} a second", child.id()));
    let status = child.wait().map_err(|e| Error::sys("wait for the worker", e))?;
    match std::os::unix::process::ExitStatusExt::signal(&status) {
        Some(signal) => {
            say(&format!("demo: worker {} was killed by signal {signal}", child.id()));
            Ok(1)
        }
        None => {
            say(&format!("demo: worker {} has filled {DEMO_SIZE} and is done", child.id()));
            Ok(0)
        }
    }
}

fn start(args: &[&str]) -> Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    // By this path even a binary that was replaced or lies where the user may not go is found.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("sandtop").args(args).spawn().map_err(|e| Error::sys("start a worker", e))
}

/// Fills memory, page by page within one allocation, so that nothing else is counted with it.
fn fill(size_wanted: u64, rate: Option<u64>, tell: bool) -> Vec<u8> {
    const STEP: u64 = 256 * 1024;
    const TELL: u64 = 10 << 20;
    const PAGE: u64 = 4096;
    let mut memory = Vec::with_capacity(size_wanted as usize);
    let start = Instant::now();
    let mut filled = 0;
    while filled < size_wanted {
        let before = filled;
        filled = (filled + STEP).min(size_wanted);
        while (memory.len() as u64) < filled {
            let end = (memory.len() as u64 + PAGE).min(filled);
            memory.resize(end as usize, pattern(end - 1));
        }
        if tell && before / TELL != filled / TELL {
            say(&format!("worker: {}", size(filled / TELL * TELL)));
        }
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(filled as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    memory
}

/// The byte that a page is filled with, given a place in it: no two neighbouring pages have the same.
fn pattern(place: u64) -> u8 {
    (place >> 12) as u8 ^ (place >> 20) as u8
}

/// Reads all of it back, and says what it adds up to.
fn is_whole(memory: &[u8]) -> bool {
    let pages = || memory.chunks(4096).enumerate();
    let step = |sum: u64, byte: u8| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    let found = pages().fold(0, |sum, (_, page)| page.iter().fold(sum, |sum, byte| step(sum, *byte)));
    let right = pages().fold(0, |sum, (n, page)| page.iter().fold(sum, |sum, _| step(sum, pattern((n as u64) << 12))));
    let word = if found == right { "right" } else { "wrong" };
    say(&format!("worker: checksum {found:016x}, {word}"));
    found == right
}

fn idle(count: u32) -> Result<u8> {
    let mut children = Vec::new();
    for _ in 0..count {
        let child = Command::new("sleep").arg("infinity").spawn();
        children.push(child.map_err(|e| Error::sys("start sleep", e))?);
    }
    say(&format!("idle: {count} processes"));
    for mut child in children {
        let _ = child.wait();
    }
    Ok(0)
}
