//! Sorting, small where code is what costs.
#![allow(dead_code, reason = "it is features that sort")]

use core::cmp::Ordering;

/// Sorts; what is equal stays in its order.
#[cfg(any(not(target_arch = "wasm32"), feature = "fast"))]
pub(crate) fn sort_by<T>(list: &mut [T], order: impl FnMut(&T, &T) -> Ordering) {
    list.sort_by(order);
}

/// Sorts; what is equal stays in its order. By insertion: the standard library's way costs
/// 3 KB of WebAssembly for each type, and lists in a page have a few hundred entries.
#[cfg(all(target_arch = "wasm32", not(feature = "fast")))]
pub(crate) fn sort_by<T>(list: &mut [T], order: impl FnMut(&T, &T) -> Ordering) {
    insert_all(list, order);
}

#[cfg(any(test, all(target_arch = "wasm32", not(feature = "fast"))))]
fn insert_all<T>(list: &mut [T], mut order: impl FnMut(&T, &T) -> Ordering) {
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && order(&list[at - 1], &list[at]) == Ordering::Greater {
            list.swap(at - 1, at);
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn inserting_does_what_the_standard_library_does() {
        let mut rng = Rng::from_number(1);
        for length in 0..60 {
            let list: Vec<(u64, usize)> = (0..length).map(|at| (rng.below(9), at)).collect();
            let (mut inserted, mut sorted) = (list.clone(), list);
            insert_all(&mut inserted, |(a, _), (b, _)| a.cmp(b));
            sort_by(&mut sorted, |(a, _), (b, _)| a.cmp(b));
            assert_eq!(inserted, sorted);
        }
    }
}
