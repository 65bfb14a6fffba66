//! One WebRTC connection to be: what its two ends have said so far.

use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::time::Instant;

use super::{HostOrder, Kind, MAX_CANDIDATES, Signal, SignalError, TRY_TIME};

/// What comes of a step of a session.
pub(super) enum Step {
    Send(Signal),
    Host(HostOrder),
}

pub(super) struct Session {
    /// The connection over which it is talked about.
    pub(super) via: ConnectionId,
    pub(super) peer: PeerId,
    /// The stream of it, while there is one.
    pub(super) stream: Option<StreamId>,
    pub(super) deadline: Instant,
    /// Tries that are left after this one.
    pub(super) retries: u8,
    /// The number of this try's stream, as asked for.
    pub(super) request: u64,
    offers: bool,
    /// The host's description, until it is sent.
    description: Option<Signal>,
    described: bool,
    /// The host has the remote's description, or is about to.
    pub(super) answered: bool,
    /// What the host found before its description was sent.
    found: Vec<String>,
    found_count: usize,
    /// What the remote sent before its description.
    early: Vec<String>,
    remote_count: usize,
}

impl Session {
    /// One that we begin, with an offer.
    pub(super) fn offering(
        now: Instant,
        via: ConnectionId,
        peer: PeerId,
        request: u64,
        retries: u8,
    ) -> Self {
        Self {
            via,
            peer,
            stream: None,
            deadline: now + TRY_TIME,
            retries,
            request,
            offers: true,
            description: None,
            described: false,
            answered: false,
            found: Vec::new(),
            found_count: 0,
            early: Vec::new(),
            remote_count: 0,
        }
    }

    /// One whose offer came on `stream`.
    pub(super) fn answering(
        now: Instant,
        via: ConnectionId,
        peer: PeerId,
        stream: StreamId,
    ) -> Self {
        let offering = Self::offering(now, via, peer, 0, 0);
        Self { stream: Some(stream), offers: false, answered: true, ..offering }
    }

    pub(super) fn is_inbound(&self) -> bool {
        !self.offers
    }

    /// The host made its description.
    pub(super) fn describe(&mut self, text: String) -> Result<(), SignalError> {
        let kind = if self.offers { Kind::Offer } else { Kind::Answer };
        if text.len() > kind.limit() {
            return Err(SignalError::Host("the own description is too long".into()));
        }
        if !self.described {
            self.description = Some(Signal { kind, data: text });
        }
        Ok(())
    }

    /// The host found a candidate. More of them than fit are not worth a failure.
    pub(super) fn found(&mut self, candidate: String) {
        if self.found_count < MAX_CANDIDATES && candidate.len() <= Kind::Candidate.limit() {
            self.found_count += 1;
            self.found.push(candidate);
        }
    }

    /// What can be sent now.
    pub(super) fn sendable(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.stream.is_none() {
            return steps;
        }
        if let Some(description) = self.description.take() {
            self.described = true;
            steps.push(Step::Send(description));
        }
        if self.described {
            let found = self.found.drain(..);
            steps.extend(found.map(|data| Step::Send(Signal { kind: Kind::Candidate, data })));
        }
        steps
    }

    /// The remote said something.
    pub(super) fn hear(&mut self, signal: Signal) -> Result<Vec<Step>, SignalError> {
        match signal.kind {
            Kind::Candidate => {
                self.remote_count += 1;
                if self.remote_count > MAX_CANDIDATES {
                    return Err(SignalError::TooManyCandidates);
                }
                if !self.answered {
                    self.early.push(signal.data);
                    return Ok(Vec::new());
                }
                Ok(vec![Step::Host(HostOrder::Candidate { candidate: signal.data })])
            }
            Kind::Answer if self.offers && self.described && !self.answered => {
                self.answered = true;
                let mut steps = vec![Step::Host(HostOrder::Accept { answer: signal.data })];
                let early = self.early.drain(..);
                steps.extend(early.map(|candidate| Step::Host(HostOrder::Candidate { candidate })));
                Ok(steps)
            }
            Kind::Answer | Kind::Offer => Err(SignalError::Protocol),
        }
    }
}
