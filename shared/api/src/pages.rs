//! Pages: `limit` and `cursor` in, `{items, nextCursor?}` out.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items of the page, at most as many as the limit.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page, and where the next one begins.
    pub fn new(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }

    /// The same page with every item converted.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}

/// The query of a listing without filters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Items on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// How many items a page may hold: 1 to 200, by default 50. Use it as a field of a query type, with
/// `#[serde(default)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit(u16);

impl Limit {
    /// The most that one page holds.
    pub const MAX: u16 = 200;
    /// The default.
    pub const DEFAULT: u16 = 50;

    /// `count` items, if that is allowed.
    pub fn new(count: u64) -> Option<Self> {
        u16::try_from(count).ok().filter(|count| (1..=Self::MAX).contains(count)).map(Self)
    }

    /// How many items.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit = text.parse().ok().and_then(Self::new);
        limit.ok_or_else(|| format!("limit must be a whole number from 1 to {}", Self::MAX))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

/// Takes text as well as numbers, because a query string has only text.
struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 1 to {}", Limit::MAX)
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Limit, E> {
        Limit::new(count).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(count), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Limit, E> {
        let count = text.parse().ok().and_then(Limit::new);
        count.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
