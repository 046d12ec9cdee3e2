//! Times for people: relative, with the absolute time as the title. The script keeps them up to date.

use af_domain::time::Timestamp;
use maud::{Markup, html};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A moment, epoch ms, relative to `now`.
pub(crate) fn when(at: u64, now: Timestamp) -> Markup {
    let absolute = absolute(at);
    html! { time datetime=(absolute) title=(absolute) data-at=(at) { (relative(at, now.as_millis())) } }
}

/// A moment as text in UTC, such as `2026-01-31T12:00:00Z`.
pub(crate) fn absolute(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(String::new, |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn relative(at: u64, now: u64) -> String {
    if at > now { format!("in {}", length(at - now)) } else { format!("{} ago", length(now - at)) }
}

/// A length of time in its two largest units, such as `2 min 5 s`.
pub(crate) fn length(ms: u64) -> String {
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min {} s", ms / MINUTE, ms % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {} min", ms / HOUR, ms % HOUR / MINUTE),
        _ => format!("{} d {} h", ms / DAY, ms % DAY / HOUR),
    }
}
