//! Where a run is heading, in a result: when its limit will be full, and how long it got nowhere.

use serde::Serialize;

use crate::session::{Forecast, Run};

/// When the limit will be full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ForecastDocument {
    /// In so many seconds, from the newest event on.
    pub full_in_seconds: f64,
    /// The part of them in which file cache is given back to make room.
    pub cache_seconds: f64,
    /// How fast what cannot be given back grows.
    pub bytes_per_second: f64,
}

impl ForecastDocument {
    pub(super) fn of(forecast: Forecast) -> ForecastDocument {
        ForecastDocument {
            full_in_seconds: forecast.full_in.as_secs_f64(),
            cache_seconds: forecast.of_it_cache.as_secs_f64(),
            bytes_per_second: forecast.rate,
        }
    }
}

/// How long a run lived and got nowhere; `None` of a kernel that does not count what tells it.
pub(super) fn stalled_seconds(run: &Run) -> Option<f64> {
    let stat = run.stat?;
    stat.refaults.and(stat.major_faults).map(|_| run.stalls.total().as_secs_f64())
}
