//! The story of a run's kills, from its document: for a page that is read when the run is long over.

use super::{Language, count, moment_at, processes};
use crate::result::{EventDocument, RunDocument, StoryDocument, WhoDocument};

/// How many victims are named.
const NAMED: usize = 10;

impl Language {
    /// Whom the OOM killer took, and when, in sentences; none where it took nobody.
    pub fn story(self, run: &RunDocument) -> Vec<String> {
        let kills = run.processes_killed().unwrap_or(0).max(run.victims.len() as u64);
        if kills == 0 {
            return Vec::new();
        }
        let mut told = vec![self.victims(run, kills)];
        let hit = run.events.iter().filter(|event| event.kind == "first_limit_hit");
        let killed = run.events.iter().filter(|event| event.kind == "oom_kill");
        told.extend(hit.chain(killed).map(|event| self.told_event(event)));
        told
    }

    /// The heading of kills that are one story: the same program, started by the same process.
    pub fn series(self, stories: &[StoryDocument]) -> String {
        let (Some(first), Some(last)) = (stories.first(), stories.last()) else { return String::new() };
        if stories.len() == 1 {
            return last.text.first().cloned().unwrap_or_default();
        }
        let victim = last.victim.as_ref();
        let name = victim.map_or("a process", |victim| &victim.name);
        let parent = stories.iter().rev().find_map(|story| story.victim.as_ref()?.parents.first());
        let parent = parent
            .map(|parent| format!(", started by {}", self.process(&parent.name, parent.pid, parent.host_pid)))
            .unwrap_or_default();
        let [from, to] = [first, last].map(|story| moment_at(story.at_seconds));
        format!("{} OOM kills of {name}{parent}, from {from} to {to}; the last of them", stories.len())
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
                let held = self.amount_held(who.held_bytes, who.shmem_bytes);
                format!("{} held {held}", self.process(&who.name, who.pid, who.host_pid))
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
