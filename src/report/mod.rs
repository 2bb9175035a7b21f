//! `sandtop report`: a recording as a page, a picture, a text, a table or a terminal's recording, and its limits in the words of other systems.
//!
//! Everything here is a pure function of a recording and of the session that it adds up to; only `drive` reads and writes files.

pub mod again;
mod cast;
pub(crate) mod caution;
mod csv;
mod drive;
mod html;
mod legend;
mod markdown;
mod marks;
mod plain;
mod screen;
mod series;
mod svg;
mod take_away;
pub(crate) mod words;
pub(crate) mod write;

use std::{path::Path, time::Duration};

use clap::ValueEnum;

pub use drive::run;
pub use take_away::{System, take_away};

use crate::{
    event::{Event, Stamped},
    record::{Caution, NO_RUN, Recording, format::Header},
    result,
    session::Session,
    text,
};

/// A kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One page that needs nothing else.
    Html,
    /// The chart alone.
    Svg,
    /// Markdown, for an issue or a README.
    Md,
    /// The samples as a table.
    Csv,
    /// The result as `sandtop run --json` writes it.
    Json,
    /// The workload's terminal, as an asciicast.
    Cast,
}

impl Kind {
    /// The kind that a file's name asks for.
    pub fn of(path: &Path) -> Option<Kind> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "htm" => Some(Kind::Html),
            "markdown" => Some(Kind::Md),
            other => Kind::from_str(other, true).ok(),
        }
    }
}

/// What a report is made from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The recording's header.
    pub header: &'a Header,
    /// What the events add up to.
    pub session: &'a Session,
    /// The events themselves.
    pub events: &'a [Stamped],
    /// What has to be known of the recording.
    pub cautions: &'a [Caution],
}

/// A report of one kind, as the bytes of a file.
pub fn render(kind: Kind, source: &Source) -> Vec<u8> {
    match kind {
        Kind::Html => html::page(source),
        Kind::Svg => source.session.run().map_or(String::new(), |run| {
            svg::chart(run, source.session, svg::Look { width: 1080.0, height: 380.0, alone: true })
        }),
        Kind::Md => markdown::page(source),
        Kind::Csv => csv::csv(source),
        Kind::Json => result::document(source.session).map_or(String::new(), |document| {
            result::json(&document).unwrap_or_default() // plain data: it cannot fail
        }),
        Kind::Cast => cast::cast(source),
    }
    .into_bytes()
}

/// The part of a recording that is asked for: one run of it, and all up to a time since that run (else the newest) was let go.
///
/// # Errors
/// One sentence, where there is no such run.
pub fn selected(recording: &mut Recording, run: Option<u32>, until: Option<Duration>) -> Result<(), String> {
    let events = &mut recording.events;
    let starts: Vec<(usize, u32)> = events
        .iter()
        .enumerate()
        .filter_map(
            |(n, stamped)| if let Event::Started(started) = &stamped.event { Some((n, started.run)) } else { None },
        )
        .collect();
    let (Some((_, first)), Some((_, last))) = (starts.first(), starts.last()) else {
        return Err(NO_RUN.into());
    };
    if let Some(wanted) = run {
        let Some(place) = starts.iter().position(|(_, number)| *number == wanted) else {
            return Err(match first == last {
                true => format!("there is no run {wanted} in it, only run {first}"),
                false => format!("there is no run {wanted} in it; there are runs {first} to {last}"),
            });
        };
        events.truncate(starts.get(place + 1).map_or(events.len(), |(n, _)| *n));
        events.drain(..starts[place].0);
    }
    if let Some(until) = until {
        let mut session = Session::default();
        events.iter().for_each(|stamped| session.apply(stamped));
        let end = session.run().map_or(until, |run| run.origin() + until);
        events.retain(|stamped| stamped.at <= end);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
