//! Which signals sandtop takes for itself, and what they are to it. The replay takes the same.

use std::time::Duration;

use nix::{
    sys::signal::{SigSet, Signal},
    unistd::Pid,
};

/// A screen that does not go within this after a signal is stuck in a terminal that takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Signals that end a sandtop with a screen; `run` passes those on that it does not end at.
const ENDING: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGALRM,
    Signal::SIGABRT,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
];

/// Signals that the supervisor takes, and that must be blocked in every thread. One that was ignored when sandtop was started stays
/// ignored (`nohup`): a blocked signal would reach the signalfd all the same.
pub fn taken(screen: bool) -> SigSet {
    let mut set = SigSet::from_iter(ENDING);
    set.add(Signal::SIGUSR1);
    set.add(Signal::SIGUSR2);
    if screen {
        set.add(Signal::SIGTSTP); // the terminal is given back before stopping; `run` just stops
    }
    for signal in set.iter().filter(|s| crate::sandbox::was_ignored(*s)).collect::<Vec<_>>() {
        set.remove(signal);
    }
    set
}

/// Whether a signal ends a sandtop with a screen.
pub fn is_ending(signal: i32) -> bool {
    ENDING.iter().any(|s| *s as i32 == signal)
}

/// Whether a process is still in the process group that it started in, which the terminal signals as a whole.
pub fn is_in_group(pid: i32, group: Pid) -> bool {
    nix::unistd::getpgid(Some(Pid::from_raw(pid))).is_ok_and(|theirs| theirs == group)
}
