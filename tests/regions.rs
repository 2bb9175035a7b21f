//! Looking around on the screen, and moving the limit with the mouse: the chart's cursor, the lists, what numbers mean.

mod common;

use std::fs;

use common::{terminal::Terminal, *};

const M: u64 = 1 << 20;

fn screen(args: &str, command: &[&str], cols: u16, rows: u16) -> Terminal {
    Terminal::start(Sandtop::with(args).cmd(command).raw(), cols, rows)
}

/// The row of the chart's limit, from 1: a long thick line.
fn limit_row(screen: &str) -> Option<u16> {
    screen.lines().position(|line| line.contains("┤━━━━")).map(|row| row as u16 + 1)
}

fn line_with<'a>(screen: &'a str, text: &str) -> Option<(u16, &'a str)> {
    screen.lines().enumerate().find(|(_, line)| line.contains(text)).map(|(n, line)| (n as u16 + 1, line))
}

/// A press, drags and the release of the left button, as terminals send them (SGR, 1006).
fn drag(t: &mut Terminal, x: u16, rows: &[u16]) {
    t.keys(&format!("\x1b[<0;{x};{}M", rows[0]));
    for row in &rows[1..] {
        t.keys(&format!("\x1b[<32;{x};{row}M"));
    }
}

fn release(t: &mut Terminal, x: u16, row: u16) {
    t.keys(&format!("\x1b[<0;{x};{row}m"));
}

fn click(t: &mut Terminal, x: u16, row: u16) {
    drag(t, x, &[row]);
    release(t, x, row);
}

#[test]
fn the_limits_line_is_dragged_and_what_it_would_do_is_said_before_it_is_let_go() {
    if !kernel_tier("the_limits_line_is_dragged_and_what_it_would_do_is_said_before_it_is_let_go") {
        return;
    }
    let mut t = screen("-m 200M", &[SANDTOP, "worker", "fill", "40M", "--hold"], 120, 40);
    t.wait_text("running");
    let group = made_group(t.sandtop());
    t.wait("the limit's line", |s| limit_row(s).is_some());
    let row = limit_row(&t.text()).unwrap();
    drag(&mut t, 60, &[row, row + 1, row + 3]);
    t.wait("where it is held", |s| s.contains("limit 1") && s.contains("✓ fits"));
    assert_eq!(limit_of(&group), 200 * M, "nothing is written while it is held");
    release(&mut t, 60, row + 3);
    t.wait_text("by you");
    let after = limit_of(&group);
    assert!(after < 200 * M && after > 100 * M && after.is_multiple_of(M), "{after}");
    // Back, as any edit.
    t.keys("u");
    wait_for("the limit before", || (limit_of(&group) == 200 * M).then_some(()));
    // A click elsewhere on the chart moves nothing: it reads out what was then.
    t.wait("the line is back", |s| limit_row(s) == Some(row));
    click(&mut t, 40, row + 5);
    t.wait_text("─ at 0:0");
    assert_eq!(limit_of(&group), 200 * M);
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn without_the_mouse_nothing_is_asked_of_the_terminal() {
    if !kernel_tier("without_the_mouse_nothing_is_asked_of_the_terminal") {
        return;
    }
    for (option, asked) in [("--no-mouse", false), ("", true)] {
        let mut t = screen(option, &["true"], 80, 24);
        t.wait_ended();
        t.keys("q");
        t.end();
        let raw = String::from_utf8_lossy(&t.raw).into_owned();
        assert_eq!(raw.contains("\x1b[?1002h"), asked, "{option:?}");
    }
}

#[test]
fn the_charts_cursor_reads_out_what_was_and_goes_back_to_now() {
    if !kernel_tier("the_charts_cursor_reads_out_what_was_and_goes_back_to_now") {
        return;
    }
    let script = format!("{SANDTOP} worker fill 60M; exec sleep 1000");
    let mut t = screen("-m 200M", &["sh", "-c", &script], 120, 40);
    t.wait_text("running");
    t.wait("some past", |s| s.contains("┬1s"));
    t.keys("\x1b[D\x1b[D");
    t.wait("every value then", |s| {
        line_with(s, "─ memory")
            .is_some_and(|(_, l)| ["at 0:0", "usage ", "limit 200M", "anon ", "cache "].iter().all(|w| l.contains(w)))
    });
    // It stands still; closer, and at the start.
    t.keys("zz");
    t.keys("\x1b[H");
    t.wait("the start", |s| line_with(s, "─ memory").is_some_and(|(_, l)| l.contains("at 0:00.000")));
    t.keys("\x1b[F");
    t.wait("now again", |s| line_with(s, "─ memory").is_some_and(|(_, l)| l.contains("█ anon")));
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn processes_are_ordered_filtered_and_told_in_full() {
    if !kernel_tier("processes_are_ordered_filtered_and_told_in_full") {
        return;
    }
    let script = format!("sleep 1001 & sleep 1002 & exec {SANDTOP} worker fill 40M --hold");
    let mut t = screen("-m 200M", &["sh", "-c", &script], 120, 40);
    // The header and the log tell the commands, too, as far as the path of
    // this build leaves room for that.
    let row = |s: &str, text: &str| {
        let is_row = |line: &str| line.trim_start_matches(['▸', ' ']).starts_with(|c: char| c.is_ascii_digit());
        s.lines().position(|line| is_row(line) && line.chars().take(57).collect::<String>().contains(text))
    };
    t.wait("all of them", |s| ["sandtop worker", "sleep 1001", "sleep 1002"].iter().all(|w| row(s, w).is_some()));
    let order = |s: &str| Some(row(s, "sandtop worker")? < row(s, "sleep 1001")?);
    t.keys(">>");
    t.wait("by size, the largest first", |s| s.contains("▼RSS") && order(s) == Some(true));
    t.keys("I");
    t.wait("the smallest first", |s| s.contains("▲RSS") && order(s) == Some(false));
    t.keys("/1002\r");
    t.wait("one of them", |s| {
        s.contains("processes /1002") && row(s, "sleep 1002").is_some() && row(s, "sleep 1001").is_none()
    });
    t.keys("\r");
    t.wait("all about it", |s| {
        s.contains("process sleep") && s.contains("in memory (RSS)") && s.contains("its part (PSS)")
    });
    t.keys("\x1b");
    t.wait("closed", |s| !s.contains("in memory (RSS)"));
    t.keys("\x1b");
    t.wait("no filter", |s| s.contains("processes 3") && row(s, "sleep 1001").is_some());
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn an_event_is_found_and_its_moment_gone_to() {
    if !kernel_tier("an_event_is_found_and_its_moment_gone_to") {
        return;
    }
    let script = format!("{SANDTOP} worker fill 90M; exec sleep 1000");
    let mut t = screen("-m 40M", &["sh", "-c", &script], 120, 40);
    t.wait_text("OOM kill:");
    t.keys("\t/oom kill\r");
    t.wait("that event alone", |s| s.contains("events /oom kill") && !s.contains("▸ run 1"));
    t.keys("j\r");
    t.wait("its moment on the chart", |s| {
        s.contains("▸0:0")
            && line_with(s, "─ memory").is_some_and(|(_, l)| l.contains("at 0:0") && l.contains("limit 40M"))
    });
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn a_number_is_explained_and_what_other_tools_would_show_is_told() {
    if !kernel_tier("a_number_is_explained_and_what_other_tools_would_show_is_told") {
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap(); // a file there is cache
    let file = dir.path().join("data");
    let script = format!(
        "dd if=/dev/zero of={} bs=1M count=30 2>/dev/null; exec {SANDTOP} worker fill 40M --hold",
        file.display()
    );
    let mut t = screen("-m 200M", &["sh", "-c", &script], 120, 40);
    t.wait_text("running");
    let group = made_group(t.sandtop());
    let name = if is_v2() { "memory.current" } else { "memory.usage_in_bytes" };
    let usage = || fs::read_to_string(group.join(name)).unwrap().trim().parse::<u64>().unwrap() as f64;
    wait_for("what is held, and cache", || (usage() > 68e6).then_some(()));
    t.wait("the worker", |s| s.contains("worker fill"));
    t.keys("e");
    t.wait("its file and its trap", |s| {
        s.contains("what the numbers mean") && s.contains("/proc/PID/statm") && s.contains("trap")
    });
    t.keys("\t");
    t.wait("the others", |s| {
        ["the kernel", "docker stats", "podman stats", "kubectl top", "PSS, added up"].iter().all(|w| s.contains(w))
            && line_with(s, "PSS, added up").is_some_and(|(_, l)| l.contains('M') && !l.contains('–'))
    });
    // The kernel's is marked, and is the file's number, as far as that is batched.
    let text = t.text();
    let (_, kernels) = line_with(&text, "▸ the kernel").expect("the one that counts");
    let usage = usage();
    let shown: f64 = kernels
        .split("the kernel")
        .nth(1)
        .expect("a size")
        .split_whitespace()
        .find_map(|w| w.strip_suffix('M')?.parse().ok())
        .expect("a size");
    assert!((shown - usage / M as f64).abs() < 2.0, "{kernels}: {usage}");
    t.keys("\x1b");
    t.wait("closed", |s| !s.contains("docker stats"));
    // The number under the mouse, with the right button.
    let text = t.text();
    let (row, line) = line_with(&text, " usage ").expect("the numbers");
    let column = line.split(" anon").next().expect("a part").chars().count() + 2;
    t.keys(&format!("\x1b[<2;{column};{row}M"));
    t.wait("that one", |s| s.contains("▸anon"));
    t.keys("\x1b");
    t.wait("closed again", |s| !s.contains("▸anon"));
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn thousands_of_rows_scroll_without_a_hitch() {
    let test = "thousands_of_rows_scroll_without_a_hitch";
    if !kernel_tier(test) {
        return;
    }
    let count = match (emulated(), std::env::var_os("SANDTOP_TEST_FULL").is_some()) {
        (true, _) => 100,
        (false, true) => 10_000,
        (false, false) => 1_000,
    };
    let mut t = screen("-m max", &[SANDTOP, "worker", "idle", &count.to_string()], 120, 40);
    t.wait("all of them", |s| s.contains(&format!("processes {}", count + 1)));
    t.keys("j");
    let mut took = Vec::new();
    let mut before = String::new();
    for round in 0..30 {
        // Down and up again: where there are few there are few pages.
        let page = if round / 6 % 2 == 0 { "\x1b[6~" } else { "\x1b[5~" };
        let start = std::time::Instant::now();
        t.keys(page);
        let marked = |s: &str| s.lines().find(|l| l.starts_with('▸')).map(String::from);
        t.wait_soon("another row", |s| marked(s).is_some_and(|row| row != before));
        before = marked(&t.text()).unwrap_or_default();
        took.push(start.elapsed());
    }
    took.sort_unstable();
    println!("{count} processes: a page is turned in {:?} in the middle, {:?} at most", took[15], took[29]);
    assert!(took[15] <= within(50), "{took:?}");
    t.keys("qy");
    assert_eq!(t.end(), 143);
}

#[test]
fn where_a_jvms_heap_ends_is_a_line_and_the_jvm_says_the_same() {
    let test = "where_a_jvms_heap_ends_is_a_line_and_the_jvm_says_the_same";
    if !kernel_tier(test) || !has(test, "java") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pause = dir.path().join("paused");
    // It waits at its start, as long as that file is there.
    let script = format!(
        "java -XX:MaxRAMPercentage=75 -XX:+UnlockDiagnosticVMOptions -XX:+PauseAtStartup -XX:PauseAtStartupFile={} \
         -XX:+PrintFlagsFinal -version 2>/dev/null | grep ' MaxHeapSize'; exec sleep 1000",
        pause.display()
    );
    let mut t = screen("-m 256M", &["sh", "-c", &script], 120, 40);
    t.wait("the line", |s| line_with(s, "java's heap ends at").is_some() && s.contains("╌╌╌╌"));
    let told =
        t.text().split("java's heap ends at ").nth(1).and_then(|rest| rest.split('M').next()?.parse::<f64>().ok());
    wait_for("it to wait", || fs::remove_file(&pause).ok());
    t.wait("its own word", |s| line_with(s, "size_t MaxHeapSize").is_some_and(|(_, line)| line.contains("{product}")));
    let text = t.text();
    let (_, line) = line_with(&text, "size_t MaxHeapSize").expect("a line");
    let printed: f64 = line.split_whitespace().find_map(|word| word.parse().ok()).expect("bytes");
    // A JVM rounds up to its alignment, 2 MiB at most.
    assert!((told.expect("a size") - printed / M as f64).abs() <= 2.5, "told {told:?}, printed {printed}");
    t.keys("qy");
    assert_eq!(t.end(), 143);
}
