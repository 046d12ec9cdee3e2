//! The health of a deployment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All is well.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthBody {
    /// `ok`.
    pub status: String,
}

impl HealthBody {
    /// The answer of a function that works.
    pub fn ok() -> Self {
        Self { status: "ok".to_owned() }
    }
}
