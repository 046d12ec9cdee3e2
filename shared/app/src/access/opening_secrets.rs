//! The secrets that open the deployment: the first admin key, and the key that signs worker tokens and links to files.
//!
//! They have a form that cannot be guessed, they cannot be deleted, and a rotation leaves the previous value valid for a
//! while. A function that meets an unknown value reads them again, so that a new value works everywhere at once.

use af_aws::secrets::RotatedSecret;
use af_domain::ids::SecretRef;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::signing_keys::SIGNING_KEY_REF;
use crate::{App, Result};

/// The secret that contains the secret part of the first admin key.
pub const BOOTSTRAP_KEY_REF: &str = "bootstrap.adminKey";
/// The names of these secrets.
const NAMES: [&str; 2] = [BOOTSTRAP_KEY_REF, SIGNING_KEY_REF];
/// The shortest value: 32 characters of a random text hold more than 128 bits.
const MIN_CHARS: usize = 32;
/// How long the previous value stays valid: twice the time that a function caches a secret.
pub(crate) const PREVIOUS_GOOD_FOR: Millis = Millis::from_secs(10 * 60);
/// How long the values are cached.
pub(crate) const GOOD_FOR: Millis = Millis::from_secs(5 * 60);
/// An unknown value may be newer than the cached ones. They are then read again, at most this often, because anyone can
/// make up unknown values.
const MIN_READ_INTERVAL: Millis = Millis::from_secs(2);

/// The values of one secret, and when they were read.
#[derive(Clone)]
pub(crate) struct OpeningSecret {
    pub values: RotatedSecret,
    read_at: Timestamp,
}

/// Checks the form of a new value. Other secrets have no form here.
pub(crate) fn check_form(name: &SecretRef, value: &SecretString) -> Result<(), Refusal> {
    let value = value.expose_secret();
    let has_form = value.len() >= MIN_CHARS && value.bytes().all(|byte| byte.is_ascii_graphic());
    if has_form || !is_opening(name) {
        return Ok(());
    }
    let detail = format!(
        "{name} opens the deployment: plaintextValue must have {MIN_CHARS} or more visible ASCII characters"
    );
    Err(Refusal::field("/plaintextValue", detail))
}

/// Refuses the deletion of one of these secrets.
pub(crate) fn check_deletion(name: &SecretRef) -> Result<(), Refusal> {
    if !is_opening(name) {
        return Ok(());
    }
    let detail =
        format!("{name} cannot be deleted, because the deployment needs it; replace its value instead");
    Err(Refusal::new(Code::Conflict, detail))
}

fn is_opening(name: &SecretRef) -> bool {
    NAMES.contains(&name.as_str())
}

/// Returns the first result of `find` in the cached values or, without one, in values that are read now.
pub(crate) async fn find_in<T>(
    app: &App,
    name: &'static str,
    find: impl Fn(&RotatedSecret) -> Option<T>,
) -> Result<Option<T>> {
    let now = app.now();
    if let Some(known) = app.opening_secrets.get(&name, now) {
        let found = find(&known.values);
        if found.is_some() || now.since(known.read_at) < MIN_READ_INTERVAL {
            return Ok(found);
        }
    }
    let values = app.secrets.with_previous(&SecretRef::parse(name)?).await?.ok_or_else(|| missing(name))?;
    let found = find(&values);
    app.opening_secrets.put(name, OpeningSecret { values, read_at: now }, now);
    Ok(found)
}

/// The refusal of a call that needs a secret that does not exist.
pub(crate) fn missing(name: &str) -> Refusal {
    let what = if name == SIGNING_KEY_REF { "signing key" } else { "first admin key" };
    Refusal::new(Code::NotConfigured, format!("Missing {what}. Import a '{name}' secret."))
}
