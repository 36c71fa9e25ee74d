//! The log as a reader sees it: every change from the first on, read by cursor across all restarts.

use std::collections::{HashMap, HashSet};

use e2e::{Grpc, watch_from};
use repartee_proto::v1::{Change, ChangeKind, Message, WatchHello, WatchMode};

/// All changes that were read, and where each life of the service ended.
#[derive(Debug)]
pub(crate) struct Log {
    hello: WatchHello,
    changes: Vec<Entry>,
    replies: HashMap<String, String>,
    cursor: String,
    ends_of_lives: Vec<usize>,
}

/// One change.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) message: Message,
}

impl From<Change> for Entry {
    fn from(change: Change) -> Self {
        let kind = change.kind();
        Self { seq: change.seq, kind, message: change.message.expect("a change holds its message") }
    }
}

impl From<WatchHello> for Log {
    /// An empty log that begins at the tail which `hello` tells.
    fn from(hello: WatchHello) -> Self {
        Self {
            cursor: hello.tail.clone(),
            hello,
            changes: Vec::new(),
            replies: HashMap::new(),
            ends_of_lives: Vec::new(),
        }
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.changes == other.changes && self.cursor == other.cursor
    }
}

impl Log {
    /// Where the log began.
    pub(crate) fn hello(&self) -> &WatchHello {
        &self.hello
    }

    /// Where reading goes on.
    pub(crate) fn cursor(&self) -> String {
        self.cursor.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// The change with this number.
    pub(crate) fn entry(&self, seq: u64) -> Option<&Entry> {
        let first = self.changes.first()?.seq;
        self.changes.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Id of the one reply to a question.
    pub(crate) fn reply_to(&self, question: &str) -> Option<&str> {
        self.replies.get(question).map(String::as_str)
    }

    /// Reads all that is new at the start of a life of the service, from the cursor of the life before.
    pub(crate) async fn read_on(&mut self, client: &Grpc) {
        self.ends_of_lives.push(self.changes.len());
        let mut watch = client.watch(watch_from(&self.cursor)).await.expect("a watch by an old cursor");
        assert_eq!(watch.hello.mode(), WatchMode::Resumed, "a cursor outlives a kill");
        assert_eq!(watch.hello.epoch, self.hello.epoch, "the log is still the same one");
        let tail = watch.hello.tail.clone();
        if tail != self.cursor {
            watch.up_to(&tail).await.into_iter().for_each(|change| self.push(change));
        }
    }

    /// Follows the feed until no question is left without an answer.
    pub(crate) async fn follow_until_all_is_answered(&mut self, client: &Grpc) {
        self.read_on(client).await;
        let mut open = HashSet::new();
        self.changes.iter().for_each(|entry| track(&mut open, entry));
        let mut watch = client.watch(watch_from(&self.cursor)).await.expect("a watch by cursor");
        while !open.is_empty() {
            self.push(watch.change().await);
            self.changes.last().into_iter().for_each(|entry| track(&mut open, entry));
        }
    }

    fn push(&mut self, change: Change) {
        if let Some(last) = self.changes.last() {
            assert_eq!(change.seq, last.seq + 1, "numbers have no gap");
        }
        self.cursor.clone_from(&change.cursor);
        let entry = Entry::from(change);
        if let (ChangeKind::Posted, Some(question)) = (entry.kind, &entry.message.reply_to) {
            self.replies.insert(question.clone(), entry.message.id.clone());
        }
        self.changes.push(entry);
    }

    /// Checks what has to hold in every log: nothing twice, and time goes on.
    pub(crate) fn check(&self) {
        let (mut texts, mut answered, mut completed) = (HashMap::new(), HashSet::new(), HashSet::new());
        let mut last = 0;
        for (index, entry) in self.changes.iter().enumerate() {
            let message = &entry.message;
            assert_eq!(message.seq, entry.seq, "a message tells the number of its last change");
            match entry.kind {
                ChangeKind::Posted => {
                    // One commit may post several messages in one timestamp, but no commit outlives a kill.
                    let new_life = self.ends_of_lives.contains(&index);
                    assert!(
                        message.timestamp > last || (message.timestamp == last && !new_life),
                        "{entry:?} after {last}"
                    );
                    last = message.timestamp;
                    assert_eq!(texts.insert(&message.text, &message.id), None, "posted twice: {entry:?}");
                    if let Some(question) = &message.reply_to {
                        assert!(answered.insert(question), "answered twice: {entry:?}");
                    }
                }
                ChangeKind::Completed => assert!(completed.insert(&message.id), "completed twice: {entry:?}"),
                ChangeKind::Claimed | ChangeKind::Expired => {}
                other => panic!("nobody asked for {other:?}: {entry:?}"),
            }
        }
        assert_eq!(answered, completed, "a reply and the completion that brought it come together");
    }

    /// Checks that whoever followed the feed live has seen this log, change by change.
    pub(crate) fn assert_begins_with(&self, watched: &[Entry]) {
        assert!(!watched.is_empty() && watched.len() <= self.changes.len());
        for (seen, entry) in watched.iter().zip(&self.changes) {
            assert_eq!(seen, entry, "a change that was seen is the one that is kept");
        }
    }
}

/// Keeps the ids of questions without an answer.
fn track(open: &mut HashSet<String>, entry: &Entry) {
    if entry.kind == ChangeKind::Posted && entry.message.bot_params.is_some() {
        open.insert(entry.message.id.clone());
    } else if entry.kind == ChangeKind::Completed {
        open.remove(&entry.message.id);
    }
}
