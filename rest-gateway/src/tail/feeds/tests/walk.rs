//! The feeds under random histories and small limits, against a walk through the whole history.

use std::collections::BTreeSet;

use proptest::prelude::*;
use repartee_proto::v1::{self, ChangeKind};

use super::{Feeds, Limits, ROOM, change, seeded};
use crate::{json::Message, tail::told::Told};

/// Something that happened. Messages are numbered from the newest on, in circles.
#[derive(Debug, Clone)]
enum Act {
    Post {
        domain: u8,
        is_later: bool,
    },
    Claim(usize),
    Fail(usize),
    Edit {
        message: usize,
        length: usize,
    },
    Delete(usize),
    /// Hides it, or shows it again: told as a deletion and as an edit.
    Hide(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let pick = || prop_oneof![4 => 0..3usize, 1 => 0..20usize];
    let act = prop_oneof![
        4 => (0..3u8, any::<bool>()).prop_map(|(domain, is_later)| Act::Post { domain, is_later }),
        2 => pick().prop_map(Act::Claim),
        1 => pick().prop_map(Act::Fail),
        4 => (pick(), 0..300usize).prop_map(|(message, length)| Act::Edit { message, length }),
        1 => pick().prop_map(Act::Delete),
        2 => pick().prop_map(Act::Hide),
    ];
    prop::collection::vec(act, 1..60)
}

fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![
        1 => Just(ROOM),
        1 => (1..10usize).prop_map(|messages| Limits { messages, ..ROOM }),
        1 => (2_000..20_000usize).prop_map(|bytes| Limits { bytes, ..ROOM }),
    ]
}

/// All that has happened.
#[derive(Default)]
struct Walk {
    /// Every message as it is now, in the order of the posts.
    messages: Vec<v1::Message>,
    /// Which of them are hidden.
    hidden: BTreeSet<usize>,
    /// Every change as it left its message, which one that is, and whether that was hidden then.
    changes: Vec<(usize, v1::Message, bool)>,
}

/// A message as it is told while it is hidden.
fn masked(mut message: v1::Message, is_hidden: bool) -> v1::Message {
    if is_hidden {
        (message.text, message.deleted) = (String::new(), true);
        message.bot_params.iter_mut().for_each(|params| params.error = None);
    }
    message
}

impl Walk {
    fn act(&mut self, act: &Act) -> Option<(ChangeKind, v1::Message)> {
        let seq = self.changes.len() as u64 + 1;
        let pick = |n: usize| Some(self.messages.len().checked_sub(1)? - n % self.messages.len());
        let (at, kind) = match act {
            Act::Post { domain, is_later } => {
                let last = self.messages.last().map_or(10, |message| message.timestamp);
                self.messages.push(v1::Message {
                    id: format!("id{seq}"),
                    domain: format!("site{domain}"),
                    timestamp: last + i64::from(*is_later),
                    text: format!("first \"words\" of {seq}"),
                    bot_params: Some(v1::BotParams::default()),
                    ..v1::Message::default()
                });
                (self.messages.len() - 1, ChangeKind::Posted)
            }
            Act::Claim(n) => (pick(*n)?, ChangeKind::Claimed),
            Act::Fail(n) => (pick(*n)?, ChangeKind::Failed),
            Act::Edit { message, .. } => (pick(*message)?, ChangeKind::Edited),
            Act::Delete(n) => (pick(*n)?, ChangeKind::Deleted),
            Act::Hide(n) if self.hidden.contains(&pick(*n)?) => (pick(*n)?, ChangeKind::Edited),
            Act::Hide(n) => (pick(*n)?, ChangeKind::Deleted),
        };
        let is_hidden = self.hidden.contains(&at);
        let message = &mut self.messages[at];
        if message.deleted || is_hidden && !matches!(act, Act::Hide(_) | Act::Delete(_)) {
            return None;
        }
        let params = message.bot_params.as_mut()?;
        match act {
            Act::Post { .. } => {}
            Act::Claim(_) => params.attempts += 1,
            Act::Fail(_) => params.error = Some(format!("it quotes {:?}", message.text)),
            Act::Edit { length, .. } => message.text = format!("{seq} {}", "\u{7}ü".repeat(*length)),
            Act::Delete(_) => {
                params.error = None;
                (message.text, message.deleted) = (String::new(), true);
            }
            Act::Hide(_) if is_hidden => drop(self.hidden.remove(&at)),
            Act::Hide(_) => drop(self.hidden.insert(at)),
        }
        message.seq = seq;
        let (message, is_hidden) = (message.clone(), self.hidden.contains(&at));
        self.changes.push((at, message.clone(), is_hidden));
        Some((kind, masked(message, is_hidden)))
    }

    /// The event of each change of a domain after a number, with what is said in its message now.
    fn events(&self, domain: &str, seq: u64) -> Vec<bytes::Bytes> {
        let of_domain = |message: &v1::Message| domain.is_empty() || message.domain == domain;
        let changes = self.changes.iter().filter(|(_, then, _)| then.seq > seq && of_domain(then));
        let event = |(at, then, was_hidden): &(usize, v1::Message, bool)| {
            let (mut then, now) = (then.clone(), &self.messages[*at]);
            then.text.clone_from(&now.text);
            then.deleted = now.deleted;
            if let Some(params) = then.bot_params.as_mut().filter(|_| now.deleted) {
                params.error = None;
            }
            let then = masked(then, *was_hidden || self.hidden.contains(at));
            Told::new("e", then.seq, &Message::from(then).to_json()).event()
        };
        changes.map(event).collect()
    }

    /// The JSON of the messages of a domain after a time stamp, as they are now.
    fn posts(&self, domain: &str, after: i64) -> Vec<Vec<u8>> {
        let wanted = |(_, message): &(usize, &v1::Message)| {
            message.timestamp > after && (domain.is_empty() || message.domain == domain)
        };
        let shown = |(at, message): (usize, &v1::Message)| {
            Message::from(masked(message.clone(), self.hidden.contains(&at))).to_json()
        };
        self.messages.iter().enumerate().filter(wanted).map(shown).collect()
    }

    fn check(&self, feeds: &Feeds, limit: usize) {
        for domain in ["", "site0", "site1"] {
            for seq in 0..=self.changes.len() as u64 {
                let Ok(reading) = feeds.changes(domain, seq, limit) else { continue };
                let (read, mut expected) = (reading.written(), self.events(domain, seq));
                assert_eq!(read.more, expected.len() > limit, "{domain:?} after {seq}");
                expected.truncate(limit);
                let events: Vec<_> = read.items.iter().map(Told::event).collect();
                assert_eq!(events, expected, "{domain:?} after {seq}");
            }
            let last = self.messages.last().map_or(10, |message| message.timestamp);
            for after in 9..=last {
                if let Ok(page) = feeds.after(domain, after, usize::MAX) {
                    assert_eq!(page.items, self.posts(domain, after), "{domain:?} after {after}");
                }
            }
        }
        let all = self.posts("", 0);
        if let Ok(page) = feeds.newest("", limit) {
            assert_eq!(page.items, all[all.len() - page.items.len()..]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_way_to_read_shows_what_a_walk_through_the_history_finds(
        acts in acts(), limits in limits(), limit in 1..6usize,
    ) {
        let (mut walk, mut feeds) = (Walk::default(), seeded(limits, 0, Vec::new(), true));
        for act in &acts {
            if let Some((kind, message)) = walk.act(act) {
                feeds.apply(&change(kind, message));
                walk.check(&feeds, limit);
            }
        }
        let last = walk.changes.len() as u64;
        assert!(feeds.changes("", last, limit).is_ok(), "who has seen all is always answered here");
        let kept = |seq: &u64| *seq > feeds.all.floor.seq && *seq <= last;
        assert!(feeds.edits.values().all(kept), "an edit is forgotten with its change");
    }
}

/// An edit costs the same, however many there were: it writes nothing anew. Whoever reads pays for what they read, once.
#[test]
fn edits_write_nothing_anew_and_readers_share_what_they_have_written() {
    const EDITS: u64 = 10_000;
    let limits = Limits { messages: 100_000, bytes: 1 << 30 };
    let (mut walk, mut feeds) = (Walk::default(), seeded(limits, 0, Vec::new(), true));
    let mut apply = |feeds: &mut Feeds, act| {
        let (kind, message) = walk.act(&act).unwrap();
        feeds.apply(&change(kind, message));
    };
    apply(&mut feeds, Act::Post { domain: 0, is_later: true });
    for length in 0..EDITS {
        let before = feeds.fill().bytes;
        apply(&mut feeds, Act::Edit { message: 0, length: (length % 7) as usize });
        assert!(feeds.fill().bytes - before < 1_000);
    }
    assert_eq!(feeds.recent.written_anew(), 0);
    for _ in 0..50 {
        assert_eq!(feeds.changes("site0", EDITS - 7, 8).unwrap().written().items.len(), 8);
    }
    assert_eq!(feeds.recent.written_anew(), 7, "all but the last edit, for the first of the readers");
}
