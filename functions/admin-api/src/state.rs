//! The state that the routes share.

use std::sync::Arc;

use af_app::App;

/// The use cases.
pub type Shared = Arc<App>;
