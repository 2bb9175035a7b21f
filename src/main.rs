//! Parses, runs, and turns the result into an exit code. Refuses: everything else.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    panic::catch_unwind,
    process::ExitCode,
};

use sandtop::{
    cgroup, cli,
    cli::{Cli, Mode},
    demo,
    error::{EXIT_FAILED, Error, Result},
    headless::{self, Report, tell},
    mountinfo, resolve, sandbox,
    supervisor::{internal_error, panic_text},
    tui,
};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|a| a == sandbox::INIT_COMMAND) {
        return init(&args[2..]);
    }
    std::panic::set_hook(Box::new(|_| {})); // told below in one line, never as a backtrace
    let result = catch_unwind(|| start(args)).unwrap_or_else(|panic| Err(internal_error(&panic_text(&*panic))));
    result.map_or_else(
        |e| {
            tell(&e.to_string());
            ExitCode::from(EXIT_FAILED)
        },
        ExitCode::from,
    )
}

/// The re-exec'd inside of a sandbox; anyone else who says this word is told that it is none.
fn init(args: &[OsString]) -> ExitCode {
    let number = |n: usize| args.get(n).and_then(|a| a.to_str()).and_then(|a| a.parse().ok());
    match (number(0), number(1)) {
        (Some(control), Some(spec)) => sandbox::init::helper(control, spec),
        _ => {
            tell("__init is sandtop's own; there is nothing to see here");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn start(args: Vec<OsString>) -> Result<u8> {
    match cli::parse(args) {
        Ok(cli) => run(cli),
        Err(Ok(text)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            Ok(0)
        }
        Err(Err(e)) => Err(e),
    }
}

fn run(cli: Cli) -> Result<u8> {
    match cli.mode {
        None => watch(resolve::plan(&cli.options, cli.command)?),
        Some(Mode::Run(run)) => {
            headless::run(resolve::plan(&run.options, run.command)?, &Report { json: run.json, quiet: run.quiet })
        }
        Some(Mode::Demo(demo)) => {
            let mut plan = resolve::plan(&demo.options, demo::argv(demo.name))?;
            plan.program = Some("/proc/self/exe".into());
            plan.shown = vec!["demo".into(), "oom".into()];
            watch(plan)
        }
        Some(Mode::Clean(clean)) => cleaned(clean),
        Some(Mode::Worker(worker)) => demo::work(&worker.work),
    }
}

/// The screen, where there is one.
fn watch(plan: sandtop::plan::Plan) -> Result<u8> {
    if !io::stdout().is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return headless::run(plan, &Report::default());
    }
    tui::run(plan)
}

fn cleaned(options: cli::Clean) -> Result<u8> {
    let hierarchy = cgroup::detect(&mountinfo::read()?)?;
    let parent = resolve::parent(&hierarchy.root, options.cgroup_parent.as_deref())?;
    let cleaned = cgroup::clean::clean(&parent)?;
    let mut out = io::stdout();
    for name in &cleaned.removed {
        let _ = writeln!(out, "removed {name}");
    }
    for name in &cleaned.alive {
        let _ = writeln!(out, "left alone {name}: its sandtop runs");
    }
    for name in &cleaned.foreign {
        let _ = writeln!(out, "left alone {name}: it belongs to another pid namespace");
    }
    if cleaned == cgroup::clean::Cleaned::default() {
        let _ = writeln!(out, "nothing to clean below {}", parent.display());
    }
    match cleaned.failed.first() {
        Some((name, why)) => Err(Error::new(format!("{name} stays: {why}"))),
        None => Ok(0),
    }
}
