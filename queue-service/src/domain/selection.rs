//! What an operator names all at once: everything unfinished of an entity, an author or an address.
//!
//! The index follows from the messages, so a restart finds the same. Finding the first few costs the same however many
//! there are.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{Act, Deed, Millis, Queue, Record, Rejection, SenderKey, Source, Target, queue::entity};

/// All messages for an entity, or of an author or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// For this entity.
    Entity(String),
    /// By this author.
    Author(SenderKey),
    /// From this address.
    Address(SenderKey),
}

/// How an operator says which; an author and an address may be named by a message of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// As it is.
    Plain(Selection),
    /// The author of this message.
    AuthorOf(Uuid),
    /// The address that this message came from.
    AddressOf(Uuid),
}

impl Selection {
    /// Who is meant, if it is not an entity.
    pub fn source(&self) -> Option<Source> {
        match self {
            Self::Entity(_) => None,
            Self::Author(key) => Some(Source::Author(*key)),
            Self::Address(key) => Some(Source::Address(*key)),
        }
    }
}

impl From<Source> for Selection {
    fn from(source: Source) -> Self {
        match source {
            Source::Author(key) => Self::Author(key),
            Source::Address(key) => Self::Address(key),
        }
    }
}

impl Selector {
    /// The message that has to be known to tell which.
    pub fn message(&self) -> Option<Uuid> {
        match self {
            Self::Plain(_) => None,
            Self::AuthorOf(id) | Self::AddressOf(id) => Some(*id),
        }
    }
}

/// What a piece of a cancellation has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancelled {
    /// What was selected.
    pub which: Selection,
    /// How many messages were cancelled now.
    pub count: usize,
    /// True if there are more.
    pub more: bool,
    /// Number of the last change; 0 if nothing was cancelled now.
    pub seq: u64,
    /// The entry of the log, to go on with; none if nothing was cancelled yet.
    pub act: Option<Act>,
}

/// What unfinished messages are selected by. Of each, those that wait stand before those that are in work.
#[derive(Debug, Default)]
pub(super) struct Selections {
    entities: HashMap<String, BTreeSet<(bool, u64)>>,
    senders: BTreeSet<(Source, bool, u64)>,
}

impl Selections {
    /// Notes an unfinished message.
    pub(super) fn add(&mut self, record: &Record, in_work: bool) {
        let posted = record.content.posted;
        match self.entities.get_mut(entity(record)) {
            Some(messages) => drop(messages.insert((in_work, posted))),
            None => {
                self.entities.insert(entity(record).to_owned(), BTreeSet::from([(in_work, posted)]));
            }
        }
        self.senders.extend(senders(record).map(|by| (by, in_work, posted)));
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, record: &Record, in_work: bool) {
        let posted = record.content.posted;
        if let Some(messages) = self.entities.get_mut(entity(record)) {
            messages.remove(&(in_work, posted));
            if messages.is_empty() {
                self.entities.remove(entity(record));
            }
        }
        for by in senders(record) {
            self.senders.remove(&(by, in_work, posted));
        }
    }

    /// The first of those that wait, and with `in_work` of the others behind them.
    fn first(&self, which: &Selection, in_work: bool, most: usize) -> Vec<u64> {
        let by = match which {
            Selection::Entity(entity) => {
                let Some(messages) = self.entities.get(entity) else { return Vec::new() };
                let messages = messages.range(..=(in_work, u64::MAX));
                return messages.take(most).map(|(_, posted)| *posted).collect();
            }
            Selection::Author(key) => Source::Author(*key),
            Selection::Address(key) => Source::Address(*key),
        };
        let theirs = self.senders.range((by, false, 0)..=(by, in_work, u64::MAX));
        theirs.take(most).map(|(_, _, posted)| *posted).collect()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entities.is_empty() && self.senders.is_empty()
    }
}

fn senders(record: &Record) -> impl Iterator<Item = Source> + use<> {
    let sender = record.content.sender;
    sender.into_iter().flat_map(|sender| [Source::Author(sender.author), Source::Address(sender.address)])
}

impl Queue {
    /// Finds out which messages are meant.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a message that came from nobody with an author or an address.
    pub fn select(&self, selector: &Selector) -> Result<Selection, Rejection> {
        let (id, field) = match selector {
            Selector::Plain(selection) => return Ok(selection.clone()),
            Selector::AuthorOf(id) => (*id, "author_of"),
            Selector::AddressOf(id) => (*id, "address_of"),
        };
        let record = self.record(id).ok_or(Rejection::NotFound(id))?;
        let sender = record.content.sender.ok_or_else(|| {
            let why = "must be a message of a visitor";
            Rejection::field(field, format!("{why}, {id} is a bot's or was posted with a token"))
        })?;
        Ok(match selector {
            Selector::AddressOf(_) => Selection::Address(sender.address),
            Selector::Plain(_) | Selector::AuthorOf(_) => Selection::Author(sender.author),
        })
    }

    /// Cancels what waits of a selection, the oldest first, and with `in_work` what workers hold: at most `most` messages.
    /// It is entered into the log as one act; `before` is the entry of the pieces before this one.
    pub fn cancel_all(
        &mut self,
        which: Selection,
        in_work: bool,
        most: usize,
        (before, deed): (Option<Act>, Deed),
        wall: Millis,
    ) -> Cancelled {
        let mut found = self.selections.first(&which, in_work, most.saturating_add(1));
        let more = found.len() > most;
        found.truncate(most);
        let records: Vec<_> = found
            .into_iter()
            .filter_map(|posted| self.live(posted))
            .map(|live| live.record.clone())
            .collect();
        let count = records.len();
        let mut seq = 0;
        for record in records {
            seq = self.cancelled(record).state.seq;
        }
        let act = match before {
            before if count == 0 => before,
            Some(act) => Some(self.enter_more(act, count as u64)),
            None => Some(self.enter(Deed { on: Target::All(which.clone()), ..deed }, count as u64, wall)),
        };
        Cancelled { which, count, more, seq, act }
    }
}
