//! Reports of real runs: the very numbers of the run, safe whatever the run was called, and never at the cost of a file.

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{terminal::Terminal, *};
use serde_json::Value;

/// Text that breaks out of HTML, SVG, Markdown and terminals where it can.
const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{1b}[31m`|&amp;</style></svg>";

/// `sandtop report`; what it said.
fn report(args: &[&str]) -> Ended {
    let mut command = Sandtop::with("report").raw();
    let Output { status, stdout, stderr } = command.args(args).output().expect("sandtop starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr), json: None }
}

/// One that must succeed.
fn reported(args: &[&str]) -> String {
    let ended = report(args);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}: {}", ended.out);
    ended.out
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A run that survives a kill, recorded, and the JSON that it wrote.
fn killed_run(dir: &Path) -> (PathBuf, String) {
    let (recording, json) = (dir.join("run.jsonl.gz"), dir.join("live.json"));
    let script = format!("{SANDTOP} worker fill 12M; {SANDTOP} worker fill 64M; exit 3");
    let options = format!("run -m 40M --json {} --record {}", json.display(), recording.display());
    let ended = Sandtop::with(&options).sh(&script).go();
    assert_eq!(ended.code, 3, "{}", ended.err);
    (recording, fs::read_to_string(json).unwrap())
}

/// What stands between two texts, from here on, and what comes after it.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(from)?.1.split_once(to)
}

/// The text of HTML: without tags, and with its characters back.
fn unescaped(html: &str) -> String {
    let mut out = String::new();
    for part in html.split('<') {
        out += part.split_once('>').map_or(part, |(_, text)| text);
    }
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (from, to)| text.replace(from, to))
}

#[test]
fn every_kind_is_made_at_once_and_the_json_is_the_live_one() {
    let test = "every_kind_is_made_at_once_and_the_json_is_the_live_one";
    if !kernel_tier(test) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..times(10) {
        let (recording, live) = killed_run(dir.path());
        let outs = ["x.html", "x.svg", "x.md", "x.csv", "x.json", "x.cast"].map(|name| dir.path().join(name));
        let mut args = vec![text(&recording)];
        outs.iter().for_each(|out| args.extend(["-o", text(out)]));
        // What holds no terminal says so.
        let ended = report(&args);
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert!(ended.err.contains("no output in this recording"), "{}", ended.err);
        assert_eq!(ended.out.lines().map(Path::new).collect::<Vec<_>>(), outs, "each path, one a line");
        let read = |n: usize| fs::read_to_string(&outs[n]).unwrap();
        assert_eq!(read(4), live, "byte for byte");
        assert_eq!(reported(&[text(&recording), "-o", "-", "--format", "json"]), live);
        let live: Value = serde_json::from_str(&live).unwrap();
        assert_eq!(live["oom_kills"], 1);
        for (n, part) in [
            (0, "<!doctype html>"),
            (1, "<svg "),
            (2, "## sh under 40M"),
            (3, "time_seconds,usage_bytes"),
            (5, "{\"env\""),
        ] {
            assert!(read(n).starts_with(part), "{}", read(n));
        }
        assert!(read(2).contains("`") && read(2).contains("| OOM kills | 1 |"), "{}", read(2));
        let rows: Vec<Vec<String>> =
            read(3).lines().skip(1).map(|line| line.split(',').map(str::to_string).collect()).collect();
        let highest = rows.iter().filter_map(|row| row[2].parse::<u64>().ok()).max();
        assert_eq!(highest.map_or(Value::Null, Value::from), live["peak_bytes"]);
        let last = rows.last().unwrap();
        assert_eq!((last[1].parse::<u64>().ok(), last[11].as_str()), (live["usage_bytes"].as_u64(), "1"));
    }
}

#[test]
fn the_pages_numbers_are_those_of_the_json() {
    let test = "the_pages_numbers_are_those_of_the_json";
    if !kernel_tier(test) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (recording, live) = killed_run(dir.path());
    let live: Value = serde_json::from_str(&live).unwrap();
    let page = reported(&[text(&recording), "-o", "-", "--format", "html"]);
    let mut seen = Vec::new();
    let mut rest = page.as_str();
    while let Some((field, after)) = between(rest, "data-field=\"", "\"") {
        let value =
            after.strip_prefix(" data-value=\"").and_then(|value| value.split_once('"')).map(|(value, _)| value);
        let told = field.split('.').fold(&live, |json, name| &json[name]);
        assert_eq!(value.map_or(Value::Null, |value| serde_json::from_str(value).unwrap()), *told, "{field}");
        seen.push(field);
        rest = after;
    }
    for field in
        ["usage_bytes", "highest_bytes", "limit_bytes", "limit_hits", "oom_kills", "wall_seconds", "sandtop_exit_code"]
    {
        assert!(seen.contains(&field), "{field} of {seen:?}");
    }
    // Every kill with its facts, and what the verdict rests on.
    let whole = unescaped(&page);
    let stories = live["stories"].as_array().unwrap();
    assert!(!stories.is_empty());
    for line in stories.iter().flat_map(|story| story["text"].as_array().unwrap()) {
        let line = line.as_str().unwrap();
        assert!(whole.contains(line.split_once(": ").map_or(line, |(_, fact)| fact)), "{line}");
    }
    for fact in live["evidence"].as_array().unwrap() {
        assert!(
            whole.contains(fact["fact"].as_str().unwrap()) && whole.contains(fact["source"].as_str().unwrap()),
            "{fact}"
        );
    }
    // Every event with its moment and its sentence, in order.
    let mut rest = page.as_str();
    for event in live["events"].as_array().unwrap() {
        let (at, after) = between(rest, "data-at=\"", "\"").unwrap();
        let (row, after) = after.split_once("</tr>").unwrap();
        assert_eq!(serde_json::from_str::<Value>(at).unwrap(), event["at_seconds"]);
        assert!(unescaped(row).ends_with(event["text"].as_str().unwrap()), "{row}: {event}");
        rest = after;
    }
    assert!(!rest.contains("data-kind="), "and no more");
}

#[test]
fn edits_and_output_are_in_the_report_and_an_earlier_run_is_had_by_its_number() {
    let test = "edits_and_output_are_in_the_report_and_an_earlier_run_is_had_by_its_number";
    if !kernel_tier(test) || !has(test, "setsid") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("run.jsonl");
    let options = format!("-m 64M --record {}", recording.display());
    let mut t =
        Terminal::start(Sandtop::with(&options).sh("echo half a €; read line; echo got $line; exit 5").raw(), 120, 40);
    t.wait("its output", |screen| screen.lines().any(|line| line.trim() == "half a €"));
    t.keys("=80M\r");
    t.wait_text("limit 64M → 80M");
    t.keys("=48M\r");
    t.wait_text("limit 80M → 48M");
    t.keys("KK"); // asked, and meant
    t.wait_text("SIGKILL");
    t.keys("r");
    t.wait_text("run 2");
    // On lines of their own: the command line says it as well.
    let said = |screen: &str| screen.lines().filter(|line| line.trim() == "half a €").count();
    t.wait("the second run's output", |screen| said(screen) >= 2);
    t.keys("KK"); // asked, and meant
    t.wait("the second end", |screen| screen.contains("run 2") && screen.matches("SIGKILL").count() >= 2);
    t.keys("q");
    t.end();

    let told = derived(&replay(&recording));
    let json: Value = serde_json::from_str(&reported(&[text(&recording), "-o", "-", "--format", "json"])).unwrap();
    assert_eq!(json, told);
    assert_eq!((&json["run"], json["earlier_runs"].as_array().map(Vec::len)), (&2.into(), Some(1)));
    let first: Value =
        serde_json::from_str(&reported(&[text(&recording), "--run", "1", "-o", "-", "--format", "json"])).unwrap();
    assert_eq!(first["edits"], told["earlier_runs"][0]["edits"]);
    let edits = first["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 2, "{edits:?}");

    let page = reported(&[text(&recording), "-o", "-", "--format", "html"]);
    assert!(page.find("id=\"run2\"") < page.find("id=\"run1\""), "the newest first");
    for edit in edits {
        assert!(page.contains(&format!("data-value=\"{}\"", edit["to"])), "{edit}");
    }
    assert!(page.contains("limit raised") && page.contains("limit lowered") && page.contains("half a €"), "{page}");
    let table = reported(&[text(&recording), "--run", "1", "-o", "-", "--format", "csv"]);
    let limits: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
    let mut steps = limits.clone();
    steps.dedup();
    assert_eq!(steps, ["67108864", "83886080", "50331648"]);

    let cast = reported(&[text(&recording), "-o", "-", "--format", "cast"]);
    let lines: Vec<Value> = cast.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["version"], 2);
    let output: String = lines[1..].iter().filter(|line| line[1] == "o").filter_map(|line| line[2].as_str()).collect();
    assert_eq!(output.matches("half a €").count(), 2, "{output}");
    // As of a moment before the first edit nothing was moved yet.
    let before = format!("{:.6}s", edits[0]["at_seconds"].as_f64().unwrap() - 0.001);
    let then: Value = serde_json::from_str(&reported(&[
        text(&recording),
        "--run",
        "1",
        "--at",
        &before,
        "-o",
        "-",
        "--format",
        "json",
    ]))
    .unwrap();
    assert_eq!(
        (&then["state"], &then["limit_bytes"], &then["edits"]),
        (&"running".into(), &67_108_864.into(), &Value::Array(vec![]))
    );
}

#[test]
fn a_damaged_recording_is_reported_up_to_the_damage_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.jsonl");
    let whole = include_bytes!("data/recording-1.jsonl");
    fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    let out = dir.path().join("x.html");
    let ended = report(&[text(&path), "-o", text(&out)]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("is damaged: line") && ended.err.contains("is cut"), "{}", ended.err);
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.contains("The recording is damaged:</strong> line"), "{page}");
    let ended = report(&[text(&path), "-o", "-", "--format", "md"]);
    assert!(ended.out.starts_with("> **The recording is damaged:**"), "{}", ended.out);
    // What is none is refused in a sentence.
    fs::write(&path, "no recording").unwrap();
    let ended = report(&[text(&path)]);
    assert_eq!((ended.code, ended.out.as_str(), ended.err.lines().count()), (125, "", 1), "{}", ended.err);
}

#[test]
fn nothing_that_hides_reaches_a_terminal_and_the_values_stay_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jsonl");
    let whole = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl")).unwrap();
    let hostile = "a\u{202e}b\u{9b}31m\u{e0041}";
    let (before, after) = whole.lines().nth(1).unwrap().split_once("\"argv\":[").unwrap();
    let started = format!("{before}\"argv\":[\"{hostile}\",{after}");
    fs::write(&path, whole.replace(whole.lines().nth(1).unwrap(), &started)).unwrap();
    for kind in ["json", "cast", "md", "html", "svg", "csv"] {
        let out = report(&[text(&path), "-o", "-", "--format", kind]).out;
        assert!(!out.is_empty(), "{kind}");
        let hidden =
            out.chars().find(|c| c.is_control() && !"\n\r\t".contains(*c) || ['\u{202e}', '\u{e0041}'].contains(c));
        assert_eq!(hidden, None, "{kind}");
        if kind == "json" {
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["command"][0], hostile);
        }
    }
    assert!(reported(&[text(&path)]).contains("a\u{fffd}b\u{fffd}31m"));
    // Nor does the path of a report, which is printed.
    let out = dir.path().join("a\u{1b}[31m\u{202e}.html");
    let said = reported(&[text(&path), "-o", text(&out)]);
    assert!(out.exists() && said.contains("a\u{fffd}[31m\u{fffd}.html"), "{said}");
    // And the line that a run ends with.
    let program = dir.path().join("sl\u{202e}eep");
    symlink("/bin/sleep", &program).unwrap();
    if kernel_tier("nothing_that_hides_reaches_a_terminal_and_the_values_stay_what_they_are") {
        let ended = Sandtop::run("").cmd([text(&program), "0"]).go();
        assert!(ended.err.contains("sl\u{fffd}eep exited 0") && !ended.err.contains('\u{202e}'), "{}", ended.err);
    }
}

#[test]
fn one_event_has_one_moment_wherever_it_is_told() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");
    let json: Value = serde_json::from_str(&reported(&[recording, "-o", "-", "--format", "json"])).unwrap();
    let told = [
        reported(&[recording]),
        reported(&[recording, "-o", "-", "--format", "md"]),
        reported(&[recording, "-o", "-", "--format", "html"]),
    ];
    for event in json["events"].as_array().unwrap().iter().filter(|event| event["kind"] != "started") {
        let moment = sandtop::sentences::moment_at(event["at_seconds"].as_f64().unwrap());
        assert!(told.iter().all(|text| text.contains(&moment)), "{moment}: {event}");
    }
}

#[test]
fn runs_before_those_that_are_shown_are_counted_and_shown_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eleven.jsonl");
    let one = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl")).unwrap();
    let (header, events) = one.split_once('\n').unwrap();
    let runs = (1..=11).map(|run| events.replace("\"run\":1,", &format!("\"run\":{run},")));
    fs::write(&path, format!("{header}\n{}", runs.collect::<String>())).unwrap();
    let said = reported(&[text(&path)]);
    assert!(said.starts_with("3 earlier runs are not shown here: --run N shows one\n"), "{said}");
    assert!(!said.contains("run 3:") && said.contains("run 4:"), "{said}");
    let second: Value =
        serde_json::from_str(&reported(&[text(&path), "--run", "2", "-o", "-", "--format", "json"])).unwrap();
    assert_eq!((&second["run"], &second["forgotten_runs"]), (&2.into(), &0.into()));
}

#[test]
fn the_recording_itself_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    let whole = include_bytes!("data/recording-1.jsonl");
    fs::write(&path, whole).unwrap();
    let (link, hard) = (dir.path().join("link.html"), dir.path().join("hard.svg"));
    symlink(&path, &link).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    for out in [&path, &link, &hard] {
        let ended = report(&[text(&path), "-o", text(out)]);
        assert_eq!(ended.code, 125, "{}", out.display());
        assert!(ended.err.contains("is the recording itself"), "{}", ended.err);
    }
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn what_was_there_is_replaced_as_a_whole_and_keeps_its_mode() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");
    let dir = tempfile::tempdir().unwrap();
    let (out, link) = (dir.path().join("x.html"), dir.path().join("link.html"));
    fs::write(&out, "old".repeat(1 << 20)).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&out, &link).unwrap();
    reported(&[recording, "-o", text(&link)]);
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.starts_with("<!doctype") && page.trim_end().ends_with("</html>"));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    // A new one is as the user's mask has it, and a device stays one.
    let new = dir.path().join("new.md");
    let status = Command::new("sh")
        .args(["-c", &format!("umask 027; {SANDTOP} report {recording} -o {}", new.display())])
        .output();
    assert!(status.unwrap().status.success());
    assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o640);
    // Under sudo a new one is the caller's, and what was there stays whose it was.
    if nix::unistd::geteuid().is_root() && nix::unistd::User::from_uid(65534.into()).is_ok_and(|user| user.is_some()) {
        use std::os::unix::fs::MetadataExt;
        let callers = dir.path().join("callers.csv");
        let mut command = Sandtop::with("report").raw();
        command.env("SUDO_UID", "65534").args([recording, "-o", text(&callers), "-o", text(&out)]);
        assert!(command.output().unwrap().status.success());
        let owners = [&callers, &out].map(|path| fs::metadata(path).unwrap().uid());
        assert_eq!(owners, [65534, 0]);
        fs::remove_file(callers).unwrap();
    }
    reported(&[recording, "-o", "/dev/null", "--format", "svg"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 3, "nothing is left beside them: {names:?}");
}

#[test]
fn a_full_disk_leaves_the_report_that_was_there() {
    let test = "a_full_disk_leaves_the_report_that_was_there";
    if !kernel_tier(test) {
        return; // a file system is mounted
    }
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=32k", "sandtop-test", text(disk)]).status().unwrap();
    assert!(mounted.success());
    let out = disk.join("x.html");
    fs::write(&out, "the old one").unwrap();
    let _ = fs::write(disk.join("filler"), vec![1; 1 << 20]);
    let ended = report(&[recording, "-o", text(&out)]);
    let (left, names) = (fs::read_to_string(&out), fs::read_dir(disk).unwrap().count());
    let unmounted = Command::new("umount").arg(disk).status().unwrap();
    assert_eq!(ended.code, 125, "{}", ended.out);
    assert!(ended.err.contains("x.html: No space left"), "{}", ended.err);
    assert_eq!((left.unwrap().as_str(), names, ended.out.as_str()), ("the old one", 2, ""));
    assert!(unmounted.success());
    let ended = report(&[recording, "-o", "/dev/full", "--format", "csv"]);
    assert_eq!(ended.code, 125);
    assert!(ended.err.contains("No space left"), "{}", ended.err);
}

#[test]
fn a_bad_argument_gets_one_line_and_writes_nothing() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("x.html");
    for (args, word) in [
        (&["-o", "x.html"][..], "sandtop report FILE"),
        (&[recording, "-o", text(&good), "-o", "x.pdf"], ".html, .svg, .md, .csv, .json or .cast"),
        (&[recording, "-o", "-"], "--format"),
        (&[recording, "--for", "nomad"], "kubernetes"),
        (&[recording, "--run", "7"], "only run 1"),
        (&[recording, "--at", "soon"], "1.5s"),
        (&[recording, "-o", "x.html", "--format", "svg"], "--format says another"),
        (&[recording, "--last"], "--last"),
        (&["/no/such/file"], "No such file"),
        (&[recording, "-o", "/no/such/dir/x.html"], "No such file"),
    ] {
        let ended = report(args);
        assert_eq!((ended.code, ended.err.lines().count()), (125, 1), "{args:?}: {}", ended.err);
        assert!(ended.err.contains(word), "{args:?}: {}", ended.err);
    }
    assert!(!good.exists());
}

#[test]
fn the_last_run_is_told_in_a_few_lines_and_its_limit_is_taken_elsewhere_with_a_warning() {
    let test = "the_last_run_is_told_in_a_few_lines_and_its_limit_is_taken_elsewhere_with_a_warning";
    if !kernel_tier(test) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let last = |args: &[&str]| {
        let mut command = Sandtop::with("report --last").raw();
        let said = command.env("XDG_STATE_HOME", state.path()).args(args).output().unwrap();
        (said.status.code(), String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap())
    };
    let (code, _, said) = last(&[]);
    assert_eq!(code, Some(125));
    assert!(said.contains("no run was kept yet"), "{said}");
    let ended = Sandtop::run("-m 40M").worker("fill 64M").env("XDG_STATE_HOME", text(state.path())).go();
    assert_eq!(ended.outcome(), "oom_killed", "{}", ended.err);
    let (code, said, _) = last(&[]);
    assert_eq!(code, Some(0));
    assert!(said.contains(ended.field("verdict").as_str().unwrap()) && said.contains("✖ OOM kill"), "{said}");
    for (system, part) in [
        ("docker", "docker run -m 40m --memory-swap 40m IMAGE "),
        ("compose", "    memswap_limit: 40m\n"),
        ("kubernetes", "    memory: \"40Mi\"\n"),
        ("systemd", "MemoryMax=40M\nMemorySwapMax=0\n"),
    ] {
        let (code, said, errors) = last(&["--for", system]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert!(said.starts_with("# CAUTION: under 40M this workload was killed") && said.contains(part), "{said}");
    }
}

#[test]
fn a_reader_that_has_what_it_wanted_is_no_error() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recording-1.jsonl");
    let line = format!("{SANDTOP} report {recording} -o - --format html | head -c 10; exit ${{PIPESTATUS[0]}}");
    let said = Command::new("bash").args(["-c", &line]).output().unwrap();
    assert_eq!((said.status.code(), said.stdout.as_slice()), (Some(0), &b"<!doctype "[..]), "{said:?}");
}

/// A run whose command, process and output are hostile, and whose limit kills.
fn hostile_run(dir: &Path) -> PathBuf {
    let recording = dir.join("hostile.jsonl.gz");
    let program = dir.join("<b>\"'&`|");
    symlink(SANDTOP, &program).unwrap();
    let script = "\"$0\" worker fill 12M --hold & \"$0\" worker fill 64M; exit 3";
    let options = format!("run -m 40M --record {}", recording.display());
    let ended = Sandtop::with(&options).cmd(["sh", "-c", script, text(&program), HOSTILE]).go();
    assert_eq!(ended.code, 3, "{}", ended.err);
    recording
}

#[test]
fn pages_and_pictures_of_hostile_runs_are_valid() {
    let test = "pages_and_pictures_of_hostile_runs_are_valid";
    if emulated() {
        return not_here(test);
    }
    if !kernel_tier(test) || !has(test, "tidy") || !has(test, "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (killed, _) = killed_run(dir.path());
    let data = |name: &str| PathBuf::from(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")));
    for recording in [hostile_run(dir.path()), killed, data("recording-1.jsonl")] {
        let (page, picture) = (dir.path().join("x.html"), dir.path().join("x.svg"));
        reported(&[text(&recording), "-o", text(&page), "-o", text(&picture)]);
        let tidy = Command::new("tidy").args(["-q", "-e", text(&page)]).output().unwrap();
        let said = String::from_utf8_lossy(&tidy.stderr).into_owned();
        assert_eq!(
            (tidy.status.code(), said.as_str()),
            (Some(0), ""),
            "no error and no warning: {}",
            recording.display()
        );
        let parse = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
        let parsed = Command::new("python3").args(["-c", parse, text(&picture)]).output().unwrap();
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    }
}

/// What a browser makes of a page.
struct Opened {
    /// The document when its scripts have run.
    dom: String,
    /// What the console said.
    console: Vec<String>,
    /// What the page asked the network for. What the browser asks for itself has no origin.
    requests: Vec<String>,
}

fn opened(page: &Path) -> Opened {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("net.json");
    let said = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--dump-dom"])
        .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{errors}");
    let console = errors.lines().filter(|line| line.contains("CONSOLE")).map(str::to_string).collect();
    let log = fs::read_to_string(log).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim_end_matches(',')).ok());
    let asked = |event: Value| {
        let (origin, url) = (event["params"]["initiator"].as_str()?, event["params"]["url"].as_str()?);
        (origin != "not an origin" && !url.starts_with("file:")).then(|| url.to_string())
    };
    Opened {
        dom: String::from_utf8_lossy(&said.stdout).into_owned(),
        console,
        requests: events.filter_map(asked).collect(),
    }
}

#[test]
fn a_browser_opens_the_page_without_an_error_and_without_the_network() {
    let test = "a_browser_opens_the_page_without_an_error_and_without_the_network";
    if emulated() {
        return not_here(test);
    }
    if !kernel_tier(test) || !has(test, "chromium") || !has(test, "timeout") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // First that this would see it: a page with an error, a request for a picture, and one from a script.
    let bad = dir.path().join("bad.html");
    let script = "fetch('https://example.invalid/y').catch(() => 0); nothing();";
    fs::write(
        &bad,
        format!("<!doctype html><body><img src=\"http://example.invalid/x.png\"><script>{script}</script>"),
    )
    .unwrap();
    let seen = opened(&bad);
    assert!(seen.console.iter().any(|line| line.contains("nothing is not defined")), "{:?}", seen.console);
    for url in ["http://example.invalid/x.png", "https://example.invalid/y"] {
        assert!(seen.requests.iter().any(|asked| asked == url), "{url}: {:?}", seen.requests);
    }
    // And that the page's own policy would stop both.
    let (killed, live) = killed_run(dir.path());
    let page = dir.path().join("x.html");
    reported(&[text(&killed), "-o", text(&page)]);
    let whole = fs::read_to_string(&page).unwrap();
    let injected = whole
        .replace("</main>", &format!("<img src=\"http://example.invalid/x.png\"><script>{script}</script></main>"));
    fs::write(&bad, injected).unwrap();
    let stopped = opened(&bad);
    assert!(
        stopped.console.iter().filter(|line| line.contains("Content Security Policy")).count() >= 2,
        "{:?}",
        stopped.console
    );
    assert_eq!(stopped.requests, Vec::<String>::new());

    for recording in [killed, hostile_run(dir.path())] {
        reported(&[text(&recording), "-o", text(&page)]);
        let seen = opened(&page);
        assert_eq!((&seen.console, &seen.requests), (&Vec::new(), &Vec::new()), "{}", recording.display());
        assert!(seen.dom.contains("class=\"readout\""), "its script has run");
        assert!(!seen.dom.contains("<img"), "{}", seen.dom);
    }
    // The read-out follows the keys: without the policy, a script of the test's own presses them.
    let keys = "const area = document.querySelector('figure > div'); area.focus(); \
        area.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home' })); area.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }));";
    let (before, rest) = whole.split_once("<meta http-equiv").unwrap();
    let (_, rest) = rest.split_once('>').unwrap();
    fs::write(&bad, format!("{before}{}", rest.replace("</body>", &format!("<script>{keys}</script></body>"))))
        .unwrap();
    let seen = opened(&bad);
    let (readout, _) = between(&seen.dom, "class=\"readout\"", "</p>").unwrap();
    let live: Value = serde_json::from_str(&live).unwrap();
    assert_eq!(live["limit_bytes"], 40 << 20);
    assert!(unescaped(readout).contains("limit 40M") && unescaped(readout).contains("usage "), "{readout}");
    assert!(seen.dom.contains("aria-valuenow=\"1\""), "the second sample");
}
