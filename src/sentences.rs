//! Every sentence that a user reads about a run, made from data by pure functions of the language: a second language is a second
//! table, not a second program. Kernel file names are never translated.

use std::time::Duration;

use crate::{
    event::{Controller, Note, Status, Step, Stopped},
    session::{
        Entry, Run, Session, What,
        outcome::{Outcome, exit_code},
    },
    units::{Limit, size},
};

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

/// A moment on the log: minutes, seconds and as many decimals as the eye can follow.
pub fn moment(d: Duration) -> String {
    let ms = d.as_millis();
    format!("{}:{:02}.{:03}", ms / 60_000, ms / 1000 % 60, ms % 1000)
}

/// `1 limit hit`, `2 limit hits`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn processes(n: u64, which: &str) -> String {
    if n == 1 { format!("1 {which}process") } else { format!("{n} {which}processes") }
}

/// The kernel's name of a signal, or its number.
pub fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_string())
}

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
        }
    }

    /// A line of the log as one sentence, and its weight.
    pub fn entry(self, entry: &Entry, session: &Session) -> (String, Weight) {
        let run = session.runs.iter().find(|run| run.started.run == entry.run);
        match &entry.what {
            What::Started { limit, default, held } => {
                let command = run.map_or(String::new(), |run| run.started.argv.join(" "));
                let held = if *held { ", held: Enter starts it" } else { "" };
                (format!("run {}: {command} under {}{held}", entry.run, self.limit(*limit, *default)), Weight::Plain)
            }
            What::FirstHit { limit } => {
                (format!("usage met the limit of {limit}: the kernel reclaims what it can"), Weight::Warning)
            }
            What::OomKill { count, victim, limit } => (self.kill(*count, victim.as_ref(), *limit), Weight::Danger),
            What::LimitMoved { from, to } => (format!("limit {from} → {to}, by you"), Weight::Act),
            What::LimitNext { to } => (format!("limit {to} for the next run: r starts it"), Weight::Act),
            What::LimitBusy { target, usage, kept } => {
                let cpus = run.map_or(1, |run| u64::from(run.started.cpus));
                (self.busy(*target, *usage, *kept, cpus), Weight::Danger)
            }
            What::LimitFailed { reason } => (format!("limit not changed: {reason}"), Weight::Danger),
            What::Note(note) => self.note(note),
            What::Ended => run.map_or((String::new(), Weight::Plain), |run| {
                let (text, weight) = self.ended(run);
                let default = run.limit_is_default && run.outcome() != Some(Outcome::FailedToStart);
                let limit = if default { format!("; limit {}", self.limit(run.limit, true)) } else { String::new() };
                (text + &limit, weight)
            }),
        }
    }

    fn kill(self, count: u64, victim: Option<&crate::event::Victim>, limit: Limit) -> String {
        let who = match victim {
            Some(v) => {
                let pid = v.pid.map_or_else(|| format!("host pid {}", v.host_pid), |pid| format!("pid {pid}"));
                format!("{} ({pid}) held {}", v.name, size(v.held))
            }
            None => "the kernel's log does not say whom".to_string(),
        };
        match count {
            0 | 1 => format!("OOM kill: {who}; the {limit} limit was hit"),
            n => format!("{n} OOM kills, the last: {who}; the {limit} limit was hit"),
        }
    }

    /// A refused limit: what was asked, what is in use, what can be done.
    fn busy(self, target: Limit, usage: u64, kept: Limit, cpus: u64) -> String {
        // A charge batch per CPU above usage is what the kernel takes without reclaiming.
        let fits = (usage + 256 * 1024 * cpus).next_multiple_of(1 << 20);
        format!(
            "the kernel refused {target} (EBUSY): {} are in use and cannot be given back; the limit stays {kept}. {} would fit; K ends the workload",
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
                format!("the workload wrote {now} as the limit of its own group; the real limit above it stands"),
                Weight::Warning,
            ),
            Note::Thinned { dropped } => (
                format!("{} not shown: the terminal took nothing meanwhile", count(*dropped, "sample")),
                Weight::Warning,
            ),
            Note::Leftover { reason } => (reason.clone(), Weight::Danger),
            Note::Hint { text } => (text.clone(), Weight::Warning),
        }
    }

    /// How a run ended and why, as one sentence.
    pub fn ended(self, run: &Run) -> (String, Weight) {
        let (Some((_, ended)), Some(outcome)) = (&run.ended, run.outcome()) else {
            return (String::new(), Weight::Plain);
        };
        let kills = run.oom_kills().unwrap_or(0);
        let name = run.started.argv.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
        let after = format!("after {}", duration(run.elapsed(run.at)));
        let how = match &ended.status {
            Status::Exited(code) => format!("{name} exited {code} {after}"),
            Status::Signalled(n) => format!("{name} was ended by {} {after}", signal_name(*n)),
            Status::FailedToStart(failure) => {
                return (self.not_started(failure.step, &failure.what, failure.errno), Weight::Danger);
            }
            Status::SandboxLost => {
                return ("the sandbox was lost: its init was killed, and everything in it".into(), Weight::Danger);
            }
        };
        let (mut text, weight) = match (outcome, ended.stopped) {
            (Outcome::OomKilled, _) => (format!("{name} was killed {after}: out of memory"), Weight::Danger),
            (Outcome::OomSurvived, _) => {
                let who = run.victims.last().map_or(String::new(), |v| format!(" ({})", v.name));
                let lost = format!("the OOM killer took {}{who}", processes(kills, "other "));
                (format!("{how}: {lost}, the main process lived"), Weight::Danger)
            }
            (Outcome::TimedOut, _) => (format!("{how}: its time was over"), Weight::Warning),
            (_, Some(Stopped::Signal(n))) => (format!("{how}: sandtop was sent {}", signal_name(n)), Weight::Act),
            (_, Some(Stopped::User)) => (format!("{how}, by you"), Weight::Act),
            (Outcome::Signalled, _) if kills > 0 => (
                format!(
                    "{how}, after {}",
                    if kills == 1 {
                        "an OOM kill of another process".into()
                    } else {
                        format!("{kills} OOM kills of others")
                    }
                ),
                Weight::Danger,
            ),
            (Outcome::Signalled, _) => (format!("{how}, not for lack of memory"), Weight::Warning),
            _ => (how, Weight::Plain),
        };
        if ended.left_behind > 0 {
            let was = if ended.left_behind == 1 { "was" } else { "were" };
            text += &format!("; {} {was} left behind, and killed", processes(u64::from(ended.left_behind), ""));
        }
        (text, weight)
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
            (Step::Workdir, _) => format!("cannot start in {what}: {why}"),
            (Step::User, _) => format!("cannot become user {what}: {why}"),
            (Step::Mount, _) => format!("cannot set up the sandbox's {what}: {why}"),
            (Step::Join, _) => format!("cannot join the memory group: {why}"),
            (step, _) => format!("cannot set up the sandbox ({step:?}, {what}): {why}"),
        }
    }

    /// The one line that `run` ends with.
    pub fn summary(self, run: &Run) -> String {
        let (how, _) = self.ended(run);
        if matches!(run.outcome(), Some(Outcome::FailedToStart)) {
            return how;
        }
        let code = run.ended.as_ref().map_or(0, |(_, ended)| exit_code(ended));
        let hits = run.limit_hits().map_or(String::new(), |n| format!(", {}", count(n, "limit hit")));
        let limit = self.limit(run.limit, run.limit_is_default);
        format!("{how}; peak {} of {limit}{hits}; exit code {code}", size(run.peak))
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
        assert_eq!(moment(Duration::from_millis(61_042)), "1:01.042");
    }

    #[test]
    fn a_refusal_names_what_was_asked_what_is_used_and_what_can_be_done() {
        let m = 1 << 20;
        let text = Language::English.busy(Limit::Bytes(50 * m), 61 * m + 5, Limit::Bytes(100 * m), 2);
        for word in ["50M", "61.0M", "100M", "62M", "EBUSY"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
