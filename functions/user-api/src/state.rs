//! The state that the routes share.

use std::sync::Arc;

use af_app::App;
use af_aws::objects::Objects;
use axum::extract::FromRef;

/// The use cases.
pub type Shared = Arc<App>;

/// The state that the routes share.
#[derive(Clone)]
pub struct Served {
    /// The use cases.
    pub app: Shared,
    /// The bucket.
    pub objects: Objects,
}

impl FromRef<Served> for Shared {
    fn from_ref(served: &Served) -> Self {
        served.app.clone()
    }
}

impl FromRef<Served> for Objects {
    fn from_ref(served: &Served) -> Self {
        served.objects.clone()
    }
}
