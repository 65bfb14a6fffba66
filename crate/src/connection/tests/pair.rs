//! Two connections, their bytes carried between them under a virtual clock.

use super::*;

pub(super) struct Pair {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) now: Instant,
    /// Bytes handed over at a time.
    pub(super) chunk: usize,
    /// Nothing is carried any more.
    pub(super) cut: bool,
}

pub(super) struct Side {
    pub(super) connection: Connection,
    pub(super) id: PeerId,
    pub(super) news: Vec<ToNode>,
    pub(super) events: Vec<StreamEvent>,
    /// It fetches no news.
    pub(super) deaf: bool,
}

impl Pair {
    pub(super) fn new(change: impl FnMut(&mut Config)) -> Self {
        Self::expecting(None, change)
    }

    pub(super) fn expecting(expected: Option<PeerId>, mut change: impl FnMut(&mut Config)) -> Self {
        let now = Instant::ZERO;
        let mut side = |seed, role, expected| {
            let mut config = config(seed);
            change(&mut config);
            let id = config.keypair.peer_id();
            let rng = Rng::from_number(seed);
            let connection =
                Connection::new(Arc::new(config), handlers(), role, expected, rng, now);
            Side { connection, id, news: Vec::new(), events: Vec::new(), deaf: false }
        };
        let a = side(1, Role::Initiator, expected);
        let b = side(2, Role::Responder, None);
        Self { a, b, now, chunk: usize::MAX, cut: false }
    }

    pub(super) fn connected() -> Self {
        let mut pair = Self::new(|_| {});
        pair.drive();
        pair
    }

    /// Carries bytes until there are none.
    pub(super) fn drive(&mut self) {
        while self.carry_once() {}
    }

    /// Carries what each side has to send; whether there was anything.
    pub(super) fn carry_once(&mut self) -> bool {
        let mut any = false;
        for turn in 0..2 {
            let (from, to) =
                if turn == 0 { (&mut self.a, &mut self.b) } else { (&mut self.b, &mut self.a) };
            let mut bytes = Vec::new();
            while from.connection.transmit(self.now, &mut bytes, 100_000) > 0 {}
            any |= !bytes.is_empty();
            if !self.cut {
                for chunk in bytes.chunks_mut(self.chunk) {
                    to.connection.receive(self.now, chunk);
                }
            }
            from.collect();
            to.collect();
        }
        any
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let at = earliest(self.a.connection.poll_timeout(), self.b.connection.poll_timeout());
            self.now = at.unwrap_or(end).clamp(self.now, end);
            self.a.connection.handle_timeout(self.now);
            self.b.connection.handle_timeout(self.now);
            self.drive();
            if self.now == end {
                return;
            }
        }
    }
}

impl Side {
    pub(super) fn collect(&mut self) {
        if self.deaf {
            return;
        }
        while let Some(event) = self.connection.poll_stream() {
            self.events.push(event);
        }
        while let Some(news) = self.connection.poll_node() {
            self.news.push(news);
        }
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        self.news.iter().find_map(|news| match news {
            ToNode::Established { peer } => Some(*peer),
            _ => None,
        })
    }

    pub(super) fn error(&self) -> Option<&Error> {
        self.news.iter().find_map(|news| match news {
            ToNode::Closed { error } => Some(error),
            _ => None,
        })
    }

    pub(super) fn inbound(&self, name: &str) -> Option<StreamId> {
        self.news.iter().find_map(|news| match news {
            ToNode::Inbound { stream, protocol, .. } if &**protocol == name => Some(*stream),
            _ => None,
        })
    }

    pub(super) fn opened(&self, wanted: u64) -> Option<StreamId> {
        self.news.iter().find_map(|news| match news {
            ToNode::Opened { request, stream, .. } if *request == wanted => Some(*stream),
            _ => None,
        })
    }

    pub(super) fn messages(&self, wanted: StreamId) -> Vec<&Vec<u8>> {
        let messages = self.news.iter().filter_map(|news| match news {
            ToNode::Message { stream, bytes } if *stream == wanted => Some(bytes),
            _ => None,
        });
        messages.collect()
    }

    /// Opens a stream without proposing a protocol on it.
    pub(super) fn raw_stream(&mut self) {
        let State::Established(established) = &mut self.connection.state else {
            panic!("not established");
        };
        let id = established.streams.yamux.open().unwrap();
        established.streams.yamux.stream(id).unwrap().write(&[19]).unwrap();
    }
}
