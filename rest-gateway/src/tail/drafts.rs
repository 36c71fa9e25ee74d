//! What bots are writing at this moment, for those who follow by stream: for each message the newest text, written as an
//! event once. In memory only, and bounded; whoever does not see one misses nothing that is not in the reply.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use metrics::{Counter, counter};
use parking_lot::Mutex;
use repartee_proto::v1;
use serde::Serialize;

/// Messages whose drafts are kept; the oldest leave.
const MOST: usize = 1_000;
/// Drafts that a client is told of at once: so many may wait for one that does not read.
const AT_ONCE: usize = 16;

/// The drafts of all domains.
#[derive(Debug)]
pub(super) struct Drafts {
    table: Mutex<Table>,
    /// Number of the last step, so that nobody locks for nothing.
    last: AtomicU64,
    /// How often a draft has grown or ended.
    updates: Counter,
}

impl Default for Drafts {
    fn default() -> Self {
        let updates = counter!("repartee_draft_updates_total");
        // It is there before the first draft.
        updates.increment(0);
        Self { table: Mutex::default(), last: AtomicU64::new(0), updates }
    }
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    steps: BTreeMap<u64, Kept>,
    messages: HashMap<Arc<str>, u64>,
}

#[derive(Debug)]
struct Kept {
    id: Arc<str>,
    domain: Arc<str>,
    event: Bytes,
    ended: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    message_id: &'a str,
    text: &'a str,
    ended: bool,
}

impl Drafts {
    /// Takes in what a bot has written.
    pub(super) fn put(&self, draft: &v1::Draft) {
        self.updates.increment(1);
        let mut table = self.table.lock();
        table.put(draft.message_id.as_str().into(), draft.domain.as_str().into(), &draft.text, draft.ended);
        self.last.store(table.last, Ordering::Release);
    }

    /// How many are being written now.
    pub(super) fn count_open(&self) -> usize {
        self.table.lock().steps.values().filter(|kept| !kept.ended).count()
    }

    /// This message has changed: what was written in answer to it is of no interest any more.
    pub(super) fn forget(&self, id: &str) {
        if self.last.load(Ordering::Acquire) > 0 {
            self.table.lock().remove(id);
        }
    }

    /// Nobody can say who writes on: all drafts end. Gives their domains.
    pub(super) fn end_all(&self) -> Vec<Arc<str>> {
        let mut table = self.table.lock();
        let open: Vec<_> = table.steps.values().filter(|kept| !kept.ended).collect();
        let open: Vec<_> = open.iter().map(|kept| (Arc::clone(&kept.id), Arc::clone(&kept.domain))).collect();
        for (id, domain) in &open {
            table.put(Arc::clone(id), Arc::clone(domain), "", true);
        }
        self.last.store(table.last, Ordering::Release);
        open.into_iter().map(|(_, domain)| domain).collect()
    }

    /// The first events of a domain, of all where it is empty, after step `seen`, which moves on behind them. A client that
    /// has just come is told of no ends.
    pub(super) fn after(&self, domain: &str, seen: &mut u64) -> Vec<Bytes> {
        if self.last.load(Ordering::Acquire) <= *seen {
            return Vec::new();
        }
        let (table, is_new) = (self.table.lock(), *seen == 0);
        let wanted = |kept: &&Kept| (domain.is_empty() || *kept.domain == *domain) && !(is_new && kept.ended);
        let events = table.steps.range(*seen + 1..).filter(|(_, kept)| wanted(kept)).take(AT_ONCE);
        let (steps, events): (Vec<u64>, Vec<Bytes>) =
            events.map(|(step, kept)| (*step, kept.event.clone())).unzip();
        *seen = steps.last().copied().filter(|_| steps.len() == AT_ONCE).unwrap_or(table.last);
        events
    }
}

impl Table {
    fn put(&mut self, id: Arc<str>, domain: Arc<str>, text: &str, ended: bool) {
        self.remove(&id);
        self.last += 1;
        let data = Data { message_id: &id, text, ended };
        let data = serde_json::to_string(&data).expect("a draft is plain values");
        let event = format!("event: draft\ndata: {data}\n\n").into();
        self.messages.insert(Arc::clone(&id), self.last);
        self.steps.insert(self.last, Kept { id, domain, event, ended });
        while self.steps.len() > MOST
            && let Some((_, oldest)) = self.steps.pop_first()
        {
            self.messages.remove(&oldest.id);
        }
    }

    fn remove(&mut self, id: &str) {
        if let Some(step) = self.messages.remove(id) {
            self.steps.remove(&step);
        }
    }
}

#[cfg(test)]
mod tests {
    use repartee_proto::v1;

    use super::{AT_ONCE, Drafts, MOST};

    fn draft(id: &str, domain: &str, text: &str, ended: bool) -> v1::Draft {
        let (message_id, domain, text) = (id.to_owned(), domain.to_owned(), text.to_owned());
        v1::Draft { message_id, domain, text, ended }
    }

    fn told(drafts: &Drafts, domain: &str, seen: &mut u64) -> Vec<String> {
        let text = |event: bytes::Bytes| String::from_utf8(event.to_vec()).unwrap();
        drafts.after(domain, seen).into_iter().map(text).collect()
    }

    #[test]
    fn a_client_is_told_of_the_newest_text_of_its_domain_only() {
        let (drafts, mut seen) = (Drafts::default(), 0);
        drafts.put(&draft("a", "d", "I", false));
        drafts.put(&draft("b", "elsewhere", "We", false));
        drafts.put(&draft("a", "d", "I \"think\"\n", false));
        let event =
            "event: draft\ndata: {\"messageId\":\"a\",\"text\":\"I \\\"think\\\"\\n\",\"ended\":false}\n\n";
        assert_eq!(told(&drafts, "d", &mut seen), [event]);
        assert!(told(&drafts, "d", &mut seen).is_empty());
        drafts.put(&draft("a", "d", "", true));
        assert_eq!(told(&drafts, "d", &mut seen).len(), 1);
        assert_eq!(told(&drafts, "", &mut 0).len(), 1, "who comes now is told of no end");
    }

    #[test]
    fn drafts_end_with_their_message_and_with_the_stream_that_brings_them() {
        let (drafts, mut seen) = (Drafts::default(), 0);
        for id in ["a", "b"] {
            drafts.put(&draft(id, "d", "x", false));
        }
        drafts.forget("a");
        assert_eq!(told(&drafts, "d", &mut seen).len(), 1);
        assert_eq!(drafts.end_all(), ["d".into()]);
        assert!(told(&drafts, "d", &mut seen)[0].contains("\"ended\":true"));
        assert!(drafts.end_all().is_empty());
    }

    #[test]
    fn drafts_are_bounded_and_the_oldest_leave() {
        let drafts = Drafts::default();
        for id in 0..MOST + 5 {
            drafts.put(&draft(&id.to_string(), "d", "x", false));
        }
        let (mut seen, mut kept) = (0, Vec::new());
        loop {
            let some = told(&drafts, "d", &mut seen);
            assert!(some.len() <= AT_ONCE, "a client holds a few at once");
            if some.is_empty() {
                break;
            }
            kept.extend(some);
        }
        assert_eq!(kept.len(), MOST);
        assert!(kept[0].contains("\"messageId\":\"5\""), "{}", kept[0]);
    }
}
