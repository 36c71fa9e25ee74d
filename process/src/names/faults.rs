//! What a name may not hold: characters that nobody sees, that move what stands around them, or that mean nothing.
//!
//! A name of any script is welcome, emoji too. Some characters that are invisible by themselves are part of how a script
//! or an emoji is written; they are accepted there and nowhere else:
//! - U+200D and U+200C after a virama, and U+200C between letters that would join (RFC 5892, appendix A), as in Sinhala,
//!   Malayalam and Persian names;
//! - U+200D between two emoji, U+FE0E and U+FE0F after an emoji, and the tags of the flags of England, Scotland and Wales;
//! - U+E0100 to U+E01EF after an ideograph: Japanese names are told apart by them.

use std::fmt;

use unicode_joining_type::{JoiningType, get_joining_type};
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, UnicodeEmoji as _, UnicodeGeneralCategory as _};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::general_security_profile::{GeneralSecurityProfile as _, IdentifierType};

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';
const BLACK_FLAG: char = '\u{1f3f4}';
const KEYCAP: char = '\u{20e3}';
/// Canonical combining class of a virama.
const VIRAMA: u8 = 9;
/// Tags behind a black flag that are flags of their own; the last tag ends them.
const FLAGS: [&str; 3] = ["gbeng\u{7f}", "gbsct\u{7f}", "gbwls\u{7f}"];

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It holds a character that a name may not hold.
    Character {
        /// The first such character.
        character: char,
        /// Its place, counted in characters from 1.
        at: usize,
        /// What kind of character that is.
        kind: &'static str,
    },
    /// There is nothing in it that can be seen.
    Invisible,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { character, at, kind } => {
                write!(
                    f,
                    "must not contain {kind}, contains U+{:04X} at character {at}",
                    u32::from(*character)
                )
            }
            Self::Invisible => f.write_str("must contain a character that can be seen"),
        }
    }
}

/// What is wrong with a name in its form, if anything; an empty name has no fault.
pub fn fault(name: &str) -> Option<Fault> {
    if name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        let shows_nothing = !name.is_empty() && name.bytes().all(|byte| byte == b' ');
        return shows_nothing.then_some(Fault::Invisible);
    }
    let characters: Vec<char> = name.chars().collect();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let (before, after) = (&characters[..at], &characters[at + 1..]);
        if let Some(tags) = flag(before, &characters[at..]) {
            at += tags;
            continue;
        }
        if let Some(kind) = kind_of_fault(character, before, after) {
            return Some(Fault::Character { character, at: at + 1, kind });
        }
        at += 1;
    }
    if has_visible(name) { None } else { Some(Fault::Invisible) }
}

/// True if something of a text can be seen: not only spaces, control and format characters, and marks without a letter.
pub fn has_visible(text: &str) -> bool {
    text.chars().any(is_visible)
}

fn is_visible(c: char) -> bool {
    use GeneralCategory as G;
    c.is_ascii_graphic()
        || !c.is_ascii()
            && !c.is_whitespace()
            && !is_blank(c)
            && !is_ignorable(c)
            && !matches!(
                c.general_category(),
                G::Control | G::Format | G::NonspacingMark | G::EnclosingMark | G::Unassigned
            )
}

fn kind_of_fault(c: char, before: &[char], after: &[char]) -> Option<&'static str> {
    use GeneralCategory as G;
    if c == ' ' || c.is_ascii_graphic() {
        return None;
    }
    let category = c.general_category();
    match category {
        G::Control => return Some("control characters"),
        G::LineSeparator | G::ParagraphSeparator => return Some("line breaks"),
        G::PrivateUse | G::Surrogate => return Some("private-use characters"),
        G::NonspacingMark | G::SpacingMark | G::EnclosingMark if before.is_empty() => {
            return Some("a combining mark before its letter");
        }
        _ => {}
    }
    if is_bidi_control(c) {
        return Some("bidirectional controls");
    }
    let accepted = match c {
        ZWNJ => joins_letters(before, after),
        ZWJ => follows_virama(before) || joins_emoji(before, after),
        '\u{fe0e}' | '\u{fe0f}' => varies_emoji(before, after),
        '\u{e0100}'..='\u{e01ef}' => before.last().is_some_and(|c| c.script() == Script::Han),
        _ => category != G::Format && !is_ignorable(c) && !is_blank(c),
    };
    if !accepted {
        return Some("invisible characters");
    }
    // Assigned later, it might have another form.
    (category == G::Unassigned).then_some("unassigned characters")
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Default_Ignorable_Code_Point of the assigned characters.
fn is_ignorable(c: char) -> bool {
    c.identifier_type() == Some(IdentifierType::Default_Ignorable)
}

/// What has a width and shows nothing, or stands for something that is not there, though it is no space: the empty
/// Braille cell, the null note head, the object replacement character.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{1d159}' | '\u{fffc}')
}

fn follows_virama(before: &[char]) -> bool {
    before.last().is_some_and(|c| canonical_combining_class(*c) == VIRAMA)
}

/// RFC 5892, A.1: the letters on both sides would join without it.
fn joins_letters(before: &[char], after: &[char]) -> bool {
    let letter = |c: &&char| get_joining_type(**c) != JoiningType::Transparent;
    let joins_on = before.iter().rev().find(letter).map(|c| get_joining_type(*c));
    let is_joined = after.iter().find(letter).map(|c| get_joining_type(*c));
    follows_virama(before)
        || matches!(joins_on, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
            && matches!(is_joined, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// An emoji of its own: digits are emoji only as the beginning of a keycap.
fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}

fn joins_emoji(before: &[char], after: &[char]) -> bool {
    before.last().is_some_and(|c| is_emoji(*c) || *c == '\u{fe0f}')
        && after.first().is_some_and(|c| is_emoji(*c))
}

fn varies_emoji(before: &[char], after: &[char]) -> bool {
    before.last().is_some_and(|c| is_emoji(*c) || c.is_emoji_char() && after.first() == Some(&KEYCAP))
}

/// How many characters of the rest are the tags of a flag.
fn flag(before: &[char], rest: &[char]) -> Option<usize> {
    let tagged = |tags: &&&str| {
        tags.len() <= rest.len()
            && tags.chars().zip(rest).all(|(tag, c)| u32::from(*c) == 0xe_0000 + u32::from(tag))
    };
    (before.last() == Some(&BLACK_FLAG)).then(|| FLAGS.iter().find(tagged).map(|tags| tags.len()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::canonical;

    /// What is wrong, in words; empty if nothing is.
    fn said(name: &str) -> String {
        fault(&canonical(name)).map(|fault| fault.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_name_may_be_written_in_any_script_and_with_emoji() {
        for name in [
            "Ann",
            "a:b/c?𝔘",
            "Zoë",
            "Ольга",
            "山田 太郎",
            "葛\u{e0100}城",
            "ශ\u{dca}\u{200d}රී",
            "അവന്\u{200d}",
            "می\u{200c}خواهم",
            "דָּוִד",
            "نور",
            "Nguyễn",
            "한국",
            "👍",
            "❤️",
            "👩\u{200d}💻",
            "👩🏽\u{200d}🚀",
            "🏳️\u{200d}🌈",
            "1️⃣",
            "🇩🇪",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "_",
            "0",
            "…",
            "fear-and-loathing",
        ] {
            assert_eq!(said(name), "", "{name}");
        }
    }

    #[test]
    fn a_fault_names_the_character_and_its_place() {
        assert_eq!(
            said("ec\u{202e}ho"),
            "must not contain bidirectional controls, contains U+202E at character 3"
        );
        assert_eq!(said("a\tb"), "must not contain control characters, contains U+0009 at character 2");
        assert_eq!(
            said("echo\u{200b}"),
            "must not contain invisible characters, contains U+200B at character 5"
        );
        assert_eq!(
            said("\u{301}"),
            "must not contain a combining mark before its letter, contains U+0301 at character 1"
        );
        assert_eq!(
            said("a\u{e000}"),
            "must not contain private-use characters, contains U+E000 at character 2"
        );
        assert_eq!(
            said("a\u{378}"),
            "must not contain unassigned characters, contains U+0378 at character 2"
        );
        assert_eq!(said("a\u{2028}b"), "must not contain line breaks, contains U+2028 at character 2");
    }

    #[test]
    fn what_nobody_sees_and_what_moves_its_surroundings_is_refused_in_every_place() {
        let invisible = [
            '\u{0}',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2061}',
            '\u{2064}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206a}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{fffc}',
            '\u{fff0}',
            '\u{1bca0}',
            '\u{1d159}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{e0fff}',
            '\u{ffff}',
            '\u{10ffff}',
            '\u{f0000}',
        ];
        for c in invisible {
            for name in [format!("{c}"), format!("{c}echo"), format!("ec{c}ho"), format!("echo{c}")] {
                assert_ne!(said(&name), "", "U+{:04X} in {name:?}", u32::from(c));
            }
        }
    }

    #[test]
    fn what_is_part_of_an_emoji_or_of_a_script_is_refused_elsewhere() {
        for name in [
            "1\u{fe0f}",
            "a\u{200d}😀",
            "😀\u{200d}",
            "😀\u{fe0f}\u{fe0f}",
            "دا\u{200c}د",
            "a\u{200c}b",
            "a\u{e0100}",
            "葛\u{e0100}\u{e0100}",
            "🏴\u{e0067}\u{e007f}",
            "😀\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        ] {
            assert_ne!(said(name), "", "{name:?}");
        }
    }

    #[test]
    fn a_name_has_to_show_something() {
        for name in [" ", "   ", "\u{a0}", "\u{3000}"] {
            assert_eq!(said(name), "must contain a character that can be seen", "{name:?}");
        }
        assert_eq!(fault(""), None);
    }

    #[test]
    fn a_text_is_visible_whatever_stands_around_its_letters() {
        for text in ["x", "\u{202e}evil", " \n.", "👍", "שלום", "\u{200f}ש", "\u{e000}"] {
            assert!(has_visible(text), "{text:?}");
        }
        for text in
            ["", " ", "\n\t", "\u{200b}", "\u{202e}", "\u{301}", "\u{3164}", "\u{2800}", "\u{feff} \u{ad}"]
        {
            assert!(!has_visible(text), "{text:?}");
        }
    }
}
