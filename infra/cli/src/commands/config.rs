//! `config`: what a deployment is told about itself.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

use crate::api::{Api, text};
use crate::output;

/// Configuration.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Where and how workers run
    #[command(subcommand)]
    Provider(Document),
    /// What every message is handed to its worker with: `systemPrompt`
    #[command(subcommand)]
    Message(Document),
}

/// One of them, as a whole.
#[derive(Debug, Subcommand)]
pub enum Document {
    /// Show it
    Get,
    /// Set it from JSON, read from standard input or a file; what is left out goes back to its default
    Set {
        /// File with the config
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

impl Config {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let (path, command) = match self {
            Config::Provider(command) => ("/v1/config/provider", command),
            Config::Message(command) => ("/v1/config/message", command),
        };
        let view = match command {
            Document::Get => api.get(path).await?,
            Document::Set { file } => api.put(path, &read(file)?).await?,
        };
        // A config that may have mistakes in it comes with what they are.
        let config = view.get("config").filter(|_| !api.json).unwrap_or(&view);
        output::json(config);
        if api.json {
            return Ok(());
        }
        for warning in view["warnings"].as_array().into_iter().flatten() {
            output::line(&format!("warning: {}", text(warning)));
        }
        Ok(())
    }
}

fn read(file: Option<PathBuf>) -> anyhow::Result<Value> {
    let json = match file {
        Some(file) => {
            std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?
        }
        None => {
            if std::io::stdin().is_terminal() {
                output::line("Enter the config as JSON, then Ctrl-D:");
            }
            let mut json = String::new();
            std::io::stdin().read_to_string(&mut json)?;
            json
        }
    };
    serde_json::from_str(&json).context("the config is no JSON")
}
