//! Messages that wait for one peer to read.

use std::collections::VecDeque;

use super::{Priority, SendError};

/// What a message costs beside its bytes, so that empty ones are not free.
const OVERHEAD: usize = 1024;

/// What happens to a message that finds the queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// It is refused, with [`SendError::Full`].
    #[default]
    Refuse,
    /// The oldest ones make room for it, normal before urgent; how many is said.
    DropOldest,
}

/// A message is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that were dropped to make room for it.
    pub dropped: usize,
}

#[derive(Default)]
pub(super) struct Queue {
    high: VecDeque<Vec<u8>>,
    normal: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(
        &mut self,
        message: Vec<u8>,
        priority: Priority,
        limit: usize,
        full: Full,
    ) -> Result<Sent, SendError> {
        let mut sent = Sent::default();
        let cost = cost(&message);
        while self.bytes.saturating_add(cost) > limit {
            // One that is alone always fits, or a small limit would stop everything.
            if self.bytes == 0 {
                break;
            }
            let room = match full {
                Full::Refuse => None,
                // Nothing urgent goes for what is not.
                Full::DropOldest if priority == Priority::Normal => self.normal.pop_front(),
                Full::DropOldest => self.normal.pop_front().or_else(|| self.high.pop_front()),
            };
            let dropped = room.ok_or(SendError::Full)?;
            self.bytes = self.bytes.saturating_sub(self::cost(&dropped));
            sent.dropped += 1;
        }
        self.bytes += cost;
        match priority {
            Priority::High => self.high.push_back(message),
            Priority::Normal => self.normal.push_back(message),
        }
        Ok(sent)
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.high.pop_front().or_else(|| self.normal.pop_front())?;
        self.bytes = self.bytes.saturating_sub(cost(&message));
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.high.is_empty() && self.normal.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(message: &[u8]) -> usize {
    message.len().max(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(byte: u8) -> Vec<u8> {
        vec![byte; 2048]
    }

    #[test]
    fn the_urgent_goes_first() {
        let mut queue = Queue::default();
        for (byte, priority) in [(1, Priority::Normal), (2, Priority::High), (3, Priority::High)] {
            assert_eq!(
                queue.push(message(byte), priority, 8192, Full::Refuse),
                Ok(Sent::default())
            );
        }
        let order: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|message| message[0]).collect();
        assert_eq!((order, queue.bytes()), (vec![2, 3, 1], 0));
    }

    #[test]
    fn a_full_queue_refuses_or_drops_the_oldest() {
        let mut queue = Queue::default();
        let mut push = |byte, priority, full| queue.push(message(byte), priority, 4096, full);
        assert_eq!(push(1, Priority::Normal, Full::Refuse), Ok(Sent { dropped: 0 }));
        assert_eq!(push(2, Priority::High, Full::Refuse), Ok(Sent { dropped: 0 }));
        assert_eq!(push(3, Priority::High, Full::Refuse), Err(SendError::Full));
        assert_eq!(push(4, Priority::Normal, Full::DropOldest), Ok(Sent { dropped: 1 }));
        assert_eq!(push(5, Priority::High, Full::DropOldest), Ok(Sent { dropped: 1 }));
        assert_eq!(push(6, Priority::Normal, Full::DropOldest), Err(SendError::Full));
        let order: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|message| message[0]).collect();
        assert_eq!(order, [2, 5]);
    }
}
