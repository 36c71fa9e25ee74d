//! Whose a conversation is. The visitor who began it owns it: nobody else writes into it, and so into the bot's next
//! prompt, or stands in its line.
//!
//! A visitor is known by a secret. If the first post came without one, the post's answer hands one out, and until that
//! secret comes back with a post the address stands for it: whoever comes from there may be the same visitor, who lost the
//! answer, keeps no cookies, or sent a second post before the first was answered. From then on the secret alone counts.
//!
//! | the conversation | its secret | another secret, its address | no secret, its address | anybody else |
//! |---|---|---|---|---|
//! | is nobody's | begins it | begins it | begins it, and is handed a secret | begins it |
//! | began with a secret | goes on | refused | refused | refused |
//! | began without, the secret handed out is not back | goes on, and closes it to the address | goes on | goes on | refused |
//! | began without, the secret came back | goes on | refused | refused | refused |
//!
//! Only the post that begins a conversation hands a secret out: any other would put one that opens nothing in the place of
//! the visitor's own. Nobody becomes the owner of a conversation that somebody else began, so nobody can shut its author out.

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
    /// If it was begun without a secret: the address, which stands for the one that was handed out until that comes back.
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
    /// True if this claimant may go on with the conversation.
    pub fn admits(&self, claimant: &Claimant) -> bool {
        claimant.visitor == self.visitor || self.address == Some(claimant.address)
    }

    /// Whose the conversation is once this claimant, whom it admits, has gone on with it.
    fn after(self, claimant: &Claimant) -> Self {
        let is_back = claimant.has_secret && claimant.visitor == self.visitor;
        Self { address: self.address.filter(|_| !is_back), ..self }
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

    /// True if the secret that the conversation handed out has not come back.
    pub fn awaits_secret(&mut self, conversation: ConversationId) -> bool {
        let owner = self.owners.known.get(&conversation).copied().flatten();
        owner.is_some_and(|owner| owner.address.is_some())
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
            Some(Some(owner)) if !owner.admits(claimant) => Err(Rejection::ConversationTaken),
            Some(_) | None => Ok(()),
        }
    }

    /// A question was stored: its conversation belongs to its visitor if it was nobody's, and to a secret alone once that
    /// has come back. True if it belongs to the secret of this claimant.
    pub(super) fn take_conversation(
        &mut self,
        conversation: Option<ConversationId>,
        claimant: Option<Claimant>,
    ) -> bool {
        let (Some(conversation), Some(claimant)) = (conversation, claimant) else { return false };
        let before = self.owners.known.get(&conversation).copied().flatten();
        let owner = before.map_or_else(|| claimant.owner(), |owner| owner.after(&claimant));
        if before != Some(owner) {
            self.owners.known.put(conversation, Some(owner));
            self.owners.added.push((conversation, owner));
        }
        owner.visitor == claimant.visitor
    }

    /// True if a question brings the secret that its conversation handed out, and nobody has brought it before.
    pub(super) fn brings_secret_back(&mut self, new: &NewMessage) -> bool {
        let (Some(conversation), Some(claimant)) = (new.claims(), &new.claimant) else { return false };
        let owner = self.owners.known.get(&conversation).copied().flatten();
        owner.is_some_and(|owner| owner.address.is_some() && owner.after(claimant).address.is_none())
    }

    /// True if this question's conversation belongs to the secret of its visitor.
    pub(super) fn owns_conversation(&mut self, new: &NewMessage) -> bool {
        let (Some(conversation), Some(claimant)) = (new.claims(), &new.claimant) else { return false };
        let owner = self.owners.known.get(&conversation).copied().flatten();
        owner.is_some_and(|owner| owner.visitor == claimant.visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [SenderKey; 3] = [SenderKey([1; 16]), SenderKey([2; 16]), SenderKey([3; 16])];

    /// Everybody who may ask for Ann's conversation, which she began from home: she herself with her secret, from home and
    /// from elsewhere, then a neighbour with another secret, somebody at home without one, and both of them from elsewhere.
    fn claimants() -> [Claimant; 6] {
        let [ann, bea, home] = KEY;
        let away = SenderKey([4; 16]);
        let claimant = |visitor, has_secret, address| Claimant { visitor, has_secret, address };
        [
            claimant(ann, true, home),
            claimant(ann, true, away),
            claimant(bea, true, home),
            claimant(bea, false, home),
            claimant(bea, true, away),
            claimant(bea, false, away),
        ]
    }

    fn admitted(owner: Owner) -> [bool; 6] {
        claimants().map(|claimant| owner.admits(&claimant))
    }

    #[test]
    fn what_began_with_a_secret_is_for_that_secret_only() {
        let owner = claimants()[0].owner();
        assert_eq!(admitted(owner), [true, true, false, false, false, false]);
    }

    #[test]
    fn what_began_without_a_secret_is_for_its_address_too_until_the_secret_comes_back() {
        let began = Claimant { has_secret: false, ..claimants()[0] }.owner();
        assert_eq!(admitted(began), [true, true, true, true, false, false]);
        for (claimant, is_closed) in claimants().iter().zip([true, true, false, false]) {
            let after = began.after(claimant);
            let expected = if is_closed { claimants()[0].owner() } else { began };
            assert_eq!(after, expected, "{claimant:?}");
        }
    }
}
