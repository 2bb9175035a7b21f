//! The stories of a run's OOM kills, and what its verdict rests on, in its document.

use serde::Serialize;

use super::since_start;
use crate::{
    event::{Above, Charged, Scope},
    sentences::Language,
    session::{GroupKill, InLine, Moment, Other, PassedOver, Run, Source, Story, Who},
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
    /// Whether it is the kill of the same program, started by the same process, as the story before.
    pub like_before: bool,
    /// How many kills of the kernel's count it is the story of.
    pub kills: u64,
    /// Why others were killed with the victim: `kernel`, `sandtop`.
    pub group_kill: Option<&'static str>,
    /// Who they were.
    pub others: Vec<OtherDocument>,
    /// How many more there were.
    pub others_left_out: u64,
    /// Shared memory and tmpfs that were charged then.
    pub shmem_bytes: Option<u64>,
    /// The part of that which was still charged after the kill.
    pub shmem_left_bytes: Option<u64>,
    /// What usage consisted of.
    pub charged: Option<ChargedDocument>,
    /// The same shortly after.
    pub charged_after: Option<ChargedDocument>,
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
    /// The shared part of that.
    pub shmem_bytes: Option<u64>,
    /// How readily it was taken.
    pub oom_score_adj: Option<i32>,
    /// Its parent, that one's, and so on.
    pub parents: Vec<AskerDocument>,
}

/// One that was killed with the victim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherDocument {
    /// Its pid inside.
    pub pid: Option<i32>,
    /// Its pid outside.
    pub host_pid: i32,
    /// Its name.
    pub name: String,
    /// What it held.
    pub held_bytes: u64,
}

/// What usage consisted of, each page once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChargedDocument {
    /// Anonymous memory.
    pub anon_bytes: Option<u64>,
    /// Shared memory and tmpfs.
    pub shmem_bytes: Option<u64>,
    /// File cache.
    pub file_bytes: Option<u64>,
    /// The part of it that is not on the disk yet.
    pub unwritten_bytes: Option<u64>,
    /// The kernel's own memory.
    pub kernel_bytes: Option<u64>,
    /// Buffers of network sockets.
    pub sock_bytes: Option<u64>,
    /// Page tables.
    pub page_tables_bytes: Option<u64>,
    /// Stacks of threads.
    pub stacks_bytes: Option<u64>,
    /// Slab that reclaim can take.
    pub slab_reclaimable_bytes: Option<u64>,
    /// Slab that it cannot.
    pub slab_unreclaimable_bytes: Option<u64>,
    /// Where that is from.
    pub source: &'static str,
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
    /// What the kernel weighs: the sum of the next five.
    pub badness_bytes: i64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Swapped out.
    pub swapped_bytes: u64,
    /// Page tables.
    pub page_tables_bytes: u64,
    /// What `oom_score_adj` adds.
    pub adjusted_bytes: i64,
    /// What it was about to take.
    pub growth_bytes: i64,
    /// Why the kernel passes over it: `killed_before`, `exiting`, `spared`.
    pub passed_over: Option<&'static str>,
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
    let told = run.stories.told();
    let before = std::iter::once(None).chain(told.iter().map(Some));
    let like = |(story, before): (&Story, Option<&Story>)| {
        let like_before = before.is_some_and(|before| story.is_like(before));
        StoryDocument { like_before, ..document(run, story) }
    };
    told.iter().zip(before).map(like).collect()
}

/// Stories that are one: those of the same program, started by the same process, one after the other.
pub fn series(stories: &[StoryDocument]) -> Vec<&[StoryDocument]> {
    stories.chunk_by(|_, next| next.like_before).collect()
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
        like_before: false,
        kills: story.kills,
        group_kill: story.group_kill.map(|by| match by {
            GroupKill::Kernel => "kernel",
            GroupKill::Sandtop => "sandtop",
        }),
        others: story.others.iter().map(other).collect(),
        others_left_out: story.others_left_out,
        shmem_bytes: story.charged_then().and_then(|(charged, _)| charged.shmem),
        shmem_left_bytes: story.shmem_left(),
        charged: story.charged_then().map(|(of, source)| charged(of, source)),
        charged_after: story.charged_after.map(|(_, of)| charged(of, Source::Samples)),
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
        shmem_bytes: who.shmem,
        oom_score_adj: who.oom_score_adj,
        parents: who.parents.iter().map(|(name, pid, host_pid)| named(name, *pid, *host_pid)).collect(),
    }
}

fn other(of: &Other) -> OtherDocument {
    OtherDocument { pid: of.pid, host_pid: of.host_pid, name: of.name.clone(), held_bytes: of.held }
}

fn charged(of: Charged, source: Source) -> ChargedDocument {
    ChargedDocument {
        anon_bytes: of.anon,
        shmem_bytes: of.shmem,
        file_bytes: of.file,
        unwritten_bytes: of.unwritten,
        kernel_bytes: of.kernel,
        sock_bytes: of.sock,
        page_tables_bytes: of.page_tables,
        stacks_bytes: of.stacks,
        slab_reclaimable_bytes: of.slab_reclaimable,
        slab_unreclaimable_bytes: of.slab_unreclaimable,
        source: word(source),
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
        resident_bytes: of.parts.resident,
        swapped_bytes: of.parts.swapped,
        page_tables_bytes: of.parts.page_tables,
        adjusted_bytes: of.parts.adjusted,
        growth_bytes: of.parts.growth,
        passed_over: of.passed_over.map(|why| match why {
            PassedOver::KilledBefore => "killed_before",
            PassedOver::Exiting => "exiting",
            PassedOver::Spared => "spared",
        }),
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
