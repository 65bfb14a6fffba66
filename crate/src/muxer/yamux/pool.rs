//! The memory of a session's queues.

/// Vectors that the pool keeps at most.
const SPARES: usize = 128;

/// Bytes that the vectors of the pool hold at most. Enough for the streams of a
/// busy connection, whose queues are full only between a frame and its reader.
const SPARE_BYTES: usize = 1024 * 1024;

/// Bytes that the queues of a session may hold together without regard to what
/// is in them. Beyond, a queue takes no memory more than eight times its bytes,
/// so that a byte on each of many streams does not pin large vectors.
pub(super) const LOOSE: usize = 1024 * 1024;

/// A queue may hold this much memory without regard to its contents.
pub(super) const SMALL: usize = 4096;

/// Emptied vectors, for the next queue that needs one.
#[derive(Debug, Default)]
pub(super) struct Pool {
    spares: Vec<Vec<u8>>,
    /// The capacity of all spares.
    spare: usize,
    /// The capacity of all queues.
    pub(super) held: usize,
}

impl Pool {
    /// A vector for `len` bytes at first; not one so large that they would pin
    /// it, unless little is held.
    pub(super) fn take(&mut self, len: usize) -> Vec<u8> {
        let fits = |spare: &Vec<u8>| {
            let capacity = spare.capacity();
            capacity >= len
                && (capacity <= SMALL || capacity / 8 <= len || self.held + capacity <= LOOSE)
        };
        let Some(index) = self.spares.iter().rposition(fits) else {
            return Vec::with_capacity(len);
        };
        let spare = self.spares.swap_remove(index);
        self.spare -= spare.capacity();
        spare
    }

    pub(super) fn give(&mut self, mut bytes: Vec<u8>) {
        let capacity = bytes.capacity();
        if capacity > 0 && self.spare + capacity <= SPARE_BYTES && self.spares.len() < SPARES {
            bytes.clear();
            self.spare += capacity;
            self.spares.push(bytes);
        }
    }

    /// Whether a queue that holds `bytes` in `capacity` should move to a smaller
    /// vector.
    pub(super) fn is_tight(&self, bytes: usize, capacity: usize) -> bool {
        capacity > SMALL && bytes < capacity / 8 && self.held > LOOSE
    }

    /// Gives all spare memory back.
    pub(super) fn clear(&mut self) {
        self.spares = Vec::new();
        self.spare = 0;
    }

    /// Bytes of memory held, in spares and in queues.
    pub(super) fn memory(&self) -> usize {
        self.spares.capacity() * size_of::<Vec<u8>>() + self.spare + self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(pool.spare <= SPARE_BYTES && pool.spare > SPARE_BYTES - 100_000);
        assert!(pool.memory() >= pool.spare);
        pool.clear();
        assert_eq!(pool.memory(), 0);
    }
}
