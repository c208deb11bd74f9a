//! Byte strings, written and read as a whole.
//!
//! Serde takes a `Vec<u8>` for a list like any other and visits its bytes one by one. What is written here is the same:
//! a length and the bytes for a string, the bytes alone for an array of fixed length.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// The most room that is made for a list before its elements are there.
const ROOM_MAX: usize = 4096;

/// Writes a byte string.
pub fn serialize<T: AsRef<[u8]>, S: Serializer>(bytes: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes.as_ref())
}

/// Reads a byte string. Whoever borrows from what is read never makes room for bytes that are not there.
pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: for<'a> From<&'a [u8]>,
    D: Deserializer<'de>,
{
    from.deserialize_bytes(Octets(PhantomData))
}

struct Octets<T>(PhantomData<T>);

impl<'de, T: for<'a> From<&'a [u8]>> Visitor<'de> for Octets<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut bytes = Vec::with_capacity(list.size_hint().unwrap_or(0).min(ROOM_MAX));
        while let Some(byte) = list.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.as_slice().into())
    }
}

/// 32 bytes, in binary formats as two numbers of 128 bits, the lowest byte first: in the little-endian encoding with fixed
/// widths these are the same bytes.
pub mod array {
    use super::*;

    /// Writes the bytes.
    pub fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return bytes.serialize(to);
        }
        let (low, high) = bytes.split_at(16);
        let number = |half: &[u8]| half.iter().rev().fold(0, |all, b| all << 8 | u128::from(*b));
        (number(low), number(high)).serialize(to)
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        if from.is_human_readable() {
            return Deserialize::deserialize(from);
        }
        let (low, high) = <(u128, u128)>::deserialize(from)?;
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&low.to_le_bytes());
        bytes[16..].copy_from_slice(&high.to_le_bytes());
        Ok(bytes)
    }
}
