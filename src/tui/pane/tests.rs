//! What programs print, and what the pane makes of it.

use proptest::prelude::*;

use super::*;

/// What a pane of 5 rows and 20 columns shows after this.
fn shows(output: &str) -> String {
    let mut pane = Pane::new(5, 20);
    pane.take(output.as_bytes());
    pane.screen().contents()
}

#[test]
fn questions_are_answered() {
    let mut pane = Pane::new(5, 20);
    for (question, answer) in [
        ("ab\x1b[6n", "\x1b[1;3R"),
        ("\x1b[?6n", "\x1b[?1;3R"),
        ("\x1b[5n", "\x1b[0n"),
        ("\x1b[c", "\x1b[?62;22c"),
        ("\x1b[0c", "\x1b[?62;22c"),
        ("\x1b[>c", "\x1b[>0;0;0c"),
        ("\x1b[=c", "\x1bP!|00000000\x1b\\"),
        ("\x1b[18t", "\x1b[8;5;20t"),
        ("\x1b[?25l\x1b[?25$p", "\x1b[?25;2$y"),
        ("\x1b[?2004h\x1b[?2004$p", "\x1b[?2004;1$y"),
        ("\x1b[?2026$p", "\x1b[?2026;0$y"),
        ("\x1b[4h\x1b[4$p\x1b[4l", "\x1b[4;1$y"),
        ("\x1b[12$p", "\x1b[12;0$y"),
        // A cursor that waits at the end of a line is on its last column.
        ("\x1b[1;20Hx\x1b[6n", "\x1b[1;20R"),
        // Who answered these would have something typed that the program chose, or that is not so.
        ("\x1b]2;rm -rf\x07\x1b[21t", ""),
        ("\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]4;1;?\x07\x1b]52;c;?\x07", ""),
        ("\x1bP$qm\x1b\\\x1bP+q544e\x1b\\\x1b[?u\x05\x1b[x\x1b[14t", ""),
        ("plain", ""),
    ] {
        assert_eq!(String::from_utf8_lossy(&pane.take(question.as_bytes())), answer, "{question:?}");
    }
    assert!(pane.take(b"\x1b[>q").starts_with(b"\x1bP>|sandtop "));
}

#[test]
fn full_screen_programs_draw_with_more_than_the_emulator_knows() {
    for (output, shown) in [
        ("\x1b(0lqk\x1b(B lqk", "┌─┐ lqk"),
        ("\x1b)0\x0ex\x0fx", "│x"),
        ("abc\x1b[4h\x1b[1;1HX\x1b[4l", "Xabc"),
        ("\x1b[s  a\x1b[ub", "b a"),
        ("\ta\x1b[2Zb", "b       a"),
        ("a\x1b[Ib", "a       b"),
        ("a\x1bDb\x1bEc", "a\n b\nc"),
        ("a\x1b[3b", "aaaa"),
        ("a\x1b[?1047hb\x1b[?1047lc", "ac"),
        ("\x1b[?1048ha\x1b[?1048lb", "b"),
        ("\x1b[2;3r\x1b[?6h\x1b[!pa", "\na"), // a soft reset leaves the cursor where it is
    ] {
        assert_eq!(shows(output), shown, "{output:?}");
    }
}

#[test]
fn a_title_is_kept_as_text() {
    let mut pane = Pane::new(5, 20);
    let mut title = |output: &str| {
        pane.take(output.as_bytes());
        pane.title().map(str::to_string)
    };
    assert_eq!(title("x"), None);
    assert_eq!(title("\x1b]0;vim: notes\x07"), Some("vim: notes".into()));
    assert_eq!(title("\x1b]1;icon\x07"), Some("vim: notes".into()));
    let hostile = title("\x1b]2;a\u{9b}31m\u{202e}b\x1b\\").unwrap();
    assert!(!crate::text::has_hidden(&hostile.replace('\u{fffd}', "")), "{hostile:?}");
    assert_eq!(title(&format!("\x1b]2;{}\x07", "long ".repeat(100))).map(|t| t.len()), Some(LONGEST_TITLE));
    assert_eq!(title("\x1b]2;\x07"), None);
}

#[test]
fn what_a_program_wants_to_know_is_known() {
    let mut pane = Pane::new(5, 20);
    use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mouse};
    assert_eq!(pane.mouse_mode(), (Mouse::None, Encoding::Default));
    pane.take(b"\x1b[?1002;1006h\x1b[?1004h\x1b[?1h\x1b[?2004h\x1b]2;t\x07\x1b(0");
    assert_eq!(pane.mouse_mode(), (Mouse::ButtonMotion, Encoding::Sgr));
    assert!(pane.wants_focus_events() && pane.screen().application_cursor() && pane.screen().bracketed_paste());
    // The next run's program has asked for nothing yet.
    pane.next_run();
    pane.take(b"x");
    assert_eq!(pane.mouse_mode(), (Mouse::None, Encoding::Default));
    assert!(!pane.wants_focus_events() && !pane.screen().application_cursor() && !pane.screen().bracketed_paste());
    assert_eq!((pane.title(), pane.screen().contents().as_str()), (None, "x"));
}

#[test]
fn the_place_stays_while_output_comes() {
    let mut pane = Pane::with_history(3, 20);
    (0..10).for_each(|n| drop(pane.take(format!("line {n}\r\n").as_bytes())));
    assert_eq!(pane.scroll_back(4), 4);
    let shown = pane.screen().contents();
    assert!(shown.starts_with("line 4"), "{shown}");
    pane.take(b"more\r\nand more\r\n");
    assert_eq!((pane.scrolled_back(), pane.screen().contents()), (6, shown));
    assert_eq!(pane.scroll_back(usize::MAX), 10);
    // As much is kept as was promised; what is shown then moves on.
    (0..SCROLLBACK + 100).for_each(|_| drop(pane.take(b"x\r\n")));
    assert_eq!(pane.scrolled_back(), SCROLLBACK);
    assert_eq!(pane.scroll_back(0), 0);
    // The alternate screen has no lines that scrolled out.
    pane.take(b"\x1b[?1049h");
    assert_eq!(pane.scroll_back(5), 0);
}

#[test]
fn the_next_run_starts_below_what_the_last_one_left() {
    let mut pane = Pane::new(4, 20);
    pane.take(b"one\r\ntwo");
    pane.next_run();
    pane.take(b"three");
    assert_eq!(pane.screen().contents(), "one\ntwo\nthree");
    pane.take(b"\r\nfour\x1b]0;begun");
    pane.next_run();
    pane.take(b"five");
    assert_eq!(pane.screen().contents(), "two\nthree\nfour\nfive");
}

#[test]
fn a_size_that_no_terminal_has_takes_no_memory() {
    let mut pane = Pane::new(u16::MAX, u16::MAX);
    pane.resize(u16::MAX, u16::MAX);
    pane.take(b"still \x1b[999;999Hhere");
    assert_eq!(pane.emulator.size(), (500, 1000));
}

#[test]
fn a_few_bytes_are_not_made_into_hours_of_work() {
    let mut pane = Pane::with_history(50, 200);
    let start = std::time::Instant::now();
    for sequence in
        ["x\x1b[65535b", "\x1b[65535I", "\x1b[65535Z", "\x1b[65535S", "\x1b[65535@", "\x1b[65535L", "\x1b[2J"]
    {
        pane.take(sequence.repeat(64 * 1024 / sequence.len() / 8).as_bytes());
    }
    let took = start.elapsed();
    println!("56 KiB of the dearest sequences took {took:?}");
    assert!(took.as_secs() < 10, "{took:?}");
}

proptest! {
    #[test]
    fn a_clone_goes_on_as_the_original(parts in proptest::collection::vec(prop_oneof![
        Just(b"plain".to_vec()), Just(b"\x1b[31mred\x1b[0".to_vec()), Just(b"m".to_vec()), Just(b"\x1b]0;title".to_vec()),
        Just(b"\x07".to_vec()), Just(b"\x1bPq".to_vec()), Just(b"\x1b\\".to_vec()), Just("\u{e9}\u{4e16}".as_bytes().to_vec()), Just(vec![0xe4, 0xb8]), Just(vec![0x96]),
        Just(b"\x1b[?1049h\x1b[2;3r".to_vec()), Just(b"\x1b[3;5H".to_vec()), Just(b"\r\n".to_vec()), Just(b"\x1b".to_vec()), Just(b"(0".to_vec()), Just(b"\x1b[4h".to_vec()),
    ], 1..30), at in 0usize..30) {
        let mut pane = Pane::new(6, 20);
        let at = at.min(parts.len());
        parts[..at].iter().for_each(|part| drop(pane.take(part)));
        let mut other = pane.clone();
        for part in &parts[at..] {
            prop_assert_eq!(other.take(part), pane.take(part));
        }
        prop_assert_eq!(other.screen().state_formatted(), pane.screen().state_formatted());
        prop_assert_eq!(other.title(), pane.title());
    }

    #[test]
    fn no_output_and_no_size_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in 0u16..4, cols in 0u16..4) {
        let mut pane = Pane::new(rows, cols);
        pane.take(&bytes);
        pane.resize(cols, rows);
        pane.take(&bytes);
        pane.next_run();
        prop_assert!(!pane.screen().contents().contains("broke the terminal"));
    }
}
