//! Items: reading and writing attributes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use af_domain::ids::InvalidId;
use af_domain::time::Timestamp;

use crate::keys::Key;
use crate::{Result, StoreError};

/// An item, as the SDK represents it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A value to write.
#[derive(Debug, Clone)]
pub(crate) struct Value(pub AttributeValue);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value(AttributeValue::S(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value(AttributeValue::S(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value(AttributeValue::N(number.to_string()))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value(AttributeValue::N(number.to_string()))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value(AttributeValue::Bool(flag))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Value::from(time.as_millis())
    }
}

impl From<[u8; 32]> for Value {
    fn from(hash: [u8; 32]) -> Self {
        Value(AttributeValue::B(Blob::new(hash)))
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Value(AttributeValue::L(texts.into_iter().map(AttributeValue::S).collect()))
    }
}

impl From<Item> for Value {
    fn from(map: Item) -> Self {
        Value(AttributeValue::M(map))
    }
}

impl From<&BTreeMap<String, String>> for Value {
    fn from(map: &BTreeMap<String, String>) -> Self {
        Value(AttributeValue::M(map.iter().map(|(k, v)| (k.clone(), AttributeValue::S(v.clone()))).collect()))
    }
}

/// Builds an item or a map attribute.
#[derive(Debug, Default)]
pub(crate) struct Writer(Item);

impl From<Item> for Writer {
    fn from(item: Item) -> Self {
        Self(item)
    }
}

impl Writer {
    /// Begins the item at `key`.
    pub fn at(key: Key) -> Self {
        Self::default().put("pk", key.pk).put("sk", key.sk)
    }

    pub fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into().0);
        self
    }

    pub fn put_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    pub fn build(self) -> Item {
        self.0
    }
}

/// Reads the attributes of an item, or of a map attribute. A missing attribute, or one with a wrong type, is
/// an error that names the attribute.
pub(crate) struct Reader<'a> {
    item: &'a Item,
    within: String,
}

impl<'a> Reader<'a> {
    pub fn of(item: &'a Item) -> Self {
        let part =
            |name| item.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).map_or("?", String::as_str);
        Self { item, within: format!("{}/{}", part("pk"), part("sk")) }
    }

    pub fn malformed(&self, name: &str, problem: &str) -> StoreError {
        StoreError::malformed(&self.within, format!("{name}: {problem}"))
    }

    pub fn text(&self, name: &str) -> Result<&'a str> {
        self.text_if(name)?.ok_or_else(|| self.malformed(name, "missing"))
    }

    pub fn text_if(&self, name: &str) -> Result<Option<&'a str>> {
        let read = |v: &'a AttributeValue| v.as_s().map(String::as_str);
        self.item.get(name).map(read).transpose().map_err(|_| self.malformed(name, "not a string"))
    }

    pub fn number(&self, name: &str) -> Result<u64> {
        self.number_if(name)?.ok_or_else(|| self.malformed(name, "missing"))
    }

    pub fn number_if(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.item.get(name) else { return Ok(None) };
        let number = value.as_n().ok().and_then(|n| n.parse().ok());
        number.map(Some).ok_or_else(|| self.malformed(name, "not a whole number"))
    }

    pub fn time(&self, name: &str) -> Result<Timestamp> {
        self.number(name).map(Timestamp::from_millis)
    }

    pub fn time_if(&self, name: &str) -> Result<Option<Timestamp>> {
        Ok(self.number_if(name)?.map(Timestamp::from_millis))
    }

    /// Whether the time to live of the item has ended. DynamoDB deletes an expired item up to days later;
    /// until then it counts as deleted.
    pub fn is_expired(&self, now: Timestamp) -> Result<bool> {
        Ok(self.number_if("ttl")?.is_some_and(|ttl| now.is_past_ttl(ttl)))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.item.get(name).and_then(|v| v.as_bool().ok()).copied().unwrap_or_default()
    }

    /// Reads a SHA-256 digest; `None` if it is missing or malformed.
    pub fn hash_if(&self, name: &str) -> Option<[u8; 32]> {
        self.item.get(name)?.as_b().ok()?.as_ref().try_into().ok()
    }

    pub fn texts(&self, name: &str) -> Result<Vec<&'a str>> {
        let Some(value) = self.item.get(name) else { return Ok(Vec::new()) };
        let list = value.as_l().map_err(|_| self.malformed(name, "not a list"))?;
        let read = |v: &'a AttributeValue| v.as_s().map(String::as_str);
        list.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|_| self.malformed(name, "not a list of strings"))
    }

    pub fn map_if(&self, name: &str) -> Result<Option<Reader<'a>>> {
        let Some(value) = self.item.get(name) else { return Ok(None) };
        let item = value.as_m().map_err(|_| self.malformed(name, "not a map"))?;
        Ok(Some(Reader { item, within: format!("{} {name}", self.within) }))
    }

    /// Reads a list of maps.
    pub fn maps(&self, name: &str) -> Result<Vec<Reader<'a>>> {
        let malformed = || self.malformed(name, "not a list of maps");
        let list = self.item.get(name).and_then(|v| v.as_l().ok()).ok_or_else(malformed)?;
        list.iter().map(|map| map.as_m().map(Reader::of).map_err(|_| malformed())).collect()
    }

    /// The names of the attributes.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.item.keys().map(String::as_str)
    }

    pub fn text_map(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let Some(map) = self.map_if(name)? else { return Ok(BTreeMap::new()) };
        map.item.keys().map(|key| Ok((key.clone(), map.text(key)?.to_owned()))).collect()
    }

    /// Parses an id attribute.
    pub fn id<T>(&self, name: &str, parse: fn(String) -> Result<T, InvalidId>) -> Result<T> {
        parse(self.text(name)?.to_owned()).map_err(|e| self.malformed(name, &e.to_string()))
    }

    /// Parses an id attribute that begins with `prefix`.
    pub fn id_after<T>(
        &self,
        prefix: &str,
        name: &str,
        parse: fn(String) -> Result<T, InvalidId>,
    ) -> Result<T> {
        let id = self.text(name)?.trim_start_matches(prefix).to_owned();
        parse(id).map_err(|e| self.malformed(name, &e.to_string()))
    }

    /// Parses an id attribute that may be missing.
    pub fn id_if<T>(&self, name: &str, parse: fn(String) -> Result<T, InvalidId>) -> Result<Option<T>> {
        if self.item.contains_key(name) { self.id(name, parse).map(Some) } else { Ok(None) }
    }
}
