//! The connection's place in the books of its node; nothing is kept without the
//! feature `limits`.

use crate::identity::PeerId;
use crate::time::Instant;

use super::Error;

#[cfg(feature = "limits")]
pub(super) use booked::Booking;

#[cfg(feature = "limits")]
mod booked {
    use std::sync::Arc;

    use super::{Error, Instant, PeerId};
    use crate::swarm::limits::ConnectionScope;
    use crate::swarm::meter::Way;
    use crate::time::earliest;

    /// A connection without a scope may do everything.
    #[derive(Default)]
    pub(in super::super) struct Booking {
        pub(in super::super) scope: Option<Arc<ConnectionScope>>,
        /// Bytes booked for what came before the remote was known.
        handshake: usize,
        /// Until then nothing is read, for a limit on the rate.
        read_at: Option<Instant>,
        /// Until then nothing is sent.
        send_at: Option<Instant>,
    }

    impl Booking {
        /// `bytes` of the remote wait with us before it is known.
        pub(in super::super) fn handshake(&mut self, bytes: usize) -> Result<(), Error> {
            if let Some(scope) = &self.scope
                && let Some(more) = bytes.checked_sub(self.handshake).filter(|more| *more > 0)
            {
                scope.grow(more, more)?;
                self.handshake = bytes;
            }
            Ok(())
        }

        /// The remote has proved who it is.
        pub(in super::super) fn authenticated(&mut self, peer: PeerId) -> Result<(), Error> {
            if let Some(scope) = &self.scope {
                scope.shrink(core::mem::take(&mut self.handshake));
                scope.authenticated(peer)?;
            }
            Ok(())
        }

        /// Bytes came over the transport: when the next may be read, if not at once.
        pub(in super::super) fn received(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
            self.read_at = self.scope.as_ref()?.passed(Way::In, now, bytes).max(self.read_at);
            self.read_at
        }

        /// Bytes went out.
        pub(in super::super) fn sent(&mut self, now: Instant, bytes: usize) {
            if let Some(scope) = self.scope.as_ref().filter(|_| bytes > 0) {
                self.send_at = scope.passed(Way::Out, now, bytes);
            }
        }

        /// How many of `budget` bytes may be sent now.
        pub(in super::super) fn budget(&self, budget: usize) -> usize {
            match &self.scope {
                _ if self.send_at.is_some() => 0,
                Some(scope) => budget.min(scope.slice(Way::Out)),
                None => budget,
            }
        }

        pub(in super::super) fn may_read(&self) -> bool {
            self.read_at.is_none()
        }

        pub(in super::super) fn may_send(&self) -> bool {
            self.send_at.is_none()
        }

        pub(in super::super) fn poll_timeout(&self) -> Option<Instant> {
            earliest(self.read_at, self.send_at)
        }

        pub(in super::super) fn handle_timeout(&mut self, now: Instant) {
            self.read_at.take_if(|at| *at <= now);
            self.send_at.take_if(|at| *at <= now);
        }
    }
}

/// The books of a build without them.
#[cfg(not(feature = "limits"))]
#[derive(Default)]
pub(super) struct Booking {}

#[cfg(not(feature = "limits"))]
impl Booking {
    pub(super) fn handshake(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn authenticated(&mut self, _: PeerId) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn received(&mut self, _: Instant, _: usize) -> Option<Instant> {
        None
    }

    pub(super) fn sent(&mut self, _: Instant, _: usize) {}

    pub(super) fn budget(&self, budget: usize) -> usize {
        budget
    }

    pub(super) fn may_read(&self) -> bool {
        true
    }

    pub(super) fn may_send(&self) -> bool {
        true
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    pub(super) fn handle_timeout(&mut self, _: Instant) {}
}
