//! The overrides of settings, as they are stored and sent.

use std::collections::BTreeMap;

use serde_json::Value;

/// Overrides: group → field → value.
pub type Overrides = BTreeMap<String, BTreeMap<String, Value>>;
