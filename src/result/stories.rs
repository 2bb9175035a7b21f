//! The stories of a run's OOM kills, and what its verdict rests on, in its document.

use serde::Serialize;

use super::since_start;
use crate::{
    event::{Above, Scope},
    sentences::Language,
    session::{InLine, Moment, Run, Source, Story, Who},
};

/// A limit above the sandbox's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AboveDocument {
    /// It.
    pub limit_bytes: u64,
    /// The group, below the hierarchy's mount; null where it lies out of sight.
    pub group: Option<String>,
}

impl From<&Above> for AboveDocument {
    fn from(above: &Above) -> AboveDocument {
        AboveDocument { limit_bytes: above.limit, group: above.group.clone() }
    }
}

/// A fact that the verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceDocument {
    /// The fact, as a sentence.
    pub fact: String,
    /// Where it is from: a kernel file, or a word.
    pub source: String,
}

/// The story of a kill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoryDocument {
    /// When it was learned of.
    pub at_seconds: f64,
    /// Who was killed; null where nothing tells.
    pub victim: Option<WhoDocument>,
    /// Whose limit was met; null where it was not the sandbox's own, and nothing tells whose.
    pub scope: Option<Scope>,
    /// The sandbox's limit then.
    pub limit_bytes: Option<u64>,
    /// The limit that was met instead.
    pub met_limit_bytes: Option<u64>,
    /// What was charged under that one.
    pub met_usage_bytes: Option<u64>,
    /// Shared memory and tmpfs that were charged then.
    pub shmem_bytes: Option<u64>,
    /// Who asked for the memory that was not there.
    pub asker: Option<AskerDocument>,
    /// How it stood before.
    pub before: MomentDocument,
    /// How it stood shortly after.
    pub after: Option<MomentDocument>,
    /// Who stood in line, the first first: the victim, and the largest of the others.
    pub line: Vec<InLineDocument>,
    /// How many more there were.
    pub line_left_out: usize,
    /// Usage in the seconds before: pairs of a moment and bytes.
    pub past: Vec<(f64, u64)>,
    /// Where the facts are from.
    pub sources: SourcesDocument,
    /// The same in sentences.
    pub text: Vec<String>,
}

/// A victim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhoDocument {
    /// Its pid inside.
    pub pid: Option<i32>,
    /// Its pid outside.
    pub host_pid: i32,
    /// Its name.
    pub name: String,
    /// Its command line.
    pub command: Option<String>,
    /// What it held: anonymous and shared memory.
    pub held_bytes: u64,
    /// How readily it was taken.
    pub oom_score_adj: Option<i32>,
    /// Its parent, that one's, and so on.
    pub parents: Vec<AskerDocument>,
}

/// A process, named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AskerDocument {
    /// Its pid inside.
    pub pid: Option<i32>,
    /// Its pid outside.
    pub host_pid: i32,
    /// Its name.
    pub name: String,
}

/// How it stood.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MomentDocument {
    /// When.
    pub at_seconds: f64,
    /// Usage.
    pub usage_bytes: u64,
    /// Limit hits so far.
    pub limit_hits: Option<u64>,
    /// Time lost to waiting for memory so far.
    pub waited_us: Option<u64>,
}

/// One in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InLineDocument {
    /// Its pid inside.
    pub pid: Option<i32>,
    /// Its pid outside.
    pub host_pid: i32,
    /// Its name.
    pub name: String,
    /// What the kernel weighs.
    pub badness_bytes: i64,
    /// How readily it is taken.
    pub oom_score_adj: i32,
}

/// Where the facts of a story are from: `kernel_log`, `counters`, `wait_status`, `samples`; null for what nothing tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourcesDocument {
    /// Who was killed.
    pub victim: Option<&'static str>,
    /// Whose limit it was.
    pub scope: Option<&'static str>,
    /// Who stood in line.
    pub line: &'static str,
}

pub(super) fn stories(run: &Run) -> Vec<StoryDocument> {
    run.stories.told().iter().map(|story| document(run, story)).collect()
}

pub(super) fn evidence(run: &Run) -> Vec<EvidenceDocument> {
    let said = Language::English.evidence(run).into_iter();
    said.map(|(fact, source)| EvidenceDocument { fact, source }).collect()
}

fn document(run: &Run, story: &Story) -> StoryDocument {
    let told = Language::English.told(story, run);
    let facts = told.facts.iter().map(|(about, fact)| format!("{about}: {fact}"));
    StoryDocument {
        at_seconds: since_start(run, story.at),
        victim: story.who.as_ref().map(|(who, _)| victim(who)),
        scope: story.scope.as_ref().map(|(scope, _)| scope.clone()),
        limit_bytes: story.limit.bytes(),
        met_limit_bytes: story.met.map(|(limit, _)| limit),
        met_usage_bytes: story.met.and_then(|(_, usage)| usage),
        shmem_bytes: story.shmem,
        asker: story.asker.as_ref().map(|asker| named(&asker.name, asker.pid, asker.host_pid)),
        before: moment(run, &story.before),
        after: story.after.as_ref().map(|after| moment(run, after)),
        line: story.line.0.iter().map(in_line).collect(),
        line_left_out: story.more,
        past: story.past.iter().map(|(at, usage)| (since_start(run, *at), *usage)).collect(),
        sources: SourcesDocument {
            victim: story.who.as_ref().map(|(_, source)| word(*source)),
            scope: story.scope.as_ref().map(|(_, source)| word(*source)),
            line: word(story.line.1),
        },
        text: std::iter::once(told.head.clone()).chain(facts).collect(),
    }
}

fn victim(who: &Who) -> WhoDocument {
    WhoDocument {
        pid: who.pid,
        host_pid: who.host_pid,
        name: who.name.clone(),
        command: Some(who.command.clone()).filter(|command| !command.is_empty()),
        held_bytes: who.held,
        oom_score_adj: who.oom_score_adj,
        parents: who.parents.iter().map(|(name, pid, host_pid)| named(name, *pid, *host_pid)).collect(),
    }
}

fn named(name: &str, pid: Option<i32>, host_pid: i32) -> AskerDocument {
    AskerDocument { pid, host_pid, name: name.into() }
}

fn moment(run: &Run, moment: &Moment) -> MomentDocument {
    MomentDocument {
        at_seconds: since_start(run, moment.at),
        usage_bytes: moment.usage,
        limit_hits: moment.limit_hits,
        waited_us: moment.waited_us,
    }
}

fn in_line(of: &InLine) -> InLineDocument {
    InLineDocument {
        pid: of.pid,
        host_pid: of.host_pid,
        name: of.name.clone(),
        badness_bytes: of.badness,
        oom_score_adj: of.oom_score_adj,
    }
}

fn word(source: Source) -> &'static str {
    match source {
        Source::KernelLog => "kernel_log",
        Source::Counters => "counters",
        Source::WaitStatus => "wait_status",
        Source::Samples => "samples",
    }
}
