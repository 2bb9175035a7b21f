//! How the screen looks on real terminals: with colours or without, in ASCII, where some characters are two cells wide; and what is configured.
//! On recordings, so that no privilege is needed.

mod common;

use std::{fs, time::Instant};

use common::{terminal::Terminal, *};
use unicode_width::UnicodeWidthChar;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");

/// A replay with these options, at its end.
fn at_its_end(options: &str, env: &[(&str, &str)], column: Option<u16>) -> Terminal {
    let mut t = started(options, env, column);
    t.keys("G");
    t.wait_text("exited 3");
    t
}

fn started(options: &str, env: &[(&str, &str)], column: Option<u16>) -> Terminal {
    let mut command = Sandtop::with("replay").raw();
    command.env_remove("NO_COLOR").args(options.split_whitespace()).arg(RECORDED);
    command.envs(env.iter().copied());
    let mut t = Terminal::start_as_is(command, 120, 40);
    t.cursor_column = column;
    t.wait_text("sandtop replay");
    t
}

fn leave(mut t: Terminal) -> Terminal {
    t.keys("q");
    assert_eq!(t.end(), 0);
    assert!(t.is_cooked() && !t.is_full_screen());
    t
}

/// The colours that were sent: parameters of SGR sequences that set a foreground or a background.
fn colours(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw).into_owned();
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
        rest[end..].starts_with('m').then(|| rest[..end].to_string())
    });
    let sets = |n: &str| n.parse().is_ok_and(|n: u16| matches!(n, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107));
    sequences.filter(|sequence| sequence.split([';', ':']).any(sets)).collect()
}

#[test]
fn a_pty_that_draws_ambiguous_characters_wide_gets_a_frame_without_one() {
    let ambiguous =
        |t: &Terminal| -> String { t.text().chars().filter(|c| !c.is_ascii() && c.width() != c.width_cjk()).collect() };
    let narrow = leave(at_its_end("", &[], Some(2)));
    let t = at_its_end("", &[], Some(3));
    assert_eq!(ambiguous(&t), "", "{}", t.text());
    assert!(t.text().contains('✖'), "what is narrow everywhere stays:\n{}", t.text());
    leave(t);
    let t = at_its_end("--ambiguous wide", &[], Some(2));
    assert_eq!(ambiguous(&t), "", "{}", t.text());
    leave(t);
    // Only the question's own sign was drawn before the answer, and it is gone.
    assert!(String::from_utf8_lossy(&narrow.raw).contains("■\x1b[6n"));
    let t = at_its_end("--ambiguous narrow", &[], Some(3));
    assert!(ambiguous(&t).contains('█') && !String::from_utf8_lossy(&t.raw).contains("\x1b[6n"), "{}", t.text());
    leave(t);
}

#[test]
fn in_ascii_every_character_is() {
    let mut t = at_its_end("--ascii", &[], Some(3));
    assert!(!String::from_utf8_lossy(&t.raw).contains("\x1b[6n"), "there is nothing to ask");
    t.wait_text("Left Right seek"); // "<" is another key
    t.keys("?");
    t.wait_text("leave the replay");
    t.keys("\x1b");
    t.wait("no help", |screen| !screen.contains("leave the replay"));
    let t = leave(t);
    let screen = String::from_utf8_lossy(&t.raw).into_owned();
    let screen = screen.split("\x1b[?1049h").nth(1).unwrap().split("\x1b[?1049l").next().unwrap();
    assert!(screen.is_ascii(), "{:?}", screen.chars().filter(|c| !c.is_ascii()).collect::<String>());
}

#[test]
fn without_colours_no_colour_is_sent_and_always_means_always() {
    for (options, env) in
        [("", [("NO_COLOR", "1")]), ("--color never", [("NO_COLOR", "")]), ("--theme monochrome", [("NO_COLOR", "")])]
    {
        let t = leave(at_its_end(options, &env, Some(2)));
        assert_eq!(colours(&t.raw), [""; 0], "{options} {env:?}");
    }
    for (options, env) in [("--color always", [("NO_COLOR", "1")]), ("", [("NO_COLOR", "")])] {
        let t = leave(at_its_end(options, &env, Some(2)));
        assert!(colours(&t.raw).len() > 10, "{options} {env:?}: {:?}", colours(&t.raw));
    }
}

#[test]
fn themes_are_chosen_by_name_or_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("themes")).unwrap();
    fs::write(dir.path().join("themes/mine.toml"), "[styles]\ndim = \"#010203\"\n").unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "theme = \"mine\"\n").unwrap();
    let env = [("SANDTOP_CONFIG", config.to_str().unwrap())];
    let t = leave(at_its_end("", &env, Some(2)));
    assert!(colours(&t.raw).iter().any(|colour| colour.contains("38;2;1;2;3")), "{:?}", colours(&t.raw));
    let t = leave(at_its_end("--theme truecolor", &env, Some(2)));
    assert!(colours(&t.raw).iter().any(|colour| colour.starts_with("38;2;63;142;216")), "{:?}", colours(&t.raw));
    let mut command = Sandtop::with(&format!("replay --theme nobodys {RECORDED}")).raw();
    command.env_remove("NO_COLOR");
    let mut t = Terminal::start_as_is(command, 100, 30);
    assert_eq!(t.end(), 125);
    assert!(t.text().contains("no theme \"nobodys\""), "{}", t.text());
    // A picture of a recording knows the same themes.
    let picture = |theme: &str| {
        let mut report = std::process::Command::new(SANDTOP);
        report.args(["report", RECORDED, "--screen", "80x24", "--theme", theme, "--format", "svg", "-o", "-"]);
        report.env("SANDTOP_CONFIG", &config).output().unwrap()
    };
    let output = picture("mine");
    assert!(String::from_utf8_lossy(&output.stdout).contains("#010203"), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!picture("nobodys").status.success());
}

#[test]
fn what_is_typed_while_the_terminal_is_asked_is_not_lost() {
    // A terminal that never answers: keys come before the first frame, and are taken.
    let mut command = Sandtop::with(&format!("replay {RECORDED}")).raw();
    command.env_remove("NO_COLOR");
    let mut t = Terminal::start_as_is(command, 120, 40);
    t.cursor_column = None;
    wait_for("the question", || {
        t.pump(10);
        String::from_utf8_lossy(&t.raw).contains("\x1b[6n").then_some(())
    });
    let asked = Instant::now();
    t.keys("G?");
    t.wait_text("leave the replay");
    assert!(asked.elapsed() < within(1000), "{:?}", asked.elapsed());
    t.keys("\x1b");
    t.wait_text("exited 3 after");
    // A late answer is no typing: F3 would close nothing, and digits would go to the start.
    t.keys("\x1b[1;3R");
    t.keys("?");
    t.wait_text("leave the replay");
    t.keys("\x1b");
    t.wait("no help, and the end", |screen| !screen.contains("leave the replay") && screen.contains("exited 3 after"));
    leave(t);
}

#[test]
fn keys_are_what_the_configuration_says() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "[keys]\nto-end = [\"z\"]\nquit = \"Z\"\n").unwrap();
    let mut t = started("", &[("SANDTOP_CONFIG", config.to_str().unwrap())], Some(2));
    t.keys("z");
    t.wait_text("exited 3 after");
    t.keys("q?");
    t.wait("the help, which names the keys", |screen| {
        screen.lines().any(|line| line.contains("Z ") && line.contains("leave the replay"))
    });
    t.keys("\x1b");
    t.wait("no help", |screen| !screen.contains("leave the replay"));
    t.keys("Z");
    assert_eq!(t.end(), 0);
}

/// What `sandtop config` says, and its exit code.
fn configuration(args: &str, env: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let mut command = Sandtop::with(&format!("config {args}")).raw();
    command.env_remove("NO_COLOR").env("TERM", "xterm").env_remove("SANDTOP_CONFIG").envs(env.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn the_configuration_is_printed_with_where_it_is_from() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap();
    let path = dir.path().join("sandtop/config.toml");
    let env = [("XDG_CONFIG_HOME", home), ("NO_COLOR", "1")];
    assert_eq!(configuration("--path", &env).0, format!("{}\n", path.display()));
    assert!(configuration("", &env).0.starts_with("# the file, which is not there"));
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, "memory = \"64M\"\n\n[keys]\nkill = \"F9\"\n").unwrap();
    let (printed, _, code) = configuration("--ascii", &env);
    assert_eq!(code, Some(0));
    let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_string();
    assert!(line("memory = \"64M\"").ends_with("config.toml:1"), "{printed}");
    assert!(line("kill = \"F9\"").ends_with("config.toml:4"), "{printed}");
    assert!(line("color = \"never\"").ends_with("environment NO_COLOR"), "{printed}");
    assert!(line("ascii = true").ends_with("option --ascii"), "{printed}");
    assert!(line("step = \"10%\"").ends_with("default"), "{printed}");
    // It is a configuration itself, and says the same.
    let copy = dir.path().join("copy.toml");
    fs::write(&copy, &printed).unwrap();
    let again = configuration("", &[("SANDTOP_CONFIG", copy.to_str().unwrap())]).0;
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|l| !l.starts_with('#'))
            .map(|l| l.split(" # ").next().unwrap().trim().to_string())
            .collect()
    };
    assert_eq!(values(&again), values(&printed));
    assert!(configuration("", &[("SANDTOP_CONFIG", "")]).0.starts_with("# no file"));
}

#[test]
fn a_bad_configuration_is_told_in_one_line_and_nothing_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, "\nmemroy = \"64M\"\n").unwrap();
    let file = path.to_str().unwrap();
    let place = format!("sandtop: {file}:2: ");
    let (_, said, code) = configuration("", &[("SANDTOP_CONFIG", file)]);
    assert!(code == Some(125) && said.starts_with(&place) && said.lines().count() == 1, "{said}");
    for mode in ["run -- true", "-- true", "demo"] {
        let output = Sandtop::with(mode).raw().env("SANDTOP_CONFIG", file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(125) && said.starts_with(&place), "{mode}: {said}");
    }
    let (_, said, code) = configuration("", &[("SANDTOP_CONFIG", "/no/such")]);
    assert!(code == Some(125) && said.contains("No such file"), "{said}");
}

#[test]
fn the_limit_of_the_configuration_is_that_of_a_run_without_one() {
    if !kernel_tier("the_limit_of_the_configuration_is_that_of_a_run_without_one") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, "memory = \"64M\"\n").unwrap();
    for (options, limit) in [("", "64M"), ("-m 80M", "80M"), ("--schedule 0s=72M", "72M")] {
        let run = Sandtop::run(options).env("SANDTOP_CONFIG", path.to_str().unwrap()).cmd(["true"]).go();
        assert!(run.err.contains(&format!("of {limit},")), "{options}: {}", run.err);
    }
}
