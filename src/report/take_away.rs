//! A run's limits in the words and units of another system: docker, compose, Kubernetes, systemd.
//!
//! The limit is the one that the run ended with. A limit that killed is never given without saying so. Refuses: to guess at an image or a unit's name.

use clap::ValueEnum;

use super::{
    caution,
    text::{shell_line, shell_one_line},
};
use crate::{
    event::{Controller, OomPolicy},
    sentences::Language,
    session::{HighestFrom, Knob, Run, Session, Value, outcome::Outcome},
    units::{Limit, size},
};

/// A system that runs things under limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// `docker run`, and podman, which reads the same options.
    Docker,
    /// A service of a Compose file.
    Compose,
    /// A container of a Kubernetes pod.
    Kubernetes,
    /// A unit of systemd.
    Systemd,
}

impl System {
    /// All of them.
    pub const ALL: [System; 4] = [System::Docker, System::Compose, System::Kubernetes, System::Systemd];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            System::Docker => "docker",
            System::Compose => "compose",
            System::Kubernetes => "kubernetes",
            System::Systemd => "systemd",
        }
    }

    /// The language that its words are in, as Markdown names it.
    pub fn language(self) -> &'static str {
        match self {
            System::Docker => "sh",
            System::Compose | System::Kubernetes => "yaml",
            System::Systemd => "ini",
        }
    }
}

/// What would apply the limits of the session's newest run there, with comments that say what else the verdict depends on.
pub fn take_away(system: System, session: &Session) -> String {
    let Some(run) = session.run() else { return String::new() };
    let mut lines: Vec<String> = caution::said(run, session).into_iter().map(|text| format!("# {text}")).collect();
    lines.extend(match system {
        System::Docker => docker(run),
        System::Compose => compose(run),
        System::Kubernetes => kubernetes(run),
        System::Systemd => systemd(run),
    });
    lines.join("\n") + "\n"
}

/// A number of bytes in the largest unit in which it is whole: `100`, 2 for 100 MiB.
fn exact(bytes: u64) -> (u64, usize) {
    let unit = (1..=3).rev().find(|unit| bytes > 0 && bytes.is_multiple_of(1 << (10 * unit))).unwrap_or(0);
    (bytes >> (10 * unit), unit)
}

/// As docker and compose read it.
fn docker_size(bytes: u64) -> String {
    let (n, unit) = exact(bytes);
    format!("{n}{}", ["b", "k", "m", "g"][unit])
}

/// As Kubernetes reads it. `m` would be thousandths there, and `M` millions.
fn kubernetes_size(bytes: u64) -> String {
    let (n, unit) = exact(bytes);
    format!("{n}{}", ["", "Ki", "Mi", "Gi"][unit])
}

/// As systemd reads it: to the base of 1024.
fn systemd_size(bytes: u64) -> String {
    let (n, unit) = exact(bytes);
    format!("{n}{}", ["", "K", "M", "G"][unit])
}

/// Memory and swap together, as docker counts; `None` for any amount.
fn both(run: &Run) -> Option<u64> {
    match (run.limit, run.swap_limit) {
        (Limit::Bytes(limit), Limit::Bytes(swap)) => Some(limit.saturating_add(swap)),
        _ => None,
    }
}

/// CPUs as a decimal number, where they were limited.
fn cpus(run: &Run) -> Option<f64> {
    thousandths(run).map(|n| n as f64 / 1000.0)
}

/// Thousandths of a CPU, where they were limited.
fn thousandths(run: &Run) -> Option<u64> {
    match run.setting(Knob::Cpus)? {
        Value::Cpus(quota) => quota.number(),
        _ => None,
    }
}

/// docker's reservation: v2's `memory.low`, v1's soft limit.
fn reservation(run: &Run) -> Option<u64> {
    match run.setting(Knob::Reservation)? {
        Value::Size(limit) => limit.bytes().filter(|bytes| *bytes > 0),
        _ => None,
    }
}

/// v2's `memory.high`.
fn high(run: &Run) -> Option<u64> {
    // A run that pauses has its brink there, which is nobody's wish.
    let is_brink = run.oom == OomPolicy::Pause;
    match if is_brink { run.wanted(Knob::SoftLimit) } else { run.setting(Knob::SoftLimit) }? {
        Value::Size(limit) => limit.bytes(),
        _ => None,
    }
}

/// What there is to say of a soft limit where docker's words are spoken.
fn reservation_said(run: &Run) -> Option<String> {
    let high = high(run).map(|bytes| {
        format!(
            "Here allocations were slowed down above {} (memory.high). There is no word for that: a reservation is memory.low on cgroup v2, which protects instead.",
            size(bytes)
        )
    });
    let v1 = run.started.controller == Controller::V1;
    let soft = reservation(run).filter(|_| v1).map(|_| {
        "The reservation is v1's soft limit, as in this run; on cgroup v2 it becomes memory.low, which protects instead.".to_string()
    });
    high.or(soft)
}

/// How many processes and threads, where they were limited.
fn pids(run: &Run) -> Option<u64> {
    match run.setting(Knob::Pids)? {
        Value::Count(quota) => quota.number(),
        _ => None,
    }
}

/// Whether an OOM kill took the whole workload: by the kernel's setting (v2), or by sandtop in its place.
fn kills_all(run: &Run) -> bool {
    run.oom == OomPolicy::Group || run.settings.oom_group == Some(true)
}

fn swap_said(run: &Run) -> String {
    match both(run) {
        _ if run.limit == Limit::Max => "There was no limit on memory, and so none is set.".into(),
        None => "-1: any amount of swap, as in this run.".into(),
        Some(all) if run.limit == Limit::Bytes(all) => {
            "Memory and swap together: equal to the memory limit, nothing is swapped out, as in this run. Left out, as much swap as memory is allowed."
                .into()
        }
        Some(all) => format!("Memory and swap together: {} of it swap, as in this run.", size(all - run.limit.bytes().unwrap_or(0))),
    }
}

/// The command. A demo is nobody else's: its place is for one that is there.
fn command(run: &Run, line: fn(&[String]) -> String) -> String {
    if run.started.demo { "COMMAND".into() } else { line(&run.started.argv) }
}

fn docker(run: &Run) -> Vec<String> {
    let mut options = Vec::new();
    if let Limit::Bytes(limit) = run.limit {
        options.push(format!("-m {}", docker_size(limit)));
        options.push(format!("--memory-swap {}", both(run).map_or("-1".into(), docker_size)));
    }
    options.extend(reservation(run).map(|n| format!("--memory-reservation {}", docker_size(n))));
    options.extend(pids(run).map(|n| format!("--pids-limit {n}")));
    options.extend(cpus(run).map(|n| format!("--cpus {n}")));
    options.extend(run.started.oom_score_adj.map(|n| format!("--oom-score-adj {n}")));
    options.push("IMAGE".into());
    let mut lines = vec![format!("docker run {} {}", options.join(" "), command(run, shell_line))];
    lines.push(format!("# --memory-swap: {}", swap_said(run)));
    lines.extend(reservation_said(run).map(|text| format!("# {text}")));
    if run.limit.bytes().is_some_and(|limit| limit < 6 << 20) {
        lines.push("# docker refuses limits below 6m.".into());
    }
    if kills_all(run) {
        lines.push("# Here an OOM kill took all processes at once (memory.oom.group on cgroup v2); docker has no option for it and kills one.".into());
    }
    lines
}

fn compose(run: &Run) -> Vec<String> {
    let mut lines = vec!["services:".into(), "  app: # your service".into()];
    if let Limit::Bytes(limit) = run.limit {
        lines.push(format!("    mem_limit: {}", docker_size(limit)));
        lines.push(format!("    # {}", swap_said(run)));
        lines.push(format!("    memswap_limit: {}", both(run).map_or("-1".into(), docker_size)));
    } else {
        lines.push(format!("    # {}", swap_said(run)));
    }
    lines.extend(reservation_said(run).map(|text| format!("    # {text}")));
    lines.extend(reservation(run).map(|n| format!("    mem_reservation: {}", docker_size(n))));
    lines.extend(pids(run).map(|n| format!("    pids_limit: {n}")));
    lines.extend(cpus(run).map(|n| format!("    cpus: {n}")));
    lines.extend(run.started.oom_score_adj.map(|n| format!("    oom_score_adj: {n}")));
    if let Limit::Bytes(limit) = run.limit {
        let limit = docker_size(limit);
        lines.push("    # The memory limit may be said as below instead, which Swarm reads too; there is no such word for swap:".into());
        lines.extend(
            ["deploy:", "  resources:", "    limits:", &format!("      memory: {limit}")]
                .map(|line| format!("    # {line}")),
        );
    }
    lines
}

fn kubernetes(run: &Run) -> Vec<String> {
    let Limit::Bytes(limit) = run.limit else {
        let mut lines = vec!["resources: {} # There was no limit on memory, and so none is set.".to_string()];
        let peak = match run.highest_from() {
            HighestFrom::Kernel => "peak",
            HighestFrom::Samples => "highest sample (this kernel keeps no peak)",
        };
        let request = kubernetes_size(up_to_mib(run.peak));
        lines.push(format!("# A request of {request} would cover this run's {peak}."));
        return lines;
    };
    let limit = kubernetes_size(limit);
    let mut lines: Vec<String> = vec!["resources:".into(), "  requests:".into()];
    lines.push(
        "    # What the scheduler sets aside. Equal to the limit, the container is not evicted for what it may use."
            .into(),
    );
    lines.push(format!("    memory: \"{limit}\""));
    lines.push("  limits:".into());
    lines.push(format!("    memory: \"{limit}\""));
    lines.extend(cpus(run).map(|n| format!("    cpu: \"{n}\"")));
    lines.push("# Mi is 1024 × 1024 bytes. M would be a million, and m a thousandth of a byte.".into());
    lines.push("# OOM: on cgroup v2 the kubelet (1.28 and later) sets memory.oom.group: one kill takes all processes of the container.".into());
    lines.push(match (kills_all(run), run.outcome()) {
        (true, _) => "# That is as in this run.".into(),
        (false, Some(Outcome::OomSurvived)) => {
            "# CAUTION: in this run one process was killed and the main process lived; there the container would end (OOMKilled, 137).".into()
        }
        (false, _) if run.oom_kills().unwrap_or(0) == 0 => "# In this run nothing was killed.".into(),
        (false, Some(Outcome::OomKilled)) => "# In this run the main process was killed, and with it all: there it is the same.".into(),
        (false, _) => "# In this run a kill took one process. singleProcessOOMKill: true in the kubelet's configuration (1.32 and later) does so there.".to_string(),
    });
    lines.push(match run.swap_limit {
        Limit::Bytes(0) => "# Swap: none, as in this run, where the node's kubelet has swapBehavior: NoSwap, the default.".to_string(),
        _ => {
            "# Swap: this run could swap. There only the node decides (swapBehavior: LimitedSwap), and for a container whose request equals its limit: none."
                .to_string()
        }
    });
    if let Some(pids) = pids(run) {
        lines.push(format!("# The limit of {pids} processes is the kubelet's to set for a pod (podPidsLimit)."));
    }
    if let Some(bytes) = high(run) {
        lines.push(format!(
            "# The soft limit of {} has no word there: the kubelet sets memory.high itself, where its MemoryQoS feature is on.",
            size(bytes)
        ));
    }
    if let Some(bytes) = reservation(run) {
        lines.push(format!(
            "# The reservation of {} has no word there: with MemoryQoS the kubelet sets memory.min from the request.",
            size(bytes)
        ));
    }
    if let Some(n) = run.started.oom_score_adj {
        lines.push(format!("# oom_score_adj {n} has no word there: the kubelet sets it by the pod's QoS class."));
    }
    lines
}

fn up_to_mib(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(1 << 20).unwrap_or(bytes)
}

fn systemd(run: &Run) -> Vec<String> {
    let of = |limit: Limit| limit.bytes().map_or("infinity".into(), systemd_size);
    let mut settings = vec![format!("MemoryMax={}", of(run.limit))];
    let v1 = run.started.controller == Controller::V1;
    settings.extend(high(run).map(|bytes| format!("MemoryHigh={}", systemd_size(bytes))));
    settings.extend(reservation(run).filter(|_| !v1).map(|bytes| format!("MemoryLow={}", systemd_size(bytes))));
    settings.push(match run.swap_limit {
        Limit::Bytes(0) => "MemorySwapMax=0".into(),
        swap => format!("MemorySwapMax={}", of(swap)),
    });
    settings.push(format!("OOMPolicy={}", if kills_all(run) { "kill" } else { "continue" }));
    settings.extend(pids(run).map(|n| format!("TasksMax={n}")));
    settings.extend(thousandths(run).map(|n| format!("CPUQuota={}%", n.div_ceil(10))));
    settings.extend(run.started.oom_score_adj.map(|n| format!("OOMScoreAdjust={n}")));
    let mut lines = vec!["# systemctl edit UNIT".to_string(), "[Service]".into()];
    lines.extend(settings.iter().cloned());
    if let Some(bytes) = reservation(run).filter(|_| v1) {
        lines.push(format!(
            "# The soft limit of {} is cgroup v1's: systemd has no word for it. MemoryHigh= slows down above it instead, MemoryLow= protects up to it.",
            size(bytes)
        ));
    }
    lines.push(
        "# MemorySwapMax= is swap alone, not memory and swap, and needs cgroup v2 (the unified hierarchy).".into(),
    );
    lines.push(
        "# OOMPolicy=continue: an OOM kill takes one process and the unit goes on, as the kernel does it by itself;"
            .into(),
    );
    lines.push("# stop, systemd's default: systemd then ends the unit; kill: the kernel takes all its processes (memory.oom.group).".into());
    let options: Vec<String> = settings.iter().map(|setting| format!("-p {setting}")).collect();
    lines.push("#".into());
    lines.push("# Once, from a shell:".into());
    let line = format!(
        "systemd-run --wait --pipe --same-dir --collect {} -- {}",
        options.join(" "),
        command(run, |argv| shell_one_line(&for_systemd(argv)))
    );
    lines.push(format!("#   {line}"));
    lines
}

/// Arguments as systemd-run has to be given them: it puts its own variables in their place, and `$$` is a dollar (systemd.service(5)). Only from
/// systemd 254 on an option turns that off. It does not do so in the name of the program.
fn for_systemd(argv: &[String]) -> Vec<String> {
    argv.iter().enumerate().map(|(n, word)| if n == 0 { word.clone() } else { word.replace('$', "$$") }).collect()
}

/// What the take-away is about, in a heading.
pub fn heading(words: Language) -> &'static str {
    match words {
        Language::English => "The same limits elsewhere",
    }
}

#[cfg(test)]
mod tests;
