//! The options that name a deployment.

use std::path::PathBuf;

use af_local::DevFile;
use anyhow::Context;
use clap::Args;

use crate::profiles::{self, Profile, Profiles};

/// The default data folder.
pub const DATA_DIR: &str = ".agent-factory";

const NO_DEPLOYMENT: &str = "no deployment: store one with `agent-factory login <PROFILE> <URL>`, give --url and --key \
    (AGENT_FACTORY_API_URL, AGENT_FACTORY_API_KEY), or";

/// Which deployment to call. By default the `dev` that runs here, else the current profile.
#[derive(Clone, Args)]
pub struct Target {
    /// Public URL of the deployment
    #[arg(long, global = true, env = "AGENT_FACTORY_API_URL", requires = "key")]
    pub url: Option<String>,
    /// API key of the deployment; other users of this machine can read the command line, so prefer the variable or
    /// `login`
    #[arg(long, global = true, env = "AGENT_FACTORY_API_KEY", hide_env_values = true, requires = "url")]
    pub key: Option<String>,
    /// Profile of the deployment, which `login` has stored
    #[arg(long, global = true, env = "AGENT_FACTORY_PROFILE", value_parser = profiles::name, conflicts_with_all = ["url", "key"])]
    pub profile: Option<String>,
    /// Data folder of the `dev` to run or to call
    #[arg(long, global = true, default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// Delete without a question
    #[arg(long, global = true)]
    pub yes: bool,
}

/// The deployment that a command calls.
pub struct Deployment {
    /// Its URL and key.
    pub profile: Profile,
    /// Where they come from, for people.
    pub origin: String,
}

impl Target {
    /// The deployment that the options name. Without options it is the `dev` that runs on the data folder, else the
    /// current profile.
    pub fn deployment(&self) -> anyhow::Result<Deployment> {
        if let (Some(url), Some(key)) = (&self.url, &self.key) {
            let profile = Profile { url: url.clone(), key: key.clone() };
            return Ok(Deployment { profile, origin: "--url and --key".to_owned() });
        }
        if let Some(name) = &self.profile {
            return stored(&Profiles::read()?, name);
        }
        let dev = DevFile::read(&self.data_dir);
        if let Ok(DevFile { url, admin_key, .. }) = dev {
            let origin = format!("dev on {}", self.data_dir.display());
            return Ok(Deployment { profile: Profile { url, key: admin_key }, origin });
        }
        let profiles = Profiles::read()?;
        match &profiles.current {
            Some(name) => stored(&profiles, name),
            None => Err(dev.err().context("a `dev` runs")?).context(NO_DEPLOYMENT),
        }
    }
}

fn stored(profiles: &Profiles, name: &str) -> anyhow::Result<Deployment> {
    Ok(Deployment { profile: profiles.named(name)?.clone(), origin: format!("profile {name}") })
}
