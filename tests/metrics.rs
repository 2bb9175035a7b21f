//! Metrics: what a scraper is told is what the kernel says and what the recording adds up to, and no scraper holds anything up.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use common::{
    scrape::{Exposition, PROMETHEUS_READS, ask, exposition, get},
    terminal::Terminal,
    *,
};
use nix::sys::signal::Signal;
use sandtop::{event::Event, record, session::Session};

const M: u64 = 1 << 20;

/// A sandtop that serves, where it does, and its recording.
struct Served {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Served {
    /// `sandtop run` with these options, recorded, on a port that is free.
    fn run(options: &str, script: &str) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("run.jsonl");
        let options = format!("--metrics 0 --record {} {options}", record.display());
        let child = Sandtop::run(&options).sh(script).start();
        let address = wait_for("a listener", || listening(supervisor_of(child.pid())));
        Served { child, address, dir }
    }

    fn metrics(&self) -> Exposition {
        exposition(&get(self.address, "/metrics", PROMETHEUS_READS).expect("an exposition").body, true)
    }

    /// Ends it; how it ended, and its recording.
    fn end(self) -> (Ended, record::Recording) {
        self.child.signal(Signal::SIGTERM);
        let ended = self.child.wait();
        let recording = record::read(&self.dir.path().join("run.jsonl")).unwrap_or_else(|e| panic!("{e}"));
        (ended, recording)
    }
}

/// Where a process listens: the socket that it holds, in the kernel's list.
fn listening(pid: i32) -> Option<SocketAddr> {
    let held: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|fd| {
            fs::read_link(fd.path()).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(Into::into)
        })
        .collect();
    let list = fs::read_to_string("/proc/net/tcp").ok()?;
    list.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&"0A") && held.iter().any(|inode| fields.get(9) == Some(&inode.as_str()));
        let port = u16::from_str_radix(fields.get(1)?.strip_prefix("0100007F:")?, 16).ok()?;
        listens.then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// The live document, and how many events it is made of.
fn live(address: SocketAddr) -> Option<(usize, serde_json::Value)> {
    let answer = get(address, "/result.json", "").ok().filter(|answer| answer.status == 200)?;
    assert_eq!(answer.header("X-Sandtop-Events-Lost"), "0");
    Some((answer.header("X-Sandtop-Events").parse().ok()?, serde_json::from_str(&answer.body).ok()?))
}

/// What the recording adds up to after each of these numbers of events is what was served then.
fn compare(recording: &record::Recording, served: &BTreeMap<usize, serde_json::Value>) {
    let mut session = Session::default();
    let mut folded = 0;
    for (place, live) in served {
        recording.events[folded..*place].iter().for_each(|stamped| session.apply(stamped));
        folded = *place;
        assert_eq!(live, &derived(&session), "after {place} events");
    }
}

#[test]
fn a_scrape_says_what_the_kernel_says_in_either_format() {
    let test = "a_scrape_says_what_the_kernel_says_in_either_format";
    if !kernel_tier(test) {
        return;
    }
    let served = Served::run("-m 64M", &format!("{SANDTOP} worker fill 20M --hold; : 'a \"b\\c'"));
    let group = served.child.group();
    wait_for("20M in use, by the two processes there are", || {
        let now = served.metrics();
        let anon = now.value("sandtop_memory_stat_bytes{part=\"anon\"}")?; // the sum moves first
        let used = anon > (19 * M) as f64 && now.value("sandtop_memory_usage_bytes")? > (20 * M) as f64;
        (used && now.value("sandtop_processes")? == pids_in(&group).len() as f64).then_some(())
    });
    let answer = get(served.address, "/metrics", PROMETHEUS_READS).unwrap();
    assert_eq!(answer.header("Content-Type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = exposition(&answer.body, true);
    let answer = get(served.address, "/metrics", "").unwrap();
    assert_eq!(answer.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    let plain = exposition(&answer.body, false);
    assert_eq!(open.names(), plain.names(), "the formats tell the same");

    let value = |name: &str| open.value(&format!("sandtop_{name}")).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(value("memory_limit_bytes"), limit_of(&group) as f64);
    assert_eq!(value("memory_swap_limit_bytes"), 0.0, "nothing is swapped out unless that was asked for");
    assert_eq!(value("memory_headroom_bytes"), value("memory_limit_bytes") - value("memory_usage_bytes"));
    let slack = (2 * M) as f64; // charges go in batches per CPU
    let anon = value("memory_stat_bytes{part=\"anon\"}");
    assert!((anon - (20 * M) as f64).abs() < slack, "{anon}");
    assert_eq!(value("processes"), pids_in(&group).len() as f64);
    assert_eq!((value("run_ended"), value("runs_total"), value("limit_changes_total")), (0.0, 1.0, 0.0));
    assert_eq!((value("oom_kills_total"), value("events_lost_total")), (0.0, 0.0));
    assert!(value("cpu_seconds_total") > 0.0 && value("resident_memory_bytes") > M as f64);
    let info = open.samples.keys().find(|key| key.starts_with("sandtop_run_info{")).expect("an info");
    assert!(info.contains(r#"'a \"b\\c'""#) && info.contains(if is_v2() { "\"v2\"" } else { "\"v1\"" }), "{info}");
    for (family, unit) in [("sandtop_memory_limit_bytes", "bytes"), ("sandtop_cpu_seconds", "seconds")] {
        assert_eq!(open.units.get(family).map(String::as_str), Some(unit));
    }
    // What this kernel does not tell is not there.
    let (_, document) = live(served.address).unwrap();
    for (field, name) in [("peak_bytes", "memory_peak_bytes"), ("swap_bytes", "memory_swap_bytes")] {
        assert_eq!(document[field].is_null(), open.value(&format!("sandtop_{name}")).is_none(), "{field}");
    }
    assert_eq!(document["pressure"].is_null(), open.value("sandtop_pressure_waiting_seconds_total").is_none());
    println!("{} samples of {} families; pressure: {}", open.samples.len(), open.types.len(), document["pressure"]);
    served.end();
}

#[test]
fn no_limit_is_infinite_and_a_change_from_elsewhere_counts() {
    if !kernel_tier("no_limit_is_infinite_and_a_change_from_elsewhere_counts") {
        return;
    }
    let served = Served::run("-m max", "sleep 1000");
    let group = served.child.group();
    let first =
        wait_for("a sample", || Some(served.metrics()).filter(|m| m.value("sandtop_memory_usage_bytes").is_some()));
    assert_eq!(first.value("sandtop_memory_limit_bytes"), Some(f64::INFINITY));
    assert_eq!(first.value("sandtop_memory_headroom_bytes"), Some(f64::INFINITY));
    set_limit(&group, 48 * M);
    let moved = |m: &Exposition| m.value("sandtop_memory_limit_bytes") == Some((48 * M) as f64);
    let then = wait_for("the new limit", || Some(served.metrics()).filter(moved));
    assert_eq!(then.value("sandtop_limit_changes_total"), Some(1.0));
    served.end();
}

#[test]
fn what_cannot_be_answered_is_refused_and_a_name_that_leads_here_too() {
    if !kernel_tier("what_cannot_be_answered_is_refused_and_a_name_that_leads_here_too") {
        return;
    }
    let served = Served::run("", "sleep 1000");
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(64 << 10));
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 200),
        ("GET /metrics HTTP/1.0\r\n\r\n", 200),
        ("GET /metrics?a=b HTTP/1.1\r\nHost: [::1]\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        ("GET /etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (&long, 431),
    ] {
        let answer = ask(served.address, request).unwrap_or_else(|e| panic!("{request:.60}: {e}"));
        assert_eq!(answer.status, status, "{request:.60}");
        assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
        assert_eq!(answer.header("Content-Length"), answer.body.len().to_string());
    }
    let head = ask(served.address, "HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(head.status == 404 && head.body.is_empty(), "{head:?}");
    let head = ask(served.address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(head.status == 200 && head.body.is_empty() && head.header("Content-Length").parse::<u64>().unwrap() > 1000);
    served.end();
}

#[test]
fn a_bad_address_or_a_port_that_is_taken_costs_no_run() {
    if !kernel_tier("a_bad_address_or_a_port_that_is_taken_costs_no_run") {
        return;
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (address, told) in [
        ("example.org:9273", "127.0.0.1:9273"),
        ("65536", "127.0.0.1:9273"),
        ("203.0.113.1:9273", "cannot listen on 203.0.113.1:9273"),
        (&port, "already in use"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("ran");
        let ended = Sandtop::with(&format!("run --metrics {address}")).cmd(["touch", mark.to_str().unwrap()]).go();
        assert_eq!(ended.code, 125, "{}", ended.err);
        assert!(ended.err.to_lowercase().contains(told) && ended.err.lines().count() == 1, "{}", ended.err);
        assert!(!mark.exists(), "it ran");
    }
    // The port is told, where nobody chose one.
    let ended = Sandtop::run("--metrics localhost:0").cmd(["true"]).go();
    assert!(ended.code == 0 && ended.err.contains("metrics are at http://127.0.0.1:"), "{}", ended.err);
    let ended = Sandtop::run("--metrics 0.0.0.0:0").cmd(["true"]).go();
    assert!(ended.err.contains("to whoever reaches this machine"), "{}", ended.err);
}

#[test]
fn the_workload_and_its_init_hold_no_socket_of_ours() {
    if !kernel_tier("the_workload_and_its_init_hold_no_socket_of_ours") {
        return;
    }
    let served = Served::run("", "sleep 1000");
    let inode = {
        let list = fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!("0100007F:{:04X}", served.address.port());
        let line = list.lines().find(|line| line.contains(&port) && line.contains(" 0A ")).expect("a listener");
        format!("socket:[{}]", line.split_whitespace().nth(9).expect("an inode"))
    };
    let holders = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        let holds = |pid: &i32| {
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|link| link == Path::new(&inode))
        };
        pids.filter(holds).collect::<Vec<_>>()
    };
    assert!(!pids_in(&served.child.group()).is_empty());
    assert_eq!(holders(), [supervisor_of(served.child.pid())]);
    served.end();
}

#[test]
fn the_live_document_is_what_the_recording_adds_up_to_at_every_moment() {
    if !kernel_tier("the_live_document_is_what_the_recording_adds_up_to_at_every_moment") {
        return;
    }
    let mut moments = Vec::new();
    for n in 0..times(20) {
        // It hits the limit, loses a child to the OOM killer, writes, and goes on.
        let size = 8 + n % 20;
        let script = format!(
            "for i in 1 2 3; do {SANDTOP} worker fill {size}M --rate 60M; echo step $i; done; {SANDTOP} worker fill 90M; sleep 1000"
        );
        let served = Served::run("-m 40M --interval 20ms", &script);
        let mut seen = BTreeMap::new();
        wait_for("an OOM kill, and twenty moments of the document", || {
            let (place, document) = live(served.address)?;
            let killed = document["oom_kills"].as_u64() > Some(0);
            seen.insert(place, document);
            (killed && seen.len() >= 20).then_some(())
        });
        let (ended, recording) = served.end();
        assert_eq!(recording.damage, None);
        compare(&recording, &seen);
        let whole: BTreeMap<usize, serde_json::Value> = [(recording.events.len(), ended.json.unwrap())].into();
        compare(&recording, &whole);
        moments.push(seen.len());
    }
    println!("the same at {moments:?} moments and at the end of {} runs", moments.len());
}

#[test]
fn totals_go_on_when_the_command_is_run_again_and_the_end_stays_served() {
    if !kernel_tier("totals_go_on_when_the_command_is_run_again_and_the_end_stays_served") {
        return;
    }
    const RUNS: u32 = 10; // more than the session keeps
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let script = format!("echo one; {SANDTOP} worker fill 48M; echo two; exit 3"); // output has its place in the stream too
    let args = format!("-m 16M --metrics 0 --record {}", path.display());
    let mut t = Terminal::start(Sandtop::with(&args).cmd(["sh", "-c", &script]).raw(), 120, 40);
    let address = wait_for("a listener", || listening(t.sandtop()));
    let mut before: BTreeMap<String, f64> = BTreeMap::new();
    let mut served = BTreeMap::new();
    let mut scrapes = 0;
    let ended = |header: &str, run: u32| {
        header.contains("exited 3 after") && (run == 1 || header.contains(&format!("run {run} ")))
    };
    for run in 1..=RUNS {
        t.wait("the end of this run, with no total that falls", |screen| {
            let now = exposition(&get(address, "/metrics", PROMETHEUS_READS).unwrap().body, true);
            for (name, was) in &before {
                let is = now.value(name).unwrap_or_else(|| panic!("{name} is gone"));
                assert!(is >= *was, "{name} fell from {was} to {is} in run {run}");
            }
            scrapes += 1;
            served.extend(live(address));
            before = now.totals().map(|(name, value)| (name.clone(), value)).collect();
            now.value("sandtop_runs_total") == Some(f64::from(run))
                && now.value("sandtop_run_ended") == Some(1.0)
                && screen.lines().next().is_some_and(|header| ended(header, run))
        });
        served.extend(live(address));
        if run < RUNS {
            t.keys("r");
        }
    }
    let last = exposition(&get(address, "/metrics", PROMETHEUS_READS).unwrap().body, true);
    assert_eq!(last.value("sandtop_oom_kills_total"), Some(f64::from(RUNS)));
    assert!(last.value("sandtop_limit_hits_total").is_some_and(|hits| hits >= f64::from(RUNS)), "{last:?}");
    assert_eq!(last.value("sandtop_run_outcome_info{outcome=\"oom_survived\"}"), Some(1.0));
    assert_eq!(last.value("sandtop_run_exit_code"), Some(3.0));
    assert_eq!(last.value("sandtop_processes"), Some(0.0));
    assert_eq!(last.value("sandtop_memory_limit_bytes"), Some((16 * M) as f64));
    t.keys("q");
    assert_eq!(t.end(), 3);
    compare(&record::read(&path).unwrap_or_else(|e| panic!("{e}")), &served);
    println!("{scrapes} scrapes over {RUNS} runs; {} moments were as recorded", served.len());
}

/// Holds connections open, each in its own way: says nothing, half a request, or a letter of it now and then; or asks and does not read.
struct HalfOpen {
    streams: Vec<TcpStream>,
}

impl HalfOpen {
    fn new(address: SocketAddr, count: usize) -> HalfOpen {
        let open = |n: usize| {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_nonblocking(true).expect("a stream");
            let said: &[u8] = match n % 4 {
                0 => b"",
                1 => b"GET /metrics HTTP/1.1\r\nHost: loc",
                2 => b"G",
                _ => b"GET /result.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
            };
            let _ = stream.write_all(said);
            stream
        };
        HalfOpen { streams: (0..count).map(open).collect() }
    }

    /// One more letter each, from those who dribble.
    fn dribble(&mut self) {
        self.streams.iter_mut().skip(2).step_by(4).for_each(|stream| drop(stream.write(b"E")));
    }

    /// How many of those who said nothing whole are not hung up on.
    fn open(&mut self) -> usize {
        let waits = |n: usize, stream: &mut TcpStream| {
            let nothing = stream.read(&mut [0; 64]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
            n % 4 != 3 && nothing
        };
        self.streams.iter_mut().enumerate().filter_map(|(n, stream)| waits(n, stream).then_some(())).count()
    }
}

#[test]
fn two_hundred_half_open_clients_hold_nothing_up() {
    if !kernel_tier("two_hundred_half_open_clients_hold_nothing_up") {
        return;
    }
    let served = Served::run("", "sleep 1000");
    wait_for("a sample", || served.metrics().value("sandtop_memory_usage_bytes"));
    let mut slowest = Duration::ZERO;
    let scrape = |slowest: &mut Duration| {
        let start = Instant::now();
        let told = served.metrics();
        *slowest = (*slowest).max(start.elapsed());
        told
    };
    let mut clients = HalfOpen::new(served.address, 200);
    assert!(clients.open() >= 140, "they are held, not refused");
    let start = Instant::now();
    let mut scrapes = 0;
    // Until the last of them has been hung up on: each has its few seconds, whatever it dribbles.
    wait_for("all of them hung up on", || {
        clients.dribble();
        scrape(&mut slowest);
        scrapes += 1;
        (clients.open() == 0).then_some(())
    });
    let held = start.elapsed();
    // More than there may be: the oldest go, and a real one is still answered.
    let mut many = HalfOpen::new(served.address, 600);
    for _ in 0..20 {
        many.dribble();
        scrape(&mut slowest);
    }
    let fds = fs::read_dir(format!("/proc/{}/fd", supervisor_of(served.child.pid()))).unwrap().count();
    assert!(fds < 256 + 64, "{fds} descriptors");
    let lost = scrape(&mut slowest).value("sandtop_events_lost_total");
    assert_eq!(lost, Some(0.0));
    assert!(slowest < within(1000), "the slowest scrape took {slowest:?}");
    drop((clients, many));

    let (_, recording) = served.end();
    let samples: Vec<Duration> =
        recording.events.iter().filter(|s| matches!(s.event, Event::Sample(_))).map(|s| s.at).collect();
    let gap = samples.windows(2).map(|pair| pair[1] - pair[0]).max().expect("samples");
    println!(
        "{scrapes} scrapes, the slowest {slowest:?}; hung up after {held:?}; {} samples, the longest gap {gap:?}",
        samples.len()
    );
    assert!(gap < Duration::from_millis(100) + within(200), "a sample was late: {gap:?}"); // one is due every 100 ms
}

/// A file of `assets/prometheus`: the machines of `tests/vm` have the tests only.
fn asset(name: &str) -> &'static str {
    match name {
        "README.md" => include_str!("../assets/prometheus/README.md"),
        "dashboard.json" => include_str!("../assets/prometheus/dashboard.json"),
        "rules.yml" => include_str!("../assets/prometheus/rules.yml"),
        "scrape.yml" => include_str!("../assets/prometheus/scrape.yml"),
        "targets-example.yml" => include_str!("../assets/prometheus/targets-example.yml"),
        _ => panic!("no such file: {name}"),
    }
}

/// Every expression of the dashboard, with its variables filled in.
fn dashboard() -> Vec<String> {
    fn gather(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| match value.as_str() {
                Some(text) if key == "expr" => into.push(text.to_string()),
                _ => gather(value, into),
            }),
            serde_json::Value::Array(all) => all.iter().for_each(|value| gather(value, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(&serde_json::from_str(asset("dashboard.json")).expect("JSON"), &mut found);
    found.iter().map(|expr| expr.replace("$instance", ".*").replace("$__rate_interval", "10s")).collect()
}

/// The names of ours in a text.
fn named(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sandtop_")).map(str::to_string).collect()
}

#[test]
fn rules_and_dashboard_name_only_what_a_scrape_tells() {
    if !kernel_tier("rules_and_dashboard_name_only_what_a_scrape_tells") {
        return;
    }
    let served = Served::run("", "sleep 1000");
    let told =
        wait_for("a whole sample", || Some(served.metrics()).filter(|m| m.value("sandtop_processes") >= Some(1.0)));
    let mut names = told.names();
    let (_, document) = live(served.address).unwrap();
    // Two of them need a kernel that tells them.
    for (field, name) in [("peak_bytes", "memory_peak_bytes"), ("swap_bytes", "memory_swap_bytes")] {
        names.extend(document[field].is_null().then(|| format!("sandtop_{name}")));
    }
    if document["pressure"].is_null() {
        names.extend(["waiting", "stalled"].map(|what| format!("sandtop_pressure_{what}_seconds_total")));
    }
    let texts = dashboard().into_iter().chain(["dashboard.json", "rules.yml"].map(|name| asset(name).to_string()));
    let used: Vec<String> = texts.flat_map(|text| named(&text)).collect();
    assert!(used.len() > 40, "{used:?}");
    let unknown: Vec<&String> = used.iter().filter(|name| !names.contains(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {names:?}");
    // And all that is told is documented.
    let readme = asset("README.md");
    let silent: Vec<String> = told.names().into_iter().filter(|name| !readme.contains(&format!("`{name}"))).collect();
    assert!(silent.is_empty(), "not documented: {silent:?}");
    served.end();
}

/// Runs a program in a directory, with this on its standard input; what it said, if it was content.
fn checked(program: &str, args: &[&str], dir: &Path, input: &str) -> String {
    use std::process::{Command, Stdio};
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
    said
}

/// A directory as a Prometheus has it: ours, with these addresses in it.
fn configured(own: SocketAddr, found: SocketAddr) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    fs::create_dir(dir.path().join("targets")).unwrap();
    let example = asset("targets-example.yml");
    let targets = r#"["node1.example:9273", "node1.example:9274"]"#;
    assert!(example.contains(targets));
    write("targets/node1.yml", example.replace(targets, &format!("[\"{found}\"]")));
    let scrape = asset("scrape.yml");
    for word in ["127.0.0.1:9273", "scrape_interval: 5s", "evaluation_interval: 15s"] {
        assert!(scrape.contains(word), "{word}");
    }
    let faster = scrape.replace("_interval: 5s", "_interval: 500ms").replace("_interval: 15s", "_interval: 500ms");
    write("scrape.yml", faster.replace("127.0.0.1:9273", &own.to_string()));
    write("rules.yml", asset("rules.yml").into());
    write("rules-test.yml", include_str!("data/prometheus-rules.yml").into());
    dir
}

#[test]
fn promtool_accepts_what_is_told_and_what_is_shipped() {
    let test = "promtool_accepts_what_is_told_and_what_is_shipped";
    if emulated() {
        return not_here(test);
    }
    if !kernel_tier(test) || !has(test, "promtool") {
        return;
    }
    let served = Served::run("-m 20M", &format!("{SANDTOP} worker fill 40M; sleep 1000"));
    wait_for("an OOM kill", || (served.metrics().value("sandtop_oom_kills_total")? > 0.0).then_some(()));
    let dir = configured(served.address, served.address);
    let told = get(served.address, "/metrics", "").unwrap().body;
    assert_eq!(checked("promtool", &["check", "metrics"], dir.path(), &told), "", "it has nothing to say");
    let said = checked("promtool", &["check", "rules", "rules.yml"], dir.path(), "");
    assert!(said.contains("6 rules found"), "{said}");
    let said = checked("promtool", &["check", "config", "scrape.yml"], dir.path(), "");
    assert!(said.contains("is valid prometheus config") && !said.contains("WARNING"), "{said}");
    let said = checked("promtool", &["test", "rules", "rules-test.yml"], dir.path(), "");
    assert!(said.contains("SUCCESS"), "{said}");
    served.end();
}

/// A real Prometheus, with its data in a directory of its own.
struct Prometheus {
    process: std::process::Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(dir: &Path) -> Prometheus {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut command = std::process::Command::new("prometheus");
        command.current_dir(dir).args(["--config.file=scrape.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={free}")).stdout(log.try_clone().unwrap()).stderr(log);
        Prometheus { process: command.spawn().expect("prometheus starts"), address: free }
    }

    /// What its API says at this path; `None` while it does not answer.
    fn api(&self, path: &str) -> Option<serde_json::Value> {
        let path = format!("/api/v1/{path}");
        let answer = ask(self.address, &format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)).ok()?;
        serde_json::from_str::<serde_json::Value>(&answer.body).ok().map(|json| json["data"].clone())
    }

    /// The values that a query gives, by instance.
    fn query(&self, expr: &str) -> Option<BTreeMap<String, String>> {
        let encoded: String = expr.bytes().map(|b| format!("%{b:02X}")).collect();
        let data = self.api(&format!("query?query={encoded}"))?;
        let pair = |series: &serde_json::Value| {
            let instance = series["metric"]["instance"].as_str().unwrap_or_default().to_string();
            Some((instance, series["value"][1].as_str()?.to_string()))
        };
        data["result"].as_array().map(|all| all.iter().filter_map(pair).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_real_prometheus_answers_with_the_limit_that_was_just_changed() {
    let test = "a_real_prometheus_answers_with_the_limit_that_was_just_changed";
    if emulated() {
        return not_here(test);
    }
    if !kernel_tier(test) || !has(test, "prometheus") {
        return;
    }
    // One on the screen, as the configuration has it; another that is found by its file, and will be killed in.
    let mut t = Terminal::start(Sandtop::with("-m 100M --metrics 0").cmd(["sleep", "1000"]).raw(), 120, 40);
    let own = wait_for("a listener", || listening(t.sandtop()));
    let second = Served::run("-m 20M", &format!("while :; do {SANDTOP} worker fill 40M; sleep 3; done"));
    let dir = configured(own, second.address);
    let prometheus = Prometheus::start(dir.path());
    let (own, found) = (own.to_string(), second.address.to_string());
    let value = |expr: &str, instance: &str| prometheus.query(expr).and_then(|all| all.get(instance).cloned());
    let wait_value = |expr: &str, instance: &str, expected: u64| {
        wait_for(&format!("{expr} of {expected}"), || value(expr, instance).filter(|v| *v == expected.to_string()))
    };
    wait_value("sandtop_memory_limit_bytes", &own, 100 * M);
    wait_value("sandtop_memory_limit_bytes", &found, 20 * M);
    wait_value("up", &found, 1);

    t.keys("=64M\r");
    t.wait_text("limit 100M → 64M");
    let start = Instant::now();
    wait_value("sandtop_memory_limit_bytes", &own, 64 * M);
    wait_value("sandtop_limit_changes_total", &own, 1);
    println!("64M were answered {:?} after they were set", start.elapsed());
    t.keys("+");
    t.wait_text("limit 64M → ");
    let group = made_group(t.sandtop());
    wait_value("sandtop_memory_limit_bytes", &own, limit_of(&group));

    // The OpenMetrics text was read, with its units.
    let about = wait_for("metadata", || prometheus.api("targets/metadata?metric=sandtop_memory_limit_bytes"));
    assert_eq!((&about[0]["type"], &about[0]["unit"]), (&"gauge".into(), &"bytes".into()), "{about}");
    // The alert comes, and names whom it is about.
    let alert = wait_for("an alert of the OOM kill", || {
        let alerts = prometheus.api("alerts")?;
        let ours = |a: &&serde_json::Value| a["labels"]["alertname"] == "SandtopOOMKill" && a["state"] == "firing";
        alerts["alerts"].as_array()?.iter().find(ours).cloned()
    });
    assert_eq!((&alert["labels"]["instance"], &alert["labels"]["node"]), (&found.as_str().into(), &"node1".into()));
    assert!(alert["annotations"]["summary"].as_str().unwrap().contains(&found), "{alert}");
    // Every question of the dashboard has an answer.
    let pressure = value("sandtop_pressure_waiting_seconds_total", &own).is_some();
    let asked = dashboard();
    for expr in asked.iter().filter(|expr| pressure || !expr.contains("pressure")) {
        wait_for(&format!("an answer to {expr}"), || prometheus.query(expr).filter(|all| !all.is_empty()));
    }
    println!("{} questions of the dashboard were answered; pressure: {pressure}", asked.len());

    drop(prometheus);
    t.keys("qy");
    t.end();
    second.end();
}

/// What the descriptors of a process are open on.
fn descriptors(pid: i32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    links.filter_map(|link| fs::read_link(link.path()).ok()?.into_os_string().into_string().ok()).collect()
}

/// How many TCP sockets a process holds.
fn tcp_sockets(pid: i32) -> usize {
    let held = descriptors(pid);
    let tables =
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let inodes =
        tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| line.split_whitespace().nth(9));
    inodes.filter(|inode| held.contains(&format!("socket:[{inode}]"))).count()
}

#[test]
fn thousands_of_scrapes_cost_no_descriptor_and_no_sample() {
    if !kernel_tier("thousands_of_scrapes_cost_no_descriptor_and_no_sample") {
        return;
    }
    let served = Served::run("--interval 5ms", "sleep 1000");
    served.metrics();
    let before = descriptors(supervisor_of(served.child.pid())).len();
    let start = Instant::now();
    let scrapes = if emulated() { 100 } else { 2000 };
    let mut last = 0.0;
    for _ in 0..scrapes {
        let told = served.metrics();
        let number = told.value("sandtop_scrapes_total").expect("a count");
        assert!(number > last);
        last = number;
    }
    let took = start.elapsed();
    wait_for("all of them closed, but for the listener", || {
        (tcp_sockets(supervisor_of(served.child.pid())) == 1).then_some(())
    });
    // The sampler has opened some files of the group since, and would have opened thousands.
    let now = descriptors(supervisor_of(served.child.pid()));
    assert!(now.len() < before + 64, "{now:?}");
    assert_eq!(served.metrics().value("sandtop_events_lost_total"), Some(0.0));
    println!("{last} scrapes in {took:?}");
    served.end();
}
