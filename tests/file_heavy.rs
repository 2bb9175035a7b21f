//! Programs that fill a limit with file cache, dentries and inodes run under `--oom pause` as they run without, and under edits of the limit.

mod common;

use std::{fs, path::Path, process::Command};

use common::*;

/// What is made ready outside a sandbox, in an empty directory: a tree of many small files, and what the programs start from.
const READY: &str = r#"
mkdir tree && cd tree
for d in $(seq 40); do mkdir $d; for f in $(seq 50); do echo "$d $f" > $d/$f; done; done
cd ..
"#;

/// A program, its limit, what is to be here for it, what makes it ready, what is run, and whether that is in every run of the tests.
type Program = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str, bool);

const PROGRAMS: [Program; 12] = [
    ("tar", "12M", &["tar"], "", "for i in 1 2 3; do mkdir x$i; tar -cf - tree | tar -xf - -C x$i; done", false),
    ("cp -r", "12M", &["cp"], "", "cp -r tree c1", true),
    ("find", "12M", &["find"], "", "for i in 1 2 3 4; do find / -xdev -maxdepth 5 -type f >/dev/null 2>&1; done; true", false),
    ("du", "12M", &["du"], "", "du -s /usr >/dev/null", false),
    ("maildir", "24M", &["python3"], "", "python3 -c 'import mailbox
box = mailbox.Maildir(\"m\", create=True)
for i in range(1500): box.add(f\"Subject: {i}\\n\\nx\\n\")'", false),
    ("git clone", "24M", &["git"], "cd tree && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x", "git clone -q --no-local tree g", false),
    ("rsync", "16M", &["rsync"], "", "rsync -a tree/ r1 && rsync -a tree/ r2", false),
    ("unzip", "12M", &["unzip", "python3"], "python3 -m zipfile -c t.zip tree", "mkdir u && cd u && unzip -q ../t.zip", false),
    ("pip install", "96M", &["pip"], "mkdir -p p/many && for i in $(seq 500); do echo x=$i > p/many/m$i.py; done; touch p/many/__init__.py
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
    ("npm install", "160M", &["npm"], "mkdir -p n/p && for i in $(seq 500); do echo $i > n/p/$i.js; done
echo '{\"name\":\"p\",\"version\":\"1.0.0\"}' > n/p/package.json; echo '{\"name\":\"n\",\"version\":\"1.0.0\"}' > n/package.json", "cd n && npm install --silent --offline --no-audit --install-links ./p", false),
    ("apt-get update", "96M", &["apt-get", "dpkg-scanpackages"], "mkdir -p a/l/partial a/c/archives/partial a/r && : > a/r/Packages && echo \"deb [trusted=yes] file:$PWD/a/r ./\" > a/s",
     "apt-get -q -o Dir::Etc::SourceList=$PWD/a/s -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$PWD/a/l -o Dir::Cache=$PWD/a/c -o APT::Sandbox::User=root update", false),
    ("make", "16M", &["make"], "printf 'all: $(addprefix o/,$(shell seq 800))\no/%%:\n\t@echo $* > $@\n' > Makefile; mkdir o", "make -s", false),
];

fn is_here(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program} >/dev/null")]).status().is_ok_and(|s| s.success())
}

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh").arg("-ec").arg(script).current_dir(dir).status().unwrap();
    assert!(status.success(), "{script}");
}

/// A directory on a real disk, and not in memory, with the tree in it.
fn ready() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(Path::new(SANDTOP).parent().unwrap()).unwrap();
    shell(dir.path(), READY);
    dir
}

#[test]
fn file_heavy_programs_run_under_pause_as_they_run_without() {
    if !kernel_tier("file_heavy_programs_run_under_pause_as_they_run_without") {
        return;
    }
    for (name, limit, needs, prepare, script, always) in PROGRAMS {
        if !always && std::env::var_os("SANDTOP_TEST_FULL").is_none() {
            continue;
        }
        if let Some(lacks) = needs.iter().find(|program| !is_here(program)) {
            println!("SKIPPED {name}: {lacks} is not here");
            continue;
        }
        let dir = ready();
        shell(dir.path(), prepare);
        let script = format!("cd {}; {script}", dir.path().display());
        let ended = Sandtop::run(&format!("-m {limit} --oom pause --timeout 60")).sh(&script).go();
        assert_eq!((ended.code, ended.number("oom_kills")), (0, 0), "{name}: {}", ended.err);
        assert_eq!(ended.field("pauses").as_array().map(Vec::len), Some(0), "{name}: {}", ended.field("pauses"));
        println!(
            "{name} under {limit}: peak {} of it, {} reclaims in {} s",
            ended.number("highest_bytes") >> 20,
            ended.number("pauses_averted"),
            ended.field("pauses_averted_seconds")
        );
    }
}

#[test]
fn dentries_and_inodes_are_reclaimed_and_not_paused_for() {
    if !kernel_tier("dentries_and_inodes_are_reclaimed_and_not_paused_for") {
        return;
    }
    let dir = tempfile::tempdir_in(Path::new(SANDTOP).parent().unwrap()).unwrap();
    let files = if emulated() { 12_000 } else { 30_000 };
    let limit = if emulated() { "20M" } else { "40M" };
    let script = format!("for i in range({files}): open(f'{}/{{i}}', 'w').close()", dir.path().display());
    let ended = Sandtop::run(&format!("-m {limit} --oom pause --timeout 60")).cmd(["python3", "-c", &script]).go();
    assert_eq!((ended.code, ended.number("oom_kills")), (0, 0), "{}", ended.err);
    assert_eq!(ended.field("pauses").as_array().map(Vec::len), Some(0), "{}", ended.field("pauses"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files);
    if !is_v2() {
        assert!(ended.number("pauses_averted") > 0, "{}", ended.err);
    }
}

#[test]
fn a_limit_that_dentries_stand_above_is_not_refused() {
    if !kernel_tier("a_limit_that_dentries_stand_above_is_not_refused") {
        return;
    }
    let dir = ready();
    let work = format!("cd {}; while :; do cp -r tree x; du -s x >/dev/null; rm -rf x; done", dir.path().display());
    let schedule = "0s=40M,1s=12M,1500ms=40M,2s=12M";
    let ended = Sandtop::run(&format!("-m 40M --schedule {schedule} --timeout 2500ms")).sh(&work).go();
    let events = ended.field("events").as_array().unwrap().clone();
    let refused: Vec<_> = events.iter().filter(|event| event["kind"] == "limit_refused").collect();
    assert!(refused.is_empty() && ended.number("oom_kills") == 0, "{refused:?}");
    assert!(events.iter().any(|event| event["kind"] == "limit_moved"), "{events:?}");
}
