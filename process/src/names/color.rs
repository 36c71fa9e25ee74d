//! Colors: nine digits, or none. The only place that knows their form; it is on the wire and in what is stored.

/// Most characters of a color.
pub const COLOR_CHARS: u32 = 9;
/// The color of a bot whose asker chose none, which pages show in grey.
pub const DEFAULT_COLOR: &str = "default";
/// What a color may be, as ECMA-262 reads it; see [`is_color`].
pub const COLOR_PATTERN: &str = "^(?:(?:[01][0-9]{2}|2[0-4][0-9]|25[0-5]){3}|default)?$";
/// The same in words, for refusals.
pub const COLOR_FORM: &str =
    "nine digits, three each for red, green and blue from 000 to 255, such as 200120040, or \"default\"";

/// True for nine digits, three each for red, green and blue from 000 to 255, for [`DEFAULT_COLOR`], and for nothing, which is
/// the color of whoever chose none. There is one spelling of each: spaces and other digits than 0 to 9 make it none.
pub fn is_color(text: &str) -> bool {
    let is_part = |part: &[u8]| part.iter().all(u8::is_ascii_digit) && part <= b"255".as_slice();
    let is_chosen = || text.len() == COLOR_CHARS as usize && text.as_bytes().chunks(3).all(is_part);
    text.is_empty() || text == DEFAULT_COLOR || is_chosen()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::{COLOR_PATTERN, is_color};

    #[test]
    fn nine_digits_default_and_nothing_are_colors() {
        for color in ["000000000", "255255255", "169080199", "080175220", "199209255", "default", ""] {
            assert!(is_color(color), "{color:?}");
        }
    }

    #[test]
    fn whatever_else_is_none() {
        for text in [
            "256000000",
            "000256000",
            "000000256",
            "300000000",
            "16908019",
            "1690801990",
            "1",
            "#a950c7",
            "rgb(1 2 3)",
            "red",
            "Default",
            " 169080199",
            "169 80199",
            "-10-10-10",
            "+10+10+10",
            "169080199\n",
            "١٦٩٠٨٠١٩٩",
            "１６９",
            "éééé1",
        ] {
            assert!(!is_color(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn documents_say_what_the_code_refuses(text in "[0-3][0-9]{2}[0-2][4-6][0-9][0-9]{3}|[a-f0-9#]{0,10}|\\PC{0,10}") {
            let pattern = Regex::new(COLOR_PATTERN).unwrap();
            prop_assert_eq!(is_color(&text), pattern.is_match(&text));
        }
    }
}
