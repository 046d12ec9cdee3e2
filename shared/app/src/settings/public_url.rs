//! The public URL: what workers, Telegram and whoever loads a file are told.

use af_domain::ids::SecretRef;
use af_domain::refusal::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};

use crate::settings::base_url::{BASE_URL_RULE, is_base_url};
use crate::{App, AppError};

/// Secret with the operator's own.
const PUBLIC_URL_REF: &str = "factory.url";

/// The URL, without a slash at its end: the operator's own, which may have a domain and a path that no function can know;
/// else the one that the function was deployed with; else `reached_at`, by which a caller has just reached us. In words
/// that name the fix when there is none.
pub(crate) async fn find(app: &App, reached_at: Option<&str>) -> Result<Result<String, String>, AppError> {
    let own = app.secrets.get(&SecretRef::parse(PUBLIC_URL_REF)?, app.now()).await?;
    let own = own.as_ref().map(|own| own.expose_secret().trim()).filter(|own| !own.is_empty());
    let known = own.or(app.public_url.as_deref()).or(reached_at);
    Ok(known.map(|url| url.trim_end_matches('/').to_owned()).ok_or_else(|| {
        format!("Missing public URL. Set it at deploy time or import an active '{PUBLIC_URL_REF}' secret.")
    }))
}

/// Checks a secret that is imported: only the public URL has a form.
pub(crate) fn check(name: &SecretRef, value: &SecretString) -> Result<(), Refusal> {
    let is_fit = name.as_str() != PUBLIC_URL_REF || is_base_url(value.expose_secret().trim());
    let detail = || format!("plaintextValue of {PUBLIC_URL_REF} must be {BASE_URL_RULE}");
    is_fit.then_some(()).ok_or_else(|| Refusal::field("/plaintextValue", detail()))
}

/// The URL, for a call that cannot be answered without.
///
/// # Errors
/// 409 when there is none.
pub async fn needed(app: &App, reached_at: Option<&str>) -> Result<String, AppError> {
    Ok(find(app, reached_at).await?.map_err(|missing| Refusal::new(Code::NotConfigured, missing))?)
}
