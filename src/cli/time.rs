//! Times as people write and read them. All are UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::{format_rfc3339_seconds, parse_duration, parse_rfc3339_weak};

/// A time that is an argument, in milliseconds since 1970: `2026-01-31`, `2026-01-31T12:00:00`, or how long ago: `30d`, `12h`.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let ago = parse_duration(text)
        .ok()
        .and_then(|ago| SystemTime::now().checked_sub(ago));
    let whole = if text.len() == "2026-01-31".len() {
        format!("{text}T00:00:00")
    } else {
        text.to_owned()
    };
    let time = ago.or_else(|| parse_rfc3339_weak(&whole).ok());
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .ok_or_else(|| {
            String::from("write a date (2026-01-31), a time in UTC (2026-01-31T12:00:00), or how long ago (30d, 12h)")
        })
}

/// `2026-01-31 12:00` for milliseconds since 1970; the number where it is no time that people know.
pub(super) fn minute(milliseconds: i64) -> String {
    let Some(time) = time(milliseconds) else {
        return milliseconds.to_string();
    };
    let text = format_rfc3339_seconds(time).to_string();
    text[.."2026-01-31T12:00".len()].replace('T', " ")
}

/// `2026-01-31` for milliseconds since 1970.
pub(super) fn day(milliseconds: i64) -> String {
    let minute = minute(milliseconds);
    let day = minute.split_once(' ').map(|(day, _)| day.to_owned());
    day.unwrap_or(minute)
}

/// `2026-01-31 12:00:00` for milliseconds since 1970; the number where it is no time that people know.
pub(super) fn second(milliseconds: i64) -> String {
    let Some(time) = time(milliseconds) else {
        return milliseconds.to_string();
    };
    let text = format_rfc3339_seconds(time).to_string();
    text.trim_end_matches('Z').replace('T', " ")
}

/// The time, where RFC 3339 can write it.
fn time(milliseconds: i64) -> Option<SystemTime> {
    const YEAR_10_000: u64 = 253_402_300_800_000;
    let since = u64::try_from(milliseconds).ok().filter(|since| *since < YEAR_10_000)?;
    UNIX_EPOCH.checked_add(Duration::from_millis(since))
}
