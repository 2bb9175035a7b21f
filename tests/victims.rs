//! Who is next: the process that was named before memory ran out is the one that the kernel killed.
//!
//! Random groups of processes with random `oom_score_adj`, of which one grows until somebody is killed. In half of them the two that are worst are
//! within a tenth of each other, and in most the one that grows is not the one that goes. Who is named is what the fold of the recording says at the
//! last sample before the kill, by the code that the screen uses. SANDTOP_TEST_TRIALS and SANDTOP_TEST_SEED choose how many, and which.

mod common;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
};

use common::{terminal::Terminal, *};
use sandtop::{
    event::{Event, Stamped, Victim},
    session::Session,
};

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

/// Two as near as this to each other are as bad: what the kernel charges ahead, for each CPU.
fn tie() -> i64 {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as i64);
    256 * 1024 * cpus
}

/// What a process of the built-in worker takes beside what it is asked for, about, in bytes.
const WORKER: u64 = 5 * M;

/// What the kernel holds for each, about, in bytes.
const KERNEL: u64 = 400 * K;

/// What is started: who holds how much with which `oom_score_adj`, and the one that then grows.
#[derive(Clone, Debug)]
struct Trial {
    limit: u64,
    holders: Vec<(u64, u64)>,
    grower: u64,
}

impl Trial {
    /// The badness that each comes to when memory runs out, about, in bytes; the one that grows last.
    fn badness(&self) -> Vec<u64> {
        let held: u64 = self.holders.iter().map(|(size, _)| size).sum();
        let of_adj = |adj: u64| adj * (self.limit / 1000);
        let holders = self.holders.iter().map(|(size, adj)| size + WORKER + of_adj(*adj));
        let grower = (self.limit + WORKER).saturating_sub(held + KERNEL * (1 + self.holders.len() as u64));
        holders.chain([grower + of_adj(self.grower)]).collect()
    }

    /// One that is as it should be: whether the two worst are close to each other, and whether the one that grows is worst.
    fn thrown(dice: &mut Dice, close: bool, grower_goes: bool) -> Trial {
        loop {
            let limit = 64 * M + dice.below(64) * M;
            let count = 2 + dice.below(6); // and the one that grows
            let mut left = limit * 7 / 10;
            let mut holders = Vec::new();
            for _ in 0..count {
                let size = M + dice.below(left.saturating_sub(M) / K) * K;
                left = left.saturating_sub(size).max(M + K);
                holders.push((size, dice.below(600)));
            }
            let trial = Trial { limit, holders, grower: dice.below(600) };
            let mut badness = trial.badness();
            let last = badness[badness.len() - 1];
            badness.sort_unstable();
            let (first, second) = (badness[badness.len() - 1], badness[badness.len() - 2]);
            let near = (first - second) * 100 < first * 8;
            let held: u64 = trial.holders.iter().map(|(size, _)| size + M).sum();
            if near == close && (last == first) == grower_goes && held < limit * 8 / 10 {
                return trial;
            }
        }
    }

    /// The line for sh: all hold before the last one starts to grow, at some MiB in 10 ms.
    fn script(&self) -> String {
        let hold = |(size, adj): &(u64, u64)| format!("start {adj} hold --anon {size} >&3 &\n");
        let holders: String = self.holders.iter().map(hold).collect();
        let held: u64 = self.holders.iter().map(|(size, _)| size).sum();
        let (more, rate) = (self.limit - held + 24 * M, if emulated() { "30M" } else { "200M" });
        format!(
            "start() {{ echo $1 >/proc/self/oom_score_adj; shift; exec {SANDTOP} worker \"$@\"; }}\n\
             rm -f \"$PIPE\"; mkfifo \"$PIPE\"; exec 3<>\"$PIPE\"\n\
             {holders}\
             {}\n\
             start {} fill {more} --rate {rate} &\n\
             wait $!",
            "read said <&3; ".repeat(self.holders.len()),
            self.grower
        )
    }
}

/// One in the line, as it was named.
#[derive(Clone, Debug)]
struct Named {
    host_pid: i32,
    grows: bool,
    held: i64,
    then: i64,
}

/// What was foretold at the last sample before the kill, and whom the kernel killed.
struct Outcome {
    line: Vec<Named>,
    killed: Victim,
}

fn run(trial: &Trial) -> Outcome {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("trial.jsonl");
    let options = format!("-q -m {} --interval 10ms --record {}", trial.limit, path.display());
    let pipe = dir.path().join("said").display().to_string();
    let ended = Sandtop::run(&options).env("PIPE", &pipe).sh(&trial.script()).go();
    assert!(ended.number("oom_kills") > 0, "{trial:?}: {}{}", ended.out, ended.err);
    let recording = sandtop::record::read(&path).unwrap_or_else(|e| panic!("{e}"));
    Outcome { line: named(&recording.events), killed: killed(&recording.events) }
}

/// The line at the last sample before the kill counter moved.
fn named(events: &[Stamped]) -> Vec<Named> {
    let mut session = Session::default();
    let mut line = Vec::new();
    for stamped in events {
        match &stamped.event {
            Event::Sample(sample) if sample.oom_kills.unwrap_or(0) > 0 => break,
            Event::Victim(_) => break,
            _ => {}
        }
        session.apply(stamped);
        if matches!(stamped.event, Event::Sample(_)) {
            let named = |c: &sandtop::session::Candidate| Named {
                host_pid: c.row.process.host_pid,
                grows: c.row.process.command.contains(" fill "),
                held: c.badness_bytes() - c.adj_bytes(),
                then: c.then_bytes(),
            };
            line = session.run().map(|run| run.line().iter().map(named).collect()).unwrap_or_default();
        }
    }
    line
}

/// The first that the kernel says it killed.
fn killed(events: &[Stamped]) -> Victim {
    let victim = |stamped: &Stamped| match &stamped.event {
        Event::Victim(victim) => Some(victim.clone()),
        _ => None,
    };
    events.iter().find_map(victim).expect("the kernel named whom it killed")
}

/// The kernel's own table of its tasks, from its log: pages resident, bytes of page tables and pages swapped out, by pid. Ten dumps in five
/// seconds are printed, and no more.
struct Log(File);

impl Log {
    fn open() -> Log {
        use std::io::Seek;
        let mut file =
            File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg").expect("the log");
        file.seek(std::io::SeekFrom::End(0)).expect("its end");
        Log(file)
    }

    /// The first table since last time: `oom_badness` without the adjustment, in bytes.
    fn table(&mut self) -> BTreeMap<i32, i64> {
        use std::io::Read;
        let (mut table, mut columns, mut whole) = (BTreeMap::new(), Vec::new(), false);
        let mut record = [0; 8192];
        loop {
            let text = match self.0.read(&mut record) {
                Ok(n) => String::from_utf8_lossy(&record[..n]).into_owned(),
                Err(e) if e.raw_os_error() == Some(nix::libc::EPIPE) => continue,
                Err(_) => return table,
            };
            let line = text.split_once(';').map_or("", |(_, line)| line).lines().next().unwrap_or("").to_string();
            whole |= line.starts_with("oom-kill:");
            if line.starts_with("[  pid") {
                columns = line.trim_start_matches("[  pid  ]").split_whitespace().map(String::from).collect();
            } else if let Some((pid, row)) = line.strip_prefix('[').and_then(|l| l.split_once(']')).filter(|_| !whole) {
                let cells: Vec<&str> = row.split_whitespace().collect();
                let of = |name: &str| {
                    let at = columns.iter().position(|column| column == name);
                    at.and_then(|at| cells.get(at)?.parse::<i64>().ok()).unwrap_or(0)
                };
                let pages = of("rss") + of("swapents") + of("pgtables_bytes") / 4096;
                table.insert(pid.trim().parse().unwrap_or(0), pages * 4096);
            }
        }
    }
}

#[test]
fn who_was_named_is_who_the_kernel_killed() {
    if !kernel_tier("who_was_named_is_who_the_kernel_killed") {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let trials = number("SANDTOP_TEST_TRIALS").unwrap_or_else(|| times(200).max(if emulated() { 2 } else { 8 }).into());
    let seed = number("SANDTOP_TEST_SEED").unwrap_or(0x5eed_0002);
    let mut dice = Dice(seed);
    println!("seed {seed}, {trials} trials; two within {} KiB are as bad as each other", tie() / 1024);
    println!("trial  processes  limit  named          killed         margin           ");
    let mut log = Log::open();
    let (mut right, mut ties, mut close, mut others, mut compared) = (0, 0, 0, 0, Vec::new());
    for n in 0..trials {
        let trial = Trial::thrown(&mut dice, n % 2 == 0, n % 8 >= 5);
        let Outcome { line, killed } = run(&trial);
        let first = line.first().expect("somebody is next");
        let taken = line.iter().find(|named| named.host_pid == killed.host_pid);
        let margin = first.then - line.get(1).map_or(0, |second| second.then);
        let missed = taken.map_or(i64::MAX, |taken| first.then - taken.then);
        let word = match taken {
            Some(taken) if taken.host_pid == first.host_pid => "",
            Some(_) if missed <= tie() => "a tie",
            _ => "WRONG",
        };
        right += u64::from(word.is_empty());
        ties += u64::from(word == "a tie");
        close += u64::from(margin * 10 < first.then);
        others += u64::from(taken.is_some_and(|taken| !taken.grows));
        let table = log.table();
        let known = |named: &&Named| !named.grows && table.contains_key(&named.host_pid);
        for named in line.iter().filter(known) {
            println!("{} {}", named.held / 1024, (named.held - table[&named.host_pid]) / 1024);
            compared.push((named.held - table[&named.host_pid]).abs());
        }
        let who = |named: Option<&Named>| {
            named.map_or("?".into(), |n| format!("{}{}", n.host_pid, if n.grows { " grows" } else { "" }))
        };
        println!(
            "{n:>5}  {:>9}  {:>4}M  {:<13}  {:<13}  {:>7.2}M {:>5.1}%  {word}",
            trial.holders.len() + 1,
            trial.limit / M,
            who(Some(first)),
            who(taken),
            margin as f64 / M as f64,
            margin as f64 * 100.0 / first.then as f64,
        );
        if word == "WRONG" {
            println!("       {trial:?}\n       {line:?}\n       {killed:?}");
        }
    }
    println!("{right} right, {ties} ties, of {trials}; {close} within 10 %, in {others} not the one that grew");
    compared.sort_unstable();
    if let Some(most) = compared.last() {
        println!(
            "held by {} processes, against the kernel's own tables: median off by {} KiB, at most {} KiB",
            compared.len(),
            compared[compared.len() / 2] / 1024,
            most / 1024
        );
    }
    assert!((right + ties) * 100 >= trials * 98, "{right} right and {ties} ties of {trials}");
    assert!(close * 2 >= trials, "{close} of {trials} were within 10 %");
    assert!(others * 2 >= trials, "in {others} of {trials} it was not the one that grew");
}

#[test]
fn the_screen_names_who_is_next_and_follows_what_is_set_from_outside() {
    if !kernel_tier("the_screen_names_who_is_next_and_follows_what_is_set_from_outside") {
        return;
    }
    let script = format!("{SANDTOP} worker hold --anon 30M & {SANDTOP} worker hold --anon 20M & wait");
    let mut t = Terminal::start(Sandtop::with("-m 100M").sh(&script).raw(), 200, 60);
    // The shell is 2 inside, and starts these in order.
    let row = |screen: &str, pid: &str| {
        screen.lines().find(|line| line.split_whitespace().next() == Some(pid)).unwrap_or("").to_string()
    };
    let (large, small) = ("3", "4");
    // While they fill it may be either; who holds is known by its size alone.
    t.wait("the larger one is next", |s| row(s, large).contains("☠ 1st") && row(s, small).contains(" 2nd "));
    let smaller = |pid: &i32| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.trim_end_matches('\0').split('\0').skip(2).eq(["hold", "--anon", "20M"])
    };
    let pid = pids_in(&made_group(t.sandtop())).into_iter().find(smaller).expect("it lives");
    fs::write(format!("/proc/{pid}/oom_score_adj"), "500").expect("it may be raised");
    t.wait("the smaller one is next", |s| row(s, small).contains("☠ 1st") && row(s, large).contains(" 2nd "));
    fs::write(format!("/proc/{pid}/oom_score_adj"), "0").expect("it may be lowered again");
    t.wait("the larger one is next again", |s| row(s, large).contains("☠ 1st"));
    t.keys("qy");
    t.end();
}
