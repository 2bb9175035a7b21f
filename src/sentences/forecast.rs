//! When a limit will be full, and what of the usage could go, in words.

use std::time::Duration;

use super::Language;
use crate::{
    session::{Forecast, Parts},
    units::size,
};

/// Less cache than this is not worth a word, in bytes; and cache that is given back in less time than this neither.
const A_LITTLE: u64 = 1 << 20;
const A_MOMENT: Duration = Duration::from_secs(1);

impl Language {
    /// When the limit will be full, at the rate of the last seconds: one sentence.
    pub fn forecast(self, forecast: &Forecast) -> String {
        let cache = match forecast.of_it_cache {
            cache if cache < A_MOMENT => String::new(),
            cache => format!(", of which {} are cache that is given back first", rough(cache)),
        };
        format!("{} at {}/s{cache}", self.full_in(forecast), size(forecast.rate.max(0.0) as u64))
    }

    /// The same, as short as it can be.
    pub fn full_in(self, forecast: &Forecast) -> String {
        match forecast.full_in {
            soon if soon < A_MOMENT => "full within 1 s".into(),
            later => format!("full in {}", rough(later)),
        }
    }

    /// The same, with what of it is cache, if that is worth a word.
    pub fn full_in_and_cache(self, forecast: &Forecast) -> String {
        match forecast.of_it_cache {
            cache if cache < A_MOMENT => self.full_in(forecast),
            cache => format!("{} ({} of it cache)", self.full_in(forecast), rough(cache)),
        }
    }

    /// What of the usage cannot be given back, and what can.
    pub fn parts(self, parts: &Parts) -> String {
        match parts.cache {
            cache if cache < A_LITTLE => format!("{} held, no cache to give back", size(parts.held)),
            cache => format!("{} held, {} of cache can go", size(parts.held), size(cache)),
        }
    }
}

/// A time that is not known to a tenth: `8 s`, `3 min`.
fn rough(d: Duration) -> String {
    match d.as_secs_f64().round() as u64 {
        s if s < 60 => format!("{s} s"),
        s => format!("{} min", (s + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(full_in: f64, cache: f64) -> String {
        let d = Duration::from_secs_f64;
        Language::English.forecast(&Forecast { full_in: d(full_in), of_it_cache: d(cache), rate: 1e6 })
    }

    #[test]
    fn a_forecast_says_when_and_what_of_it_is_cache() {
        assert_eq!(said(8.2, 3.1), "full in 8 s at 977K/s, of which 3 s are cache that is given back first");
        assert_eq!(said(8.2, 0.4), "full in 8 s at 977K/s");
        let d = Duration::from_secs_f64;
        let short = |cache| {
            Language::English.full_in_and_cache(&Forecast { full_in: d(8.2), of_it_cache: d(cache), rate: 1e6 })
        };
        assert_eq!([short(3.1), short(0.9)], ["full in 8 s (3 s of it cache)", "full in 8 s"]);
        assert_eq!(said(0.7, 0.0), "full within 1 s at 977K/s");
        assert_eq!(said(59.4, 0.0), "full in 59 s at 977K/s");
        assert_eq!(said(100.0, 0.0), "full in 2 min at 977K/s");
    }

    #[test]
    fn the_parts_of_the_usage_are_named_as_the_picture_names_them() {
        let parts = |held, cache| Language::English.parts(&Parts { held, cache, ..Parts::default() });
        assert_eq!(parts(66 << 20, 1000), "66M held, no cache to give back");
        assert_eq!(parts(66 << 20, 20 << 20), "66M held, 20M of cache can go");
    }
}
