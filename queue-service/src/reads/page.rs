//! Where a page ends: not only after so many messages, but after so many bytes too.
//!
//! A page of time stamps ends between two of them. All messages of one time stamp come from one commit, which has at most
//! 1 MiB of text, so the largest page is one such commit: a little more than 1 MiB over gRPC. What is counted is what a
//! message takes as JSON, in which a control character takes six bytes.

use crate::{domain::Record, views::Room};

/// Bytes on a page.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;
/// What a message takes beside its texts: ids, numbers, and the names of fields.
const FIELDS: usize = 640;
/// What a room takes beside its name.
const ROOM_FIELDS: usize = 64;

/// What a message takes on a page, in bytes, by estimate.
pub(crate) fn weight(record: &Record) -> usize {
    let content = &record.content;
    let names = [&content.username, &content.color, &content.domain].map(|name| written(name));
    let address = content.address.as_ref().map_or(0, |address| {
        let names = [&address.entity, &address.ai_username, &address.ai_color].map(|name| written(name));
        names.iter().sum::<usize>() + address.session_id.as_ref().map_or(0, |id| written(id))
    });
    let work = record.state.work.as_ref().map_or(0, |work| {
        work.errors.iter().map(|error| written(error)).sum::<usize>()
            + work.claim.as_ref().map_or(0, |claim| written(&claim.worker.name))
    });
    FIELDS + written(&content.text) + names.iter().sum::<usize>() + address + work
}

/// How many of these messages, from the first on, make a page: whole time stamps, at least one.
pub(super) fn whole_stamps<'a>(records: impl Iterator<Item = &'a Record>) -> usize {
    let (mut count, mut whole, mut bytes, mut stamp) = (0, 0, 0, None);
    for record in records {
        if stamp.is_some_and(|stamp| stamp != record.content.timestamp) {
            whole = count;
        }
        bytes += weight(record);
        if bytes > PAGE_BYTES && whole > 0 {
            return whole;
        }
        (count, stamp) = (count + 1, Some(record.content.timestamp));
    }
    count
}

/// How many of these messages, from the first on, make a page: at least one.
pub(super) fn at_least_one<'a>(records: impl Iterator<Item = &'a Record>) -> usize {
    let mut bytes = 0;
    let fits = |(index, record): &(usize, &Record)| {
        bytes += weight(record);
        *index == 0 || bytes <= PAGE_BYTES
    };
    records.enumerate().take_while(fits).count()
}

/// How many of these rooms, from the first on, make a page: at least one.
pub(super) fn rooms_at_least_one(rooms: &[Room]) -> usize {
    let mut bytes = 0;
    let fits = |(index, room): &(usize, &Room)| {
        bytes += ROOM_FIELDS + written(&room.domain);
        *index == 0 || bytes <= PAGE_BYTES
    };
    rooms.iter().enumerate().take_while(fits).count()
}

/// The length of a text as JSON, without its quotes.
fn written(text: &str) -> usize {
    let length = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(length).sum()
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn a_text_is_counted_as_json_writes_it() {
        for text in ["", "plain", "a\"b\\c", "line\nline\ttab\r", "\u{1}\u{1f}\u{8}\u{c}", "äöü€😀\u{7f}"]
        {
            assert_eq!(written(text) + 2, serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
    }
}
