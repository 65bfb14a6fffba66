//! The host on tokio and its program over real sockets: one program of tests, because
//! each that is linked costs seconds and a hundred megabytes. What needs a process to
//! itself is beside this folder.

mod common;
mod dht;
mod examples;
mod keeping;
mod mdns;
mod names;
mod naming;
mod ports;
mod program;
mod pubsub;
mod punch;
mod quic;
mod reach;
mod records;
mod relay;
mod rendezvous;
mod room;
mod routing;
#[cfg(feature = "s3")]
mod s3;
mod store;
mod swarm;
mod transports;
mod webrtc;
