//! The document where sandtop itself failed: the same fields, so that whoever reads it needs no second way.

use super::{Document, ErrorDocument, RunDocument, SCHEMA, State, document};
use crate::{
    error::{EXIT_FAILED, Error, printable},
    session::{
        Session,
        outcome::{EndedBy, Outcome},
    },
};

/// The document of a run that could not be started, or whose supervisor was lost: what is known of it, and the error.
pub fn failed(session: &Session, command: &[String], wall_ms: u64, error: &Error) -> Document {
    let (message, remedy) = error.parts();
    let message = printable(message);
    let mut document = document(session).unwrap_or_else(|| Document {
        schema: SCHEMA,
        run: RunDocument { command: command.to_vec(), started_ms: wall_ms, ..RunDocument::default() },
        error: None,
        earlier_runs: Vec::new(),
        forgotten_runs: 0,
    });
    let run = &mut document.run;
    run.state = State::Ended; // whatever there was of it is removed
    run.next_victim = None;
    run.processes.iter_mut().for_each(|process| process.badness_bytes = None);
    let lost = if run.run.is_some() { Outcome::SandboxLost } else { Outcome::FailedToStart };
    run.outcome = run.outcome.or(Some(lost));
    run.ended_by = run.ended_by.or(run.run.map(|_| EndedBy::Lost));
    run.verdict = Some(message.clone());
    run.sandtop_exit_code = Some(EXIT_FAILED);
    document.error = Some(ErrorDocument { message, remedy: remedy.map(String::from) });
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Stamped, result::RunDocument};

    #[test]
    fn what_was_lost_while_it_ran_keeps_what_was_known_of_it() {
        let text = include_str!("../../tests/data/dd-cache.jsonl");
        let mut session = Session::default();
        for line in text.lines().take(30) {
            session.apply(&serde_json::from_str::<Stamped>(line).unwrap());
        }
        let alive = document(&session).unwrap();
        assert_eq!((alive.run.state, alive.run.outcome), (State::Running, None));
        let lost = failed(&session, &["never looked at".into()], 1, &Error::new("internal error: x\ny"));
        let told = RunDocument {
            state: State::Ended,
            outcome: Some(Outcome::SandboxLost),
            ended_by: Some(EndedBy::Lost),
            verdict: Some("internal error: x?y".into()),
            sandtop_exit_code: Some(125),
            next_victim: None,
            ..alive.run
        };
        assert_eq!(lost.run, told);
        assert_eq!(lost.error.unwrap().message, "internal error: x?y");
    }
}
