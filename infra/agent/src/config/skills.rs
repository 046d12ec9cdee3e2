//! The configuration of global skills.

use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, duration};

/// Time limit of fetching the skills, when the environment sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// The configuration of global skills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillsConfig {
    /// The folder of all skills (`OPENCLAW_SKILLS_DIR`, else `skills` on the volume).
    pub dir: PathBuf,
    /// The data folder, in which programs can put links.
    pub data_dir: Option<PathBuf>,
    /// The volume that must exist before skills are written: the parent folder of `OPENCLAW_WORKSPACE_DIR`, if
    /// `OPENCLAW_REQUIRE_DATA_MOUNT` is set.
    pub volume: Option<PathBuf>,
    /// The release channel (`SKILLS_RELEASE_CHANNEL`).
    pub channel: String,
    /// Whether the worker must not run without its skills (`SKILLS_BOOTSTRAP_REQUIRED`).
    pub required: bool,
    /// Time limit of fetching them (`SKILLS_BOOTSTRAP_TIMEOUT_MS`).
    pub timeout: Duration,
    /// Whether skills that come neither from the deployment nor from the image are removed (`SKILLS_REMOVE_UNMANAGED`).
    pub remove_unmanaged: bool,
    /// The folder of the skills in the image (`OPENCLAW_BUNDLED_SKILLS_DIR`).
    pub bundled_dir: Option<PathBuf>,
}

impl SkillsConfig {
    /// Reads the configuration; `None` when skills are off, or when they are optional and have no folder.
    ///
    /// # Errors
    /// `ConfigError` that names the variable.
    pub fn from_env(
        get: &impl Fn(&str) -> Option<String>,
        data_dir: Option<&PathBuf>,
    ) -> Result<Option<Self>, ConfigError> {
        let flag = |name: &'static str| match get(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ConfigError::Invalid(name, "true or false")),
        };
        match get("SKILLS_BOOTSTRAP_MODE").as_deref() {
            None | Some("off") => return Ok(None),
            Some("db_manifest") => {}
            Some(_) => return Err(ConfigError::Invalid("SKILLS_BOOTSTRAP_MODE", "db_manifest or off")),
        }
        let channel = get("SKILLS_RELEASE_CHANNEL").unwrap_or_else(|| "stable".to_owned());
        if !matches!(channel.as_str(), "stable" | "canary") {
            return Err(ConfigError::Invalid("SKILLS_RELEASE_CHANNEL", "stable or canary"));
        }
        let required = flag("SKILLS_BOOTSTRAP_REQUIRED")?;
        let timeout = duration(get, "SKILLS_BOOTSTRAP_TIMEOUT_MS")?.unwrap_or(DEFAULT_TIMEOUT);
        let dir = get("OPENCLAW_SKILLS_DIR").map(PathBuf::from);
        let Some(dir) = dir.or_else(|| data_dir.map(|volume| volume.join("skills"))) else {
            return if required { Err(ConfigError::Missing("OPENCLAW_SKILLS_DIR")) } else { Ok(None) };
        };
        let volume =
            get("OPENCLAW_WORKSPACE_DIR").and_then(|dir| PathBuf::from(dir).parent().map(PathBuf::from));
        let volume = if flag("OPENCLAW_REQUIRE_DATA_MOUNT")? { volume } else { None };
        let remove_unmanaged = flag("SKILLS_REMOVE_UNMANAGED")?;
        let bundled_dir = get("OPENCLAW_BUNDLED_SKILLS_DIR").map(PathBuf::from);
        let data_dir = data_dir.cloned();
        Ok(Some(Self { dir, data_dir, volume, channel, required, timeout, remove_unmanaged, bundled_dir }))
    }
}
