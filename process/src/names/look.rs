//! Which names look alike, so that nobody speaks under a name that people take for another.

use caseless::default_case_fold_str as fold;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

/// How a name looks: its skeleton (UTS #39, section 4) after NFKC and case folding. Two names of which one
/// [`Look::is_like`] the other are taken for each other.
///
/// A capital may look like another letter than its small form does (Cyrillic "Н" like "H", "н" like a small capital), so a
/// name has two skeletons: with its capitals as they are, and folded before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    plain: String,
    folded: String,
}

impl Look {
    /// The look of a name.
    pub fn of(name: &str) -> Self {
        let compatible: String = name.nfkc().collect();
        let folded = shape(&fold(&compatible));
        Self { plain: shape(&compatible), folded }
    }

    /// True if people may take one name for the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.shapes().any(|shape| other.shapes().any(|its| its == shape))
    }

    /// The shapes to look it up by: two looks are alike if they share one.
    pub fn shapes(&self) -> impl Iterator<Item = &str> {
        [self.plain.as_str(), self.folded.as_str()].into_iter()
    }

    /// The look without what only separates words.
    fn run_together(self) -> Self {
        let run_together = |shape: String| shape.chars().filter(|c| c.is_alphanumeric()).collect();
        Self { plain: run_together(self.plain), folded: run_together(self.folded) }
    }
}

fn shape(name: &str) -> String {
    fold(&skeleton(name).collect::<String>())
}

/// True if `name` is how people write the entity: the same but for capitals, spaces and punctuation, as "FearAndLoathing"
/// for `fear-and-loathing`.
pub fn names_bot(entity: &str, name: &str) -> bool {
    if entity == name {
        return true;
    }
    let (entity, name) = (Look::of(entity), Look::of(name));
    if entity.is_like(&name) {
        return true;
    }
    let (entity, name) = (entity.run_together(), name.run_together());
    // Of an entity without letters and digits nothing is left to compare.
    !entity.folded.is_empty() && entity.is_like(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        Look::of(one).is_like(&Look::of(other))
    }

    #[test]
    fn names_look_alike_by_width_by_case_by_script_and_by_shape() {
        for name in [
            "echo",
            "Echo",
            "ECHO",
            "еcho",
            "ЕСНО",
            "есһо",
            "ｅｃｈｏ",
            "ⓔⓒⓗⓞ",
            "𝐞𝐜𝐡𝐨",
            "ech0",
            "ECH0",
            "ec\u{200d}ho",
        ] {
            assert!(alike("echo", name), "{name}");
        }
        for (name, other) in [
            ("he1per", "helper"),
            ("HeIper", "helper"),
            ("hurnan", "human"),
            ("STRASSE", "straße"),
            ("ŕ", "r\u{301}"),
        ] {
            assert!(alike(name, other), "{name} {other}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for name in ["ech", "echoes", "écho", "e cho", "ohce", "eko", "echo2", "Эхо", ""] {
            assert!(!alike("echo", name), "{name}");
        }
    }

    #[test]
    fn a_bot_may_be_written_as_people_write_it() {
        for name in [
            "fear-and-loathing",
            "FearAndLoathing",
            "Fear and Loathing",
            "fear_and_loathing",
            "Fear & and loathing!",
        ] {
            assert!(names_bot("fear-and-loathing", name), "{name}");
        }
        for name in ["Ann", "fear", "fear-and-loathing-2", "FearAndLoathin", ""] {
            assert!(!names_bot("fear-and-loathing", name), "{name}");
        }
        assert!(names_bot("🤖", "🤖"));
        assert!(!names_bot("🤖", "👻"));
        assert!(!names_bot("…", "!"));
    }
}
