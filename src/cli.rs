//! The command line: what was typed, and nothing of the world. Reads no file, no environment, no clock.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, error::ErrorKind};

use crate::error::Error;

/// Launch a workload under a memory limit, watch what the kernel does to it, and move the limit while it runs.
#[derive(Debug, Parser)]
#[command(name = "sandtop", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    override_usage = "sandtop [OPTIONS] [--] COMMAND [ARG]...\n       sandtop run [OPTIONS] [--] COMMAND [ARG]...\n       sandtop demo [OPTIONS] [NAME]\n       sandtop clean"
)]
#[command(
    after_help = "Sizes are binary: 200m is 209715200 bytes. Exit codes: the command's own; 128+N for signal N (137: \
killed, the OOM killer's way too); 124 --timeout; 125 sandtop failed; 126 not executable; 127 not found."
)]
pub struct Cli {
    /// What to do; without one of these, COMMAND is watched on the screen.
    #[command(subcommand)]
    pub mode: Option<Mode>,
    /// How to run it.
    #[command(flatten)]
    pub options: Options,
    /// The command to watch, and its arguments.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true)]
    pub command: Vec<OsString>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// The same without a screen: for scripts and CI
    Run(Run),
    /// A built-in workload that shows what a limit does (no NAME: the classic OOM)
    Demo(Demo),
    /// Remove groups whose sandtop is gone
    Clean(Clean),
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
    /// Write the result as one JSON object to FILE (`-`: standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Do not print the line at the end
    #[arg(short, long)]
    pub quiet: bool,
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true)]
    pub command: Vec<OsString>,
}

/// `sandtop demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// How to run it.
    #[command(flatten)]
    pub options: Options,
    /// Which one
    #[arg(value_name = "NAME", default_value = "oom")]
    pub name: crate::demo::Name,
}

/// `sandtop clean`.
#[derive(Debug, Args)]
pub struct Clean {
    /// Look below this group of the memory hierarchy
    #[arg(long, value_name = "GROUP")]
    pub cgroup_parent: Option<PathBuf>,
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
    override_usage = "sandtop run [OPTIONS] [--] COMMAND [ARG]..."
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
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Run as this user: name or id, with :GROUP if wanted [under sudo: the caller]
    #[arg(short, long, value_name = "USER[:GROUP]")]
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
    /// How often to sample, 1ms to 10s; faster by itself while things move
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "100ms")]
    pub interval: Duration,
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
    let parsed = match args.get(1) {
        Some(word) if word == "run" => RunAlone::try_parse_from(&args[1..]).map(|alone| {
            let mode = Some(Mode::Run(alone.run));
            Cli { mode, options: Options::default(), command: Vec::new() }
        }),
        _ => Cli::try_parse_from(args),
    };
    parsed.map_err(|e| match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(e.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingRequiredArgument => Err(Error::new(
            format!("{}; try: sandtop -- stress --vm-bytes 200m --vm-keep -m 1, or: sandtop demo; sandtop --help tells more", missing(&e)),
        )),
        ErrorKind::UnknownArgument => Err(Error::new(unknown(&one_line(&e.render().to_string())))),
        _ => Err(Error::new(one_line(&e.render().to_string()))),
    })
}

/// An option that is not ours; one of `run`'s says so.
fn unknown(text: &str) -> String {
    let of_run = ["'--json'", "'-q'", "'--quiet'"].iter().any(|option| text.contains(option));
    let advice = if of_run { "that is an option of: sandtop run" } else { "sandtop --help lists the options" };
    format!("{text}; {advice}")
}

fn missing(e: &clap::Error) -> String {
    let text = one_line(&e.render().to_string());
    if text.contains("COMMAND") { "there is no command to run".into() } else { text }
}

/// clap's error, without its second line, its usage and its advice to read the help.
fn one_line(rendered: &str) -> String {
    // "To pass it as a value" is about a parser, not about what the user wants.
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("as a value"));
    let told = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let text: Vec<&str> = told.map(|line| line.trim_start_matches("error: ").trim_start_matches("tip: ")).collect();
    text.join("; ")
}

/// A duration: `500ms`, `1.5s`, `2m`, or a bare number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || "a time is 30, 500ms, 1.5s or 2m".to_string();
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| refuse())?,
        Err(_) => fraction(text).or_else(|| humantime::parse_duration(text).ok()).ok_or_else(refuse)?,
    };
    if parsed.is_zero() || parsed > Duration::from_secs(100 * 365 * 86400) { Err(refuse()) } else { Ok(parsed) }
}

/// `1.5s`: humantime knows whole numbers only.
fn fraction(text: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    units.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    let refuse = "an interval is 1ms to 10s".to_string();
    match duration(text) {
        Ok(d) if (Duration::from_millis(1)..=Duration::from_secs(10)).contains(&d) => Ok(d),
        _ => Err(refuse),
    }
}

fn capability(name: &str) -> Result<u64, String> {
    crate::sandbox::privileges::capability(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Cli {
        parse(line.split(' ').map(OsString::from)).unwrap_or_else(|e| panic!("{line}: {e:?}"))
    }

    fn refused(line: &str) -> String {
        match parse(line.split(' ').map(OsString::from)) {
            Err(Err(e)) => e.to_string(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_commands_own_options_are_its_own() {
        for line in ["sandtop -- stress --vm-bytes 200m -m 1", "sandtop stress --vm-bytes 200m -m 1"] {
            let cli = parsed(line);
            assert_eq!(cli.command, ["stress", "--vm-bytes", "200m", "-m", "1"]);
            assert_eq!(cli.options.memory, None);
        }
        let cli = parsed("sandtop -m 64M -- run --json x");
        assert_eq!(cli.command, ["run", "--json", "x"]);
        assert!(cli.mode.is_none());
    }

    #[test]
    fn run_takes_the_same_options() {
        let Some(Mode::Run(run)) = parsed("sandtop run -m -1 --json - -q -e A=b --timeout 1.5s sh -c x").mode else {
            panic!("not run")
        };
        assert_eq!(run.options.memory.as_deref(), Some("-1"));
        assert_eq!(run.options.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(run.command, ["sh", "-c", "x"]);
    }

    #[test]
    fn a_bad_argument_gets_one_line() {
        for (line, word) in [
            ("sandtop --memroy 5m ls", "--memory"),
            ("sandtop --interval 1h ls", "1ms to 10s"),
            ("sandtop --interval 0 ls", "1ms to 10s"),
            ("sandtop --timeout soon ls", "500ms"),
            ("sandtop --network some ls", "none"),
            ("sandtop --cap-add CHOWN ls", "SYS_ADMIN"),
            ("sandtop --unshare user ls", "uts"),
            ("sandtop", "sandtop demo"),
            ("sandtop run", "no command"),
            ("sandtop -m", "SIZE"),
        ] {
            let said = refused(line);
            assert!(said.contains(word) && said.lines().count() == 1, "{line}: {said}");
        }
    }

    #[test]
    fn times_are_what_people_type() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "-1", "0", "nan", "inf", "1e300", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
