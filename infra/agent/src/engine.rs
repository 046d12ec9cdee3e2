//! Engines, which make a reply from a bundle.

mod command;
mod completion;
mod contract;
mod echo;
mod openai;
mod openclaw;
mod pictures;

use std::sync::Arc;

use crate::config::{Config, EngineConfig};
pub use contract::{Engine, Failure, Progress};

/// The engine that the configuration names.
///
/// # Errors
/// When an HTTP client that it needs cannot be set up.
pub fn engine_for(config: &Config) -> Result<Arc<dyn Engine>, reqwest::Error> {
    Ok(match &config.engine {
        EngineConfig::Echo => Arc::new(echo::Echo),
        EngineConfig::Command { program } => Arc::new(command::Command::new(program.clone(), config)),
        EngineConfig::OpenAi(openai) => Arc::new(openai::OpenAi::new(openai.clone(), &config.url)?),
        EngineConfig::OpenClaw { openclaw, volume } => {
            Arc::new(openclaw::OpenClaw::new(openclaw.clone(), volume.clone(), config)?)
        }
    })
}
