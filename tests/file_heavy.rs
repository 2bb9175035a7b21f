//! Programs that fill a limit with file cache, dentries and inodes run under `--oom pause` as they run without, and under edits of the limit.
//!
//! `SANDTOP_TEST_FULL=1` runs all twelve, over larger trees; else `cp -r` stands for them.

mod common;

use std::{fs, path::Path, process::Command};

use common::{terminal::Terminal, *};
use sandtop::{
    event::{Event, LimitOutcome},
    session::Session,
};

const M: u64 = 1 << 20;

/// A program, its limit, what is to be here for it, what makes it ready, what is run, and whether that is in every run of the tests.
type Program = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str, bool);

const PROGRAMS: [Program; 12] = [
    ("tar", "12M", &["tar"], "", "for i in 1 2 3; do mkdir x$i; tar -cf - tree | tar -xf - -C x$i; done", false),
    ("cp -r", "12M", &["cp"], "", "cp -r tree c1", true),
    ("find", "12M", &["find"], "", "for i in 1 2 3 4; do find / -xdev -maxdepth 5 -type f >/dev/null 2>&1; done; true", false),
    ("du", "32M", &["du"], "", "du -s /usr >/dev/null", false),
    ("maildir", "20M", &["python3"], "", "python3 -c 'import mailbox
box = mailbox.Maildir(\"m\", create=True)
for i in range(4000): box.add(f\"Subject: {i}\\n\\nx\\n\")'", false),
    ("git clone", "16M", &["git"], "cd tree && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x", "git clone -q --no-local tree g", false),
    ("rsync", "16M", &["rsync"], "", "rsync -a tree/ r1 && rsync -a tree/ r2", false),
    ("unzip", "12M", &["unzip", "python3"], "python3 -m zipfile -c t.zip tree", "mkdir u && cd u && unzip -q ../t.zip", false),
    ("pip install", "72M", &["pip"], "mkdir -p p/many && for i in $(seq 500); do echo x=$i > p/many/m$i.py; done; touch p/many/__init__.py
printf '[build-system]\nrequires=[]\nbuild-backend=\"b\"\nbackend-path=[\".\"]\n[project]\nname=\"many\"\nversion=\"1\"\n' > p/pyproject.toml
cat > p/b.py <<E
import os, zipfile
def build_wheel(d, c=None, m=None):
    n = 'many-1-py3-none-any.whl'
    with zipfile.ZipFile(os.path.join(d, n), 'w') as z:
        for f in sorted(os.listdir('many')): z.write('many/' + f)
        z.writestr('many-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: many\\nVersion: 1\\n')
        z.writestr('many-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: b\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        z.writestr('many-1.dist-info/RECORD', '')
    return n
E", "pip install -q --no-index --no-build-isolation --break-system-packages --root-user-action ignore --target t ./p", false),
    ("npm install", "64M", &["npm"], "mkdir -p n/p && for i in $(seq 500); do echo $i > n/p/$i.js; done
echo '{\"name\":\"p\",\"version\":\"1.0.0\"}' > n/p/package.json; echo '{\"name\":\"n\",\"version\":\"1.0.0\"}' > n/package.json", "cd n && npm install --silent --offline --no-audit --install-links ./p", false),
    ("apt-get update", "48M", &["apt-get"], "mkdir -p a/l/partial a/c/archives/partial a/r && for i in $(seq 2000); do printf 'Package: p%s\nVersion: 1\nArchitecture: all\nFilename: ./p%s.deb\nSize: 1\n\n' $i $i; done > a/r/Packages && echo \"deb [trusted=yes] file:$PWD/a/r ./\" > a/s",
     "apt-get -q -o Dir::Etc::SourceList=$PWD/a/s -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$PWD/a/l -o Dir::Cache=$PWD/a/c -o APT::Sandbox::User=root update", false),
    ("make", "12M", &["make"], "printf 'all: $(addprefix o/,$(shell seq 2000))\no/%%:\n\t@echo $* > $@\n' > Makefile; mkdir o", "make -s", false),
];

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh").arg("-ec").arg(script).current_dir(dir).status().unwrap();
    assert!(status.success(), "{script}");
}

/// An empty directory on a real disk, and not in memory.
fn on_disk() -> tempfile::TempDir {
    tempfile::tempdir_in(Path::new(SANDTOP).parent().unwrap()).unwrap()
}

/// Such a directory with a tree of many small files in it, made outside a sandbox.
fn ready() -> tempfile::TempDir {
    let dir = on_disk();
    let (dirs, files) = if is_full() && !emulated() { (80, 100) } else { (40, 50) };
    for d in 0..dirs {
        let sub = dir.path().join(format!("tree/{d}"));
        fs::create_dir_all(&sub).unwrap();
        (0..files).for_each(|f| fs::write(sub.join(f.to_string()), format!("{d} {f}\n")).unwrap());
    }
    dir
}

/// Calls this with each program that is to run here: its name, its limit in MiB, and its script in a directory of its own.
fn each_program(test: &str, mut run: impl FnMut(&str, u64, &str)) {
    for (name, limit, needs, prepare, script, always) in PROGRAMS {
        let is_due = always || is_full();
        if !is_due || !needs.iter().all(|program| has(&format!("{test} ({name})"), program)) {
            continue;
        }
        let dir = ready();
        shell(dir.path(), prepare);
        let limit = limit.trim_end_matches('M').parse().unwrap();
        run(name, limit, &format!("cd {} && {script}", dir.path().display()));
    }
}

/// How many events of a kind a run told of.
fn told(ended: &Ended, kind: &str) -> usize {
    ended.field("events").as_array().unwrap().iter().filter(|event| event["kind"] == kind).count()
}

fn assert_never_paused(ended: &Ended, what: &str) {
    assert_eq!((ended.code, ended.number("oom_kills")), (0, 0), "{what}: {}", ended.err);
    assert_eq!(ended.field("pauses").as_array().map(Vec::len), Some(0), "{what}: {}", ended.field("pauses"));
}

#[test]
fn file_heavy_programs_run_under_pause_as_they_run_without() {
    let test = "file_heavy_programs_run_under_pause_as_they_run_without";
    if !kernel_tier(test) {
        return;
    }
    each_program(test, |name, limit, script| {
        let ended = Sandtop::run(&format!("-m {limit}M --oom pause --timeout 60")).sh(script).go();
        assert_never_paused(&ended, name);
        println!(
            "{name} under {limit}M: highest {}M, {} reclaims in {} s of {}",
            ended.number("highest_bytes") >> 20,
            ended.number("pauses_averted"),
            ended.field("pauses_averted_seconds"),
            ended.field("wall_seconds")
        );
    });
}

#[test]
fn file_heavy_programs_run_under_edits_that_fit_and_none_is_refused() {
    let test = "file_heavy_programs_run_under_edits_that_fit_and_none_is_refused";
    if !kernel_tier(test) {
        return;
    }
    let step = if emulated() { 400 } else { 60 };
    each_program(test, |name, limit, script| {
        let limits = [limit * 3, limit, limit * 2, limit];
        let moves = (0..200).map(|n| format!("{}ms={}M", n * step, limits[n % limits.len()]));
        let schedule = moves.collect::<Vec<_>>().join(",");
        let options = format!("-m {}M --oom pause --timeout 60 --schedule {schedule}", limit * 3);
        let ended = Sandtop::run(&options).sh(script).go();
        assert_never_paused(&ended, name);
        let refused = told(&ended, "limit_refused") + told(&ended, "limit_failed");
        assert_eq!(refused, 0, "{name}: {}", ended.field("events"));
        assert!(told(&ended, "limit_moved") > 1, "{name}: {}", ended.field("events"));
        println!(
            "{name} under {limit}M to {}M: {} moves in {} s",
            limit * 3,
            told(&ended, "limit_moved"),
            ended.field("wall_seconds")
        );
    });
}

#[test]
fn dentries_and_inodes_are_reclaimed_and_not_paused_for() {
    if !kernel_tier("dentries_and_inodes_are_reclaimed_and_not_paused_for") {
        return;
    }
    let dir = on_disk();
    let files = if emulated() { 12_000 } else { 30_000 };
    let limit = if emulated() { "20M" } else { "40M" };
    let script = format!("for i in range({files}): open(f'{}/{{i}}', 'w').close()", dir.path().display());
    let recorded = tempfile::tempdir().unwrap();
    let file = recorded.path().join("run.jsonl");
    let options = format!("-m {limit} --oom pause --timeout 60 --record {}", file.display());
    let ended = Sandtop::run(&options).cmd(["python3", "-c", &script]).go();
    assert_never_paused(&ended, "python3");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files);
    if !is_v2() {
        assert!(ended.number("pauses_averted") > 0, "{}", ended.err);
    }
    // That all stand still for a reclaim is no freeze that anybody set.
    let recording = sandtop::record::read(&file).unwrap_or_else(|e| panic!("{e}"));
    let frozen = |event: &Event| matches!(event, Event::Settings(settings) if settings.frozen == Some(true));
    assert!(!recording.events.iter().any(|stamped| frozen(&stamped.event)), "{}", ended.err);
}

/// Looks for so many names that are not there, each remembered as a dentry, and touches a little memory now and then: who meets
/// the limit there sleeps in the kernel, and no call fails.
const LOOKS_FOR_NAMES: &str = "import mmap, os, sys
salt = os.urandom(6).hex()
for n in range(int(sys.argv[2])):
    try: os.stat(f'{sys.argv[1]}/{salt}{n}')
    except OSError: pass
    if n % 100 == 0:
        m = mmap.mmap(-1, 1 << 20); m.write(bytes(1 << 20)); m.close()
";

fn names_looked_for(options: &str, dir: &Path, names: u32) -> Sandtop {
    let names = names.to_string();
    Sandtop::run(options).cmd(["python3", "-c", LOOKS_FOR_NAMES, dir.to_str().unwrap(), &names])
}

#[test]
fn who_sleeps_at_the_limit_is_woken_when_dentries_are_freed() {
    if !kernel_tier("who_sleeps_at_the_limit_is_woken_when_dentries_are_freed") {
        return;
    }
    let dir = on_disk();
    let alone = names_looked_for("-m 64M", dir.path(), 500).go().number("highest_bytes");
    // A quarter of the limit is the brink: the program itself stays a little below it.
    let limit = alone * 31 / 20;
    let (rounds, names) =
        if emulated() { (1, 30_000) } else { (times(20).min(if is_full() { 20 } else { 2 }), 50_000) };
    for _ in 0..rounds {
        let ended = names_looked_for(&format!("-m {limit} --oom pause --timeout 60"), dir.path(), names).go();
        assert_never_paused(&ended, &format!("{alone} under {limit}"));
    }
}

#[test]
fn what_a_reclaim_would_free_is_not_foretold_to_fill_the_limit() {
    if !kernel_tier("what_a_reclaim_would_free_is_not_foretold_to_fill_the_limit") {
        return;
    }
    let (dir, recording) = (on_disk(), tempfile::NamedTempFile::new().unwrap());
    let names = if emulated() { 40_000 } else { 80_000 };
    let options = format!("-m 24M --oom pause --interval 20ms --timeout 60 --record {}", recording.path().display());
    let ended = names_looked_for(&options, dir.path(), names).go();
    assert_never_paused(&ended, "python3");
    let events = sandtop::record::read(recording.path()).unwrap().events;
    let anon = |event: &Event| match event {
        Event::Sample(sample) => Some(sample.stat?.anon),
        _ => None,
    };
    // Until the program itself has its size that grows, which is no dentry.
    let size = events.iter().filter_map(|stamped| anon(&stamped.event)).max().expect("what usage consists of");
    let settled = events.iter().position(|stamped| anon(&stamped.event) >= Some(size.saturating_sub(3 * M)));
    let settled = settled.expect("a sample");
    let (mut session, mut samples) = (Session::default(), 0);
    for (place, stamped) in events.iter().enumerate() {
        let is_sample = matches!(stamped.event, Event::Sample(_));
        if is_sample && place < settled {
            continue;
        }
        session.apply(stamped);
        samples += usize::from(is_sample);
        // Nothing ever stops it.
        let forecast = session.run().and_then(|run| run.forecast(stamped.at));
        assert_eq!(forecast, None, "after {:?}", stamped.at);
    }
    let highest = ended.number("highest_bytes");
    assert!(samples > 20 && highest > 12 * M, "{samples} {highest}");
}

/// sandtop on a terminal, with the workload's own last word.
fn on_screen(options: &str, script: &str, word: &str) -> (Terminal, std::path::PathBuf) {
    let mut t = Terminal::start(Sandtop::with(options).sh(script).raw(), 120, 40);
    t.wait("the workload's word", |s| s.lines().any(|line| line.trim() == word));
    let group = made_group(t.sandtop());
    (t, group)
}

#[test]
fn an_edit_into_dentries_is_taken_at_once() {
    if !kernel_tier("an_edit_into_dentries_is_taken_at_once") {
        return;
    }
    let dir = ready();
    let work = "echo busy; while :; do cp -r tree x; du -s x >/dev/null; rm -rf x; done";
    let script = format!("cd {}; {work}", dir.path().display());
    let (mut t, group) = on_screen("-m 40M", &script, "busy");
    for limit in [12, 40, 12] {
        t.keys(&format!("={limit}M"));
        let line = format!("│ › {limit}M ");
        t.wait("the verdict", |s| s.contains(&line) && ["✓ ", "~ "].iter().any(|sign| s.contains(sign)));
        t.keys("\r");
        t.wait("the limit moved, or refused", |s| limit_of(&group) == limit * M || s.contains("EBUSY"));
        assert_eq!(limit_of(&group), limit * M, "{}", t.text());
        t.wait("the dialog closed", |s| !s.contains("┌ limit ─"));
    }
    t.keys("qy");
    t.end();
}

#[test]
fn what_a_refusal_says_is_in_use_is_still_in_use_after_another_reclaim() {
    if !kernel_tier("what_a_refusal_says_is_in_use_is_still_in_use_after_another_reclaim") {
        return;
    }
    if is_v2() {
        return not_here("what_a_refusal_says_is_in_use_is_still_in_use_after_another_reclaim"); // nothing is refused
    }
    let (dir, recording) = (on_disk(), tempfile::NamedTempFile::new().unwrap());
    let names = if emulated() { 30_000 } else { 60_000 };
    let python = "import os, sys, time
keep = bytearray(12 << 20)
for n in range(int(sys.argv[2])):
    try: os.stat(f'{sys.argv[1]}/{os.getpid()}-{n}')
    except OSError: pass
print('looked', flush=True)
time.sleep(600)";
    let script = format!("exec python3 -c \"{python}\" {} {names}", dir.path().display());
    let options = format!("-m 100M --record {}", recording.path().display());
    let (mut t, group) = on_screen(&options, &script, "looked");
    t.keys("=8M\r");
    t.wait("the refusal", |s| s.contains("EBUSY"));
    let usage = || number(&group, "memory.usage_in_bytes");
    let after_the_refusal = usage();
    fs::write(group.join("memory.force_empty"), "0").unwrap();
    let least = wait_for("what stays", || Some(usage()));
    assert!(after_the_refusal < least + 2 * M, "{after_the_refusal} in use, and {least} after another reclaim");
    // What is said to fit does.
    let said = t.text();
    let fits = said.split_whitespace().zip(said.split_whitespace().skip(1)).find(|(_, word)| *word == "would");
    let fits = fits.map(|(figure, _)| figure.to_string()).expect("what would fit");
    t.keys(&format!("={fits}\r"));
    t.wait("the limit moved", |_| limit_of(&group) < 100 * M);
    t.keys("qy");
    t.end();
    let events = sandtop::record::read(recording.path()).unwrap().events;
    let answers = events.iter().filter_map(|stamped| match &stamped.event {
        Event::LimitDone { outcome, .. } => Some(outcome),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let [LimitOutcome::Busy { usage, .. }, LimitOutcome::Applied { .. }] = answers[..] else { panic!("{answers:?}") };
    assert!(*usage < least + 2 * M, "{usage} in use, it was said, and {least} after another reclaim");
}
