//! What a session holds, in the books of its connection; nothing is kept
//! without the feature `limits`.

#[cfg(feature = "limits")]
pub(super) use booked::{Booking, Books};
#[cfg(not(feature = "limits"))]
pub(super) use unbooked::{Booking, Books};

#[cfg(feature = "limits")]
mod booked {
    use crate::collections::LongSet;
    use core::fmt;
    use std::sync::Arc;

    use super::super::error::OpenError;
    use crate::swarm::limits::{ConnectionScope, STREAM_FLOOR, StreamScope};
    use crate::swarm::meter::{Meter, Way};
    use crate::time::Instant;

    /// Memory is booked in steps of as many bytes.
    const STEP: usize = 16 * 1024;
    /// Bytes that stay booked beyond what is held, while there is traffic.
    const SLACK: usize = 256 * 1024;

    /// The books of a session; without a scope everything is allowed.
    #[derive(Default)]
    pub(in super::super) struct Books {
        scope: Option<Arc<ConnectionScope>>,
        booked: usize,
        /// Bytes that the session's owner holds for its streams.
        outside: usize,
        /// Streams that wait for their protocol's rate: at most two entries each.
        waiting: LongSet<(Instant, u32)>,
    }

    /// A stream's place in them.
    #[derive(Default)]
    pub(in super::super) struct Booking {
        scope: Option<StreamScope>,
        /// Until then the stream sends nothing, for its protocol's rate.
        send_at: Option<Instant>,
        /// Until then it gives no window back.
        window_at: Option<Instant>,
        /// It stands in the session's list for its window.
        window_waits: bool,
    }

    impl Books {
        pub(in super::super) fn set_scope(&mut self, scope: Arc<ConnectionScope>) {
            self.scope = Some(scope);
        }

        pub(in super::super) fn stream(&self, inbound: bool) -> Result<Booking, OpenError> {
            let scope = self.scope.as_ref().map(|scope| scope.stream(inbound)).transpose();
            let scope = scope.map_err(OpenError::Limit)?;
            Ok(Booking { scope, ..Booking::default() })
        }

        /// Whether the session may hold `bytes`, which are booked then.
        pub(in super::super) fn cover(&mut self, bytes: usize) -> bool {
            let Some(scope) = &self.scope else { return true };
            if bytes <= self.booked {
                return true;
            }
            let more = bytes - self.booked;
            let steps = more.div_ceil(STEP).saturating_mul(STEP);
            // Close to the limit, exactly what is wanted may still be had.
            let grown = scope.grow(steps, more);
            self.booked += grown.unwrap_or_default();
            grown.is_ok()
        }

        /// The session holds `bytes`: what is booked far beyond that is given back.
        pub(in super::super) fn settle(&mut self, bytes: usize) {
            if self.booked.saturating_sub(bytes) > SLACK {
                self.shrink(bytes);
            }
        }

        /// Gives back all that is booked beyond `bytes`.
        pub(in super::super) fn shrink(&mut self, bytes: usize) {
            let spare = self.booked.saturating_sub(bytes);
            if let Some(scope) = self.scope.as_ref().filter(|_| spare > 0) {
                scope.shrink(spare);
                self.booked -= spare;
            }
        }

        pub(in super::super) fn hold(&mut self, bytes: usize) {
            self.outside = self.outside.saturating_add(bytes);
        }

        pub(in super::super) fn unhold(&mut self, bytes: usize) {
            self.outside = self.outside.saturating_sub(bytes);
        }

        pub(in super::super) fn held_outside(&self) -> usize {
            self.outside
        }

        /// When the first of the streams that wait goes on.
        pub(in super::super) fn next(&self) -> Option<Instant> {
            self.waiting.first().map(|(at, _)| *at)
        }

        /// A stream whose wait is over.
        pub(in super::super) fn due(&mut self, now: Instant) -> Option<u32> {
            let (at, id) = *self.waiting.first().filter(|(at, _)| *at <= now)?;
            self.waiting.remove(&(at, id));
            Some(id)
        }

        /// The streams that wait.
        pub(in super::super) fn waiting(&self) -> impl Iterator<Item = u32> {
            self.waiting.iter().map(|(_, id)| *id)
        }

        /// The stream is over: it waits no more.
        pub(in super::super) fn forget(&mut self, id: u32) {
            if !self.waiting.is_empty() {
                self.waiting.retain(|(_, other)| *other != id);
            }
        }

        /// Bytes that a stream may have waiting when no more can be booked.
        pub(in super::super) fn floor(&self) -> usize {
            STREAM_FLOOR
        }
    }

    impl Drop for Books {
        fn drop(&mut self) {
            self.shrink(0);
        }
    }

    impl Booking {
        pub(in super::super) fn set_window(&mut self, beyond: usize) -> bool {
            self.scope.as_mut().is_none_or(|scope| scope.set_window(beyond))
        }

        fn meter(&self) -> Option<&Meter> {
            self.scope.as_ref()?.meter()
        }

        /// How many bytes may be sent at a time.
        pub(in super::super) fn slice(&self) -> usize {
            self.meter().map_or(usize::MAX, |meter| meter.slice(Way::Out))
        }

        /// Bytes went out on stream `id`: it may have to wait before the next.
        pub(in super::super) fn sent(
            &mut self,
            now: Instant,
            bytes: usize,
            id: u32,
            books: &mut Books,
        ) {
            self.send_at = self.meter().and_then(|meter| meter.count(Way::Out, now, bytes));
            if let Some(at) = self.send_at {
                books.waiting.insert((at, id));
            }
        }

        /// Bytes came in: their window may have to wait.
        pub(in super::super) fn received(&mut self, now: Instant, bytes: usize) {
            let at = self.meter().and_then(|meter| meter.count(Way::In, now, bytes));
            self.window_at = self.window_at.max(at);
        }

        /// Whether the stream waits for nothing before it sends.
        pub(in super::super) fn may_send(&self) -> bool {
            self.send_at.is_none()
        }

        /// Whether the window may grow.
        pub(in super::super) fn may_grow(&self) -> bool {
            self.meter().is_none_or(|meter| !meter.is_limited(Way::In))
        }

        /// Whether stream `id` may give window back now; it waits if not.
        pub(in super::super) fn may_give(
            &mut self,
            now: Instant,
            id: u32,
            books: &mut Books,
        ) -> bool {
            self.window_at.take_if(|at| *at <= now);
            let Some(at) = self.window_at else { return true };
            if !self.window_waits {
                self.window_waits = true;
                books.waiting.insert((at, id));
            }
            false
        }

        /// Time has passed.
        pub(in super::super) fn wake(&mut self, now: Instant) {
            self.send_at.take_if(|at| *at <= now);
            self.window_waits = false;
        }

        pub(in super::super) fn assign(
            &mut self,
            protocol: &crate::negotiate::Name,
        ) -> Result<(), OpenError> {
            let assigned = self.scope.as_mut().map_or(Ok(()), |scope| scope.assign(protocol));
            assigned.map_err(OpenError::Limit)
        }
    }

    impl fmt::Debug for Books {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Books").field("booked", &self.booked).finish()
        }
    }

    impl fmt::Debug for Booking {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Booking")
        }
    }
}

#[cfg(not(feature = "limits"))]
mod unbooked {
    use super::super::error::OpenError;
    use crate::time::Instant;

    #[derive(Debug, Default)]
    pub(in super::super) struct Books {}

    #[derive(Debug, Default)]
    pub(in super::super) struct Booking {}

    impl Books {
        pub(in super::super) fn stream(&self, _: bool) -> Result<Booking, OpenError> {
            Ok(Booking {})
        }

        pub(in super::super) fn cover(&mut self, _: usize) -> bool {
            true
        }

        pub(in super::super) fn settle(&mut self, _: usize) {}

        pub(in super::super) fn shrink(&mut self, _: usize) {}

        pub(in super::super) fn hold(&mut self, _: usize) {}

        pub(in super::super) fn unhold(&mut self, _: usize) {}

        pub(in super::super) fn held_outside(&self) -> usize {
            0
        }

        pub(in super::super) fn floor(&self) -> usize {
            0
        }

        pub(in super::super) fn next(&self) -> Option<Instant> {
            None
        }

        pub(in super::super) fn due(&mut self, _: Instant) -> Option<u32> {
            None
        }

        pub(in super::super) fn waiting(&self) -> impl Iterator<Item = u32> {
            core::iter::empty()
        }

        pub(in super::super) fn forget(&mut self, _: u32) {}
    }

    impl Booking {
        pub(in super::super) fn set_window(&mut self, _: usize) -> bool {
            true
        }

        pub(in super::super) fn slice(&self) -> usize {
            usize::MAX
        }

        pub(in super::super) fn sent(&mut self, _: Instant, _: usize, _: u32, _: &mut Books) {}

        pub(in super::super) fn received(&mut self, _: Instant, _: usize) {}

        pub(in super::super) fn may_send(&self) -> bool {
            true
        }

        pub(in super::super) fn may_grow(&self) -> bool {
            true
        }

        pub(in super::super) fn may_give(&mut self, _: Instant, _: u32, _: &mut Books) -> bool {
            true
        }

        pub(in super::super) fn wake(&mut self, _: Instant) {}
    }
}
