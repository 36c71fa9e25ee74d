//! What a model thinks before it speaks, if it writes that into its answer: `<think>…</think>`, as DeepSeek R1, QwQ and
//! Qwen do behind servers without a parser for it, and the tags of other families. Pure: text in, text out.
//!
//! Thinking is nobody's to read: it is taken out of drafts, of replies, and of what a model is told it said before.

use std::borrow::Cow;

/// How thinking begins and ends, in whatever case of ASCII: of R1 and Qwen, of others, of Mistral, of Seed-OSS, of Kimi, and of
/// gpt-oss if nobody has read its channels.
const TAGS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
];
/// What they begin with.
const FIRST: [char; 3] = ['<', '[', '◁'];

/// What follows the text that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// More may come.
    Open,
    /// Nothing: the model was cut off, by a bound of tokens.
    CutOff,
    /// Nothing.
    Whole,
}

/// What is left of an answer without its thinking.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spoken<'a> {
    pub(super) text: Cow<'a, str>,
    /// True if the model is in the midst of a thought.
    pub(super) thinks: bool,
    /// True if a thought has ended.
    pub(super) has_thought: bool,
    /// True if the first thought has no opening tag: that was in the prompt.
    pub(super) from_prompt: bool,
}

/// Takes the thinking out of `raw`. Takes time in proportion to its length, whatever it holds.
///
/// - What stands between two tags goes, and what stands behind an opening tag at the beginning of a line goes even if the
///   closing one never comes. One that is mentioned in the midst of a line and never closed is text, unless the answer was
///   cut off: then nobody knows.
/// - If a closing tag comes first, the opening one was in the prompt, as the templates of R1 and QwQ have it: everything
///   before it was thought.
/// - An opening tag behind a backtick, or in a fenced block, is quoted: it is text. So is a closing tag there, but only
///   behind such an opening one: backticks of the thought itself quote nothing.
/// - While more may follow, the beginning of what may become a tag is held back.
pub(super) fn spoken(raw: &str, end: End) -> Spoken<'_> {
    let mut spoken =
        Spoken { text: Cow::Borrowed(raw), thinks: false, has_thought: false, from_prompt: false };
    if !raw.contains(FIRST) {
        return spoken;
    }
    let (mut text, mut from) = (String::new(), 0);
    let mut quotes = Quotes::default();
    let mut unclosed = [false; TAGS.len()];
    for (at, _) in raw.match_indices(FIRST) {
        let Some((kind, opens)) = tag_at(raw, at).filter(|_| at >= from) else { continue };
        let (opening, closing) = TAGS[kind];
        if quotes.holds(raw, at, kind, opens) {
            continue;
        }
        if !opens {
            text.clear();
            from = at + closing.len();
            spoken.from_prompt |= !spoken.has_thought;
            spoken.has_thought = true;
            quotes = Quotes { counted: from, ..Quotes::default() };
            continue;
        }
        let inside = at + opening.len();
        let length = if unclosed[kind] { None } else { find(&raw[inside..], closing) };
        unclosed[kind] = length.is_none();
        if let Some(length) = length {
            text.push_str(&raw[from..at]);
            from = inside + length + closing.len();
            spoken.has_thought = true;
            quotes.counted = from;
        } else if end != End::Whole || begins_line(&text, &raw[from..at]) {
            text.push_str(&raw[from..at]);
            return Spoken { text: Cow::Owned(text), thinks: end == End::Open, ..spoken };
        }
    }
    let rest = &raw[from..];
    text.push_str(if end == End::Open { without_half_tag(rest) } else { rest });
    spoken.text = Cow::Owned(text);
    spoken
}

/// What is quoted in an answer, up to where it was read.
#[derive(Default)]
struct Quotes {
    /// Up to where fences were counted, and how many there were.
    counted: usize,
    fences: usize,
    /// The kinds of which an opening tag was quoted.
    opened: [bool; TAGS.len()],
}

impl Quotes {
    /// True if the tag at `at` is quoted.
    fn holds(&mut self, raw: &str, at: usize, kind: usize, opens: bool) -> bool {
        let passed = &raw[self.counted..at];
        looked_at(passed.len());
        self.fences += passed.matches("```").count();
        self.counted = at;
        let is_set_off = passed.ends_with('`') || self.fences % 2 == 1;
        self.opened[kind] |= opens && is_set_off;
        is_set_off && self.opened[kind]
    }
}

/// The kind of the tag that stands at `at`, and whether it opens.
fn tag_at(raw: &str, at: usize) -> Option<(usize, bool)> {
    let from = &raw[at..];
    TAGS.iter().enumerate().find_map(|(kind, (opening, closing))| {
        let opens = begins_with(from, opening);
        (opens || begins_with(from, closing)).then_some((kind, opens))
    })
}

fn begins_with(text: &str, tag: &str) -> bool {
    text.as_bytes().get(..tag.len()).is_some_and(|from| from.eq_ignore_ascii_case(tag.as_bytes()))
}

fn find(text: &str, closing: &str) -> Option<usize> {
    let first = closing.chars().next().expect("no tag is empty");
    let mut places = text.match_indices(first).map(|(at, _)| at);
    let found = places.find(|at| begins_with(&text[*at..], closing));
    looked_at(found.unwrap_or(text.len()));
    found
}

/// Counts the bytes that are searched, for the test of the bound.
#[cfg(test)]
fn looked_at(bytes: usize) {
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + bytes);
}

#[cfg(not(test))]
const fn looked_at(_: usize) {}

/// True if nothing but spaces stands before a tag in its line; `text` and `more` stand before it.
fn begins_line(text: &str, more: &str) -> bool {
    let blank = |text: &str| text.trim_end_matches([' ', '\t']).chars().next_back();
    blank(more).or_else(|| blank(text)).is_none_or(|last| last == '\n')
}

/// `text` up to where it may be about to become a tag.
fn without_half_tag(text: &str) -> &str {
    let longest =
        TAGS.iter().flat_map(|(opening, closing)| [opening.len(), closing.len()]).max().unwrap_or(0);
    let from = text.len().saturating_sub(longest);
    let half = text.char_indices().map(|(at, _)| at).filter(|at| *at >= from).find(|at| {
        TAGS.iter()
            .any(|(opening, closing)| [opening, closing].iter().any(|tag| begins_with(tag, &text[*at..])))
    });
    &text[..half.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{End, Spoken, spoken};

    thread_local! {
        pub(super) static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    #[track_caller]
    fn said(raw: &str) -> String {
        spoken(raw, End::Whole).text.trim().to_owned()
    }

    #[test]
    fn what_stands_between_tags_goes() {
        assert_eq!(said("<think>\nHm.\n</think>\n\nBecause."), "Because.");
        assert_eq!(said("<thinking>Hm.</thinking>Yes"), "Yes");
        assert_eq!(said("[THINK]Hm.[/THINK]Yes"), "Yes");
        assert_eq!(said("<Think>Hm.</THINK>Yes"), "Yes");
        assert_eq!(said("<reasoning>Hm.</reasoning>Yes"), "Yes");
        assert_eq!(said("<seed:think>Hm.</seed:think>Yes"), "Yes");
        assert_eq!(said("◁think▷Hm ◁ hm.◁/think▷Yes"), "Yes");
        assert_eq!(
            said("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes"),
            "Yes"
        );
        assert_eq!(said("One <think>hm</think>two"), "One two");
        assert_eq!(said("<think>a</think>One<think>b</think> two"), "One two");
        assert_eq!(said("Nothing [to see] < here"), "Nothing [to see] < here");
    }

    #[test]
    fn a_thought_that_never_ends_leaves_nothing_behind_it() {
        assert_eq!(said("<think>I wonder whether"), "");
        assert_eq!(said("Well.\n<think>I wonder"), "Well.");
    }

    #[test]
    fn where_only_the_end_of_a_thought_stands_it_began_in_the_prompt() {
        assert_eq!(said("I wonder. Right.\n</think>\n\nBecause."), "Because.");
    }

    #[test]
    fn a_tag_that_is_only_spoken_of_is_text() {
        for answer in [
            "R1 writes `<think>` before it answers.",
            "It begins with <think> and goes on.",
            "```\n<think>\n```",
            "R1 writes `<think>` and `</think>`.",
            "Its form is\n```\n<think>…</think>\n```\nand so on.",
        ] {
            assert_eq!(said(answer), answer);
        }
    }

    #[test]
    fn what_is_shown_on_the_way_never_holds_a_part_of_a_thought_or_of_a_tag() {
        let raw = "<think>secret ü</think>Be<b>cause [of] it";
        for (end, _) in raw.char_indices().skip(1) {
            let Spoken { text, thinks, .. } = spoken(&raw[..end], End::Open);
            assert!("Be<b>cause [of] it".starts_with(&*text), "{text:?}");
            assert_eq!(thinks, (7..raw.find("Be").unwrap()).contains(&end), "{end}");
        }
        assert_eq!(spoken("So <thi", End::Open).text, "So ");
        assert_eq!(spoken("So <thi", End::Whole).text, "So <thi");
    }

    #[test]
    fn backticks_of_a_thought_that_began_in_the_prompt_quote_nothing() {
        assert_eq!(said("I will answer in a ``` block.\n</think>\n\nHere it is."), "Here it is.");
        assert_eq!(said("Perhaps `</think>\nHere it is."), "Here it is.");
        let spoken = spoken("Hm ```</think>Yes ```<think>```", End::Whole);
        assert_eq!((&*spoken.text, spoken.from_prompt), ("Yes ```<think>```", true));
    }

    #[test]
    fn what_follows_an_opening_tag_is_dropped_if_the_answer_was_cut_off() {
        assert_eq!(spoken("Sure! <think>secret", End::CutOff).text, "Sure! ");
        assert_eq!(spoken("Sure! <think>secret</think>Yes", End::CutOff).text, "Sure! Yes");
    }

    #[test]
    fn a_long_answer_is_searched_once_for_each_kind_of_tag_whatever_it_holds() {
        for part in [
            "`<think> ",
            "x <think> ",
            "a ``` <think> ",
            "<think>a</think>",
            "</think>",
            "x <think> [THINK] ",
        ] {
            let raw = part.repeat((1 << 16) / part.len());
            for end in [End::Open, End::Whole] {
                LOOKED_AT.set(0);
                spoken(&raw, end);
                assert!(LOOKED_AT.get() <= raw.len() * 6, "{part:?}: {}", LOOKED_AT.get());
            }
        }
    }
}
