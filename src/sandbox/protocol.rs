//! What sandtop and the inside of the sandbox say to each other, over one SOCK_SEQPACKET pair. Its other end closing is
//! the liveness signal: when sandtop is gone, init ends, and with it everything in the pid namespace.

use crate::event::{StartFailure, Status, Step};

/// From sandtop to init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start the command. L's `cgroup.procs`, open for writing, comes with it, and those of the other groups that it is to join.
    Go {
        /// Whether the last descriptor is none to join, but the `freezer.state` of one of them: v1's freezer holds even those that were killed,
        /// so that init has to thaw them when sandtop is gone.
        thaws: bool,
        /// Whether the one before that, or the last, is none either, but the file of the CPU quota, which init lifts then.
        lifts: bool,
    },
    /// Send the main process this signal.
    Signal(i32),
    /// The CPU quota is (or may be) in force: init is not to die with sandtop, but to lift it first.
    Outlive,
    /// Kill all processes at once: an OOM kill takes the whole workload.
    KillAll,
}

/// From inside to sandtop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The helper made init; this is its pid outside.
    Init(i32),
    /// The main process joined the group and is about to exec; this is its pid inside. The kernel stamps its pid outside on it.
    Joined(i32),
    /// The command did not start.
    Failed(StartFailure),
    /// The main process ended so, and others are left, who are being killed.
    MainEnded(Status),
    /// The main process ended, and everything else.
    Ended {
        /// How.
        status: Status,
        /// How many others were left, and were killed.
        left_behind: u32,
    },
}

/// The longest message.
pub const MAX_MESSAGE: usize = 4200;

impl Order {
    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Order::Go { thaws, lifts } => vec![b'g', u8::from(thaws), u8::from(lifts)],
            Order::Outlive => vec![b'o'],
            Order::Signal(n) => [&[b's'][..], &n.to_ne_bytes()].concat(),
            Order::KillAll => vec![b'k'],
        }
    }

    /// From bytes; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Order> {
        match (bytes.first()?, number(bytes, 1)) {
            (b'g', _) => Some(Order::Go { thaws: *bytes.get(1)? != 0, lifts: *bytes.get(2)? != 0 }),
            (b'o', _) => Some(Order::Outlive),
            (b's', Some(n)) => Some(Order::Signal(n)),
            (b'k', _) => Some(Order::KillAll),
            _ => None,
        }
    }
}

impl Report {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let two = |tag: u8, a: i32, b: i32| [&[tag][..], &a.to_ne_bytes(), &b.to_ne_bytes()].concat();
        match self {
            Report::Init(pid) => two(b'i', *pid, 0),
            Report::Joined(pid) => two(b'j', *pid, 0),
            Report::Failed(failure) => {
                let step = STEPS.iter().position(|s| *s == failure.step).unwrap_or(0) as i32;
                let what: String = failure.what.chars().take(1000).collect();
                [two(b'f', step, failure.errno), what.into_bytes()].concat()
            }
            Report::MainEnded(Status::Signalled(n)) => two(b'K', *n, 0),
            Report::MainEnded(Status::Exited(n)) => two(b'E', *n, 0),
            Report::MainEnded(_) => two(b'L', 0, 0),
            Report::Ended { status: Status::Signalled(n), left_behind } => two(b'k', *n, *left_behind as i32),
            Report::Ended { status: Status::Exited(n), left_behind } => two(b'e', *n, *left_behind as i32),
            Report::Ended { left_behind, .. } => two(b'l', 0, *left_behind as i32),
        }
    }

    /// From bytes; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Report> {
        let (tag, a, b) = (*bytes.first()?, number(bytes, 1)?, number(bytes, 5)?);
        let ended = |status| Report::Ended { status, left_behind: b as u32 };
        Some(match tag {
            b'i' => Report::Init(a),
            b'j' => Report::Joined(a),
            b'f' => Report::Failed(StartFailure {
                step: *STEPS.get(a as usize)?,
                what: String::from_utf8_lossy(&bytes[9..]).into_owned(),
                errno: b,
            }),
            b'k' => ended(Status::Signalled(a)),
            b'e' => ended(Status::Exited(a)),
            b'l' => ended(Status::SandboxLost),
            b'K' => Report::MainEnded(Status::Signalled(a)),
            b'E' => Report::MainEnded(Status::Exited(a)),
            b'L' => Report::MainEnded(Status::SandboxLost),
            _ => return None,
        })
    }
}

const STEPS: [Step; 12] = [
    Step::Unshare,
    Step::Mount,
    Step::Hostname,
    Step::Network,
    Step::Join,
    Step::Workdir,
    Step::User,
    Step::Privileges,
    Step::Terminal,
    Step::Fork,
    Step::Exec,
    Step::Interpreter,
];

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_said_is_understood() {
        let gos = [(false, false), (true, false), (false, true), (true, true)];
        let gos = gos.map(|(thaws, lifts)| Order::Go { thaws, lifts });
        for order in gos.into_iter().chain([Order::Signal(15), Order::KillAll, Order::Outlive]) {
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
        for step in STEPS {
            let report = Report::Failed(StartFailure { step, what: "/bin/x".into(), errno: 13 });
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        for status in [Status::Exited(3), Status::Signalled(9), Status::SandboxLost] {
            let report = Report::Ended { status: status.clone(), left_behind: 4 };
            assert_eq!(Report::decode(&report.encode()), Some(report));
            let report = Report::MainEnded(status);
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        for report in [Report::Init(77), Report::Joined(2)] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    proptest! {
        #[test]
        fn noise_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Order::decode(&bytes), Report::decode(&bytes));
        }
    }
}
