//! A real terminal for the tests: a pty, the program as the leader of a session on it, and what its screen looks like.
//! Asserts are on the screen, never on the byte stream; waits are for text, never for time.

use std::{
    num::NonZeroU16,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitStatus},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use sandtop::{sentences::Language, session::Knob};

/// A program on a terminal.
pub struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
    child: Child,
    parser: vt100::Parser,
    /// What is held back: the frame that began and has not ended.
    frame: Vec<u8>,
    /// Where the cursor is said to be when the terminal is asked: after one character that may be one cell wide or two.
    pub cursor_column: Option<u16>,
    /// Everything that was written to the terminal.
    pub raw: Vec<u8>,
    /// How the line was before the program had it.
    before: Vec<String>,
    kept: tempfile::TempDir,
}

impl Terminal {
    /// Starts a program on a terminal of this size.
    pub fn start(mut command: Command, cols: u16, rows: u16) -> Terminal {
        command.env_remove("NO_COLOR");
        Terminal::start_as_is(command, cols, rows)
    }

    /// Starts it with its environment as it is.
    pub fn start_as_is(command: Command, cols: u16, rows: u16) -> Terminal {
        let flags =
            rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).expect("a pty");
        rustix::pty::unlockpt(&master).expect("a pty");
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).expect("a pty");
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a size");
        let slave_for = || std::process::Stdio::from(slave.try_clone().expect("a descriptor"));
        // setsid --ctty: crossterm asks /dev/tty for the size, and job control needs a session.
        let mut inner = Command::new("setsid");
        inner.arg("--ctty").arg("--wait").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inner.env(name, value),
                None => inner.env_remove(name),
            };
        }
        inner.env("TERM", "xterm-256color");
        let kept = tempfile::tempdir().expect("a temporary directory");
        let before = line_of(&slave);
        inner.env("XDG_STATE_HOME", kept.path());
        let child =
            inner.stdin(slave_for()).stdout(slave_for()).stderr(slave_for()).spawn().expect("setsid, of util-linux");
        let nonzero = |n| NonZeroU16::new(n).expect("a size");
        let parser = vt100::Parser::new(nonzero(rows), nonzero(cols), 0);
        let frame = Vec::new();
        Terminal { master, slave, child, parser, frame, cursor_column: Some(2), raw: Vec::new(), before, kept }
    }

    /// Takes what the program writes within `ms` milliseconds, or less if nothing more comes.
    pub fn pump(&mut self, ms: u16) -> bool {
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(ms)).unwrap_or(0) == 0 {
            return false;
        }
        let mut buffer = [0; 65536];
        match rustix::io::read(&self.master, &mut buffer[..]) {
            Ok(n) if n > 0 => {
                self.raw.extend_from_slice(&buffer[..n]);
                self.answer(&buffer[..n]);
                self.frame.extend_from_slice(&buffer[..n]);
                self.show_whole_frames();
                true
            }
            _ => false,
        }
    }

    /// Tells where the cursor is, if that is asked.
    fn answer(&self, written: &[u8]) {
        const QUESTION: &[u8] = b"\x1b[6n";
        let asked = written.windows(QUESTION.len()).any(|bytes| bytes == QUESTION);
        if let Some(column) = self.cursor_column.filter(|_| asked) {
            rustix::io::write(&self.master, format!("\x1b[1;{column}R").as_bytes()).expect("an answer");
        }
    }

    /// As a terminal does that knows synchronized updates (DEC private mode 2026): half a frame is never shown.
    fn show_whole_frames(&mut self) {
        let last = |mark: &[u8]| self.frame.windows(mark.len()).rposition(|bytes| bytes == mark);
        let begun = last(b"\x1b[?2026h").filter(|begun| last(b"\x1b[?2026l").is_none_or(|ended| ended < *begun));
        let shown: Vec<u8> = self.frame.drain(..begun.unwrap_or(self.frame.len())).collect();
        self.parser.process(&shown);
    }

    /// How many frames were written.
    pub fn frames(&self) -> usize {
        String::from_utf8_lossy(&self.raw).matches("\x1b[?2026h").count()
    }

    /// The screen as text.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Whether the program is on the alternate screen.
    pub fn is_full_screen(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    /// Waits until the screen fulfils a condition.
    pub fn wait(&mut self, what: &str, mut condition: impl FnMut(&str) -> bool) {
        for _ in 0..3000 {
            if condition(&self.text()) {
                return;
            }
            self.pump(10);
        }
        panic!("waited in vain for {what}; the screen:\n{}", self.text());
    }

    /// The same, and looks as soon as something comes.
    pub fn wait_soon(&mut self, what: &str, mut condition: impl FnMut(&str) -> bool) {
        let begun = std::time::Instant::now();
        while begun.elapsed().as_secs() < 30 {
            if self.pump(50) && condition(&self.text()) {
                return;
            }
        }
        panic!("waited in vain for {what}; the screen:\n{}", self.text());
    }

    /// Waits until the screen shows a text.
    pub fn wait_text(&mut self, text: &str) {
        self.wait(&format!("the text {text:?}"), |screen| screen.contains(text));
    }

    /// Waits for the end of the run, in the header. What happened is said before that, and `q` asks about the workload till then.
    pub fn wait_ended(&mut self) {
        self.wait("the end of the run", |screen| screen.lines().next().is_some_and(|line| line.contains(" after ")));
    }

    /// The process group that the terminal's signals go to.
    pub fn foreground(&self) -> i32 {
        rustix::termios::tcgetpgrp(&self.master).map_or(0, |pid| pid.as_raw_nonzero().get())
    }

    /// Waits until the terminal's signals go to another process group than this one.
    pub fn wait_foreground_not(&mut self, group: i32) {
        self.wait_that("another process group in the foreground", |t| t.foreground() != group);
    }

    fn wait_that(&mut self, what: &str, mut condition: impl FnMut(&Terminal) -> bool) {
        for _ in 0..3000 {
            if condition(self) {
                return;
            }
            self.pump(10);
        }
        panic!("waited in vain for {what}; the screen:\n{}", self.text());
    }

    /// Chooses a row of the settings' panel, which is open, by its name.
    pub fn choose_setting(&mut self, name: &str) {
        let row = Knob::ALL.iter().position(|knob| Language::English.knob(*knob) == name).expect("a setting");
        self.keys(&"k".repeat(Knob::ALL.len()));
        self.keys(&"j".repeat(row));
        self.wait(name, |s| s.contains(&format!("▸ {name}")));
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).expect("typing");
    }

    /// Changes the size, as a window would.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a size");
        let nonzero = |n| NonZeroU16::new(n).expect("a size");
        self.parser.set_size(nonzero(rows), nonzero(cols));
    }

    /// Whether the terminal is in the mode that a shell leaves it in: lines, echo, signals.
    pub fn is_cooked(&self) -> bool {
        use rustix::termios::LocalModes;
        tcgetattr(&self.slave)
            .is_ok_and(|t| t.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG))
    }

    /// What of the terminal is not as it was before: the line's modes, the terminal's own (DEC's), its style and its cursor.
    pub fn what_changed(&self) -> Vec<String> {
        let now = line_of(&self.slave);
        let mut changed: Vec<String> = now.into_iter().filter(|mode| !self.before.contains(mode)).collect();
        let usual = |mode: u32| [7, 25].contains(&mode);
        changed
            .extend(self.modes().iter().filter(|(mode, on)| **on != usual(**mode)).map(|(m, on)| format!("?{m} {on}")));
        let screen = self.parser.screen();
        let plain = screen.fgcolor() == vt100::Color::Default && screen.bgcolor() == vt100::Color::Default;
        if !plain || screen.bold() || screen.inverse() || screen.underline() || screen.dim() || screen.italic() {
            changed.push("the style".into());
        }
        changed
    }

    /// The terminal's own modes that were set or reset, and how they are now.
    fn modes(&self) -> std::collections::BTreeMap<u32, bool> {
        let mut modes = std::collections::BTreeMap::new();
        let text = String::from_utf8_lossy(&self.raw);
        for after in text.split("\x1b[?").skip(1) {
            let end = after.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(after.len());
            let on = match after[end..].chars().next() {
                Some('h') => true,
                Some('l') => false,
                _ => continue,
            };
            modes.extend(after[..end].split(';').filter_map(|mode| Some((mode.parse().ok()?, on))));
        }
        modes
    }

    /// The terminal goes away, as when its window is closed.
    pub fn lose(&mut self) {
        let nothing = || OwnedFd::from(std::fs::File::open("/dev/null").expect("/dev/null"));
        (self.master, self.slave) = (nothing(), nothing());
    }

    /// Waits for the end of a program that has lost its terminal; the exit code.
    pub fn end_without(&mut self) -> i32 {
        super::wait_for("the end of the program", || self.child.try_wait().ok()?.map(code))
    }

    /// The pid of sandtop.
    pub fn sandtop(&self) -> i32 {
        // setsid becomes the program: it need not fork.
        let pid = self.child.id() as i32;
        super::wait_for("sandtop on the terminal", || (name_of(pid).trim() == "sandtop").then_some(pid))
    }

    /// Waits until a shell's prompt, and nothing else, is on the last line: what is typed before that may be thrown away.
    pub fn type_to_a_shell(&mut self) {
        self.wait_text("bash-");
        self.keys("i");
        self.wait_text("typing goes to the workload");
        self.keys("PS1=ps:\r");
        self.wait("the prompt", |s| s.lines().any(|l| l.trim() == "ps:"));
    }

    pub fn wait_prompt(&mut self, prompt: &str) {
        self.wait(&format!("the prompt {prompt:?}"), |screen| {
            screen.lines().rfind(|l| !l.trim().is_empty()).is_some_and(|l| l.trim() == prompt.trim())
        });
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        for _ in 0..3000 {
            if let Ok(Some(status)) = self.child.try_wait() {
                while self.pump(0) {}
                self.replay();
                return code(status);
            }
            self.pump(10);
        }
        panic!("it does not end; the screen:\n{}", self.text());
    }

    /// The run was kept: its recording adds up to what the screen said at the end.
    fn replay(&self) {
        let last = self.kept.path().join("sandtop/last.jsonl.gz");
        if !last.exists() {
            return; // recorded elsewhere, or not at all
        }
        let session = super::replay(&last);
        let said = self.after_screen();
        if let Some(run) = session.run().filter(|run| run.ended.is_some() && said.contains("sandtop: ")) {
            let summary = sandtop::sentences::Language::English.summary(run);
            assert!(said.contains(&summary), "recorded: {summary}; said: {said}");
        }
    }

    /// What the program wrote since its screen was left, or all of it.
    pub fn after_screen(&self) -> String {
        let text = String::from_utf8_lossy(&self.raw).into_owned();
        text.rsplit("\x1b[?1049l").next().unwrap_or_default().to_string()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the screen says that so many MiB are in use: no finer than the kernel counts, which is in batches per CPU.
pub fn holds(screen: &str, mib: f64) -> bool {
    let line = screen.lines().find(|line| line.contains(" usage ")).unwrap_or("");
    let said = line.split_whitespace().nth(1).and_then(|n| n.strip_suffix('M')?.parse::<f64>().ok());
    said.is_some_and(|said| (mib..mib + 2.5).contains(&said))
}

/// The modes of a line, each in words.
fn line_of(slave: &OwnedFd) -> Vec<String> {
    let Ok(termios) = tcgetattr(slave) else { return vec!["no terminal".into()] };
    vec![
        format!("{:?}", termios.input_modes),
        format!("{:?}", termios.output_modes),
        format!("{:?}", termios.control_modes),
        format!("{:?}", termios.local_modes),
        format!("{:?}", termios.special_codes),
    ]
}

fn name_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
