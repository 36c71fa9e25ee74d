//! Cutting text to the limits of the wire.

/// Most bytes of a reply's text.
pub(crate) const REPLY_BYTES: usize = 16_384;

/// Most bytes of the reason of a failed attempt.
pub(crate) const ERROR_BYTES: usize = 1_024;

/// Most bytes of the reason why a worker holds back.
pub(crate) const HOLDS_BACK_BYTES: usize = 256;

/// The longest beginning of `text` that has at most `limit` bytes and ends between two characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("shorter", 5), "short");
        // Two bytes a character: the third one would end at byte six.
        assert_eq!(cut("äöü", 5), "äö");
    }
}
