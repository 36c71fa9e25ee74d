//! Tokens that callers send as "Authorization: Bearer <token>": how one is read, set and compared.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Secret;

/// The token in an Authorization header; none where it has another scheme. The scheme is matched without regard to
/// case: RFC 9110, section 11.1.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Secret {
    /// True where `sent` is this secret. The time that this takes tells nothing of it, its length neither.
    pub fn is(&self, sent: &str) -> bool {
        // Hashed first, so that what is compared is always as long.
        let [sent, own] = [sent, self.reveal()].map(|token| Sha256::digest(token.as_bytes()));
        bool::from(sent.as_slice().ct_eq(own.as_slice()))
    }

    /// Checks that this can be sent in a header as it is: 8 to 1,024 visible ASCII characters.
    ///
    /// # Errors
    /// One sentence that names the setting and the limit. The value is told to nobody.
    pub fn check_token(&self, setting: &str) -> Result<(), String> {
        let token = self.reveal();
        let valid = (8..=1_024).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then_some(()).ok_or_else(|| {
            format!("{setting} has to be 8 to 1,024 visible ASCII characters, is {} bytes", token.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, bearer};

    fn secret(token: &str) -> Secret {
        token.parse().expect("any text is a secret")
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Bearer "), Some(""));
        for none in ["Basic abc", "abc", "Bearer", ""] {
            assert_eq!(bearer(none), None, "{none}");
        }
    }

    #[test]
    fn only_the_whole_token_is_the_same() {
        let token = secret("s3cret-token");
        assert!(token.is("s3cret-token"));
        for wrong in ["s3cret", "s3cret-tokens", "", "S3cret-token"] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused_without_being_told() {
        assert_eq!(secret("of-the-house").check_token("--t"), Ok(()));
        assert_eq!(secret(&"x".repeat(1_024)).check_token("--t"), Ok(()));
        for (wrong, bytes) in [("short", 5), ("with a space", 12), ("t\u{f6}ken-of-house", 15), ("", 0)] {
            let told = secret(wrong).check_token("--t").expect_err("it cannot be sent");
            assert_eq!(told, format!("--t has to be 8 to 1,024 visible ASCII characters, is {bytes} bytes"));
        }
        assert!(secret(&"x".repeat(1_025)).check_token("--t").is_err());
    }
}
