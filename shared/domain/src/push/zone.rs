//! Time zones by their names in the IANA database. The database is part of the binary, so every function of a release
//! computes the same times.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Most characters of a name of a zone. The longest one in the database has 32.
const MAX_NAME_CHARS: usize = 64;

/// The database has no zone of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time zone database has no zone {0:?}; use a name such as Europe/Rome or UTC")]
pub struct UnknownZone(pub String);

/// The name of a time zone, as it was when the name was checked. A later database may not have the zone any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneName(String);

impl ZoneName {
    /// Returns the name in its usual spelling, if the database has such a zone.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        let zone = find(name)?;
        Ok(Self(zone.iana_name().unwrap_or(name).to_owned()))
    }

    /// A name that was checked before it was stored.
    pub fn from_stored(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the zone of this name.
    pub(super) fn zone(&self) -> Result<TimeZone, UnknownZone> {
        find(&self.0)
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn find(name: &str) -> Result<TimeZone, UnknownZone> {
    let shown = || UnknownZone(name.chars().take(MAX_NAME_CHARS).collect());
    // The library knows this name for a zone that it could not find out. It has no rules.
    if name.len() > MAX_NAME_CHARS || name.eq_ignore_ascii_case("Etc/Unknown") {
        return Err(shown());
    }
    TimeZoneDatabase::bundled().get(name).map_err(|_| shown())
}
