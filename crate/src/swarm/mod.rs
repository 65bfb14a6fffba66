//! Whom we know, how they are reached, whom we speak with, and what all of that
//! may use.
//!
//! State machines of the [node](crate::node), which gives them time and carries
//! out what they say.

#[cfg(feature = "addresses")]
pub mod addresses;
#[cfg(feature = "limits")]
pub mod arrivals;
#[cfg(feature = "dialing")]
mod backoff;
#[cfg(any(feature = "limits", feature = "relay"))]
pub(crate) mod bucket;
pub(crate) mod dial;
#[cfg(any(feature = "addresses", feature = "limits"))]
pub mod gate;
#[cfg(feature = "limits")]
pub mod limits;
#[cfg(feature = "manager")]
pub mod manager;
#[cfg(feature = "limits")]
pub mod meter;
pub(crate) mod paths;
#[cfg(not(feature = "dialing"))]
mod plain;
#[cfg(feature = "dialing")]
pub(crate) mod rank;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "webrtc")]
pub(crate) mod upgrades;

#[cfg(feature = "dialing")]
pub use backoff::{BACKOFF_BASE, MAX_BACKOFF, MAX_BACKOFFS};
#[cfg(feature = "webrtc")]
pub use dial::SIGNALLED_ATTEMPT_TIMEOUT;
pub use dial::{ATTEMPT_TIMEOUT, DIAL_TIMEOUT, DialOptions, LOCAL_ATTEMPT_TIMEOUT, MAX_ADDRESSES};
#[cfg(feature = "webrtc")]
pub use upgrades::{MAX_UPGRADES, UPGRADE_PAUSES};
