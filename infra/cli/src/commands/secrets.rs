//! `secrets`: a value comes from a file or standard input, never from the command line, and no command shows it.

use std::path::PathBuf;

use af_api::pages::Page;
use af_api::secret_text::SecretText;
use af_api::secrets::{SecretAnswer, SecretBody, SecretRequest, SecretsQuery};
use clap::Subcommand;

use crate::api::{Answer, Api, segment};
use crate::{input, output};

/// Secrets.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Import or rotate a secret; its value is read from standard input or a file
    ///
    /// Example: agent-factory secrets set fly.apiToken --file token.txt
    #[command(verbatim_doc_comment)]
    Set {
        /// Its name
        name: String,
        /// File with the value
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Show which of these secrets exist
    ///
    /// Example: agent-factory secrets status fly.apiToken factory.url
    #[command(verbatim_doc_comment)]
    Status {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Delete a secret
    ///
    /// Example: agent-factory secrets delete model.apiKey --yes
    #[command(verbatim_doc_comment)]
    Delete {
        /// Its name
        name: String,
    },
}

impl Secrets {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Secrets::Set { name, file } => {
                let request = SecretRequest {
                    plaintext_value: SecretText(input::read_value(file, "the value")?.into()),
                };
                let path = format!("/v1/secrets/{}", segment(&name));
                let set: Answer<SecretAnswer> = api.put(&path, &request).await?;
                output::line(&format!("{name} has version {}", set.body.version));
                Ok(())
            }
            Secrets::Status { names } => status(api, &names).await,
            Secrets::Delete { name } => {
                api.confirm(&format!("the secret {name}"))?;
                api.delete(&format!("/v1/secrets/{}", segment(&name))).await?;
                output::line(&format!("{name} is deleted"));
                Ok(())
            }
        }
    }
}

async fn status(api: &Api, names: &[String]) -> anyhow::Result<()> {
    let query = SecretsQuery { refs: names.join(",") };
    let page: Answer<Page<SecretBody>> = api.find("/v1/secrets", &query).await?;
    let row = |s: SecretBody| vec![s.secret_ref, s.has_active.to_string(), output::or_dash(s.version)];
    page.print(|page| output::page(&["secret", "active", "version"], page, row));
    Ok(())
}
