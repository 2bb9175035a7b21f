//! What is typed and what comes of it.

use super::*;

fn parsed(line: &str) -> Cli {
    parse(line.split(' ').map(OsString::from)).unwrap_or_else(|e| panic!("{line}: {e:?}"))
}

fn refused(line: &str) -> String {
    match parse(line.split(' ').map(OsString::from)) {
        Err(Err(e)) => e.to_string(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_commands_own_options_are_its_own() {
    for line in ["sandtop -- stress --vm-bytes 200m -m 1", "sandtop stress --vm-bytes 200m -m 1"] {
        let cli = parsed(line);
        assert_eq!(cli.command, ["stress", "--vm-bytes", "200m", "-m", "1"]);
        assert_eq!(cli.options.memory, None);
    }
    let cli = parsed("sandtop -m 64M -- run --json x");
    assert_eq!(cli.command, ["run", "--json", "x"]);
    assert!(cli.mode.is_none());
}

#[test]
fn run_takes_the_same_options() {
    let Some(Mode::Run(run)) = parsed("sandtop run -m -1 --json - -q -e A=b --timeout 1.5s sh -c x").mode else {
        panic!("not run")
    };
    assert_eq!(run.options.memory.as_deref(), Some("-1"));
    assert_eq!(run.options.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(run.command, ["sh", "-c", "x"]);
}

#[test]
fn a_bad_argument_gets_one_line() {
    for (line, word) in [
        ("sandtop --memroy 5m ls", "--memory"),
        ("sandtop --interval 1h ls", "1ms to 10s"),
        ("sandtop --interval 0 ls", "1ms to 10s"),
        ("sandtop --timeout soon ls", "500ms"),
        ("sandtop --network some ls", "none"),
        ("sandtop --metrics example.org:80 ls", "127.0.0.1:9273"),
        ("sandtop --cap-add CHOWN ls", "SYS_ADMIN"),
        ("sandtop --unshare user ls", "uts"),
        ("sandtop", "sandtop demo"),
        ("sandtop run", "no command"),
        ("sandtop -m", "SIZE"),
        ("sandtop --budget 5m ls", "sandtop run"),
        ("sandtop --step 0 ls", "16M"),
        ("sandtop completions tcsh", "zsh"),
    ] {
        let said = refused(line);
        assert!(said.contains(word) && said.lines().count() == 1, "{line}: {said}");
    }
}
