//! The few facts of the calendar that limits depend on: dates in headers, the next month, and midnight in
//! California, where some daily quotas end. Years 1970 to 9999; no time zone database.

use crate::time::Wall;

const DAY_MILLIS: u64 = 86_400_000;
const HOUR_MILLIS: u64 = 3_600_000;
const FIRST_YEAR: u64 = 1970;
const LAST_YEAR: u64 = 9999;
/// Day number of 9999-12-31, counted from 1970-01-01.
const LAST_DAY: u64 = 2_932_896;
/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_162;

/// The first moment of the next month, UTC: when monthly quotas and spend caps return.
pub(crate) fn next_month(now: Wall) -> Wall {
    let today = day_of(now.millis());
    let year = year_of(today);
    let month = (1..=12).rev().find(|&month| day_number(year, month, 1).is_some_and(|first| first <= today));
    let next = match month {
        Some(month) if month < 12 => day_number(year, month + 1, 1),
        _ => day_number(year + 1, 1, 1),
    };
    Wall::from_millis(next.unwrap_or(LAST_DAY) * DAY_MILLIS)
}

/// The next midnight in Los Angeles.
pub(crate) fn next_pacific_midnight(now: Wall) -> Wall {
    let now = now.millis().min(LAST_DAY * DAY_MILLIS);
    let local_day = now.saturating_sub(pacific_lag(now)) / DAY_MILLIS;
    let local_midnight = (local_day + 1) * DAY_MILLIS;
    // Clocks change at two in the morning, so the lag at midnight is that of the hours around it.
    Wall::from_millis(local_midnight + pacific_lag(local_midnight + pacific_lag(now)))
}

/// How far Los Angeles is behind UTC at the UTC moment `millis`: 7 h from the second Sunday of March to the first
/// of November (both at 2:00 local time), else 8 h. Rule in force since 2007 (US Energy Policy Act of 2005).
fn pacific_lag(millis: u64) -> u64 {
    let year = year_of(day_of(millis));
    let summer_begins = first_sunday(year, 3) + 7;
    let summer_ends = first_sunday(year, 11);
    let summer = summer_begins * DAY_MILLIS + 10 * HOUR_MILLIS..summer_ends * DAY_MILLIS + 9 * HOUR_MILLIS;
    if summer.contains(&millis) { 7 * HOUR_MILLIS } else { 8 * HOUR_MILLIS }
}

/// Day number of the first Sunday of a month.
fn first_sunday(year: u64, month: u64) -> u64 {
    let first = day_number(year, month, 1).unwrap_or(LAST_DAY);
    // 1970-01-01 was a Thursday, the fourth day after Sunday.
    first + (7 - (first + 4) % 7) % 7
}

/// A moment written as RFC 3339 (`2026-11-21T12:40:59Z`, seconds and zone optional) or in one of the three forms
/// of an HTTP date (RFC 9110 §5.6.7).
pub(crate) fn parse_instant(text: &str) -> Option<Wall> {
    let text = text.trim();
    parse_rfc3339(text).or_else(|| parse_http_date(text))
}

fn parse_rfc3339(text: &str) -> Option<Wall> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.split('-').map(str::parse);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if parts.next().is_some() {
        return None;
    }
    let midnight = day_number(year, month, day)? * DAY_MILLIS;
    let (clock, behind, ahead) = if let Some((clock, zone)) = rest.rsplit_once('+') {
        (clock, parse_clock(zone)?, 0)
    } else if let Some((clock, zone)) = rest.rsplit_once('-') {
        (clock, 0, parse_clock(zone)?)
    } else {
        (rest.trim_end_matches(['Z', 'z']), 0, 0)
    };
    Some(Wall::from_millis((midnight + parse_clock(clock)? + ahead).saturating_sub(behind)))
}

/// The three forms differ in order and punctuation only: one word is the month, one the clock, and of the two
/// numbers the day comes first.
fn parse_http_date(text: &str) -> Option<Wall> {
    let (mut month, mut clock, mut day, mut year) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if word.contains(':') {
            clock = Some(parse_clock(word)?);
        } else if let Ok(number) = word.parse::<u64>() {
            if day.is_none() { day = Some(number) } else { year = Some(number) }
        } else if month.is_none() {
            month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(word));
        }
    }
    // Two-digit years are of the obsolete form; 70 is the first year a Unix clock can show.
    let year = match year? {
        short @ 0..70 => short + 2000,
        short @ 70..100 => short + 1900,
        full => full,
    };
    Some(Wall::from_millis(day_number(year, month? as u64 + 1, day?)? * DAY_MILLIS + clock?))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `12:40`, `12:40:59` or `12:40:59.25`, in milliseconds since midnight.
fn parse_clock(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let hour: u64 = parts.next()?.trim().parse().ok()?;
    let minute: u64 = parts.next()?.parse().ok()?;
    let second: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && (0.0..61.0).contains(&second);
    valid.then(|| hour * HOUR_MILLIS + minute * 60_000 + (second * 1000.0) as u64)
}

fn day_of(millis: u64) -> u64 {
    (millis / DAY_MILLIS).min(LAST_DAY)
}

fn year_of(day: u64) -> u64 {
    // No year is longer than 366 days, so this is never too late and at most a few years early.
    let mut year = FIRST_YEAR + day / 366;
    while year < LAST_YEAR && year_start(year + 1) <= day {
        year += 1;
    }
    year
}

/// Days since 1970-01-01, if the date exists.
fn day_number(year: u64, month: u64, day: u64) -> Option<u64> {
    let valid = (FIRST_YEAR..=LAST_YEAR).contains(&year)
        && (1..=12).contains(&month)
        && (1..=month_days(year, month)).contains(&day);
    valid.then(|| year_start(year) + (1..month).map(|month| month_days(year, month)).sum::<u64>() + day - 1)
}

fn year_start(year: u64) -> u64 {
    let full = year - 1;
    full * 365 + full / 4 - full / 100 + full / 400 - EPOCH_DAYS
}

fn month_days(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        parse_instant(text).unwrap_or_else(|| panic!("{text} is no moment"))
    }

    #[test]
    fn moments_are_read_in_every_usual_form() {
        // 784111777 s is the example of RFC 9110.
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-11-21T12:00:00Z", 1_795_262_400_000),
            ("2026-11-21t12:00:00.250z", 1_795_262_400_250),
            ("2026-11-21T14:30:00+02:30", 1_795_262_400_000),
            ("2026-11-21T07:00:00-05:00", 1_795_262_400_000),
            ("2026-11-21 12:00", 1_795_262_400_000),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777_000),
            ("Sun Nov  6 08:49:37 1994", 784_111_777_000),
        ] {
            assert_eq!(parse_instant(text), Some(Wall::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "T",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:60Z",
            "1969-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
            "2026-11-21-01T00:00Z",
            "Sat, 21 Foo 2026 07:28:00 GMT",
            "21 Nov 2026",
            "a:b:c",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn the_next_month_begins_on_the_first() {
        for (now, then) in [
            ("2026-11-21T12:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
            ("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(next_month(at(now)), at(then), "{now}");
        }
    }

    #[test]
    fn midnight_in_california_follows_summer_time() {
        for (now, then) in [
            ("2026-11-21T12:00:00Z", "2026-11-22T08:00:00Z"),
            ("2026-11-21T07:59:59Z", "2026-11-21T08:00:00Z"),
            ("2026-11-21T08:00:00Z", "2026-11-22T08:00:00Z"),
            ("2026-07-01T12:00:00Z", "2026-07-02T07:00:00Z"),
            // Clocks go forward on 2026-03-08 and back on 2026-11-01.
            ("2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"),
            ("2026-03-08T09:00:00Z", "2026-03-09T07:00:00Z"),
            ("2026-03-08T12:00:00Z", "2026-03-09T07:00:00Z"),
            ("2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"),
            ("2026-11-01T08:30:00Z", "2026-11-02T08:00:00Z"),
            ("2026-11-01T12:00:00Z", "2026-11-02T08:00:00Z"),
        ] {
            assert_eq!(next_pacific_midnight(at(now)), at(then), "{now}");
        }
    }

    #[test]
    fn no_clock_is_too_wrong() {
        for millis in [0, 1, u64::MAX / 2, u64::MAX] {
            let now = Wall::from_millis(millis);
            assert!(next_pacific_midnight(now).millis() > 0);
            assert!(next_month(now).millis() > 0);
        }
    }
}
