//! Whose a conversation is. The visitor who began it owns it: nobody else writes into it, and so into the bot's next
//! prompt, or stands in its line.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::{Author, ConversationId, NewMessage, Queue, Rejection, SenderKey};

/// Owners that are remembered, so that a conversation that goes on needs no look into the storage.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not 0");

/// To whom a conversation belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The visitor who began it.
    pub visitor: SenderKey,
    /// If it was begun without a secret: the address, which stands for one.
    pub address: Option<SenderKey>,
}

/// Who asks for a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimant {
    /// Their secret: the one that they brought, or the one that they are given with the answer.
    pub visitor: SenderKey,
    /// True if they brought it.
    pub has_secret: bool,
    /// Their address.
    pub address: SenderKey,
}

impl Owner {
    /// True if the conversation belongs to this claimant. Who brings a secret is judged by it alone: neighbours share an
    /// address.
    pub fn is(&self, claimant: &Claimant) -> bool {
        claimant.visitor == self.visitor || (!claimant.has_secret && self.address == Some(claimant.address))
    }
}

impl Claimant {
    /// The owner of what this claimant begins.
    fn owner(&self) -> Owner {
        Owner { visitor: self.visitor, address: (!self.has_secret).then_some(self.address) }
    }
}

/// The owners that this group of commands has looked at, and those that it adds.
#[derive(Debug)]
pub(super) struct Owners {
    known: LruCache<ConversationId, Option<Owner>>,
    added: Vec<(ConversationId, Owner)>,
}

impl Default for Owners {
    fn default() -> Self {
        Self { known: LruCache::new(REMEMBERED), added: Vec::new() }
    }
}

impl NewMessage {
    /// The conversation whose owner has to be known before this can be stored: that of a question by a visitor.
    pub fn claims(&self) -> Option<ConversationId> {
        let (Some(bot), Some(_), Author::Human) = (&self.address, &self.claimant, self.author) else {
            return None;
        };
        let human = (self.username.as_str(), self.color.as_str());
        let ai = (bot.ai_username.as_str(), bot.ai_color.as_str());
        Some(ConversationId::of(human, ai, bot.session_id.as_deref()))
    }
}

impl Queue {
    /// True if the queue knows whose the conversation is without asking the storage.
    pub fn knows_owner(&mut self, conversation: ConversationId) -> bool {
        // A use of it: what one command needs is not pushed out by the rest of what it needs.
        self.owners.known.get(&conversation).is_some()
    }

    /// Lets this group of commands see whose a conversation is, from the storage.
    pub fn visit_owner(&mut self, conversation: ConversationId, owner: Option<Owner>) {
        self.owners.known.put(conversation, owner);
    }

    /// Nothing of the conversation is left, and in the storage it belongs to nobody.
    pub fn forget_owner(&mut self, conversation: ConversationId) {
        self.owners.known.pop(&conversation);
    }

    /// The owners since the last call, to be committed with what they have begun.
    pub fn take_owners(&mut self) -> Vec<(ConversationId, Owner)> {
        std::mem::take(&mut self.owners.added)
    }

    /// Checks that a question is its visitor's to ask in this conversation.
    pub(super) fn check_owner(&mut self, new: &NewMessage) -> Result<(), Rejection> {
        let (Some(conversation), Some(claimant)) = (new.claims(), &new.claimant) else { return Ok(()) };
        match self.owners.known.get(&conversation) {
            Some(Some(owner)) if !owner.is(claimant) => Err(Rejection::ConversationTaken),
            Some(_) | None => Ok(()),
        }
    }

    /// A question was stored: its conversation belongs to its visitor, if it was nobody's.
    pub(super) fn take_conversation(
        &mut self,
        conversation: Option<ConversationId>,
        claimant: Option<Claimant>,
    ) {
        let (Some(conversation), Some(claimant)) = (conversation, claimant) else { return };
        if self.owners.known.get(&conversation).copied().flatten().is_none() {
            let owner = claimant.owner();
            self.owners.known.put(conversation, Some(owner));
            self.owners.added.push((conversation, owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [SenderKey; 3] = [SenderKey([1; 16]), SenderKey([2; 16]), SenderKey([3; 16])];

    #[test]
    fn a_conversation_belongs_to_the_secret_and_to_the_address_only_if_it_began_without_one() {
        let [ann, bea, home] = KEY;
        let claimant = |visitor, has_secret| Claimant { visitor, has_secret, address: home };
        let with_secret = claimant(ann, true).owner();
        assert!(with_secret.is(&claimant(ann, true)), "wherever she is");
        assert!(!with_secret.is(&claimant(bea, true)) && !with_secret.is(&claimant(bea, false)));
        let without = claimant(ann, false).owner();
        assert!(without.is(&claimant(bea, false)), "a script that keeps nothing goes on from its address");
        assert!(
            without.is(&Claimant { address: bea, ..claimant(ann, true) }),
            "who kept what it was given, too"
        );
        assert!(!without.is(&claimant(bea, true)), "a neighbour who brings another secret does not");
        assert!(!without.is(&Claimant { address: bea, ..claimant(bea, false) }));
    }
}
