//! The public URL for workers, Telegram and file downloads.

use af_domain::ids::SecretRef;
use af_domain::refusal::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};

use crate::settings::base_url::{BASE_URL_RULE, is_base_url};
use crate::{App, AppError};

/// The secret with the operator's own URL.
const PUBLIC_URL_REF: &str = "factory.url";

/// Returns the URL without a trailing slash: the operator's own URL, which may have a domain and a path that
/// no function can know; otherwise the URL that the function was deployed with; otherwise `reached_at`,
/// through which the current caller reached the API. If there is none, the error text names the fix.
pub(crate) async fn find(app: &App, reached_at: Option<&str>) -> Result<Result<String, String>, AppError> {
    let own = app.secrets.get(&SecretRef::parse(PUBLIC_URL_REF)?, app.now()).await?;
    let own = own.as_ref().map(|own| own.expose_secret().trim()).filter(|own| !own.is_empty());
    let known = own.or(app.public_url.as_deref()).or(reached_at);
    Ok(known.map(|url| url.trim_end_matches('/').to_owned()).ok_or_else(|| {
        format!("Missing public URL. Set it at deploy time or import an active '{PUBLIC_URL_REF}' secret.")
    }))
}

/// Checks an imported secret. Only the public URL has a required format.
pub(crate) fn check(name: &SecretRef, value: &SecretString) -> Result<(), Refusal> {
    let is_fit = name.as_str() != PUBLIC_URL_REF || is_base_url(value.expose_secret().trim());
    let detail = || format!("plaintextValue of {PUBLIC_URL_REF} must be {BASE_URL_RULE}");
    is_fit.then_some(()).ok_or_else(|| Refusal::field("/plaintextValue", detail()))
}

/// Returns the URL for a call that cannot be answered without it.
///
/// # Errors
/// Returns 409 if there is no URL.
pub async fn required(app: &App, reached_at: Option<&str>) -> Result<String, AppError> {
    Ok(find(app, reached_at).await?.map_err(|missing| Refusal::new(Code::NotConfigured, missing))?)
}
