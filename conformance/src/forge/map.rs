//! Where everything lies in a message: a walk over serde's view of it, which knows every field of every type without being told.
//!
//! Messages on the wire are fields one after the other, with fixed widths (`docs/wire.md`). So what serde visits, in the order in
//! which it does, has a place in the bytes. A field that is added tomorrow is on the map tomorrow.

use serde::Serialize;
use serde::ser::{self, SerializeMap, SerializeSeq};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// A value's bytes, and what is where.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Each single value.
    pub leaves: Vec<Leaf>,
    /// Each signed body, those outside before those inside.
    pub signed: Vec<SignedAt>,
    /// Each list.
    pub lists: Vec<ListAt>,
    path: Vec<Step>,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The fields of this type.
    In(&'static str),
    /// This field.
    Field(&'static str),
    /// This element.
    At(usize),
}

/// The way to a part of a value.
pub type Path = Vec<Step>;

/// A single value: a number, a truth value, a digest, a string of bytes, or which variant it is.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The way there.
    pub path: Path,
    /// Its bytes; of a string, those behind the length.
    pub range: Range<usize>,
    /// What it is.
    pub sort: Sort,
}

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A number of a fixed width, or a digest.
    Fixed,
    /// A string of bytes, behind its length.
    String,
    /// Says how what follows is read: a truth value, or which variant it is.
    Choice,
}

/// A body and its signature.
#[derive(Clone, Debug)]
pub struct SignedAt {
    /// The way there.
    pub path: Path,
    /// The type of the body.
    pub kind: &'static str,
    /// The bytes of the body.
    pub body: Range<usize>,
    /// The bytes of the signature.
    pub signature: Range<usize>,
}

/// A list.
#[derive(Clone, Debug)]
pub struct ListAt {
    /// The way there.
    pub path: Path,
    /// Where its length is.
    pub length: usize,
    /// Its elements.
    pub elements: Vec<Range<usize>>,
}

/// A type that the wire does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0} is on no wire")]
pub struct Unmapped(String);

impl ser::Error for Unmapped {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

impl Map {
    /// The map of a value.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Unmapped> {
        let mut map = Self::default();
        value.serialize(&mut map)?;
        Ok(map)
    }

    /// The signed bodies that the way to a part leads through, from the outermost on.
    pub fn around<'a>(&'a self, part: &'a [Step]) -> impl DoubleEndedIterator<Item = &'a SignedAt> {
        self.signed.iter().filter(move |one| part.starts_with(&one.path))
    }

    /// The number in a field of a signed body, if it has one of this name.
    pub fn number(&self, of: &SignedAt, field: &str) -> Option<u32> {
        let found = self.leaves.iter().find(|leaf| {
            let [inside @ .., Step::Field(name)] = leaf.path.as_slice() else { return false };
            *name == field && inside.len() == of.path.len() + 3 && inside.starts_with(&of.path)
        })?;
        Some(u32::from_le_bytes(*self.bytes[found.range.clone()].first_chunk()?))
    }

    /// The ways to the certificates: structures of signed bodies that are not signed themselves.
    pub fn certificates(&self) -> impl Iterator<Item = &[Step]> {
        let inside = self.signed.iter().filter_map(|one| {
            let last = one.path.iter().rposition(|step| matches!(step, Step::In(_)))?;
            match one.path[last] {
                Step::In(name) if name.ends_with("Certificate") => Some(&one.path[..=last]),
                _ => None,
            }
        });
        inside.collect::<BTreeSet<_>>().into_iter()
    }

    /// The values of fields of this name in the bodies right inside.
    pub fn leaves_named<'a>(
        &'a self,
        inside: &'a [Step],
        field: &'static str,
    ) -> impl Iterator<Item = &'a Leaf> {
        let deepest = inside.len() + 6;
        self.leaves.iter().filter(move |leaf| {
            leaf.path.len() <= deepest
                && leaf.path.starts_with(inside)
                && leaf.path.last() == Some(&Step::Field(field))
        })
    }

    fn put(&mut self, bytes: &[u8], sort: Sort) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let range = start..self.bytes.len();
        self.leaves.push(Leaf { path: self.path.clone(), range, sort });
    }

    fn under(
        &mut self,
        step: Step,
        then: impl FnOnce(&mut Self) -> Result<(), Unmapped>,
    ) -> Result<(), Unmapped> {
        self.path.push(step);
        let done = then(self);
        self.path.pop();
        done
    }
}

/// A path without the numbers of elements: of which sort a part is.
pub fn sort_of(path: &[Step]) -> String {
    let words = path.iter().filter_map(|step| match step {
        Step::In("Signed") | Step::Field("body") | Step::At(_) => None,
        Step::In(name) | Step::Field(name) => Some(*name),
    });
    words.collect::<Vec<_>>().join(".")
}

macro_rules! fixed {
    ($($method:ident($inner:ty)),*) => {$(
        fn $method(self, value: $inner) -> Result<(), Unmapped> {
            self.put(&value.to_le_bytes(), Sort::Fixed);
            Ok(())
        }
    )*};
}

macro_rules! refused {
    ($($method:ident($($argument:ty),*)),*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<(), Unmapped> {
            Err(Unmapped(stringify!($method).to_owned()))
        }
    )*};
}

impl<'m> ser::Serializer for &'m mut Map {
    type Ok = ();
    type Error = Unmapped;
    type SerializeSeq = List<'m>;
    type SerializeTuple = Fields<'m>;
    type SerializeTupleStruct = Fields<'m>;
    type SerializeTupleVariant = Fields<'m>;
    type SerializeMap = List<'m>;
    type SerializeStruct = Fields<'m>;
    type SerializeStructVariant = Fields<'m>;

    fixed!(serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64));
    fixed!(serialize_u128(u128), serialize_i64(i64));
    refused!(serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_f32(f32));
    refused!(serialize_f64(f64), serialize_char(char));

    fn serialize_bool(self, value: bool) -> Result<(), Unmapped> {
        self.put(&[u8::from(value)], Sort::Choice);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unmapped> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unmapped> {
        self.bytes.extend((value.len() as u64).to_le_bytes());
        self.put(value, Sort::String);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unmapped> {
        self.put(&[0], Sort::Choice);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unmapped> {
        self.put(&[1], Sort::Choice);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unmapped> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unmapped> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Unmapped> {
        self.put(&index.to_le_bytes(), Sort::Choice);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unmapped> {
        let (start, leaves) = (self.bytes.len(), self.leaves.len());
        value.serialize(&mut *self)?;
        if self.leaves.len() > leaves {
            // A number of its own type, or a digest, is one value.
            self.leaves.truncate(leaves);
            let range = start..self.bytes.len();
            self.leaves.push(Leaf { path: self.path.clone(), range, sort: Sort::Fixed });
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unmapped> {
        self.put(&index.to_le_bytes(), Sort::Choice);
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<List<'m>, Unmapped> {
        let len = len.ok_or_else(|| Unmapped("a list of unknown length".to_owned()))?;
        let length = self.bytes.len();
        self.bytes.extend((len as u64).to_le_bytes());
        let at = self.lists.len();
        self.lists.push(ListAt { path: self.path.clone(), length, elements: Vec::new() });
        Ok(List { map: self, at })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<List<'m>, Unmapped> {
        self.serialize_seq(len)
    }

    fn serialize_tuple(self, _: usize) -> Result<Fields<'m>, Unmapped> {
        Ok(Fields::of(self, ""))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Fields<'m>, Unmapped> {
        Ok(Fields::of(self, name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'m>, Unmapped> {
        self.put(&index.to_le_bytes(), Sort::Choice);
        Ok(Fields::of(self, name))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'m>, Unmapped> {
        if name == "Signed" {
            let none = SignedAt { path: self.path.clone(), kind: "", body: 0..0, signature: 0..0 };
            self.signed.push(none);
        }
        Ok(Fields::of(self, name))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'m>, Unmapped> {
        self.put(&index.to_le_bytes(), Sort::Choice);
        Ok(Fields::of(self, name))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A list that is being visited.
pub struct List<'m> {
    map: &'m mut Map,
    at: usize,
}

impl List<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unmapped> {
        let start = self.map.bytes.len();
        let index = self.map.lists[self.at].elements.len();
        self.map.under(Step::At(index), |map| value.serialize(map))?;
        let range = start..self.map.bytes.len();
        self.map.lists[self.at].elements.push(range);
        Ok(())
    }
}

impl SerializeSeq for List<'_> {
    type Ok = ();
    type Error = Unmapped;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unmapped> {
        self.element(value)
    }

    fn end(self) -> Result<(), Unmapped> {
        Ok(())
    }
}

impl SerializeMap for List<'_> {
    type Ok = ();
    type Error = Unmapped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unmapped> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unmapped> {
        value.serialize(&mut *self.map)
    }

    fn end(self) -> Result<(), Unmapped> {
        Ok(())
    }
}

/// A structure that is being visited.
pub struct Fields<'m> {
    map: &'m mut Map,
    name: &'static str,
    /// Which of the signed bodies it is, if it is one.
    signed: Option<usize>,
}

impl<'m> Fields<'m> {
    fn of(map: &'m mut Map, name: &'static str) -> Self {
        map.path.push(Step::In(name));
        let signed = (name == "Signed").then(|| map.signed.len() - 1);
        Self { map, name, signed }
    }

    fn field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unmapped> {
        let start = self.map.bytes.len();
        let leaves = self.map.leaves.len();
        self.map.under(Step::Field(name), |map| value.serialize(map))?;
        let range = start..self.map.bytes.len();
        let Some(at) = self.signed else { return Ok(()) };
        match name {
            "body" => self.map.signed[at].body = range,
            "signature" => {
                // Signatures are made anew, and not altered like other values.
                self.map.leaves.truncate(leaves);
                self.map.signed[at].signature = range;
            }
            _ => return Err(Unmapped(format!("the field {name} of {}", self.name))),
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Unmapped> {
        self.map.path.pop();
        // The innermost signed structure learns what it holds from the structure that is its body.
        if let [.., Step::In("Signed"), Step::Field("body")] = self.map.path.as_slice() {
            let depth = self.map.path.len() - 2;
            let holder = self.map.signed.iter_mut().rev().find(|one| one.path.len() == depth);
            holder.into_iter().for_each(|one| one.kind = self.name);
        }
        Ok(())
    }
}

macro_rules! fields {
    ($($interface:ident::$method:ident),*) => {$(
        impl ser::$interface for Fields<'_> {
            type Ok = ();
            type Error = Unmapped;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unmapped> {
                self.field("", value)
            }

            fn end(self) -> Result<(), Unmapped> {
                self.finish()
            }
        }
    )*};
}

macro_rules! named_fields {
    ($($interface:ident),*) => {$(
        impl ser::$interface for Fields<'_> {
            type Ok = ();
            type Error = Unmapped;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unmapped> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Unmapped> {
                self.finish()
            }
        }
    )*};
}

fields!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);
named_fields!(SerializeStruct, SerializeStructVariant);
