//! What a session holds, in the books of its connection; nothing is kept
//! without the feature `limits`.

#[cfg(feature = "limits")]
pub(super) use booked::{Booking, Books};
#[cfg(not(feature = "limits"))]
pub(super) use unbooked::{Booking, Books};

#[cfg(feature = "limits")]
mod booked {
    use core::fmt;
    use std::sync::Arc;

    use super::super::error::OpenError;
    use crate::swarm::limits::{ConnectionScope, STREAM_FLOOR, StreamScope};

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
    }

    /// A stream's place in them.
    #[derive(Default)]
    pub(in super::super) struct Booking(Option<StreamScope>);

    impl Books {
        pub(in super::super) fn set_scope(&mut self, scope: Arc<ConnectionScope>) {
            self.scope = Some(scope);
        }

        pub(in super::super) fn stream(&self, inbound: bool) -> Result<Booking, OpenError> {
            let scope = self.scope.as_ref().map(|scope| scope.stream(inbound)).transpose();
            scope.map(Booking).map_err(OpenError::Limit)
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
            self.0.as_mut().is_none_or(|scope| scope.set_window(beyond))
        }

        pub(in super::super) fn assign(
            &mut self,
            protocol: &crate::negotiate::Name,
        ) -> Result<(), OpenError> {
            let assigned = self.0.as_mut().map_or(Ok(()), |scope| scope.assign(protocol));
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

    #[derive(Debug, Default)]
    pub(in super::super) struct Books;

    #[derive(Debug, Default)]
    pub(in super::super) struct Booking;

    impl Books {
        pub(in super::super) fn stream(&self, _: bool) -> Result<Booking, OpenError> {
            Ok(Booking)
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
    }

    impl Booking {
        pub(in super::super) fn set_window(&mut self, _: usize) -> bool {
            true
        }
    }
}
