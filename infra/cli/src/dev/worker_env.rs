//! The variables of workers, which may be secret: from the options, from the shell, and from an earlier start.
//!
//! They are kept in the data folder, in a file that only its owner can read. The provider config does not contain them,
//! because lists show it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use secrecy::{ExposeSecret, SecretString};

/// The file with the variables.
const FILE: &str = "worker-env.json";
/// Variables that `dev` or the deployment sets for each worker.
const RESERVED: [&str; 10] = [
    "AGENT_FACTORY_COMMAND",
    "AGENT_FACTORY_DATA_DIR",
    "AGENT_FACTORY_ENGINE",
    "AGENT_FACTORY_MACHINE",
    "AGENT_FACTORY_URL",
    "AGENT_FACTORY_WORKER_ID",
    "AGENT_FACTORY_WORKER_TOKEN",
    "CONVEX_URL",
    "OPENCLAW_CONVERSATION_ID",
    "WORKER_ID",
];

/// Variables with their values.
pub type Variables = BTreeMap<String, SecretString>;

/// `NAME` or `NAME=VALUE`.
#[derive(Clone, Debug)]
pub struct Variable {
    name: String,
    value: Option<SecretString>,
}

impl FromStr for Variable {
    /// A wrong name is refused later, because the errors of the parser would show the value.
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned().into()) },
            None => Self { name: text.to_owned(), value: None },
        })
    }
}

/// The variables that an earlier start has kept in `folder`.
pub fn kept(folder: &Path) -> anyhow::Result<Variables> {
    let path = folder.join(FILE);
    let Some(file) = af_runtime::atomic_file::read(&path)? else { return Ok(Variables::new()) };
    let variables: BTreeMap<String, String> = serde_json::from_slice(&file).with_context(|| {
        format!("{} cannot be read; remove it, and name the variables again", path.display())
    })?;
    Ok(variables.into_iter().map(|(name, value)| (name, value.into())).collect())
}

/// Keeps the variables for the next start.
pub fn keep(folder: &Path, variables: &Variables) -> anyhow::Result<()> {
    let path = folder.join(FILE);
    if variables.is_empty() && !path.exists() {
        return Ok(());
    }
    let shown: BTreeMap<_, _> = variables.iter().map(|(name, value)| (name, value.expose_secret())).collect();
    Ok(af_runtime::atomic_file::replace(&path, &serde_json::to_vec(&shown)?)?)
}

/// Adds the variables of the options to `variables`. An empty value removes one; a name alone takes the value of the shell,
/// and keeps the one of an earlier start if the shell has none.
pub fn add(
    variables: &mut Variables,
    options: &[Variable],
    shell: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<()> {
    for Variable { name, value } in options {
        let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        ensure!(is_name, "--worker-env: a name must be letters, digits and _, and begin with no digit");
        match name.as_str() {
            "AGENT_FACTORY_ENGINE" => bail!("--worker-env {name}: use --engine"),
            "AGENT_FACTORY_COMMAND" => bail!("--worker-env {name}: use --agent-command"),
            name if RESERVED.contains(&name) => {
                bail!("--worker-env {name}: each worker has its own value, so leave the option out")
            }
            _ => {}
        }
        match value.clone().or_else(|| shell(name).map(SecretString::from)) {
            Some(value) if value.expose_secret().is_empty() => drop(variables.remove(name)),
            Some(value) => drop(variables.insert(name.clone(), value)),
            None => ensure!(
                variables.contains_key(name),
                "--worker-env {name}: this shell has no such variable; export it first, or write {name}=VALUE"
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn options(texts: &[&str]) -> Vec<Variable> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn shell(name: &str) -> Option<String> {
        (name == "FROM_SHELL").then(|| "shell-value".to_owned())
    }

    #[test]
    fn variables_are_kept_for_the_next_start_in_a_file_of_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let mut variables = kept(dir.path()).unwrap();
        add(&mut variables, &options(&["FROM_SHELL", "GIVEN=a=b"]), shell).unwrap();
        keep(dir.path(), &variables).unwrap();
        let mode = dir.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut again = kept(dir.path()).unwrap();
        add(&mut again, &options(&["FROM_SHELL", "GIVEN="]), |_| None).unwrap();
        assert_eq!(again["FROM_SHELL"].expose_secret(), "shell-value");
        assert!(!again.contains_key("GIVEN"), "an empty value removes a variable");
        assert!(!format!("{again:?}").contains("shell-value"));
    }

    #[test]
    fn a_variable_that_cannot_be_set_is_refused_with_the_fix_and_without_its_value() {
        for (text, fix) in [
            ("MISSING", "export it first"),
            ("CONVEX_URL=SECRET", "leave the option out"),
            ("AGENT_FACTORY_ENGINE=SECRET", "use --engine"),
            ("1A=SECRET", "begin with no digit"),
            ("=SECRET", "letters, digits and _"),
        ] {
            let refused = add(&mut Variables::new(), &options(&[text]), shell).unwrap_err().to_string();
            assert!(refused.contains(fix) && !refused.contains("SECRET"), "{refused}");
        }
    }
}
