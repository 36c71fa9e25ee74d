//! Who may not post for a while, as an operator has decided: authors and addresses.
//!
//! A block lasts a span of service time and ends by itself. It is stored, so it holds over restarts. Checking one costs the
//! same however many there are, and there is a bound of them. Reading is never blocked, and neither is removing what is
//! one's own.

use std::collections::{BTreeSet, HashMap};

use super::{At, Millis, Queue, Rejection, Sender, Source};

/// How many blocks end in one commit at the most.
const ENDED_AT_ONCE: usize = 1_000;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Who is blocked.
    pub who: Source,
    /// Since when, by the wall clock.
    pub since: Millis,
    /// When it ends, in service time.
    pub until: Millis,
    /// Why, as the operator said; may be empty.
    pub reason: String,
}

/// A change of a block, to be stored: there is none any more if there is none here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// Who is blocked, or was.
    pub who: Source,
    /// The block.
    pub block: Option<Block>,
}

/// All blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    most: usize,
    by_source: HashMap<Source, Block>,
    ends: BTreeSet<(Millis, Source)>,
    pub(super) rows: Vec<BlockRow>,
}

impl Blocks {
    pub(super) fn new(most: u32) -> Self {
        Self { most: most as usize, by_source: HashMap::new(), ends: BTreeSet::new(), rows: Vec::new() }
    }

    fn put(&mut self, block: Block) {
        self.take(block.who);
        self.ends.insert((block.until, block.who));
        self.by_source.insert(block.who, block);
    }

    fn take(&mut self, who: Source) -> Option<Block> {
        let block = self.by_source.remove(&who)?;
        self.ends.remove(&(block.until, who));
        Some(block)
    }

    /// When the first block ends.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.ends.first().map(|(until, _)| *until)
    }
}

impl Queue {
    /// Blocks an author or an address for a span from now on, whatever was said before.
    ///
    /// # Errors
    /// `TooManyBlocks`.
    pub fn block(
        &mut self,
        who: Source,
        span: Millis,
        reason: String,
        at: &At<'_>,
    ) -> Result<Block, Rejection> {
        let blocks = &mut self.blocks;
        if blocks.by_source.len() >= blocks.most && !blocks.by_source.contains_key(&who) {
            return Err(Rejection::TooManyBlocks { limit: blocks.most });
        }
        let block = Block { who, since: at.wall, until: at.now.saturating_add(span), reason };
        blocks.put(block.clone());
        blocks.rows.push(BlockRow { who, block: Some(block.clone()) });
        Ok(block)
    }

    /// Ends a block before its time. Returns false if there was none.
    pub fn unblock(&mut self, who: Source) -> bool {
        let was_blocked = self.blocks.take(who).is_some();
        if was_blocked {
            self.blocks.rows.push(BlockRow { who, block: None });
        }
        was_blocked
    }

    /// Checks that somebody may post.
    pub(super) fn check_blocked(&self, sender: Option<Sender>, now: Millis) -> Result<(), Rejection> {
        let Some(Sender { author, address }) = sender else { return Ok(()) };
        self.check_source(Source::Author(author), now)?;
        self.check_source(Source::Address(address), now)
    }

    /// Checks that an author or an address is not blocked.
    pub(super) fn check_source(&self, who: Source, now: Millis) -> Result<(), Rejection> {
        match self.blocks.by_source.get(&who) {
            Some(block) if block.until > now => Err(Rejection::Blocked { until: self.shown(block.until) }),
            Some(_) | None => Ok(()),
        }
    }

    /// Ends the blocks whose time is over; no more than one commit takes.
    pub(super) fn end_blocks(&mut self, now: Millis) {
        for _ in 0..ENDED_AT_ONCE {
            let Some((_, who)) = self.blocks.ends.first().copied().filter(|(until, _)| *until <= now) else {
                break;
            };
            self.unblock(who);
        }
    }

    /// The blocks that changed since the last call, to be committed together.
    pub fn take_blocks(&mut self) -> Vec<BlockRow> {
        std::mem::take(&mut self.blocks.rows)
    }

    /// After a restart: the blocks as they were stored.
    pub fn restore_blocks(&mut self, blocks: impl IntoIterator<Item = Block>) {
        blocks.into_iter().for_each(|block| self.blocks.put(block));
    }
}
