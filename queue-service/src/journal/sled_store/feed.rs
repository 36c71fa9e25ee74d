//! Reading the feed: for cursors and time stamps older than the cache, and for filling the cache at the start.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Bound,
};

use sled::IVec;

use super::{SledStore, kept::KeptPosts, read::all};
use crate::{
    domain::{Change, Millis, Record},
    journal::{
        FormatError, JournalError, Tally,
        keys::{DomainHash, Key, last_number},
        stored::{StoredChange, StoredCommit, decode},
    },
};

/// Bytes of text after which no further commit is read: more than a page takes.
const PAGE_BYTES: usize = 1024 * 1024;

/// Some changes in order, whole commits.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// True where the log holds more of them.
    pub more: bool,
}

/// Some messages in the order in which they were posted, whole commits. The state of a live message is as it was
/// posted: the views know better.
#[derive(Debug, Default)]
pub struct Posts {
    /// The messages.
    pub records: Vec<Record>,
    /// True where the log holds more of them.
    pub more: bool,
}

impl SledStore {
    /// Changes after number `seq`, of one domain or of all, until there are at least `limit`, or more
    /// bytes than a page takes. `None` where some of the
    /// changes after `seq` were swept, be it while they were read.
    pub fn changes_after(
        &self,
        seq: u64,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<Option<Changes>, JournalError> {
        let (mut found, mut said) = (Changes::default(), Said::new(self, tally));
        let mut bytes = 0;
        for commit in self.commits(seq, domain, tally) {
            if found.changes.len() >= limit || bytes > PAGE_BYTES {
                found.more = true;
                break;
            }
            let commit = commit?;
            for change in of_domain(&commit, domain).filter(|change| change.seq() > seq) {
                let Some(message) = said.now(change)? else { return Ok(None) };
                bytes += message.content.text.len();
                found.changes.push(change.to_change(message)?);
            }
        }
        // Looked at last: rows go only after the beginning was moved.
        Ok(Some(found).filter(|_| self.begins().seq <= seq))
    }

    /// Messages with a time stamp after `after`, of one domain or of all, until there are at least `limit`.
    ///
    /// First come those that are kept though the commits that posted them were swept. The beginning of the log may move
    /// meanwhile: it is looked at once the commits were read, and what stands in both is taken once.
    pub fn posts_after(
        &self,
        after: Millis,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<Posts, JournalError> {
        let begins = self.begins();
        if after < begins.stamp {
            let KeptPosts { records, more } = self.kept_after(after, begins.seq, domain, limit, tally)?;
            if more {
                return Ok(Posts { records, more });
            }
        }
        let posts = self.committed_after(after, domain, limit, tally)?;
        let begins = self.begins();
        if after >= begins.stamp {
            return Ok(posts);
        }
        let KeptPosts { records, more } = self.kept_after(after, begins.seq, domain, limit, tally)?;
        let last = records.last().filter(|_| more).map_or(u64::MAX, |record| record.content.posted);
        let later = posts.records.into_iter().filter(|record| record.content.posted <= last);
        let mut merged = Posts { records: merged(records, later), more: more || posts.more };
        // The commits have enough by themselves; what comes before them fills a page too.
        merged.more |= cut_behind(&mut merged.records, limit);
        Ok(merged)
    }

    /// The same of the commits that are kept.
    fn committed_after(
        &self,
        after: Millis,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<Posts, JournalError> {
        let seq = self.seq_at(after, tally)?;
        let (mut found, mut bytes) = (Posts::default(), 0);
        for commit in self.commits(seq, domain, tally) {
            let commit = commit?;
            if found.records.len() >= limit || bytes > PAGE_BYTES {
                found.more = of_domain(&commit, domain).any(StoredChange::is_post);
                if found.more {
                    break;
                }
                continue;
            }
            let posts = self.posts(&commit, domain, u64::MAX, tally)?;
            bytes += text_bytes(&posts);
            found.records.extend(posts);
        }
        Ok(found)
    }

    /// The newest of the messages that were posted before number `before`, of one domain or of all, until there are at
    /// least `limit`.
    pub fn posts_before(
        &self,
        before: u64,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<Posts, JournalError> {
        let upto = self.commit_with(before, tally)?.unwrap_or(u64::MAX);
        let mut found = Posts::default();
        let mut commits = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        for commit in self.commits_between(0, upto, domain, tally).rev() {
            if count >= limit || bytes > PAGE_BYTES {
                found.more = true;
                break;
            }
            let posts = self.posts(&commit?, domain, before, tally)?;
            count += posts.len();
            bytes += text_bytes(&posts);
            commits.push(posts);
        }
        found.records = commits.into_iter().rev().flatten().collect();
        if found.more {
            return Ok(found);
        }
        // Looked at last: what was swept while the commits were read is found among what is kept.
        let before = before.min(self.begins().seq.saturating_add(1));
        let missing = if bytes > PAGE_BYTES { 0 } else { limit.saturating_sub(count) };
        let KeptPosts { mut records, more } = self.kept_before(before, domain, missing, tally)?;
        records.reverse();
        found.records = merged(records, found.records.into_iter());
        found.more = more;
        Ok(found)
    }

    /// The newest commits, the newest first, for filling the cache: gives each to `take` until it says no. States are as they
    /// were, for a message that is hidden now may be shown again while they are cached.
    pub fn newest_commits(
        &self,
        tally: &Tally,
        mut take: impl FnMut(Vec<Change>) -> bool,
    ) -> Result<(), JournalError> {
        let mut said = Said::new(self, tally);
        for commit in self.commits(0, None, tally).rev() {
            let mut changes = Vec::new();
            for change in &commit?.changes {
                changes.extend(said.now(change)?.map(|message| change.as_it_was(message)).transpose()?);
            }
            if !take(changes) {
                break;
            }
        }
        Ok(())
    }

    /// A number so that all messages up to it have a time stamp of at most `after`, and all later ones a greater one:
    /// a binary search over the commits, whose stamps never fall.
    fn seq_at(&self, after: Millis, tally: &Tally) -> Result<u64, JournalError> {
        let (mut low, mut high) = (self.begins().seq, self.last(tally)?.0);
        while low < high {
            let middle = low + (high - low) / 2;
            let from_middle = (Bound::Excluded(Key::Commit(middle).to_bytes()), all(b'j').1);
            let Some((key, value)) = self.range(from_middle, tally).next().transpose()? else { break };
            if decode::<StoredCommit>(&value)?.stamp <= after {
                low = last_number(&key).ok_or(FormatError::Field("seq"))?;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The commit that made change `seq`, or the next one that is kept: the number of its last change. None where the log
    /// ends before.
    fn commit_with(&self, seq: u64, tally: &Tally) -> Result<Option<u64>, JournalError> {
        let from_seq = (Bound::Included(Key::Commit(seq).to_bytes()), all(b'j').1);
        let Some((key, _)) = self.range(from_seq, tally).next().transpose()? else { return Ok(None) };
        Ok(Some(last_number(&key).ok_or(FormatError::Field("seq"))?))
    }

    /// The commits with changes after number `seq`: all of them, or those that touch a domain.
    pub(in crate::journal) fn commits<'a>(
        &'a self,
        seq: u64,
        domain: Option<&str>,
        tally: &'a Tally,
    ) -> Box<dyn DoubleEndedIterator<Item = Result<StoredCommit, JournalError>> + 'a> {
        self.commits_between(seq, u64::MAX, domain, tally)
    }

    /// Of these, those that end with change `upto` or before.
    fn commits_between<'a>(
        &'a self,
        seq: u64,
        upto: u64,
        domain: Option<&str>,
        tally: &'a Tally,
    ) -> Box<dyn DoubleEndedIterator<Item = Result<StoredCommit, JournalError>> + 'a> {
        let next = seq.saturating_add(1);
        if upto < next {
            return Box::new(std::iter::empty());
        }
        let Some(domain) = domain.map(DomainHash::of) else {
            let key = |seq| Bound::Included(Key::Commit(seq).to_bytes());
            return Box::new(self.range((key(next), key(upto)), tally).map(|row| Ok(decode(&row?.1)?)));
        };
        let key = |seq| Bound::Included(Key::Domain(domain, seq).to_bytes());
        let rows = self.range((key(next), key(upto)), tally);
        Box::new(rows.filter_map(|row| self.commit_of(row.map(|(key, _)| key), tally).transpose()))
    }

    /// The commit of a domain's row; none where it was swept after the row was read.
    fn commit_of(
        &self,
        row: Result<IVec, JournalError>,
        tally: &Tally,
    ) -> Result<Option<StoredCommit>, JournalError> {
        let last = last_number(&row?).ok_or(FormatError::Field("seq"))?;
        match self.get(Key::Commit(last), tally)? {
            Some(commit) => Ok(Some(decode(&commit)?)),
            None if last <= self.begins().seq => Ok(None),
            None => Err(FormatError::Field("commit").into()),
        }
    }

    /// True where the message of a change may be gone.
    fn is_swept(&self, change: &StoredChange) -> bool {
        change.seq() <= self.begins().seq
    }

    /// The messages that a commit posted before number `before`.
    fn posts(
        &self,
        commit: &StoredCommit,
        domain: Option<&str>,
        before: u64,
        tally: &Tally,
    ) -> Result<Vec<Record>, JournalError> {
        of_domain(commit, domain)
            .filter(|change| change.is_post() && change.posted < before)
            .filter_map(|change| match self.message(change.posted, tally) {
                Ok(None) if self.is_swept(change) => None,
                Ok(None) => Some(Err(FormatError::Field("message").into())),
                found => found.transpose(),
            })
            .collect()
    }
}

/// Some messages before others, in the order of their posts, each once.
fn merged(mut before: Vec<Record>, later: impl Iterator<Item = Record>) -> Vec<Record> {
    before.extend(later);
    before.sort_by_key(|record| record.content.posted);
    before.dedup_by_key(|record| record.content.posted);
    before
}

/// Takes away what is behind so many messages and the end of a time stamp. Says whether there was something.
fn cut_behind(records: &mut Vec<Record>, enough: usize) -> bool {
    let stamp = |at: usize| records[at].content.timestamp;
    let end = (enough.max(1)..records.len()).find(|at| stamp(*at) != stamp(at - 1));
    if let Some(end) = end {
        records.truncate(end);
    }
    end.is_some()
}

fn text_bytes(posts: &[Record]) -> usize {
    posts.iter().map(|record| record.content.text.len()).sum()
}

/// What is said in the messages of some changes: each is read once, and its changes share it.
struct Said<'a> {
    store: &'a SledStore,
    tally: &'a Tally,
    seen: HashMap<u64, Record>,
}

impl<'a> Said<'a> {
    fn new(store: &'a SledStore, tally: &'a Tally) -> Self {
        Self { store, tally, seen: HashMap::new() }
    }

    /// The message of a change, with what is said in it now; none where it was swept after the change was read.
    fn now(&mut self, change: &StoredChange) -> Result<Option<&Record>, JournalError> {
        Ok(match self.seen.entry(change.posted) {
            Entry::Occupied(seen) => Some(seen.into_mut()),
            Entry::Vacant(unseen) => match self.store.said(change.posted, self.tally)? {
                Some(message) => Some(unseen.insert(message)),
                None if self.store.is_swept(change) => None,
                None => return Err(FormatError::Field("message").into()),
            },
        })
    }
}

/// The changes of a commit that are in a domain. Domains whose hashes meet are told apart here.
fn of_domain<'a>(
    commit: &'a StoredCommit,
    domain: Option<&'a str>,
) -> impl Iterator<Item = &'a StoredChange> {
    commit.changes.iter().filter(move |change| {
        domain.is_none_or(|domain| commit.domains.get(change.domain as usize).is_some_and(|of| of == domain))
    })
}
