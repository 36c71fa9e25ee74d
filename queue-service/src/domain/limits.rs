//! What a client may send. Every limit is a setting; every refusal names the field, the limit and the value.

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

    /// A text: 1 byte to the limit, no NUL.
    pub fn text(&mut self, field: &str, value: &str) {
        let limit = self.limits.max_text_bytes as usize;
        if value.is_empty() || value.len() > limit {
            self.refuse(field, format!("must be 1 to {limit} bytes, is {}", value.len()));
        }
        self.no_nul(field, value);
    }

    /// A name: 1 character to the limit, no control characters.
    pub fn name(&mut self, field: &str, value: &str) {
        self.chars(field, value, 1, self.limits.max_name_chars);
    }

    /// A color: at most the limit; it may be empty.
    pub fn color(&mut self, field: &str, value: &str) {
        self.chars(field, value, 0, self.limits.max_color_chars);
    }

    /// A domain: 1 character to the limit.
    pub fn domain(&mut self, field: &str, value: &str) {
        self.chars(field, value, 1, self.limits.max_domain_chars);
    }

    /// A number within a range.
    pub fn range(&mut self, field: &str, value: i64, from: i64, to: i64) {
        if !(from..=to).contains(&value) {
            self.refuse(field, format!("must be {from} to {to}, is {value}"));
        }
    }

    /// A text of `from` to `to` characters, without control characters.
    pub fn chars(&mut self, field: &str, value: &str, from: u32, to: u32) {
        let chars = value.chars().count();
        if chars < from as usize || chars > to as usize {
            self.refuse(field, format!("must be {from} to {to} characters, is {chars}"));
        }
        if let Some(control) = value.chars().find(|c| c.is_control()) {
            self.refuse(
                field,
                format!("must not contain control characters, contains U+{:04X}", control as u32),
            );
        }
    }

    fn no_nul(&mut self, field: &str, value: &str) {
        if let Some(at) = value.find('\0') {
            self.refuse(field, format!("must not contain NUL, contains one at byte {at}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_the_limit_and_the_value() {
        let limits = Limits::default();
        let mut checks = Checks::new(&limits);
        checks.text("message.text", &"x".repeat(16_385));
        checks.name("message.username", "");
        checks.range("priority", 100, 0, 99);
        let refusal = checks.done().expect_err("three fields are wrong").to_string();
        assert_eq!(
            refusal,
            "message.text: must be 1 to 16384 bytes, is 16385; message.username: must be 1 to 64 characters, is 0; \
             priority: must be 0 to 99, is 100"
        );
    }

    #[test]
    fn limits_count_characters_not_bytes_and_any_printable_character_is_welcome() {
        let limits = Limits::default();
        let mut checks = Checks::new(&limits);
        checks.name("username", &"ü".repeat(64));
        checks.name("username", "a:b/c?\u{202e}𝔘");
        checks.color("color", "");
        checks.text("text", "line\nline\ttab");
        assert_eq!(checks.done(), Ok(()));
    }
}
