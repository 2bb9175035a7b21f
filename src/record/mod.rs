//! Runs on disk: the format, the recorder that writes it, the reader that trusts nothing, and where the last runs are kept.
//!
//! A recording is the very stream of events that every consumer sees. Refuses: to hold up the supervisor, and to know what an event means.

mod bounds;
pub mod format;
pub mod keep;
mod reader;
mod thin;
mod unpack;
mod writer;

pub use reader::{Caution, Damage, NO_RUN, Recording, read, read_run};
pub use thin::{Thinned, halve};
pub use writer::{Recorder, Target};

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    error::{Error, Result},
    plan::Plan,
};

/// What is wanted of the recorder.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// The run is kept beside the last ones, if it can be.
    Keep,
    /// The run goes to this file, which is open.
    Record(Target, Arc<File>),
}

impl Wish {
    /// Opens the file that was asked for, so that a bad path costs no run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(file: Option<&Path>, keep: bool) -> Result<Wish> {
        Ok(match file {
            Some(path) => {
                let file = keep::create(path)?;
                Wish::Record(Target { path: path.into() }, Arc::new(file))
            }
            None if keep => Wish::Keep,
            None => Wish::Nothing,
        })
    }

    /// Whether somebody asked for a file: who does not get it is told by the exit code too.
    pub fn is_asked_for(&self) -> bool {
        matches!(self, Wish::Record(..))
    }

    /// Starts the recorder that was wished for. Where nobody has a home nothing is kept, and that is no error. The file of a run that is kept is made
    /// beside the start: it takes as long as a third of it.
    ///
    /// # Errors
    /// When it cannot be started; the run goes on without.
    pub fn start(&self, plan: &Plan) -> Result<Option<Recorder>> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let header = format::Header::new(plan.shown.clone(), plan.limit, wall);
        match self {
            Wish::Nothing => Ok(None),
            Wish::Keep => {
                let Some(dir) = keep::dir() else { return Ok(None) };
                Recorder::start(move || keep::file_for(&dir, wall), header).map(Some)
            }
            Wish::Record(target, file) => {
                let file = file.try_clone().map_err(|e| Error::io("write", &target.path, e))?;
                let path = target.path.clone();
                Recorder::start(move || Ok((path, file)), header).map(Some)
            }
        }
    }
}
