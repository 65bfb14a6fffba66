//! mDNS, whose datagrams JavaScript carries.

use polypeer::Rng;
use polypeer::discovery::mdns::{Config, Mdns, MdnsEvent, ServiceName};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::Records;
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// Looks for peers of this service, or of all of libp2p if it is empty; `loopback`:
    /// on this machine alone. False: that is no name.
    pub fn start_mdns(&mut self, now: f64, seed: &[u8], service: &str, loopback: bool) -> bool {
        let service = match service {
            "" => Ok(ServiceName::default()),
            name => ServiceName::new(name),
        };
        let (Ok(service), Ok(seed)) = (service, seed.try_into()) else { return false };
        let mut config = Config::default();
        (config.service, config.loopback) = (service, loopback);
        let me = self.peer.node().peer_id();
        self.mdns = Some(Mdns::new(instant(now), config, me, &mut Rng::from_seed(seed)));
        true
    }

    /// A datagram of so many bytes has come; it stands at the start of the input.
    pub fn mdns_receive(&mut self, now: f64, length: usize) {
        let packet = self.input.get(..length).unwrap_or_default();
        if let Some(mdns) = &mut self.mdns {
            mdns.receive(instant(now), packet);
        }
    }

    /// The machine is on another network: asks at once.
    pub fn mdns_network_changed(&mut self, now: f64) {
        if let Some(mdns) = &mut self.mdns {
            mdns.network_changed(instant(now));
        }
    }

    /// Lets time pass, and says farewell if we are `leaving`: when to call again.
    pub fn mdns_turn(&mut self, now: f64, leaving: bool) -> f64 {
        let addresses = self.peer.node().addresses();
        let Some(mdns) = &mut self.mdns else { return f64::INFINITY };
        mdns.handle_timeout(instant(now), addresses);
        if leaving {
            mdns.farewell(addresses);
        }
        mdns.poll_timeout().as_micros() as f64
    }

    /// Bytes of the next datagram to send, in the output; zero is none.
    pub fn mdns_packet(&mut self) -> usize {
        self.output = self.mdns.as_mut().and_then(Mdns::poll_packet).unwrap_or_default();
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }

    /// The next thing that has become known: who, where (without addresses: they are gone),
    /// for how many milliseconds and whether that is new; nothing if there is none. The
    /// peer store learns of it.
    pub fn mdns_event(&mut self, now: f64) -> usize {
        self.output.clear();
        match self.mdns.as_mut().and_then(Mdns::poll_event) {
            Some(MdnsEvent::Seen { peer, addresses, ttl, new }) => {
                self.peer.discovered(instant(now), &peer, &addresses, ttl);
                let list = addresses.iter().map(|one| one as &dyn core::fmt::Display);
                Records(&mut self.output)
                    .byte(1)
                    .text(&peer)
                    .list(&mut { list })
                    .number(ttl.as_millis() as u64)
                    .byte(new.into());
            }
            Some(MdnsEvent::Gone(peer)) => {
                Records(&mut self.output).byte(0).text(&peer);
            }
            _ => {}
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }
}
