//! Which messages belong together.

use std::fmt;

use sha2::{Digest, Sha256};

/// Names a conversation: the first 128 bits of SHA-256 over its parts, each with its length before it, so that no two
/// different lists of parts meet whatever characters they hold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(pub [u8; 16]);

impl ConversationId {
    /// The conversation of a human with an AI; with a session, that God Mode session of theirs.
    pub fn of(human: (&str, &str), ai: (&str, &str), session: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        for part in [human.0, human.1, ai.0, ai.1].into_iter().chain(session) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::ConversationId;

    #[test]
    fn parts_that_contain_separators_never_meet() {
        let one = ConversationId::of(("a:b", "c"), ("d", "e"), None);
        assert_ne!(one, ConversationId::of(("a", "b:c"), ("d", "e"), None));
        assert_ne!(one, ConversationId::of(("a:b:c", ""), ("d", "e"), None));
    }

    #[test]
    fn a_god_mode_session_is_a_conversation_of_its_own() {
        let plain = ConversationId::of(("h", "1"), ("a", "2"), None);
        assert_ne!(plain, ConversationId::of(("h", "1"), ("a", "2"), Some("s")));
        assert_ne!(plain, ConversationId::of(("h", "1"), ("a", "2"), Some("")));
    }
}
