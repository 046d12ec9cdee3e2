//! What the pool reads from a provider's config, whatever its kind.

use std::collections::BTreeMap;

use af_domain::refusal::Refusal;

use crate::machine::Guest;

/// Where a volume appears in its machine, unless the config says otherwise.
const DEFAULT_VOLUME_PATH: &str = "/data";
/// Size of a volume in GB, unless the config says otherwise.
const DEFAULT_VOLUME_SIZE_GB: u32 = 1;

/// A provider's config. It is stored and shown, and holds no secret.
pub trait PoolConfig {
    /// Checks the value of every field that is set. A refusal points to the field.
    fn check(&self) -> Result<(), Refusal>;

    /// The first field that the provider needs and that is not set.
    fn missing_field(&self) -> Option<&'static str>;

    /// What works but may be a mistake.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the pool needs to start workers.
    fn settings(&self) -> PoolSettings;
}

/// How the pool starts workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// The provider's grouping of machines; `None` stands for the name of the provider's kind.
    pub app_name: Option<String>,
    /// The organization that the operator expects the app to belong to, where the provider has organizations.
    pub organization: Option<String>,
    /// The image that machines run.
    pub image: String,
    /// Where machines run.
    pub region: String,
    /// The size of a machine; `None` stands for the provider's default.
    pub guest: Option<Guest>,
    /// What the names of volumes begin with.
    pub volume_name: String,
    /// Where a volume appears in its machine.
    pub volume_path: String,
    /// The size of a volume in GB.
    pub volume_size_gb: u32,
    /// Non-secret variables for every worker.
    pub env: BTreeMap<String, String>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            app_name: None,
            organization: None,
            image: String::new(),
            region: String::new(),
            guest: None,
            volume_name: String::new(),
            volume_path: DEFAULT_VOLUME_PATH.to_owned(),
            volume_size_gb: DEFAULT_VOLUME_SIZE_GB,
            env: BTreeMap::new(),
        }
    }
}
