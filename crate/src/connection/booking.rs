//! The connection's place in the books of its node; nothing is kept without the
//! feature `limits`.

use crate::identity::PeerId;

use super::Error;

#[cfg(feature = "limits")]
pub(super) use booked::Booking;

#[cfg(feature = "limits")]
mod booked {
    use std::sync::Arc;

    use super::{Error, PeerId};
    use crate::swarm::limits::ConnectionScope;

    /// A connection without a scope may do everything.
    #[derive(Default)]
    pub(in super::super) struct Booking {
        pub(in super::super) scope: Option<Arc<ConnectionScope>>,
        /// Bytes booked for what came before the remote was known.
        handshake: usize,
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
    }
}

/// The books of a build without them.
#[cfg(not(feature = "limits"))]
#[derive(Default)]
pub(super) struct Booking;

#[cfg(not(feature = "limits"))]
impl Booking {
    pub(super) fn handshake(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn authenticated(&mut self, _: PeerId) -> Result<(), Error> {
        Ok(())
    }
}
