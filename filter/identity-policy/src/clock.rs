//! The time of a request: what was asked for, or now.

use identity_filter::time::UnixTime;

use crate::error::Error;

/// Reads `--at`; without it the time is now.
pub(crate) fn at(text: Option<&str>) -> Result<UnixTime, Error> {
    match text {
        None => Ok(now()),
        Some(text) => parse(text).ok_or(Error::Argument {
            option: "--at",
            allowed: "a time in UTC such as 2026-11-30T12:00:00Z, or seconds since 1970",
        }),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the program reads the clock"
)]
fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_millis(0).after(since.unwrap_or_default())
}

/// RFC 3339 in UTC, or seconds since the epoch.
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| is_number(text).then(|| text.parse::<u64>().ok()).flatten();
    if is_number(text) {
        let seconds = number(text)?;
        return Some(UnixTime::from_millis(seconds.checked_mul(1000)?));
    }
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts = |text: &str, by: char| -> Option<[u64; 3]> {
        let parts: Option<Vec<_>> = text.split(by).map(number).collect();
        parts?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (parts(date, '-')?, parts(time, ':')?);
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range || !is_number(fraction) {
        return None;
    }
    // Days since 0000-03-01: a year that starts in March has its leap day at its end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second;
    let millis = number(&format!("{fraction:0<3}")[..3])?;
    let time = UnixTime::from_millis(seconds * 1000 + millis);
    // A day that its month does not have comes out as another.
    time.rfc3339().starts_with(date).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T23:59:59.999Z",
            "2026-11-23T00:24:42.123Z",
            "2100-03-01T00:00:00.000Z",
        ] {
            assert_eq!(parse(text).unwrap().rfc3339(), text);
        }
        assert_eq!(parse("1800000000"), parse("2027-01-15T08:00:00Z"));
        for text in [
            "",
            "now",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "-1",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
