//! `config`: shows and changes the configuration of a deployment.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Answer, Api};
use crate::{input, output};

const POLICIES: &str = "/v1/config/policies";

/// Configuration.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Where and how workers run
    ///
    /// Example: agent-factory config provider get
    #[command(subcommand, verbatim_doc_comment)]
    Provider(Document),
    /// What messages carry to workers: `systemPrompt`, `telegramAttachmentRetentionMs`
    ///
    /// Example: agent-factory config message set --file message.json
    #[command(subcommand, verbatim_doc_comment)]
    Message(Document),
    /// How updates of Telegram become messages: `groupTrigger`, `requireBinding`, `maxPerMinute` and others
    ///
    /// Example: agent-factory config ingress set --file ingress.json
    #[command(subcommand, verbatim_doc_comment)]
    Ingress(Document),
    /// The prices of models, by which costs are counted that workers do not report: `prices`
    ///
    /// Example: agent-factory config prices set --file prices.json
    #[command(subcommand, verbatim_doc_comment)]
    Prices(Document),
    /// The numbers and rules of queue, leases, polls, pool and retention
    ///
    /// Example: agent-factory config policies get
    #[command(subcommand, verbatim_doc_comment)]
    Policies(Policies),
}

/// All policies, field by field.
#[derive(Debug, Subcommand)]
pub enum Policies {
    /// Show each field with its value, its default and what it accepts
    ///
    /// Example: agent-factory config policies get
    #[command(verbatim_doc_comment)]
    Get,
    /// Change the fields named in JSON, read from standard input or a file; `null` restores the default
    ///
    /// Example: agent-factory config policies set --file policies.json
    #[command(verbatim_doc_comment)]
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
    ///
    /// Example: agent-factory config provider get
    #[command(verbatim_doc_comment)]
    Get,
    /// Set it from JSON, read from standard input or a file; fields that are left out return to their defaults
    ///
    /// Example: agent-factory config provider set --file provider.json
    #[command(verbatim_doc_comment)]
    Set {
        /// File with the config
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

impl Document {
    /// The config to set; `None` only shows it.
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
            Config::Prices(command) => ("/v1/config/prices", command.given()?),
            Config::Ingress(command) => ("/v1/config/ingress", command.given()?),
            Config::Policies(Policies::Get) => (POLICIES, None),
            Config::Policies(Policies::Set { file }) => (POLICIES, Some(read(file)?)),
        };
        let answer: Answer<Warnings> = match set {
            None => api.get(path).await?,
            Some(config) => api.put(path, &config).await?,
        };
        // The provider config comes with warnings about possible mistakes.
        let config = answer.json.get("config").unwrap_or(&answer.json).clone();
        answer.print(|Warnings { warnings }| {
            output::json(&config);
            output::lines("warning", &warnings);
        });
        Ok(())
    }
}

fn read(file: Option<PathBuf>) -> anyhow::Result<Value> {
    serde_json::from_str(&input::read(file, "the config as JSON")?).context("the config is not JSON")
}
