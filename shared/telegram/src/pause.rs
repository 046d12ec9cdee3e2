//! Waiting, as a parameter.

use std::future::Future;
use std::pin::Pin;

use af_domain::time::Millis;

/// A way to wait. It is a parameter, so that tests need no real time.
pub trait Pause: Sync {
    /// Waits for `length`.
    fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Waits with Tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioPause;

impl Pause for TokioPause {
    fn pause(&self, length: Millis) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(length.as_millis())))
    }
}
