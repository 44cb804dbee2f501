//! Instants and lengths of time as people read them: RFC 3339 in UTC, and `3h02m`.

use oncegate_protocol::Wall;

/// The date of that day since 1970, by the proleptic Gregorian calendar: years of 365.2425 days that begin in March, so
/// that the odd day comes last (Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// `2026-11-23T23:08:07.120Z`.
pub(crate) fn instant(at: Wall) -> String {
    let millis = at.as_millis();
    let (year, month, day) = date(millis.div_euclid(86_400_000));
    let of_day = millis.rem_euclid(86_400_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1_000 % 60,
        of_day % 1_000
    )
}

/// `2026-11-23 23:08:07Z`: to the second, for tables.
pub(crate) fn second(millis: i64) -> String {
    let text = instant(Wall::from_millis(millis));
    format!("{}Z", text[..text.len() - 5].replace('T', " "))
}

/// `850ms`, `12.3s`, `3m05s`, `3h02m`, `4d06h`.
pub(crate) fn length(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}.{}s", millis % 1_000 / 100),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: `date -u -d @SECONDS +%FT%T`.
    #[test]
    fn instants_are_those_of_date() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_475_287_120, "2026-11-23T23:08:07.120Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(instant(Wall::from_millis(millis)), text);
        }
        assert_eq!(second(1_795_475_287_120), "2026-11-23 23:08:07Z");
    }

    #[test]
    fn lengths_are_short() {
        for (millis, text) in
            [(850, "850ms"), (12_345, "12.3s"), (185_000, "3m05s"), (10_920_000, "3h02m"), (367_200_000, "4d06h")]
        {
            assert_eq!(length(millis), text);
        }
    }
}
