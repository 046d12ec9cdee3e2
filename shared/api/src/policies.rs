//! Policies, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One field.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldView {
    /// The value in force.
    pub value: Value,
    /// The value without an override.
    pub default: Value,
    /// The values that the field accepts.
    pub accepts: String,
}

/// All fields: group → field.
pub type PoliciesView = BTreeMap<String, BTreeMap<String, FieldView>>;

/// Overrides to set: group → field → value. `null` removes an override.
pub type PolicyChanges = BTreeMap<String, BTreeMap<String, Value>>;
