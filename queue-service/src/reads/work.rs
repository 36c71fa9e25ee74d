//! Work as operators look for it: by entity, status, worker, author and the text of its last error.
//!
//! There is no index by these: a call goes through the work from the newest on and stops after [`LOOKED_AT`] messages, and
//! the next call goes on from there. So a call costs the same however much is stored, and however little of it fits.

use std::sync::Arc;

use super::{PAGE_BYTES, Reads, weight};
use crate::{
    domain::{Record, SenderKey, Status},
    journal::{JournalError, Tally, WorkRows},
};

/// Most messages that one call looks at.
const LOOKED_AT: usize = 1_000;
/// So many are asked for at once, while there are more.
const AT_ONCE: usize = 100;

/// What work has to be like; what is absent is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WorkFilter {
    /// The entity.
    pub entity: Option<String>,
    /// The status.
    pub status: Option<Status>,
    /// The worker of the last claim.
    pub worker: Option<String>,
    /// The author.
    pub author: Option<SenderKey>,
    /// A part of the last error, in lower case.
    pub error: Option<String>,
}

/// A page of work.
#[derive(Debug, Default)]
pub(crate) struct WorkPage {
    /// Newest first.
    pub records: Vec<Arc<Record>>,
    /// Where to go on: before the message with this number; none at the end.
    pub next: Option<u64>,
    /// Storage reads.
    pub reads: u64,
}

impl WorkFilter {
    /// True if this message is asked for.
    fn lets_through(&self, record: &Record) -> bool {
        let (Some(address), Some(work)) = (&record.content.address, &record.state.work) else { return false };
        let worker = || work.claim.as_ref().map(|claim| &claim.worker.name);
        let author = || record.content.sender.map(|sender| sender.author);
        self.entity.as_ref().is_none_or(|entity| *entity == address.entity)
            && self.status.is_none_or(|status| status == work.status)
            && self.worker.as_ref().is_none_or(|name| worker() == Some(name))
            && self.author.is_none_or(|key| author() == Some(key))
            && self.error.as_ref().is_none_or(|part| {
                work.errors.last().is_some_and(|error| error.to_lowercase().contains(part))
            })
    }
}

impl Reads {
    /// The work that a filter lets through and that was posted before number `before`, newest first: at most `limit`, fewer
    /// by their bytes, and fewer if there are few of them among many.
    pub(crate) async fn work(
        &self,
        filter: WorkFilter,
        before: u64,
        limit: usize,
    ) -> Result<WorkPage, JournalError> {
        let before = before.min(self.tail().saturating_add(1));
        let find = move |reads: &Self, tally: &Tally| reads.look_for(&filter, before, limit, tally);
        let (page, reads) = self.on_disk("ListWork", find).await?;
        self.until_durable(page.records.iter().map(AsRef::as_ref)).await;
        Ok(WorkPage { reads, ..page })
    }

    fn look_for(
        &self,
        filter: &WorkFilter,
        mut before: u64,
        limit: usize,
        tally: &Tally,
    ) -> Result<WorkPage, JournalError> {
        let rows = WorkRows::with(filter.status);
        let (mut page, mut looked_at, mut bytes) = (WorkPage::default(), 0, 0);
        while looked_at < LOOKED_AT {
            let numbers = self.store.work_before(rows, before, AT_ONCE, tally)?;
            looked_at += numbers.len();
            let is_end = numbers.len() < AT_ONCE;
            for posted in numbers {
                // It may be swept between this look and the one before.
                let record = self.posted(posted, tally)?.filter(|record| filter.lets_through(record));
                if let Some(record) = record {
                    bytes += weight(&record);
                    if page.records.len() == limit || bytes > PAGE_BYTES && !page.records.is_empty() {
                        return Ok(WorkPage { next: Some(before), ..page });
                    }
                    page.records.push(record);
                }
                before = posted;
            }
            if is_end {
                return Ok(page);
            }
        }
        Ok(WorkPage { next: Some(before), ..page })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::WorkFilter;
    use crate::domain::{
        Address, Author, Claim, ClaimBy, Content, Record, Sender, SenderKey, State, Status, Token, Work,
    };

    /// Work for `echo` by author 1, which `gpu-1` has failed with an error.
    fn failed() -> Record {
        let claim = ClaimBy::new("gpu-1".to_owned(), None, None);
        let claim = Claim {
            token: Token([0; 16]),
            worker: claim.worker,
            session: None,
            at: 0,
            lease_ms: claim.lease_ms,
            first_ms: claim.first_ms,
        };
        let work = Work {
            status: Status::Failed,
            errors: vec!["older".to_owned(), "Über the LIMIT".to_owned()],
            claim: Some(claim),
            ..Work::pending(5, 0)
        };
        let content = Content {
            id: uuid::Uuid::nil(),
            posted: 1,
            timestamp: 0,
            domain: "d".to_owned(),
            text: "Well?".to_owned(),
            username: "Ann".to_owned(),
            color: "1".to_owned(),
            author: Author::Human,
            reply_to: None,
            conversation: None,
            address: Some(Box::new(Address { entity: "echo".to_owned(), ..Address::default() })),
            sender: Some(Sender { author: SenderKey([1; 16]), address: SenderKey([2; 16]) }),
            origin: None,
        };
        let state = State { work: Some(Box::new(work)), ..State::default() };
        Record { content: Arc::new(content), state }
    }

    #[test]
    fn a_message_has_to_fit_all_that_is_asked_for() {
        let all = WorkFilter {
            entity: Some("echo".to_owned()),
            status: Some(Status::Failed),
            worker: Some("gpu-1".to_owned()),
            author: Some(SenderKey([1; 16])),
            error: Some("über the limit".to_owned()),
        };
        let other = |change: fn(&mut WorkFilter)| {
            let mut filter = all.clone();
            change(&mut filter);
            filter
        };
        assert!(WorkFilter::default().lets_through(&failed()) && all.lets_through(&failed()));
        for filter in [
            other(|filter| filter.entity = Some("echo2".to_owned())),
            other(|filter| filter.status = Some(Status::Pending)),
            other(|filter| filter.worker = Some("gpu".to_owned())),
            other(|filter| filter.author = Some(SenderKey([2; 16]))),
            other(|filter| filter.error = Some("older".to_owned())),
        ] {
            assert!(!filter.lets_through(&failed()), "{filter:?}");
        }
    }

    #[test]
    fn what_is_addressed_to_no_bot_is_no_work() {
        let record = Record { state: State::default(), ..failed() };
        assert!(!WorkFilter::default().lets_through(&record));
    }
}
