//! The byte queue of a stream, and the pool that its memory comes from.

/// Vectors that the pool keeps at most.
const SPARES: usize = 128;

/// Bytes that the vectors of the pool hold at most. Enough for the streams of a
/// busy connection, whose queues are full only between a frame and its reader.
const SPARE_BYTES: usize = 1024 * 1024;

/// A queue may hold this much memory without regard to its contents.
const SMALL: usize = 4096;

/// A first-in first-out queue of bytes, contiguous for the reader, that holds no
/// memory when empty: it goes to the pool, so that steady traffic allocates
/// nothing and idle streams hold nothing.
///
/// Memory: [`SMALL`], or eight times the bytes held at the last push or take.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    bytes: Vec<u8>,
    head: usize,
}

impl Fifo {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn push(&mut self, bytes: &[u8], pool: &mut Pool) {
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take(bytes.len());
        } else if self.bytes.len() + bytes.len() > self.bytes.capacity()
            && self.head >= self.bytes.len() / 2
        {
            // The front is mostly gap: each byte moves a constant number of times.
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops the `count` oldest bytes, or all if there are fewer.
    pub(super) fn consume(&mut self, count: usize, pool: &mut Pool) {
        self.head = self.head.saturating_add(count).min(self.bytes.len());
        let (left, capacity) = (self.len(), self.bytes.capacity());
        if left == 0 {
            self.clear(pool);
        } else if capacity > SMALL && left < capacity / 8 {
            let mut smaller = pool.take(left);
            smaller.extend_from_slice(self.as_slice());
            pool.give(core::mem::replace(&mut self.bytes, smaller));
            self.head = 0;
        }
    }

    pub(super) fn clear(&mut self, pool: &mut Pool) {
        self.head = 0;
        pool.give(core::mem::take(&mut self.bytes));
    }
}

/// Emptied vectors, for the next queue that needs one.
#[derive(Debug, Default)]
pub(super) struct Pool {
    spares: Vec<Vec<u8>>,
    /// The capacity of all spares.
    bytes: usize,
}

impl Pool {
    /// A vector for `len` bytes at first; never one so large that a few bytes
    /// would pin it.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let fits = |spare: &Vec<u8>| spare.capacity() <= SMALL || spare.capacity() / 8 <= len;
        let Some(index) = self.spares.iter().rposition(fits) else {
            return Vec::with_capacity(len);
        };
        let spare = self.spares.swap_remove(index);
        self.bytes -= spare.capacity();
        spare
    }

    fn give(&mut self, mut bytes: Vec<u8>) {
        let capacity = bytes.capacity();
        if capacity > 0 && self.bytes + capacity <= SPARE_BYTES && self.spares.len() < SPARES {
            bytes.clear();
            self.bytes += capacity;
            self.spares.push(bytes);
        }
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.spares.capacity() * size_of::<Vec<u8>>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::Rng;

    #[test]
    fn is_first_in_first_out_and_bounded() {
        for seed in 0..10 {
            let mut rng = Rng::from_number(seed);
            let (mut fifo, mut pool) = (Fifo::default(), Pool::default());
            let mut model = VecDeque::new();
            for round in 0..200 {
                let bytes = vec![round; rng.below(20_000) as usize];
                fifo.push(&bytes, &mut pool);
                model.extend(bytes);
                let count = (rng.below(30_000) as usize).min(model.len());
                let expected: Vec<u8> = model.drain(..count).collect();
                assert_eq!(expected, fifo.as_slice()[..count]);
                fifo.consume(count, &mut pool);
                assert_eq!(fifo.len(), model.len());
                assert!(fifo.capacity() <= SMALL.max(fifo.len() * 8 + 8));
                assert!(!fifo.is_empty() || fifo.capacity() == 0);
            }
            assert_eq!(pool.bytes, pool.spares.iter().map(Vec::capacity).sum::<usize>());
        }
    }

    #[test]
    fn steady_traffic_uses_the_same_memory() {
        let (mut fifo, mut pool) = (Fifo::default(), Pool::default());
        fifo.push(&[1; 65_507], &mut pool);
        let place = fifo.as_slice().as_ptr();
        for _ in 0..1000 {
            fifo.consume(65_507, &mut pool);
            fifo.push(&[1; 65_507], &mut pool);
            assert_eq!(fifo.as_slice().as_ptr(), place);
        }
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::default();
        for _ in 0..1000 {
            pool.give(Vec::with_capacity(10));
        }
        assert_eq!(pool.spares.len(), SPARES);
        pool.clear();
        for _ in 0..1000 {
            pool.give(Vec::with_capacity(100_000));
        }
        assert!(pool.bytes <= SPARE_BYTES && pool.bytes > SPARE_BYTES - 100_000);
        assert!(pool.memory() >= pool.bytes);
        pool.clear();
        assert_eq!(pool.memory(), 0);
    }

    #[test]
    fn a_few_bytes_do_not_pin_a_large_vector() {
        let (mut fifo, mut pool) = (Fifo::default(), Pool::default());
        fifo.push(&[1; 65_507], &mut pool);
        fifo.consume(65_500, &mut pool);
        assert!(fifo.capacity() <= SMALL);
        let mut other = Fifo::default();
        other.push(&[1], &mut pool);
        assert!(other.capacity() <= SMALL);
    }
}
