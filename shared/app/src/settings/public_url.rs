//! The public URL for workers, Telegram and file downloads.

use af_domain::ids::SecretRef;
use af_domain::refusal::Refusal;
use secrecy::{ExposeSecret, SecretString};

use crate::settings::base_url::{BASE_URL_RULE, is_base_url};
use crate::settings::prerequisite::Prerequisite;
use crate::{App, Result};

/// The secret with the operator's own URL.
const PUBLIC_URL_REF: &str = "factory.url";

/// Returns the URL without a trailing slash. The operator's own URL comes first, because only the operator knows
/// a domain or a path before the API. The URL of the deployment is second. The last one is `reached_at`, which
/// the current caller has used.
pub(crate) async fn find(app: &App, reached_at: Option<&str>) -> Result<Prerequisite<String>> {
    let own = app.secrets.get(&SecretRef::parse(PUBLIC_URL_REF)?, app.now()).await?;
    let own = own.as_ref().map(|own| own.expose_secret().trim()).filter(|own| !own.is_empty());
    let known = own.or(app.public_url.as_deref()).or(reached_at);
    Ok(match known {
        Some(url) => Prerequisite::Present(url.trim_end_matches('/').to_owned()),
        None => Prerequisite::Missing(format!(
            "Missing public URL. Set it at deploy time or import an active '{PUBLIC_URL_REF}' secret."
        )),
    })
}

/// Checks an imported secret. Only the public URL has a required format.
pub(crate) fn check(name: &SecretRef, value: &SecretString) -> Result<(), Refusal> {
    if name.as_str() != PUBLIC_URL_REF || is_base_url(value.expose_secret().trim()) {
        return Ok(());
    }
    let detail = format!("plaintextValue of {PUBLIC_URL_REF} must be {BASE_URL_RULE}");
    Err(Refusal::field("/plaintextValue", detail))
}

/// Returns the URL for a call that cannot be answered without it. Returns 409 if there is no URL.
pub async fn required(app: &App, reached_at: Option<&str>) -> Result<String> {
    find(app, reached_at).await?.required()
}
