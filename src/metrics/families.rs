//! The families that are told: their names, what they mean, and where their values come from. A closed list, documented in `assets/prometheus/README.md`.
//!
//! What this kernel does not tell is not there, and never 0. Refuses: a label with as many values as there are processes.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::{
    book::Book,
    text::{Exposition, Format, Kind, Number},
};
use crate::{
    event::{Controller, Isolation},
    session::{Run, outcome::Outcome},
    units::{Limit, page_size},
};

/// How much of a command is told, in characters.
const COMMAND: usize = 120;

/// What an exposition is made of.
pub struct Facts<'a> {
    /// What the events add up to.
    pub book: &'a Book,
    /// How many events never came.
    pub lost: u64,
    /// How many expositions there were, with this one.
    pub scrapes: u64,
}

/// The whole exposition.
pub fn exposition(facts: &Facts<'_>, format: Format) -> String {
    let mut out = Exposition::new(format);
    if let Some(run) = facts.book.session.run() {
        memory(&mut out, run);
        parts(&mut out, run);
        processes(&mut out, run);
        about(&mut out, run);
    }
    totals(&mut out, facts.book);
    own(&mut out, facts);
    out.end()
}

fn memory(out: &mut Exposition, run: &Run) {
    let usage = run.last.as_ref().map(|sample| sample.usage);
    let headroom = usage.map(|usage| match run.limit {
        Limit::Bytes(limit) => Number::Whole(limit.saturating_sub(usage)),
        Limit::Max => Number::Real(f64::INFINITY),
    });
    let reclaimable = run.stat.zip(usage).map(|(stat, usage)| stat.file.min(usage));
    out.gauge(
        "memory_usage_bytes",
        "What is charged to the sandbox now (v1 memory.usage_in_bytes, v2 memory.current).",
        usage,
    );
    out.gauge("memory_limit_bytes", "The memory limit now; +Inf for none.", Some(number(run.limit)));
    out.gauge("memory_headroom_bytes", "How far usage is below the limit; +Inf without one.", headroom);
    out.gauge("memory_reclaimable_bytes", "The part of the usage that can be given back: file cache.", reclaimable);
    let peak = run.peak_is_kernels.then_some(run.peak);
    out.gauge("memory_peak_bytes", "The highest usage of this run, as the kernel kept it.", peak);
    let highest: Vec<(&str, u64)> = usage.map(|_| (run.highest_from().word(), run.peak)).into_iter().collect();
    let help = "The highest usage of this run that is known: kept by the kernel, or the highest of the samples.";
    out.family(Kind::Gauge, "memory_highest_bytes", help, &highest, |(from, n)| {
        (vec![("from", *from)], Number::Whole(*n))
    });
    let seen = run.unreclaimable.iter();
    let bounds: Vec<(&str, u64)> =
        seen.flat_map(|seen| [Some(("least", seen.least)), seen.most.map(|most| ("most", most))]).flatten().collect();
    let help = "The highest unreclaimable usage of this run: it was at least, and at most.";
    out.family(Kind::Gauge, "memory_unreclaimable_peak_bytes", help, &bounds, |(bound, n)| {
        (vec![("bound", *bound)], Number::Whole(*n))
    });
    out.gauge("memory_swap_bytes", "What is swapped out.", run.swap);
    let help = "The most that was swapped out at once in this run.";
    out.gauge("memory_swap_peak_bytes", help, run.swap_peak.map(|(bytes, _)| bytes));
    out.gauge(
        "memory_swap_limit_bytes",
        "How much may be swapped out; +Inf for any amount.",
        Some(number(run.swap_limit)),
    );
}

/// One family with a label: what is stacked in a picture is summed in a query.
fn parts(out: &mut Exposition, run: &Run) {
    let Some(stat) = run.stat else { return };
    let parts =
        [("anon", Some(stat.anon)), ("file", Some(stat.file)), ("shmem", Some(stat.shmem)), ("kernel", stat.kernel)];
    let told: Vec<(&'static str, u64)> = parts.into_iter().filter_map(|(part, n)| Some((part, n?))).collect();
    let help = "What the usage consists of, from memory.stat: anonymous memory, file cache, shared memory, and what the kernel holds.";
    out.family(Kind::Gauge, "memory_stat_bytes", help, &told, |(part, n)| (vec![("part", *part)], Number::Whole(*n)));
}

/// After the end there are none, whatever was seen last.
fn processes(out: &mut Exposition, run: &Run) {
    let alive = || run.processes.values().filter(|row| row.died.is_none() && run.ended.is_none());
    let threads: u64 = alive().map(|row| u64::from(row.process.usage.threads)).sum();
    out.gauge("processes", "Processes in the sandbox.", Some(alive().count() as u64));
    out.gauge("threads", "Threads of these processes.", Some(threads));
    let frozen = run.settings.frozen.filter(|_| run.ended.is_none());
    out.gauge("frozen", "Whether the processes are frozen: 1 or 0.", frozen);
    let help = "Whether the workload is paused because its memory was about to run out (--oom pause): 1 or 0.";
    out.gauge("paused", help, Some(run.is_paused()));
}

fn about(out: &mut Exposition, run: &Run) {
    let started = &run.started;
    let number = started.run.to_string();
    let labels = [
        ("run", number.as_str()),
        ("command", &command(&started.argv)),
        ("controller", controller(started.controller)),
        ("isolation", isolation(started.isolation)),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    out.info("run", "The newest run: its number, its command, the interface of the memory controller, and what the sandbox is made of.", &labels);
    let since = Some(started.wall_ms as f64 / 1000.0);
    out.gauge("run_start_time_seconds", "When the newest run was started, in seconds since 1970.", since);
    out.gauge("run_ended", "Whether the newest run is over: 1 or 0.", Some(run.ended.is_some()));
    if let Some(outcome) = run.outcome() {
        out.info("run_outcome", "How the main process of the newest run ended.", &[("outcome", word(outcome))]);
    }
    if let Some(by) = run.ended_by() {
        out.info("run_ended_by", "Why the newest run ended.", &[("ended_by", by.word())]);
    }
    let code = run.exit_code().map(u64::from);
    out.gauge("run_exit_code", "What sandtop run exits with for the newest run, once it is over.", code);
}

/// Of all runs since sandtop was started: they go on when the command is run again.
fn totals(out: &mut Exposition, book: &Book) {
    let totals = book.totals();
    let seconds = |us: Option<u64>| us.map(|us| us as f64 / 1e6);
    let runs = book.session.run().map(|run| u64::from(run.started.run));
    out.counter("runs", "Runs that were started.", runs);
    out.counter(
        "limit_changes",
        "How often the limit was changed while a run lived, by whomever.",
        Some(book.limit_changes),
    );
    out.counter(
        "limit_hits",
        "How often a charge met the limit (v1 memory.failcnt, v2 max in memory.events).",
        totals.limit_hits,
    );
    out.counter("oom_kills", "Processes that the OOM killer killed.", totals.oom_kills);
    let (waiting, stalled) = (seconds(totals.waiting_us), seconds(totals.stalled_us));
    out.counter(
        "pressure_waiting_seconds",
        "Time in which some process waited for memory (some in memory.pressure).",
        waiting,
    );
    out.counter(
        "pressure_stalled_seconds",
        "Time in which all processes waited for memory (full in memory.pressure).",
        stalled,
    );
    out.counter(
        "pids_refused",
        "Forks and threads that a limit of processes refused (max in pids.events).",
        totals.pids_refused,
    );
    out.counter(
        "cpu_throttled_periods",
        "Periods in which the quota of CPU time was used up (nr_throttled in cpu.stat).",
        totals.cpu_throttled,
    );
    out.counter(
        "cpu_throttled_seconds",
        "Time that tasks waited for their quota of CPU time (v2 throttled_usec, v1 throttled_time).",
        seconds(totals.cpu_throttled_us),
    );
    out.counter(
        "soft_limit_hits",
        "Charges above the soft limit that was set (high in memory.events).",
        totals.soft_limit_hits,
    );
    out.counter(
        "pauses_averted",
        "Reclaims that made room where a pause was due (--oom pause).",
        totals.pauses_averted,
    );
    out.counter(
        "pauses_averted_seconds",
        "Time that the processes stood still for those reclaims.",
        seconds(totals.pauses_averted_us),
    );
}

fn own(out: &mut Exposition, facts: &Facts<'_>) {
    let cpu = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
        let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        us.max(0) as f64 / 1e6
    });
    let statm = procfs::process::Process::myself().and_then(|me| me.statm()).ok();
    out.counter("cpu_seconds", "CPU time of sandtop itself.", cpu);
    let resident = statm.map(|statm| statm.resident * page_size());
    out.gauge("resident_memory_bytes", "Resident memory of sandtop itself.", resident);
    out.counter(
        "events_lost",
        "Events that the metrics lack because they came faster than they were taken.",
        Some(facts.lost),
    );
    out.counter("scrapes", "How often these metrics were asked for, this time included.", Some(facts.scrapes));
}

fn number(limit: Limit) -> Number {
    limit.bytes().map_or(Number::Real(f64::INFINITY), Number::Whole)
}

/// A command as one line, cut to a readable length.
fn command(argv: &[String]) -> String {
    let whole = argv.join(" ");
    match whole.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

fn controller(controller: Controller) -> &'static str {
    match controller {
        Controller::V1 => "v1",
        Controller::V2 => "v2",
    }
}

fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Root => "root",
        Isolation::User { .. } => "user",
        Isolation::LimitOnly => "limit_only",
    }
}

/// The word that the JSON has for it.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Exited => "exited",
        Outcome::Signalled => "signalled",
        Outcome::OomKilled => "oom_killed",
        Outcome::OomSurvived => "oom_survived",
        Outcome::TimedOut => "timed_out",
        Outcome::StoppedByUser => "stopped_by_user",
        Outcome::FailedToStart => "failed_to_start",
        Outcome::SandboxLost => "sandbox_lost",
    }
}
