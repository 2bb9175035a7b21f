//! Stalls on the real kernel: a compiler that fetches its own code back again and again is called stalled, and who only reads and writes more than fits,
//! mapped files included, is not.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::{terminal::Terminal, *};
use serde_json::Value;

/// What needs 310M to be compiled, most of it for the compiler's data, and gets nowhere in 200M.
const SOURCE: &str = r#"
#include <iostream>
#include <regex>
#include <string>
int main(int, char **argv) {
    std::regex narrow("([a-z]+)([0-9]*)");
    std::wregex wide(L"a(b|c)*d");
    std::smatch parts;
    std::wsmatch wide_parts;
    std::string name(argv[0]);
    std::wstring other(L"abd");
    if (std::regex_match(name, parts, narrow)) std::cout << parts[1];
    return std::regex_search(other, wide_parts, wide);
}
"#;

/// How soon after the limit was met a stall is told.
const PROMISED: Duration = Duration::from_secs(3);

/// How often a compilation is begun again that the kernel ended: it may find nothing to take for a moment, and kills.
const TRIES: u32 = 5;

/// A directory on a disk with the source in it. `/tmp` may be memory, whose pages are no cache.
fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in("/var/tmp").expect("a temporary directory");
    fs::write(dir.path().join("regex.cc"), SOURCE).unwrap();
    dir
}

/// Compiles it.
fn compile(dir: &Path) -> [PathBuf; 6] {
    let (from, to) = (dir.join("regex.cc"), dir.join("regex.o"));
    ["g++".into(), "-O2".into(), "-c".into(), from, "-o".into(), to]
}

/// Forgets the compiler's pages, which else stay charged to whoever read them first: a sandbox whose compiler is in another's cache has nothing to fetch.
fn forget_the_compiler() {
    let said = Command::new("g++").arg("-print-prog-name=cc1plus").output().expect("g++");
    let path = String::from_utf8(said.stdout).expect("a path");
    let drop = Command::new("dd").arg(format!("if={}", path.trim())).args(["iflag=nocache", "count=0"]).output();
    assert!(drop.expect("dd").status.success());
}

/// The times of the events of this kind, in a result.
fn times_of(result: &Value, kind: &str) -> Vec<f64> {
    let events = result["events"].as_array().expect("events").iter();
    events.filter(|event| event["kind"] == kind).map(|event| event["at_seconds"].as_f64().expect("a time")).collect()
}

/// Runs until the kernel does not kill the compiler at once, and gives what it was then.
fn compiled(mut attempt: impl FnMut() -> Ended) -> Ended {
    for _ in 0..TRIES {
        forget_the_compiler();
        let ended = attempt();
        if ended.number("oom_kills") == 0 {
            return ended;
        }
        println!("killed after {}: begun again", ended.field("wall_seconds"));
    }
    panic!("the kernel killed the compiler {TRIES} times");
}

#[test]
fn a_compiler_without_room_for_its_code_is_stalled_within_three_seconds_and_finishes_once_the_limit_is_raised() {
    let test =
        "a_compiler_without_room_for_its_code_is_stalled_within_three_seconds_and_finishes_once_the_limit_is_raised";
    if emulated() {
        return not_here(test); // there is no compiler
    }
    if !kernel_tier(test) || !has(test, "g++") {
        return;
    }
    for n in 0..times(10) {
        let dir = source();
        let ended =
            compiled(|| Sandtop::run("--schedule 0s=200M,8s=400M --timeout 120s").cmd(compile(dir.path())).go());
        let result = ended.json.as_ref().unwrap();
        assert_eq!((ended.code, ended.outcome()), (0, "exited"), "{}", ended.err);
        assert!(dir.path().join("regex.o").exists());
        let met = times_of(result, "first_limit_hit")[0];
        let (stalled, over) = (times_of(result, "stalled"), times_of(result, "stall_over"));
        let total = ended.field("stalled_seconds").as_f64().expect("a time");
        println!(
            "run {n}: stalled {:.2} s after the limit was met, for {total:.2} s; exited after {} s; {} refaults, {} major faults",
            stalled.first().expect("a stall") - met,
            ended.field("wall_seconds"),
            result["stat"]["refaults"],
            result["stat"]["major_faults"],
        );
        assert!(stalled[0] - met <= PROMISED.as_secs_f64(), "met at {met}, stalled at {stalled:?}");
        assert_eq!((stalled.len(), over.len()), (1, 1), "{result:#}");
        assert!(over[0] >= 8.0 && over[0] < 9.5, "over at {over:?}");
        assert!((total - (8.0 - stalled[0])).abs() < 3.0, "stalled at {stalled:?} for {total}");
        for words in ["stalled: it lives", "pages a second", "memory.", "larger -m", ", stalled for "] {
            assert!(ended.err.contains(words), "{words}: {}", ended.err);
        }
        assert!(!ended.err.contains("+ raises it"), "there are no keys: {}", ended.err);
    }
}

#[test]
fn on_the_screen_a_stall_is_in_the_header_and_says_which_key_helps() {
    let test = "on_the_screen_a_stall_is_in_the_header_and_says_which_key_helps";
    if emulated() {
        return not_here(test); // there is no compiler
    }
    if !kernel_tier(test) || !has(test, "g++") {
        return;
    }
    let dir = source();
    for n in 0..TRIES {
        forget_the_compiler();
        let mut t = Terminal::start(Sandtop::with("-m 200M").cmd(compile(dir.path())).raw(), 140, 45);
        t.wait("a stall, or an end", |s| s.contains("≋ STALLED AT LIMIT") || s.contains("exited"));
        if !t.text().contains("≋ STALLED AT LIMIT") {
            assert!(t.text().contains("OOM kill: cc1plus") && n + 1 < TRIES, "{}", t.text());
            println!("killed: begun again");
            t.keys("q");
            t.end();
            continue;
        }
        t.wait_text("+ raises it");
        t.keys("=400M\r");
        t.wait("that it gets on again", |s| s.contains("● running") && s.contains("not stalled any more"));
        t.wait_text("exited 0");
        t.keys("q");
        assert_eq!(t.end(), 0);
        return;
    }
}

/// What a run under a limit said, which went on to its end, met its limit, and did not stall.
fn goes_on(what: &str, limit: &str, dir: &Path, script: &str) -> Value {
    let ended = Sandtop::run(&format!("-m {limit} --timeout 300s")).dir(dir).sh(script).go();
    let result = ended.json.clone().unwrap();
    assert_eq!(ended.code, 0, "{what}: {}", ended.err);
    assert_eq!(times_of(&result, "stalled"), [0.0; 0], "{what}: {result:#}");
    assert!(result["stalled_seconds"].as_f64().is_none_or(|seconds| seconds == 0.0), "{what}: {result:#}");
    assert!(!ended.err.contains("stalled"), "{what}: {}", ended.err);
    assert!(result["wall_seconds"].as_f64() >= Some(2.5), "{what} was over too soon to stall: {}", ended.err);
    // Large pages are taken by the dozen: a limit can be full and hardly ever met.
    let limit = ended.number("limit_bytes");
    assert!(ended.number("highest_bytes") > limit / 10 * 9, "{what} did not come to its limit: {}", ended.err);
    println!(
        "{what}: {} s, {} limit hits, {} refaults, {} major faults",
        result["wall_seconds"], result["limit_hits"], result["stat"]["refaults"], result["stat"]["major_faults"]
    );
    result
}

/// Does this over and over again, twice as long as a stall takes to be told.
fn for_a_while(command: &str) -> String {
    format!("timeout 3 sh -c 'while {command}; do :; done'; [ $? = 124 ]")
}

#[test]
fn who_writes_and_reads_more_than_fits_is_never_stalled() {
    if !kernel_tier("who_writes_and_reads_more_than_fits_is_never_stalled") {
        return;
    }
    if emulated() {
        return not_here("who_writes_and_reads_more_than_fits_is_never_stalled"); // its disk is too slow to fill a limit
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let (limit, mib, again) = ("50M", 300, 100);
    let write = format!("dd if=/dev/zero of=f bs=1M count={mib} status=none");
    let little = format!("dd if=/dev/zero of=f bs=4k count={} status=none", mib * 256);
    for n in 0..times(20) {
        goes_on(&format!("{n}: writing"), limit, dir.path(), &for_a_while(&write));
        goes_on(&format!("{n}: writing little by little"), limit, dir.path(), &for_a_while(&little));
        let overwrite = format!("{write} conv=notrunc");
        goes_on(&format!("{n}: overwriting"), limit, dir.path(), &for_a_while(&overwrite));
        // What was written here is charged here: reading it again is what counts as refaults.
        let make = format!("dd if=/dev/zero of=g bs=1M count={again} conv=fsync status=none");
        let read = format!("{make}; {}", for_a_while("dd if=g of=/dev/null bs=4k status=none"));
        let result = goes_on(&format!("{n}: reading the same again and again"), limit, dir.path(), &read);
        let refaults = result["stat"]["refaults"].as_u64().unwrap_or(0);
        assert!(refaults > 10_000, "it never had to read again: {refaults} refaults");
    }
}

/// Reads single bytes of a mapped file at random, for so many seconds; `random`: one page at a time.
const MAPPED_READS: &str = "import mmap, os, random, sys, time
file = os.open('data', os.O_RDONLY)
size, seconds, kind = os.fstat(file).st_size, float(sys.argv[1]), sys.argv[2]
if len(sys.argv) > 3:
    os.fork()
data = mmap.mmap(file, size, prot=mmap.PROT_READ)
if kind == 'random':
    data.madvise(mmap.MADV_RANDOM)
until = time.monotonic() + seconds
while time.monotonic() < until:
    data[random.randrange(size)]
";

#[test]
fn who_reads_a_mapped_file_larger_than_the_limit_at_random_is_never_stalled() {
    let test = "who_reads_a_mapped_file_larger_than_the_limit_at_random_is_never_stalled";
    if emulated() {
        return not_here(test); // it has no Python, and its disk is too slow to fill a limit
    }
    if !kernel_tier(test) || !has(test, "python3") {
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(dir.path().join("reads.py"), MAPPED_READS).unwrap();
    // The file is made inside, so that its pages are charged inside; a stall is told after 1.5 s.
    let make = "[ -e data ] || dd if=/dev/urandom of=data bs=1M count=100 conv=fsync status=none";
    let rounds = if times(10) == 10 { 10 } else { 1 };
    for n in 0..rounds {
        for kind in ["plain", "random", "plain twice"] {
            let reads = format!("{make}; python3 reads.py 3.5 {kind}");
            let result = goes_on(&format!("{n}: {kind} reads"), "60M", dir.path(), &reads);
            let faults = result["stat"]["major_faults"].as_u64();
            assert!(faults > Some(10), "{kind}: it never had to read from the disk: {result:#}");
            fs::remove_file(dir.path().join("data")).unwrap();
        }
    }
}

/// A table of 400,000 entries that is read at random for ever: a heap without order, of 26 MiB in
/// busybox's awk.
const RANDOM_READS_OF_A_HEAP: &str =
    "BEGIN { n = 400000; for (i = 0; i < n; i++) a[i] = i; print \"filled\"; for (;;) s += a[int(rand() * n)] }";

#[test]
fn who_waits_for_its_heap_that_was_swapped_out_is_stalled() {
    let test = "who_waits_for_its_heap_that_was_swapped_out_is_stalled";
    let free = rustix::system::sysinfo().freeswap as u64;
    if !kernel_tier(test) || free < 64 << 20 {
        assert!(!expected("swap"), "this machine was to have swap");
        return not_here(test); // tests/vm has a machine with swap
    }
    let busy = ["awk", RANDOM_READS_OF_A_HEAP];
    // With room for all of it, it is busy and waits for nothing.
    let ended = Sandtop::run("-m 400M --memory-swap max --timeout 8s").cmd(busy).go();
    assert_eq!((ended.code, ended.outcome()), (124, "timed_out"), "{}", ended.err);
    assert_eq!(times_of(ended.json.as_ref().unwrap(), "stalled"), [0.0; 0], "{}", ended.err);
    let needs = ended.number("highest_bytes");
    let limit = needs / 2;
    let ended = Sandtop::run(&format!("-m {limit} --memory-swap max --timeout 20s")).cmd(busy).go();
    let result = ended.json.as_ref().unwrap();
    assert_eq!((ended.code, ended.number("oom_kills")), (124, 0), "{}", ended.err);
    println!(
        "{limit} of {needs} bytes: stalled at {:?}, limit met at {:?}, {} refaults, {} major faults, {}",
        times_of(result, "stalled"),
        times_of(result, "first_limit_hit"),
        result["stat"]["refaults"],
        result["stat"]["major_faults"],
        result["swapping"],
    );
    assert!(!times_of(result, "stalled").is_empty(), "{result:#}");
    assert!(result["stalled_seconds"].as_f64() > Some(1.0), "{result:#}");
    assert!(ended.err.contains("stalled: it lives"), "{}", ended.err);
}

#[test]
fn who_sorts_searches_and_packs_at_its_limit_is_never_stalled() {
    let test = "who_sorts_searches_and_packs_at_its_limit_is_never_stalled";
    if emulated() {
        return not_here(test); // it takes minutes, and has little to search
    }
    if !kernel_tier(test) {
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let numbers = PathBuf::from("numbers");
    let rounds = if times(10) == 10 { 10 } else { 1 }; // each of them takes twenty seconds
    for n in 0..rounds {
        // Made inside, so that its pages are charged inside.
        let make = "awk 'BEGIN { srand(1); for (i = 0; i < 7000000; i++) print rand() * 1e15, i }' > numbers";
        let sort = format!("{make}; sort -S 20M {0} -o sorted; rm {0} sorted", numbers.display());
        goes_on(&format!("{n}: sorting"), "40M", dir.path(), &sort);
        let search = "for i in 1 2; do timeout 4 grep -rc no-such-word-in-it /usr/share /usr/lib >found; done; true";
        goes_on(&format!("{n}: searching"), "30M", dir.path(), search);
        let pack = "timeout 6 tar cf - /usr/share /usr/lib 2>/dev/null | cat >/dev/null; true";
        goes_on(&format!("{n}: packing"), "30M", dir.path(), pack);
    }
}
