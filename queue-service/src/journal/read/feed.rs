//! Reading the feed: for cursors and time stamps older than the cache, and for filling the cache at the start.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{Backward, Forward, Reader, kept::KeptPosts, not_dropped};
use crate::{
    domain::{Change, Content, Millis, Record, State},
    journal::{
        FormatError, JournalError, Store, Tally,
        commits::LogCommit,
        keys::{DomainHash, List},
        stored::StoredChange,
    },
};

/// Commits of the log, one after the other.
type Commits<'a> = Box<dyn Iterator<Item = Result<Arc<LogCommit>, JournalError>> + 'a>;

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

impl Store {
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
        for commit in self.commits(seq, domain, tally)? {
            if found.changes.len() >= limit || bytes > PAGE_BYTES {
                found.more = true;
                break;
            }
            let commit = commit?;
            for (nth, change) in of_domain(&commit, domain).filter(|(_, change)| change.seq() > seq) {
                let Some(mut read) = said.as_it_was(&commit, nth, change)? else { return Ok(None) };
                if let Some((content, state)) = said.now(&commit, change)? {
                    bytes += content.text.len();
                    read.record.state.seen_from(state);
                }
                found.changes.push(read);
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
        let (mut found, mut bytes, mut reader) = (Posts::default(), 0, Reader::new(self, tally));
        for commit in self.commits(seq, domain, tally)? {
            let commit = commit?;
            if found.records.len() >= limit || bytes > PAGE_BYTES {
                found.more = of_domain(&commit, domain).any(|(_, change)| change.is_post());
                if found.more {
                    break;
                }
                continue;
            }
            let posts = self.posts(&mut reader, &commit, domain, u64::MAX)?;
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
        let (mut found, mut reader) = (Posts::default(), Reader::new(self, tally));
        let mut commits = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        for commit in self.commits_back(before, domain, tally)? {
            if count >= limit || bytes > PAGE_BYTES {
                found.more = true;
                break;
            }
            let posts = self.posts(&mut reader, &commit?, domain, before)?;
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
        for commit in Backward::from(self, u64::MAX, tally)? {
            let commit = commit?;
            if commit.head.changes.is_empty() {
                continue;
            }
            let mut changes = Vec::new();
            for (nth, change) in of_domain(&commit, None) {
                changes.extend(said.as_it_was(&commit, nth, change)?);
            }
            if !take(changes) {
                break;
            }
        }
        Ok(())
    }

    /// A number so that all messages up to it have a time stamp of at most `after`, and all later ones a greater one.
    fn seq_at(&self, after: Millis, tally: &Tally) -> Result<u64, JournalError> {
        let log = &self.0.log;
        let begins = self.begins();
        if after <= begins.stamp {
            return Ok(begins.seq);
        }
        tally.count_read();
        let Some(place) = not_dropped(log.after_stamp(after))? else { return Ok(self.begins().seq) };
        tally.count_read();
        let Some(records) = not_dropped(log.read(place, 1))? else { return Ok(self.begins().seq) };
        Ok(records.first().map_or(log.end().last, |record| record.first - 1).max(begins.seq))
    }

    /// The commits with changes after number `seq`, oldest first: all of them, or those that touch a domain.
    fn commits<'a>(
        &'a self,
        seq: u64,
        domain: Option<&str>,
        tally: &'a Tally,
    ) -> Result<Commits<'a>, JournalError> {
        let Some(domain) = domain.map(DomainHash::of) else {
            let all = Forward::after(self, seq, tally)?;
            return Ok(Box::new(all.filter(has_changes)));
        };
        let mut reader = Reader::new(self, tally);
        let numbers = self.0.index.numbers_from(List::Domain(domain), seq.saturating_add(1), tally);
        Ok(Box::new(numbers.filter_map(move |last| reader.listed(last).transpose())))
    }

    /// The commits from the one with change `seq` back to the oldest that is not swept: all of them, or those that touch a
    /// domain.
    fn commits_back<'a>(
        &'a self,
        seq: u64,
        domain: Option<&str>,
        tally: &'a Tally,
    ) -> Result<Commits<'a>, JournalError> {
        let Some(domain) = domain.map(DomainHash::of) else {
            let all = Backward::from(self, seq, tally)?;
            return Ok(Box::new(all.filter(has_changes)));
        };
        let mut reader = Reader::new(self, tally);
        // A list has the last numbers of commits: the one with this change ends with it or later.
        let before = match reader.commit_of(seq)? {
            Some(commit) => commit.last().saturating_add(1),
            // All of it was dropped.
            None if seq <= self.0.log.end().last => 0,
            None => u64::MAX,
        };
        let numbers = self.0.index.numbers_before(List::Domain(domain), before, tally);
        Ok(Box::new(numbers.filter_map(move |last| reader.listed(last).transpose())))
    }

    /// True where the message of a change may be gone.
    fn is_swept(&self, change: &StoredChange) -> bool {
        change.seq() <= self.begins().seq
    }

    /// The messages that a commit posted before number `before`.
    fn posts(
        &self,
        reader: &mut Reader<'_>,
        commit: &Arc<LogCommit>,
        domain: Option<&str>,
        before: u64,
    ) -> Result<Vec<Record>, JournalError> {
        reader.note(commit);
        of_domain(commit, domain)
            .filter(|(_, change)| change.is_post() && change.posted < before)
            .filter_map(|(_, change)| match reader.message(change.posted) {
                Ok(None) if self.is_swept(change) => None,
                Ok(None) => Some(Err(FormatError::Field("message").into())),
                found => found.transpose(),
            })
            .collect()
    }
}

impl Reader<'_> {
    /// The commit that a list of a domain names; `None` if it was swept since.
    fn listed(&mut self, last: Result<u64, JournalError>) -> Result<Option<Arc<LogCommit>>, JournalError> {
        let last = last?;
        let is_swept = |reader: &Self| last <= reader.store.begins().seq;
        if is_swept(self) {
            return Ok(None);
        }
        match self.commit_of(last)? {
            Some(commit) => Ok(Some(commit)),
            None if is_swept(self) => Ok(None),
            None => Err(FormatError::Field("commit").into()),
        }
    }
}

fn has_changes(commit: &Result<Arc<LogCommit>, JournalError>) -> bool {
    commit.as_ref().map_or(true, |commit| !commit.head.changes.is_empty())
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

/// What is said in the messages of some changes, and their states: each is read once, and its changes share it.
struct Said<'a> {
    store: &'a Store,
    reader: Reader<'a>,
    seen: HashMap<u64, (Arc<Content>, State)>,
}

impl<'a> Said<'a> {
    fn new(store: &'a Store, tally: &'a Tally) -> Self {
        Self { store, reader: Reader::new(store, tally), seen: HashMap::new() }
    }

    /// The message of a change, with what is said in it now; none where it was swept after the change was read.
    fn now(
        &mut self,
        commit: &Arc<LogCommit>,
        change: &StoredChange,
    ) -> Result<Option<&(Arc<Content>, State)>, JournalError> {
        Ok(match self.seen.entry(change.posted) {
            Entry::Occupied(seen) => Some(seen.into_mut()),
            Entry::Vacant(unseen) => {
                if change.is_post() {
                    self.reader.note(commit);
                }
                match self.reader.said(change.posted)? {
                    Some(said) => Some(unseen.insert(said)),
                    None if self.store.is_swept(change) => None,
                    None => return Err(FormatError::Field("message").into()),
                }
            }
        })
    }

    /// A change with the state as it was, and what is said in its message now; none where it was swept after it was read.
    fn as_it_was(
        &mut self,
        commit: &Arc<LogCommit>,
        nth: u32,
        change: &StoredChange,
    ) -> Result<Option<Change>, JournalError> {
        let Some((content, present)) = self.now(commit, change)? else { return Ok(None) };
        // Of a message that was deleted since they are gone, or will be in a moment.
        let errors = if present.deleted && !change.is_deleted() { Vec::new() } else { commit.errors(nth)? };
        Ok(Some(change.as_it_was(errors, content)?))
    }
}

/// The changes of a commit that are in a domain, each with its place among its entries. Domains whose hashes meet are told
/// apart here.
fn of_domain<'a>(
    commit: &'a LogCommit,
    domain: Option<&'a str>,
) -> impl Iterator<Item = (u32, &'a StoredChange)> {
    let changes = (0..).zip(&commit.head.changes);
    changes.filter(move |(_, change)| {
        domain.is_none_or(|domain| {
            commit.head.domains.get(change.domain as usize).is_some_and(|of| of == domain)
        })
    })
}
