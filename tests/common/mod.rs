//! What the tests share: the binary as a story (`Sandtop::run("-m 64M").cmd([...]).go()`), a terminal to run it on, and waiting for conditions.
#![allow(dead_code)] // each test file uses its own part

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

/// The root of the v1 memory hierarchy on this machine.
pub const MEMORY: &str = "/sys/fs/cgroup/memory";

/// How often a promise is repeated: as often as it says under `tests/run --full`, else a few times.
pub fn times(full: u32) -> u32 {
    if std::env::var_os("SANDTOP_TEST_FULL").is_some() { full } else { full.min(3) }
}

/// Whether the kernel tier can run here. Where not, the skip is printed and counted, and fails where tests are required.
pub fn kernel_tier(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    let memory = Path::new(MEMORY)
        .join("memory.limit_in_bytes")
        .parent()
        .is_some_and(|p| p.join("memory.usage_in_bytes").exists());
    match (root, memory) {
        (true, true) => true,
        (false, _) => skip(test, "needs root"),
        (_, false) => skip(test, "needs the memory controller of cgroup v1"),
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

/// A `sandtop` command under way of being written.
pub struct Sandtop {
    command: Command,
    json: Option<tempfile::NamedTempFile>,
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
        Sandtop { command, json: None }
    }

    /// `sandtop run --json FILE` with these options.
    pub fn run(options: &str) -> Sandtop {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut new = Sandtop::with("run --json");
        new.command.arg(file.path()).args(options.split_whitespace());
        new.json = Some(file);
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
        let json = self.json.and_then(|file| serde_json::from_str(&fs::read_to_string(file.path()).ok()?).ok());
        let ended = Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr), json };
        assert!(!ended.err.contains("panicked") && !ended.err.contains("stack backtrace"), "a panic: {}", ended.err);
        ended
    }

    /// Starts it and goes on.
    pub fn start(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Child { process: Some(self.command.spawn().expect("sandtop starts")), json: self.json }
    }

    /// The command itself, for what has no word here.
    pub fn raw(self) -> Command {
        self.command
    }
}

/// A sandtop that runs.
pub struct Child {
    process: Option<std::process::Child>,
    json: Option<tempfile::NamedTempFile>,
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
        let json = self.json.take().and_then(|f| serde_json::from_str(&fs::read_to_string(f.path()).ok()?).ok());
        Ended { code, out: text(output.stdout), err: text(output.stderr), json }
    }
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

/// The group that this sandtop made.
pub fn group_of(pid: i32) -> Option<PathBuf> {
    let prefix = format!("{pid}-");
    let entries = fs::read_dir(Path::new(MEMORY).join("sandtop")).ok()?;
    entries.flatten().find(|e| e.file_name().to_string_lossy().starts_with(&prefix)).map(|e| e.path())
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

/// `oom_kill` in the leaf.
pub fn oom_kills(group: &Path) -> u64 {
    let text = fs::read_to_string(group.join("leaf/memory.oom_control")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}
