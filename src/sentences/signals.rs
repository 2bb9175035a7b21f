//! Signals, in words.

use nix::libc;

use super::{Language, processes, signal_name};

impl Language {
    /// What a signal does to who has not arranged for it.
    pub fn signal_does(self, signal: i32) -> &'static str {
        match signal {
            libc::SIGTERM => "asks it to end",
            libc::SIGKILL => "ends it at once",
            libc::SIGSTOP => "stops it, until CONT",
            libc::SIGCONT => "lets it go on",
            libc::SIGINT => "as Ctrl-C does",
            libc::SIGHUP => "its terminal is gone; servers reread their files",
            _ => "what the program makes of it; else it ends",
        }
    }

    /// A process, as a question and the log name it.
    pub fn process(self, name: &str, pid: Option<i32>, host_pid: i32) -> String {
        let pid = pid.map_or_else(|| format!("host pid {host_pid}"), |pid| format!("pid {pid}"));
        if name.is_empty() { pid } else { format!("{name} ({pid})") }
    }

    /// What is asked before a signal is sent to one process.
    pub fn ask_signal(self, signal: i32, who: &str) -> String {
        format!("Send {} to {who}?", signal_name(signal))
    }

    /// The same for all of them.
    pub fn ask_signal_all(self, signal: i32, n: usize) -> String {
        match signal {
            libc::SIGKILL => format!("Kill all {}? The run ends.", processes(n as u64, "")),
            _ => format!("Send {} to all {}?", signal_name(signal), processes(n as u64, "")),
        }
    }

    pub(super) fn signal_sent(self, signal: i32, who: &str) -> String {
        format!("{} sent to {who}, by you", signal_name(signal))
    }

    pub(super) fn all_signalled(self, signal: i32, n: u32) -> String {
        format!("{} sent to {}, by you", signal_name(signal), processes(u64::from(n), ""))
    }
}
