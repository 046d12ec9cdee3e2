//! `config`: what a deployment is told about itself.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Answer, Api};
use crate::output;

const POLICIES: &str = "/v1/config/policies";

/// Configuration.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Where and how workers run
    #[command(subcommand)]
    Provider(Document),
    /// What messages are handed to workers with: `systemPrompt`, `telegramAttachmentRetentionMs`
    #[command(subcommand)]
    Message(Document),
    /// The numbers and rules of queue, leases, polls, pool and retention
    #[command(subcommand)]
    Policies(Policies),
}

/// All policies, field by field.
#[derive(Debug, Subcommand)]
pub enum Policies {
    /// Show each field with its value, its default and what it accepts
    Get,
    /// Change the fields named in JSON, read from standard input or a file; `null` takes a change back
    Set {
        /// File with the fields, as {"scaling": {"maxWorkers": 100}}
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

/// The warnings that a config may come with.
#[derive(Debug, Deserialize)]
struct Warnings {
    #[serde(default)]
    warnings: Vec<String>,
}

/// One config, as a whole.
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

impl Document {
    /// What it shall be set to, if it is.
    fn given(self) -> anyhow::Result<Option<Value>> {
        match self {
            Document::Get => Ok(None),
            Document::Set { file } => read(file).map(Some),
        }
    }
}

impl Config {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let (path, set) = match self {
            Config::Provider(command) => ("/v1/config/provider", command.given()?),
            Config::Message(command) => ("/v1/config/message", command.given()?),
            Config::Policies(Policies::Get) => (POLICIES, None),
            Config::Policies(Policies::Set { file }) => (POLICIES, Some(read(file)?)),
        };
        let Answer { json: view, body: Warnings { warnings } } = match set {
            None => api.get(path).await?,
            Some(config) => api.put(path, &config).await?,
        };
        // A config that may have mistakes in it comes with what they are.
        let config = view.get("config").filter(|_| !api.json).unwrap_or(&view);
        output::json(config);
        if api.json {
            return Ok(());
        }
        for warning in warnings {
            output::line(&format!("warning: {warning}"));
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
