//! Memory that direct writes accept: whole blocks at an aligned address, found without `unsafe` as a slice of something
//! larger.

/// What is written at once at least, and how it is aligned: on disk, in the file and in memory.
pub(super) const BLOCK: usize = 4096;

/// The block that an offset is in, by its beginning.
pub(super) const fn block_start(offset: u64) -> u64 {
    offset / BLOCK as u64 * BLOCK as u64
}

/// The first beginning of a block from an offset on.
pub(super) const fn block_end(offset: u64) -> u64 {
    offset.next_multiple_of(BLOCK as u64)
}

/// Aligned bytes.
#[derive(Debug)]
pub(super) struct Blocks {
    memory: Vec<u8>,
    from: usize,
    len: usize,
}

impl Blocks {
    /// So many zeros, rounded up to whole blocks.
    pub(super) fn zeroed(len: usize) -> Self {
        let len = len.next_multiple_of(BLOCK);
        let memory = vec![0; len + BLOCK];
        let from = memory.as_ptr().align_offset(BLOCK);
        Self { memory, from, len }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.from..self.from + self.len]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + self.len]
    }
}

/// The end of what is written: the block that is not full yet, and what comes behind it.
#[derive(Debug)]
pub(super) struct Tail {
    blocks: Blocks,
    filled: usize,
}

/// What one commit needs often; a larger one lets it grow.
const USUAL: usize = 128 << 10;

impl Tail {
    /// With the bytes before the end in the block that it is in.
    pub(super) fn new(partial: &[u8]) -> Self {
        let mut tail = Self { blocks: Blocks::zeroed(USUAL), filled: 0 };
        tail.extend(partial.len()).copy_from_slice(partial);
        tail
    }

    /// Bytes of the block that is not full.
    pub(super) const fn partial(&self) -> usize {
        self.filled % BLOCK
    }

    /// Space for so many bytes behind what is there.
    pub(super) fn extend(&mut self, len: usize) -> &mut [u8] {
        let filled = self.filled;
        let needed = (filled + len).next_multiple_of(BLOCK);
        if needed > self.blocks.len {
            let mut larger = Blocks::zeroed(needed.next_power_of_two());
            larger.bytes_mut()[..filled].copy_from_slice(&self.blocks.bytes()[..filled]);
            self.blocks = larger;
        }
        self.filled = filled + len;
        &mut self.blocks.bytes_mut()[filled..filled + len]
    }

    /// Whole blocks, zeros behind what is there.
    pub(super) fn padded(&mut self) -> &[u8] {
        let end = self.filled.next_multiple_of(BLOCK);
        self.blocks.bytes_mut()[self.filled..end].fill(0);
        &self.blocks.bytes()[..end]
    }

    /// Forgets the blocks that are full: they are written.
    pub(super) fn keep_partial(&mut self) {
        let full = self.filled - self.partial();
        self.blocks.bytes_mut().copy_within(full..self.filled, 0);
        self.filled -= full;
    }

    /// Zeroes some of what is there, counted from the beginning of the block that is not full.
    pub(super) fn zero(&mut self, range: std::ops::Range<usize>) {
        self.blocks.bytes_mut()[range].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_whole() {
        for len in [0, 1, 4096, 5000, 1 << 20] {
            let blocks = Blocks::zeroed(len);
            assert_eq!(blocks.bytes().as_ptr().align_offset(BLOCK), 0);
            assert_eq!(blocks.bytes().len(), len.next_multiple_of(BLOCK));
        }
    }

    #[test]
    fn a_tail_keeps_what_its_last_block_has() {
        let mut tail = Tail::new(&[1; 100]);
        tail.extend(5000).fill(2);
        assert_eq!(tail.padded().len(), 8192);
        assert_eq!(tail.padded()[5100..], [0; 3092]);
        tail.keep_partial();
        assert_eq!((tail.partial(), tail.padded()[1003], tail.padded()[1004]), (1004, 2, 0));
        // It grows, and keeps what it had.
        tail.extend(USUAL).fill(3);
        assert_eq!(tail.padded()[1002..1006], [2, 2, 3, 3]);
        assert_eq!(tail.padded().as_ptr().align_offset(BLOCK), 0);
    }
}
