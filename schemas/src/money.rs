//! How much? Money and shares as decimal text, so that no reader rounds them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::newtype::string_newtype;
use crate::text::TextError;

/// Bytes in an amount, at most.
pub const MAX_AMOUNT_BYTES: usize = 20;
/// Digits before the point of an amount, at most.
const MAX_WHOLE_DIGITS: usize = 15;
/// Digits after the point of an amount or a percentage, at most (ISO 4217 has up to four).
const MAX_FRACTION_DIGITS: usize = 4;

/// An amount of money, not below zero: `41000.00`. At most 15 digits before the point and 4 after it. Kept as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(String);

impl Amount {
    /// Parses an amount.
    ///
    /// # Errors
    /// [`TextError`] for signs, separators, exponents, leading zeros, and too many digits.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        match decimal_digits(text) {
            Some((whole, fraction)) if whole <= MAX_WHOLE_DIGITS && fraction <= MAX_FRACTION_DIGITS => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(TextError::new(
                "amount",
                text,
                "an amount is written as in `41000.00`: at most 15 digits, a point, at most 4 digits",
            )),
        }
    }
}

string_newtype!(
    Amount,
    TextError,
    MAX_AMOUNT_BYTES,
    r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$",
    "An amount of money as a decimal: `41000.00`"
);

/// A share of a whole in percent, 0 to 100: `12.5`. Kept as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(String);

impl Percent {
    /// Parses a percentage.
    ///
    /// # Errors
    /// [`TextError`] for anything that is not a decimal from 0 to 100.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = || {
            TextError::new("percentage", text, "a percentage is a decimal from `0` to `100`, as in `12.5`")
        };
        let (_, fraction) = decimal_digits(text).ok_or_else(bad)?;
        let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let over = whole > 100 || (whole == 100 && rest.bytes().any(|b| b.is_ascii_digit() && b != b'0'));
        if over || fraction > MAX_FRACTION_DIGITS { Err(bad()) } else { Ok(Self(text.to_owned())) }
    }
}

string_newtype!(
    Percent,
    TextError,
    8,
    r"^(100(\.0{1,4})?|[1-9]?[0-9](\.[0-9]{1,4})?)$",
    "A share in percent as a decimal: `12.5`"
);

/// The digits before and after the point of a plain decimal without sign or leading zeros, or none.
fn decimal_digits(text: &str) -> Option<(usize, usize)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    (!whole.is_empty() && digits(whole) && digits(fraction) && !leading_zero)
        .then_some((whole.len(), fraction.len()))
}

/// A currency by its ISO 4217 code: three capital letters.
///
/// `parse` checks the form alone, so that every version of this software reads old and new entries alike;
/// [`Currency::is_listed`] tells an author of a slip of the pen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(String);

impl Currency {
    /// Parses a code.
    ///
    /// # Errors
    /// [`TextError`] unless it is three capital letters.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) {
            return Ok(Self(text.to_owned()));
        }
        Err(TextError::new("currency", text, "an ISO 4217 code is needed, as in `GBP`"))
    }

    /// Whether ISO 4217 lists it (as of 2026, funds and metals left out).
    pub fn is_listed(&self) -> bool {
        CURRENCIES.split_ascii_whitespace().any(|code| code == self.0)
    }

    /// The codes that [`Currency::is_listed`] knows.
    pub fn listed() -> impl Iterator<Item = &'static str> {
        CURRENCIES.split_ascii_whitespace()
    }
}

string_newtype!(Currency, TextError, 3, r"^[A-Z]{3}$", "A currency's ISO 4217 code");

const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP \
    BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
    GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP \
    LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN \
    PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS \
    TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// What a figure rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CostBasis {
    /// It was paid.
    Actual,
    /// It was planned.
    Budget,
    /// It was agreed.
    Contract,
    /// It was guessed, openly.
    Estimate,
}

impl CostBasis {
    /// The word in files and entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actual => "actual",
            Self::Budget => "budget",
            Self::Contract => "contract",
            Self::Estimate => "estimate",
        }
    }
}

/// Checks a price year: `2025` or, for years that do not begin in January, `2025-26`.
///
/// # Errors
/// [`TextError`] for anything else.
pub fn check_price_year(text: &str) -> Result<(), TextError> {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let good = match text.split_once('-') {
        None => text.len() == 4 && digits(text),
        Some((first, second)) => {
            first.len() == 4
                && second.len() == 2
                && digits(first)
                && digits(second)
                && (first[2..].parse::<u8>().unwrap_or(0) + 1) % 100 == second.parse::<u8>().unwrap_or(100)
        }
    };
    if good { Ok(()) } else { Err(TextError::new("price year", text, "write `2025` or `2025-26`")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_a_plain_decimal() {
        for good in ["0", "0.5", "41000.00", "999999999999999.9999", "7"] {
            assert_eq!(Amount::parse(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "-1", "+1", "1,000", "1.", ".5", "01", "1e3", "1.00000", "1000000000000000", "£5", "１"]
        {
            assert!(Amount::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_percentage_stays_between_nought_and_a_hundred() {
        for good in ["0", "12.5", "100", "100.0000", "99.9999"] {
            Percent::parse(good).unwrap();
        }
        for bad in ["-1", "101", "100.1", "100.0001", "12,5", "12.5%", "1.00000", ""] {
            assert!(Percent::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn currencies_are_iso_codes() {
        assert!(Currency::parse("GBP").unwrap().is_listed());
        assert!(!Currency::parse("GPB").unwrap().is_listed());
        for bad in ["gbp", "£", "GBPX", ""] {
            assert!(Currency::parse(bad).is_err(), "{bad}");
        }
        assert!(Currency::listed().all(|c| Currency::parse(c).is_ok()));
    }

    #[test]
    fn price_years_follow_each_other() {
        for good in ["2025", "2025-26", "1999-00"] {
            check_price_year(good).unwrap();
        }
        for bad in ["25", "2025-27", "2025-2026", "2025/26", "", "ab-cd"] {
            assert!(check_price_year(bad).is_err(), "{bad}");
        }
    }
}
