//! Global skills on this worker's disk: fetched at the start, and looked after between messages.
//!
//! What comes is checked as a whole before anything is written ([`manifest`]), and each skill's folder is either the
//! old one or the new one, whenever the process dies ([`install`]). Folders that are not ours are not touched.

pub mod install;
mod manifest;

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::config::ConfigError;
pub use manifest::{BadManifest, ManifestAnswer};

/// How often a running worker asks for changes. Most answers are a 304, which costs the deployment one small read.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// Time the skills may take to come when the environment says nothing.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// Which skills go where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillsConfig {
    /// The folder of all skills (`OPENCLAW_SKILLS_DIR`, else `skills` on the volume).
    pub dir: PathBuf,
    /// The volume without which nothing is written: the folder that `OPENCLAW_WORKSPACE_DIR` lies in, where
    /// `OPENCLAW_REQUIRE_DATA_MOUNT` is set.
    pub volume: Option<PathBuf>,
    /// `SKILLS_RELEASE_CHANNEL`.
    pub channel: String,
    /// Whether there is no worker without its skills (`SKILLS_BOOTSTRAP_REQUIRED`).
    pub required: bool,
    /// Time they may take to come (`SKILLS_BOOTSTRAP_TIMEOUT_MS`).
    pub timeout: Duration,
    /// Whether skills that neither the deployment nor the image brought are removed (`SKILLS_REMOVE_UNMANAGED`).
    pub remove_unmanaged: bool,
    /// The folder of the skills that the image brought (`OPENCLAW_BUNDLED_SKILLS_DIR`).
    pub bundled_dir: Option<PathBuf>,
}

impl SkillsConfig {
    /// Reads the configuration; `None` when no skills are asked for, or there is no place for them and none is needed.
    pub fn from_env(
        get: &impl Fn(&str) -> Option<String>,
        data_dir: Option<&PathBuf>,
    ) -> Result<Option<Self>, ConfigError> {
        let flag = |name: &'static str| match get(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ConfigError::Invalid { name, rule: "true or false" }),
        };
        match get("SKILLS_BOOTSTRAP_MODE").as_deref() {
            None | Some("off") => return Ok(None),
            Some("db_manifest") => {}
            Some(_) => {
                let name = "SKILLS_BOOTSTRAP_MODE";
                return Err(ConfigError::Invalid { name, rule: "db_manifest or off" });
            }
        }
        let channel = get("SKILLS_RELEASE_CHANNEL").unwrap_or_else(|| "stable".to_owned());
        if !matches!(channel.as_str(), "stable" | "canary") {
            let name = "SKILLS_RELEASE_CHANNEL";
            return Err(ConfigError::Invalid { name, rule: "stable or canary" });
        }
        let required = flag("SKILLS_BOOTSTRAP_REQUIRED")?;
        let timeout = match get("SKILLS_BOOTSTRAP_TIMEOUT_MS").map(|ms| ms.parse()) {
            None => TIMEOUT_DEFAULT,
            Some(Ok(ms)) => Duration::from_millis(ms),
            Some(Err(_)) => {
                let name = "SKILLS_BOOTSTRAP_TIMEOUT_MS";
                return Err(ConfigError::Invalid { name, rule: "a whole number of milliseconds" });
            }
        };
        let dir = get("OPENCLAW_SKILLS_DIR").map(PathBuf::from);
        let Some(dir) = dir.or_else(|| data_dir.map(|volume| volume.join("skills"))) else {
            return if required { Err(ConfigError::Missing("OPENCLAW_SKILLS_DIR")) } else { Ok(None) };
        };
        let volume =
            get("OPENCLAW_WORKSPACE_DIR").and_then(|dir| PathBuf::from(dir).parent().map(PathBuf::from));
        let volume = if flag("OPENCLAW_REQUIRE_DATA_MOUNT")? { volume } else { None };
        let remove_unmanaged = flag("SKILLS_REMOVE_UNMANAGED")?;
        let bundled_dir = get("OPENCLAW_BUNDLED_SKILLS_DIR").map(PathBuf::from);
        Ok(Some(Self { dir, volume, channel, required, timeout, remove_unmanaged, bundled_dir }))
    }
}

/// Why the skills are not on the disk as they should be.
#[derive(Debug, thiserror::Error)]
pub enum SkillsError {
    /// They did not come in time.
    #[error("the skills did not come within {} ms", .0.as_millis())]
    Late(Duration),
    /// They were not answered.
    #[error("the skills cannot be fetched")]
    Fetch(#[source] ApiError),
    /// What was answered is not acceptable. Nothing of it was written.
    #[error("the manifest of skills is not acceptable")]
    Manifest(#[source] BadManifest),
    /// The volume that they belong on is not there.
    #[error("there is no volume at {}", .0.display())]
    NoVolume(PathBuf),
    /// They could not be written. Those that were are whole.
    #[error("the skills cannot be written")]
    Install(#[source] std::io::Error),
    /// Their folders belong to somebody else.
    #[error("folders of these names are not ours: {0}")]
    Foreign(String),
}

/// Keeps the skills as the deployment wants them.
pub struct Skills {
    config: SkillsConfig,
    /// The manifest that is on the disk, in the server's words.
    known: Option<String>,
    due_at: Instant,
}

impl Skills {
    pub fn new(config: SkillsConfig) -> Self {
        Self { config, known: None, due_at: Instant::now() }
    }

    /// Brings the skills before the first message is claimed.
    ///
    /// # Errors
    /// Only when the worker must not go on without them.
    pub async fn bootstrap(&mut self, api: &Api) -> Result<(), SkillsError> {
        match self.recover_and_sync(api).await {
            Err(error) if self.config.required => Err(error),
            other => {
                tell(other);
                Ok(())
            }
        }
    }

    /// Brings them once more, after the data folder was emptied.
    ///
    /// # Errors
    /// As `bootstrap`.
    pub async fn again(&mut self, api: &Api) -> Result<(), SkillsError> {
        self.known = None;
        self.bootstrap(api).await
    }

    /// Brings what has changed, if it is time to ask. What cannot be had now is asked for again later.
    pub async fn refresh(&mut self, api: &Api) {
        if Instant::now() >= self.due_at {
            tell(self.sync(api).await);
        }
    }

    async fn recover_and_sync(&mut self, api: &Api) -> Result<(), SkillsError> {
        let dir = self.config.dir.clone();
        on_disk(move || install::recover(&dir)).await?;
        self.sync(api).await
    }

    async fn sync(&mut self, api: &Api) -> Result<(), SkillsError> {
        self.due_at = Instant::now() + REFRESH_EVERY;
        if let Some(missing) = self.config.volume.as_ref().filter(|volume| !volume.is_dir()) {
            return Err(SkillsError::NoVolume(missing.clone()));
        }
        let limit = self.config.timeout;
        let fetched = timeout(limit, self.fetch(api)).await.map_err(|_| SkillsError::Late(limit))??;
        let Some((etag, answer)) = fetched else { return Ok(()) };
        let version = answer.manifest_version.clone();
        let folders = manifest::checked(answer, &self.config.channel).map_err(SkillsError::Manifest)?;
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

    /// Asks until there is an answer; whoever calls sets the limit.
    async fn fetch(&self, api: &Api) -> Result<Option<(Option<String>, ManifestAnswer)>, SkillsError> {
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

/// The worker goes on with the skills it has.
fn tell(result: Result<(), SkillsError>) {
    if let Err(error) = result {
        tracing::warn!(error = &error as &dyn std::error::Error, "skills are not up to date");
    }
}
