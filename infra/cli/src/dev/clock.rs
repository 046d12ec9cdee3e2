//! `dev clock`: shows or moves the virtual clock.

use std::path::Path;
use std::time::Duration;

use af_local::DevFile;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::output;

/// A move of the clock first runs the functions that became due, which may take as long as a reconcile.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The virtual clock.
#[derive(Debug, Args)]
pub struct Clock {
    /// How far to move it: 90s, 30m, 2h, 7d, or milliseconds
    #[arg(long, value_parser = length)]
    advance: Option<u64>,
}

impl Clock {
    pub async fn run(self, data_dir: &Path) -> anyhow::Result<()> {
        let url = format!("{}/_local/clock", DevFile::read(data_dir)?.url);
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
        output::line(&format!("now {} ms, moved by {} ms", clock["now"], clock["offsetMs"]));
        Ok(())
    }
}

/// Reads a length of time into milliseconds.
fn length(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("use 90s, 30m, 2h, 7d, or milliseconds".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "use 90s, 30m, 2h, 7d, or milliseconds".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "the length is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn lengths_are_read_with_their_units() {
        assert_eq!([length("5"), length("90s"), length("30m")], [Ok(5), Ok(90_000), Ok(1_800_000)]);
        assert_eq!([length("2h"), length("1d")], [Ok(7_200_000), Ok(86_400_000)]);
        assert!(length("soon").is_err() && length("5w").is_err() && length("-1s").is_err());
    }
}
