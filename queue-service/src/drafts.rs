//! What bots are writing at this moment: for each message the newest text, in memory only.
//!
//! Nothing of it is stored, and nobody waits for it: who looks late sees the newest text alone, or that it has ended. It
//! knows no leases: whoever writes here was checked before.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

/// Ends that are remembered for those who look late; older ones are told by the change that ended the work.
const ENDS: usize = 256;

/// The drafts; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Drafts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    /// Number of the last step: each new text and each end is one.
    last: u64,
    steps: BTreeMap<u64, Draft>,
    messages: HashMap<Uuid, u64>,
    /// Messages whose draft has ended, oldest first.
    ended: VecDeque<Uuid>,
}

/// The newest text for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The message that is being answered.
    pub id: Uuid,
    /// Its domain.
    pub domain: Arc<str>,
    /// The text so far; empty once it has ended.
    pub text: Arc<str>,
    /// True once nobody writes on.
    pub ended: bool,
}

/// The right to write the draft of one message; it ends with this.
#[derive(Debug)]
pub(crate) struct Writing {
    drafts: Drafts,
    id: Uuid,
    domain: Arc<str>,
    /// The last step of this writer: another writer's draft is not ended.
    step: Option<u64>,
}

impl Default for Drafts {
    fn default() -> Self {
        Self(Arc::new(Shared { table: Mutex::default(), news: watch::Sender::new(0) }))
    }
}

impl Drafts {
    /// Begins a draft; nothing is shown before its first text.
    pub(crate) fn begin(&self, id: Uuid, domain: &str) -> Writing {
        Writing { drafts: self.clone(), id, domain: domain.into(), step: None }
    }

    /// Number of the last step, and of every later one. Subscribe before looking, so that nothing is missed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// What is new after step `seen`, in the order of the steps.
    pub(crate) fn after(&self, seen: u64) -> Vec<(u64, Draft)> {
        let table = self.0.table.lock();
        table.steps.range(seen + 1..).map(|(step, draft)| (*step, draft.clone())).collect()
    }

    fn put(&self, draft: Draft) -> u64 {
        let mut table = self.0.table.lock();
        table.last += 1;
        let (last, id, ended) = (table.last, draft.id, draft.ended);
        if let Some(before) = table.messages.insert(id, last) {
            table.steps.remove(&before);
        }
        table.steps.insert(last, draft);
        if ended {
            table.ended.push_back(id);
        }
        while table.ended.len() > ENDS
            && let Some(oldest) = table.ended.pop_front()
        {
            table.forget_end(oldest);
        }
        // Under the lock, so that the numbers rise.
        self.0.news.send_replace(last);
        last
    }
}

impl Table {
    fn forget_end(&mut self, id: Uuid) {
        if let Some(step) = self.messages.get(&id).copied()
            && self.steps.get(&step).is_some_and(|draft| draft.ended)
        {
            self.messages.remove(&id);
            self.steps.remove(&step);
        }
    }

    fn is_at(&self, id: Uuid, step: u64) -> bool {
        self.messages.get(&id) == Some(&step)
    }
}

impl Writing {
    /// Shows this text in place of what was there.
    pub(crate) fn show(&mut self, text: &str) {
        let (id, domain) = (self.id, Arc::clone(&self.domain));
        self.step = Some(self.drafts.put(Draft { id, domain, text: text.into(), ended: false }));
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let own = self.step.is_some_and(|step| self.drafts.0.table.lock().is_at(self.id, step));
        if own {
            let (id, domain) = (self.id, Arc::clone(&self.domain));
            self.drafts.put(Draft { id, domain, text: "".into(), ended: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Drafts, ENDS};

    fn texts(drafts: &Drafts, seen: u64) -> Vec<(u64, String, bool)> {
        drafts
            .after(seen)
            .into_iter()
            .map(|(step, draft)| (step, draft.text.to_string(), draft.ended))
            .collect()
    }

    #[test]
    fn the_newest_text_of_each_message_is_what_there_is() {
        let drafts = Drafts::default();
        let (mut one, mut two) =
            (drafts.begin(Uuid::from_u128(1), "d"), drafts.begin(Uuid::from_u128(2), "d"));
        assert!(texts(&drafts, 0).is_empty(), "nothing is shown before the first text");
        one.show("I");
        two.show("We");
        one.show("I think");
        assert_eq!(texts(&drafts, 0), [(2, "We".into(), false), (3, "I think".into(), false)]);
        assert_eq!(texts(&drafts, 2), [(3, "I think".into(), false)]);
        assert_eq!(*drafts.subscribe().borrow(), 3);
    }

    #[test]
    fn a_draft_ends_with_its_writer_and_not_with_one_before() {
        let drafts = Drafts::default();
        let mut first = drafts.begin(Uuid::from_u128(1), "d");
        first.show("lost");
        let mut second = drafts.begin(Uuid::from_u128(1), "d");
        second.show("mine");
        drop(first);
        assert_eq!(texts(&drafts, 0), [(2, "mine".into(), false)]);
        drop(second);
        assert_eq!(texts(&drafts, 0), [(3, String::new(), true)]);
    }

    #[test]
    fn ends_are_forgotten_in_the_order_in_which_they_came() {
        let drafts = Drafts::default();
        for id in 0..ENDS as u128 + 10 {
            drafts.begin(Uuid::from_u128(id), "d").show("x");
        }
        assert_eq!(drafts.after(0).len(), ENDS);
        assert_eq!(drafts.after(0)[0].1.id, Uuid::from_u128(10));
        drop(drafts.begin(Uuid::from_u128(999), "d"));
        assert_eq!(drafts.after(0).len(), ENDS, "what never had a text has no end");
    }
}
