//! What JSON says in more than one way: a whole number as 5, 5.0 or 5e0, and a field that is absent as `null`. And what
//! serde reads in more than one way, though it is said in one: a word of a list.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer as _, Unexpected, Visitor, value::StringDeserializer},
};

/// Up to here every whole number has a double of its own: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A type of whole numbers.
pub(super) trait Whole: TryFrom<i128> {
    /// What is read, for refusals.
    const RANGE: &'static str;
}

impl Whole for i32 {
    const RANGE: &'static str = "a whole number from -2147483648 to 2147483647";
}

impl Whole for u32 {
    const RANGE: &'static str = "a whole number from 0 to 4294967295";
}

impl Whole for i64 {
    const RANGE: &'static str = "a whole number of 64 bits";
}

impl Whole for u64 {
    const RANGE: &'static str = "a whole number of 64 bits from 0 on";
}

/// A whole number, `None` if it is `null`.
pub(super) fn whole<'de, D: Deserializer<'de>, N: Whole>(deserializer: D) -> Result<Option<N>, D::Error> {
    Ok(Option::<Number<N>>::deserialize(deserializer)?.map(|Number(number)| number))
}

/// A whole number, 0 if it is `null`.
pub(super) fn whole_or_zero<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Whole + Default,
{
    whole(deserializer).map(Option::unwrap_or_default)
}

/// A value, its default if it is `null`.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A word of a list, `None` if it is `null`. Only a string: serde would read `{"human": null}` as the word too, and call
/// every other value a fault of syntax.
pub(super) fn word<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let word = Option::<String>::deserialize(deserializer)?;
    let read = |word: String| {
        let word: StringDeserializer<D::Error> = word.into_deserializer();
        T::deserialize(word)
    };
    word.map(read).transpose()
}

/// A word of a list, the default one if it is `null`.
pub(super) fn word_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    word(deserializer).map(Option::unwrap_or_default)
}

struct Number<N>(N);

impl<'de, N: Whole> Deserialize<'de> for Number<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Digits(PhantomData)).map(Self)
    }
}

struct Digits<N>(PhantomData<N>);

impl<N: Whole> Visitor<'_> for Digits<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(N::RANGE)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        N::try_from(number.into()).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        N::try_from(number.into()).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<N, E> {
        let exact = number.fract() == 0.0 && number.abs() <= EXACT;
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number of 53 bits")]
        let whole = exact.then_some(number as i128).and_then(|number| N::try_from(number).ok());
        whole.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{or_default, whole, whole_or_zero};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Shape {
        #[serde(default, deserialize_with = "whole")]
        some: Option<u32>,
        #[serde(default, deserialize_with = "whole_or_zero")]
        small: i32,
        #[serde(default, deserialize_with = "whole")]
        large: Option<i64>,
        #[serde(default, deserialize_with = "or_default")]
        text: String,
    }

    fn read(json: &str) -> Result<Shape, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_number_is_read_however_it_is_written() {
        for (json, small) in [
            (r#"{"small":5}"#, 5),
            (r#"{"small":5.0}"#, 5),
            (r#"{"small":1e2}"#, 100),
            (r#"{"small":-2.50E1}"#, -25),
            (r#"{"small":-0.0}"#, 0),
            (r#"{"small":null}"#, 0),
            ("{}", 0),
        ] {
            assert_eq!(read(json).unwrap().small, small, "{json}");
        }
        assert_eq!(read(r#"{"large":9007199254740992.0}"#).unwrap().large, Some(1 << 53));
        assert_eq!(read(r#"{"large":-9223372036854775808}"#).unwrap().large, Some(i64::MIN));
    }

    #[test]
    fn what_is_no_whole_number_of_its_range_is_refused_with_the_range() {
        for (json, range) in [
            (r#"{"some":0.5}"#, "a whole number from 0 to 4294967295"),
            (r#"{"some":-1}"#, "a whole number from 0 to 4294967295"),
            (r#"{"some":-1.0}"#, "a whole number from 0 to 4294967295"),
            (r#"{"some":4294967296.0}"#, "a whole number from 0 to 4294967295"),
            (r#"{"some":"5"}"#, "a whole number from 0 to 4294967295"),
            (r#"{"some":true}"#, "a whole number from 0 to 4294967295"),
            (r#"{"small":3000000000}"#, "a whole number from -2147483648 to 2147483647"),
            (r#"{"large":9007199254740994.0}"#, "a whole number of 64 bits"),
            (r#"{"large":18446744073709551616}"#, "a whole number of 64 bits"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(range), "{json}: {error}");
        }
    }

    #[test]
    fn null_is_absent() {
        let absent = read("{}").unwrap();
        assert_eq!(read(r#"{"some":null,"small":null,"large":null,"text":null}"#).unwrap(), absent);
    }
}
