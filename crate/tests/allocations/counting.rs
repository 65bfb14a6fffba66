//! An allocator that counts, for claims about allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// How many allocations and reallocations this thread has made.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// By how many bytes what this thread has allocated grew at most while `act` ran.
pub(crate) fn growth(act: impl FnOnce()) -> isize {
    let before = LIVE.get();
    PEAK.set(before);
    act();
    PEAK.get() - before
}

fn count(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    LIVE.set(LIVE.get() + bytes.cast_signed());
    PEAK.set(PEAK.get().max(LIVE.get()));
}

fn discount(bytes: usize) {
    LIVE.set(LIVE.get() - bytes.cast_signed());
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is the system allocator's, with the caller's arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        discount(layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // For a moment both may be there.
        count(size);
        discount(layout.size());
        unsafe { System.realloc(place, layout, size) }
    }
}
