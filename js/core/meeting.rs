//! Rendezvous points, as JavaScript asks them.

use core::time::Duration;

use polypeer::address::Multiaddr;
use polypeer::identity::PeerId;
use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::protocols::rendezvous::{
    Answer, Found, Point, RendezvousError, RendezvousEvent, RequestId, Search,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// Registers us at a point, given by its address or PeerId, for so many milliseconds,
    /// or for as long as it takes if that is less than zero: the request's number; less
    /// than zero: a failure's record.
    pub fn rendezvous_register(&mut self, now: f64, point: &str, namespace: &str, ttl: f64) -> f64 {
        let ttl = (ttl >= 0.0).then(|| Duration::from_millis(ttl as u64));
        let point = match self.point(point) {
            Ok(point) => point,
            Err(failure) => return failure,
        };
        let request = self.peer.rendezvous_register(instant(now), point, namespace, ttl);
        self.begun(request)
    }

    /// Tells a point that we are gone; answers as `rendezvous_register`.
    pub fn rendezvous_unregister(&mut self, now: f64, point: &str, namespace: &str) -> f64 {
        let point = match self.point(point) {
            Ok(point) => point,
            Err(failure) => return failure,
        };
        let request = self.peer.rendezvous_unregister(instant(now), point, namespace);
        self.begun(request)
    }

    /// Asks a point for those of a name, or of all if it is empty; for so many, or for all
    /// if that is less than zero; after the cookie at the start of the input, if it has a
    /// length. Answers as `rendezvous_register`.
    pub fn rendezvous_discover(
        &mut self,
        now: f64,
        point: &str,
        namespace: &str,
        limit: f64,
        cookie: usize,
    ) -> f64 {
        let point = match self.point(point) {
            Ok(point) => point,
            Err(failure) => return failure,
        };
        let cookie = self.input.get(..cookie).filter(|cookie| !cookie.is_empty());
        let search = Search {
            namespace: (!namespace.is_empty()).then(|| namespace.into()),
            limit: (limit >= 0.0).then_some(limit as usize),
            cookie: cookie.map(<[u8]>::to_vec),
        };
        let request = self.peer.rendezvous_discover(instant(now), point, search);
        self.begun(request)
    }

    /// Nobody waits for this request any more.
    pub fn cancel_rendezvous(&mut self, now: f64, request: f64) {
        self.peer.cancel_rendezvous(instant(now), RequestId(request as u64));
    }

    /// Where we are registered: peer and name of each, one after another.
    pub fn rendezvous_registered(&mut self) -> usize {
        self.output.clear();
        for (point, namespace) in self.peer.node().rendezvous_client().registered() {
            Records(&mut self.output).text(point).text(&namespace);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }
}

impl Core {
    pub(crate) fn point(&mut self, text: &str) -> Result<Point, f64> {
        if !text.starts_with('/') {
            let peer: Result<PeerId, _> = text.parse();
            return peer.map(Point::from).map_err(|error| self.fail(Cause::Address, &error).into());
        }
        let address: Result<Multiaddr, _> = text.parse();
        let address = address.map_err(|error| f64::from(self.fail(Cause::Address, &error)))?;
        Point::try_from(address).map_err(|error| self.fail(Cause::Address, &error).into())
    }

    fn begun(&mut self, request: Result<RequestId, RendezvousError>) -> f64 {
        match request {
            Ok(RequestId(request)) => request as f64,
            Err(error) => self.fail(cause(&error), &error).into(),
        }
    }
}

fn cause(error: &RendezvousError) -> Cause {
    match error {
        RendezvousError::Unnamed => Cause::Address,
        RendezvousError::TooMany => Cause::Limit,
        RendezvousError::NotAPoint => Cause::NotSupported,
        RendezvousError::TimedOut => Cause::Timeout,
        RendezvousError::Unreachable => Cause::Transport,
        RendezvousError::Lost => Cause::Reset,
        _ => Cause::Protocol,
    }
}

/// Tells what belongs to rendezvous; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    let Output::Event(Event::Rendezvous(event)) = output else { return };
    match event {
        RendezvousEvent::Answered { request, result } => {
            out.part(Tag::Rendezvous, |out| {
                out.number(request.0);
                match result {
                    Ok(Answer::Registered(ttl)) => {
                        out.byte(0).number(ttl.as_millis() as u64);
                    }
                    Ok(Answer::Found(found)) => write(out.byte(2), found),
                    Ok(_) => {
                        out.byte(1);
                    }
                    Err(error) => write_error(out.byte(3), error),
                }
            });
        }
        RendezvousEvent::Renewed { point, namespace, ttl } => {
            out.part(Tag::RendezvousRenewed, |out| {
                out.text(point).text(namespace).number(ttl.as_millis() as u64);
            });
        }
        RendezvousEvent::RenewFailed { point, namespace, error } => {
            out.part(Tag::RendezvousFailed, |out| {
                write_error(out.text(point).text(namespace), error);
            });
        }
        _ => {}
    }
}

fn write_error(out: &mut Records<'_>, error: &RendezvousError) {
    match error {
        RendezvousError::Refused { status, .. } => out.text(status),
        _ => out.text(&""),
    };
    out.failure(cause(error), error);
}

fn write(out: &mut Records<'_>, found: &Found) {
    out.bytes(&found.cookie).number(found.refused as u64);
    for registration in &found.registrations {
        let record = &registration.record;
        let addresses = record.addresses().iter().map(|one| one as &dyn core::fmt::Display);
        out.text(&registration.namespace)
            .text(&record.peer_id())
            .list(&mut { addresses })
            .number(registration.ttl.as_millis() as u64)
            .bytes(&record.to_bytes());
    }
}
