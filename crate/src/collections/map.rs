use core::borrow::Borrow;
use core::ops::RangeFrom;

/// Entries that an emptied table may keep room for.
const KEEP: usize = 8;

/// A map from ordered keys, as a sorted vector.
///
/// Finding takes logarithmic time; inserting and removing move the entries
/// behind. Memory: at most four times the entries, or eight entries.
///
/// ```
/// use polypeer::collections::Map;
/// let mut map = Map::new();
/// map.insert("b", 2);
/// map.insert("a", 1);
/// assert_eq!(map.get("a"), Some(&1));
/// assert_eq!(map.keys().collect::<Vec<_>>(), [&"a", &"b"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<K, V> {
    entries: Vec<(K, V)>,
}

impl<K: Ord, V> Map<K, V> {
    /// An empty map, without an allocation.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.entries.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// The entry that equals `key`, with its key.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.entries.get(at).map(|(key, value)| (key, value))
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Whether `key` has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Gives `key` this value and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.entries.get_mut(at).map(|(_, old)| core::mem::replace(old, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of `key`, made by `default` if it has none.
    pub fn get_or_insert_with(&mut self, key: K, default: impl FnOnce() -> V) -> &mut V {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => {
                self.entries.insert(at, (key, default()));
                at
            }
        };
        // It was there, or was put there just now.
        &mut self.entries[at].1
    }

    /// The place of `key`, whether it has a value or not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { map: self, key }
    }

    /// Takes the value of `key` out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        let (_, value) = self.entries.remove(at);
        self.shrink();
        Some(value)
    }

    /// The first entry by key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.entries.first().map(|(key, value)| (key, value))
    }

    /// Takes the first entry by key out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        if self.entries.is_empty() {
            return None;
        }
        let entry = self.entries.remove(0);
        self.shrink();
        Some(entry)
    }

    /// The last entry whose key is `key` or smaller.
    pub fn floor(&self, key: &K) -> Option<(&K, &V)> {
        let end = self.entries.partition_point(|(known, _)| known <= key);
        self.entries.get(end.checked_sub(1)?).map(|(key, value)| (key, value))
    }

    /// The entries from a key on.
    pub fn range(
        &self,
        keys: RangeFrom<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        let start = self.entries.partition_point(|(known, _)| *known < keys.start);
        self.entries[start..].iter().map(|(key, value)| (key, value))
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
        self.shrink();
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// All entries, by key, with values to be changed.
    pub fn iter_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    /// All values, by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    /// All values, by key, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    fn shrink(&mut self) {
        if self.entries.capacity() > KEEP && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to((self.entries.len() * 2).max(KEEP));
        }
    }
}

/// The place of a key in a [`Map`].
pub struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
}

impl<'a, K: Ord, V> Entry<'a, K, V> {
    /// The key's value, made by `default` if it has none.
    pub fn or_insert_with(self, default: impl FnOnce() -> V) -> &'a mut V {
        self.map.get_or_insert_with(self.key, default)
    }

    /// The key's value, or its type's usual one put there.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn does_what_a_tree_does() {
        let mut rng = Rng::from_number(1);
        let mut map = Map::new();
        let mut tree = BTreeMap::new();
        for round in 0..20_000u64 {
            let key = rng.below(300);
            match rng.below(8) {
                0..3 => assert_eq!(map.insert(key, round), tree.insert(key, round)),
                3 | 4 => assert_eq!(map.remove(&key), tree.remove(&key)),
                5 => assert_eq!(map.pop_first(), tree.pop_first()),
                6 => assert_eq!(map.floor(&key), tree.range(..=key).next_back()),
                7 if round % 2 == 0 => {
                    assert!(map.range(key..).eq(tree.range(key..)));
                    *map.entry(key).or_default() += 1;
                    *tree.entry(key).or_default() += 1;
                }
                _ => {
                    *map.get_or_insert_with(key, || 7) += 1;
                    *tree.entry(key).or_insert(7) += 1;
                }
            }
            assert_eq!(map.get(&key), tree.get(&key));
            assert_eq!(map.len(), tree.len());
        }
        assert!(map.iter().eq(tree.iter()));
        map.retain(|key, _| key % 3 == 0);
        tree.retain(|key, _| key % 3 == 0);
        assert!(map.into_iter().eq(tree));
    }

    #[test]
    fn gives_memory_back() {
        let mut map: Map<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
        map.retain(|key, _| *key < 2);
        assert!(map.entries.capacity() <= 2 * KEEP);
    }
}
