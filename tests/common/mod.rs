//! What the tests share: the binary as a story (`Sandtop::run("-m 64M").cmd([...]).go()`), a terminal to run it on, and waiting for conditions.
#![allow(dead_code)] // each test file uses its own part

pub mod scrape;
pub mod terminal;

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The real binary.
pub const SANDTOP: &str = env!("CARGO_BIN_EXE_sandtop");

/// Whether this machine's memory controller is cgroup v2's.
pub fn is_v2() -> bool {
    fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .is_ok_and(|text| text.split_whitespace().any(|c| c == "memory"))
}

/// The root of the memory hierarchy on this machine.
pub fn memory_root() -> &'static Path {
    Path::new(if is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" })
}

/// Whether these are the tests of `tests/run --full`.
pub fn is_full() -> bool {
    std::env::var_os("SANDTOP_TEST_FULL").is_some()
}

/// The group below which sandtop makes its own: on v1 the tests' own group, and on v2 the nearest that can have any.
pub fn parent_of_groups() -> PathBuf {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|c| c == "memory").then(|| path.trim_start_matches('/').to_string())
    });
    memory_root().join(path.filter(|_| !is_v2()).unwrap_or_default())
}

/// How often a promise is repeated: as often as it says under `tests/run --full`, else a few times; in an emulated machine, which is ten times
/// slower, once or twice. SANDTOP_TEST_ROUNDS chooses another number there, up to the promised one.
pub fn times(full: u32) -> u32 {
    if let Some(rounds) = std::env::var("SANDTOP_TEST_ROUNDS").ok().and_then(|n| n.parse::<u32>().ok()) {
        return full.min(rounds);
    }
    match (is_full(), emulated()) {
        (true, false) => full,
        (true, true) => full.min(2),
        (false, false) => full.min(3),
        (false, true) => 1,
    }
}

/// Whether this machine is an emulated one, as `tests/vm` boots them. Times are five times as long there.
pub fn emulated() -> bool {
    std::env::var_os("SANDTOP_TEST_VM").is_some()
}

/// Whether a run of `stress` is to be repeated because the kernel took its main process too. Its next victim is chosen while the first one's
/// last pages are still on their way to being freed (`exit_mmap` says that it is done before `tlb_finish_mmu`), a moment that only an emulated
/// machine stretches far enough to be met.
pub fn took_both(main_was_killed: bool) -> bool {
    if main_was_killed && emulated() {
        println!("the kernel took the main process too: run again");
    }
    main_was_killed && emulated()
}

/// Whether a sandbox can be frozen here: on v1 it takes a v2 hierarchy beside, or v1's own freezer.
pub fn can_freeze() -> bool {
    is_v2() || ["unified", "freezer"].iter().any(|h| Path::new("/sys/fs/cgroup").join(h).join("cgroup.procs").exists())
}

/// The file that says whether a group is stopped: its own on v2, the twin's on a hybrid machine, else the one of v1's freezer.
pub fn freezer_of(group: &Path) -> PathBuf {
    let name = group.file_name().expect("a name");
    let twin = Path::new("/sys/fs/cgroup/unified/sandtop").join(name).join("cgroup.events");
    match is_v2() {
        true => group.join("cgroup.events"),
        false if twin.exists() => twin,
        false => Path::new("/sys/fs/cgroup/freezer/sandtop").join(name).join("freezer.state"),
    }
}

/// Whether all processes of a group are stopped.
pub fn is_frozen(group: &Path) -> bool {
    let text = fs::read_to_string(freezer_of(group)).unwrap_or_default();
    text.contains("frozen 1") || text.contains("FROZEN")
}

/// Whether this machine was arranged to have something (`SANDTOP_TEST_EXPECT`): a test that is about it must find it then.
pub fn expected(what: &str) -> bool {
    std::env::var("SANDTOP_TEST_EXPECT").is_ok_and(|all| all.split(',').any(|one| one == what))
}

/// Notes that a test is about another machine than this one, so that it is not counted as passed here.
pub fn not_here(test: &str) {
    if let Some(list) = std::env::var_os("SANDTOP_TEST_NOT_HERE") {
        let file = fs::File::options().create(true).append(true).open(list);
        let _ = file.and_then(|mut file| writeln!(file, "{test}"));
    }
}

/// The highest usage that the kernel may tell under a limit, in bytes: v1 keeps it exactly; v2 lets some charges pass by force, and a charge that
/// is about to fail is in `memory.current` for a moment, of a huge page at most for each CPU (`page_counter_try_charge`; 1.25 MiB was seen).
pub fn highest(limit: u64) -> u64 {
    if is_v2() { limit + (2 << 20) * cpus() } else { limit }
}

/// A bound on a time, of a real machine.
pub fn within(ms: u64) -> Duration {
    Duration::from_millis(if emulated() { 5 * ms } else { ms })
}

/// Whether the kernel tier can run here. Where not, the skip is printed and counted, and fails where tests are required.
pub fn kernel_tier(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    let memory = is_v2() || memory_root().join("memory.usage_in_bytes").exists();
    match (root, memory) {
        (true, true) => true,
        (false, _) => skip(test, "needs root"),
        (_, false) => skip(test, "needs a memory controller"),
    }
}

/// Whether this program is installed; a skip if not.
pub fn has(test: &str, program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) || skip(test, &format!("needs {program}"))
}

fn skip(test: &str, why: &str) -> bool {
    assert!(std::env::var_os("SANDTOP_TEST_REQUIRE").is_none(), "{test} was skipped, and must not be: {why}");
    println!("SKIPPED {test}: {why}");
    if let Some(list) = std::env::var_os("SANDTOP_TEST_SKIPS") {
        let file = fs::File::options().create(true).append(true).open(list);
        let _ = file.and_then(|mut file| writeln!(file, "{test}: {why}"));
    }
    false
}

/// Waits for a condition, and fails with `what` when it does not come. The deadline is generous: it bounds a failure, it times nothing.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_until(Duration::from_secs(30), condition).unwrap_or_else(|| panic!("waited in vain: {what}"))
}

/// Waits for a condition for so long.
pub fn wait_until<T>(most: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if start.elapsed() > most {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Numbers that look random, the same in each run of a test.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }

    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A `sandtop` command under way of being written.
pub struct Sandtop {
    command: Command,
    json: Option<tempfile::NamedTempFile>,
    kept: Option<tempfile::TempDir>,
}

/// How it ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub json: Option<serde_json::Value>,
}

impl Sandtop {
    /// `sandtop` with these arguments, separated by spaces.
    pub fn with(args: &str) -> Sandtop {
        let mut command = Command::new(SANDTOP);
        command.args(args.split_whitespace()).stdin(Stdio::null());
        for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.env("RUST_BACKTRACE", "1"); // a backtrace is never to be seen, even where it is asked for
        command.env("SANDTOP_CONFIG", ""); // the user's own is nobody's business here
        // Runs are kept, but not among the user's own.
        command.env("XDG_STATE_HOME", std::env::temp_dir().join("sandtop-tests"));
        Sandtop { command, json: None, kept: None }
    }

    /// `sandtop run --json FILE` with these options.
    pub fn run(options: &str) -> Sandtop {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut new = Sandtop::with("run --json");
        new.command.arg(file.path()).args(options.split_whitespace());
        new.json = Some(file);
        if !options.contains("--record") && !options.contains("--no-keep") {
            let kept = tempfile::tempdir().expect("a temporary directory");
            new.command.env("XDG_STATE_HOME", kept.path());
            new.kept = Some(kept);
        }
        new
    }

    /// The command to run inside.
    pub fn cmd<S: AsRef<OsStr>>(mut self, argv: impl IntoIterator<Item = S>) -> Sandtop {
        self.command.arg("--").args(argv);
        self
    }

    /// A line for sh to run inside.
    pub fn sh(self, script: &str) -> Sandtop {
        self.cmd(["sh", "-c", script])
    }

    /// The built-in worker, inside.
    pub fn worker(self, args: &str) -> Sandtop {
        let argv = [SANDTOP, "worker"].into_iter().chain(args.split_whitespace()).map(str::to_string);
        self.cmd(argv)
    }

    pub fn env(mut self, name: &str, value: &str) -> Sandtop {
        if ["XDG_STATE_HOME", "SUDO_UID"].contains(&name) {
            self.kept = None; // it is kept elsewhere
        }
        self.command.env(name, value);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Sandtop {
        self.command.current_dir(dir);
        self
    }

    /// Runs it to its end.
    pub fn go(mut self) -> Ended {
        let Output { status, stdout, stderr } = self.command.output().expect("sandtop starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let json = replayed(self.json, self.kept, status.code());
        let ended = Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr), json };
        assert!(!ended.err.contains("panicked") && !ended.err.contains("stack backtrace"), "a panic: {}", ended.err);
        ended
    }

    /// Starts it and goes on.
    pub fn start(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Child { process: Some(self.command.spawn().expect("sandtop starts")), json: self.json, kept: self.kept }
    }

    /// The command itself, for what has no word here.
    pub fn raw(self) -> Command {
        self.command
    }
}

pub fn cpus() -> u64 {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    let last = online.trim().rsplit(['-', ',']).next().unwrap().parse::<u64>().unwrap();
    last + 1 // true where no CPU is offline, as on every machine that runs tests
}

/// A sandtop that runs.
pub struct Child {
    process: Option<std::process::Child>,
    json: Option<tempfile::NamedTempFile>,
    kept: Option<tempfile::TempDir>,
}

impl Child {
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("it runs").id() as i32
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("a signal");
    }

    /// Its group, once it is there and something runs in it.
    pub fn group(&self) -> PathBuf {
        wait_for("the sandbox's group with a process in it", || {
            let group = group_of(self.pid())?;
            (!pids_in(&group).is_empty()).then_some(group)
        })
    }

    pub fn wait(mut self) -> Ended {
        let output = self.process.take().expect("it runs").wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        let json = replayed(self.json.take(), self.kept.take(), output.status.code());
        Ended { code, out: text(output.stdout), err: text(output.stderr), json }
    }
}

/// The JSON that a run wrote; what its recording adds up to is the very same.
fn replayed(
    json: Option<tempfile::NamedTempFile>,
    kept: Option<tempfile::TempDir>,
    code: Option<i32>,
) -> Option<serde_json::Value> {
    let text = fs::read_to_string(json?.path()).expect("the file that was made for it");
    // A sandtop that was killed wrote none, nor one that refused its arguments.
    if text.is_empty() && matches!(code, None | Some(125)) {
        return None;
    }
    let live: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}, exit {code:?}"));
    // What sandtop itself failed at is no event.
    let ended = code.is_some() && live["error"].is_null();
    let last = kept.as_ref().map(|dir| dir.path().join("sandtop/last.jsonl.gz")).filter(|_| ended);
    if let Some(last) = last {
        assert_eq!(live, derived(&replay(&last)), "live, and from the recording");
    }
    Some(live)
}

/// The session of a whole recording.
pub fn replay(path: &Path) -> sandtop::session::Session {
    let recording = sandtop::record::read(path).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(recording.damage, None);
    let mut session = sandtop::session::Session::default();
    recording.events.iter().for_each(|stamped| session.apply(stamped));
    session
}

/// What a session adds up to, as JSON.
pub fn derived(session: &sandtop::session::Session) -> serde_json::Value {
    let document = sandtop::result::document(session).expect("a run");
    // Through text, as what a live process wrote: parsing rounds some fractions in their last digit.
    let text = serde_json::to_string(&document).expect("plain data");
    serde_json::from_str(&text).expect("JSON")
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Ended {
    /// A field of the JSON.
    pub fn field(&self, name: &str) -> &serde_json::Value {
        self.json
            .as_ref()
            .and_then(|json| json.get(name))
            .unwrap_or_else(|| panic!("no {name} in the JSON; stderr: {}", self.err))
    }

    pub fn number(&self, name: &str) -> u64 {
        self.field(name).as_u64().unwrap_or_else(|| panic!("{name} is {:?}", self.field(name)))
    }

    pub fn outcome(&self) -> &str {
        self.field("outcome").as_str().unwrap_or("none")
    }
}

/// The process that does a sandtop's work: itself, or a child of its own where a run has files to write.
pub fn supervisor_of(pid: i32) -> i32 {
    let is_it = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sandtop\n");
    children_of(pid).into_iter().find(is_it).unwrap_or(pid)
}

/// The children of a process.
pub fn children_of(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The init of this sandtop's sandbox: its child, or its supervisor's, which is a child of its own where a run has files to write.
pub fn init_of(pid: i32) -> i32 {
    let is_init =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sandtop-init\n");
    wait_for("init", || children_of(supervisor_of(pid)).into_iter().find(is_init))
}

/// The group that this sandtop made.
pub fn group_of(pid: i32) -> Option<PathBuf> {
    group_below(&parent_of_groups(), pid)
}

/// The group that this sandtop made below a parent.
pub fn group_below(parent: &Path, pid: i32) -> Option<PathBuf> {
    let prefix = format!("{}-", supervisor_of(pid));
    let is_its = |name: &str| name.starts_with(&prefix);
    let entries = fs::read_dir(parent.join("sandtop")).ok()?;
    entries.flatten().find(|e| is_its(&e.file_name().to_string_lossy())).map(|e| e.path())
}

/// A group of the test's own for `--cgroup-parent`, so that what is done to it reaches no other sandbox. Removed when dropped.
pub struct ParentGroup {
    pub dir: PathBuf,
    /// As a path below the hierarchy's mount.
    pub name: String,
}

impl ParentGroup {
    pub fn create(what: &str) -> ParentGroup {
        let name = format!("/sandtop-test-{what}-{}", std::process::id());
        let dir = PathBuf::from(format!("{}{name}", memory_root().display()));
        fs::create_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        ParentGroup { dir, name }
    }

    /// The option that has sandtop make its group here.
    pub fn option(&self) -> String {
        format!("--cgroup-parent {}", self.name)
    }

    /// The group that this sandtop made here, once something runs in it.
    pub fn group(&self, pid: i32) -> PathBuf {
        wait_for("a group with a process below the parent", || {
            let group = group_below(&self.dir, pid)?;
            (!pids_in(&group).is_empty()).then_some(group)
        })
    }
}

impl Drop for ParentGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.dir.join("sandtop"));
        let _ = fs::remove_dir(&self.dir);
    }
}

/// The group of a sandtop, once it is made.
pub fn made_group(pid: i32) -> PathBuf {
    wait_for("its group", || group_of(pid))
}

/// The processes in a group and in its leaf.
pub fn pids_in(group: &Path) -> Vec<i32> {
    let read = |dir: PathBuf| fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let text = read(group.to_path_buf()) + &read(group.join("leaf"));
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// A number in a group's file.
pub fn number(group: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(group.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    text.trim().parse().unwrap_or_else(|_| panic!("{name}: {text}"))
}

/// The limit of a group, in bytes; `u64::MAX` for none.
pub fn limit_of(group: &Path) -> u64 {
    let name = if is_v2() { "memory.max" } else { "memory.limit_in_bytes" };
    let text = fs::read_to_string(group.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    text.trim().parse().unwrap_or(u64::MAX)
}

/// Writes a group's limit behind sandtop's back.
pub fn set_limit(group: &Path, bytes: u64) {
    let name = if is_v2() { "memory.max" } else { "memory.limit_in_bytes" };
    fs::write(group.join(name), bytes.to_string()).unwrap_or_else(|e| panic!("{name}: {e}"));
}

/// `oom_kill` in the leaf.
pub fn oom_kills(group: &Path) -> u64 {
    let name = if is_v2() { "leaf/memory.events" } else { "leaf/memory.oom_control" };
    let text = fs::read_to_string(group.join(name)).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}
