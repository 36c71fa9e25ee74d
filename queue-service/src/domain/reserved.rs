//! Names that bots answer under: they are theirs, and no visitor speaks under them or asks a bot to answer under another's.
//!
//! Names are compared by how they look ([`Look`]): by NFKC, case folding and confusable skeleton.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
};

use repartee_process::names::{self, Look, names_bot};
use serde::{Serialize, Serializer};

use super::{NewMessage, Rejection, Violation};

/// A name that an operator lets an entity answer under, written `ENTITY=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotName {
    /// The entity; it ends at the first `=`.
    pub entity: String,
    /// The name.
    pub name: String,
}

/// The names that are reserved, at most so many.
#[derive(Debug)]
pub struct ReservedNames {
    most: usize,
    shapes: HashSet<Box<str>>,
    names: HashSet<Box<str>>,
    given: HashMap<Box<str>, Vec<Look>>,
}

/// What became of a name that was to be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It is reserved from now on.
    New,
    /// It was before.
    Already,
    /// It is not: there are too many.
    TooMany,
}

impl ReservedNames {
    /// No names yet, and at most `most` of them.
    pub fn new(most: usize) -> Self {
        Self { most, shapes: HashSet::new(), names: HashSet::new(), given: HashMap::new() }
    }

    /// Reserves a name in its form, and with it all that look like it.
    pub fn reserve(&mut self, name: &str) -> Reserved {
        if self.holds(name) {
            return Reserved::Already;
        }
        if self.names.len() >= self.most {
            return Reserved::TooMany;
        }
        self.names.insert(name.into());
        self.shapes.extend(Look::of(name).shapes().map(Box::from));
        Reserved::New
    }

    /// True if this very name is reserved.
    pub fn holds(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Lets an entity answer under a name, which is reserved.
    pub fn give(&mut self, BotName { entity, name }: &BotName) -> Reserved {
        let reserved = self.reserve(name);
        if reserved != Reserved::TooMany {
            self.given.entry(entity.as_str().into()).or_default().push(Look::of(name));
        }
        reserved
    }

    /// How many names are reserved.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True if no name is reserved.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// True if a name looks like one that is reserved.
    pub fn is_reserved(&self, name: &str) -> bool {
        !self.is_empty() && Look::of(name).shapes().any(|shape| self.shapes.contains(shape))
    }

    /// True if `name` is a name of this entity: how people write it, or one that the operator has given it.
    pub fn is_name_of(&self, entity: &str, name: &str) -> bool {
        names_bot(entity, name) || {
            let look = || Look::of(name);
            self.given.get(entity).is_some_and(|given| given.iter().any(|its| its.is_like(&look())))
        }
    }

    /// Checks the names in a post of a visitor.
    ///
    /// # Errors
    /// `NameReserved` if the author's name is a bot's, or the bot is to answer under a name that is not its own.
    pub fn check_visitor(&self, new: &NewMessage) -> Result<(), Rejection> {
        if self.is_reserved(&new.username) {
            return Err(reserved(
                "message.username",
                format!(
                    "must not be a name that a bot answers under, or look like one, is {:?}",
                    new.username
                ),
            ));
        }
        match &new.address {
            Some(bot) if !self.is_name_of(&bot.entity, &bot.ai_username) => Err(reserved(
                "message.bot.ai_username",
                format!(
                    "must be a name of the entity {:?}: as it is written, or one of the operator's --bot-name, is {:?}",
                    bot.entity, bot.ai_username
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn reserved(field: &str, description: String) -> Rejection {
    Rejection::NameReserved(Violation { field: field.to_owned(), description })
}

/// Reads a name that stands in a setting, and brings it into its form.
///
/// # Errors
/// What is wrong with it.
pub fn name_setting(text: &str) -> Result<String, String> {
    let name = names::canonical(text).into_owned();
    match names::fault(&name) {
        Some(fault) => Err(fault.to_string()),
        None if name.is_empty() => Err("must be at least 1 character".to_owned()),
        None => Ok(name),
    }
}

impl FromStr for BotName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (entity, name) =
            text.split_once('=').ok_or_else(|| format!("must be ENTITY=NAME, is {text:?}"))?;
        Ok(Self { entity: name_setting(entity)?, name: name_setting(name)? })
    }
}

impl fmt::Display for BotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.entity, self.name)
    }
}

impl Serialize for BotName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Address, Author};

    fn post(username: &str, bot: Option<(&str, &str)>) -> NewMessage {
        let address = bot.map(|(entity, ai_username)| Address {
            entity: entity.to_owned(),
            ai_username: ai_username.to_owned(),
            ai_color: "default".to_owned(),
            session_id: None,
            not_before: None,
            expires_at: None,
        });
        NewMessage {
            domain: "d".to_owned(),
            text: "t".to_owned(),
            username: username.to_owned(),
            color: String::new(),
            author: Author::Human,
            reply_to: None,
            eq_score: 0,
            address,
            priority: 5,
            human: None,
            session_id: None,
            sender: None,
            origin: None,
            claimant: None,
        }
    }

    fn names() -> ReservedNames {
        let mut names = ReservedNames::new(10);
        assert_eq!(names.reserve("echo"), Reserved::New);
        assert_eq!(names.give(&"fear-and-loathing=The Doctor".parse().unwrap()), Reserved::New);
        names
    }

    /// The field that is refused.
    fn field(new: &NewMessage) -> String {
        match names().check_visitor(new) {
            Ok(()) => String::new(),
            Err(Rejection::NameReserved(violation)) => violation.field,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_visitor_does_not_speak_as_a_bot_or_as_what_looks_like_one() {
        for name in
            ["echo", "Echo", "ЕСНО", "еcho", "ｅｃｈｏ", "ech0", "The Doctor", "THE DOCTOR", "Тhe Doctοr"]
        {
            assert_eq!(field(&post(name, None)), "message.username", "{name}");
        }
        for name in ["Ann", "echoes", "Doctor", "fear-and-loathing"] {
            assert_eq!(field(&post(name, None)), "", "{name}");
        }
    }

    #[test]
    fn a_bot_answers_a_visitor_under_its_own_names_only() {
        for (entity, name) in [
            ("echo", "echo"),
            ("echo", "Echo"),
            ("fear-and-loathing", "FearAndLoathing"),
            ("fear-and-loathing", "the doctor"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(field(&post("Ann", Some((entity, name)))), "", "{name}");
        }
        for (entity, name) in
            [("echo", "Bea"), ("echo", "The Doctor"), ("fear-and-loathing", "echo"), ("unknown", "Ann")]
        {
            assert_eq!(field(&post("Ann", Some((entity, name)))), "message.bot.ai_username", "{name}");
        }
    }

    #[test]
    fn so_many_names_are_reserved_and_no_more() {
        let mut names = ReservedNames::new(2);
        assert!(!names.is_reserved("a"));
        let tried = ["a", "b", "a", "c"].map(|name| names.reserve(name));
        assert_eq!(tried, [Reserved::New, Reserved::New, Reserved::Already, Reserved::TooMany]);
        assert!(names.is_reserved("A") && !names.is_reserved("c"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_setting_that_names_nothing_is_refused() {
        for text in ["", "=", "a", "a=", "=a", "a=\u{202e}", " = "] {
            assert!(text.parse::<BotName>().is_err(), "{text:?}");
        }
        let given: BotName = "cafe\u{301}= The  Chef".parse().unwrap();
        assert_eq!(given.to_string(), "café=The Chef");
    }
}
