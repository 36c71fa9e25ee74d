//! What a name may be, for documents: lengths, and a regular expression.
//!
//! The expression refuses no name that [`super::fault`] accepts. It accepts a few that `fault` refuses, where what stands
//! around a character decides: joiners, variation selectors and tags away from the letters and emoji that need them.

/// Most characters of a username, an entity, a session or a worker's id, unless the service is set otherwise.
pub const NAME_CHARS: u32 = 64;
/// The same of a domain.
pub const DOMAIN_CHARS: u32 = 255;

/// Spaces; a visible character that is no mark; then all but control characters, line breaks, blanks and what nobody sees.
macro_rules! name {
    () => {
        concat!(
            r"\p{Zs}*",
            r"[^\p{C}\p{Z}\p{M}\u{115F}\u{1160}\u{2800}\u{3164}\u{FFA0}\u{FFFC}\u{1D159}]",
            r"(?:",
            r"[^\p{C}\p{Zl}\p{Zp}\u{34F}\u{115F}\u{1160}\u{17B4}\u{17B5}\u{180B}-\u{180D}\u{180F}\u{2800}\u{3164}",
            r"\u{FE00}-\u{FE0D}\u{FFA0}\u{FFFC}\u{1D159}]",
            r"|[\u{200C}\u{200D}\u{E0020}-\u{E007F}]",
            r")*",
        )
    };
}

/// A name, as ECMA-262 reads it with the flag `u`: it begins with something that can be seen.
pub const PATTERN: &str = concat!("^", name!(), "$");
/// A name, or nothing.
pub const PATTERN_OR_NOTHING: &str = concat!("^(?:", name!(), ")?$");

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::{PATTERN, PATTERN_OR_NOTHING};
    use crate::names::{canonical, fault};

    /// What is accepted in some places and refused in others.
    fn depends(c: char) -> bool {
        matches!(
            c,
            '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
        )
    }

    #[test]
    fn a_document_refuses_the_characters_that_the_code_refuses() {
        let pattern = Regex::new(PATTERN).unwrap();
        let unassigned = Regex::new(r"^\p{Cn}$").unwrap();
        let accepted = |name: &str| fault(&canonical(name)).is_none();
        for c in '\0'..=char::MAX {
            let (alone, inside) = (c.to_string(), format!("a{c}a"));
            // Two tables of Unicode may be of two years.
            if unassigned.is_match(&alone) {
                continue;
            }
            assert_eq!(pattern.is_match(&alone), accepted(&alone), "U+{:04X}", u32::from(c));
            let expected = depends(c) || accepted(&inside);
            assert_eq!(pattern.is_match(&inside), expected, "U+{:04X} between letters", u32::from(c));
        }
    }

    #[test]
    fn a_document_refuses_no_name_that_is_accepted() {
        let patterns = [PATTERN, PATTERN_OR_NOTHING].map(|pattern| Regex::new(pattern).unwrap());
        for name in [
            "Ann",
            " Ann  Lee ",
            "Zoe\u{308}",
            "葛\u{e0100}城",
            "ශ\u{dca}\u{200d}රී",
            "می\u{200c}خواهم",
            "❤\u{fe0f}",
            "👩🏽\u{200d}🚀",
            "🏳\u{fe0f}\u{200d}🌈",
            "1\u{fe0f}\u{20e3}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        ] {
            assert_eq!(fault(&canonical(name)), None, "{name}");
            assert!(patterns.iter().all(|pattern| pattern.is_match(name)), "{name}");
        }
        assert_eq!(patterns.map(|pattern| pattern.is_match("")), [false, true]);
    }
}
