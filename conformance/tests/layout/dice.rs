//! Values of any type that can be read, by chance: the type says what it is made of, and a seed what that is. A field that is added to
//! a type is in its values at once.

use pbft_checker::chance::Chance;
use serde::de::value::Error;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// The longest list at the top, and one less further inside.
const LIST_MAX: u64 = 3;

/// The longest string of bytes.
const STRING_MAX: u64 = 12;

/// A source of values.
pub struct Dice {
    chance: Chance,
    depth: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), depth: 0 }
    }

    /// The next value of a type.
    pub fn value<T: DeserializeOwned>(&mut self) -> T {
        T::deserialize(&mut *self).expect("every type here is made of what can be thrown")
    }

    /// Small numbers, large ones, and those at the end of the range.
    fn number(&mut self) -> u64 {
        let bits = self.chance.draw();
        match self.chance.below(4) {
            0 => bits % 8,
            1 => bits % 1000,
            2 => u64::MAX - bits % 8,
            _ => bits,
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.chance.below(STRING_MAX + 1);
        (0..len).map(|_| self.chance.draw() as u8).collect()
    }

    fn list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let left = self.chance.below((LIST_MAX + 1).saturating_sub(self.depth));
        self.depth += 1;
        let value = visitor.visit_seq(Elements { dice: self, left });
        self.depth -= 1;
        value
    }

    fn fields<'de, V: Visitor<'de>>(
        &mut self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { dice: self, left: count as u64 })
    }
}

struct Elements<'d> {
    dice: &'d mut Dice,
    left: u64,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.left.checked_sub(1) {
            None => Ok(None),
            Some(left) => {
                self.left = left;
                seed.deserialize(&mut *self.dice).map(Some)
            }
        }
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.dice)
    }
}

/// One variant of several.
struct Variant<'d> {
    dice: &'d mut Dice,
    index: u32,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let index = IntoDeserializer::<Error>::into_deserializer(self.index);
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.dice)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.dice.fields(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.dice.fields(fields.len(), visitor)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $inner:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.number();
            visitor.$visit(number as $inner)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Dice {
    type Error = Error;

    numbers!(
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i64 visit_i64 i64
    );

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let halves = [self.chance.draw(), self.chance.draw()].map(u128::from);
        visitor.visit_u128(halves[0] << 64 | halves[1])
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let even = self.chance.below(2) == 0;
        visitor.visit_bool(even)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let letters = self.bytes().into_iter().map(|byte| char::from(b'a' + byte % 26));
        visitor.visit_string(letters.collect())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(&self.bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.chance.below(2) {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.chance.below(LIST_MAX + 1);
        visitor.visit_map(Elements { dice: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.fields(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.fields(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.fields(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let index = self.chance.below(variants.len() as u64) as u32;
        visitor.visit_enum(Variant { dice: self, index })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("a value of any type"))
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 f32 f64 char str byte_buf unit_struct identifier ignored_any
    }
}
