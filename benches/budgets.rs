//! The budgets, measured: `cargo bench` as root prints each figure beside its mark, as ratios within one run where there is something to compare
//! with. Nothing is asserted: machines are noisy, and a figure is for reading.
//!
//! `SANDTOP_BIN=path cargo bench` measures another build of the binary, such as a static one (README, "Install").

use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

fn main() {
    if !nix::unistd::geteuid().is_root() {
        return println!("budgets: needs root");
    }
    let sandtop = std::env::var("SANDTOP_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sandtop").into());
    println!("binary: {sandtop}");
    launch(&sandtop);
    one_idle_process(&sandtop);
    thousand_idle_processes(&sandtop);
    kilohertz(&sandtop);
}

/// Whole process, `sandtop run -- true` against bubblewrap, taken in turns.
fn launch(sandtop: &str) {
    let ours = || timed(Command::new(sandtop).args(["run", "-q", "--", "true"]));
    let theirs = || timed(Command::new("bwrap").args(["--unshare-all", "--dev-bind", "/", "/", "true"]));
    let bare = || timed(&mut Command::new("true"));
    if Command::new("bwrap").arg("--version").output().is_err() {
        return println!("launch: needs bwrap (apt install bubblewrap)");
    }
    let mut times: [Vec<Duration>; 3] = Default::default();
    for round in 0..320 {
        let taken = [ours(), theirs(), bare()];
        if round >= 20 {
            for (list, time) in times.iter_mut().zip(taken) {
                list.push(time);
            }
        }
    }
    let [ours, theirs, bare] = times.map(|mut list| {
        list.sort_unstable();
        list[list.len() / 2]
    });
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("launch (p50 of 300): sandtop run {ours:?}, bwrap --unshare-all {theirs:?}, true alone {bare:?}");
    println!("  ratio to bwrap {ratio:.2} (mark: 1.00)");
}

fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it runs");
    assert!(status.success());
    start.elapsed()
}

fn one_idle_process(sandtop: &str) {
    let screen = Screen::start(sandtop, &["--", "sleep", "1000"]);
    screen.settle(Duration::from_secs(4));
    let cpu = screen.cpu(Duration::from_secs(10));
    println!(
        "screen, one idle process at 10 Hz: {:.2} % of a core (mark: 1), RSS {:.1} MiB (mark: 12)",
        cpu * 100.0,
        screen.rss()
    );
}

fn thousand_idle_processes(sandtop: &str) {
    let screen = Screen::start(sandtop, &["-m", "4G", "--", sandtop, "worker", "idle", "1000"]);
    screen.settle(Duration::from_secs(8));
    let cpu = screen.cpu(Duration::from_secs(10));
    println!(
        "screen, 1,000 idle processes at 10 Hz: {:.2} % of a core (mark: 4), RSS {:.1} MiB",
        cpu * 100.0,
        screen.rss()
    );
}

fn kilohertz(sandtop: &str) {
    let mut command = Command::new(sandtop);
    command.args(["run", "-q", "--interval", "1ms", "--", "sleep", "1000"]).stdin(Stdio::null());
    let mut child = command.spawn().expect("it runs");
    std::thread::sleep(Duration::from_secs(3));
    let cpu = cpu_share(child.id(), Duration::from_secs(10));
    println!("1 kHz sampling of the group's files, without a screen: {:.2} % of a core (mark: 4)", cpu * 100.0);
    end(&mut child);
}

/// sandtop on a pty of 120×40 whose output is read and dropped.
struct Screen {
    child: Child,
    _slave: OwnedFd,
}

impl Screen {
    fn start(sandtop: &str, args: &[&str]) -> Screen {
        use rustix::pty::OpenptFlags;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).expect("a pty");
        rustix::pty::unlockpt(&master).expect("a pty");
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).expect("a pty");
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).expect("a size");
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(sandtop).args(args).env("TERM", "xterm-256color");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid");
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while rustix::io::read(&master, &mut buffer[..]).is_ok_and(|n| n > 0) {}
            let _ = master.as_raw_fd();
        });
        Screen { child, _slave: slave }
    }

    fn settle(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn cpu(&self, over: Duration) -> f64 {
        cpu_share(self.child.id(), over)
    }

    fn rss(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        kib.unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM);
    let _ = child.wait();
}

/// The share of one core that a process took over so long (`utime` and `stime` of /proc/PID/stat; schedstat is finer where it is there).
fn cpu_share(pid: u32, over: Duration) -> f64 {
    let spent = || -> Duration {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let times = tasks.filter_map(|t| {
            fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    };
    let (start, before) = (Instant::now(), spent());
    std::thread::sleep(over);
    (spent() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}
