//! Global skills on this worker's disk: fetched at the start, and refreshed between messages.
//!
//! The whole manifest is checked before anything is written ([`manifest`]). If the process dies at any moment, each
//! skill's folder is either the old one or the new one ([`install`]). Folders without this deployment's marker are not
//! touched.

#[cfg(test)]
mod access;
#[cfg(test)]
mod fuzz;
pub mod install;
mod manifest;

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::api::{Api, ApiError, FetchedManifest};
use crate::backoff::Backoff;
use crate::config::SkillsConfig;
pub use manifest::BadManifest;

/// How often a running worker asks for changes. Most answers are a 304, which costs the deployment one small read.
const REFRESH_EVERY: Duration = Duration::from_secs(300);

/// Why the skills on the disk are not up to date.
#[derive(Debug, thiserror::Error)]
pub enum SkillsError {
    /// Fetching them took too long.
    #[error("the skills could not be fetched within {} ms", .0.as_millis())]
    Late(Duration),
    /// The server did not answer them.
    #[error("the skills cannot be fetched")]
    Fetch(#[source] ApiError),
    /// The manifest is not acceptable. Nothing of it was written.
    #[error("the manifest of skills is not acceptable")]
    Manifest(#[source] BadManifest),
    /// The volume for the skills does not exist.
    #[error("there is no volume at {}", .0.display())]
    NoVolume(PathBuf),
    /// They could not be written. Every folder that was written is complete.
    #[error("the skills cannot be written")]
    Install(#[source] std::io::Error),
    /// Folders of the same names exist and do not have this deployment's marker.
    #[error("folders of these names do not belong to this deployment: {0}")]
    Foreign(String),
}

/// Keeps the skills on the disk up to date with the deployment.
pub struct Skills {
    config: SkillsConfig,
    /// The entity tag of the manifest on the disk.
    known: Option<String>,
    due_at: Instant,
}

impl Skills {
    pub fn new(config: SkillsConfig) -> Self {
        Self { config, known: None, due_at: Instant::now() }
    }

    /// Installs the skills before the first message is claimed.
    ///
    /// # Errors
    /// Only when the worker must not run without its skills.
    pub async fn bootstrap(&mut self, api: &Api) -> Result<(), SkillsError> {
        let config = self.config.clone();
        let installed = match on_disk(move || install::recover(&config)).await {
            Ok(()) => self.sync(api).await,
            failed => failed,
        };
        if self.config.required {
            return installed;
        }
        log_failure(installed);
        Ok(())
    }

    /// Installs the skills again, after the data folder was emptied.
    ///
    /// # Errors
    /// As `bootstrap`.
    pub async fn reinstall(&mut self, api: &Api) -> Result<(), SkillsError> {
        self.known = None;
        self.bootstrap(api).await
    }

    /// Installs changes, if the next refresh is due. A failed refresh is repeated at the next due time.
    pub async fn refresh(&mut self, api: &Api) {
        if Instant::now() >= self.due_at {
            log_failure(self.sync(api).await);
        }
    }

    async fn sync(&mut self, api: &Api) -> Result<(), SkillsError> {
        self.due_at = Instant::now() + REFRESH_EVERY;
        if let Some(missing) = self.config.volume.as_ref().filter(|volume| !volume.is_dir()) {
            return Err(SkillsError::NoVolume(missing.clone()));
        }
        let limit = self.config.timeout;
        let fetched = timeout(limit, self.fetch(api)).await.map_err(|_| SkillsError::Late(limit))??;
        let Some(FetchedManifest { etag, manifest }) = fetched else { return Ok(()) };
        let version = manifest.manifest_version.clone();
        let folders = manifest::checked(manifest, &self.config.channel).map_err(SkillsError::Manifest)?;
        let config = self.config.clone();
        let report = on_disk(move || install::install(&config, &folders)).await?;
        tracing::info!(
            manifest_version = version,
            written = report.written,
            unchanged = report.unchanged,
            removed = report.removed,
            "skills are in place"
        );
        if !report.foreign.is_empty() {
            return Err(SkillsError::Foreign(report.foreign.join(", ")));
        }
        self.known = etag;
        Ok(())
    }

    /// Repeats the call until there is an answer. The caller sets the time limit.
    async fn fetch(&self, api: &Api) -> Result<Option<FetchedManifest>, SkillsError> {
        let mut backoff = Backoff::new();
        loop {
            match api.skills(&self.config.channel, self.known.as_deref()).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => match error.retry_in(backoff.next()) {
                    Some(wait) => sleep(wait).await,
                    None => return Err(SkillsError::Fetch(error)),
                },
            }
        }
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SkillsError> {
    let done = spawn_blocking(work).await;
    done.map_err(std::io::Error::other).flatten().map_err(SkillsError::Install)
}

/// Logs a failure. The worker goes on with the skills that it has.
fn log_failure(result: Result<(), SkillsError>) {
    if let Err(error) = result {
        tracing::warn!(error = &error as &dyn std::error::Error, "skills are not up to date");
    }
}
