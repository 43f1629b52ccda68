//! Which day, and for how long? Calendar dates and periods, as ISO 8601 writes them.

use crate::newtype::{serde_as_text, string_newtype};
use crate::text::TextError;

/// Bytes in a period, at most.
pub const MAX_PERIOD_BYTES: usize = 32;

/// A day of the Gregorian calendar, `YYYY-MM-DD`, years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// Parses `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`TextError`] for any other spelling and for days that do not exist.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = |rule: &str| TextError::new("date", text, rule);
        let shaped = text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
        if !shaped {
            return Err(bad("a day is written `YYYY-MM-DD`"));
        }
        let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().unwrap_or_default();
        Self::of(number(0..4), number(5..7), number(8..10)).ok_or_else(|| bad("there is no such day"))
    }

    /// The day, if there is one.
    pub fn of(year: i16, month: i16, day: i16) -> Option<Self> {
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        (1..=9999).contains(&year).then_some(())?;
        jiff::civil::Date::new(year, month, day).ok().map(Self)
    }

    /// The day as the `jiff` crate sees it.
    pub fn civil(&self) -> jiff::civil::Date {
        self.0
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), self.0.month(), self.0.day())
    }
}

impl std::fmt::Debug for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Date {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::parse(text)
    }
}

serde_as_text!(Date);

impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A day, `YYYY-MM-DD`",
            "format": "date",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        })
    }
}

/// A period of years, months, weeks or days, as ISO 8601 writes it: `P7Y`, `P18M`, `P1Y6M`. Kept as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(String);

impl Period {
    /// Parses a period: `P`, then numbers with `Y`, `M`, `W`, `D`, each at most once and in this order.
    ///
    /// # Errors
    /// [`TextError`] for anything else, times of day included.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = || TextError::new("period", text, "a period is written as in `P7Y`, `P18M` or `P90D`");
        let mut rest = text.strip_prefix('P').filter(|r| !r.is_empty()).ok_or_else(bad)?;
        let mut units = "YMWD".chars();
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .filter(|end| (1..=5).contains(end))
                .ok_or_else(bad)?;
            let unit = rest[end..].chars().next().ok_or_else(bad)?;
            units.find(|u| *u == unit).ok_or_else(bad)?;
            rest = &rest[end + 1..];
        }
        Ok(Self(text.to_owned()))
    }
}

string_newtype!(
    Period,
    TextError,
    MAX_PERIOD_BYTES,
    r"^P([0-9]{1,5}Y)?([0-9]{1,5}M)?([0-9]{1,5}W)?([0-9]{1,5}D)?$",
    "A period as ISO 8601 writes it: `P7Y`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_exist_are_dates() {
        for good in ["2027-01-31", "2024-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(Date::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "2027-02-29",
            "2027-13-01",
            "0000-01-01",
            "2027-1-1",
            "27-01-01",
            "2027-01-31T00:00:00",
            "２027-01-1",
        ] {
            assert!(Date::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_period_names_its_units_once_and_in_order() {
        for good in ["P7Y", "P18M", "P1Y6M", "P2W", "P1Y2M3W4D"] {
            Period::parse(good).unwrap();
        }
        for bad in ["", "P", "7Y", "PY", "P1D1Y", "P1Y1Y", "PT1H", "P1", "P123456D", "P1Ÿ"] {
            assert!(Period::parse(bad).is_err(), "{bad}");
        }
    }
}
