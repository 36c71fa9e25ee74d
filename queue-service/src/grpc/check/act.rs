//! What operators ask for.

use prost_types::Duration;

use super::{millis, uuid};
use crate::domain::{Checks, Limits, Millis, Rejection, Selection, Selector, SenderKey, Source};

/// Shortest and longest block: 1 s and 365 d.
const BLOCK_RANGE_MS: (Millis, Millis) = (1_000, 365 * 24 * 60 * 60 * 1_000);
/// Longest reason, in characters.
pub(super) const REASON_CHARS: u32 = 200;

/// Whose messages are meant, as the request says it.
pub(in crate::grpc) enum Which {
    Entity(String),
    Author(String),
    Address(String),
    AuthorOf(String),
    AddressOf(String),
}

/// Why an operator acts: one line, or nothing.
pub(in crate::grpc) fn reason(limits: &Limits, reason: String) -> Result<String, Rejection> {
    let mut checks = Checks::new(limits);
    checks.chars("reason", &reason, 0, REASON_CHARS);
    checks.done()?;
    Ok(reason)
}

/// How long somebody is blocked.
pub(in crate::grpc) fn block(limits: &Limits, span: Option<Duration>) -> Result<Millis, Rejection> {
    let mut checks = Checks::new(limits);
    let Some(span) = span else {
        return Err(Rejection::field("duration", "is missing: how long the block is to last"));
    };
    let span = millis(&mut checks, "duration", span, BLOCK_RANGE_MS);
    checks.done()?;
    Ok(span)
}

/// Who is meant, named by what stands for them.
pub(in crate::grpc) fn source(
    limits: &Limits,
    which: Option<Which>,
    why: String,
) -> Result<(Source, String), Rejection> {
    let missing = || Rejection::field("author", "or address must be given");
    let (selector, why) = selector(limits, Some(which.ok_or_else(missing)?), why)?;
    let source = match selector {
        Selector::Plain(selection) => selection.source(),
        Selector::AuthorOf(_) | Selector::AddressOf(_) => None,
    };
    source.map(|source| (source, why)).ok_or_else(missing)
}

/// Where a list of blocks goes on.
pub(in crate::grpc) fn blocks_after(after: &str) -> Result<Option<Source>, Rejection> {
    let source = match after.split_once(':') {
        None if after.is_empty() => return Ok(None),
        Some(("author", key)) => SenderKey::from_hex(key).map(Source::Author),
        Some(("address", key)) => SenderKey::from_hex(key).map(Source::Address),
        _ => None,
    };
    source.map(Some).ok_or_else(|| {
        let shown: String = after.chars().take(80).collect();
        Rejection::field("after", format!("must be next_after of an earlier answer, is {shown:?}"))
    })
}

/// Whose messages are meant, and why.
pub(in crate::grpc) fn selector(
    limits: &Limits,
    which: Option<Which>,
    why: String,
) -> Result<(Selector, String), Rejection> {
    let Some(which) = which else {
        return Err(Rejection::field("entity", "or author, address, author_of or address_of must be given"));
    };
    let mut checks = Checks::new(limits);
    checks.chars("reason", &why, 0, REASON_CHARS);
    let nobody = SenderKey([0; 16]);
    let selector = match which {
        Which::Entity(mut entity) => {
            checks.name("entity", &mut entity);
            Selector::Plain(Selection::Entity(entity))
        }
        Which::Author(digest) => {
            Selector::Plain(Selection::Author(key(&mut checks, "author", &digest).unwrap_or(nobody)))
        }
        Which::Address(digest) => {
            Selector::Plain(Selection::Address(key(&mut checks, "address", &digest).unwrap_or(nobody)))
        }
        Which::AuthorOf(id) => Selector::AuthorOf(uuid(&mut checks, "author_of", &id).unwrap_or_default()),
        Which::AddressOf(id) => Selector::AddressOf(uuid(&mut checks, "address_of", &id).unwrap_or_default()),
    };
    checks.done()?;
    Ok((selector, why))
}

/// What stands for an author or an address.
pub(super) fn key(checks: &mut Checks<'_>, field: &str, digest: &str) -> Option<SenderKey> {
    let key = SenderKey::from_hex(digest);
    if key.is_none() {
        let shown: String = digest.chars().take(40).collect();
        checks
            .refuse(field, format!("must be 32 hex digits, as lists for operators show them, is {shown:?}"));
    }
    key
}
