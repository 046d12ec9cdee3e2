//! Secrets: imported, looked at (never shown), deleted.

use af_aws::secrets::SecretStatus;
use af_domain::ids::SecretRef;
use af_domain::refusal::Refusal;
use secrecy::{ExposeSecret, SecretString};

use crate::settings::public_url;
use crate::{App, AppError};

/// Most bytes of a secret: Secrets Manager's own limit.
const MAX_SECRET_BYTES: usize = 65_536;

/// Imports or rotates a secret; answers its new version.
///
/// # Errors
/// A refusal when the value is empty or too large, or is no URL where one is needed.
pub async fn import(app: &App, name: &SecretRef, value: SecretString) -> Result<String, AppError> {
    let bytes = value.expose_secret().len();
    if bytes == 0 || bytes > MAX_SECRET_BYTES {
        let detail = format!("plaintextValue must be 1 to {MAX_SECRET_BYTES} bytes");
        return Err(Refusal::field("/plaintextValue", detail).into());
    }
    public_url::check(name, &value)?;
    Ok(app.secrets.put(name, value, app.now()).await?.version)
}

/// Which of these secrets there are.
///
/// # Errors
/// When Secrets Manager cannot answer.
pub async fn status(app: &App, names: &[SecretRef]) -> Result<Vec<SecretStatus>, AppError> {
    Ok(app.secrets.status(names).await?)
}

/// Deletes a secret; it can be restored for as long as AWS keeps it.
///
/// # Errors
/// When Secrets Manager cannot answer.
pub async fn delete(app: &App, name: &SecretRef) -> Result<(), AppError> {
    app.secrets.delete(name).await?;
    Ok(())
}
