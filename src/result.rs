//! What a session adds up to, as one document: the JSON of `run --json`, of a report and of the metrics server.
//!
//! Pure: the same events are the same document, live and from a recording. `assets/result.md` documents it. Fields are only ever added; `null` is
//! "does not apply, or this kernel does not tell". Refuses: to compute what the session does not know.

use std::time::Duration;

use serde::Serialize;

use crate::{
    event::{Author, Controller, Isolation, Like, MemoryStat, OomPolicy, Pressure, Status, Victim},
    sentences::{Language, Weight},
    session::{
        Entry, HighestFrom, Moved, Run, Session, What,
        outcome::{EndedBy, Outcome},
    },
    units::Limit,
};

mod asked;
mod budget;
mod failed;
mod json;
mod other_limits;
mod outlook;
mod pauses;
mod processes;
mod schedule;
mod settings;
mod stories;
mod swapping;
mod values;
pub use asked::AskedDocument;
pub use budget::BudgetDocument;
pub use failed::failed;
pub use json::json;
pub use other_limits::OtherLimitsDocument;
pub use outlook::ForecastDocument;
use outlook::stalled_seconds;
use pauses::{PauseDocument, pauses};
pub use processes::{NextVictimDocument, ProcessDocument};
use processes::{next_victim, processes};
pub use schedule::{MoveDocument, Planning, ScheduleDocument};
pub use settings::SettingsDocument;
use settings::settings;
pub use stories::{AboveDocument, EvidenceDocument, StoryDocument, WhoDocument, series};
pub use swapping::SwappingDocument;
pub use values::{Amount, LimitValue, Max};

/// The version of the document. It rises when a field changes its meaning, not when one is added.
pub const SCHEMA: u32 = 2;

/// The newest run, and what came before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// The version of this document.
    pub schema: u32,
    /// The newest run.
    #[serde(flatten)]
    pub run: RunDocument,
    /// What sandtop itself failed at.
    pub error: Option<ErrorDocument>,
    /// The runs before it, oldest first (`r` on the screen runs the command again).
    pub earlier_runs: Vec<RunDocument>,
    /// How many runs came before those: a session remembers eight.
    pub forgotten_runs: u64,
}

/// An error of sandtop's own: exit code 125.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorDocument {
    /// The sentence.
    pub message: String,
    /// What would help, where that is known.
    pub remedy: Option<String>,
}

/// One run. Times are seconds since the main process was let go.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunDocument {
    /// Its number, from 1; null where none could be started.
    pub run: Option<u32>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Wall clock when it was started, in milliseconds since 1970.
    pub started_ms: u64,
    /// Where it is.
    pub state: State,
    /// How its main process ended.
    pub outcome: Option<Outcome>,
    /// Why the run ended.
    pub ended_by: Option<EndedBy>,
    /// The same as one sentence.
    pub verdict: Option<String>,
    /// The main process's exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the main process, if one did.
    pub signal: Option<i32>,
    /// What `sandtop run` exits with.
    pub sandtop_exit_code: Option<u8>,
    /// How long the main process has run, or ran.
    pub wall_seconds: Option<f64>,
    /// Processes that were there when the main process ended, and were killed.
    pub left_behind: Option<u32>,

    /// The limit now, or at the end; null for none.
    pub limit_bytes: Option<u64>,
    /// Whether nobody chose it.
    pub limit_is_default: bool,
    /// The limit at the start.
    pub limit_at_start_bytes: Option<u64>,
    /// How much could be swapped out; 0 for nothing, null for any amount.
    pub swap_allowed_bytes: Option<u64>,
    /// How it was to move by itself.
    pub schedule: Option<ScheduleDocument>,
    /// The options that were given and that bear on something else than memory; of `-e` only the names.
    pub options: Vec<String>,
    /// Whether it is one of sandtop's own demos.
    pub demo: bool,
    /// The other settings that the run was started with.
    pub settings_asked: AskedDocument,
    /// How it stands to that budget.
    pub budget: Option<BudgetDocument>,
    /// `--budget`.
    pub budget_bytes: Option<u64>,
    /// Whether the highest usage was more than that.
    pub over_budget: Option<bool>,

    /// Usage at the newest sample.
    pub usage_bytes: Option<u64>,
    /// The highest usage, as the kernel kept it.
    pub peak_bytes: Option<u64>,
    /// The highest usage that is known: the kernel's, or where it keeps none the highest sample.
    pub highest_bytes: Option<u64>,
    /// Where that is from.
    pub highest_from: Option<HighestFrom>,
    /// The highest unreclaimable usage: it was at least this.
    pub unreclaimable_peak_bytes: Option<u64>,
    /// It was at most this.
    pub unreclaimable_peak_bound_bytes: Option<u64>,
    /// How far usage is below the limit.
    pub headroom_bytes: Option<u64>,
    /// The part of the usage that can be given back: file cache.
    pub reclaimable_bytes: Option<u64>,
    /// The part that cannot, without swap.
    pub unreclaimable_bytes: Option<u64>,
    /// When the limit will be full, at the rate of the last seconds; null where they are no line, and at the end.
    pub forecast: Option<ForecastDocument>,
    /// What the usage consists of.
    pub stat: Option<MemoryStat>,
    /// What is swapped out.
    pub swap_bytes: Option<u64>,
    /// The most of it, and the traffic.
    pub swapping: SwappingDocument,
    /// How often a charge met the limit.
    pub limit_hits: Option<u64>,
    /// The same per second, over about the last second.
    pub limit_hits_per_second: Option<f64>,
    /// How many processes the OOM killer killed.
    pub oom_kills: Option<u64>,
    /// How many of those count a process a second time.
    pub oom_kills_repeated: u64,
    /// Time lost to waiting for memory.
    pub pressure: Option<Pressure>,
    /// Limits beside the memory limit that were met.
    pub other_limits: OtherLimitsDocument,
    /// The share of time in which some process waited for memory, over about the last second: 0 to 1.
    pub stalled: Option<f64>,
    /// How long it lived and got nowhere, so far; null where the kernel does not tell what that takes.
    pub stalled_seconds: Option<f64>,

    /// The memory controller's interface.
    pub controller: Option<Controller>,
    /// What happens when memory runs out, now or at the end.
    pub oom_policy: Option<OomPolicy>,
    /// Whose ways with memory were asked for.
    pub like: Option<Like>,
    /// What the sandbox is made of.
    pub isolation: Option<Isolation>,
    /// Whether it was widened: the limit then holds only against accidents.
    pub widened: bool,
    /// Its group.
    pub group: Option<String>,
    /// The machine's CPUs.
    pub cpus: Option<u32>,
    /// The machine's memory.
    pub mem_total_bytes: Option<u64>,
    /// The group's other settings.
    pub settings: SettingsDocument,

    /// The tightest limit above the sandbox's own.
    pub above: Option<AboveDocument>,
    /// Whether the kernel's log could be read.
    pub kernel_log: Option<bool>,
    /// What the verdict rests on.
    pub evidence: Vec<EvidenceDocument>,
    /// The stories of the OOM kills, oldest first; the newest 256 of them.
    pub stories: Vec<StoryDocument>,
    /// Whom the kernel named as killed, oldest first; the newest 256 of them.
    pub victims: Vec<Victim>,
    /// The processes: the living, and the newest of the dead.
    pub processes: Vec<ProcessDocument>,
    /// Who is taken when memory runs out.
    pub next_victim: Option<NextVictimDocument>,
    /// When it was paused because memory was about to run out.
    pub pauses: Vec<PauseDocument>,
    /// How often a reclaim made room where a pause was due, so that there was none.
    pub pauses_averted: u64,
    /// How long the processes stood still for those reclaims, in all.
    pub pauses_averted_seconds: f64,
    /// How the limit was moved.
    pub edits: Vec<Edit>,
    /// What happened, as sentences.
    pub events: Vec<EventDocument>,
}

impl RunDocument {
    /// How many processes the OOM killer killed: of a group kill the kernel counts the chosen one twice.
    pub fn processes_killed(&self) -> Option<u64> {
        Some(self.oom_kills?.saturating_sub(self.oom_kills_repeated))
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its main process was not let go yet.
    #[default]
    Starting,
    /// It waits to be told to start.
    Held,
    /// It runs.
    Running,
    /// It is paused because memory is about to run out.
    Paused,
    /// It is over.
    Ended,
}

/// A move of the limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edit {
    /// When.
    pub at_seconds: f64,
    /// From.
    pub from: LimitValue,
    /// To.
    pub to: LimitValue,
    /// By whom: `user`, `schedule`.
    pub by: &'static str,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventDocument {
    /// When.
    pub at_seconds: f64,
    /// What.
    pub kind: &'static str,
    /// How much it weighs: `plain`, `act`, `warning`, `danger`.
    pub weight: &'static str,
    /// The sentence.
    pub text: String,
}

/// The document of a session; `None` before its first run.
pub fn document(session: &Session) -> Option<Document> {
    let (newest, earlier) = session.runs.split_last()?;
    let of = |run: &Run| run_document(run, session);
    let earlier_runs = earlier.iter().map(of).collect();
    let forgotten_runs = session.forgotten;
    Some(Document { schema: SCHEMA, run: of(newest), error: None, earlier_runs, forgotten_runs })
}

pub(crate) fn run_document(run: &Run, session: &Session) -> RunDocument {
    let words = Language::English;
    let status = run.ended.as_ref().map(|(_, ended)| &ended.status);
    let let_go = run.running.is_some() && !matches!(status, Some(Status::FailedToStart(_)));
    let usage = run.last.as_ref().map(|sample| sample.usage);
    let started = &run.started;
    RunDocument {
        run: Some(started.run),
        command: started.argv.clone(),
        started_ms: started.wall_ms,
        state: state(run),
        outcome: run.outcome(),
        ended_by: run.ended_by(),
        verdict: status.map(|_| words.summary(run)),
        exit_code: status.and_then(|s| if let Status::Exited(code) = s { Some(*code) } else { None }),
        signal: status.and_then(|s| if let Status::Signalled(n) = s { Some(*n) } else { None }),
        sandtop_exit_code: run.exit_code(),
        wall_seconds: let_go.then(|| run.elapsed(session.now).as_secs_f64()),
        left_behind: run.ended.as_ref().map(|(_, ended)| ended.left_behind),
        limit_bytes: run.limit.bytes(),
        limit_is_default: run.limit_is_default,
        limit_at_start_bytes: started.limit.bytes(),
        swap_allowed_bytes: started.swap.map_or(Some(0), Limit::bytes),
        schedule: schedule::document(run),
        options: started.options.clone(),
        demo: started.demo,
        settings_asked: AskedDocument::of(started),
        budget: BudgetDocument::of(run),
        budget_bytes: started.budget,
        over_budget: started.budget.map(|_| run.over_budget()),
        usage_bytes: usage,
        peak_bytes: run.peak_is_kernels.then_some(run.peak),
        highest_bytes: usage.map(|_| run.peak),
        unreclaimable_peak_bytes: run.unreclaimable.map(|seen| seen.least),
        unreclaimable_peak_bound_bytes: run.unreclaimable.and_then(|seen| seen.most),
        highest_from: usage.map(|_| run.highest_from()),
        headroom_bytes: run.limit.bytes().zip(usage).map(|(limit, usage)| limit.saturating_sub(usage)),
        reclaimable_bytes: run.stat.zip(usage).map(|(stat, usage)| stat.file.min(usage)),
        unreclaimable_bytes: run.stat.zip(usage).map(|_| run.parts().held),
        forecast: run.forecast(session.now).map(ForecastDocument::of),
        stat: run.stat,
        swap_bytes: run.swap,
        swapping: SwappingDocument::of(run),
        limit_hits: run.limit_hits(),
        limit_hits_per_second: run.limit_hits().map(|_| run.hit_rate),
        oom_kills: run.oom_kills(),
        oom_kills_repeated: run.stories.repeated(),
        other_limits: OtherLimitsDocument::of(run),
        pressure: run.pressure,
        stalled: run.pressure.map(|_| run.stalled),
        stalled_seconds: stalled_seconds(run),
        controller: Some(started.controller),
        oom_policy: Some(run.oom),
        like: started.like,
        isolation: Some(started.isolation),
        widened: started.widened,
        group: Some(started.group.clone()),
        cpus: Some(started.cpus),
        mem_total_bytes: Some(started.mem_total),
        settings: settings(run),
        above: run.above.as_ref().map(AboveDocument::from),
        kernel_log: Some(started.kernel_log),
        evidence: stories::evidence(run),
        stories: stories::stories(run),
        victims: run.victims.clone(),
        processes: processes(run),
        next_victim: next_victim(run),
        pauses: pauses(run),
        pauses_averted: run.pauses.averted().0,
        pauses_averted_seconds: run.pauses.averted().1.as_secs_f64(),
        edits: edits(run),
        events: events(run, session),
    }
}

fn state(run: &Run) -> State {
    match (&run.ended, run.running) {
        (Some(_), _) => State::Ended,
        (None, Some(_)) if run.is_paused() => State::Paused,
        (None, Some(_)) => State::Running,
        (None, None) if run.started.held => State::Held,
        (None, None) => State::Starting,
    }
}

fn edits(run: &Run) -> Vec<Edit> {
    let edit = |moved: &Moved| {
        let by = match moved.by {
            Author::User => "user",
            Author::Schedule { .. } => "schedule",
        };
        Edit { at_seconds: since_start(run, moved.at), from: moved.from.into(), to: moved.to.into(), by }
    };
    run.moves.made.iter().map(edit).collect()
}

fn events(run: &Run, session: &Session) -> Vec<EventDocument> {
    let document = |entry: &Entry| {
        let (text, weight) = Language::English.entry(entry, session);
        EventDocument { at_seconds: since_start(run, entry.at), kind: kind(&entry.what), weight: name(weight), text }
    };
    entries(run, session).map(document).collect()
}

fn entries<'a>(run: &'a Run, session: &'a Session) -> impl Iterator<Item = &'a Entry> {
    session.log.iter().filter(|entry| entry.run == run.started.run)
}

/// What was before the main process was let go is at less than nothing.
fn since_start(run: &Run, at: Duration) -> f64 {
    let origin = run.origin();
    match at.checked_sub(origin) {
        Some(since) => since.as_secs_f64(),
        None => -(origin - at).as_secs_f64(),
    }
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Started { .. } => "started",
        What::FirstHit { .. } => "first_limit_hit",
        What::PidsLimitMet { .. } => "pids_limit_met",
        What::SoftLimitMet { .. } => "soft_limit_met",
        What::OomKill { .. } => "oom_kill",
        What::TighterAbove { .. } => "tighter_limit_above",
        What::LimitMoved { .. } => "limit_moved",
        What::LimitNext { .. } => "limit_of_next_run",
        What::LimitBusy { .. } => "limit_refused",
        What::LimitFailed { .. } => "limit_failed",
        What::Changed { .. } => "setting_changed",
        What::ChangeFailed { .. } => "setting_failed",
        What::ChangedElsewhere { .. } => "setting_changed_elsewhere",
        What::SwapKept { .. } => "swap_limit_kept",
        What::Stalled { .. } => "stalled",
        What::StallOver { .. } => "stall_over",
        What::Paused { .. } => "paused",
        What::Resumed { .. } => "resumed",
        What::Reclaimed { .. } => "reclaimed",
        What::Note(_) => "note",
        What::Ended => "ended",
    }
}

fn name(weight: Weight) -> &'static str {
    match weight {
        Weight::Plain => "plain",
        Weight::Act => "act",
        Weight::Warning => "warning",
        Weight::Danger => "danger",
    }
}
