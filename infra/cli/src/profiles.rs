//! Profiles: deployments with a name, kept with their keys in a file that only its owner can read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

const FILE: &str = "profiles.json";
/// The longest name of a profile, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// A deployment that `login` has stored.
// It holds a key, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Profile {
    /// The public URL.
    pub url: String,
    /// The API key.
    pub key: String,
}

/// All profiles of this user.
#[derive(Default, Serialize, Deserialize)]
pub struct Profiles {
    /// The profile that commands use when they name none.
    pub current: Option<String>,
    /// By name.
    pub profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads the profiles; none if there is no file.
    pub fn read() -> anyhow::Result<Self> {
        let path = path()?;
        match af_runtime::atomic_file::read(&path)? {
            Some(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} cannot be read", path.display()))
            }
            None => Ok(Self::default()),
        }
    }

    /// Replaces the file. Only its owner can read it.
    pub fn write(&self) -> anyhow::Result<()> {
        let path = path()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be created", folder.display()))?;
        }
        Ok(af_runtime::atomic_file::replace(&path, &serde_json::to_vec_pretty(self)?)?)
    }

    /// The profile with this name.
    pub fn named(&self, name: &str) -> anyhow::Result<&Profile> {
        self.profiles.get(name).with_context(|| {
            format!("there is no profile {name}; `agent-factory login {name} <URL>` makes it")
        })
    }
}

/// Where the profiles are: in `agent-factory` below the folder for configuration of this user.
fn path() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    match config {
        Some(config) => Ok(config.join("agent-factory").join(FILE)),
        None => bail!("profiles have no place: set HOME or XDG_CONFIG_HOME"),
    }
}

/// Reads the name of a profile.
pub fn name(text: &str) -> Result<String, String> {
    let is_name = (1..=MAX_NAME_LENGTH).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!("use 1 to {MAX_NAME_LENGTH} letters, digits, '.', '_' or '-'"))
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn the_name_of_a_profile_is_one_word() {
        assert!(["prod", "eu-1.staging", "A_b"].iter().all(|text| name(text).is_ok()));
        assert!(["", "a b", "a/b", "ä", &"x".repeat(65)].iter().all(|text| name(text).is_err()));
    }
}
