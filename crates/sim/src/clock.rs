//! The simulator's one reading of the clock, and the time formats providers put on the wire.
//!
//! Nothing else in this crate may read a clock; everything else is given a [`Duration`].

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Counts time since it was started, and knows the wall clock for stamps on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// Starts counting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the simulator reads the clock")]
    pub fn start() -> Self {
        Clock { zero: Instant::now() }
    }

    /// Time since the start; obeys tokio's paused clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// Time since the Unix epoch; zero when the machine's clock stands before it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the simulator reads the clock")]
    pub fn wall(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// A moment split into the fields of the Gregorian calendar, UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: u64,
}

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Splits whole seconds since the epoch by walking years and months, which is plain and fast enough here.
fn civil(wall: Duration) -> Civil {
    let seconds = wall.as_secs();
    let days = seconds / 86_400;
    let (mut year, mut left) = (1970, days);
    while left >= year_days(year) {
        left -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while left >= month_days(year, month) {
        left -= month_days(year, month);
        month += 1;
    }
    let of_day = seconds % 86_400;
    Civil {
        year,
        month,
        day: left + 1,
        hour: of_day / 3600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        weekday: days % 7,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn word(table: &'static [&'static str], index: u64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| table.get(index)).copied().unwrap_or_default()
}

/// `Sat, 21 Nov 2026 07:28:00 GMT`, the form of `date` and of a dated `retry-after` (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(wall: Duration) -> String {
    let at = civil(wall);
    let (weekday, month) = (word(&WEEKDAYS, at.weekday), word(&MONTHS, at.month - 1));
    let (day, year) = (at.day, at.year);
    format!("{weekday}, {day:02} {month} {year} {:02}:{:02}:{:02} GMT", at.hour, at.minute, at.second)
}

/// `2026-11-21T07:28:00Z` (RFC 3339, whole seconds).
#[must_use]
pub fn rfc3339(wall: Duration) -> String {
    let at = civil(wall);
    let (year, month, day) = (at.year, at.month, at.day);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour, at.minute, at.second)
}

/// `6m0s`, `1m12.5s`, `20ms`: Go's text form of a duration, to the millisecond.
#[must_use]
pub fn go_duration(span: Duration) -> String {
    let millis = span.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = plain_seconds(millis % 60_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `38.2`, `5`: decimal seconds without a unit, to the millisecond.
#[must_use]
pub fn decimal_seconds(span: Duration) -> String {
    plain_seconds(span.as_millis())
}

fn plain_seconds(millis: u128) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Rounded up to whole seconds, so that a stated wait never ends too early.
#[must_use]
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_providers_write_them() {
        for (seconds, date, stamp) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00Z"),
            (1_795_246_080, "Sat, 21 Nov 2026 07:28:00 GMT", "2026-11-21T07:28:00Z"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT", "2100-02-28T23:59:59Z"),
        ] {
            let wall = Duration::from_secs(seconds);
            assert_eq!((http_date(wall).as_str(), rfc3339(wall).as_str()), (date, stamp));
        }
    }

    #[test]
    fn durations_as_providers_write_them() {
        for (millis, go, decimal) in [
            (0, "0s", "0"),
            (20, "20ms", "0.02"),
            (1000, "1s", "1"),
            (7660, "7.66s", "7.66"),
            (72_500, "1m12.5s", "72.5"),
            (360_000, "6m0s", "360"),
            (43_203_100, "12h0m3.1s", "43203.1"),
        ] {
            let span = Duration::from_millis(millis);
            assert_eq!((go_duration(span).as_str(), decimal_seconds(span).as_str()), (go, decimal));
        }
        assert_eq!([0, 1, 1000, 1001].map(|ms| whole_seconds(Duration::from_millis(ms))), [0, 1, 1, 2]);
    }
}
