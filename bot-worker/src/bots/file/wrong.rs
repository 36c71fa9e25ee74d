//! What is wrong with a TOML text: the line, the key, and what would be right. Never the value, which may be a secret in the
//! wrong place, and which the parser would quote.

/// One sentence about the error.
pub(crate) fn what_is_wrong(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line =
        before.map_or_else(String::new, |before| format!("line {}: ", before.matches('\n').count() + 1));
    let key = before.and_then(key_of).unwrap_or("a value");
    line + &without_value(error.message(), key)
}

/// The key whose value begins behind this text; none for an item of an array. A value that is looked for there could be
/// taken for a key.
fn key_of(before: &str) -> Option<&str> {
    let before = before.trim_end().strip_suffix('=')?.trim_end();
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let key = before.rsplit(|letter| !is_bare(letter)).next()?;
    (!key.is_empty()).then_some(key)
}

/// The words of `serde`, which quote the value behind the first colon or in backticks, and end with what would be right.
fn without_value(message: &str, key: &str) -> String {
    let quotes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if quotes.iter().any(|begin| message.starts_with(begin)) => {
            format!("{key} must be {}", in_words(expected))
        }
        _ if message.starts_with("must be ") => format!("{key} {message}"),
        // The words of the parser itself, of a value where a word from a list should stand.
        _ => match message.strip_prefix("wanted ") {
            Some(wanted) => format!("{key} must be a {wanted}"),
            None => message.to_owned(),
        },
    }
}

/// What the types of Rust mean to those who write TOML.
fn in_words(expected: &str) -> &str {
    match expected {
        "u32" => "a whole number, 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        other => other,
    }
}
