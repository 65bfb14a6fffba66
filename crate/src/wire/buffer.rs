//! A queue of bytes that gives its memory back when it is empty.

/// A first-in first-out queue of bytes, contiguous for the reader.
///
/// Memory: the bytes held plus at most as much again; an empty queue that had
/// grown over [`Buffer::KEEP`] holds none.
#[derive(Debug, Default, Clone)]
pub struct Buffer {
    bytes: Vec<u8>,
    head: usize,
}

impl Buffer {
    /// Capacity in bytes that an emptied queue may keep for its next use.
    pub const KEEP: usize = 4096;

    /// An empty queue, without an allocation.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), head: 0 }
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes that wait, oldest first.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// As [`Buffer::as_slice`], to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.head..]
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// The vector to append to, for writers that encode in place.
    pub fn writer(&mut self) -> &mut Vec<u8> {
        self.make_room(0);
        &mut self.bytes
    }

    /// Drops the `count` oldest bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.head = self.head.saturating_add(count).min(self.bytes.len());
        if self.head == self.bytes.len() {
            self.clear();
        }
    }

    /// Moves as many bytes as fit into `out` and returns their number.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let count = out.len().min(self.len());
        out[..count].copy_from_slice(&self.as_slice()[..count]);
        self.consume(count);
        count
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.head = 0;
        self.bytes.clear();
        if self.bytes.capacity() > Self::KEEP {
            self.bytes = Vec::new();
        }
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Closes the gap at the front when growing would otherwise reallocate and
    /// the gap is at least half, so each byte moves a constant number of times.
    fn make_room(&mut self, more: usize) {
        if self.head > 0
            && self.bytes.len() + more > self.bytes.capacity()
            && self.head >= self.bytes.len() / 2
        {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_first_in_first_out_and_gives_memory_back() {
        let mut buffer = Buffer::new();
        let mut expected = std::collections::VecDeque::new();
        for round in 0..200usize {
            let bytes: Vec<u8> = (0..round * 7).map(|i| (i + round) as u8).collect();
            buffer.push(&bytes);
            expected.extend(bytes);
            let mut out = vec![0; round * 5];
            let count = buffer.read(&mut out);
            assert!(expected.drain(..count).eq(out[..count].iter().copied()));
            assert_eq!(buffer.len(), expected.len());
        }
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
        assert!(buffer.capacity() <= Buffer::KEEP);
    }

    #[test]
    fn memory_stays_bounded_under_steady_traffic() {
        let mut buffer = Buffer::new();
        buffer.push(&[1; 1000]);
        for _ in 0..10_000 {
            buffer.push(&[2; 1000]);
            buffer.consume(1000);
        }
        assert!(buffer.capacity() <= 8192, "capacity {}", buffer.capacity());
    }
}
