//! One WebRTC connection to be: what its two ends have said so far.

use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::time::Instant;

use super::{HostOrder, Kind, MAX_CANDIDATES, RESTART_AFTER, Signal, SignalError, TRY_TIME};

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
    /// The remote may say more.
    open: bool,
    /// ICE was restarted, or is about to be.
    restarted: bool,
    /// Why the host found no way, while a restart may find one yet.
    pub(super) failure: Option<SignalError>,
    /// The host's description, until it is sent.
    description: Option<Signal>,
    described: bool,
    /// The remote's answer to the last offer is to come.
    awaits: bool,
    /// When the host first got a description of the remote's.
    pub(super) answered: Option<Instant>,
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
            open: true,
            restarted: false,
            failure: None,
            description: None,
            described: false,
            awaits: true,
            answered: None,
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
        let answered = Some(now);
        Self { stream: Some(stream), offers: false, awaits: false, answered, ..offering }
    }

    pub(super) fn is_inbound(&self) -> bool {
        !self.offers
    }

    /// When it is to be restarted, or to end.
    pub(super) fn due(&self) -> Instant {
        let looking = self.answered.filter(|_| self.may_restart());
        looking.map_or(self.deadline, |since| self.deadline.min(since + RESTART_AFTER))
    }

    /// The remote says no more: no answer comes to another offer.
    pub(super) fn ended(&mut self) {
        self.open = false;
    }

    /// Whether the host may be told to make another offer.
    fn may_restart(&self) -> bool {
        self.offers && self.open && !self.restarted && self.answered.is_some()
    }

    /// The host is to make another offer, if it may.
    pub(super) fn restart(&mut self) -> bool {
        let may = self.may_restart();
        if may {
            self.awaits = true;
            self.renew();
        }
        may
    }

    /// Another description of each is to come, the only other one.
    fn renew(&mut self) {
        self.restarted = true;
        self.described = false;
        self.remote_count = 0;
    }

    /// The host found no way: whether a second offer may yet come, or descriptions are
    /// being exchanged anew and it was ICE as it was before that failed.
    pub(super) fn hopes(&self) -> bool {
        let offered = self.awaits && self.restarted;
        let answers = !self.offers && self.described != self.restarted;
        self.open && (offered || answers)
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
        if self.restarted {
            // What is left of the description before is of no use to the remote.
            self.found.clear();
            self.found_count = 0;
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
    pub(super) fn hear(&mut self, now: Instant, signal: Signal) -> Result<Vec<Step>, SignalError> {
        match signal.kind {
            Kind::Candidate => {
                self.remote_count += 1;
                if self.remote_count > MAX_CANDIDATES {
                    return Err(SignalError::TooManyCandidates);
                }
                if self.awaits {
                    self.early.push(signal.data);
                    return Ok(Vec::new());
                }
                Ok(vec![Step::Host(HostOrder::Candidate { candidate: signal.data })])
            }
            Kind::Answer if self.awaits && self.described => {
                self.awaits = false;
                self.answered.get_or_insert(now);
                self.failure = None;
                let mut steps = vec![Step::Host(HostOrder::Accept { answer: signal.data })];
                let early = self.early.drain(..);
                steps.extend(early.map(|candidate| Step::Host(HostOrder::Candidate { candidate })));
                Ok(steps)
            }
            Kind::Offer if !self.offers && !self.restarted && self.described => {
                self.renew();
                self.failure = None;
                Ok(vec![Step::Host(HostOrder::Restart { offer: Some(signal.data) })])
            }
            Kind::Answer | Kind::Offer => Err(SignalError::Protocol),
        }
    }
}
