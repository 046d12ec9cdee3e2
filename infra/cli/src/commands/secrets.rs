//! `secrets`: values come from a file or standard input, never from the command line, and never go out.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;

use crate::api::{Api, segment, text};
use crate::output;

/// Secrets.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Import or rotate a secret; its value is read from standard input or a file
    Set {
        /// Its name
        name: String,
        /// File with the value
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Which of these secrets there are
    Status {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Delete a secret
    Delete {
        /// Its name
        name: String,
    },
}

impl Secrets {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Secrets::Set { name, file } => {
                let value = value(file)?;
                let path = format!("/v1/secrets/{}", segment(&name));
                let set = api.put(&path, &json!({"plaintextValue": value})).await?;
                output::line(&format!("{name} has version {}", text(&set["version"])));
            }
            Secrets::Status { names } => {
                let page = api.get(&format!("/v1/secrets?refs={}", segment(&names.join(",")))).await?;
                if api.json {
                    output::json(&page);
                    return Ok(());
                }
                let row = |s: &serde_json::Value| {
                    [&s["secretRef"], &s["hasActive"], &s["version"]].map(text).to_vec()
                };
                let rows = page["items"].as_array().into_iter().flatten().map(row).collect();
                output::table(&["secret", "active", "version"], rows);
            }
            Secrets::Delete { name } => {
                api.delete(&format!("/v1/secrets/{}", segment(&name))).await?;
                output::line(&format!("{name} is deleted"));
            }
        }
        Ok(())
    }
}

/// The value, without the line end that editors and `echo` put behind it.
fn value(file: Option<PathBuf>) -> anyhow::Result<String> {
    let mut value = match file {
        Some(file) => {
            std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?
        }
        None => {
            if std::io::stdin().is_terminal() {
                output::line("Enter the value, then Ctrl-D:");
            }
            let mut value = String::new();
            std::io::stdin().read_to_string(&mut value)?;
            value
        }
    };
    while value.ends_with(['\n', '\r']) {
        value.pop();
    }
    if value.is_empty() {
        bail!("the value is empty");
    }
    Ok(value)
}
