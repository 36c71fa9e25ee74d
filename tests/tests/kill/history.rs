//! What the clients were told, kept outside of the service, so that the service can be held to it.

use std::sync::{Mutex, MutexGuard};

use e2e::Grpc;
use rand::{RngExt, rngs::StdRng};
use repartee_proto::v1::{ChangeKind, CompleteMessageResponse, Message, NewMessage, PostMessageResponse};
use tokio::sync::watch;

use crate::log::Log;

/// One acknowledged change: this happened to this message, under this number.
#[derive(Debug, Clone)]
struct Fact {
    seq: u64,
    kind: ChangeKind,
    message: Message,
}

/// A post under an idempotency key, and what it was answered first.
#[derive(Debug, Clone)]
struct Keyed {
    key: String,
    message: NewMessage,
    answer: PostMessageResponse,
}

#[derive(Debug, Default)]
struct Acknowledged {
    facts: Vec<Fact>,
    replies: Vec<(String, String)>,
    keyed: Vec<Keyed>,
}

/// Everything that was acknowledged to any client.
#[derive(Debug, Default)]
pub(crate) struct History {
    acknowledged: Mutex<Acknowledged>,
    count: watch::Sender<usize>,
}

impl History {
    /// A post was acknowledged. A replay tells the first answer again and is no new change.
    pub(crate) fn posted(&self, key: Option<&str>, message: NewMessage, answer: PostMessageResponse) {
        let stored = answer.message.clone().expect("the answer holds the message");
        if !answer.replayed {
            self.changed(ChangeKind::Posted, stored);
        }
        if let Some(key) = key {
            self.lock().keyed.push(Keyed { key: key.to_owned(), message, answer });
        }
    }

    /// A claim was acknowledged, or delivered.
    pub(crate) fn claimed(&self, message: &Message) {
        self.changed(ChangeKind::Claimed, message.clone());
    }

    /// A completion was acknowledged.
    pub(crate) fn completed(&self, answer: CompleteMessageResponse) {
        let message = answer.message.expect("the answer holds the message");
        let reply_id = answer.reply_id.expect("every completion of this test brings a reply");
        self.lock().replies.push((message.id.clone(), reply_id));
        self.changed(ChangeKind::Completed, message);
    }

    fn changed(&self, kind: ChangeKind, message: Message) {
        self.lock().facts.push(Fact { seq: message.seq, kind, message });
        self.count.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().expect("nobody panics while holding it")
    }

    /// How many changes were acknowledged.
    pub(crate) fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until something more is acknowledged.
    pub(crate) async fn grown(&self) {
        self.count.subscribe().changed().await.expect("the history lives as long as the test");
    }

    /// Checks that everything acknowledged stands in the log as it was acknowledged.
    pub(crate) fn check(&self, log: &Log) {
        let acknowledged = self.lock();
        for fact in &acknowledged.facts {
            let entry = log.entry(fact.seq).unwrap_or_else(|| panic!("acknowledged and lost: {fact:?}"));
            assert_eq!(
                (entry.kind, &entry.message),
                (fact.kind, &fact.message),
                "another change stands at {}",
                fact.seq
            );
        }
        for (question, reply) in &acknowledged.replies {
            assert_eq!(log.reply_to(question), Some(reply.as_str()), "the reply to {question}");
        }
    }

    /// Posts again under a key from any earlier life: the first answer comes back.
    pub(crate) async fn assert_a_key_still_works(&self, client: &Grpc, random: &mut StdRng) {
        let Keyed { key, message, answer } = {
            let acknowledged = self.lock();
            if acknowledged.keyed.is_empty() {
                return;
            }
            acknowledged.keyed[random.random_range(0..acknowledged.keyed.len())].clone()
        };
        let again = client.post_with_key(message, Some(&key)).await.expect("a replay is answered");
        let first = answer.message.as_ref().map(|message| (&message.id, message.timestamp));
        assert_eq!(
            again.message.as_ref().map(|message| (&message.id, message.timestamp)),
            first,
            "the key {key}"
        );
        assert_eq!(again.edit_token, answer.edit_token, "the key {key}");
        assert!(again.replayed, "the key {key}");
    }
}
