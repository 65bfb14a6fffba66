//! Bytes that wait to be sent: never moved while they wait.

use std::collections::VecDeque;

use super::pool::Pool;

/// A first-in first-out queue of bytes in at most two pieces. Its memory comes
/// from the pool, as that of a [`Fifo`](super::fifo::Fifo) does.
#[derive(Debug, Default)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
}

impl Ring {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The `count` oldest bytes, or all if there are fewer.
    pub(super) fn front(&self, count: usize) -> [&[u8]; 2] {
        let (first, second) = self.bytes.as_slices();
        let first = first.get(..count).unwrap_or(first);
        [first, second.get(..count - first.len()).unwrap_or(second)]
    }

    pub(super) fn push(&mut self, bytes: &[u8], pool: &mut Pool) {
        let held = self.bytes.capacity();
        if held == 0 {
            self.bytes = pool.take(bytes.len()).into();
        }
        self.bytes.extend(bytes);
        pool.held = pool.held - held + self.bytes.capacity();
    }

    /// Drops the `count` oldest bytes, or all if there are fewer.
    pub(super) fn consume(&mut self, count: usize, pool: &mut Pool) {
        self.bytes.drain(..count.min(self.bytes.len()));
        let (left, held) = (self.len(), self.bytes.capacity());
        if left == 0 {
            self.clear(pool);
        } else if pool.is_tight(left, held) {
            let mut smaller = pool.take(left);
            smaller.extend(&self.bytes);
            pool.held = pool.held - held + smaller.capacity();
            self.bytes.clear();
            pool.give(core::mem::replace(&mut self.bytes, smaller.into()).into());
        }
    }

    pub(super) fn clear(&mut self, pool: &mut Pool) {
        pool.held -= self.bytes.capacity();
        self.bytes.clear();
        pool.give(core::mem::take(&mut self.bytes).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn is_first_in_first_out_and_keeps_its_place() {
        let (mut ring, mut pool) = (Ring::default(), Pool::default());
        let mut rng = Rng::from_number(1);
        let (mut pushed, mut popped) = (0usize, 0usize);
        for _ in 0..2000 {
            let room = 10_000 - ring.len();
            let size = rng.below(room as u64 + 1) as usize;
            let bytes: Vec<u8> = (pushed..pushed + size).map(|i| (i % 251) as u8).collect();
            ring.push(&bytes, &mut pool);
            pushed += size;
            let count = rng.below(ring.len() as u64 + 1) as usize;
            let front = ring.front(count).concat();
            assert!(front.iter().copied().eq((popped..popped + count).map(|i| (i % 251) as u8)));
            ring.consume(count, &mut pool);
            popped += count;
            assert_eq!(ring.len(), pushed - popped);
            assert_eq!(pool.held, ring.bytes.capacity());
            assert!(pool.held <= 20_000, "it goes round instead of growing");
        }
        ring.clear(&mut pool);
        assert_eq!(pool.held, 0);
    }
}
