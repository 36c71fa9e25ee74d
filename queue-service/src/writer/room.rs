//! The room before the writer: how many commands may wait, and how many bytes they may hold.

use repartee_process::{Bound, Fill, Full, Place};

use crate::domain::{Address, LeaseRef, NewMessage, OwnName, Proof, Reply, Update};

/// What every command takes, whatever it says: itself, its rule, the way back. By estimate.
const COMMAND_BYTES: usize = 512;

/// How much may wait for the writer.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Commands.
    pub commands: u32,
    /// Bytes that they hold, by estimate.
    pub bytes: u32,
}

/// What waits for the writer; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    commands: Bound,
    bytes: Bound,
}

/// What one command takes until its rule has decided it.
#[derive(Debug)]
pub(super) struct Taken {
    _command: Place,
    _bytes: Place,
}

impl Waiting {
    pub(super) fn new(room: Room) -> Self {
        Self {
            commands: Bound::new("commands", room.commands),
            bytes: Bound::new("command_bytes", room.bytes),
        }
    }

    /// Lets a command in that says so many bytes. One that is larger than all the room gets in where nothing waits.
    pub(super) fn enter(&self, bytes: usize) -> Result<Taken, Full> {
        let bytes = u32::try_from(bytes.saturating_add(COMMAND_BYTES)).unwrap_or(u32::MAX);
        Ok(Taken { _command: self.commands.enter(1)?, _bytes: self.bytes.enter(bytes)? })
    }

    /// Refuses as [`Self::enter`] would refuse a command that says nothing, and lets nothing in.
    pub(super) fn check(&self) -> Result<(), Full> {
        let full = [(&self.commands, 1), (&self.bytes, COMMAND_BYTES as u32)]
            .into_iter()
            .find(|(bound, amount)| !bound.has_room(*amount));
        full.map_or(Ok(()), |(bound, _)| Err(bound.refuse()))
    }

    /// Nobody gets in: the channel is full, also of what is no command.
    pub(super) fn refuse(&self) -> Full {
        self.commands.refuse()
    }

    pub(super) fn fill(&self) -> [Fill; 2] {
        [self.commands.fill(), self.bytes.fill()]
    }
}

/// Bytes of a message that is to be stored.
pub(super) fn of_post(new: &NewMessage) -> usize {
    let NewMessage { domain, text, username, color, address, human, session_id, .. } = new;
    let said = [domain, text, username, color].map(String::len);
    let human = human.as_ref().map_or(0, |(name, color)| name.len() + color.len());
    let address =
        address.as_ref().map_or(0, |Address { entity, ai_username, ai_color, session_id, .. }| {
            entity.len() + ai_username.len() + ai_color.len() + of_text(session_id.as_ref())
        });
    size_of::<NewMessage>() + said.iter().sum::<usize>() + human + address + of_text(session_id.as_ref())
}

/// Bytes of a claim's name.
pub(super) fn of_lease(lease: &LeaseRef) -> usize {
    let worker = match &lease.proof {
        Proof::Lease(_) => 0,
        Proof::Worker(OwnName { token_id, name }) => name.len() + token_id.as_ref().map_or(0, |id| id.len()),
    };
    size_of::<LeaseRef>() + worker
}

/// Bytes of a completion.
pub(super) fn of_completion((lease, reply): &(LeaseRef, Option<Reply>)) -> usize {
    of_lease(lease) + size_of::<Reply>() + of_text(reply.as_ref().map(|reply| &reply.text))
}

/// Bytes of an edit.
pub(super) fn of_update(update: &Update) -> usize {
    of_text(update.text.as_ref())
}

fn of_text(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}
