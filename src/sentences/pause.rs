//! Pauses at the brink, in words: how it stands, what is safe, and how to go on.

use std::time::Duration;

use super::{Language, Weight, count, duration, times};
use crate::{
    event::{Like, Pause, Reclaimed, Resume},
    units::size,
};

/// What a CPU charges at once, in bytes: 64 pages, half of that in older kernels
/// (`MEMCG_CHARGE_BATCH` in
/// include/linux/memcontrol.h). A group with less room is full.
const CHARGED_AT_ONCE: u64 = 64 * 4096;

impl Language {
    /// That a workload was paused, as a line of the log.
    pub fn paused(self, pause: &Pause, worse: bool) -> (String, Weight) {
        let held = format!("{} of {} are unreclaimable", size(pause.unreclaimable), pause.limit);
        // A charge that finds the group full may fail: for the kernel's own memory (sockets, pipes)
        // nobody sleeps.
        let full = pause.limit.bytes().is_some_and(|limit| pause.usage.saturating_add(CHARGED_AT_ONCE) >= limit);
        let text = match (pause.at_limit, worse) {
            (false, _) if full => format!("paused at the limit: {held}; all processes are stopped"),
            (false, _) => format!("paused at the brink: {held}; all processes are stopped, and nothing has failed"),
            (true, false) if !pause.frozen => {
                format!("paused at the limit: {held}; who asks for memory sleeps, and calls of the others fail")
            }
            (true, false) => format!("paused at the limit: {held}; all processes are stopped"),
            (true, true) => "the limit itself was met before all had stopped".into(),
        };
        (text, Weight::Warning)
    }

    /// That reclaims made room where a pause was due, as a line of the log.
    pub fn reclaimed(self, sum: &Reclaimed) -> (String, Weight) {
        let often = if sum.times > 1 { format!(" {} times", sum.times) } else { String::new() };
        let ms = sum.stood_us.div_ceil(1000);
        let text = format!(
            "not paused: a reclaim made room{often} (usage {} → {} of {}; the processes stood still for {ms} ms)",
            size(sum.before),
            size(sum.after),
            sum.limit
        );
        (text, Weight::Plain)
    }

    /// How often reclaims made room where a pause was due, and how long the processes stood still for them, as a
    /// part of a sentence; `None` where there were none.
    pub fn averted(self, (times, stood): (u64, Duration)) -> Option<String> {
        let stood = duration(stood);
        (times > 0).then(|| format!("{} made room instead of a pause, stood still {stood}", count(times, "reclaim")))
    }

    /// How often a run was paused, and how long it stood in all, as a part of a sentence; `None`
    /// where it was not.
    pub fn stood_paused(self, (pauses, stood): (u64, Duration)) -> Option<String> {
        let stood = duration(stood);
        (pauses > 0).then(|| format!("paused {}, for {stood}", times(pauses)))
    }

    /// That it goes on, as a line of the log.
    pub fn resumed(self, by: Resume) -> (String, Weight) {
        match by {
            Resume::Room => ("goes on: there is room again".into(), Weight::Plain),
            Resume::Policy => ("goes on, and is not paused any more".into(), Weight::Act),
            Resume::Ending => ("goes on, to come to its end".into(), Weight::Act),
            Resume::Killed => ("goes on, so that the killed process can die".into(), Weight::Plain),
        }
    }

    /// The title of the panel that tells of a pause.
    pub fn paused_title(self, at_limit: bool) -> &'static str {
        if at_limit { "PAUSED AT LIMIT: the limit itself was met" } else { "PAUSED AT LIMIT" }
    }

    /// What is safe while a workload is paused, and what is not.
    pub fn pause_means(self, pause: &Pause) -> &'static str {
        match (pause.at_limit, pause.frozen) {
            (false, _) => {
                "All its processes are stopped. No call has failed and none was killed: it can be looked at for as long as you like, and goes on as if nothing had happened."
            }
            (true, true) => {
                "A process met the limit itself and sleeps in the kernel until there is room; the others were stopped right after. Calls that they made in between (fork, mmap, open) may have failed."
            }
            (true, false) => {
                "Processes that touch new memory sleep in the kernel until there is room. The others run on, and their calls fail: fork and mmap with ENOMEM, pipe with ENFILE, open too; a program that is just being started dies."
            }
        }
    }

    /// How to go on, for who has no screen: with sandtop's pid, and the file of the limit.
    pub fn how_to_go_on(self, pid: u32, limit_file: &str) -> String {
        format!(
            "to give it room: echo SIZE > {limit_file}; to let it go on and be killed at the limit: kill -USR1 {pid}; to end it: kill {pid}"
        )
    }

    /// That systemd-oomd may kill a paused workload.
    pub fn oomd(self) -> &'static str {
        "systemd-oomd runs here: a paused workload waits for no memory and so gives it no reason, but when the machine's swap runs out it may kill it all the same"
    }

    /// Whose ways with memory a run has.
    pub fn like(self, like: Like) -> &'static str {
        match like {
            Like::Docker => "like docker",
            Like::Kubernetes => "like kubernetes",
            Like::Systemd => "like systemd",
        }
    }
}
