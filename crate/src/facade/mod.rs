//! The linear, async face of the node, and the seam to the host under it.

pub mod platform;
