//! Checks of fields that several providers have in their config.

use std::collections::BTreeMap;

use af_domain::refusal::Refusal;

/// The most variables; far more than a worker needs.
const MAX_ENV_COUNT: usize = 100;
/// The longest name of a variable, in bytes.
const MAX_ENV_NAME_LEN: usize = 128;
/// The longest value of a variable, in bytes.
const MAX_ENV_VALUE_LEN: usize = 4_096;
/// Bytes of all variables, so that the config fits an item and a machine's configuration.
const MAX_ENV_BYTES: usize = 32_768;
/// The longest name of an app, region or organization.
const MAX_NAME_LEN: usize = 63;
/// The longest image reference, as registries accept it.
const MAX_IMAGE_LEN: usize = 500;
/// The longest path of a volume.
const MAX_PATH_LEN: usize = 200;

fn field(pointer: &str, value: Option<&str>, fits: fn(&str) -> bool, rule: &str) -> Result<(), Refusal> {
    match value {
        Some(value) if !fits(value) => {
            Err(Refusal::field(pointer, format!("{} must be {rule}", &pointer[1..])))
        }
        _ => Ok(()),
    }
}

/// Checks the name of an app, region or organization at `pointer`.
pub(crate) fn name(pointer: &str, value: Option<&str>) -> Result<(), Refusal> {
    field(pointer, value, is_name, "1 to 63 of a-z, 0-9 and -")
}

/// Checks `/image`.
pub(crate) fn image(value: Option<&str>) -> Result<(), Refusal> {
    field("/image", value, is_image, "an image reference of at most 500 characters")
}

/// Checks `/volumeName`.
pub(crate) fn volume_name(value: Option<&str>) -> Result<(), Refusal> {
    field("/volumeName", value, is_volume_name, "1 to 30 of a-z, 0-9 and _")
}

/// Checks `/volumePath`.
pub(crate) fn volume_path(value: Option<&str>) -> Result<(), Refusal> {
    field("/volumePath", value, is_path, "an absolute path without .., at most 200 characters")
}

/// Checks `/env`.
pub(crate) fn env(env: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if env.len() > MAX_ENV_COUNT || bytes > MAX_ENV_BYTES {
        let detail = format!("env must be at most {MAX_ENV_COUNT} variables of {MAX_ENV_BYTES} bytes in all");
        return Err(Refusal::field("/env", detail));
    }
    for (name, value) in env {
        if !is_variable_name(name) {
            let detail = "names in env must be letters, digits and _, and begin with no digit";
            return Err(Refusal::field("/env", detail));
        }
        if value.len() > MAX_ENV_VALUE_LEN || value.contains('\0') {
            let detail = format!("values in env must be at most {MAX_ENV_VALUE_LEN} bytes, without NUL");
            return Err(Refusal::field(format!("/env/{name}"), detail));
        }
    }
    Ok(())
}

fn is_variable_name(name: &str) -> bool {
    (1..=MAX_ENV_NAME_LEN).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(fits)
}

fn is_image(text: &str) -> bool {
    (1..=MAX_IMAGE_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_volume_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=30).contains(&text.len()) && text.bytes().all(fits)
}

fn is_path(text: &str) -> bool {
    (2..=MAX_PATH_LEN).contains(&text.len())
        && text.starts_with('/')
        && text.bytes().all(|b| b.is_ascii_graphic())
        && !text.split('/').any(|s| s == "..")
}
