//! The files that tell others of a run: JSON, JUnit, Markdown. Each is opened before the run and written when it is over, from one [`Document`].
//!
//! A file that cannot be opened costs no run; a run that fails, or that could not even be started, still writes them all. Refuses: to know more
//! than the document.

pub mod junit;
pub mod summary;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    cli,
    error::{Error, Result},
    files,
    headless::tell,
    resolve,
    result::{Document, document, failed},
    session::Session,
    supervisor::internal_error,
};

/// All that were asked for, open.
pub struct Outputs {
    sinks: Vec<Sink>,
    command: Vec<String>,
}

/// One of them.
struct Sink {
    form: &'static Form,
    path: PathBuf,
    to: Box<dyn Write>,
}

/// What is written, and how.
struct Form {
    text: fn(&Document) -> Result<String>,
    /// What is there stays.
    appends: bool,
}

const JSON: Form = Form { text: json, appends: false };
const JUNIT: Form = Form { text: |document| Ok(junit::xml(document)), appends: false };
const SUMMARY: Form = Form { text: |document| Ok(summary::page(document)), appends: true };

impl Outputs {
    /// Opens them. `recording` is where the run will be recorded, if it will.
    ///
    /// # Errors
    /// When one cannot be opened; those that could are told of it.
    pub fn open(wanted: &cli::Outputs, recording: Option<&Path>, command: &[OsString]) -> Result<Outputs> {
        files::are_distinct(&[
            ("--json", wanted.json.as_deref()),
            ("--junit", wanted.junit.as_deref()),
            ("--summary", wanted.summary.as_deref()),
            ("--record", recording),
        ])?;
        let mut refused = None;
        let wanted = [(&JSON, &wanted.json), (&JUNIT, &wanted.junit), (&SUMMARY, &wanted.summary)];
        let mut outputs = Outputs { sinks: Vec::new(), command: resolve::shown(command) };
        for (form, path) in wanted {
            let Some(path) = path else { continue };
            match open(path, form.appends) {
                Ok(to) => outputs.sinks.push(Sink { form, path: path.clone(), to }),
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        let Some(e) = refused else { return Ok(outputs) };
        let document = failed(&Session::default(), &outputs.command, now_ms(), &e);
        outputs.put(&document).iter().for_each(|e| tell(&e.to_string()));
        Err(e)
    }

    /// Whether none was asked for.
    pub fn are_none(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Writes what the session adds up to, or why there is no result; the exit code, or the error, as it was.
    ///
    /// # Errors
    /// The error that was given. Where one cannot be written that is told, and is an error where the run's own code is 0.
    pub fn write(self, session: &Session, ended: Result<u8>) -> Result<u8> {
        if self.sinks.is_empty() {
            return ended;
        }
        let document = match &ended {
            Ok(_) => document(session).ok_or_else(|| internal_error("a run without a result"))?,
            Err(e) => failed(session, &self.command, now_ms(), e),
        };
        let mut unwritten = self.put(&document);
        let first = if matches!(ended, Ok(0)) && !unwritten.is_empty() { Some(unwritten.remove(0)) } else { None };
        unwritten.iter().for_each(|e| tell(&e.to_string()));
        first.map_or(ended, Err)
    }

    /// Writes them all; why those could not be written that could not.
    fn put(self, document: &Document) -> Vec<Error> {
        files::limits_are_errors();
        self.sinks.into_iter().filter_map(|sink| sink.write(document).err()).collect()
    }
}

impl Sink {
    fn write(mut self, document: &Document) -> Result<()> {
        let text = (self.form.text)(document)?;
        match self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()), // the reader has what it wanted
            other => other.map_err(|e| match self.path == Path::new("-") {
                true => Error::sys("write to standard output", e),
                false => Error::io("write", &self.path, e),
            }),
        }
    }
}

fn json(document: &Document) -> Result<String> {
    crate::result::json(document).map_err(|e| internal_error(&e.to_string()))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Opens the file before the run, so that a bad path costs no run. Under sudo it is the caller's.
fn open(path: &Path, appends: bool) -> Result<Box<dyn Write>> {
    if path == Path::new("-") {
        files::stdout_is_open()?;
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(files::open(path, appends, 0o666)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        event::Controller,
        result::RunDocument,
        session::{HighestFrom, outcome::Outcome},
    };

    /// The document of `make test`, which passed, with a change.
    pub fn document(change: impl FnOnce(&mut RunDocument)) -> Document {
        let mut run = RunDocument {
            run: Some(1),
            command: vec!["make".into(), "test".into()],
            started_ms: 1_767_323_045_000,
            outcome: Some(Outcome::Exited),
            verdict: Some("make exited 0 after 1.25 s; peak 93M of 100M, 0 limit hits; exit code 0".into()),
            exit_code: Some(0),
            sandtop_exit_code: Some(0),
            wall_seconds: Some(1.25),
            limit_bytes: Some(100 << 20),
            limit_at_start_bytes: Some(100 << 20),
            swap_allowed_bytes: Some(0),
            peak_bytes: Some(93 << 20),
            highest_bytes: Some(93 << 20),
            highest_from: Some(HighestFrom::Kernel),
            limit_hits: Some(0),
            oom_kills: Some(0),
            controller: Some(Controller::V2),
            ..RunDocument::default()
        };
        change(&mut run);
        Document { schema: crate::result::SCHEMA, run, error: None, earlier_runs: Vec::new(), forgotten_runs: 0 }
    }

    /// The JUnit report and the summary of a document.
    pub fn written(document: &Document) -> [String; 2] {
        [junit::xml(document), summary::page(document)]
    }

    #[test]
    fn a_process_that_the_kernel_counted_twice_is_told_as_one_beside_the_kernels_count() {
        let twice = document(|run| (run.oom_kills, run.oom_kills_repeated) = (Some(3), 1));
        let [xml, page] = written(&twice);
        for property in ["oom_kills\" value=\"3\"", "oom_kills_repeated\" value=\"1\""] {
            assert!(xml.contains(property), "{xml}");
        }
        assert!(page.contains("| OOM kills | 2, counted 3 times |"), "{page}");
        let numbers = crate::report::words::numbers(&twice.run);
        let kills = numbers.iter().find(|number| number.name == "OOM kills").expect("a row");
        assert_eq!((kills.value.as_deref(), kills.text.as_str()), (Some("3"), "2, counted 3 times"));
        let [xml, page] = written(&document(|run| run.oom_kills = Some(3)));
        assert!(!xml.contains("oom_kills_repeated") && page.contains("| OOM kills | 3 |"), "{xml}{page}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_told_to_those_that_could() {
        let dir = tempfile::tempdir().unwrap();
        let (json, summary) = (dir.path().join("x.json"), dir.path().join("x.md"));
        let junit = Some(dir.path().join("no/such/x.xml"));
        let wanted = cli::Outputs { json: Some(json.clone()), junit, summary: Some(summary.clone()) };
        let e = Outputs::open(&wanted, None, &["make".into()]).err().unwrap();
        assert!(e.to_string().contains("no/such/x.xml"), "{e}");
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        assert_eq!((&json["outcome"], &json["sandtop_exit_code"]), (&"failed_to_start".into(), &125.into()));
        assert!(json["error"]["message"].as_str().unwrap().contains("no/such/x.xml"), "{json}");
        assert!(std::fs::read_to_string(summary).unwrap().contains("no/such/x.xml"), "also what comes after it");
    }
}
