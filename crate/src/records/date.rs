//! Points in time as text.
//!
//! Source: RFC 3339; written in UTC with nine digits behind the second, as IPNS wants
//! it. Read with any number of digits and any offset, from 1970 on.

use core::time::Duration;

/// Days of 400 years, after which the calendar begins anew.
const ERA: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const BEFORE_1970: u64 = 719_468;
const DAY: u64 = 86_400;
/// The longest text in bytes; nobody counts attoseconds.
const MAX_TEXT: usize = 64;

/// Writes a time since 1970; after the year 9999 the end of that year.
pub(crate) fn write(time: Duration) -> String {
    let (seconds, nanos) = match time.as_secs() {
        seconds @ 0..=LAST => (seconds, time.subsec_nanos()),
        _ => (LAST, 999_999_999),
    };
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    let mut text = String::with_capacity(30);
    let fields = [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, '.'),
        (nanos.into(), 9, 'Z'),
    ];
    for (number, digits, end) in fields {
        digits_of(&mut text, number, digits);
        text.push(end);
    }
    text
}

/// 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

fn digits_of(text: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10u64.pow(place) % 10;
        text.push(char::from(b'0' + digit as u8));
    }
}

/// Year, month and day of a day since 1970.
fn civil(day: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day that is not always there is their last.
    let day = day + BEFORE_1970;
    let (era, day) = (day / ERA, day % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Days since 1970; `None` before that, or if there is no such day.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = year.checked_sub(u64::from(month <= 2))?;
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = (era * ERA + of_era).checked_sub(BEFORE_1970)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Reads a time; `None` if it is none.
pub(super) fn read(text: &[u8]) -> Option<Duration> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut text = Text(text);
    let year = text.number(4)?;
    text.one_of(b"-")?;
    let month = text.number(2)?;
    text.one_of(b"-")?;
    let day = text.number(2)?;
    text.one_of(b"Tt")?;
    let hour = text.number(2).filter(|hour| *hour < 24)?;
    text.one_of(b":")?;
    let minute = text.number(2).filter(|minute| *minute < 60)?;
    text.one_of(b":")?;
    // A leap second is the beginning of the next minute.
    let second = text.number(2).filter(|second| *second <= 60)?;
    let mut nanos = 0;
    if text.one_of(b".").is_some() {
        let mut worth = 100_000_000;
        let first = text.number(1)?;
        nanos = first * worth;
        while let Some(digit) = text.number(1) {
            worth /= 10;
            nanos += digit * worth;
        }
    }
    let seconds = day_of(year, month, day)? * DAY + hour * 3600 + minute * 60 + second;
    let seconds = match text.one_of(b"Zz+-")? {
        b'Z' | b'z' => seconds,
        sign => {
            let hours = text.number(2).filter(|hours| *hours < 24)?;
            text.one_of(b":")?;
            let minutes = text.number(2).filter(|minutes| *minutes < 60)?;
            let offset = hours * 3600 + minutes * 60;
            if sign == b'-' { seconds + offset } else { seconds.checked_sub(offset)? }
        }
    };
    text.0.is_empty().then(|| Duration::new(seconds, nanos as u32))
}

struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        wanted.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn number(&mut self, digits: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let mut value = 0;
        for digit in number {
            value = value * 10 + u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        }
        self.0 = rest;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        read(text.as_bytes()).map(|time| time.as_secs())
    }

    #[test]
    fn known_times() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2033-05-18T03:33:20.000000000Z", 2_000_000_000),
            ("9999-12-31T23:59:59.999999999Z", LAST),
            // RFC 3339, section 5.8.
            ("1985-04-12T23:20:50.52Z", 482_196_050),
            ("1996-12-19T16:39:57-08:00", 851_042_397),
            ("1990-12-31T23:59:60Z", 662_688_000),
            ("1990-12-31T15:59:60-08:00", 662_688_000),
            ("2026-01-01T01:00:00+01:00", 1_767_225_600),
        ] {
            assert_eq!(seconds(text), Some(unix), "{text}");
        }
        let nanos = read(b"1985-04-12T23:20:50.52Z").unwrap().subsec_nanos();
        assert_eq!(nanos, 520_000_000);
        assert_eq!(write(Duration::from_secs(u64::MAX)), "9999-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00Z ",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+1:00",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        let long = format!("2026-01-01T00:00:00.{}Z", "1".repeat(MAX_TEXT));
        assert_eq!(seconds(&long), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..=LAST, nanos in 0..1_000_000_000u32) {
            let time = Duration::new(seconds, nanos);
            prop_assert_eq!(read(write(time).as_bytes()), Some(time));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(time) = read(&bytes) {
                prop_assert!(time.as_secs() <= LAST + 2 * DAY);
            }
        }
    }
}
