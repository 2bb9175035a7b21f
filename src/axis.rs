//! Round numbers for the axes of a chart, on the screen and in a report.

/// The next round size, in bytes: 1, 2, 2.5 or 5 times a power of ten of the binary unit that fits.
pub fn round_up(bytes: f64) -> f64 {
    let mut unit = 1.0;
    while bytes / unit >= 1024.0 {
        unit *= 1024.0;
    }
    let value = bytes / unit;
    // A table, not a logarithm: that would load the mathematics library at every start.
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0, 200.0, 250.0, 500.0, 1000.0];
    let nice = steps.into_iter().find(|step| *step >= value * 0.999).unwrap_or(1024.0);
    if nice >= 1000.0 { 1024.0 * unit } else { nice * unit }
}

/// The next round time, in seconds.
pub fn round_time(seconds: f64) -> f64 {
    let steps = [
        0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
        60.0, 120.0, 300.0, 600.0,
    ];
    let hours = (seconds / 3600.0).ceil() * 3600.0;
    steps.iter().copied().find(|s| *s >= seconds).unwrap_or(hours)
}

/// A time on an axis whose ticks are `step` seconds apart.
pub fn time_label(seconds: f64, step: f64) -> String {
    // As many digits as tell neighbours apart.
    let digits = [1.0, 0.1, 0.01, 0.001].iter().position(|unit| step >= *unit * 0.999).unwrap_or(4);
    let trimmed = |text: String| if digits == 1 { text.replace(".0s", "s") } else { text };
    match step {
        _ if seconds < step / 2.0 => "0".into(),
        s if s < 0.001 && seconds < 1.0 => format!("{:.1}ms", seconds * 1000.0),
        s if s < 0.1 && seconds < 1.0 => format!("{:.0}ms", seconds * 1000.0),
        _ if seconds < 60.0 => trimmed(format!("{seconds:.digits$}s")),
        _ => {
            let width = if digits == 0 { 2 } else { digits + 3 };
            // In whole units of the last digit, so that nothing is rounded up to 60.
            let unit = 10f64.powi(digits as i32);
            let (minute, all) = ((60.0 * unit) as u64, (seconds * unit).round() as u64);
            format!("{}:{:0width$.digits$}", all / minute, (all % minute) as f64 / unit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_on_the_axis_are_round() {
        let m = f64::from(1 << 20);
        assert_eq!(round_up(23.0 * m), 25.0 * m);
        assert_eq!(round_up(50.0 * m), 50.0 * m);
        assert_eq!(round_up(600.0 * m), 1024.0 * m);
    }

    #[test]
    fn times_on_the_axis_are_short() {
        assert_eq!(time_label(0.05, 0.01), "50ms");
        assert_eq!(time_label(1.5, 0.5), "1.5s");
        assert_eq!(time_label(2.0, 0.5), "2s");
        assert_eq!(time_label(75.0, 15.0), "1:15");
        // Neighbours are told apart, however close.
        assert_eq!([7.71, 7.72].map(|s| time_label(s, 0.01)), ["7.71s", "7.72s"]);
        assert_eq!([0.0123, 0.0124].map(|s| time_label(s, 0.0001)), ["12.3ms", "12.4ms"]);
        assert_eq!([65.5, 65.6].map(|s| time_label(s, 0.1)), ["1:05.5", "1:05.6"]);
        assert_eq!(time_label(0.0004, 0.0002), "0.4ms");
    }
}
