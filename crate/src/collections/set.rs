use core::borrow::Borrow;
use core::ops::RangeFrom;

use super::Map;

/// A set of ordered values, as a sorted vector; see [`Map`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T> {
    entries: Map<T, ()>,
}

impl<T: Ord> Set<T> {
    /// An empty set, without an allocation.
    pub const fn new() -> Self {
        Self { entries: Map::new() }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `value` is there.
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.entries.contains_key(value)
    }

    /// Puts `value` in; false if it was there.
    pub fn insert(&mut self, value: T) -> bool {
        self.entries.insert(value, ()).is_none()
    }

    /// Takes `value` out; false if it was not there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.entries.remove(value).is_some()
    }

    /// The smallest value.
    pub fn first(&self) -> Option<&T> {
        self.entries.first_key_value().map(|(value, ())| value)
    }

    /// Takes the smallest value out.
    pub fn pop_first(&mut self) -> Option<T> {
        self.entries.pop_first().map(|(value, ())| value)
    }

    /// The values from one on.
    pub fn range(
        &self,
        values: RangeFrom<T>,
    ) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.entries.range(values).map(|(value, ())| value)
    }

    /// Keeps the values for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.entries.retain(|value, ()| keep(value));
    }

    /// Moves all values of `other` here.
    pub fn append(&mut self, other: &mut Self) {
        for (value, ()) in core::mem::take(&mut other.entries) {
            self.insert(value);
        }
    }

    /// All values, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.entries.keys()
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { entries: Map::default() }
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self { entries: values.into_iter().map(|value| (value, ())).collect() }
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = core::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter().map(|(value, ())| value)
    }
}
