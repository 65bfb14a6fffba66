//! Ordered maps and sets as sorted vectors.
//!
//! Why not `BTreeMap`: each pair of types that it is used with costs some 6 KB
//! of WebAssembly, a quarter of the whole module in sum; a sorted vector costs
//! a few hundred bytes, and less memory for the few entries that most tables
//! have. Keys here mostly grow, so insertions go to the end. Removing moves what
//! lies behind: values that are large, in tables that may be long, are boxed by
//! their owners.
//!
//! Order of iteration is that of the keys, so that a simulation repeats.

mod map;
mod set;
pub(crate) mod sort;

pub use map::{Entry, Map};
pub use set::Set;

/// A map that may hold thousands: a tree, but in WebAssembly without the feature `fast`,
/// where code is what costs, a [`Map`].
#[cfg(any(not(target_arch = "wasm32"), feature = "fast"))]
pub type LongMap<K, V> = std::collections::BTreeMap<K, V>;
/// A map that may hold thousands: a tree, but in WebAssembly without the feature `fast`,
/// where code is what costs, a [`Map`].
#[cfg(all(target_arch = "wasm32", not(feature = "fast")))]
pub type LongMap<K, V> = Map<K, V>;
/// A set that may hold thousands; see [`LongMap`].
#[cfg(any(not(target_arch = "wasm32"), feature = "fast"))]
pub type LongSet<T> = std::collections::BTreeSet<T>;
/// A set that may hold thousands; see [`LongMap`].
#[cfg(all(target_arch = "wasm32", not(feature = "fast")))]
pub type LongSet<T> = Set<T>;
