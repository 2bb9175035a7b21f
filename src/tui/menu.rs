//! What can be done to a process, or to all of them: a signal, or another `oom_score_adj`. Pure: a wish comes out as a [`Command`].

use nix::libc;
use tui_input::Input;

use crate::{
    event::{Change, Command},
    session::{Row, Session},
};

/// The signals that are offered, those first that are sent most.
pub const SIGNALS: [i32; 8] = [
    libc::SIGTERM,
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGCONT,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// What is open of the menu.
#[derive(Clone, Debug)]
pub struct Menu {
    /// The process, by its pid outside.
    pub host_pid: i32,
    /// Whether the whole workload is meant instead.
    pub all: bool,
    /// The chosen signal, as a place in [`SIGNALS`].
    pub chosen: usize,
    /// How far it has come.
    pub stage: Stage,
    /// Whether the line was opened without the list of signals: then one step back is out.
    pub line_alone: bool,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub enum Stage {
    /// A signal is being chosen.
    Choose,
    /// It was chosen, and asked whether it is meant.
    Sure,
    /// An `oom_score_adj` is being typed.
    Adj(Input),
}

impl Menu {
    /// For a process.
    pub fn new(host_pid: i32) -> Menu {
        Menu { host_pid, all: false, chosen: 0, stage: Stage::Choose, line_alone: false }
    }

    /// The line for its `oom_score_adj`, with what it is now in it.
    pub fn adj(host_pid: i32, session: &Session) -> Menu {
        let now = row(session, host_pid).map_or(0, |row| row.process.usage.oom_score_adj);
        Menu { stage: Stage::Adj(Input::new(now.to_string())), line_alone: true, ..Menu::new(host_pid) }
    }

    /// The chosen signal.
    pub fn signal(&self) -> i32 {
        SIGNALS[self.chosen.min(SIGNALS.len() - 1)]
    }

    /// Chooses another one.
    pub fn choose(&mut self, by: i32) {
        self.chosen = self.chosen.saturating_add_signed(by as isize).min(SIGNALS.len() - 1);
    }

    /// Enter: the next stage, or the command that comes of it, with which it closes.
    pub fn enter(&mut self, session: &Session) -> Option<Command> {
        let lives = row(session, self.host_pid).is_some_and(|row| row.died.is_none());
        match &self.stage {
            Stage::Choose if lives || self.all => self.stage = Stage::Sure,
            Stage::Choose => {}
            Stage::Sure if self.all => {
                return Some(match self.signal() {
                    libc::SIGKILL => Command::Stop(libc::SIGKILL), // the run ends, and by the user
                    signal => Command::SignalAll(signal),
                });
            }
            Stage::Sure => return Some(Command::SignalProcess { host_pid: self.host_pid, signal: self.signal() }),
            Stage::Adj(line) => {
                let change = |value| Command::Change(Change::OomScoreAdj { host_pid: self.host_pid, value });
                return typed_adj(line.value()).ok().map(change);
            }
        }
        None
    }
}

/// A process of the newest run.
pub fn row(session: &Session, host_pid: i32) -> Option<&Row> {
    session.run()?.processes.get(&host_pid)
}

/// The number that is typed.
///
/// # Errors
/// One sentence that says what is accepted.
pub fn typed_adj(text: &str) -> Result<i32, String> {
    match text.trim().parse() {
        Ok(n @ -1000..=1000) => Ok(n),
        _ => Err(format!("'{}' is no oom_score_adj; it is -1000 (never taken) to 1000 (taken first)", text.trim())),
    }
}
