//! What the verdict of a run rests on: facts, each with the place that it is from.

use super::{Language, Word, count, signal_name, times};
use crate::{
    event::{Status, Stopped},
    session::{Run, Source},
};

impl Language {
    /// The facts behind a run's verdict, with their sources; none while it lives.
    pub fn evidence(self, run: &Run) -> Vec<(String, String)> {
        let Some((_, ended)) = &run.ended else { return Vec::new() };
        let file = |word| self.file(run.started.controller, word).to_string();
        let mut facts = vec![(
            match &ended.status {
                Status::Exited(code) => format!("the main process exited with {code}"),
                Status::Signalled(n) => format!("the main process was ended by {}", signal_name(*n)),
                Status::FailedToStart(failure) => {
                    format!("it did not start: {}", crate::error::errno_text(failure.errno))
                }
                Status::SandboxLost => "init was killed, and all of the sandbox with it".into(),
            },
            "its wait status".to_string(),
        )];
        match ended.stopped {
            Some(Stopped::Timeout) => {
                facts.push(("the run timed out, and sandtop ended it".into(), "--timeout".into()))
            }
            Some(Stopped::User) => facts.push(("the user ended it".into(), "a key".into())),
            Some(Stopped::Signal(n)) => facts.push((format!("sandtop was sent {}", signal_name(n)), "a signal".into())),
            Some(Stopped::OomGroup) => {
                facts.push(("after an OOM kill sandtop ended all of the workload".into(), "--oom group".into()));
            }
            None => {}
        }
        if let Some(signal) = ended.sent {
            facts.push((format!("the last signal that sandtop sent it: {}", signal_name(signal)), "sandtop".into()));
        }
        if let Some(hits) = run.limit_hits() {
            let met = match hits {
                0 => "the limit was never met".into(),
                hits => format!("the limit was met {}", times(hits)),
            };
            facts.push((met, file(Word::LimitHits)));
        }
        if let Some(kills) = run.oom_kills() {
            let twice = match run.stories.repeated() {
                0 => String::new(),
                n => format!(", {n} of them of a process that was counted before"),
            };
            facts.push((count(kills, "OOM kill") + &twice, file(Word::OomKills)));
            facts.extend(self.main_among(run, kills));
        }
        for (scope, source) in run.stories.told().iter().filter_map(|story| story.scope.as_ref()) {
            let whose = self.whose(scope);
            let fact =
                (format!("the last limit that was met: {whose}"), self.source(*source, run.started.controller).into());
            match facts.iter().position(|(said, _)| said.starts_with("the last limit")) {
                Some(place) => facts[place] = fact,
                None => facts.push(fact),
            }
        }
        if let Some(killer) = run.killer {
            facts.push((self.killed_by(killer).into(), "the mark that it leaves on the group (user.oomd_kill)".into()));
        }
        facts
    }

    /// Whether the main process was among those that the OOM killer took.
    fn main_among(self, run: &Run, kills: u64) -> Option<(String, String)> {
        let (.., host_pid) = run.running.filter(|_| kills > 0)?;
        let main = run.stories.told().iter().find(|story| host_pid.is_some_and(|pid| story.is_of(pid)));
        let source = |source| self.source(source, run.started.controller).to_string();
        Some(match main.and_then(|story| story.who.as_ref()) {
            Some((_, from)) => ("the main process was the OOM killer's victim".into(), source(*from)),
            None if run.started.kernel_log => {
                ("the main process is none of those that were named as killed".into(), source(Source::KernelLog))
            }
            None => ("the main process did not end as an OOM kill ends one".into(), source(Source::WaitStatus)),
        })
    }
}
