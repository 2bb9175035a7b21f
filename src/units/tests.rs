//! Sizes, limits and edits: what is accepted, what is refused with which words, and how they read back.

use super::*;
use proptest::prelude::*;

const M: u64 = 1 << 20;

fn bytes(text: &str) -> Option<u64> {
    Limit::parse(text, 1000 * M).ok().and_then(Limit::bytes)
}

#[test]
fn a_limit_is_typed_so_that_it_reads_back() {
    assert_eq!(Limit::Bytes(100 * M + 4096).typed(), "104861696");
    assert_eq!(Limit::Bytes(1536 * M).typed(), "1.50G");
    assert_eq!(Limit::Max.typed(), "max");
}

#[test]
fn sizes_are_binary_as_docker_reads_them() {
    for text in ["64m", "64M", "64MiB", "64Mi", "64MB", " 64M ", "67108864", "65536k"] {
        assert_eq!(bytes(text), Some(64 * M), "{text}");
    }
    assert_eq!(bytes("1.5G"), Some(1536 * M));
    assert_eq!(bytes("0.5g"), Some(512 * M));
    assert_eq!(bytes("50%"), Some(500 * M));
    for text in ["max", "MAX", "-1", "unlimited"] {
        assert_eq!(Limit::parse(text, M), Ok(Limit::Max), "{text}");
    }
}

#[test]
fn a_bad_size_is_refused_in_one_line_that_says_what_is_accepted() {
    for text in ["0", "-5", "12zz", "", "18446744073709551616", "20E", "0%", "-3%", "1,5G", "5", "nan%", "+10%", "+5M"]
    {
        let said = Limit::parse(text, M).expect_err(text);
        assert!(said.contains(ACCEPTED_SIZES), "{text}: {said}");
        assert_eq!(said.lines().count(), 1, "{text}");
    }
}

#[test]
fn a_limit_is_rounded_down_to_a_page() {
    assert_eq!(bytes("12345678"), Some(12345678 / 4096 * 4096));
}

#[test]
fn edits_are_absolute_or_relative_to_the_limit_now() {
    let now = Limit::Bytes(100 * M);
    let edit = |text| Limit::parse_edit(text, now).ok().and_then(Limit::bytes);
    assert_eq!(edit("300M"), Some(300 * M));
    assert_eq!(edit("+10%"), Some(110 * M));
    assert_eq!(edit("-16M"), Some(84 * M));
    assert!(Limit::parse_edit("-1", Limit::Bytes(100 * M)).unwrap_err().contains("no limit is max"));
    assert_eq!(edit("50%"), Some(50 * M));
    assert_eq!(Limit::parse_edit("max", now), Ok(Limit::Max));
    assert!(Limit::parse_edit("-200M", now).unwrap_err().starts_with("'-200M' leaves nothing of 100M"));
    assert!(Limit::parse_edit("+10%", Limit::Max).is_err());
    assert!(Limit::parse_edit("", now).is_err());
}

#[test]
fn quotas_are_numbers_or_max() {
    assert_eq!(Quota::parse_pids("100"), Ok(Quota::Of(100)));
    assert_eq!(Quota::parse_cpus("1.5"), Ok(Quota::Of(1500)));
    for none in ["max", "-1", "0"] {
        assert_eq!((Quota::parse_pids(none), Quota::parse_cpus(none)), (Ok(Quota::Max), Ok(Quota::Max)));
    }
    for bad in ["", "x", "-2", "5000000"] {
        assert!(Quota::parse_pids(bad).is_err_and(|why| why.contains("max")), "{bad}");
    }
    for bad in ["", "x", "-2", "nan", "inf", "0.001", "1e9"] {
        assert!(Quota::parse_cpus(bad).is_err_and(|why| why.contains("1.5")), "{bad}");
    }
}

#[test]
fn a_percentage_is_of_any_number_that_a_recording_may_tell() {
    assert_eq!([percent_of(50, 200), percent_of(199, 200), percent_of(300, 200)], [25, 99, 150]);
    assert_eq!((percent_of(u64::MAX, u64::MAX), percent_of(u64::MAX / 2, u64::MAX)), (100, 49));
    assert_eq!((percent_of(7, 0), percent_of(u64::MAX, 0)), (700, u64::MAX));
}

#[test]
fn sizes_read_well() {
    for (n, text) in [(0, "0B"), (209_715_200, "200M"), (1610612736, "1.50G"), (1_048_575, "1.00M"), (4096, "4K")] {
        assert_eq!(size(n), text);
    }
    assert_eq!(size(83_781_222), "79.9M");
    assert_eq!(size_column(0), "0.0K");
    assert_eq!(size_column(104_857_600), "100.0M");
    assert_eq!(size_column(1023 * M), "1.0G");
}

proptest! {
    #[test]
    fn a_whole_number_of_a_unit_reads_back_exactly(n in 1u64..1024, unit in 2u32..5) {
        let bytes = n << (10 * unit);
        prop_assert_eq!(Limit::parse(&size(bytes), 0), Ok(Limit::Bytes(bytes)));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = Limit::parse(&text, 1 << 30);
        let _ = Limit::parse_edit(&text, Limit::Bytes(1 << 30));
    }
}
