//! The command itself: reads the recording, writes what is asked for. All else in this module is pure.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Kind, Source, cast, plain, render, selected, take_away,
    text::{visible, visible_lines},
    write::write,
};
use crate::{
    cli, config,
    error::{Error, Result, panic_if_asked},
    event::Stamped,
    files,
    headless::{print, tell},
    record::{self, keep},
    sentences::Language,
    session::Session,
    tui::{picture::Picture, theme::Theme},
};

/// What standard output is called.
const STDOUT: &str = "-";

/// Makes the reports that are asked for; the exit code.
///
/// # Errors
/// When the recording cannot be read, a report cannot be written, or it is not clear which.
pub fn run(options: &cli::Report) -> Result<u8> {
    files::limits_are_errors();
    panic_if_asked("report");
    let path = recording(options)?;
    let outputs = outputs(options, &path)?;
    let mut recording = record::read_run(&path)?;
    let cautions = recording.cautions();
    for caution in &cautions {
        let (what, text) = Language::English.caution(caution);
        tell(&format!("{} {what}: {text}", path.display()));
    }
    selected(&mut recording, options.run, options.at)
        .map_err(|why| Error::new(format!("{}: {why}", path.display())))?;
    let mut session = Session::default();
    recording.events.iter().for_each(|stamped| session.apply(stamped));
    let source =
        Source { header: &recording.header, session: &session, events: &recording.events, cautions: &cautions };
    for (out, kind) in &outputs {
        if *kind == Kind::Cast && !cast::has_output(source.events) {
            tell(Language::English.no_output());
        }
        let bytes = match options.screen.filter(|_| *kind == Kind::Svg) {
            Some(size) => screen(options, size, source.events)?.into_bytes(),
            None => render(*kind, &source),
        };
        if out == Path::new(STDOUT) {
            print(&bytes)?;
        } else {
            write(out, &bytes)?;
            print(format!("{}\n", visible(&out.display().to_string())).as_bytes())?;
        }
    }
    for (n, system) in options.systems.iter().enumerate() {
        let gap = if n > 0 { "\n" } else { "" };
        let title = if options.systems.len() > 1 { format!("# {}\n", system.name()) } else { String::new() };
        print(visible_lines(&format!("{gap}{title}{}", take_away(*system, &session))).as_bytes())?;
    }
    if outputs.is_empty() && options.systems.is_empty() {
        print(plain::plain(&source).as_bytes())?;
    }
    Ok(0)
}

/// The screen as it was after these events.
fn screen(options: &cli::Report, size: (u16, u16), events: &[Stamped]) -> Result<String> {
    let themes = config::path().as_deref().and_then(config::themes);
    let theme = Theme::load(options.theme.as_deref().unwrap_or("truecolor"), themes.as_deref())?; // a picture has all colours
    let picture =
        Picture::new(events, size, &options.press, theme).map_err(|why| Error::new(format!("--press: {why}")))?;
    Ok({ picture }.svg())
}

/// The file of the recording that is asked for.
fn recording(options: &cli::Report) -> Result<PathBuf> {
    match (&options.file, options.last) {
        (Some(file), _) => Ok(file.clone()),
        (None, Some(number)) => keep::last(number),
        (None, None) => Err(Error::new("which recording? try: sandtop report FILE, or: sandtop report --last")),
    }
}

/// Where each report goes and what kind it is. Checked before anything is read.
fn outputs(options: &cli::Report, recording: &Path) -> Result<Vec<(PathBuf, Kind)>> {
    let ours = fs::metadata(recording).ok();
    let same =
        |other: &Metadata| ours.as_ref().is_some_and(|ours| (ours.dev(), ours.ino()) == (other.dev(), other.ino()));
    let mut outputs = Vec::new();
    for out in &options.output {
        let kind = match (Kind::of(out), options.format) {
            (Some(kind), Some(format)) if kind != format && options.output.len() == 1 => {
                return Err(Error::new(format!("{} is named as one kind and --format says another", out.display())));
            }
            (Some(kind), _) => kind,
            (None, Some(format)) => format,
            (None, None) if out == Path::new(STDOUT) => {
                return Err(Error::new("-o - needs --format: html, svg, md, csv, json or cast"));
            }
            (None, None) => {
                let name = out.display();
                return Err(Error::new(format!(
                    "what is {name} to be? a report ends in .html, .svg, .md, .csv, .json or .cast (or say --format)"
                )));
            }
        };
        if out != Path::new(STDOUT) && fs::metadata(out).is_ok_and(|about| same(&about)) {
            return Err(Error::new(format!("{} is the recording itself, which is never written over", out.display())));
        }
        if fs::metadata(out).is_ok_and(|about| about.is_dir()) && out != Path::new(STDOUT) {
            return Err(Error::new(format!("{} is a directory", out.display())));
        }
        outputs.push((out.clone(), kind));
    }
    Ok(outputs)
}
