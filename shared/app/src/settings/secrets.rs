//! Secrets: import, status and delete. Values are never shown.

use af_aws::secrets::SecretStatus;
use af_domain::ids::SecretRef;
use af_domain::refusal::Refusal;
use secrecy::{ExposeSecret, SecretString};

use crate::access::opening_secrets;
use crate::settings::public_url;
use crate::{App, Result};

/// Most bytes of a secret, which is the limit of Secrets Manager.
const MAX_SECRET_BYTES: usize = 65_536;

/// Imports or rotates a secret, and returns the new version. Returns a refusal if the value is empty or too large,
/// or does not have the form that its name requires.
pub async fn import(app: &App, name: &SecretRef, value: SecretString) -> Result<String> {
    let bytes = value.expose_secret().len();
    if bytes == 0 || bytes > MAX_SECRET_BYTES {
        let detail = format!("plaintextValue must be 1 to {MAX_SECRET_BYTES} bytes");
        return Err(Refusal::field("/plaintextValue", detail).into());
    }
    opening_secrets::check_form(name, &value)?;
    public_url::check(name, &value)?;
    Ok(app.secrets.put(name, value, app.now()).await?.version)
}

/// Returns which of these secrets exist.
pub async fn status(app: &App, names: &[SecretRef]) -> Result<Vec<SecretStatus>> {
    Ok(app.secrets.status(names).await?)
}

/// Deletes a secret. It can be restored until AWS's recovery window ends. Returns a refusal if the deployment cannot
/// work without it.
pub async fn delete(app: &App, name: &SecretRef) -> Result<()> {
    opening_secrets::check_deletion(name)?;
    app.secrets.delete(name).await?;
    Ok(())
}
