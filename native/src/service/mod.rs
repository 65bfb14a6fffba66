//! Protocols that a server offers, over streams of the node.

pub mod echo;
pub mod perf;
pub mod room;
pub mod routing;
