//! Private networks, compiled out: no key can be made, so none is ever used.

use crate::Rng;

/// A key that cannot be had: the feature `pnet` is off.
#[derive(Clone, Debug)]
pub enum PreSharedKey {}

/// See the feature `pnet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// A cipher that cannot be had: the feature `pnet` is off.
pub enum Cipher {}

impl Cipher {
    /// Never called.
    pub fn new(key: &PreSharedKey, _: &mut Rng, _: &mut Vec<u8>) -> Self {
        match *key {}
    }

    /// Never called.
    pub fn seal(&mut self, _: &mut [u8]) -> Result<(), Exhausted> {
        match *self {}
    }

    /// Never called.
    pub fn open<'a>(&mut self, _: &'a mut [u8]) -> Result<&'a mut [u8], Exhausted> {
        match *self {}
    }
}
