//! The command line: what was typed, and nothing of the world. Reads no file, no environment, no clock.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueHint, error::ErrorKind};

use crate::{
    error::Error,
    event::{BudgetOf, Like, OomPolicy},
    units::{Quota, Step},
};
pub use look::{Ambiguous, Config, Look, When};
use values::{capability, duration, interval, oom_score_adj};

mod beside;
mod look;
pub(crate) mod values;

/// The ways to call it.
pub const USAGE: &str = "sandtop [OPTIONS] [--] COMMAND [ARG]...
       sandtop run [OPTIONS] [--] COMMAND [ARG]...
       sandtop demo [OPTIONS] [NAME]
       sandtop replay FILE | --last
       sandtop report [OPTIONS] FILE | --last
       sandtop doctor [--json]
       sandtop config [OPTIONS] [--path]
       sandtop clean
       sandtop completions SHELL
       sandtop man";

/// What every help ends with.
const AFTER_HELP: &str = "Sizes are binary: 200m is 209715200 bytes. Exit codes: the command's own; 128+N for signal N (137: \
killed, the OOM killer's way too); 123 it passed, and used more than --budget allows; 124 --timeout; 125 sandtop failed; 126 not executable; \
127 not found.";

/// Launch a workload under a memory limit, watch what the kernel does to it, and move the limit while it runs.
#[derive(Debug, Parser)]
#[command(name = "sandtop", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    override_usage = USAGE,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// What to do; without one of these, COMMAND is watched on the screen.
    #[command(subcommand)]
    pub mode: Option<Mode>,
    /// How to run it.
    #[command(flatten)]
    pub options: Options,
    /// What concerns the screen alone.
    #[command(flatten)]
    pub screen: Screen,
    /// The command to watch, and its arguments.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// The same without a screen: for scripts and CI
    Run(Run),
    /// A built-in workload that shows what a limit does (no NAME: the classic OOM)
    Demo(Demo),
    /// Play a recording on the screen: pause, seek, step, compare
    Replay(Replay),
    /// A recording as HTML, SVG, Markdown, CSV, JSON or an asciicast, and its limits for other systems
    Report(Report),
    /// What this machine allows, and the exact remedy for what it does not
    Doctor(Doctor),
    /// What is configured, and where each value comes from
    Config(Config),
    /// Remove groups whose sandtop is gone
    Clean(Clean),
    /// Print what makes a shell complete sandtop's options
    Completions(Completions),
    /// Print the manual page, for man -l -
    Man,
    /// Built-in workloads with exact sizes and rates
    #[command(hide = true)]
    Worker(Worker),
}

/// `sandtop run`.
#[derive(Debug, Args)]
#[command(override_usage = "sandtop run [OPTIONS] [--] COMMAND [ARG]...")]
pub struct Run {
    /// How to run it.
    #[command(flatten)]
    pub options: Options,
    /// Fail a run that passes (exit code 123) if it ever needed more than this: 80M, 50% (of this machine's memory)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub budget: Option<String>,
    /// What --budget judges
    #[arg(long, value_name = "WHAT", default_value = "unreclaimable", requires = "budget")]
    pub budget_of: BudgetOf,
    /// What to write at the end.
    #[command(flatten)]
    pub outputs: Outputs,
    /// Do not print the line at the end
    #[arg(short, long)]
    pub quiet: bool,
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// The files that tell others of a run. Opened before it starts, written also when it failed or could not start.
#[derive(Debug, Default, Args)]
pub struct Outputs {
    /// Write the result as one JSON object to FILE (`-`: standard output)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Write the run as a JUnit test case to FILE, for a CI system's test report
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Append the run's story as Markdown to FILE, for a CI job's step summary
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub summary: Option<PathBuf>,
}

/// What concerns the screen alone.
#[derive(Debug, Default, Args)]
pub struct Screen {
    /// How far - and + move the limit: 10%, or a size as 16M [default: 10%]
    #[arg(long, value_name = "STEP", value_parser = Step::parse)]
    pub step: Option<Step>,
    /// How it looks.
    #[command(flatten)]
    pub look: Look,
}

/// `sandtop demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// How to run it.
    #[command(flatten)]
    pub options: Options,
    /// What concerns the screen alone.
    #[command(flatten)]
    pub screen: Screen,
    /// Which one
    #[arg(value_name = "NAME", default_value = "oom")]
    pub name: crate::demo::Name,
}

/// `sandtop replay`.
#[derive(Debug, Args)]
#[command(override_usage = "sandtop replay [BEFORE] FILE\n       sandtop replay [BEFORE] --last")]
pub struct Replay {
    /// The recording (.jsonl or .jsonl.gz); with two of them the second is played, and the first lies under it
    #[arg(value_name = "FILE", num_args = 0..=2)]
    pub files: Vec<PathBuf>,
    /// Play the newest of the runs that are kept by themselves; --last=2 is the one before it
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub last: Option<u32>,
    /// How the screen looks.
    #[command(flatten)]
    pub look: Look,
}

/// `sandtop clean`.
#[derive(Debug, Args)]
pub struct Clean {
    /// Look below this group of the memory hierarchy
    #[arg(long, value_name = "GROUP")]
    pub cgroup_parent: Option<PathBuf>,
}

/// `sandtop report`.
#[derive(Debug, Default, Args)]
#[command(
    override_usage = "sandtop report [OPTIONS] FILE\n       sandtop report [OPTIONS] --last",
    after_help = "Without -o and --for a summary is printed. To record: sandtop --record FILE …; the last ten runs are kept anyway."
)]
pub struct Report {
    /// The recording (.jsonl or .jsonl.gz)
    #[arg(value_name = "FILE", conflicts_with = "last")]
    pub file: Option<PathBuf>,
    /// The newest run that was kept; --last=2 is the one before it
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub last: Option<u32>,
    /// Write a report: .html, .svg, .md, .csv, .json or .cast by its name; `-` is standard output. May be given several times
    #[arg(short, long, value_name = "OUT")]
    pub output: Vec<PathBuf>,
    /// The kind of what has none in its name
    #[arg(long, value_name = "KIND", requires = "output")]
    pub format: Option<crate::report::Kind>,
    /// Print what would apply the run's limits there
    #[arg(long = "for", value_name = "SYSTEM", value_delimiter = ',')]
    pub systems: Vec<crate::report::System>,
    /// This run of the recording [default: all; of SVG and CSV the newest]
    #[arg(long, value_name = "N")]
    pub run: Option<u32>,
    /// As of this time of the run (12.5s), as if nothing had happened later
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub at: Option<Duration>,
    /// Of SVG: the whole screen of this size, as sandtop draws it, instead of the chart alone
    #[arg(long, value_name = "COLSxROWS", value_parser = screen_size, requires = "output")]
    pub screen: Option<(u16, u16)>,
    /// Keys that are pressed on that screen first: w or e,Tab
    #[arg(long, value_name = "KEY", value_delimiter = ',', requires = "screen", allow_hyphen_values = true)]
    pub press: Vec<String>,
    /// The theme of that screen, by its name or file
    #[arg(long, value_name = "THEME", requires = "screen")]
    pub theme: Option<String>,
}

fn screen_size(text: &str) -> Result<(u16, u16), String> {
    let (cols, rows) = (60..=500, 16..=200);
    let read = || {
        let (c, r) = text.split_once(['x', '×'])?;
        Some((c.parse().ok().filter(|n| cols.contains(n))?, r.parse().ok().filter(|n| rows.contains(n))?))
    };
    read().ok_or_else(|| "columns and rows like 120x40: from 60x16 to 500x200".into())
}

/// `sandtop completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `sandtop doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
}

/// `sandtop worker`.
#[derive(Debug, Args)]
pub struct Worker {
    /// Which one.
    #[command(subcommand)]
    pub work: crate::demo::Work,
}

/// `sandtop run` alone: what scripts start most is not to wait for the rest to be built.
#[derive(Debug, Parser)]
#[command(
    name = "sandtop run",
    about = "Run a command under a memory limit, without a screen",
    override_usage = "sandtop run [OPTIONS] [--] COMMAND [ARG]...",
    after_help = AFTER_HELP
)]
struct RunAlone {
    #[command(flatten)]
    run: Run,
}

/// How to run a command. Named as docker names them.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Memory limit: 64m, 1.5G, 50% (of this machine's memory) or max [default: 100M]
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory: Option<String>,
    /// The limit where neither -m nor --schedule has one, from the configuration.
    #[arg(skip)]
    pub usual_memory: Option<String>,
    /// Move the limit at these times of the run: 10s=120M, or in a ramp: 10s..20s=200M..80M; at 0s it is the limit at the start
    #[arg(long, value_name = "TIME=SIZE,...", allow_hyphen_values = true)]
    pub schedule: Option<String>,
    /// Limit of memory and swap together, or max; without it nothing is swapped out
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Soft limit: above it the kernel slows the workload down, and kills nobody (memory.high, cgroup v2 alone)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_high: Option<String>,
    /// When the machine is short: spare the workload up to this (v2), or take from it first what is above (v1)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_reservation: Option<String>,
    /// What happens when memory runs out [default: kill]
    #[arg(long, value_name = "POLICY")]
    pub oom: Option<OomPolicy>,
    /// Treat memory as that system does: sets what --oom and --memory-swap do not say
    #[arg(long, value_name = "SYSTEM")]
    pub like: Option<Like>,
    /// How readily the OOM killer takes the workload, -1000 to 1000
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = oom_score_adj)]
    pub oom_score_adj: Option<i32>,
    /// CPU time: so many CPUs (0.5, 2), or max
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = Quota::parse_cpus)]
    pub cpus: Option<Quota>,
    /// How many processes and threads there may be, or max
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = Quota::parse_pids)]
    pub pids_limit: Option<Quota>,
    /// End the run after this long (30, 1.5s, 2m): TERM, and KILL five seconds later; exit code 124
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Prepare everything, and start only when told (Enter on the screen, SIGUSR1 to sandtop)
    #[arg(long)]
    pub hold: bool,
    /// Set NAME=VALUE in the command's environment, which is otherwise sandtop's own
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<OsString>,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workdir: Option<PathBuf>,
    /// Run as this user: name or id, with :GROUP if wanted [under sudo: the caller]
    #[arg(short, long, value_name = "USER[:GROUP]", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// Host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Network: host, or none (only a loopback device) [default: host]
    #[arg(long, value_name = "KIND")]
    pub network: Option<Network>,
    /// Which namespaces are fresh beside pid, mount and cgroup: uts, ipc, net, none
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "uts,ipc")]
    pub unshare: Vec<Unshare>,
    /// How often to sample, 1ms to 10s; faster by itself while things move [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub interval: Option<Duration>,
    /// Record the run to this file (.jsonl or .jsonl.gz), for sandtop replay and sandtop report
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub record: Option<PathBuf>,
    /// Do not keep this run; otherwise the last ten are kept, for sandtop replay --last
    #[arg(long)]
    pub no_keep: bool,
    /// Serve metrics for Prometheus at this address: a port of this machine (9273), or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = crate::metrics::address)]
    pub metrics: Option<SocketAddr>,
    /// Give back a capability that is dropped; the limit then holds only against accidents
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = capability)]
    pub cap_add: Vec<u64>,
    /// Let set-user-id programs (sudo, su) gain rights; the limit then holds only against accidents
    #[arg(long)]
    pub allow_new_privs: bool,
    /// Make the group below this one of the memory hierarchy [default: its root]
    #[arg(long, value_name = "GROUP")]
    pub cgroup_parent: Option<PathBuf>,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Network {
    /// The host's.
    Host,
    /// A fresh one with only a loopback device.
    None,
}

/// `--unshare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Unshare {
    /// Host name.
    Uts,
    /// IPC and /dev/shm.
    Ipc,
    /// Network.
    Net,
    /// Nothing beside pid, mount and cgroup.
    None,
    /// Always fresh.
    #[value(hide = true)]
    Pid,
    /// Always fresh.
    #[value(hide = true)]
    Mount,
    /// Always fresh.
    #[value(hide = true)]
    Cgroup,
}

/// Reads the command line.
///
/// # Errors
/// One line that says what was wrong and what is accepted; help and version are no errors but `Err(Ok(text))`.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Result<String, Error>> {
    let args: Vec<OsString> = args.into_iter().collect();
    let empty = args.iter().any(|arg| arg.is_empty());
    let parsed = match args.get(1) {
        Some(word) if word == "run" => RunAlone::try_parse_from(&args[1..]).map(|alone| {
            let mode = Some(Mode::Run(alone.run));
            Cli { mode, options: Options::default(), screen: Screen::default(), command: Vec::new() }
        }),
        _ => Cli::try_parse_from(args),
    };
    parsed.map_err(|e| match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(e.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingRequiredArgument => {
            Err(Error::new(missing(&e)))
        }
        // Some kinds of values are not even looked at when they are empty.
        ErrorKind::InvalidValue if empty => {
            Err(Error::new(format!("{} (one is empty: is a variable unset?)", one_line(&e.render().to_string()))))
        }
        ErrorKind::UnknownArgument => Err(Error::new(unknown(&one_line(&e.render().to_string())))),
        _ => Err(Error::new(one_line(&e.render().to_string()))),
    })
}

/// An option that is not ours; one of `run`'s says so.
fn unknown(text: &str) -> String {
    let of_run = ["--budget", "--json", "--junit", "--summary", "-q", "--quiet"];
    let of_run = of_run.iter().any(|option| text.contains(&format!("'{option}'")));
    let advice = if of_run { "that is an option of: sandtop run" } else { "sandtop --help lists the options" };
    format!("{text}; {advice}")
}

fn missing(e: &clap::Error) -> String {
    let text = one_line(&e.render().to_string());
    if text.contains("COMMAND") {
        return "there is no command to run; try: sandtop -- stress --vm-bytes 200m --vm-keep -m 1, or: sandtop demo; sandtop --help tells more".into();
    }
    text.replace("the following required arguments were not provided:;", "missing:")
}

/// clap's error, without its second line, its usage and its advice to read the help.
fn one_line(rendered: &str) -> String {
    // "To pass it as a value" is about a parser, not about what the user wants.
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("as a value"));
    let told = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let text: Vec<&str> = told.map(|line| line.trim_start_matches("error: ").trim_start_matches("tip: ")).collect();
    text.join("; ")
}

#[cfg(test)]
mod tests;
