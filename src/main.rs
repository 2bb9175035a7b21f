//! Parses, runs, and turns the result into an exit code. Refuses: everything else.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use sandtop::{
    cgroup,
    ci::Outputs,
    cli,
    cli::{Cli, Mode},
    config::{self, Config, Given},
    demo, doctor,
    error::{EXIT_FAILED, Error, Result},
    front, generate,
    headless::{self, print, tell},
    mountinfo,
    plan::Plan,
    record, report, resolve, sandbox,
    sentences::Language,
    session::Session,
    supervisor::{internal_error, panic_text},
    tui::{self, Looks},
    units::Limit,
};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|a| a == sandbox::INIT_COMMAND) {
        return init(&args[2..]);
    }
    sandbox::default_crash_signals();
    std::panic::set_hook(Box::new(|_| {})); // told below in one line, never as a backtrace
    let ended = catch_unwind(AssertUnwindSafe(|| start(args)));
    ended.unwrap_or_else(|panic| Err(Error::bug(&panic_text(&*panic)))).map_or_else(
        |e| {
            tell(&e.to_string());
            ExitCode::from(EXIT_FAILED)
        },
        ExitCode::from,
    )
}

/// A panic of ours is an error like another, and has ended the sandbox.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(internal_error(&panic_text(&*panic))))
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
        None => {
            let (options, config) = configured(cli.options, &cli.screen)?;
            let looks = config.looks()?;
            caught(|| lent(resolve::plan(&options, cli.command)?, |plan| watch(plan, looks)))
        }
        Some(Mode::Run(run)) => without_screen(run),
        Some(Mode::Demo(demo)) => {
            let (options, config) = configured(demo.options, &demo.screen)?;
            let looks = config.looks()?;
            let mut plan = resolve::plan(&options, demo::argv(demo.name))?;
            plan.program = Some("/proc/self/exe".into());
            plan.shown = vec!["demo".into(), "oom".into()];
            caught(|| lent(plan, |plan| watch(plan, looks)))
        }
        Some(Mode::Replay(replay)) => replayed(&replay),
        Some(Mode::Config(options)) => configuration(&options),
        Some(Mode::Clean(clean)) => cleaned(clean),
        Some(Mode::Report(options)) => report::run(&options),
        Some(Mode::Doctor(options)) => Ok(doctor::run(options.json)),
        Some(Mode::Completions(wanted)) => print(&generate::completions(wanted.shell)).map(|()| 0),
        Some(Mode::Man) => print(&generate::man()?).map(|()| 0),
        Some(Mode::Worker(worker)) => demo::work(&worker.work),
    }
}

/// Options with what is configured beside them, and all that is configured.
fn configured(mut options: cli::Options, screen: &cli::Screen) -> Result<(cli::Options, Config)> {
    let (look, step) = (screen.look.clone(), screen.step);
    let config = Config::read(&Given { look, step, interval: options.interval, memory: options.memory.as_deref() })?;
    config.apply(&mut options);
    Ok((options, config))
}

/// `sandtop config`.
fn configuration(options: &cli::Config) -> Result<u8> {
    let cli::Config { path, memory, interval, step, look } = options;
    if *path {
        let path = config::path().map_or(String::new(), |path| format!("{}\n", path.display()));
        return print(path.as_bytes()).map(|()| 0);
    }
    let (look, memory) = (look.clone(), memory.as_deref());
    memory.map(|text| Limit::parse(text, 1 << 40)).transpose().map_err(|why| Error::new(format!("-m: {why}")))?;
    let config = Config::read(&Given { look, step: *step, interval: *interval, memory })?;
    print(config.printed()?.as_bytes()).map(|()| 0)
}

/// `sandtop run`: whatever comes of it, those who wait for a file are told.
fn without_screen(mut run: cli::Run) -> Result<u8> {
    let outputs = Outputs::open(&run.outputs, run.options.record.as_deref(), &run.command)?;
    let quiet = run.quiet;
    let planned = configured(std::mem::take(&mut run.options), &cli::Screen::default())
        .and_then(|(options, _)| caught(|| resolve::run(&cli::Run { options, ..run })));
    let plan = match planned {
        Ok(plan) => plan,
        Err(e) => return outputs.write(&Session::default(), Err(e)),
    };
    let apart = !outputs.are_none() || plan.recording.is_asked_for() || plan.timeout.is_some();
    let handed_on = plan.descriptors.clone();
    lent(plan, |plan| {
        let work = |front| {
            let mut session = Session::default();
            let ended = caught(|| headless::run(plan, quiet, front, &mut session));
            outputs.write(&session, ended)
        };
        // What is to be written and when it is to end must not be lost to a workload that kills its process group.
        if apart { front::run(&handed_on, |front| work(Some(front))) } else { work(None) }
    })
}

/// Runs a plan, and gives a group back that it was lent.
fn lent(plan: Plan, run: impl FnOnce(Plan) -> Result<u8>) -> Result<u8> {
    let borrowed = plan.borrowed.clone();
    let ended = run(plan);
    if let Some(dir) = borrowed {
        cgroup::place::give_back(&dir);
    }
    ended
}

/// The screen, where there is one.
fn watch(plan: Plan, looks: Looks) -> Result<u8> {
    if !has_screen() {
        return headless::run(plan, false, None, &mut Session::default());
    }
    tui::run(plan, looks)
}

fn has_screen() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A recording on the screen, where there is one.
fn replayed(options: &cli::Replay) -> Result<u8> {
    let mut files = options.files.clone();
    if let Some(number) = options.last {
        files.push(record::keep::last(number)?);
    }
    let (file, before) = match files.as_slice() {
        [file] => (file, None),
        [before, file] => (file, Some(before.as_path())),
        [] => return Err(Error::new("which recording? sandtop replay FILE, or the last run: sandtop replay --last")),
        _ => return Err(Error::new("two recordings can be compared, not three; --last is one of them")),
    };
    if has_screen() {
        let looks = Config::read(&Given { look: options.look.clone(), ..Given::default() })?.looks()?;
        return tui::replay::run(file, before, &looks);
    }
    if let Some(before) = before {
        tell(&Language::English.not_compared(before, file));
    }
    report::run(&cli::Report { file: Some(file.clone()), ..cli::Report::default() })
}

fn cleaned(options: cli::Clean) -> Result<u8> {
    let mounts = mountinfo::read()?;
    let hierarchy = cgroup::detect(&mounts)?;
    let wanted = options.cgroup_parent.as_deref();
    let below = wanted.map(|wanted| cgroup::place::parent(&hierarchy.root, Some(wanted))).transpose()?;
    let cleaned = cgroup::clean::clean(&cgroup::clean::parents(&mounts), below.as_deref())?;
    let mut out = io::stdout();
    for name in &cleaned.removed {
        let _ = writeln!(out, "removed {name}");
    }
    for name in &cleaned.alive {
        let _ = writeln!(out, "left alone {name}: its sandtop runs");
    }
    for name in &cleaned.foreign {
        let _ = writeln!(out, "left alone {name}: it belongs to another pid namespace or user");
    }
    if cleaned == cgroup::clean::Cleaned::default() {
        let _ = writeln!(out, "nothing to clean below {}", below.unwrap_or(hierarchy.root).display());
    }
    for (name, why) in &cleaned.failed {
        tell(&format!("{name} stays: {why}"));
    }
    Ok(if cleaned.failed.is_empty() { 0 } else { EXIT_FAILED })
}
