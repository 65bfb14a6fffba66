//! Tests of whole sessions.

mod differential;
mod fairness;
mod hostile;
mod limits;
mod model;
mod pair;
mod window;
