//! The options that name a deployment.

use std::path::PathBuf;

use clap::Args;

/// The default data folder.
pub const DATA_DIR: &str = ".agent-factory";

/// Which deployment to call. By default the `dev` that runs here.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Public URL of the deployment
    #[arg(long, global = true, env = "AGENT_FACTORY_API_URL", requires = "key")]
    pub url: Option<String>,
    /// API key of the deployment
    #[arg(long, global = true, env = "AGENT_FACTORY_API_KEY", hide_env_values = true, requires = "url")]
    pub key: Option<String>,
    /// Data folder of the `dev` to run or to call
    #[arg(long, global = true, default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}
