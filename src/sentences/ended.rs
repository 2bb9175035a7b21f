//! How a run ended, in words: what became of its main process, why the run ended, and whom the OOM killer took. Each is said whatever the others are.

use super::{Language, Weight, count, duration, processes, signal_name};
use crate::{
    event::{Status, Stopped},
    session::{Run, outcome::Outcome},
};

/// How many of those that the OOM killer took are named in the line.
const NAMED: usize = 3;

impl Language {
    /// How a run ended and why, as one sentence.
    pub fn ended(self, run: &Run) -> (String, Weight) {
        let (Some((_, ended)), Some(outcome)) = (&run.ended, run.outcome()) else {
            return (String::new(), Weight::Plain);
        };
        if let Status::FailedToStart(failure) = &ended.status
            && outcome == Outcome::FailedToStart
        {
            return (self.not_started(failure.step, &failure.what, failure.errno), Weight::Danger);
        }
        let kills = run.processes_killed().unwrap_or(0);
        let name = run.started.argv.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
        let after = format!("after {}", duration(run.elapsed(run.at)));
        let why = ended.stopped.and_then(|stopped| self.why_ended(stopped, run));
        let how = match &ended.status {
            Status::Exited(code) => format!("{name} exited {code} {after}"),
            Status::Signalled(n) => format!("{name} was ended by {} {after}", signal_name(*n)),
            Status::SandboxLost if why.is_some() => format!("the sandbox was ended {after}"),
            _ => "the sandbox was lost: its init was killed, and everything in it".into(),
        };
        let whose = self.not_ours(run.stories.scope().as_ref());
        let (mut text, weight) = match outcome {
            Outcome::OomKilled => {
                let whole = if run.was_taken_whole() { ", and all of the workload with it" } else { "" };
                let why = match (why, &ended.status) {
                    (Some((_, before)), _) => format!("; {before}"),
                    (None, Status::SandboxLost) => "; the sandbox was lost: its init was killed".into(),
                    (None, _) => String::new(),
                };
                let others = match kills {
                    2.. if whole.is_empty() => format!("; {}", self.oom_killer_took(run, "")),
                    _ => String::new(),
                };
                (format!("{name} was killed {after}{whole}: out of memory{whose}{why}{others}"), Weight::Danger)
            }
            Outcome::OomSurvived => {
                let lost = self.oom_killer_took(run, "other ");
                (format!("{how}: {lost}{whose}, the main process lived"), Weight::Danger)
            }
            _ => {
                let other = self.by_whom(run, outcome);
                let (why, weight) = match why {
                    Some((why, _)) => (why, if outcome == Outcome::TimedOut { Weight::Warning } else { Weight::Act }),
                    None => (other.clone(), if other.is_empty() { Weight::Plain } else { Weight::Warning }),
                };
                let lost = match kills {
                    0 => String::new(),
                    _ => format!("; {}{whose}", self.oom_killer_took(run, "")),
                };
                let danger = kills > 0 || run.killer.is_some() || outcome == Outcome::SandboxLost;
                (format!("{how}{why}{lost}"), if danger { Weight::Danger } else { weight })
            }
        };
        // Who was taken with the main process was not left behind by it.
        if ended.left_behind > 0 && !run.was_taken_whole() {
            let was = if ended.left_behind == 1 { "was" } else { "were" };
            text += &format!("; {} {was} left behind, and killed", processes(u64::from(ended.left_behind), ""));
        }
        (text, weight)
    }

    /// Why the run was ended, where somebody ended it: as the end of a sentence, and as one of its own about what was before.
    fn why_ended(self, stopped: Stopped, run: &Run) -> Option<(String, String)> {
        let paused = if run.pauses.now().is_some() { ", while it was paused at its limit" } else { "" };
        match stopped {
            Stopped::Timeout => Some((": timed out".into(), "the run had timed out".into())),
            Stopped::Signal(n) => {
                let signal = signal_name(n);
                Some((format!(": sandtop was sent {signal}"), format!("sandtop had been sent {signal}")))
            }
            Stopped::User => Some((format!(", by you{paused}"), "you had ended the run".into())),
            Stopped::OomGroup => None,
        }
    }

    /// Whose the signal was that ended the main process, as far as that is known; nothing where none did.
    fn by_whom(self, run: &Run, outcome: Outcome) -> String {
        let (Outcome::Signalled, Some(_)) = (outcome, run.oom_kills()) else { return String::new() };
        match (run.killer, run.limit_hits()) {
            (Some(_), _) => ", by systemd-oomd".into(),
            (None, Some(0)) => ", not by the OOM killer: the limit was never met".into(),
            (None, Some(n)) => format!(", not by the OOM killer, after {}", count(n, "limit hit")),
            (None, None) => ", not by the OOM killer".into(),
        }
    }

    /// How many the OOM killer took, and their names as far as they are known.
    fn oom_killer_took(self, run: &Run, other: &str) -> String {
        let kills = run.processes_killed().unwrap_or(0);
        let mut names: Vec<&str> = Vec::new();
        for (who, _) in run.stories.told().iter().filter_map(|story| story.who.as_ref()) {
            if !who.name.is_empty() && !names.contains(&who.name.as_str()) {
                names.push(&who.name);
            }
        }
        let more = if names.len() > NAMED { ", …" } else { "" };
        names.truncate(NAMED);
        let names = if names.is_empty() { String::new() } else { format!(" ({}{more})", names.join(", ")) };
        format!("the OOM killer took {}{names}", processes(kills, other))
    }
}
