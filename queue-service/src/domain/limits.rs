//! What a client may send. Every limit is a setting; every refusal names the field, the limit and the value.

use std::borrow::Cow;

use repartee_process::names::{self, Fault};
use serde::Serialize;

/// The limits of what is stored.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub struct Limits {
    /// Longest text of a message, in bytes of UTF-8.
    #[arg(long, env = "REPARTEE_MAX_TEXT_BYTES", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=49_152))]
    pub max_text_bytes: u32,
    /// Longest name (username, entity, worker id, God Mode session), in characters.
    #[arg(long, env = "REPARTEE_MAX_NAME_CHARS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=1_024))]
    pub max_name_chars: u32,
    /// Longest color, in characters.
    #[arg(long, env = "REPARTEE_MAX_COLOR_CHARS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub max_color_chars: u32,
    /// Longest domain, in characters.
    #[arg(long, env = "REPARTEE_MAX_DOMAIN_CHARS", default_value_t = 255, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub max_domain_chars: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_text_bytes: 16_384, max_name_chars: 64, max_color_chars: 64, max_domain_chars: 255 }
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

    /// Refuses a field.
    pub fn refuse(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.violations.push(Violation { field: field.into(), description: description.into() });
    }

    /// A text: 1 byte to the limit, something that can be seen, no NUL. It is kept as it was written.
    pub fn text(&mut self, field: &str, value: &str) {
        self.draft(field, value);
        if value.is_empty() {
            self.refuse(field, format!("must be 1 to {} bytes, is 0", self.limits.max_text_bytes));
        } else if !names::has_visible(value) {
            self.refuse(
                field,
                format!("must contain a character that can be seen, is {} bytes", value.len()),
            );
        }
    }

    /// The beginning of a text: at most the limit, no NUL. It may be empty or have nothing yet that can be seen.
    pub fn draft(&mut self, field: &str, value: &str) {
        let limit = self.limits.max_text_bytes as usize;
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

    /// A color, likewise: at most the limit; it may be empty.
    pub fn color(&mut self, field: &str, value: &mut String) {
        self.named(field, value, 0, self.limits.max_color_chars);
    }

    /// A domain, likewise: 1 character to the limit.
    pub fn domain(&mut self, field: &str, value: &mut String) {
        self.named(field, value, 1, self.limits.max_domain_chars);
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
    fn limits_count_the_characters_of_the_form_not_bytes() {
        let mut name = "u\u{308}".repeat(64);
        assert_eq!(refused(|checks| checks.name("username", &mut name)), "");
        assert_eq!(name, "ü".repeat(64));
        let mut color = String::new();
        assert_eq!(refused(|checks| checks.color("color", &mut color)), "");
        assert_eq!(refused(|checks| checks.text("text", "line\nline\ttab \u{202e}")), "");
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
