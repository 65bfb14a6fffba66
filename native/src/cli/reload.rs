//! What `polypeer serve` takes up of its file while it runs.

use std::io;

use polypeer::facade::Node;
use polypeer::node::Config;
use serde_json::json;

use super::config::ConfigError;
use super::output::Output;

/// SIGHUP, where there is a file to read again; elsewhere it ends the program, as ever.
pub(super) struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    pub(super) fn new(heard: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: heard.then(|| signal(SignalKind::hangup())).transpose()? })
    }

    #[cfg(not(unix))]
    pub(super) fn new(_heard: bool) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Takes up what the relay allows and what is announced; the rest waits for the next
/// start. What cannot be read leaves everything as it is.
pub(super) async fn reload(config: Result<Config, ConfigError>, node: &Node, output: Output) {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let reason = error.to_string();
            let value = json!({ "event": "reloadFailed", "reason": reason });
            return output.print(value, || format!("All stays as it was: {reason}"));
        }
    };
    // A node that has ended says so elsewhere.
    if let Some(service) = config.relay.service {
        let _ = node.serve_as_relay(service).await;
    }
    let _ = node.set_announcing(config.addresses).await;
    let text = "The relay and the addresses are as the file says now";
    output.print(json!({ "event": "reloaded" }), || text.into());
}
