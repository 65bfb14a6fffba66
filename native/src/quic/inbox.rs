//! What the reader of a socket has for one connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Datagrams of one remote that wait for its task; further ones are lost, as datagrams
/// may be. Half a MiB.
const MAX_QUEUED: usize = 400;

/// A queue that holds no memory while it is empty.
pub(super) struct Inbox<T>(Mutex<Queue<T>>);

struct Queue<T> {
    waiting: Vec<T>,
    /// Of the connection's task, which has seen all.
    reader: Option<Waker>,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self(Mutex::new(Queue { waiting: Vec::new(), reader: None }))
    }
}

impl<T> Inbox<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // The queue is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something; what does not fit is lost.
    pub(super) fn put(&self, news: T) {
        let mut queue = self.lock();
        if queue.waiting.len() < MAX_QUEUED {
            queue.waiting.push(news);
        }
        let reader = queue.reader.take();
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// All that waits; the task is woken when there is more.
    pub(super) fn take(&self, cx: &Context<'_>) -> Vec<T> {
        let mut queue = self.lock();
        if queue.reader.as_ref().is_none_or(|reader| !reader.will_wake(cx.waker())) {
            queue.reader = Some(cx.waker().clone());
        }
        std::mem::take(&mut queue.waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::task::{ArcWake, waker};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(count: &Arc<Self>) {
            count.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn news_wake_once_keep_their_order_and_are_lost_beyond_the_limit() {
        let (inbox, count) = (Inbox::default(), Arc::new(Count::default()));
        let waker = waker(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        assert!(inbox.take(&cx).is_empty());
        (0..MAX_QUEUED + 7).for_each(|number| inbox.put(number));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(inbox.take(&cx).into_iter().eq(0..MAX_QUEUED));
        assert!(inbox.take(&cx).is_empty());
        inbox.put(1);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
