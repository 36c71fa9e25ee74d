//! Values of query parameters: one strict reader for all of them.

use std::{ops::RangeInclusive, str::FromStr};

use repartee_process::names;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};

/// The most entries that one page may ask for.
pub(super) const MAX_LIMIT: u32 = 1_000;

/// A whole number from 0 on as everybody writes it: digits without a sign or a leading zero. What has two spellings would
/// be two keys of a cache.
pub(super) fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok())?
}

/// A number in `range`; `meaning` says what is expected.
pub(super) fn number<'de, D, N>(
    deserializer: D,
    range: RangeInclusive<N>,
    meaning: &'static str,
) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: FromStr + PartialOrd,
{
    let text = String::deserialize(deserializer)?;
    let number = decimal(&text).filter(|number| range.contains(number));
    number.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &meaning))
}

/// A domain in the form in which it is stored and known to the tail.
pub(super) fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut domain = String::deserialize(deserializer)?;
    names::canonicalize(&mut domain);
    Ok(domain)
}

/// Most entries of a page. The contract takes 0 for "the default"; a client that writes 0 means something else.
pub(super) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    number(deserializer, 1..=MAX_LIMIT, "a whole number from 1 to 1000").map(Some)
}

/// Unix milliseconds.
pub(super) fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    number(deserializer, 0..=i64::MAX, "Unix milliseconds, a whole number from 0 on").map(Some)
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(decimal::<u32>("0"), Some(0));
        assert_eq!(decimal::<i64>("1762025642726"), Some(1_762_025_642_726));
        for text in
            ["", "+5", "-5", "-0", "007", "00", "5.0", "1e2", " 5", "5 ", "\u{665}", "4294967296", "0x5"]
        {
            assert_eq!(decimal::<u32>(text), None, "{text:?}");
        }
    }
}
