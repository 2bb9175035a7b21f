//! The workload's own terminal, on a real one: programs that draw full-screen, who gets what is typed, and that nothing gets out.

mod common;

use std::{fs, path::Path};

use common::{terminal::Terminal, *};

fn screen(args: &str, command: &[&str], cols: u16, rows: u16) -> Terminal {
    Terminal::start(Sandtop::with(args).cmd(command).raw(), cols, rows)
}

/// The footer's last words are there when the keys are sandtop's.
fn keys_are_ours(screen: &str) -> bool {
    screen.lines().last().is_some_and(|line| line.contains("q quit"))
}

/// The rows that the region of the output has, its rule included.
fn output_rows(screen: &str) -> usize {
    let rule = screen.lines().position(|line| line.starts_with("─ output")).expect("the rule of the output");
    screen.lines().count() - 1 - rule
}

fn quit(mut t: Terminal) {
    t.keys("q");
    t.wait_text("The workload still runs.");
    t.keys("yy"); // a shell at its prompt takes no SIGTERM
    assert!([137, 143].contains(&t.end()));
    assert_eq!(t.what_changed(), Vec::<String>::new());
}

#[test]
fn a_line_is_read_from_the_keyboard() {
    if !kernel_tier("a_line_is_read_from_the_keyboard") {
        return;
    }
    let mut t = screen("", &["sh", "-c", "read x; echo got $x"], 80, 24);
    t.wait_text("running");
    t.keys("i");
    t.wait_text("typing goes to the workload");
    t.keys("some words\r");
    t.wait("the answer", |s| s.lines().any(|l| l.starts_with("got some words")));
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert_eq!(t.what_changed(), Vec::<String>::new());
}

#[test]
fn a_program_that_draws_full_screen_gets_what_is_typed_until_the_user_says_otherwise() {
    let test = "a_program_that_draws_full_screen_gets_what_is_typed_until_the_user_says_otherwise";
    if !kernel_tier(test) || !has(test, "less") {
        return;
    }
    let script =
        "seq 1 500 | sed 's/^/line /' >/tmp/pane-$$; less /tmp/pane-$$; rm /tmp/pane-$$; echo after; exec sleep 1000";
    let mut t = screen("", &["sh", "-c", script], 100, 40);
    // It has the focus by itself, and with it more room.
    t.wait("less", |s| s.contains("typing goes to the workload") && s.lines().any(|l| l.trim() == "line 15"));
    t.keys("G");
    t.wait("the end", |s| s.lines().any(|l| l.trim() == "line 500"));
    t.keys("\x1b[5~");
    t.wait("a page up", |s| !s.lines().any(|l| l.trim() == "line 500"));
    t.keys("?line 123\r");
    t.wait("what was searched", |s| s.lines().any(|l| l.trim() == "line 123"));
    // The way back, and there it stays.
    t.keys("\x1d");
    t.wait("sandtop's keys", |s| !s.contains("typing goes to the workload") && keys_are_ours(s));
    t.keys("-");
    t.wait_text("→ 90M, by you");
    // Once more to the program.
    t.keys("i");
    t.wait_text("typing goes to the workload");
    t.keys("q");
    t.wait("its end", |s| s.lines().any(|l| l.trim() == "after"));
    t.keys("\x1d");
    t.wait("sandtop's keys", |s| !s.contains("typing goes to the workload") && keys_are_ours(s));
    quit(t);
}

#[test]
fn the_focus_goes_back_by_itself_where_the_user_said_nothing() {
    if !kernel_tier("the_focus_goes_back_by_itself_where_the_user_said_nothing") {
        return;
    }
    let script = "printf '\\033[?1049hfull screen\\n'; read x; printf '\\033[?1049l'; echo got $x; exec sleep 1000";
    let mut t = screen("", &["sh", "-c", script], 100, 30);
    t.wait("the focus", |s| s.contains("full screen") && s.contains("typing goes to the workload"));
    t.keys("q\r");
    t.wait("sandtop's keys", |s| s.contains("got q") && !s.contains("typing goes to the workload"));
    // What comes right then was meant for the program, and is no command.
    t.keys("KK");
    wait_for("keys that count again", || {
        t.keys("?");
        (0..20).any(|_| t.pump(10) && t.text().contains("this list")).then_some(())
    });
    t.keys("\x1b");
    t.wait("no help, and it lives", |s| !s.contains("this list") && s.contains("● running"));
    quit(t);
}

#[test]
fn an_editor_edits_and_what_is_enlarged_has_the_whole_screen() {
    let test = "an_editor_edits_and_what_is_enlarged_has_the_whole_screen";
    if !kernel_tier(test) || !has(test, "vim") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("text");
    // As it comes it asks its terminal more; without its files it says that it comes without.
    let config = if Path::new("/etc/vim/vimrc").exists() { "DEFAULTS" } else { "NONE" };
    let vim = ["vim", "-N", "-u", config, "-i", "NONE", file.to_str().unwrap()];
    let mut t = Terminal::start(Sandtop::with("").env("LC_ALL", "C.UTF-8").cmd(vim).raw(), 100, 40);
    t.wait("vim", |s| s.contains("typing goes to the workload") && s.lines().filter(|l| l.trim() == "~").count() > 5);
    t.keys("ihello é 世界\x1b");
    t.wait_text("hello é 世界");
    // Vim has asked its terminal all that it asks, and has taken no answer for typing.
    assert_eq!(t.text().matches("hello").count(), 1, "{}", t.text());
    let before = output_rows(&t.text());
    t.keys("\x1d");
    t.wait("sandtop's keys", keys_are_ours);
    t.keys("m");
    // All but the header and the footer: vim was told, and draws down to the last row but one, which is its command line.
    t.wait("vim on all of the screen", |s| {
        output_rows(s) == 38 && s.lines().nth(36).is_some_and(|l| l.trim() == "~") && s.contains("hello")
    });
    t.keys("i");
    t.wait_text("typing goes to the workload");
    t.keys(":set lines? columns?\r");
    t.wait("the size that it was told", |s| s.contains("lines=37") && s.contains("columns=100"));
    t.keys("\r\x1d");
    t.wait("sandtop's keys", |s| !s.contains("typing goes to the workload"));
    t.keys("m");
    t.wait("the picture again", |s| output_rows(s) == before && s.contains("─ processes"));
    t.keys("i");
    t.wait_text("typing goes to the workload");
    t.keys(":wq\r");
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "hello é 世界\n");
    assert_eq!(t.what_changed(), Vec::<String>::new());
}

#[test]
fn a_program_that_refreshes_goes_on_beside_the_rest() {
    let test = "a_program_that_refreshes_goes_on_beside_the_rest";
    if !kernel_tier(test) || !has(test, "top") {
        return;
    }
    let mut t = screen("", &["top", "-d", "0.5"], 120, 40);
    t.wait("top", |s| s.contains("load average") && s.contains("PID USER"));
    t.keys("i");
    t.wait_text("typing goes to the workload");
    t.keys("1");
    t.wait("a line for each CPU", |s| s.contains("%Cpu0"));
    t.keys("q");
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert_eq!(t.what_changed(), Vec::<String>::new());
}

#[test]
fn lines_are_lines_where_letters_stand_for_them() {
    let test = "lines_are_lines_where_letters_stand_for_them";
    if !kernel_tier(test) || !has(test, "htop") {
        return;
    }
    // Without UTF-8 ncurses draws the tree with DEC's special graphics.
    let command = Sandtop::with("").env("LC_ALL", "C").cmd(["sh", "-c", "sleep 1000 & exec htop -t -d 5"]).raw();
    let mut t = Terminal::start(command, 120, 40);
    t.wait("the tree", |s| s.contains("typing goes to the workload") && s.contains("PID") && s.contains("sleep 1000"));
    t.wait("its branches", |s| s.lines().any(|l| l.contains("sleep 1000") && l.contains('─')));
    t.keys("\x1b[21~"); // F10
    t.wait_text("exited 0");
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert_eq!(t.what_changed(), Vec::<String>::new());
}

#[test]
fn a_program_that_asks_for_it_is_told_of_the_focus() {
    if !kernel_tier("a_program_that_asks_for_it_is_told_of_the_focus") {
        return;
    }
    let mut t = screen("", &["sh", "-c", "printf '\\033[?1004hready\\n'; exec sleep 1000"], 100, 30);
    t.wait("the program", |s| s.lines().any(|l| l.trim() == "ready"));
    t.keys("i");
    t.wait_text("^[[I"); // the line's echo
    t.keys("\x1d");
    t.wait_text("^[[I^[[O");
    quit(t);
}

#[test]
fn a_shell_has_its_line_editing() {
    if !kernel_tier("a_shell_has_its_line_editing") {
        return;
    }
    let mut t = screen("", &["bash", "--norc"], 100, 30);
    t.type_to_a_shell();
    // Back to the start of the line, forward by a word, and one more in between.
    t.keys("echo three\x01\x1bf one two\r");
    t.wait("the edited line", |s| s.lines().any(|l| l.trim() == "one two three"));
    // The line before, without its last word.
    t.keys("\x1b[A\x17$((6*7)) $TERM $(tput cols)\r");
    t.wait("the line before", |s| s.lines().any(|l| l.trim() == "one two 42 xterm-256color 100"));
    // What is pasted is not run before Enter, and not what it says of keys.
    t.keys("\x1b[200~echo pasted\necho $((1+1))\x1b[201~");
    t.wait_text("echo $((1+1))");
    assert!(!t.text().lines().any(|l| l.trim() == "pasted"), "{}", t.text());
    t.keys("\r");
    t.wait("what was pasted", |s| ["pasted", "2"].iter().all(|word| s.lines().any(|l| l.trim() == *word)));
    t.keys("\x1d");
    t.wait("sandtop's keys", |s| keys_are_ours(s) && !s.contains("typing goes to the workload"));
    quit(t);
}

#[test]
fn what_scrolled_out_is_read_while_more_comes() {
    if !kernel_tier("what_scrolled_out_is_read_while_more_comes") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let script = format!(
        "seq 1 300 | sed 's/^/line /'; until [ -e {} ]; do sleep 0.02; done; seq 301 400 | sed 's/^/line /'; exec sleep 1000",
        go.display()
    );
    let mut t = screen("", &["sh", "-c", &script], 100, 40);
    let has = |s: &str, n: u32| s.lines().any(|l| l.trim() == format!("line {n}"));
    t.wait("all lines", |s| has(s, 300));
    t.keys("\t\t");
    t.wait_text("types to the workload");
    for (key, said) in [("\x1b[A", "1 lines back"), ("\x1b[5~", "11 lines back"), ("\x1b[B", "10 lines back")] {
        t.keys(key);
        t.wait_text(said);
    }
    t.keys("\x1b[H");
    t.wait("the first line", |s| has(s, 1));
    // Typing goes to the end of it.
    t.keys("i");
    t.wait("the newest line", |s| has(s, 300) && s.contains("typing goes to the workload"));
    t.keys("\x1d");
    t.wait_text("types to the workload");
    t.keys("\x1b[5~\x1b[5~");
    t.wait_text("20 lines back");
    let at = t.text();
    // What comes meanwhile moves nothing.
    let body = |s: &str| s.lines().filter(|l| l.trim().starts_with("line ")).map(str::to_string).collect::<Vec<_>>();
    let before = body(&at);
    fs::write(&go, "").unwrap();
    t.wait_text("120 lines back");
    assert_eq!(body(&t.text()), before);
    t.keys("\x1b[F");
    t.wait("the newest line", |s| has(s, 400));
    quit(t);
}

/// All kinds of strings, and modes: of each terminal that is known for them.
const LOUD: &str = r"
printf '\033]0;STOLEN\007\033]1;STOLEN\007\033]2;STOLEN\033\\\033]7;file://STOLEN\007\033]9;STOLEN\007'
printf '\033]4;1;rgb:ff/00/00\007\033]10;?\007\033]11;#ff0000\007\033]12;red\007\033]104\007'
printf '\033]8;;http://STOLEN/\033\\link\033]8;;\033\\\033]52;c;U1RPTEVO\007\033]52;c;?\007'
printf '\033]133;A\007\033]777;notify;STOLEN;x\007\033]1337;File=inline=1:U1RPTEVO\007\033]5522;STOLEN\007'
printf '\033Pq#0;2;0;0;0~-\033\\\033P$qm\033\\\033P+q544e\033\\\033Ptmux;\033\033]0;STOLEN\007\033\\\033P1000p%%STOLEN\033\\'
printf '\033_Gf=24;STOLEN\033\\\033^STOLEN\033\\\033XSTOLEN\033\\\033kSTOLEN\033\\'
printf '\302\2350;STOLEN\302\234\302\2331m\2350;STOLEN\234'
printf '\033[c\033[>c\033[=c\033[5n\033[6n\033[?6n\033[>q\033[?u\033[18t\033[21t\033[?2026$p\005'
printf '\033[8;1;1t\033[3;1;1t\033[2t\033[22;0t\033[5i\033[4i\033[1;1H\033[3g'
printf '\033[?1000;1002;1003;1005;1006;1015;1016h\033[?1004h\033[?2004h\033[?2026h\033[?25h\033[?7l\033[?5h\033[?3h\033[>4;2m\033[>1u\033='
printf '\033[?1049l\033[!p\033[?1049h\033[?47h\033c\033#8\033(0\016'
printf '\017\033(B\nTHE-END\n'
exec sleep 1000
";

#[test]
fn what_a_program_says_to_its_terminal_is_not_said_to_ours() {
    if !kernel_tier("what_a_program_says_to_its_terminal_is_not_said_to_ours") {
        return;
    }
    let mut t = screen("", &["sh", "-c", LOUD], 100, 30);
    t.wait_text("THE-END");
    t.keys("i");
    t.wait_text("typing goes to the workload");
    t.keys("\x1d");
    t.wait("sandtop's keys", |s| !s.contains("typing goes to the workload"));
    // sandtop itself asks once, at its start, how wide a sign is.
    let raw = String::from_utf8_lossy(&t.raw).replacen("■\x1b[6n", "", 1);
    for after in raw.split('\x1b').skip(1) {
        let end = after.find(|c: char| !(c.is_ascii_digit() || "[?;:".contains(c))).unwrap_or(after.len());
        let (body, last) = (&after[..end], after[end..].chars().next().unwrap_or('-'));
        let known = match body.strip_prefix("[?") {
            Some(mode) => "hl".contains(last) && ["25", "1002", "1006", "1049", "2004", "2026"].contains(&mode),
            None => body.starts_with('[') && "mHJK".contains(last),
        };
        assert!(known, "ESC {body}{last}");
    }
    let controls: Vec<char> = raw.chars().filter(|c| c.is_control() && *c != '\x1b').collect();
    assert_eq!(controls, [], "control characters");
    assert!(t.is_full_screen(), "{}", t.text());
    quit(t);
}
