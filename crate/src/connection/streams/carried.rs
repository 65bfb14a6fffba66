//! Streams that connections run over: the goodbye waits for them.

use crate::muxer::yamux::StreamId;

use super::Streams;

impl Streams {
    /// As [`Streams::detach`], for a connection over it.
    pub(in crate::connection) fn carry(&mut self, id: StreamId) -> bool {
        let detached = self.detach(id);
        if let Some(entry) = self.entries.get_mut(&id).filter(|_| detached) {
            entry.carries = true;
            self.carried += 1;
        }
        detached
    }

    pub(super) fn carries(&self) -> bool {
        self.carried > 0
    }

    pub(super) fn carried_ended(&mut self) {
        self.carried = self.carried.saturating_sub(1);
        self.part();
    }
}
