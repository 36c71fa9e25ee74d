//! Names: the one form in which they are stored and compared, what they may hold, and which of them look alike.
//!
//! The queue-service and the gateway share this, so that both look up the same name. It must never accept two spellings
//! of one name, or a name that shows something other than what it is.

mod color;
mod faults;
mod look;
mod pattern;

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

pub use color::{COLOR_CHARS, COLOR_FORM, COLOR_PATTERN, DEFAULT_COLOR, is_color};
pub use faults::{Fault, fault, has_visible};
pub use look::{Look, names_bot};
pub use pattern::{DOMAIN_CHARS, NAME_CHARS, PATTERN, PATTERN_OR_NOTHING};

/// The form in which a name is stored, compared and looked up: NFC, with every kind of space as U+0020, one at a time
/// and none at either end (as RFC 8266 does it for nicknames, which are kept in NFC here so that they show what was
/// typed).
///
/// A name of spaces only is returned as it is, so that it is refused and not taken for "no name". The form of a form is
/// itself. An ASCII name costs one look at each byte.
pub fn canonical(name: &str) -> Cow<'_, str> {
    let settled = if name.is_ascii() { !has_loose_space(name) } else { is_settled(name) };
    if settled {
        return Cow::Borrowed(name);
    }
    let composed: String = name.nfc().map(|c| if is_space(c) { ' ' } else { c }).collect();
    let mut form = String::with_capacity(composed.len());
    for word in composed.split(' ').filter(|word| !word.is_empty()) {
        if !form.is_empty() {
            form.push(' ');
        }
        form.push_str(word);
    }
    if form.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(form) }
}

/// Brings a name into its form.
pub fn canonicalize(name: &mut String) {
    if let Cow::Owned(form) = canonical(name) {
        *name = form;
    }
}

/// A space at either end, or two in a row.
fn has_loose_space(name: &str) -> bool {
    name.starts_with(' ') || name.ends_with(' ') || name.contains("  ")
}

fn is_settled(name: &str) -> bool {
    is_nfc(name) && !has_loose_space(name) && !name.chars().any(|c| c != ' ' && is_space(c))
}

/// A space of any width (general category Zs). Line breaks and tabs are control characters, not spaces.
fn is_space(c: char) -> bool {
    c == ' ' || c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_is_its_own_form_and_costs_no_copy() {
        for name in ["Ann", "a:b/c?", "Zoë", "山田 太郎", "", " ", "a b c", "night-sky.example:8080"] {
            assert!(matches!(canonical(name), Cow::Borrowed(form) if form == name), "{name:?}");
        }
    }

    #[test]
    fn two_spellings_of_one_name_have_one_form() {
        for (spelled, form) in [
            ("Zoe\u{308}", "Zoë"),
            ("e\u{302}\u{323}", "ệ"),
            ("\u{212b}ngström", "Ångström"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("山田\u{3000}太郎", "山田 太郎"),
            ("Jean\u{a0}Paul", "Jean Paul"),
            (" Ann", "Ann"),
            ("Ann\u{2003}", "Ann"),
            ("Ann  \u{202f} Lee", "Ann Lee"),
        ] {
            assert_eq!(canonical(spelled), form);
        }
    }

    #[test]
    fn what_only_looks_alike_keeps_its_form() {
        for name in ["ｅｃｈｏ", "ECHO", "еcho", "①", "ﬁ"] {
            assert_eq!(canonical(name), name);
        }
    }

    #[test]
    fn a_name_of_spaces_does_not_become_no_name() {
        for name in [" ", "   ", "\u{3000}", "\u{a0} "] {
            assert_eq!(canonical(name), name);
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(name in "[ a-zé\u{300}-\u{345}\u{3000}\u{a0}\u{2000}-\u{200a}가-각ᄀ-하-ᅵ]{0,12}|\\PC{0,12}") {
            let form = canonical(&name).into_owned();
            prop_assert_eq!(canonical(&form), form.as_str());
        }
    }
}
