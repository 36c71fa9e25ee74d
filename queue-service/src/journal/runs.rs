//! Which messages each conversation has: in memory for the newest, in rows for the others.
//!
//! A row a message in the order of the conversations would be a write to a random page for each message, which is the
//! dearest thing that sled can be asked for. So the numbers of new messages are gathered here until there are many, and
//! then written conversation by conversation, many numbers in one row (a run), a few rows with each commit. A mark says
//! up to where the log stands in runs; what is posted after it is read again at the start.

use std::collections::BTreeMap;

use super::{
    keys::Key,
    stored::{StoredMark, StoredRun, encode},
};
use crate::domain::{Change, ChangeKind, ConversationId};

/// So many gathered messages are written.
const GATHER: usize = 8_192;
/// Most numbers in one row: it stays below 10 KB.
const RUN: usize = 1_024;
/// The mark moves on after so many changes for each of them, too: what comes after it is read at the start.
const CHANGES_FOR_ONE: usize = 8;
/// Rows that a commit writes at least, while there are some to write.
const RUNS_A_COMMIT: usize = 4;

/// The messages of conversations that no run holds yet, by the numbers of their posts.
#[derive(Debug)]
pub(super) struct Gathered {
    /// So many fresh ones are written.
    most: usize,
    /// Rows that a commit writes at least, while there are some to write.
    a_commit: usize,
    fresh: Numbers,
    count: usize,
    /// Being written.
    settling: Numbers,
    /// The mark that is due once they are.
    settling_to: Option<u64>,
    /// The mark that was written.
    marked: u64,
}

type Numbers = BTreeMap<ConversationId, Vec<u64>>;

/// What a commit writes of them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<(ConversationId, Vec<u64>)>,
    mark: Option<u64>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self::new(GATHER)
    }
}

impl Gathered {
    fn new(most: usize) -> Self {
        Self {
            most,
            a_commit: RUNS_A_COMMIT,
            fresh: Numbers::new(),
            count: 0,
            settling: Numbers::new(),
            settling_to: None,
            marked: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn write_from(&mut self, most: usize, a_commit: usize) {
        (self.most, self.a_commit) = (most, a_commit);
    }

    /// The numbers of a conversation before `before`, the newest first.
    pub(super) fn before(&self, conversation: ConversationId, before: u64) -> Vec<u64> {
        let of = |numbers: &Numbers| numbers.get(&conversation).cloned().unwrap_or_default();
        let mut numbers = of(&self.settling);
        numbers.extend(of(&self.fresh));
        numbers.retain(|posted| *posted < before);
        numbers.reverse();
        numbers
    }

    /// True where the run of this message is not there for good: after a restart the messages behind the mark are gathered
    /// again from their commits, and their runs written anew.
    pub(super) fn may_gather_again(&self, posted: u64) -> bool {
        posted > self.marked
    }

    /// Messages that are swept need no place in a run any more.
    pub(super) fn forget(&mut self, gone: &[(ConversationId, u64)]) {
        for (conversation, posted) in gone {
            remove(&mut self.settling, *conversation, *posted);
            self.count -= usize::from(remove(&mut self.fresh, *conversation, *posted));
        }
    }

    /// What the next commit writes: at least as many rows as it adds messages, so that writing keeps up.
    pub(super) fn next(&self, changes: &[Change]) -> Runs {
        let most = self.a_commit.max(changes.iter().filter_map(post).count());
        let chunks = self.settling.iter().flat_map(|(conversation, numbers)| {
            numbers.chunks(RUN).map(|chunk| (*conversation, chunk.to_vec()))
        });
        let mut runs: Vec<_> = chunks.take(most + 1).collect();
        let mark = self.settling_to.filter(|_| runs.len() <= most);
        runs.truncate(most);
        Runs { runs, mark }
    }

    /// The commit is durable: what it wrote is forgotten here, and what it posted is gathered.
    pub(super) fn committed(&mut self, written: Runs, changes: &[Change]) {
        if let Some(mark) = written.mark {
            (self.marked, self.settling_to) = (mark, None);
        }
        for (conversation, run) in written.runs {
            if let Some(numbers) = self.settling.get_mut(&conversation) {
                numbers.drain(..run.len());
                if numbers.is_empty() {
                    self.settling.remove(&conversation);
                }
            }
        }
        for (conversation, posted) in changes.iter().filter_map(post) {
            self.gather(conversation, posted);
        }
        let Some(last) = changes.last().map(Change::seq) else { return };
        let far = last.saturating_sub(self.marked) >= (self.most * CHANGES_FOR_ONE) as u64;
        if self.settling_to.is_none() && (self.count >= self.most || far) {
            self.settling = std::mem::take(&mut self.fresh);
            self.settling_to = Some(last);
            self.count = 0;
        }
    }

    /// All messages up to this number stand in runs.
    pub(super) fn begin_at(&mut self, mark: u64) {
        self.marked = mark;
    }

    /// Notes a message that no run holds.
    pub(super) fn gather(&mut self, conversation: ConversationId, posted: u64) {
        self.fresh.entry(conversation).or_default().push(posted);
        self.count += 1;
    }
}

impl Runs {
    /// The rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Key, Vec<u8>)> {
        let runs = self.runs.iter().filter_map(|(conversation, run)| {
            let stored = StoredRun { posted: run.clone() };
            Some((Key::Run(*conversation, *run.last()?), encode(&stored)))
        });
        runs.chain(self.mark.map(|seq| (Key::RunsUpTo, encode(&StoredMark { seq }))))
    }
}

/// Says whether it was there.
fn remove(numbers: &mut Numbers, conversation: ConversationId, posted: u64) -> bool {
    let Some(of) = numbers.get_mut(&conversation) else { return false };
    let Ok(at) = of.binary_search(&posted) else { return false };
    of.remove(at);
    if of.is_empty() {
        numbers.remove(&conversation);
    }
    true
}

fn post(change: &Change) -> Option<(ConversationId, u64)> {
    let content = &change.record.content;
    Some((content.conversation.filter(|_| change.kind == ChangeKind::Posted)?, content.posted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::tests::world::{World, question, remark};

    /// The rows on a disk, without the disk.
    #[derive(Default)]
    struct Disk {
        runs: BTreeMap<(ConversationId, u64), Vec<u64>>,
        mark: u64,
        log: Vec<Change>,
    }

    impl Disk {
        fn keep(&mut self, gathered: &mut Gathered, changes: Vec<Change>) {
            let runs = gathered.next(&changes);
            for (conversation, run) in &runs.runs {
                self.runs.insert((*conversation, *run.last().unwrap()), run.clone());
            }
            self.mark = runs.mark.unwrap_or(self.mark);
            gathered.committed(runs, &changes);
            self.log.extend(changes);
        }

        fn restart(&self, most: usize) -> Gathered {
            let mut gathered = Gathered::new(most);
            gathered.begin_at(self.mark);
            let later = self.log.iter().filter(|change| change.seq() > self.mark);
            later.filter_map(post).for_each(|(conversation, posted)| gathered.gather(conversation, posted));
            gathered
        }

        fn posted(&self) -> BTreeMap<ConversationId, Vec<u64>> {
            let mut all = BTreeMap::<_, Vec<_>>::new();
            for (conversation, posted) in self.log.iter().filter_map(post) {
                all.entry(conversation).or_default().push(posted);
            }
            all
        }

        fn found(&self, gathered: &Gathered, conversation: ConversationId) -> Vec<u64> {
            let rows = self.runs.range((conversation, 0)..=(conversation, u64::MAX));
            let mut found: Vec<_> = rows.flat_map(|(_, run)| run.clone()).collect();
            found.extend(gathered.before(conversation, u64::MAX));
            found.sort_unstable();
            found.dedup();
            found
        }
    }

    proptest! {
        #[test]
        fn every_message_is_found_after_every_commit_and_every_restart(
            commits in prop::collection::vec((prop::collection::vec(0..6u8, 0..9), prop::bool::weighted(0.1)), 1..60),
            most in 1..20usize,
        ) {
            let (mut world, mut disk) = (World::new(Default::default()), Disk::default());
            let mut gathered = Gathered::new(most);
            for (humans, killed) in commits {
                for human in humans {
                    world.post(question(&format!("human{human}"), "bot"));
                    world.post(remark("somebody"));
                }
                let changes = world.log[disk.log.len()..].to_vec();
                disk.keep(&mut gathered, changes);
                if killed {
                    gathered = disk.restart(most);
                }
                for (conversation, posted) in disk.posted() {
                    prop_assert_eq!(disk.found(&gathered, conversation), posted);
                }
            }
        }
    }

    #[test]
    fn a_log_in_which_nobody_asks_a_bot_is_not_read_again_from_its_beginning() {
        let (mut world, mut disk, mut gathered) =
            (World::new(Default::default()), Disk::default(), Gathered::new(10));
        world.post(question("ann", "bot"));
        for _ in 0..1_000 {
            world.post(remark("bob"));
            let changes = world.log[disk.log.len()..].to_vec();
            disk.keep(&mut gathered, changes);
        }
        assert!(disk.mark >= 1_000 - 2 * 80, "the mark is {}", disk.mark);
        assert_eq!(disk.runs.len(), 1);
    }

    #[test]
    fn many_messages_of_a_conversation_share_a_row_and_no_row_is_long() {
        let (mut world, mut disk, mut gathered) =
            (World::new(Default::default()), Disk::default(), Gathered::new(3_000));
        for _ in 0..40 {
            world.pass(100);
            for _ in 0..100 {
                world.post(question("ann", "bot"));
            }
            let changes = world.log[disk.log.len()..].to_vec();
            disk.keep(&mut gathered, changes);
        }
        let lengths: Vec<_> = disk.runs.values().map(Vec::len).collect();
        assert_eq!(lengths, [RUN, RUN, 3_000 - 2 * RUN]);
        assert_eq!(disk.mark, 3_000);
        assert_eq!(gathered.count, 1_000);
    }
}
