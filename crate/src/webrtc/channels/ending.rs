//! How streams and their channels end.
//!
//! Source: libp2p specs, `webrtc/README.md`, "Multiplexing".

use super::{Channel, Channels, Flag, Flags, Frame, Kind, MAX_LINGERING, frame, record};

impl Channels {
    /// Tells the muxer that the remote has finished, once it has all.
    pub(super) fn finish(&mut self, id: u32, frames: &mut Vec<u8>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.fin_came && !channel.fin_told && channel.waiting.is_empty() {
            channel.fin_told = true;
            frame(frames, Frame::Data, Flags::FIN, id, 0);
            self.settle(id);
        }
    }

    /// Confirms the end of a stream, all of which is here. However slow its reader is:
    /// js-libp2p waits ten seconds for it and no more.
    pub(super) fn confirm(&mut self, id: u32) {
        let knows = self.confirms || self.windowed == Some(true);
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if knows || channel.fin_sent {
            self.say(id, Some(Flag::FinAck), None);
        } else {
            channel.fin_owed = true;
        }
    }

    /// Says what was owed to a remote that might not have known it.
    pub(super) fn confirm_all(&mut self) {
        let owed = |(id, channel): (&u32, &mut Channel)| {
            core::mem::take(&mut channel.fin_owed).then_some(*id)
        };
        let ids: Vec<u32> = self.channels.iter_mut().filter_map(owed).collect();
        for id in ids {
            self.say(id, Some(Flag::FinAck), None);
        }
    }

    /// The host says that a channel has ended.
    pub(super) fn on_closed(&mut self, id: u32, frames: &mut Vec<u8>) {
        let Some(channel) = self.channels.get(&id) else { return };
        // Bytes that wait for their reader are not lost if the remote had finished.
        if channel.fin_came && !channel.fin_told && channel.fin_sent {
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.fin_acked = true;
            }
            return;
        }
        if !(channel.fin_told && channel.fin_sent) {
            frame(frames, Frame::Data, Flags::RST, id, 0);
        }
        self.forget(id);
    }

    /// Ends a stream that the remote misuses.
    pub(super) fn give_up(&mut self, id: u32, frames: &mut Vec<u8>) {
        frame(frames, Frame::Data, Flags::RST, id, 0);
        self.say(id, Some(Flag::Reset), None);
        self.close(id);
    }

    /// Both sides have finished, perhaps: then the channel closes with the remote's last
    /// word, or without it if too many wait for theirs.
    pub(super) fn settle(&mut self, id: u32) {
        let finished = |channel: &Channel| channel.fin_sent && channel.fin_told;
        if self.channels.get(&id).is_some_and(finished) {
            self.linger(id);
            self.close_if_done(id);
        }
    }

    fn linger(&mut self, id: u32) {
        if self.lingering.len() >= MAX_LINGERING
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.close(oldest);
        }
        self.lingering.push_back(id);
    }

    pub(super) fn close_if_done(&mut self, id: u32) {
        let done = |channel: &Channel| channel.fin_sent && channel.fin_acked && channel.fin_told;
        if self.channels.get(&id).is_some_and(done) {
            self.close(id);
        }
    }

    pub(super) fn close(&mut self, id: u32) {
        if self.channels.contains_key(&id) {
            let number = self.channel_of(id);
            record::write(self.records.writer(), Kind::Close, number, &[]);
            self.forget(id);
        }
    }

    fn forget(&mut self, id: u32) {
        if let Some(channel) = self.channels.remove(&id) {
            self.waiting -= channel.waiting.len();
        }
        self.lingering.retain(|lingering| *lingering != id);
    }
}
