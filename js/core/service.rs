//! Versions of protocols, for the services that JavaScript runs over streams.

use std::fmt::Display;

use polypeer::negotiate::{Name, Versions};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::records::Cause;

#[wasm_bindgen]
impl Core {
    /// Those of `names`, a line each, that are versions of the protocol `name` in
    /// `range`, the best first; negative: a failure's record. `own` must be in it.
    pub fn versions_among(&mut self, name: &str, range: &str, own: &str, names: &str) -> i32 {
        match Versions::range(name, range, own) {
            Ok(versions) => {
                let names: Vec<Name> = names.split('\n').map(Name::from).collect();
                let found = versions.among(&names);
                self.say(&mut found.iter().map(|name| name as &dyn Display)) as i32
            }
            Err(error) => self.fail(Cause::Address, &error),
        }
    }
}
