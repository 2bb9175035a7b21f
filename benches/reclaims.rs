//! What reclaims before a pause cost where they repeat: `cargo bench --bench reclaims` as root prints, for the same workload in turns
//! under `--oom kill` and `--oom pause`, the ratio of their times (the median of pairs), and for how much of the time the processes
//! stood still. Nothing is asserted: machines are noisy, and a figure is for reading.
//!
//! The workload looks for names that are not there: each stays as a dentry, which takes memory and no disk.

use std::process::{Command, Stdio};

/// How many pairs of runs of each limit.
const PAIRS: usize = 9;

const LOOKS_FOR_NAMES: &str = "import os, sys
salt = os.urandom(6).hex()
for n in range(1000000):
    try: os.stat(f'{sys.argv[1]}/{salt}{n}')
    except OSError: pass
";

/// A run: its time and for how long its processes stood still, in seconds, and how many reclaims there were.
struct Timed {
    wall: f64,
    stood: f64,
    reclaims: u64,
}

fn main() {
    if !nix::unistd::geteuid().is_root() {
        return println!("reclaims: needs root");
    }
    let sandtop = std::env::var("SANDTOP_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sandtop").into());
    println!("binary: {sandtop}");
    for limit in ["16M", "24M", "32M"] {
        measure(&sandtop, limit);
    }
}

fn measure(sandtop: &str, limit: &str) {
    let (mut ratios, mut shares, mut reclaims) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..PAIRS {
        // Which one is first changes, so that a machine that gets slower favours neither.
        let policies = if round % 2 == 0 { ["kill", "pause"] } else { ["pause", "kill"] };
        let [first, second] = policies.map(|policy| run(sandtop, limit, policy));
        let (Some(first), Some(second)) = (first, second) else { continue };
        let (kill, pause) = if round % 2 == 0 { (first, second) } else { (second, first) };
        ratios.push(pause.wall / kill.wall);
        shares.push(pause.stood / pause.wall * 100.0);
        reclaims.push(pause.reclaims as f64);
    }
    let pairs = ratios.len();
    let (Some(ratio), Some(share), Some(reclaims)) = (median(ratios), median(shares), median(reclaims)) else {
        return println!("names under {limit}: did not come to its end without a pause");
    };
    println!(
        "names under {limit} (p50 of {pairs} pairs): {reclaims:.0} reclaims, stood still {share:.1} % of the time (mark: 5)"
    );
    println!("  ratio of time to --oom kill {ratio:.3} (mark: 1.05)");
}

/// `None` where it did not come to its end by itself.
fn run(sandtop: &str, limit: &str, policy: &str) -> Option<Timed> {
    let mut command = Command::new(sandtop);
    command.args(["run", "-q", "--no-keep", "--json", "-", "-m", limit, "--oom", policy, "--timeout", "60", "--"]);
    command.args(["python3", "-c", LOOKS_FOR_NAMES, "/var/tmp"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().expect("it runs");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let paused = result["pauses"].as_array().is_some_and(|pauses| !pauses.is_empty());
    (output.status.success() && !paused).then(|| Timed {
        wall: result["wall_seconds"].as_f64().expect("a time"),
        stood: result["pauses_averted_seconds"].as_f64().expect("a time"),
        reclaims: result["pauses_averted"].as_u64().expect("a count"),
    })
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}
