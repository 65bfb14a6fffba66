//! Streams that carry what is not the application's: connections laid over a
//! stream to a relay, and, as a relay, two streams joined.
//!
//! What remotes can make grow: the bytes of a tunnel that its stream has no room
//! for ([`CHUNK`] each), after the tunnel's end too, until its carrier gives up
//! ([`CLOSE_LIMIT`](crate::connection::CLOSE_LIMIT)); a joined stream is read only as
//! far as the other takes.

use crate::collections::{LongMap, Map, Set};
use crate::connection::{StreamEvent, StreamId};
use crate::node::ConnectionId;
use crate::protocols::relay::{Circuit, CircuitId, Limit, Pace, SERVES};
use crate::time::{Instant, earliest};

use super::{Output, Peer};

/// Bytes carried at a time.
const CHUNK: usize = 16 * 1024;

type At = (ConnectionId, StreamId);

/// The streams that are carried, and what for.
#[derive(Default)]
pub(super) struct Carried {
    uses: LongMap<At, Use>,
    tunnels: Map<ConnectionId, Tunnel>,
    /// Bytes of connections that are over, which their streams had no room for.
    tails: LongMap<At, Vec<u8>>,
    splices: LongMap<CircuitId, Splice>,
    /// Connections whose streams have ended, until the host is told.
    ended: Vec<ConnectionId>,
    /// What may be able to go on.
    stirred: Set<Use>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Tunnel(ConnectionId),
    Tail(At),
    Splice(CircuitId),
}

/// A connection over a stream.
struct Tunnel {
    at: At,
    /// What the stream had no room for.
    unsent: Vec<u8>,
    finished: bool,
    lost: bool,
    /// The host knows that the stream has ended.
    told: bool,
}

/// Two streams joined: from the first to the second and back.
struct Splice {
    ends: [At; 2],
    finished: [bool; 2],
    /// The end has been told that the other has finished.
    told: [bool; 2],
    bytes: [u64; 2],
    lost: [bool; 2],
    data: u64,
    deadline: Option<Instant>,
    pace: Pace,
    /// Until then nothing is carried: the pace is used up.
    resumes: Option<Instant>,
}

impl Splice {
    fn wakes_at(&self) -> Option<Instant> {
        earliest(self.deadline, self.resumes)
    }
}

impl Carried {
    /// Whether a stream's news are not the application's; then they are taken.
    pub(super) fn hears(&mut self, id: ConnectionId, event: &StreamEvent) -> bool {
        let (StreamEvent::Opened { stream, .. }
        | StreamEvent::Failed { stream, .. }
        | StreamEvent::Readable(stream)
        | StreamEvent::Writable(stream)
        | StreamEvent::Finished(stream)
        | StreamEvent::Reset(stream)) = event;
        let at = (id, *stream);
        let Some(used) = self.uses.get(&at).copied() else { return false };
        let finished = matches!(event, StreamEvent::Finished(_));
        let lost = matches!(event, StreamEvent::Reset(_) | StreamEvent::Failed { .. });
        match used {
            Use::Tunnel(upper) => {
                if let Some(tunnel) = self.tunnels.get_mut(&upper) {
                    tunnel.finished |= finished;
                    tunnel.lost |= lost;
                }
            }
            Use::Tail(_) => {}
            Use::Splice(circuit) => {
                if let Some(splice) = self.splices.get_mut(&circuit) {
                    let end = usize::from(splice.ends[1] == at);
                    splice.finished[end] |= finished;
                    splice.lost[end] |= lost;
                }
            }
        }
        self.stirred.insert(used);
        true
    }

    /// Whether a connection runs over a stream; then it may be able to go on.
    pub(super) fn stirs(&mut self, id: ConnectionId) -> bool {
        let is = self.tunnels.contains_key(&id);
        if is {
            self.stirred.insert(Use::Tunnel(id));
        }
        is
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.splices.values().filter_map(Splice::wakes_at).min()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.stirred.is_empty()
    }
}

impl Peer {
    /// Lays a connection over a stream.
    pub(super) fn tunnel(&mut self, now: Instant, upper: ConnectionId, at: At) {
        let (via, stream) = at;
        let detached = self.connections.get_mut(&via).is_some_and(|l| l.connection.carry(stream));
        if !detached {
            self.node.dial_failed(now, upper, "the stream to the relay is lost".into());
            return self.pump(now, via);
        }
        match self.node.tunnelled(now, upper) {
            Some(connection) => {
                self.carried.uses.insert(at, Use::Tunnel(upper));
                let tunnel =
                    Tunnel { at, unsent: Vec::new(), finished: false, lost: false, told: false };
                self.carried.tunnels.insert(upper, tunnel);
                self.add(upper, connection);
                self.pump(now, upper);
            }
            None => self.reset_carried(at),
        }
        self.pump(now, via);
    }

    /// Joins two streams.
    pub(super) fn splice(
        &mut self,
        now: Instant,
        (circuit, ends): (CircuitId, Circuit),
        limit: Limit,
        pace: Pace,
    ) {
        if !SERVES {
            return;
        }
        let ends = [ends.source, ends.target];
        let mut detached = true;
        for (connection, stream) in ends {
            let link = self.connections.get_mut(&connection);
            detached &= link.is_some_and(|link| link.connection.detach(stream));
        }
        let splice = Splice {
            ends,
            finished: [false; 2],
            told: [false; 2],
            bytes: [0; 2],
            lost: [!detached; 2],
            data: limit.data.unwrap_or(u64::MAX),
            deadline: limit.duration.map(|duration| now + duration),
            pace,
            resumes: None,
        };
        for at in ends {
            self.carried.uses.insert(at, Use::Splice(circuit));
        }
        self.carried.splices.insert(circuit, splice);
        self.carried.stirred.insert(Use::Splice(circuit));
        ends.into_iter().for_each(|(connection, _)| self.pump(now, connection));
    }

    /// Tells the host of tunnels that have ended, after all news of their streams.
    pub(super) fn tell_ended(&mut self) {
        self.outputs.extend(self.carried.ended.drain(..).map(Output::Ended));
    }

    /// Carries on what is stirred.
    pub(super) fn carry(&mut self, now: Instant) {
        match self.carried.stirred.pop_first() {
            Some(Use::Tunnel(upper)) => self.carry_tunnel(now, upper),
            Some(Use::Tail(at)) => self.carry_tail(now, at),
            Some(Use::Splice(circuit)) if SERVES => self.carry_splice(now, circuit),
            Some(Use::Splice(_)) | None => {}
        }
    }

    fn carry_tunnel(&mut self, now: Instant, upper: ConnectionId) {
        let Some(&Tunnel { at: (via, stream), .. }) = self.carried.tunnels.get(&upper) else {
            return;
        };
        let mut chunk = Vec::new();
        while let Some(link) = self.connections.get(&upper)
            && link.connection.wants_read()
        {
            chunk.clear();
            self.look((via, stream), &mut chunk);
            self.consume((via, stream), chunk.len());
            if chunk.is_empty() {
                break;
            }
            if let Some(link) = self.connections.get_mut(&upper) {
                link.connection.receive(now, &mut chunk);
            }
        }
        let unread = self.unread((via, stream));
        let Some(tunnel) = self.carried.tunnels.get_mut(&upper) else { return };
        if (tunnel.lost || tunnel.finished && unread == 0) && !tunnel.told {
            tunnel.told = true;
            self.carried.ended.push(upper);
        }
        self.pump(now, upper);
        self.send_tunnel(now, upper);
        if self.connections.get(&upper).is_some_and(|link| link.connection.is_finished()) {
            self.pump(now, upper);
        }
        self.carried.stirred.remove(&Use::Tunnel(upper));
        self.pump(now, via);
    }

    /// Gives the stream what the connection over it has to send.
    fn send_tunnel(&mut self, now: Instant, upper: ConnectionId) {
        loop {
            let Some(tunnel) = self.carried.tunnels.get_mut(&upper) else { return };
            if tunnel.unsent.is_empty() {
                let Some(link) = self.connections.get_mut(&upper) else { return };
                if link.connection.transmit(now, &mut tunnel.unsent, CHUNK) == 0 {
                    return;
                }
            }
            let (via, stream) = tunnel.at;
            let stream = self.connections.get_mut(&via).and_then(|l| l.connection.stream(stream));
            let Some(mut stream) = stream else { return tunnel.unsent.clear() };
            match stream.write(&tunnel.unsent) {
                Ok(count) if count == tunnel.unsent.len() => tunnel.unsent.clear(),
                Ok(count) => {
                    tunnel.unsent.drain(..count);
                    return;
                }
                Err(_) => return tunnel.unsent.clear(),
            }
        }
    }

    /// Gives a stream the last bytes of the connection that ran over it, and ends it.
    fn carry_tail(&mut self, now: Instant, at: At) {
        let Some(mut tail) = self.carried.tails.remove(&at) else { return };
        if let Some(mut stream) = self.carried_stream(at) {
            // One that is lost takes nothing, and needs no end.
            let count = stream.write(&tail).unwrap_or(tail.len());
            tail.drain(..count);
            if tail.is_empty() {
                stream.finish();
            } else {
                self.carried.tails.insert(at, tail);
                return self.pump(now, at.0);
            }
        }
        self.carried.uses.remove(&at);
        self.release_carried(now, at);
        self.pump(now, at.0);
    }

    fn carry_splice(&mut self, now: Instant, circuit: CircuitId) {
        let Some(mut splice) = self.carried.splices.remove(&circuit) else { return };
        let cut = splice.lost != [false; 2];
        splice.resumes.take_if(|at| *at <= now);
        let mut over = cut || splice.deadline.is_some_and(|at| at <= now);
        let mut spent = None;
        for from in 0..2 {
            let (source, target) = (splice.ends[from], splice.ends[1 - from]);
            let mut chunk = Vec::new();
            while !over && splice.resumes.is_none() {
                chunk.clear();
                self.look(source, &mut chunk);
                chunk.truncate(splice.pace.slice());
                if chunk.is_empty() {
                    break;
                }
                let room = splice.data.saturating_sub(splice.bytes[from]);
                let exceeds = chunk.len() as u64 > room;
                if exceeds {
                    chunk.truncate(room as usize);
                }
                let taken = self.write(target, &chunk);
                self.consume(source, taken);
                splice.bytes[from] += taken as u64;
                splice.resumes = splice.pace.passed(now, taken);
                if taken < chunk.len() {
                    break;
                }
                if exceeds {
                    (over, spent) = (true, Some(from));
                }
            }
            if splice.finished[from] && !splice.told[from] && self.unread(source) == 0 {
                splice.told[from] = true;
                if let Some(mut stream) = self.carried_stream(target) {
                    stream.finish();
                }
            }
        }
        let done = splice.told == [true; 2];
        let ends = splice.ends;
        if over || done {
            for (end, at) in ends.into_iter().enumerate() {
                self.carried.uses.remove(&at);
                // It may still be delivering the last that the other may send.
                if done || spent == Some(1 - end) || cut && splice.told[1 - end] {
                    if let Some(mut stream) = self.carried_stream(at) {
                        stream.finish();
                    }
                    self.release_carried(now, at);
                } else {
                    self.reset_carried(at);
                }
            }
            self.node.splice_ended(now, circuit, splice.bytes);
        } else {
            self.carried.splices.insert(circuit, splice);
        }
        ends.into_iter().for_each(|(connection, _)| self.pump(now, connection));
    }

    /// A connection is gone: with it go the streams that it carried, and if it ran
    /// over a stream, that is let go.
    pub(super) fn drop_carried(&mut self, now: Instant, gone: ConnectionId) {
        if let Some(tunnel) = self.carried.tunnels.remove(&gone) {
            self.carried.uses.insert(tunnel.at, Use::Tail(tunnel.at));
            self.carried.tails.insert(tunnel.at, tunnel.unsent);
            self.carry_tail(now, tunnel.at);
        }
        let lost: Vec<Use> =
            self.carried.uses.iter().filter(|((id, _), _)| *id == gone).map(|(_, u)| *u).collect();
        for used in lost {
            match used {
                Use::Tunnel(upper) => {
                    if let Some(tunnel) = self.carried.tunnels.get_mut(&upper) {
                        tunnel.lost = true;
                    }
                }
                Use::Tail(at) => _ = self.carried.tails.remove(&at),
                Use::Splice(circuit) => {
                    if let Some(splice) = self.carried.splices.get_mut(&circuit) {
                        let end = usize::from(splice.ends[1].0 == gone);
                        splice.lost[end] = true;
                    }
                }
            }
            self.carried.stirred.insert(used);
        }
        self.carried.uses.retain(|(id, _), _| *id != gone);
    }

    /// Goes on with circuits that wait for the time, or ends them at theirs.
    pub(super) fn time_carried(&mut self, now: Instant) {
        let late = |splice: &Splice| splice.wakes_at().is_some_and(|at| at <= now);
        let splices = self.carried.splices.iter().filter(|(_, splice)| late(splice));
        for circuit in splices.map(|(circuit, _)| *circuit).collect::<Vec<_>>() {
            self.carried.stirred.insert(Use::Splice(circuit));
        }
    }

    fn carried_stream(
        &mut self,
        (connection, stream): At,
    ) -> Option<crate::connection::Stream<'_>> {
        self.connections.get_mut(&connection)?.connection.stream(stream)
    }

    fn unread(&mut self, at: At) -> usize {
        self.carried_stream(at).map_or(0, |mut stream| stream.readable().len())
    }

    /// Copies what waits on a stream.
    fn look(&mut self, at: At, out: &mut Vec<u8>) {
        if let Some(mut stream) = self.carried_stream(at) {
            let bytes = stream.readable();
            out.extend_from_slice(&bytes[..bytes.len().min(CHUNK)]);
        }
    }

    fn consume(&mut self, at: At, count: usize) {
        if let Some(mut stream) = self.carried_stream(at) {
            stream.consume(count);
        }
    }

    fn write(&mut self, at: At, bytes: &[u8]) -> usize {
        self.carried_stream(at).and_then(|mut stream| stream.write(bytes).ok()).unwrap_or(0)
    }

    fn release_carried(&mut self, now: Instant, (connection, stream): At) {
        if let Some(link) = self.connections.get_mut(&connection) {
            link.connection.release(now, stream);
        }
    }

    fn reset_carried(&mut self, (connection, stream): At) {
        if let Some(link) = self.connections.get_mut(&connection) {
            link.connection.reset(stream);
        }
    }
}
