//! Peers that sleep, and that stop and start again.

use super::*;

impl<A: Application> World<A> {
    /// Freezes a peer, as a browser does a page in the background: nothing of it
    /// runs, and what comes for it waits.
    pub fn freeze(&mut self, index: PeerIndex) {
        self.hosts[index.0].asleep.get_or_insert_default();
    }

    /// Ends a freeze; all that waited happens now, timers first.
    pub fn thaw(&mut self, index: PeerIndex) {
        let mut waiting = self.hosts[index.0].asleep.take().unwrap_or_default();
        waiting.sort_by_key(|happening| !matches!(happening, Happening::Timer(_)));
        for happening in waiting {
            self.schedule(Duration::ZERO, happening);
        }
    }

    /// Stops a peer, as when its process ends: its connections are cut and dials to
    /// it refused.
    pub fn stop(&mut self, index: PeerIndex) {
        let host = &mut self.hosts[index.0];
        host.down = true;
        let open = host.peer.node().peers().flat_map(|(_, ids)| ids.iter().copied());
        for connection in open.collect::<Vec<_>>() {
            self.cut(index, connection);
        }
    }

    /// Starts a peer that was stopped, with its key and configuration and nothing
    /// else; what was on its way to it is to have arrived.
    pub fn start(&mut self, index: PeerIndex) {
        let peer = Peer::new(self.hosts[index.0].config.clone(), self.rng.fork());
        let host = &mut self.hosts[index.0];
        (host.peer, host.down) = (peer, false);
        host.peer.listening(self.now, memory(index));
        self.drain(index);
    }
}
