//! What all routes share.

use std::sync::Arc;

use af_app::App;
use af_aws::objects::Objects;
use axum::extract::FromRef;

/// The use cases.
pub type SharedApp = Arc<App>;

/// The state of the router.
#[derive(Clone)]
pub struct WorkerState {
    /// The use cases.
    pub app: SharedApp,
    /// The bucket.
    pub objects: Objects,
}

impl FromRef<WorkerState> for SharedApp {
    fn from_ref(state: &WorkerState) -> Self {
        state.app.clone()
    }
}

impl FromRef<WorkerState> for Objects {
    fn from_ref(state: &WorkerState) -> Self {
        state.objects.clone()
    }
}
