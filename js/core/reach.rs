//! Where JavaScript's node can be reached.

use core::fmt::Display;

use polypeer::Multiaddr;
use polypeer::swarm::addresses::{Config, OwnAddress, Reachability, Source};
use polypeer::swarm::gate::Subject;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::Cause;
use crate::{Core, id, instant};

#[wasm_bindgen]
impl Core {
    /// Our end of a connection is there.
    pub fn located(&mut self, connection: f64, local: &str) {
        if let Ok(local) = local.parse() {
            self.peer.located(id(connection), local);
        }
    }

    /// What is announced, each list a line each, and whether private addresses are as
    /// good as public ones; negative: a failure's record.
    pub fn set_announcing(
        &mut self,
        now: f64,
        announce: &str,
        append: &str,
        never: &str,
        observers: usize,
        private: bool,
    ) -> i32 {
        let mut config = Config::default();
        for (list, lines) in
            [(&mut config.announce, announce), (&mut config.append_announce, append)]
        {
            for line in lines.lines() {
                match line.parse::<Multiaddr>() {
                    Ok(address) => list.push(address),
                    Err(error) => return self.fail(Cause::Address, &error),
                }
            }
        }
        for line in never.lines() {
            match line.parse::<Subject>() {
                Ok(subject) => config.no_announce.push(subject),
                Err(error) => return self.fail(Cause::Address, &error),
            }
        }
        config.observers = observers.max(1);
        config.private = private;
        self.peer.set_announcing(instant(now), config);
        0
    }

    /// Our addresses, a line each: how it is known, whether it can be dialed, and
    /// whether it is announced, as digits before it.
    pub fn own_addresses(&mut self) -> usize {
        let list = self.peer.node().own_addresses();
        let lines: Vec<Line> = list.into_iter().map(Line).collect();
        self.say(&mut lines.iter().map(|line| line as &dyn Display))
    }
}

struct Line(OwnAddress);

impl Display for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let source = match self.0.source {
            Source::Listening => "0",
            Source::Mapped => "1",
            Source::Observed => "2",
            Source::Relayed => "3",
            Source::Inferred => "5",
            _ => "4",
        };
        f.write_str(source)?;
        f.write_str(["0", "1", "2"][usize::from(number(self.0.reachability))])?;
        f.write_str(if self.0.announced { "1" } else { "0" })?;
        self.0.address.fmt(f)
    }
}

pub(crate) fn number(reachability: Reachability) -> u8 {
    match reachability {
        Reachability::Unknown => 0,
        Reachability::Public => 1,
        Reachability::Private => 2,
    }
}
