//! The file of the entities' limits.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use serde::Deserialize;

use crate::domain::{EntityLimit, EntityLimits, name_setting};

/// Largest file.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    #[serde(default)]
    default: Limit,
    #[serde(default)]
    entities: BTreeMap<Name, Limit>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    per_minute: Option<Number>,
    burst: Option<Number>,
    in_flight: Option<Number>,
}

/// An entity, in the form in which names are compared.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name_setting(&name).map(Self).map_err(|fault| format!("the entity {name:?} {fault}"))
    }
}

/// 1 to 1,000,000.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Number(u32);

impl TryFrom<i64> for Number {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let fits = u32::try_from(number).ok().filter(|number| (1..=1_000_000).contains(number));
        fits.map(Self).ok_or_else(|| {
            format!("must be 1 to 1000000, is {number}; to hand out nothing, pause the entity")
        })
    }
}

impl From<Limit> for EntityLimit {
    fn from(limit: Limit) -> Self {
        let number = |number: Option<Number>| number.map(|Number(number)| number);
        Self {
            per_minute: number(limit.per_minute),
            burst: number(limit.burst),
            in_flight: number(limit.in_flight),
        }
    }
}

/// The text of the file.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match opened {
        Ok(bytes) if bytes as u64 > MAX_BYTES => Err(format!("must be at most {MAX_BYTES} bytes")),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// The limits in a file's text.
///
/// # Errors
/// Names the line, the field and the value.
pub(crate) fn parse(text: &str) -> Result<EntityLimits, String> {
    let limits: Limits = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let entities = limits.entities.into_iter().map(|(Name(entity), limit)| (entity, limit.into()));
    Ok(EntityLimits { default: limits.default.into(), entities: entities.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_leaves_to_the_default_what_it_does_not_say() {
        let limits = parse(
            "[default]\nper_minute = 600\nburst = 7\nin_flight = 50\n[entities.helper]\nper_minute = 30\n\
             [entities.\"two words\"]\nin_flight = 2\n",
        )
        .unwrap();
        let limit =
            |per_minute, burst, in_flight| EntityLimit { per_minute, burst, in_flight: Some(in_flight) };
        assert_eq!(limits.of("any"), limit(Some(600), Some(7), 50));
        assert_eq!(limits.of("helper"), limit(Some(30), None, 50));
        assert_eq!(limits.of("two words"), limit(Some(600), Some(7), 2));
        assert_eq!(parse("").unwrap(), EntityLimits::default());
    }

    #[test]
    fn an_entity_is_named_in_its_one_form() {
        let limits = parse("[entities.\"e\\u0301cho\"]\nin_flight = 2\n").unwrap();
        assert_eq!(limits.of("\u{e9}cho").in_flight, Some(2));
        for wrong in ["", "e\\u200bcho"] {
            let refusal = parse(&format!("[entities.\"{wrong}\"]\n")).unwrap_err();
            assert!(refusal.contains("the entity"), "{refusal}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (text, line, named) in [
            ("[default]\nper_minute = 0\n", "line 2", "must be 1 to 1000000, is 0"),
            ("[default]\n\nper_minute = 1000001\n", "line 3", "is 1000001"),
            ("[entities.helper]\nper_minutes = 3\n", "line 2", "per_minutes"),
            ("[entities.helper]\nin_flight = \"2\"\n", "line 2", "in_flight"),
            ("[entities.helper]\nin_flight = -2\n", "line 2", "is -2"),
            ("entities.helper = 3\n", "line 1", "helper"),
            ("[default\n", "line 1", "default"),
            ("[other]\n", "line 1", "other"),
        ] {
            let refusal = parse(text).unwrap_err();
            assert!(refusal.contains(line) && refusal.contains(named), "{text:?}: {refusal}");
        }
    }
}
