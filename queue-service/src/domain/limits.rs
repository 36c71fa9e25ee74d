//! What a client may send. Every limit is a setting; every refusal names the field, the limit and the value.

use std::borrow::Cow;

use repartee_process::{
    Size,
    names::{self, Fault},
};
use serde::Serialize;

/// The limits of what is stored.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub struct Limits {
    /// Longest text of a message in UTF-8, as 16KiB, at most 48KiB.
    #[arg(long, env = "REPARTEE_MAX_TEXT_BYTES", value_name = "SIZE", default_value = "16KiB", value_parser = Size::within(1..=49_152))]
    pub max_text_bytes: Size,
    /// Longest name (username, entity, worker id, God Mode session), in characters.
    #[arg(long, env = "REPARTEE_MAX_NAME_CHARS", default_value_t = names::NAME_CHARS, value_parser = clap::value_parser!(u32).range(16..=1_024))]
    pub max_name_chars: u32,
    /// Longest domain, in characters.
    #[arg(long, env = "REPARTEE_MAX_DOMAIN_CHARS", default_value_t = names::DOMAIN_CHARS, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub max_domain_chars: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_text_bytes: Size(16_384),
            max_name_chars: names::NAME_CHARS,
            max_domain_chars: names::DOMAIN_CHARS,
        }
    }
}

/// One field of a request that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, for example `message.text`.
    pub field: String,
    /// The limit and the value.
    pub description: String,
}

/// Most fields of one request that a refusal names: it travels in the head of an answer, which has room for so much, and a
/// list of ids or entities may be wrong from end to end.
const TOLD: usize = 16;

/// Checks the fields of one request and collects what is wrong with them.
#[derive(Debug)]
pub struct Checks<'a> {
    limits: &'a Limits,
    violations: Vec<Violation>,
}

impl<'a> Checks<'a> {
    /// Starts with nothing wrong.
    pub fn new(limits: &'a Limits) -> Self {
        Self { limits, violations: Vec::new() }
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// All that was found to be wrong.
    pub fn done(self) -> Result<(), super::Rejection> {
        if self.violations.is_empty() { Ok(()) } else { Err(super::Rejection::Invalid(self.violations)) }
    }

    /// Refuses a field. Of many, the first [`TOLD`] are named.
    pub fn refuse(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.violations.len() < TOLD {
            self.violations.push(Violation { field: field.into(), description: description.into() });
        }
    }

    /// A text: 1 byte to the limit, something that can be seen, no NUL. It is kept as it was written.
    pub fn text(&mut self, field: &str, value: &str) {
        self.draft(field, value);
        if value.is_empty() {
            self.refuse(field, format!("must be 1 to {} bytes, is 0", self.limits.max_text_bytes.0));
        } else if !names::has_visible(value) {
            self.refuse(
                field,
                format!("must contain a character that can be seen, is {} bytes", value.len()),
            );
        }
    }

    /// The beginning of a text: at most the limit, no NUL. It may be empty or have nothing yet that can be seen.
    pub fn draft(&mut self, field: &str, value: &str) {
        let limit = self.limits.max_text_bytes.in_memory();
        if value.len() > limit {
            self.refuse(field, format!("must be 1 to {limit} bytes, is {}", value.len()));
        }
        if let Some(at) = value.find('\0') {
            self.refuse(field, format!("must not contain NUL, contains one at byte {at}"));
        }
    }

    /// A name: brings it into its form ([`names::canonical`]); 1 character to the limit, no [`Fault`].
    pub fn name(&mut self, field: &str, value: &mut String) {
        self.named(field, value, 1, self.limits.max_name_chars);
    }

    /// A domain, likewise: 1 character to the limit.
    pub fn domain(&mut self, field: &str, value: &mut String) {
        self.named(field, value, 1, self.limits.max_domain_chars);
    }

    /// A color in its one form ([`names::is_color`]); it may be empty.
    pub fn color(&mut self, field: &str, value: &str) {
        if !names::is_color(value) {
            let shown: String = value.chars().take(40).collect();
            self.refuse(field, format!("must be {}, is {shown:?}", names::COLOR_FORM));
        }
    }

    /// What is stored or compared as a name, of `from` to `to` characters: brings it into its form.
    pub fn named(&mut self, field: &str, value: &mut String, from: u32, to: u32) {
        let form = match names::canonical(value) {
            Cow::Owned(form) => Some(form),
            Cow::Borrowed(_) => None,
        };
        let sent = form.map(|form| std::mem::replace(value, form));
        if self.length(field, value, from, to)
            && let Some(fault) = names::fault(value)
        {
            self.refuse(field, as_sent(fault, sent.as_ref().unwrap_or(value)).to_string());
        }
    }

    /// A number within a range.
    pub fn range(&mut self, field: &str, value: i64, from: i64, to: i64) {
        if !(from..=to).contains(&value) {
            self.refuse(field, format!("must be {from} to {to}, is {value}"));
        }
    }

    /// A text of `from` to `to` characters that nobody is shown, without control characters.
    pub fn chars(&mut self, field: &str, value: &str, from: u32, to: u32) {
        self.length(field, value, from, to);
        if let Some(control) = value.chars().find(|c| c.is_control()) {
            self.refuse(
                field,
                format!("must not contain control characters, contains U+{:04X}", control as u32),
            );
        }
    }

    /// True if the length is within the limit; refuses the field otherwise.
    fn length(&mut self, field: &str, value: &str, from: u32, to: u32) -> bool {
        let chars = value.chars().count();
        let fits = (from as usize..=to as usize).contains(&chars);
        if !fits {
            self.refuse(field, format!("must be {from} to {to} characters, is {chars}"));
        }
        fits
    }
}

/// The fault with the place that its character has in what the client sent, before the name was brought into its form.
fn as_sent(fault: Fault, sent: &str) -> Fault {
    match fault {
        Fault::Character { character, at, kind } => {
            let at = sent.chars().position(|c| c == character).map_or(at, |before| before + 1);
            Fault::Character { character, at, kind }
        }
        Fault::Invisible => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused, in words.
    fn refused(check: impl FnOnce(&mut Checks<'_>)) -> String {
        let limits = Limits::default();
        let mut checks = Checks::new(&limits);
        check(&mut checks);
        checks.done().map_or_else(|refusal| refusal.to_string(), |()| String::new())
    }

    #[test]
    fn a_refusal_names_the_field_the_limit_and_the_value() {
        let refusal = refused(|checks| {
            checks.text("message.text", &"x".repeat(16_385));
            checks.name("message.username", &mut String::new());
            checks.range("priority", 100, 0, 99);
        });
        assert_eq!(
            refusal,
            "message.text: must be 1 to 16384 bytes, is 16385; message.username: must be 1 to 64 characters, is 0; \
             priority: must be 0 to 99, is 100"
        );
    }

    #[test]
    fn of_many_wrong_fields_the_first_are_named() {
        let refusal = refused(|checks| {
            for at in 0..1_000 {
                checks.range(&format!("ids[{at}]"), 2, 0, 1);
            }
        });
        assert!(
            refusal.starts_with("ids[0]: ") && refusal.ends_with("ids[15]: must be 0 to 1, is 2"),
            "{refusal}"
        );
    }

    #[test]
    fn limits_count_the_characters_of_the_form_not_bytes() {
        let mut name = "u\u{308}".repeat(64);
        assert_eq!(refused(|checks| checks.name("username", &mut name)), "");
        assert_eq!(name, "ü".repeat(64));
        assert_eq!(refused(|checks| checks.text("text", "line\nline\ttab \u{202e}")), "");
    }

    #[test]
    fn a_color_is_refused_with_its_form_and_what_was_sent() {
        for color in ["", "default", "169080199"] {
            assert_eq!(refused(|checks| checks.color("color", color)), "");
        }
        assert_eq!(
            refused(|checks| checks.color("message.color", &"#a950c7".repeat(10))),
            "message.color: must be nine digits, three each for red, green and blue from 000 to 255, such as 200120040, or \
             \"default\", is \"#a950c7#a950c7#a950c7#a950c7#a950c7#a950\""
        );
    }

    #[test]
    fn a_refused_character_is_named_with_its_place_in_what_was_sent() {
        let mut name = "  Zoe\u{308}\u{202e}x".to_owned();
        assert_eq!(
            refused(|checks| checks.name("username", &mut name)),
            "username: must not contain bidirectional controls, contains U+202E at character 7"
        );
    }

    #[test]
    fn a_text_shows_something_and_a_draft_may_begin_with_nothing() {
        for text in [" ", "\n", "\u{200b}\u{feff}", "\u{3164}"] {
            let said = format!("text: must contain a character that can be seen, is {} bytes", text.len());
            assert_eq!(refused(|checks| checks.text("text", text)), said);
            assert_eq!(refused(|checks| checks.draft("text", text)), "");
        }
        assert_eq!(refused(|checks| checks.draft("text", "")), "");
        assert_eq!(
            refused(|checks| checks.draft("text", "a\0")),
            "text: must not contain NUL, contains one at byte 1"
        );
    }
}
