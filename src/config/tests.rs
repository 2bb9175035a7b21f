//! Who wins, what is refused, and that what is printed says the same.

use super::*;
use crate::tui::theme::MONOCHROME;

fn merged(text: &str, env: &[(&str, &str)], given: &Given) -> Result<Config> {
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
    Config::merged(Some("/c/config.toml".into()), Some(text), &env, given)
}

fn from_file(text: &str) -> Config {
    merged(text, &[], &Given::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_command_line_wins_over_environment_over_file_over_default() {
    let file = "theme = \"truecolor\"\ncolor = \"always\"\nstep = \"16M\"\nmemory = \"50%\"\nmouse = false\n";
    let look = Look { theme: Some(MONOCHROME.into()), ..Look::default() };
    let given = Given { look, memory: Some("64M"), ..Given::default() };
    let config = merged(file, &[("NO_COLOR", "1"), ("TERM", "xterm")], &given).unwrap();
    assert_eq!((config.theme.value.as_str(), config.theme.origin), (MONOCHROME, Origin::Option("--theme")));
    assert_eq!((config.color.value, config.color.origin), (When::Never, Origin::Environment("NO_COLOR")));
    assert_eq!((config.step.value, config.step.origin), (Step::Bytes(16 << 20), Origin::File(3)));
    assert_eq!((config.memory.value.as_str(), config.memory.origin), ("64M", Origin::Option("--memory")));
    assert_eq!((config.mouse.value, config.mouse.origin), (false, Origin::File(5)));
    assert_eq!((config.ascii.value, config.ascii.origin), (false, Origin::Default));
}

#[test]
fn colours_are_as_asked_and_else_as_the_environment_wants_them() {
    for (file, env, option, wanted) in [
        ("", [("NO_COLOR", ""), ("TERM", "xterm")], None, When::Auto),
        ("", [("NO_COLOR", "1"), ("TERM", "xterm")], None, When::Never),
        ("", [("NO_COLOR", "1"), ("TERM", "xterm")], Some(When::Always), When::Always),
        ("", [("NO_COLOR", "1"), ("TERM", "xterm")], Some(When::Auto), When::Never),
        ("", [("NO_COLOR", ""), ("TERM", "dumb")], None, When::Never),
        ("color = \"always\"", [("NO_COLOR", ""), ("TERM", "dumb")], None, When::Always),
        ("color = \"never\"", [("NO_COLOR", ""), ("TERM", "xterm")], Some(When::Auto), When::Auto),
    ] {
        let look = Look { color: option, ..Look::default() };
        let config = merged(file, &env, &Given { look, ..Given::default() }).unwrap();
        assert_eq!(config.color.value, wanted, "{file:?} {env:?} {option:?}");
        assert_eq!(config.looks().unwrap().theme.colour, wanted != When::Never);
    }
}

#[test]
fn what_is_not_accepted_is_told_with_its_line() {
    for (text, line, word) in [
        ("\nthem = \"x\"\n", 2, "theme, color, ascii"),
        ("theme = 1\n", 1, "a string"),
        ("color = \"sometimes\"\n", 1, "auto, always, never"),
        ("ambiguous = \"two\"\n", 1, "auto, narrow, wide"),
        ("ascii = \"yes\"\n", 1, "true or false"),
        ("step = \"0%\"\n", 1, "16M"),
        ("interval = \"1h\"\n", 1, "1ms to 10s"),
        ("memory = \"lots\"\n", 1, "1.5G"),
        ("memory = 100\n", 1, "a number"),
        ("[key]\nquit = \"x\"\n", 2, "[keys]"),
        ("keys = \"vim\"\n", 1, "[keys]"),
        ("[keys]\nfly = \"f\"\n", 2, "those that have keys"),
        ("[keys]\nquit = \"x\"\nkill = \"Hyper-k\"\n", 3, "no key is called"),
        ("[keys]\nquit = \"x\"\nkill = \"x\"\n", 3, "given to both"),
        ("[keys]\nquit = 1\n", 2, "a list of keys"),
        ("theme = \"a\"\n= 2\n", 2, "no TOML"),
    ] {
        let said = merged(text, &[], &Given::default()).unwrap_err().to_string();
        assert!(said.starts_with(&format!("/c/config.toml:{line}: ")), "{said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
    }
    let said = from_file("theme = \"nobodys\"\n").looks().unwrap_err().to_string();
    assert!(said.starts_with("/c/config.toml:1: ") && said.contains("colour-blind"), "{said}");
}

#[test]
fn what_is_printed_says_the_same_when_it_is_read() {
    for text in [
        "",
        "step = \"2.5%\"\ninterval = \"1s500ms\"\n[keys]\nquit = [\"Ctrl-Q\", \"F10\"]\nplay = [\"q\", \"Left\", \"\\\\\"]\n",
    ] {
        let config = from_file(text);
        let printed = config.printed().unwrap();
        let again = from_file(&printed);
        assert_eq!(again.step.value, config.step.value);
        assert_eq!(again.interval.value, config.interval.value);
        let keys = |config: &Config| format!("{:?}", config.looks().unwrap().keys);
        assert_eq!(keys(&again), keys(&config), "{printed}");
        for setting in SETTINGS {
            assert!(printed.lines().any(|line| line.starts_with(&format!("{setting} = "))), "{setting}");
        }
    }
}

#[test]
fn what_is_printed_tells_where_each_value_is_from() {
    let given = Given { step: Some(Step::Bytes(1 << 24)), ..Given::default() };
    let config = merged("memory = \"64M\"\n[keys]\nrerun = \"q\"\n", &[("NO_COLOR", "1")], &given).unwrap();
    let printed = config.printed().unwrap();
    let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap_or("").to_string();
    for (start, from) in [
        ("theme = \"default\"", "# default"),
        ("color = \"never\"", "# environment NO_COLOR"),
        ("step = \"16M\"", "# option --step"),
        ("memory = \"64M\"", "# /c/config.toml:1"),
        ("rerun = \"q\"", "# /c/config.toml:3"),
        ("far-back = \"Shift-Left\"", "# default"),
        ("# quit = [\"Q\", \"Ctrl-C\"]", "taken"),
    ] {
        assert!(line(start).ends_with(from), "{start}:\n{printed}");
    }
}

#[test]
fn the_file_is_where_users_keep_such_files() {
    let at = |pairs: &[(&str, &str)]| {
        let env = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        place(&env)
    };
    let there = |path: &str| Some(PathBuf::from(path));
    assert_eq!(at(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]), (there("/x/sandtop/config.toml"), false));
    assert_eq!(at(&[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")]), (there("/h/.config/sandtop/config.toml"), false));
    assert_eq!(at(&[("SANDTOP_CONFIG", "c"), ("HOME", "/h")]), (there("c"), true));
    assert_eq!(at(&[("SANDTOP_CONFIG", ""), ("HOME", "/h")]), (None, true));
    assert_eq!(at(&[]), (None, false));
}

#[test]
fn the_example_names_every_setting_and_its_defaults_are_the_defaults() {
    let example = include_str!("../../assets/config.toml");
    let plain: String = example.lines().map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect();
    // What is a comment in truth has a blank after its sign.
    let plain: String = plain.lines().filter(|line| !line.starts_with(' ')).map(|line| format!("{line}\n")).collect();
    let (config, unset) = (from_file(&plain), from_file(example));
    for setting in SETTINGS {
        assert!(plain.contains(&format!("\n{setting} = ")), "{setting}");
    }
    let values = |config: &Config| -> Vec<String> {
        config.printed().unwrap().lines().map(|line| line.split(" # ").next().unwrap().trim().to_string()).collect()
    };
    assert_eq!(values(&config), values(&unset));
}
