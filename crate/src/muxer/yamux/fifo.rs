//! Bytes that were received: contiguous for the reader.

use super::pool::Pool;

/// A first-in first-out queue of bytes, contiguous for the reader, that holds no
/// memory when empty: it goes to the pool, so that steady traffic allocates
/// nothing and idle streams hold nothing.
///
/// Memory of all queues of a session together: [`LOOSE`](super::pool::LOOSE),
/// and for each queue [`SMALL`](super::pool::SMALL) or eight times the bytes it holds.
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
        let held = self.capacity();
        if held == 0 {
            self.bytes = pool.take(bytes.len());
        } else if self.bytes.len() + bytes.len() > held && self.head >= self.bytes.len() / 2 {
            // The front is mostly gap: each byte moves a constant number of times.
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
        pool.held = pool.held - held + self.capacity();
    }

    /// Drops the `count` oldest bytes, or all if there are fewer.
    pub(super) fn consume(&mut self, count: usize, pool: &mut Pool) {
        self.head = self.head.saturating_add(count).min(self.bytes.len());
        let (left, held) = (self.len(), self.capacity());
        if left == 0 {
            self.clear(pool);
        } else if pool.is_tight(left, held) {
            let mut smaller = pool.take(left);
            smaller.extend_from_slice(self.as_slice());
            pool.held = pool.held - held + smaller.capacity();
            pool.give(core::mem::replace(&mut self.bytes, smaller));
            self.head = 0;
        }
    }

    pub(super) fn clear(&mut self, pool: &mut Pool) {
        pool.held -= self.capacity();
        pool.give(core::mem::take(&mut self.bytes));
        self.head = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::pool::{LOOSE, SMALL};
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
                assert!(fifo.capacity() <= LOOSE.max(fifo.len() * 8 + 8));
                assert!(!fifo.is_empty() || fifo.capacity() == 0);
            }
            assert_eq!(pool.held, fifo.capacity());
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
    fn a_few_bytes_do_not_pin_large_vectors() {
        let mut pool = Pool::default();
        let mut fifos: Vec<Fifo> = (0..200).map(|_| Fifo::default()).collect();
        for fifo in &mut fifos {
            fifo.push(&[1; 65_507], &mut pool);
            fifo.consume(65_507, &mut pool);
            fifo.push(&[1], &mut pool);
        }
        assert!(pool.held <= LOOSE + 200 * SMALL, "{}", pool.held);
        for fifo in &mut fifos {
            fifo.push(&[1; 65_507], &mut pool);
        }
        for fifo in &mut fifos {
            fifo.consume(65_500, &mut pool);
        }
        assert!(pool.held <= LOOSE + 200 * SMALL, "{}", pool.held);
    }
}
