//! The cached values of a secret that opens the deployment.

use af_aws::secrets::RotatedSecret;
use af_domain::time::{Millis, Timestamp};

/// How long the values are cached.
pub(crate) const GOOD_FOR: Millis = Millis::from_secs(5 * 60);

/// The values of one secret, and when they were read.
#[derive(Clone)]
pub(crate) struct OpeningSecret {
    pub values: RotatedSecret,
    pub read_at: Timestamp,
}
