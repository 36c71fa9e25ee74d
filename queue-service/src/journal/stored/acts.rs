//! The log of operators' acts as it is stored.

use prost::Message;
use uuid::Uuid;

use super::FormatError;
use crate::domain::{Act, ActKind, Actor, Deed, Selection, SenderKey, Target};

/// What an operator did; its number is in the key.
#[derive(Clone, PartialEq, Message)]
pub(in crate::journal) struct StoredAct {
    #[prost(int64, tag = "1")]
    at: i64,
    #[prost(string, tag = "2")]
    token_id: String,
    #[prost(string, tag = "3")]
    token_name: String,
    /// 0 cancel, 1 retry, 2 edit, 3 delete, 4 pause, 5 resume, 6 hide, 7 restore, 8 block, 9 unblock.
    #[prost(uint32, tag = "4")]
    kind: u32,
    /// One of these four says on what.
    #[prost(bytes = "vec", optional, tag = "5")]
    message: Option<Vec<u8>>,
    #[prost(string, optional, tag = "6")]
    entity: Option<String>,
    #[prost(bytes = "vec", optional, tag = "7")]
    author: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "8")]
    address: Option<Vec<u8>>,
    #[prost(string, tag = "9")]
    detail: String,
    #[prost(string, tag = "10")]
    reason: String,
    #[prost(uint64, tag = "11")]
    count: u64,
}

impl StoredAct {
    pub(in crate::journal) fn of(act: &Act) -> Self {
        let Act { at, deed: Deed { by, kind, on, detail, reason }, count, number: _ } = act;
        let mut stored = Self {
            at: *at,
            token_id: by.token_id.clone(),
            token_name: by.name.clone(),
            kind: kind_number(*kind),
            detail: detail.clone(),
            reason: reason.clone(),
            count: *count,
            ..Self::default()
        };
        match on {
            Target::Message(id) => stored.message = Some(id.as_bytes().to_vec()),
            Target::All(Selection::Entity(entity)) => stored.entity = Some(entity.clone()),
            Target::All(Selection::Author(key)) => stored.author = Some(key.0.to_vec()),
            Target::All(Selection::Address(key)) => stored.address = Some(key.0.to_vec()),
        }
        stored
    }

    pub(in crate::journal) fn into_act(self, number: u64) -> Result<Act, FormatError> {
        let key = |bytes: &[u8], field| super::convert::bytes16(bytes, field).map(SenderKey);
        let on = match (&self.message, self.entity, &self.author, &self.address) {
            (Some(id), None, None, None) => {
                Target::Message(Uuid::from_bytes(super::convert::bytes16(id, "message")?))
            }
            (None, Some(entity), None, None) => Target::All(Selection::Entity(entity)),
            (None, None, Some(author), None) => Target::All(Selection::Author(key(author, "author")?)),
            (None, None, None, Some(address)) => Target::All(Selection::Address(key(address, "address")?)),
            _ => return Err(FormatError::Field("on")),
        };
        let by = Actor { token_id: self.token_id, name: self.token_name };
        let kind = kind_of(self.kind)?;
        let deed = Deed { by, kind, on, detail: self.detail, reason: self.reason };
        Ok(Act { number, at: self.at, deed, count: self.count })
    }
}

fn kind_number(kind: ActKind) -> u32 {
    match kind {
        ActKind::Cancel => 0,
        ActKind::Retry => 1,
        ActKind::Edit => 2,
        ActKind::Delete => 3,
        ActKind::Pause => 4,
        ActKind::Resume => 5,
        ActKind::Hide => 6,
        ActKind::Restore => 7,
        ActKind::Block => 8,
        ActKind::Unblock => 9,
    }
}

fn kind_of(number: u32) -> Result<ActKind, FormatError> {
    Ok(match number {
        0 => ActKind::Cancel,
        1 => ActKind::Retry,
        2 => ActKind::Edit,
        3 => ActKind::Delete,
        4 => ActKind::Pause,
        5 => ActKind::Resume,
        6 => ActKind::Hide,
        7 => ActKind::Restore,
        8 => ActKind::Block,
        9 => ActKind::Unblock,
        _ => return Err(FormatError::Field("kind")),
    })
}
