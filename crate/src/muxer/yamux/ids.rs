//! Which stream numbers the remote has used.

use crate::collections::Map;

/// Ranges of numbers skipped by the remote that are remembered. Numbers are
/// given when a stream is opened but used when it first sends, so they may come
/// out of order; of a remote that skips more ranges than this, the lowest count
/// as used.
pub const MAX_GAPS: usize = 1024;

/// The numbers that the remote has used, all of one parity.
#[derive(Debug)]
pub(super) struct Used {
    /// The lowest number above all used ones; `None` when none is left.
    next: Option<u32>,
    /// First and last of each range below `next` that was skipped.
    gaps: Map<u32, u32>,
}

impl Used {
    /// None used; `first` is the lowest there is.
    pub(super) const fn new(first: u32) -> Self {
        Self { next: Some(first), gaps: Map::new() }
    }

    /// Whether `id` was used.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.next.is_none_or(|next| id < next) && self.gap(id).is_none()
    }

    /// Marks `id` as used; false if it was already. Its parity is the caller's
    /// to check.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        if let Some((first, last)) = self.gap(id) {
            self.gaps.remove(&first);
            if first < id {
                self.gaps.insert(first, id - 2);
            }
            if id < last {
                self.gaps.insert(id + 2, last);
            }
        } else {
            match self.next {
                Some(next) if id >= next => {
                    if next < id {
                        self.gaps.insert(next, id - 2);
                    }
                    self.next = id.checked_add(2);
                }
                _ => return false,
            }
        }
        if self.gaps.len() > MAX_GAPS {
            self.gaps.pop_first();
        }
        true
    }

    /// Bytes of memory held, about.
    pub(super) fn memory(&self) -> usize {
        self.gaps.len() * 2 * size_of::<(u32, u32)>()
    }

    fn gap(&self, id: u32) -> Option<(u32, u32)> {
        let (first, last) = self.gaps.floor(&id)?;
        (id <= *last).then_some((*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Rng;

    #[test]
    fn agrees_with_a_set() {
        for seed in 0..50 {
            let mut rng = Rng::from_number(seed);
            let (mut used, mut model) = (Used::new(2), BTreeSet::new());
            for _ in 0..500 {
                let id = 2 + 2 * rng.below(300) as u32;
                assert_eq!(used.contains(id), model.contains(&id));
                assert_eq!(used.insert(id), model.insert(id), "{id}");
            }
        }
    }

    #[test]
    fn remembers_a_bounded_number_of_gaps() {
        let mut used = Used::new(1);
        for index in 0..10_000 {
            assert!(used.insert(3 + index * 4));
        }
        assert_eq!(used.gaps.len(), MAX_GAPS);
        assert!(used.contains(1), "the lowest gap counts as used");
        assert!(!used.contains(39_997), "the highest does not");
    }

    #[test]
    fn ends_with_the_last_number() {
        let mut used = Used::new(1);
        assert!(used.insert(u32::MAX));
        assert!(!used.insert(u32::MAX));
        assert!(used.contains(u32::MAX) && !used.contains(u32::MAX - 2));
        assert!(used.insert(u32::MAX - 2) && used.insert(1));
    }
}
