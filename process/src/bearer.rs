//! Tokens that callers send as "Authorization: Bearer <token>": how one is read.

/// The token in an Authorization header; none where it has another scheme. The scheme is matched without regard to
/// case: RFC 9110, section 11.1.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Bearer "), Some(""));
        for none in ["Basic abc", "abc", "Bearer", ""] {
            assert_eq!(bearer(none), None, "{none}");
        }
    }
}
