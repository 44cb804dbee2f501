//! Times as people write them: `"500ms"`, `"10s"`, `"1m30s"`, or a whole number of milliseconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A time of a config file, in whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(into = "String")]
pub struct Time(pub Duration);

/// Longer than anything here could mean, and far from what overflows when it is multiplied.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Time {
    /// From milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    fn of_millis(millis: u64) -> Result<Self, String> {
        let time = Self::millis(millis);
        if time.0 > LONGEST {
            Err(format!("{millis} milliseconds are more than ten years"))
        } else {
            Ok(time)
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let parts = [
            (millis / 3_600_000, "h"),
            (millis / 60_000 % 60, "m"),
            (millis / 1_000 % 60, "s"),
            (millis % 1_000, "ms"),
        ];
        if millis == 0 {
            return f.write_str("0s");
        }
        parts.iter().filter(|(number, _)| *number > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no time: write e.g. \"500ms\", \"10s\" or \"1m30s\", or a whole number of milliseconds"
            )
        };
        let mut rest = text;
        let mut millis: u64 = 0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(wrong()),
            };
            rest = &rest[letters..];
            millis = number.checked_mul(unit).and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        }
        Self::of_millis(millis)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsWritten;

        impl Visitor<'_> for AsWritten {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time, e.g. \"500ms\", \"10s\" or \"1m30s\", or a whole number of milliseconds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<Time, E> {
                let millis = u64::try_from(millis).map_err(|_| E::custom(format!("{millis} is before no time")))?;
                Time::of_millis(millis).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(AsWritten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("1m30s", 90_000), ("24h", 86_400_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Time::millis(millis)));
            assert_eq!(Time::millis(millis).to_string(), text);
        }
        for text in ["", "-1s", "5", "5 s", "s", "5x", "1.5s", "99999999999999999999s", "100000h"] {
            assert!(text.parse::<Time>().is_err(), "{text:?}");
        }
    }
}
