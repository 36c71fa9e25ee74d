//! The path below which a proxy of ours shows this gateway.

use http::HeaderMap;

/// The header; its sender takes this path off each request.
const HEADER: &str = "x-forwarded-prefix";
/// Longest prefix, in bytes.
const LONGEST: usize = 256;

/// A path such as `/talk`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) String);

impl Prefix {
    /// What a proxy's request says; `None` if it says nothing, or something that is no path. Only for requests of proxies
    /// that are trusted: it goes into documents that others may keep.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let prefix = headers.get(HEADER)?.to_str().ok()?.trim_end_matches('/');
        let is_path = prefix.starts_with('/') && !prefix.starts_with("//") && prefix.len() <= LONGEST;
        let means_itself = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        (is_path && prefix.bytes().all(means_itself)).then(|| Self(prefix.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{HEADER, Prefix};

    fn read(value: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), value.parse().unwrap())]);
        Prefix::of(&headers).map(|Prefix(prefix)| prefix)
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        assert_eq!(read("/talk").as_deref(), Some("/talk"));
        assert_eq!(read("/a/b-c.d/").as_deref(), Some("/a/b-c.d"));
        for none in
            ["", "/", "talk", "//evil.example", "https://evil.example", "/a\"b", "/a b", "/a?b", "/<b>"]
        {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(read(&format!("/{}", "a".repeat(256))), None);
        assert_eq!(Prefix::of(&HeaderMap::new()), None);
    }
}
