//! A deserializer without three liberties of serde: it refuses a list where an object is due, a key that an object has
//! twice, and a number that does not fit into 63 bits.
//!
//! serde fills a struct from a list in the order of its fields, and a map keeps the last of two equal keys. Both hide a
//! mistake of the caller.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

/// The largest number. The OpenAPI document gives numbers the format int64, and clients read them as such.
const MAX_INTEGER: u64 = i64::MAX as u64;

/// The strict form of a deserializer, of an access, or of a seed.
pub(super) struct Strict<T>(pub(super) T);

macro_rules! deserialize {
    ($($method:ident($($argument:ident: $kind:ty),*) $is_struct:literal),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* StrictVisitor { visitor, is_struct: $is_struct })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    deserialize! {
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) true,
        deserialize_any() false,
        deserialize_bool() false,
        deserialize_i8() false,
        deserialize_i16() false,
        deserialize_i32() false,
        deserialize_i64() false,
        deserialize_i128() false,
        deserialize_u8() false,
        deserialize_u16() false,
        deserialize_u32() false,
        deserialize_u64() false,
        deserialize_u128() false,
        deserialize_f32() false,
        deserialize_f64() false,
        deserialize_char() false,
        deserialize_str() false,
        deserialize_string() false,
        deserialize_bytes() false,
        deserialize_byte_buf() false,
        deserialize_option() false,
        deserialize_unit() false,
        deserialize_unit_struct(name: &'static str) false,
        deserialize_newtype_struct(name: &'static str) false,
        deserialize_seq() false,
        deserialize_tuple(len: usize) false,
        deserialize_tuple_struct(name: &'static str, len: usize) false,
        deserialize_map() false,
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) false,
        deserialize_identifier() false,
        deserialize_ignored_any() false,
    }
}

struct StrictVisitor<V> {
    visitor: V,
    is_struct: bool,
}

macro_rules! visit {
    ($($method:ident($kind:ty)),* $(,)?) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StrictVisitor<V> {
    type Value = V::Value;

    visit! {
        visit_bool(bool), visit_i64(i64), visit_i128(i128), visit_u128(u128), visit_f64(f64), visit_str(&str), visit_borrowed_str(&'de str), visit_string(String),
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        if value > MAX_INTEGER {
            let expected = "a whole number of at most 63 bits";
            return Err(E::invalid_value(Unexpected::Unsigned(value), &expected));
        }
        self.visitor.visit_u64(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.is_struct {
            return Err(Error::invalid_type(Unexpected::Seq, &self));
        }
        self.visitor.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(StrictMap { entries, keys: HashSet::new() })
    }

    // The API's enums are names without content.
    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(variant)
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }
}

struct StrictMap<A> {
    entries: A,
    keys: HashSet<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for StrictMap<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.entries.next_key::<String>()? else { return Ok(None) };
        if !self.keys.insert(key.clone()) {
            return Err(Error::custom(format_args!("duplicate field `{key}`")));
        }
        let key: StringDeserializer<A::Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.entries.next_value_seed(Strict(seed))
    }
}
