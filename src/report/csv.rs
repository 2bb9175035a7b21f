//! The samples of a run as CSV (RFC 4180): one line per sample, as it was read, numbers without units, nothing where nothing was read.
//!
//! | column | what |
//! |---|---|
//! | `time_seconds` | since the main process was let go; before that less than nothing |
//! | `usage_bytes` | what was charged |
//! | `peak_bytes` | the highest usage since the line before, as the kernel kept it |
//! | `limit_bytes` | the limit that was in force; empty for none |
//! | `reclaimable_bytes` | the part of the usage that could be given back: file cache; with `anon_bytes` and what follows, read less often |
//! | `anon_bytes` `file_bytes` `shmem_bytes` `kernel_bytes` | what the usage consisted of |
//! | `swap_bytes` | what was swapped out |
//! | `limit_hits` `oom_kills` | counters since the start |
//! | `pressure_some_us` `pressure_full_us` | time lost to waiting for memory since the start, in microseconds |
//! | `pauses_averted` | reclaims since the start that made room where a pause was due |

use std::{fmt::Write as _, time::Duration};

use super::Source;
use crate::{
    event::{Event, Sample},
    session::Session,
};

/// The first line.
pub const COLUMNS: &str = "time_seconds,usage_bytes,peak_bytes,limit_bytes,reclaimable_bytes,anon_bytes,file_bytes,shmem_bytes,kernel_bytes,\
     swap_bytes,limit_hits,oom_kills,pressure_some_us,pressure_full_us,pauses_averted";

/// The samples of the newest run.
pub fn csv(source: &Source) -> String {
    let mut out = format!("{COLUMNS}\r\n");
    let Some(run) = source.session.run() else { return out };
    let (number, origin) = (run.started.run, run.origin());
    let mut session = Session::default();
    for stamped in source.events {
        session.apply(stamped); // the limit in force is known to the fold alone
        let Some(now) = session.run().filter(|run| run.started.run == number) else { continue };
        if let (Event::Sample(sample), Some(point)) = (&stamped.event, now.history.points().last()) {
            line(&mut out, stamped.at, origin, sample, point.limit.bytes(), now.pauses.averted().0);
        }
    }
    out
}

fn line(out: &mut String, at: Duration, origin: Duration, sample: &Sample, limit: Option<u64>, averted: u64) {
    let seconds = at.as_secs_f64() - origin.as_secs_f64();
    let stat = sample.stat.as_ref();
    let values = [
        Some(sample.usage),
        sample.peak,
        limit,
        stat.map(|stat| stat.file.min(sample.usage)),
        stat.map(|stat| stat.anon),
        stat.map(|stat| stat.file),
        stat.map(|stat| stat.shmem),
        stat.and_then(|stat| stat.kernel),
        sample.swap,
        sample.limit_hits,
        sample.oom_kills,
        sample.pressure.map(|pressure| pressure.some_us),
        sample.pressure.map(|pressure| pressure.full_us),
        Some(averted),
    ];
    let _ = write!(out, "{seconds:.6}");
    for value in values {
        let _ = write!(out, ",{}", value.map_or_else(String::new, |n| n.to_string()));
    }
    out.push_str("\r\n");
}
