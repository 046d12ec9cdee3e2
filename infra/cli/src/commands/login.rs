//! `login` and `profiles`: deployments with a name. A key comes from a file or standard input.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::{Answer, Api, ApiError};
use crate::profiles::{self, Profile, Profiles};
use crate::target::{Deployment, Target};
use crate::{input, output};

/// A deployment to store.
#[derive(Debug, Args)]
pub struct Login {
    /// The name of the profile
    #[arg(value_name = "PROFILE", value_parser = profiles::name)]
    name: String,
    /// Public URL of the deployment
    #[arg(value_name = "URL", value_parser = public_url)]
    public_url: String,
    /// File with the API key; read from standard input by default
    #[arg(long)]
    file: Option<PathBuf>,
}

/// The stored profiles.
#[derive(Debug, Subcommand)]
pub enum Stored {
    /// List the profiles; no command shows a key
    ///
    /// Example: agent-factory profiles list
    #[command(verbatim_doc_comment)]
    List,
    /// Make a profile the one that commands use
    ///
    /// Example: agent-factory profiles use prod
    #[command(verbatim_doc_comment)]
    Use {
        /// The name of the profile
        #[arg(value_name = "PROFILE", value_parser = profiles::name)]
        name: String,
    },
    /// Delete a profile from this machine; its key stays valid
    ///
    /// Example: agent-factory profiles delete staging --yes
    #[command(verbatim_doc_comment)]
    Delete {
        /// The name of the profile
        #[arg(value_name = "PROFILE", value_parser = profiles::name)]
        name: String,
    },
}

impl Login {
    /// Stores the profile if the deployment accepts the key.
    pub async fn run(self, target: &Target) -> anyhow::Result<()> {
        let key = input::read_value(self.file, "the API key")?.trim().to_owned();
        let profile = Profile { url: self.public_url.trim_end_matches('/').to_owned(), key };
        let api = Api::new(Deployment { profile: profile.clone(), origin: self.name.clone() }, target)?;
        let opened: Result<Answer<Value>, ApiError> = api.get("/v1/queue/stats").await;
        match opened {
            // A key for apps opens no route of operators.
            Ok(_) | Err(ApiError::Refused { status: 403, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut profiles = Profiles::read()?;
        profiles.profiles.insert(self.name.clone(), profile);
        profiles.current = Some(self.name.clone());
        profiles.write()?;
        output::line(&format!("commands use the profile {} when no dev runs here", self.name));
        Ok(())
    }
}

impl Stored {
    pub fn run(self, target: &Target) -> anyhow::Result<()> {
        let mut profiles = Profiles::read()?;
        match self {
            Stored::List => list(&profiles, target.json),
            Stored::Use { name } => {
                profiles.named(&name)?;
                output::line(&format!("commands use the profile {name} when no dev runs here"));
                profiles.current = Some(name);
                profiles.write()?;
            }
            Stored::Delete { name } => {
                profiles.named(&name)?;
                input::confirm(target.yes, input::Deed::Delete, &format!("the profile {name}"))?;
                profiles.profiles.remove(&name);
                profiles.current = profiles.current.filter(|current| *current != name);
                profiles.write()?;
                output::line(&format!("the profile {name} is deleted"));
            }
        }
        Ok(())
    }
}

fn list(profiles: &Profiles, as_json: bool) {
    let is_current = |name: &str| profiles.current.as_deref() == Some(name);
    let rows = profiles.profiles.iter();
    if as_json {
        let item =
            |(name, p): (&String, &Profile)| json!({"name": name, "url": p.url, "current": is_current(name)});
        output::json(&json!({"items": rows.map(item).collect::<Vec<_>>()}));
        return;
    }
    let row = |(name, profile): (&String, &Profile)| {
        vec![name.clone(), profile.url.clone(), output::or_dash(is_current(name).then_some("yes"))]
    };
    output::table(&["profile", "url", "current"], rows.map(row).collect());
}

/// Reads the public URL of a deployment.
fn public_url(text: &str) -> anyhow::Result<String> {
    let url = reqwest::Url::parse(text)?;
    ensure!(matches!(url.scheme(), "http" | "https") && url.has_host(), "the URL begins with https://");
    let has_extras = url.query().is_some() || url.fragment().is_some() || !url.username().is_empty();
    ensure!(!has_extras, "the URL has a host and a path only");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::public_url;

    #[test]
    fn a_public_url_has_a_host_and_a_path_only() {
        for url in ["https://agents.example.com", "http://127.0.0.1:8787/", "https://example.com/prod"] {
            assert!(public_url(url).is_ok(), "{url}");
        }
        for url in
            ["agents.example.com", "ftp://example.com", "https://me@example.com", "https://example.com?a=b"]
        {
            assert!(public_url(url).is_err(), "{url}");
        }
    }
}
