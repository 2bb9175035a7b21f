//! Every sentence that a user reads about a run, made from data by pure functions of the language: a second language is a second
//! table, not a second program. Kernel file names are never translated.

use std::{net::SocketAddr, time::Duration};

use crate::{
    event::{Author, Controller, Note, OomPolicy, Step},
    result::{OtherLimitsDocument, SwappingDocument},
    session::{Entry, HighestFrom, Run, Session, What, outcome::Outcome},
    units::{CHARGE_BATCH, Limit, size},
};

mod budget;
mod change;
mod ended;
mod evidence;
mod forecast;
mod kill;
mod knobs;
mod next;
mod other_limits;
mod pause;
mod recording;
mod signals;
mod stall;
mod story;
mod verdict;

pub use kill::Told;

/// A language that sandtop speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
}

/// How much something weighs; the sign and colour that go with a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// For the record.
    Plain,
    /// The user's own act.
    Act,
    /// Worth a look.
    Warning,
    /// Something was killed, refused, or failed.
    Danger,
}

/// A time of a run for people: `0.113 s`, `12.4 s`, `3:07`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs_f64();
    match s {
        s if s < 1.0 => format!("{s:.3} s"),
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{}:{:02}", s as u64 / 60, s as u64 % 60),
        s => format!("{}:{:02}:{:02}", s as u64 / 3600, s as u64 / 60 % 60, s as u64 % 60),
    }
}

/// A moment on the log: minutes, seconds and as many decimals as the eye can follow, and hours where there are any.
pub fn moment(d: Duration) -> String {
    let ms = d.as_millis(); // a moment that has not come is not told
    match ms / 3_600_000 {
        0 => format!("{}:{:02}.{:03}", ms / 60_000, ms / 1000 % 60, ms % 1000),
        hours => format!("{hours}:{:02}:{:02}.{:03}", ms / 60_000 % 60, ms / 1000 % 60, ms % 1000),
    }
}

/// The same of a moment in seconds. What was before the main process was let go is at less than nothing.
pub fn moment_at(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    format!("{sign}{}", moment(Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX)))
}

/// A time of a run to the second: `0:12`, `1:02:03`.
pub fn clock(d: Duration) -> String {
    let s = d.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// `1 limit hit`, `2 limit hits`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// How often: `once`, `3 times`.
pub fn times(n: u64) -> String {
    if n == 1 { "once".into() } else { format!("{n} times") }
}

fn processes(n: u64, which: &str) -> String {
    if n == 1 { format!("1 {which}process") } else { format!("{n} {which}processes") }
}

/// The kernel's name of a signal, or its number.
pub fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_string())
}

/// What init writes for `--oom-score-adj`.
const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";

impl Language {
    /// The limit as the header, the end and the summary say it.
    pub fn limit(self, limit: Limit, default: bool) -> String {
        if default { format!("{limit} (sandtop's default; -m max for none)") } else { limit.to_string() }
    }

    /// The kernel's file behind a number, on this machine.
    pub fn file(self, controller: Controller, word: Word) -> &'static str {
        match (controller, word) {
            (Controller::V1, Word::Peak) => "memory.max_usage_in_bytes",
            (Controller::V1, Word::LimitHits) => "memory.failcnt",
            (Controller::V1, Word::OomKills) => "memory.oom_control",
            (_, Word::Waiting) => "memory.pressure",
            (_, Word::Pids) => "pids.events max",
            (_, Word::Cpu) => "cpu.stat nr_throttled",
            (_, Word::SoftLimitHits) => "memory.events high",
            (Controller::V2, Word::Peak) => "memory.peak",
            (Controller::V2, Word::LimitHits) => "memory.events max",
            (Controller::V2, Word::OomKills) => "memory.events oom_kill",
            (Controller::V1, Word::Usage) => "memory.usage_in_bytes",
            (Controller::V1, Word::Limit) => "memory.limit_in_bytes",
            (Controller::V1, Word::Cache) => "memory.stat total_cache − total_shmem",
            (Controller::V1, Word::Swap) => "memory.stat total_swap",
            (Controller::V2, Word::Usage) => "memory.current",
            (Controller::V2, Word::Limit) => "memory.max",
            (Controller::V2, Word::Cache) => "memory.stat file − shmem",
            (Controller::V2, Word::Swap) => "memory.swap.current",
        }
    }

    /// A line of the log as one sentence, and its weight.
    pub fn entry(self, entry: &Entry, session: &Session) -> (String, Weight) {
        let run = session.runs.iter().find(|run| run.started.run == entry.run);
        match &entry.what {
            What::Started { limit, default, held } => {
                let command = run.map_or(String::new(), |run| run.started.argv.join(" "));
                let held = if *held { ", held: Enter starts it" } else { "" };
                let schedule = run.map(|run| &run.started.schedule).filter(|schedule| !schedule.is_empty());
                let schedule = schedule.map_or(String::new(), |schedule| format!(", scheduled {schedule}"));
                let limit = self.limit(*limit, *default);
                (format!("run {}: {command} under {limit}{schedule}{held}", entry.run), Weight::Plain)
            }
            What::FirstHit { limit } => {
                (format!("usage met the limit of {limit}: the kernel reclaims what it can"), Weight::Warning)
            }
            What::PidsLimitMet { limit } => (self.pids_limit_met(*limit), Weight::Warning),
            What::SoftLimitMet { limit } => (self.soft_limit_met(limit), Weight::Warning),
            What::OomKill { count, victim, limit, scope } => {
                let story = run.and_then(|run| run.stories.told().iter().rfind(|story| story.at <= entry.at));
                let seen = story.and_then(|story| story.who.as_ref());
                let who = victim.as_ref().map(|victim| self.victim(victim));
                let who = who.or_else(|| seen.map(|(who, source)| self.seen(who, *source)));
                let log = run.is_none_or(|run| run.started.kernel_log);
                (self.kill(*count, who, *limit, scope.as_ref(), log), Weight::Danger)
            }
            What::TighterAbove { above, limit } => {
                let pauses = run.is_some_and(|run| run.started.oom == OomPolicy::Pause);
                let pause = if pauses { self.pause_below() } else { "" };
                (format!("{}{pause}", self.tighter_above(above, *limit)), Weight::Warning)
            }
            What::LimitMoved { from, to, by } => (format!("limit {from} → {to}, {}", self.by(*by)), Weight::Act),
            What::LimitNext { to } => (format!("limit {to} for the next run: r starts it"), Weight::Act),
            What::LimitBusy { target, usage, kept, by } => {
                let cpus = run.map_or(1, |run| u64::from(run.started.cpus));
                (self.ordered(*by) + &self.busy(*target, *usage, *kept, cpus), Weight::Danger)
            }
            What::LimitFailed { reason, by } => {
                (format!("{}limit not changed: {reason}", self.ordered(*by)), Weight::Danger)
            }
            What::Changed { change, next } => {
                let next = if *next { ", for the next run" } else { "" };
                (format!("{}{next}, by you", self.change(*change, session)), Weight::Act)
            }
            What::ChangeFailed { change, reason } => {
                (format!("not done ({}): {reason}", self.change(*change, session)), Weight::Danger)
            }
            What::ChangedElsewhere { knob, now } => (self.changed_elsewhere(*knob, *now), Weight::Warning),
            What::SwapKept { now } => (self.swap_kept(*now), Weight::Warning),
            What::Stalled { limit, refaults } => self.stalled(*limit, *refaults),
            What::StallOver { lasted } => self.stall_over(*lasted),
            What::Paused { pause, worse } => self.paused(pause, *worse),
            What::Resumed { by } => self.resumed(*by),
            What::Reclaimed { sum } => self.reclaimed(sum),
            What::Note(note) => self.note(note),
            What::Ended => run.map_or((String::new(), Weight::Plain), |run| {
                let (text, weight) = self.ended(run);
                let default = run.limit_is_default && run.outcome() != Some(Outcome::FailedToStart);
                let limit = if default { format!("; limit {}", self.limit(run.limit, true)) } else { String::new() };
                (text + &limit, weight)
            }),
        }
    }

    /// Who did it, at the end of a sentence.
    pub fn by(self, author: Author) -> &'static str {
        match author {
            Author::User => "by you",
            Author::Schedule { .. } => "by the schedule",
        }
    }

    /// Who wanted what failed, where it was not the user, at the beginning of a sentence.
    fn ordered(self, author: Author) -> String {
        match author {
            Author::User => String::new(),
            Author::Schedule { .. } => "the schedule: ".into(),
        }
    }

    /// A refused limit: what was asked, what is in use, what can be done.
    fn busy(self, target: Limit, usage: u64, kept: Limit, cpus: u64) -> String {
        // A charge batch per CPU above usage is what the kernel takes without reclaiming.
        let fits = usage.saturating_add(CHARGE_BATCH.saturating_mul(cpus));
        let fits = fits.checked_next_multiple_of(1 << 20).unwrap_or(fits);
        format!(
            "the kernel refused {target} (EBUSY): {} stay in use after a reclaim; the limit stays {kept}. {} would fit; K ends the workload",
            size(usage),
            size(fits)
        )
    }

    fn note(self, note: &Note) -> (String, Weight) {
        match note {
            Note::LimitChangedElsewhere { now } => {
                (format!("the limit is {now} now: something else changed it"), Weight::Warning)
            }
            Note::MirrorChanged { now } => (
                format!(
                    "something wrote {now} as the limit of the group that the processes are in; the limit of the sandbox above it stands"
                ),
                Weight::Warning,
            ),
            Note::Thinned { dropped } => (
                format!("{} not shown: the terminal took nothing meanwhile", count(*dropped, "sample")),
                Weight::Warning,
            ),
            Note::Unrecorded { events } => {
                (format!("{} not recorded: the disk was slower than the run", count(*events, "event")), Weight::Warning)
            }
            Note::RecordingLost { reason } => (format!("not recorded any more: {reason}"), Weight::Danger),
            Note::OutputGap { bytes } => (
                format!("{} of output are not in the recording: it holds the first of it and the newest", size(*bytes)),
                Weight::Warning,
            ),
            Note::CountersReset => ("limit hits, OOM kills and the peak count from here, by you".into(), Weight::Act),
            Note::SignalSent { signal, host_pid, pid, name } => {
                (self.signal_sent(*signal, &self.process(name, *pid, *host_pid)), Weight::Act)
            }
            Note::AllSignalled { signal, processes } => (self.all_signalled(*signal, *processes), Weight::Act),
            Note::KilledBy { killer } => (self.killed_by(*killer).into(), Weight::Danger),
            Note::QuotaLifted => ("the CPU quota is lifted: who is killed needs CPU time to end".into(), Weight::Plain),
            Note::Leftover { reason } => (reason.clone(), Weight::Danger),
            Note::Hint { text } => (text.clone(), Weight::Warning),
        }
    }

    /// Where metrics are served, and to whom.
    pub fn metrics(self, address: &SocketAddr) -> String {
        let open = if address.ip().is_loopback() { "" } else { ", to whoever reaches this machine" };
        format!("metrics are at http://{address}/metrics{open}")
    }

    /// That they are not.
    pub fn unserved(self, why: &str) -> String {
        format!("metrics are not served any more: {why}")
    }

    fn not_started(self, step: Step, what: &str, errno: i32) -> String {
        let why = crate::error::errno_text(errno);
        let what = crate::error::printable(what);
        match (step, errno) {
            (Step::Exec, nix::libc::ENOENT | nix::libc::ENOTDIR) => format!("{what}: command not found"),
            (Step::Interpreter, _) => {
                format!("{what}: the program that its first line (or its format) asks for is missing")
            }
            (Step::Exec, _) => format!("{what}: cannot be executed: {why}"),
            (Step::Workdir, _) if ["/dev/shm", "/dev/mqueue"].iter().any(|own| what.starts_with(own)) => {
                format!(
                    "cannot start in {what}: {why} (the sandbox has its own there; --unshare uts shares the host's)"
                )
            }
            (Step::Workdir, _) => format!("cannot start in {what}: {why}"),
            (Step::User, _) => format!("cannot become user {what}: {why}"),
            (Step::Mount, _) => format!("cannot set up the sandbox's {what}: {why}"),
            (Step::Join, nix::libc::EINVAL) => {
                format!("cannot join {what}: {why} (the cpu controller takes no process under real-time scheduling)")
            }
            (Step::Join, _) => format!("cannot join {what}: {why}"),
            (Step::Privileges, nix::libc::EPERM | nix::libc::EACCES) if what == OOM_SCORE_ADJ => format!(
                "--oom-score-adj: {why}: less than sandtop's own takes CAP_SYS_RESOURCE, which it has not got here; give the same or more (cat {OOM_SCORE_ADJ})"
            ),
            (step, _) => format!("cannot set up the sandbox ({step:?}, {what}): {why}"),
        }
    }

    /// The highest usage, and that it may have been higher where the kernel did not keep it: `64.3M`, `≥ 64.3M (sampled)`.
    pub fn highest(self, bytes: u64, from: HighestFrom) -> String {
        match from {
            HighestFrom::Kernel => size(bytes),
            HighestFrom::Samples => format!("≥ {} (sampled)", size(bytes)),
        }
    }

    /// The most that was swapped out, beside the peak of memory; `None` where nothing was.
    pub fn swapped(self, swapping: &SwappingDocument) -> Option<String> {
        let (most, from) = swapping.peak_bytes.filter(|bytes| *bytes > 0).zip(swapping.peak_from)?;
        let most = self.highest(most, from);
        Some(match swapping.peak_with_memory_bytes {
            Some(both) => format!("{most} in swap, {} memory and swap together", size(both)),
            None => format!("{most} in swap"),
        })
    }

    /// Instead of a peak, where there is none: a run that was over, or whose recording ends, before the first sample.
    pub fn unsampled(self) -> &'static str {
        "nothing was sampled"
    }

    /// The one line that `run` ends with.
    pub fn summary(self, run: &Run) -> String {
        let (how, _) = self.ended(run);
        if matches!(run.outcome(), Some(Outcome::FailedToStart)) {
            return how;
        }
        let code = run.exit_code().unwrap_or(0);
        let hits = run.limit_hits().map_or(String::new(), |n| format!(", {}", count(n, "limit hit")));
        let limit = self.limit(run.limit, run.limit_is_default);
        let peak = match self.budget(run) {
            Some(judged) => format!("{judged}; limit {limit}"),
            None if run.last.is_none() => format!("{}; limit {limit}", self.unsampled()),
            None => {
                let part = run.unreclaimable.map_or(String::new(), |seen| format!(", {}", self.unreclaimable(&seen)));
                format!("peak {} of {limit}{part}", self.highest(run.peak, run.highest_from()))
            }
        };
        let swapped = self.swapped(&SwappingDocument::of(run)).map_or(String::new(), |said| format!(", {said}"));
        let stalled = self.stalled_for(run.stalls.total());
        let other = self.other_limits(&OtherLimitsDocument::of(run));
        let paused = self.stood_paused(run.pauses.total(run.at));
        let averted = self.averted(run.pauses.averted());
        let other: String = other.into_iter().chain(paused).chain(averted).map(|met| format!("; {met}")).collect();
        format!("{how}; {peak}{swapped}{hits}{stalled}{other}; exit code {code}")
    }
}

/// A number that stands beside its kernel file where there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The highest usage.
    Peak,
    /// How often a charge met the limit.
    LimitHits,
    /// How many the OOM killer killed.
    OomKills,
    /// Time lost to waiting for memory.
    Waiting,
    /// How often a limit of processes refused one.
    Pids,
    /// How often the quota of CPU time was used up.
    Cpu,
    /// How often a charge met the soft limit.
    SoftLimitHits,
    /// What is charged.
    Usage,
    /// The limit.
    Limit,
    /// File cache.
    Cache,
    /// What is swapped out.
    Swap,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let text = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [text(113), text(2500), text(12_400), text(187_000), text(3_700_000)],
            ["0.113 s", "2.50 s", "12.4 s", "3:07", "1:01:40"]
        );
        let moments = [61_042_000, 22_600, 59_999_600, 3_600_000_000].map(|us| moment(Duration::from_micros(us)));
        assert_eq!(moments, ["1:01.042", "0:00.022", "0:59.999", "1:00:00.000"]);
        assert_eq!([moment_at(0.0226), moment_at(-0.0021)], ["0:00.022", "-0:00.002"]);
    }

    #[test]
    fn a_refusal_names_what_was_asked_what_is_used_and_what_can_be_done() {
        let m = 1 << 20;
        let text = Language::English.busy(Limit::Bytes(50 * m), 61 * m + 5, Limit::Bytes(100 * m), 2);
        for word in ["50M", "61.0M", "100M", "62M", "EBUSY"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        // A recording may say anything.
        let text = Language::English.busy(Limit::Bytes(1), u64::MAX - 5, Limit::Max, u64::MAX);
        assert!(text.contains(&format!("{} would fit", size(u64::MAX))), "{text}");
    }
}
