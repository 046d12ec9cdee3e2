//! `dev clock`: shows or moves the virtual clock.

use std::path::Path;
use std::time::Duration;

use af_local::DevFile;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::{input, output};

/// A move of the clock first runs the functions that became due, which may take as long as a reconcile.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The virtual clock.
#[derive(Debug, Args)]
pub struct Clock {
    /// How far to move it: 90s, 30m, 2h, 7d, or milliseconds
    #[arg(long, value_parser = input::length)]
    advance: Option<u64>,
}

impl Clock {
    pub async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let url = format!("{}/_local/clock", DevFile::read(data_dir)?.telegram_url);
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let request = match self.advance {
            Some(ms) => http.post(&url).json(&json!({"advanceMs": ms})),
            None => http.get(&url),
        };
        let answer = request.send().await.context("dev cannot be reached")?;
        if !answer.status().is_success() {
            bail!("the clock did not move: {}", answer.text().await?);
        }
        let clock: Value = answer.json().await?;
        let [now, offset] = ["now", "offsetMs"].map(|name| clock[name].as_u64().unwrap_or_default());
        output::line(&format!("now {}, moved by {}", output::time(now), output::span(offset)));
        Ok(())
    }
}
