//! Those who follow the feed through all kills: by watches, by cursors and by time stamps. None may miss a change.

use std::collections::HashSet;

use e2e::Watch;
use rand::RngExt;
use repartee_proto::v1::{
    Change, Message, Status, WatchMessagesRequest, WatchMode, watch_messages_response::Event,
};

use super::{Cast, Client, pace};
use crate::{
    history::{Answer, Seen, Watched},
    link::Link,
    request::{From, Request},
};

/// Follows a domain, or all, by one watch after the other, each from the cursor where the one before ended.
pub(super) async fn watch(cast: Cast, name: &'static str, domain: &'static str) {
    let mut link = Link::new(cast.life.clone());
    let (mut cursor, mut open) = (cast.origin.clone(), HashSet::new());
    loop {
        let client = link.client().await;
        let life = link.current();
        let request =
            WatchMessagesRequest { cursor: Some(cursor.clone()), domain: domain.to_owned(), drafts: false };
        if let Ok(mut watch) = client.watch(request).await {
            let number = cast.recorder.watch(Watched {
                by: name.to_owned(),
                domain: domain.to_owned(),
                from: cursor.clone(),
                epoch: watch.hello.epoch.clone(),
                resumed: watch.hello.mode() == WatchMode::Resumed,
                changes: Vec::new(),
            });
            while let Some(seen) = next_change(&mut watch).await {
                cursor.clone_from(&seen.cursor);
                count_open(&mut open, &seen.message);
                cast.recorder.saw(number, seen);
                cast.has_come_to(name, cursor.clone());
                if domain.is_empty() {
                    cast.open.send_replace(open.len());
                }
            }
        }
        link.cut(life);
    }
}

/// The next change; none once the watch ends, says good-bye or begins anew.
async fn next_change(watch: &mut Watch) -> Option<Seen> {
    match watch.event().await {
        Ok(Some(Event::Change(change))) => Some(change.into()),
        Ok(Some(_) | None) | Err(_) => None,
    }
}

impl std::convert::From<Change> for Seen {
    fn from(change: Change) -> Self {
        Self {
            kind: change.kind(),
            seq: change.seq,
            cursor: change.cursor,
            caught_up: change.caught_up,
            message: change.message.expect("a change holds its message"),
        }
    }
}

/// Keeps the ids of messages that are pending or processing.
fn count_open(open: &mut HashSet<String>, message: &Message) {
    let status = message.bot_params.as_ref().map(|bot| bot.status());
    if matches!(status, Some(Status::Pending | Status::Processing)) {
        open.insert(message.id.clone());
    } else {
        open.remove(&message.id);
    }
}

/// Follows a domain, or all, by the time stamp of the last message that was seen; now and then it looks at the newest page.
pub(super) async fn poll_by_stamp(cast: Cast, mut client: Client, domain: &'static str, limit: u32) {
    let (mut pace, mut after) = (pace(20), 1);
    loop {
        if client.random.random_ratio(1, 20) {
            client.call(Request::Page { domain: domain.to_owned(), from: From::Newest, limit }).await;
        }
        let page = Request::Page { domain: domain.to_owned(), from: From::Stamp(after), limit };
        let mut follows = false;
        if let Some(Answer::Page { messages, more, .. }) = client.ask(page).await {
            after = messages.last().map_or(after, |last| last.timestamp);
            cast.has_come_to(&client.name, after.to_string());
            follows = more;
        }
        if !follows {
            pace.tick().await;
        }
    }
}

/// Follows a domain, or all, by the cursor of the last page that was seen.
pub(super) async fn poll_by_cursor(cast: Cast, mut client: Client, domain: &'static str, limit: u32) {
    let (mut pace, mut cursor) = (pace(20), cast.origin.clone());
    loop {
        let page = Request::Page { domain: domain.to_owned(), from: From::Cursor(cursor.clone()), limit };
        let mut follows = false;
        if let Some(Answer::Page { next, more, .. }) = client.ask(page).await {
            cursor = next;
            cast.has_come_to(&client.name, cursor.clone());
            follows = more;
        }
        if !follows {
            pace.tick().await;
        }
    }
}
