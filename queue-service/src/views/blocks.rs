//! Who is blocked, as operators see it.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use parking_lot::RwLock;

use super::Views;
use crate::domain::{Block, BlockRow, Source};

#[derive(Debug, Default)]
pub(super) struct Blocks(RwLock<BTreeMap<Source, Block>>);

impl Views {
    /// The blocks as they were stored.
    pub fn restore_blocks(&self, blocks: impl IntoIterator<Item = Block>) {
        self.blocks.0.write().extend(blocks.into_iter().map(|block| (block.who, block)));
    }

    /// Shows blocks that are durable.
    pub fn show_blocks(&self, rows: Vec<BlockRow>) {
        if rows.is_empty() {
            return;
        }
        let mut blocks = self.blocks.0.write();
        for BlockRow { who, block } in rows {
            match block {
                Some(block) => blocks.insert(who, block),
                None => blocks.remove(&who),
            };
        }
    }

    /// The blocks behind this one, in the order of their keys, at most `limit`. Says whether there are more.
    pub fn blocks(&self, after: Option<Source>, limit: usize) -> (Vec<Block>, bool) {
        let blocks = self.blocks.0.read();
        let mut behind = blocks.range((after.map_or(Unbounded, Excluded), Unbounded));
        let page: Vec<_> = behind.by_ref().take(limit).map(|(_, block)| block.clone()).collect();
        (page, behind.next().is_some())
    }

    /// How many there are.
    pub fn count_blocks(&self) -> usize {
        self.blocks.0.read().len()
    }
}
