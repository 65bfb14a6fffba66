//! From QUIC to the core.

use quinn_proto::ReadError;

use super::*;

/// The longest body of a frame: a stream does not keep others waiting for long.
const MAX_BODY: usize = 64 * 1024;

/// What was read of a stream.
enum Heard {
    /// There may be more.
    More,
    /// There is nothing more now.
    All,
    /// The stream ended.
    End,
    /// The remote gave the stream up.
    Reset,
}

impl Session {
    /// Frames for the core, as many as `out` has room for; their bytes are counted. None
    /// are there only for want of news.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let mut at = self.read_own(out);
        while self.frames.is_empty() && out.len() - at > HEADER_LEN {
            let Some(number) = self.readable.pop_front() else { break };
            at += self.read_stream(number, &mut out[at..]);
            at += self.read_own(&mut out[at..]);
        }
        at
    }

    fn read_own(&mut self, out: &mut [u8]) -> usize {
        let left = &self.frames[self.taken..];
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        if self.taken == self.frames.len() {
            self.frames.clear();
            self.taken = 0;
        }
        count
    }

    /// One frame of a stream, written in place.
    fn read_stream(&mut self, number: u32, out: &mut [u8]) -> usize {
        let Some(stream) = self.streams.get_mut(&number) else { return 0 };
        stream.queued = false;
        let Some(id) = stream.id.filter(|_| !stream.heard_all) else { return 0 };
        let limit = (out.len() - HEADER_LEN).min(stream.credit as usize).min(MAX_BODY);
        let (head, body) = out.split_at_mut(HEADER_LEN);
        let (count, heard) = if limit == 0 {
            // Until there is room again; but a reset does not wait for any.
            let reset = matches!(self.connection.recv_stream(id).received_reset(), Ok(Some(_)));
            (0, if reset { Heard::Reset } else { Heard::All })
        } else {
            self.hear(id, &mut body[..limit])
        };
        let Some(stream) = self.streams.get_mut(&number) else { return 0 };
        // Within `limit`, and so within the credit.
        stream.credit -= count as u32;
        let mut flags = Flags::NONE;
        match heard {
            Heard::More if !stream.queued => {
                stream.queued = true;
                self.readable.push_back(number);
            }
            Heard::More | Heard::All => {}
            Heard::End => {
                flags = Flags::FIN;
                stream.heard_all = true;
                self.forget_if_done(number);
            }
            Heard::Reset => {
                self.abort(number);
                self.say(Kind::Data, Flags::RST, number, 0);
            }
        }
        if count == 0 && !flags.has(Flags::FIN) {
            return 0;
        }
        let header = Header { kind: Kind::Data, flags, stream: number, length: count as u32 };
        head.copy_from_slice(&header.encode());
        HEADER_LEN + count
    }

    fn hear(&mut self, id: StreamId, out: &mut [u8]) -> (usize, Heard) {
        let mut stream = self.connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else { return (0, Heard::Reset) };
        let mut count = 0;
        let heard = loop {
            if count == out.len() {
                break Heard::More;
            }
            match chunks.next(out.len() - count) {
                Ok(Some(chunk)) => {
                    out[count..count + chunk.bytes.len()].copy_from_slice(&chunk.bytes);
                    count += chunk.bytes.len();
                }
                Ok(None) => break Heard::End,
                Err(ReadError::Blocked) => break Heard::All,
                Err(ReadError::Reset(_)) => break Heard::Reset,
            }
        };
        // Whether the remote is to be told shows when datagrams are asked for.
        let _ = chunks.finalize();
        (count, heard)
    }

    /// The core has made room.
    pub(super) fn allow(&mut self, number: u32, more: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.credit = stream.credit.saturating_add(more);
        self.queue(number);
    }

    /// The remote has opened streams.
    pub(super) fn accept(&mut self) {
        while let Some(id) = self.connection.streams().accept(Dir::Bi) {
            let number = self.accepted * 2 + if self.remote_odd { 1 } else { 2 };
            self.accepted += 1;
            self.streams.insert(number, Stream::new(Some(id)));
            self.numbers.insert(id, number);
            self.say(Kind::WindowUpdate, Flags::SYN, number, 0);
            self.queue(number);
        }
    }

    pub(super) fn on_readable(&mut self, id: StreamId) {
        if let Some(number) = self.numbers.get(&id) {
            self.queue(*number);
        }
    }

    fn queue(&mut self, number: u32) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !std::mem::replace(&mut stream.queued, true)
        {
            self.readable.push_back(number);
        }
    }
}
