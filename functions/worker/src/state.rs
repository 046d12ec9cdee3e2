//! What all routes share.

use std::sync::Arc;

use af_app::App;
use af_aws::objects::Objects;

/// The use cases.
pub type SharedApp = Arc<App>;

/// The state of the router.
#[derive(Clone)]
pub struct WorkerState {
    pub app: SharedApp,
    /// The bucket.
    pub objects: Objects,
}
