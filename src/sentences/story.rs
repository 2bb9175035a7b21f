//! The story of a run's kills, from its document: for a page that is read when the run is long over.

use super::{Language, count, moment_at, processes};
use crate::{
    result::{EventDocument, RunDocument, WhoDocument},
    units::size,
};

/// How many victims are named.
const NAMED: usize = 10;

impl Language {
    /// Whom the OOM killer took, and when, in sentences; none where it took nobody.
    pub fn story(self, run: &RunDocument) -> Vec<String> {
        let kills = run.oom_kills.unwrap_or(0).max(run.victims.len() as u64);
        if kills == 0 {
            return Vec::new();
        }
        let mut told = vec![self.victims(run, kills)];
        let hit = run.events.iter().filter(|event| event.kind == "first_limit_hit");
        let killed = run.events.iter().filter(|event| event.kind == "oom_kill");
        told.extend(hit.chain(killed).map(|event| self.told_event(event)));
        told
    }

    /// An event with its moment, as a line.
    pub fn told_event(self, event: &EventDocument) -> String {
        format!("{}  {}", moment_at(event.at_seconds), event.text)
    }

    fn victims(self, run: &RunDocument, kills: u64) -> String {
        let took = format!("memory ran out: the OOM killer took {}", processes(kills, ""));
        let hits = run.limit_hits.map_or(String::new(), |hits| format!(", after {}", count(hits, "limit hit")));
        let mut named: Vec<String> = run.victims.iter().take(NAMED).map(|victim| self.victim(victim)).collect();
        if named.is_empty() {
            // The log cannot be read: what the stories found out without it.
            let seen = run.stories.iter().filter_map(|story| story.victim.as_ref()).take(NAMED);
            let told = |who: &WhoDocument| {
                format!("{} held {}", self.process(&who.name, who.pid, who.host_pid), size(who.held_bytes))
            };
            named = seen.map(told).collect();
        }
        let who = match named.len() as u64 {
            0 => ". The kernel's log does not say whom".to_string(),
            n if n < kills => format!(": {}; and {} more", named.join(", "), kills - n),
            _ => format!(": {}", named.join(", ")),
        };
        format!("{took}{hits}{who}.")
    }
}
