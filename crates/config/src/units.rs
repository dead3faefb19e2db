//! Text for durations and sizes, both ways. Knows no keys and reports no places: an error is a sentence.

use std::time::Duration;

/// Longest duration that is believed: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Units of a duration in the order they must be written, in milliseconds.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of a size, in bytes.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Reads `2s`, `500ms`, `1m30s`, `1h`: whole numbers with units, larger units first, at most a day.
///
/// # Errors
/// What a duration must look like.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a duration such as `500ms`, `2s`, `1m30s` or `1h`".to_owned();
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut units = DURATION_UNITS.iter();
    while !rest.is_empty() {
        let (number, tail) = split_number(rest);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        millis = number.checked_mul(*factor).and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        rest = tail;
    }
    let total = Duration::from_millis(millis);
    match text {
        "" => Err(wrong()),
        _ if total > LONGEST => Err("must be at most `24h`".to_owned()),
        _ => Ok(total),
    }
}

/// Reads `20MB`, `512KiB`, `100B`: a whole number and a unit.
///
/// # Errors
/// What a size must look like.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text);
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let bytes =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes.ok_or_else(|| "must be a size such as `20MB`, `512KiB` or `4096B`".to_owned())
}

/// Leading digits, and what follows them.
fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let table = [
            ("2s", Some(2_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("0s", Some(0)),
            ("24h", Some(86_400_000)),
            ("24h1ms", None),
            ("", None),
            ("2", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1 s", None),
            ("2sec", None),
            ("99999999999999999999h", None),
            ("9999999999999999999h", None),
            ("é", None),
        ];
        for (text, millis) in table {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("20MB", Some(20_000_000)),
            ("512KiB", Some(524_288)),
            ("1GiB", Some(1_073_741_824)),
            ("4096B", Some(4_096)),
            ("3kB", Some(3_000)),
            ("20", None),
            ("MB", None),
            ("20mb", None),
            ("1.5MB", None),
            ("99999999999GB", None),
            ("", None),
        ];
        for (text, bytes) in table {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_written_out_is_read_back(hours in 0_u64..24, rest in 0_u64..3_600_000) {
            let (minutes, seconds, millis) = (rest / 60_000, rest / 1_000 % 60, rest % 1_000);
            let text = format!("{hours}h{minutes}m{seconds}s{millis}ms");
            prop_assert_eq!(duration(&text), Ok(Duration::from_millis(hours * 3_600_000 + rest)));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,20}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
