//! Tests of whole sessions.

#[cfg(feature = "limits")]
mod booked;
mod differential;
mod fairness;
mod hostile;
mod limits;
mod model;
mod pair;
mod window;
